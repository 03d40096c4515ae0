//! The deny-list against real files, with a second store in the part of another process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests assert")]
#![allow(clippy::disallowed_methods, reason = "the test waits for another thread")]
use std::time::{Duration, Instant};

use bartizan_model::CredentialKind;

use super::*;

fn entry(kind: Revoked, value: &str) -> Revocation {
    Revocation {
        kind,
        issuer: "corp".into(),
        value: value.into(),
        issued_before: None,
        until: None,
        reason: "test".to_owned(),
        created: at(1),
        by: "test".to_owned(),
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn caller() -> Principal {
    Principal {
        credential_id: Some("jti-1".into()),
        session: Some("sid-1".into()),
        issued: Some(at(100)),
        digest: Some([7; 32]),
        ..Principal::new(CredentialKind::Jwt, "corp".into(), "alice".into())
    }
}

#[test]
fn each_kind_is_found_by_what_it_names_and_lifted_again() {
    let store = Store::memory().unwrap();
    let find = |now| store.deny_list().find(&caller(), at(now));
    assert_eq!(find(200), None);
    for (kind, value) in [
        (Revoked::Token, "jti-1"),
        (Revoked::Subject, "alice"),
        (Revoked::Session, "sid-1"),
        (Revoked::Issuer, ""),
    ] {
        store.revoke(entry(kind, "another")).unwrap();
        store.revoke(Revocation { issuer: "other".into(), ..entry(kind, value) }).unwrap();
        assert_eq!(find(200), None, "{kind:?} of something else");
        store.revoke(entry(kind, value)).unwrap();
        assert_eq!(find(200), Some(kind));
        assert!(store.lift(kind, "corp", value).unwrap());
        assert!(!store.lift(kind, "corp", value).unwrap());
        assert_eq!(find(200), None, "{kind:?} lifted");
    }
    let digest = Revocation { issuer: "".into(), ..entry(Revoked::Token, &digest_name(&[7; 32])) };
    assert!(is_digest(&digest.value));
    store.revoke(digest).unwrap();
    assert_eq!(find(200), Some(Revoked::Token));
}

#[test]
fn what_was_issued_later_passes_and_entries_end() {
    let store = Store::memory().unwrap();
    let of = |before, until| Revocation { issued_before: before, until, ..entry(Revoked::Subject, "alice") };
    let find = |now| store.deny_list().find(&caller(), at(now));
    store.revoke(of(Some(at(100)), Some(at(500)))).unwrap();
    assert_eq!(find(200), None, "issued at that very moment");
    store.revoke(of(Some(at(101)), Some(at(400)))).unwrap();
    assert_eq!(find(499), Some(Revoked::Subject), "the longer end holds");
    assert_eq!(find(500), None);
    let unknown = Principal { issued: None, ..caller() };
    assert_eq!(store.deny_list().find(&unknown, at(200)), Some(Revoked::Subject), "nobody knows when");
    store.revoke(of(None, None)).unwrap();
    let weaker = store.revoke(of(Some(at(1)), Some(at(2)))).unwrap();
    assert_eq!((weaker.issued_before, weaker.until), (None, None), "an entry is never weakened");
    assert_eq!(find(10_000), Some(Revoked::Subject));
    assert_eq!(store.deny_list().len(), 1);
}

#[test]
fn another_process_and_the_next_one_know_them() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bartizan.db");
    let (gateway, command) = (Store::open(&file).unwrap(), Store::open(&file).unwrap());
    let changed = gateway.deny_list().changes().generation();
    command.revoke(entry(Revoked::Subject, "alice")).unwrap();
    let started = Instant::now();
    while gateway.deny_list().find(&caller(), at(200)).is_none() {
        assert!(started.elapsed() < Duration::from_secs(1), "not in force within a second");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(gateway.deny_list().changes().generation() > changed);
    drop((gateway, command));
    let next = Store::open(&file).unwrap();
    assert_eq!(next.deny_list().find(&caller(), at(200)), Some(Revoked::Subject));
    assert_eq!(next.revocations(10).unwrap()[0].reason, "test");
}

#[test]
fn an_event_has_its_effect_once() {
    let store = Store::memory().unwrap();
    let take =
        |id: &str| store.take_event("corp", id, at(1), vec![entry(Revoked::Subject, "alice")], Vec::new());
    assert!(take("one").unwrap());
    assert!(store.lift(Revoked::Subject, "corp", "alice").unwrap());
    assert!(!take("one").unwrap(), "a replay");
    assert!(store.deny_list().is_empty());
    assert!(take("two").unwrap());
    let lift = vec![(Revoked::Subject, "corp".into(), "alice".into())];
    assert!(store.take_event("corp", "three", at(1), Vec::new(), lift).unwrap());
    assert!(store.deny_list().is_empty());
}

#[test]
fn uses_of_retired_issuers_are_kept_and_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bartizan.db");
    let store = Store::open(&file).unwrap();
    for (subject, seconds) in [("alice", 10), ("bob", 20), ("alice", 30)] {
        store.deny_list().note_retired("old", "app", subject, true, at(seconds));
    }
    let uses = store.retired_uses().unwrap();
    assert_eq!(
        uses.iter().map(|used| (used.subject.as_str(), used.count)).collect::<Vec<_>>(),
        [("alice", 2), ("bob", 1)]
    );
    assert_eq!((uses[0].first, uses[0].last), (at(10), at(30)));
    store.deny_list().note_retired("old", "app", "alice", true, at(40));
    for number in 0..MAX_USERS + 500 {
        store.deny_list().note_retired("old", "", &format!("user-{number}"), true, at(50));
    }
    drop(store);
    let store = Store::open(&file).unwrap();
    let uses = store.retired_uses().unwrap();
    assert_eq!(uses.len(), MAX_USERS);
    let others = uses.iter().find(|used| used.subject.is_empty()).expect("the others are counted together");
    assert!(others.count >= 500);
}
