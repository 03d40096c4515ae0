//! `ip_access`: what its lists accept, and what their mistakes say.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::fmt::Write as _;

use bartizan_model::{Diagnostics, Guard, Outcome};
use serde_json::json;

use super::{IpAccess, MAX_LIST_ERRORS};
use crate::support::{self, TestFiles};

fn compile(config: serde_json::Value, list: &str) -> Result<IpAccess, Diagnostics> {
    let mut files = TestFiles::default();
    files.given.insert("list.txt".to_owned(), list.as_bytes().to_vec());
    support::compile(config, &support::idle_services(), &files)
}

fn decision(guard: &IpAccess, ip: &str) -> Option<&'static str> {
    let mut transaction = support::transaction();
    transaction.client.ip = ip.parse().unwrap();
    let outcome = support::now(guard.request_headers(&mut transaction));
    if let Outcome::Answer(_) = outcome {
        panic!("it answered");
    }
    support::code(&outcome)
}

#[test]
fn nobody_is_refused_without_lists() {
    let guard = compile(json!({}), "").unwrap();
    assert_eq!(decision(&guard, "192.0.2.1"), None);
}

#[test]
fn lists_take_comments_host_bits_and_mapped_networks() {
    let list = "\u{feff}# drop\n203.0.113.77/24\n\n  192.0.2.7 # one\n2001:db8::/32 ; SBL1\n::ffff:198.51.100.0/120\n";
    let guard = compile(json!({ "deny": ["file:list.txt"] }), list).unwrap();
    for ip in ["203.0.113.1", "192.0.2.7", "2001:db8:ffff::1", "198.51.100.200", "::ffff:192.0.2.7"] {
        assert_eq!(decision(&guard, ip), Some("ip_access.denied"), "{ip}");
    }
    for ip in ["203.0.114.1", "192.0.2.8", "2001:db9::1", "198.51.101.0", "::192.0.2.7"] {
        assert_eq!(decision(&guard, ip), None, "{ip}");
    }
}

#[test]
fn every_mistake_is_reported_with_its_place() {
    let problems = compile(
        json!({ "allow": ["10.0.0.0/33", "::1"], "deny": ["feed:drop", "file:absent.txt", "file:list.txt", "shop"] }),
        "192.0.2.1\nno address\n",
    )
    .err()
    .unwrap();
    let paths: Vec<_> = problems.0.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(paths, ["allow[0]", "deny[0]", "deny[1]", "deny[2]", "deny[3]"]);
    let text = problems.to_string();
    assert!(text.contains("`feed:` needs threat-intel feeds, which this version does not have"), "{text}");
    assert!(text.contains("`file:list.txt` line 2: `no address`"), "{text}");
    assert!(text.contains("absent.txt"), "{text}");
}

#[test]
fn a_file_of_another_kind_does_not_fill_the_screen() {
    let junk = "not an address\n".repeat(5_000);
    let problems = compile(json!({ "deny": ["file:list.txt"] }), &junk).err().unwrap();
    assert_eq!(problems.0.len(), MAX_LIST_ERRORS + 1);
    assert!(problems.to_string().contains("4990 more lines"), "{problems}");
}

#[test]
fn an_empty_allow_list_is_an_error_and_opens_nothing() {
    let problems = compile(json!({ "allow": ["file:list.txt"] }), "# nobody yet\n").err().unwrap();
    assert!(problems.to_string().contains("names no network"), "{problems}");
}

#[test]
fn a_million_prefixes_are_read_and_decided() {
    let mut list = String::new();
    for n in 0..1_000_000_u32 {
        let [a, b, c, _] = (n << 8).to_be_bytes();
        // Every second /24, so that neighbours do not merge into a few wide ones.
        writeln!(list, "{}.{b}.{c}.0/25", 16 + a).unwrap();
    }
    let guard = compile(json!({ "deny": ["file:list.txt"] }), &list).unwrap();
    assert_eq!(decision(&guard, "16.0.0.127"), Some("ip_access.denied"));
    assert_eq!(decision(&guard, "16.0.0.128"), None);
    assert_eq!(decision(&guard, "31.66.63.5"), Some("ip_access.denied"));
    assert_eq!(decision(&guard, "31.66.64.5"), None);
    assert_eq!(decision(&guard, "15.255.255.255"), None);
}
