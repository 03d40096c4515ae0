//! The rooms, bans and licences hold.
#![allow(clippy::unwrap_used, reason = "tests assert")]

use bartizan_testkit::workspace_root;
use xtask::{architecture, lines};

#[test]
fn imports_bans_and_licences_are_as_the_architecture_says() {
    let violations = architecture::violations(&workspace_root()).unwrap();
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn files_are_short_and_say_what_they_hold() {
    let complaints = lines::complaints(&workspace_root()).unwrap();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
