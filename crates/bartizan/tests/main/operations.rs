//! What an operator does to a running gateway: keys, bans, break-glass; each in force within a second.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use bartizan_testkit::{Gateway, RawUpstream, gateway::run_to_end};
use serde_json::Value;

use crate::support::{BINARY, policy, with};

/// Runs a command on the gateway's state; what it printed.
fn bartizan(gateway: &Gateway, arguments: &[&str]) -> String {
    let all = [arguments, &["--state", "var"]].concat();
    let (status, output) = run_to_end(BINARY, gateway.dir.path(), &all).unwrap();
    assert!(status.success(), "{arguments:?}: {output}");
    output
}

/// Within a second, requests with these headers must get this status.
fn within_a_second(gateway: &Gateway, headers: &[&str], status: u16) {
    let begin = Instant::now();
    loop {
        let answer = gateway.get("/x", headers);
        if answer.status == status {
            return;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(1),
            "{} instead of {status}: {}",
            answer.status,
            answer.text()
        );
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_key_works_from_its_creation_to_its_end() {
    let upstream = RawUpstream::echo().unwrap();
    let more = "    identity: { accept: [{ api_key: { header: X-API-Key } }], anonymous: deny }\n";
    let gateway = with(&policy(&upstream.url(), more));
    assert_eq!(gateway.get("/x", &[]).status, 401);
    let printed = bartizan(&gateway, &["keys", "create", "--owner", "alice", "--output", "json"]);
    let issued: Value = serde_json::from_str(&printed).expect(&printed);
    let secret = find(&issued, &|text| text.len() > 40).expect(&printed);
    let header = format!("X-API-Key: {secret}");
    within_a_second(&gateway, &[&header], 200);
    let seen = upstream.requests().pop().unwrap().text();
    assert!(
        !seen.contains(&secret) && seen.contains("alice"),
        "the key stops here, the caller is named: {seen}"
    );
    let listed = bartizan(&gateway, &["keys", "list"]);
    assert!(listed.contains("alice") && !listed.contains(&secret), "{listed}");
    for entry in std::fs::read_dir(gateway.state()).unwrap().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        assert!(
            bartizan_testkit::raw::find(&bytes, secret.as_bytes()).is_none(),
            "{} holds the key",
            entry.path().display()
        );
    }
    let mut forged = secret.clone();
    forged.replace_range(forged.len() - 1.., if secret.ends_with('a') { "b" } else { "a" });
    assert_eq!(gateway.get("/x", &[&format!("X-API-Key: {forged}")]).status, 401);
    let id = issued.pointer("/key/id").or(issued.get("id")).and_then(Value::as_str).expect(&printed);
    bartizan(&gateway, &["keys", "revoke", id]);
    within_a_second(&gateway, &[&header], 401);
}

/// The first text in a document that fits.
fn find(value: &Value, fits: &dyn Fn(&str) -> bool) -> Option<String> {
    match value {
        Value::String(text) if fits(text) => Some(text.clone()),
        Value::Array(items) => items.iter().find_map(|item| find(item, fits)),
        Value::Object(fields) => fields.values().find_map(|field| find(field, fits)),
        _ => None,
    }
}

#[test]
fn a_ban_and_its_end_are_in_force_within_a_second() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = with(&format!("trusted_proxies: [127.0.0.0/8]\n{}", policy(&upstream.url(), "")));
    let (one, other) = ("X-Forwarded-For: 198.51.100.7", "X-Forwarded-For: 198.51.100.8");
    within_a_second(&gateway, &[one], 200);
    bartizan(&gateway, &["ban", "198.51.100.7", "--for", "1h", "--reason", "abuse"]);
    within_a_second(&gateway, &[one], 403);
    assert_eq!(gateway.get("/x", &[other]).status, 200);
    bartizan(&gateway, &["unban", "198.51.100.7"]);
    within_a_second(&gateway, &[one], 200);
}

#[test]
fn break_glass_ends_by_itself() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = with(&policy(&upstream.url(), "    guards: { ip_access: { deny: [127.0.0.0/8] } }\n"));
    assert_eq!(gateway.get("/x", &[]).status, 403);
    bartizan(&gateway, &["mode", "monitor", "--for", "2s", "--reason", "a test"]);
    within_a_second(&gateway, &[], 200);
    sleep(Duration::from_millis(2_200));
    within_a_second(&gateway, &[], 403);
    let audit = std::fs::read_to_string(gateway.state().join("audit.jsonl")).unwrap();
    assert!(audit.contains("a test"), "{audit}");
}

#[test]
fn the_admin_api_asks_for_its_token_and_its_own_host() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = with(&policy(&upstream.url(), ""));
    assert_eq!(gateway.ask("GET", "/v1/status", None).unwrap().status, 200);
    let ask = |host: &str, token: &str| {
        let request = format!(
            "GET /v1/status HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        let bytes = bartizan_testkit::raw_request(gateway.admin, request.as_bytes(), Duration::from_secs(5));
        bartizan_testkit::reply(&bytes).status
    };
    let (host, token) = (gateway.admin.to_string(), gateway.token().unwrap());
    assert_eq!(ask(&host, "wrong"), 401);
    assert!(ask("evil.example", &token) >= 400, "a rebound name reached the admin API");
    assert_eq!(gateway.ask("GET", "/metrics", None).unwrap().status, 200);
}
