//! The state directory's files, and doing without one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use super::*;

#[test]
fn secrets_are_made_once_and_kept_private() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("deep/var");
    let first = StateDirectory::open(&path).unwrap();
    let second = StateDirectory::open(&path).unwrap();
    assert_eq!(first.token().expose(), second.token().expose());
    assert_eq!(first.token().expose().len(), 64);
    assert_eq!(first.token_key().token(b"x"), second.token_key().token(b"x"));
    assert_eq!(StateDirectory::admin_token(&path).unwrap().expose(), first.token().expose());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        let names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(names.len(), 2, "no draft is left: {names:?}");
        assert!(names.iter().all(|file| mode(file) == 0o600));
    }
}

#[test]
fn a_gateway_says_where_it_listens_until_it_ends() {
    let parent = tempfile::tempdir().unwrap();
    let state = StateDirectory::open(parent.path()).unwrap();
    let address = "127.0.0.1:9440".parse().unwrap();
    state.announce(address, Some(Path::new("/srv/bartizan.db"))).unwrap();
    let admin = StateDirectory::admin_address(parent.path()).unwrap();
    assert_eq!((admin.address, admin.pid), (address, std::process::id()));
    assert_eq!(admin.database.as_deref(), Some(Path::new("/srv/bartizan.db")));
    state.withdraw();
    assert_eq!(StateDirectory::admin_address(parent.path()), None);
}

#[test]
fn one_gateway_at_a_time_uses_a_directory() {
    let parent = tempfile::tempdir().unwrap();
    let mut first = State::open(parent.path(), None).unwrap();
    let directory = first.directory.as_mut().unwrap();
    directory.announce("127.0.0.1:9440".parse().unwrap(), None).unwrap();
    let error = State::open(parent.path(), None).err().unwrap().to_string();
    assert!(error.contains(&std::process::id().to_string()) && error.contains("`--state`"), "{error}");
    StateDirectory::open(parent.path()).expect("commands still look into it");
    directory.release();
    State::open(parent.path(), None).unwrap();
}

#[test]
fn without_a_directory_the_gateway_runs_and_says_what_is_missing() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "").unwrap();
    let state = State::open(&file.join("var"), None).unwrap();
    assert!(state.directory.is_none());
    assert!(state.degraded[0].contains("file/var") && state.degraded[0].contains("storage"));
    assert_eq!(state.token.expose().len(), 64);
}

#[test]
fn a_damaged_secret_is_named_and_not_replaced() {
    let parent = tempfile::tempdir().unwrap();
    fs::write(parent.path().join(TOKEN), "short").unwrap();
    let error = StateDirectory::open(parent.path()).err().unwrap().to_string();
    assert!(error.contains(TOKEN) && !error.contains("short"), "{error}");
    assert_eq!(fs::read_to_string(parent.path().join(TOKEN)).unwrap(), "short");
}
