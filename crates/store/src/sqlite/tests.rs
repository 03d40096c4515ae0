//! The store against real files, with a second store on the same file in the part of another process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]
#![allow(clippy::disallowed_methods, reason = "the test waits for another thread")]

use bartizan_model::{EventKind, services::ApiKeys as _};
use tempfile::TempDir;

use super::*;

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bartizan.db");
    (directory, file)
}

fn key(id: &str, byte: u8) -> ApiKeyRecord {
    ApiKeyRecord {
        scopes: vec!["read".into(), "write".into()],
        ..ApiKeyRecord::new(id.into(), [byte; 32], "alice".into(), Timestamp::from_seconds(1))
    }
}

fn event(number: u128) -> (Arc<Event>, String) {
    let event = Event {
        id: EventId::new(Timestamp::from_seconds(1_000), number),
        time: Timestamp::from_seconds(1_000),
        client: None,
        generation: 1,
        kind: EventKind::Connection { code: "connection.banned", detail: String::new() },
    };
    let json = serde_json::to_string(&event).unwrap();
    (Arc::new(event), json)
}

/// Waits for what another process did to be noticed; answers how long that took.
fn noticed(what: impl Fn() -> bool) -> Duration {
    let started = Instant::now();
    while !what() {
        assert!(started.elapsed() < Duration::from_secs(3), "never noticed");
        thread::sleep(Duration::from_millis(5));
    }
    started.elapsed()
}

#[test]
fn keys_and_bans_outlive_the_process() {
    let (_directory, file) = place();
    let store = Store::open(&file).unwrap();
    store.add_key(key("one", 1)).unwrap();
    store.key_index().used("one", Timestamp::from_seconds(76));
    assert_eq!(
        store.keys().unwrap()[0].last_used,
        Some(Timestamp::from_seconds(76)),
        "no sweep was waited for"
    );
    store.key_index().used("one", Timestamp::from_seconds(77));
    store.settle().unwrap();
    assert_eq!(fs::metadata(file.with_extension("db-wal")).unwrap().len(), 0, "all is in the file");
    assert_eq!(store.keys().unwrap()[0].last_used, Some(Timestamp::from_seconds(77)));
    store.key_index().used("one", Timestamp::from_seconds(78));
    let ban = Ban {
        target: "192.0.2.99/24".parse().unwrap(),
        reason: "noise".to_owned(),
        until: None,
        created: now(),
        by: "test".to_owned(),
    };
    assert_eq!(store.ban(ban).unwrap().target.to_string(), "192.0.2.0/24");
    drop(store);

    let store = Store::open(&file).unwrap();
    assert_eq!(*store.key_index().find(&[1; 32]).unwrap(), key("one", 1));
    assert_eq!(store.keys().unwrap()[0].last_used, Some(Timestamp::from_seconds(78)));
    assert!(store.ban_list().find("192.0.2.1".parse().unwrap(), now()).is_some());
    assert!(store.unban("192.0.2.0/24".parse().unwrap()).unwrap());
    assert!(store.ban_list().find("192.0.2.1".parse().unwrap(), now()).is_none());
    assert!(!store.unban("192.0.2.0/24".parse().unwrap()).unwrap());
}

#[test]
fn what_another_process_changes_is_noticed_within_a_second() {
    let (_directory, file) = place();
    let gateway = Store::open(&file).unwrap();
    let command = Store::open(&file).unwrap();
    let before = gateway.key_index().changes().generation();
    command.add_key(key("one", 1)).unwrap();
    let took = noticed(|| gateway.key_index().find(&[1; 32]).is_some());
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(gateway.key_index().changes().generation() > before);
    assert!(!gateway.key_index().is_revoked("one"));
    command.revoke_key("one", now()).unwrap();
    let took = noticed(|| gateway.key_index().is_revoked("one"));
    assert!(took < Duration::from_secs(1), "{took:?}");
    let ban = Ban {
        target: "2001:db8::/32".parse().unwrap(),
        reason: "noise".to_owned(),
        until: Some(now().plus(Duration::from_secs(60))),
        created: now(),
        by: "test".to_owned(),
    };
    command.ban(ban).unwrap();
    let took = noticed(|| gateway.ban_list().find("2001:db8::7".parse().unwrap(), now()).is_some());
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn events_are_found_and_only_the_newest_are_kept() {
    let (_directory, file) = place();
    let store = Store::open_with(&file, 100).unwrap();
    for batch in 0..10 {
        store.insert((batch * 50..(batch + 1) * 50).map(event).collect()).unwrap();
    }
    let kept = store.events(EventFilter { limit: 1_000, ..EventFilter::default() }).unwrap();
    assert!((100..=105).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept[0], event(499).1, "newest first");
    assert_eq!(store.event(event(499).0.id).unwrap(), Some(event(499).1));
    assert_eq!(store.event(event(0).0.id).unwrap(), None);
    assert_eq!(read_event(&file, event(499).0.id).unwrap(), Some(event(499).1), "while the gateway runs");
    let none = EventFilter { verdict: Some("allow".to_owned()), limit: 10, ..EventFilter::default() };
    assert!(store.events(none).unwrap().is_empty());
    drop(store);
    assert_eq!(read_event(&file, event(499).0.id).unwrap(), Some(event(499).1), "after it has ended");
}

#[test]
fn a_rotated_key_lives_beside_its_successor_for_a_while() {
    let (_directory, file) = place();
    let store = Store::open(&file).unwrap();
    store.add_key(key("old", 1)).unwrap();
    let ends = now().plus(Duration::from_secs(60));
    let old = store.rotate_key("old", |_| key("new", 2), ends).unwrap();
    assert_eq!((old.record.expires, old.record.successor.as_deref()), (Some(ends), Some("new")));
    assert_eq!((old.state(now()), old.state(ends)), ("rotated", "expired"));
    assert!(store.key_index().find(&[2; 32]).is_some());
    let again = store.rotate_key("old", |_| key("third", 3), ends);
    assert!(matches!(again, Err(StoreError::KeyEnded(_))));
    assert!(store.key_index().find(&[3; 32]).is_none(), "a refused rotation leaves no key");
    assert!(matches!(store.revoke_key("none", now()), Err(StoreError::UnknownKey(_))));
    assert!(matches!(store.add_key(key("new", 4)), Err(StoreError::KeyExists(_))));
}

#[test]
fn a_damaged_file_is_named_and_left_as_it_is() {
    let (_directory, file) = place();
    fs::write(&file, vec![b'x'; 8_192]).unwrap();
    let error = Store::open(&file).err().unwrap();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    assert!(error.to_string().contains(file.to_str().unwrap()) && error.to_string().contains("backup"));
    assert_eq!(fs::read(&file).unwrap(), vec![b'x'; 8_192]);
}

#[test]
fn a_file_of_a_later_version_is_refused() {
    let (_directory, file) = place();
    drop(Store::open(&file).unwrap());
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Store::open(&file), Err(StoreError::Newer(_))));
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_database() {
    use std::os::unix::fs::PermissionsExt as _;
    let (directory, file) = place();
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let store = Store::open(&file).unwrap();
    store.add_key(key("one", 1)).unwrap();
    for entry in fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
}

#[test]
fn the_log_of_changes_is_newest_first() {
    let store = Store::memory().unwrap();
    store.log_change("key.created", "command-line", "`one`").unwrap();
    store.log_change("key.revoked", "command-line", "`one`").unwrap();
    let codes: Vec<_> = store.changes(10).unwrap().into_iter().map(|change| change.code).collect();
    assert_eq!(codes, ["key.revoked", "key.created"]);
}
