//! Who may do what, through the running gateway: a decision point elsewhere that permits, refuses and fails, and policies that
//! come to fit a pattern while it runs.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use bartizan_testkit::{Gateway, RawUpstream, Reply, Step, raw_request, reply};
use serde_json::json;

use crate::support::BINARY;

const PATIENCE: Duration = Duration::from_secs(5);

fn policy(upstream: &str, access: &str) -> String {
    format!(
        "listeners: [{{ address: $LISTEN }}]\nadmin: {{ address: $ADMIN }}\nstorage: sqlite:$DIR/var/bartizan.db\n\
         apis:\n  - name: bank\n    upstream: {upstream}\n    identity: {{ anonymous: allow }}\n    guards:\n      \
         access: {access}\n"
    )
}

fn get(gateway: &Gateway, target: &str) -> Reply {
    let request = format!("GET {target} HTTP/1.1\r\nHost: api.test\r\n\r\n");
    reply(&raw_request(gateway.address, request.as_bytes(), PATIENCE))
}

/// Until an answer has this status.
fn wait_for(gateway: &Gateway, target: &str, status: u16) {
    let begun = Instant::now();
    while get(gateway, target).status != status {
        assert!(begun.elapsed() < PATIENCE, "never {status}");
    }
}

#[test]
fn a_decision_point_permits_refuses_and_fails() {
    let upstream = RawUpstream::echo().unwrap();
    let point = RawUpstream::echo().unwrap();
    let decides = |status: &str, decision: bool| {
        let body = json!({ "decision": decision }).to_string();
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n");
        let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        point.answer(vec![Step::Send(answer.into_bytes())]);
    };
    decides("200 OK", true);
    let access = format!("{{ authzen: {{ endpoint: \"{}\", cache: 0s, timeout: 5s }} }}", point.url());
    let gateway = Gateway::with_config(BINARY, &policy(&upstream.url(), &access), |_: &Path| Ok(())).unwrap();
    assert_eq!(get(&gateway, "/notes").status, 200);
    decides("200 OK", false);
    assert_eq!(get(&gateway, "/notes").status, 401, "nobody is identified");
    decides("500 Internal Server Error", true);
    assert_eq!(get(&gateway, "/notes").status, 503, "what is no answer permits nothing");
}

#[test]
fn a_policy_that_comes_to_fit_a_pattern_is_in_force() {
    let upstream = RawUpstream::echo().unwrap();
    let access = "{ policies: \"file:policies/*.cedar\" }";
    let gateway = Gateway::with_config(BINARY, &policy(&upstream.url(), access), |folder: &Path| {
        fs::create_dir(folder.join("policies"))?;
        Ok(fs::write(folder.join("policies/all.cedar"), "permit (principal, action, resource);")?)
    })
    .unwrap();
    assert_eq!(get(&gateway, "/notes").status, 200);
    let added = gateway.dir.path().join("policies/none.cedar");
    fs::write(&added, "forbid (principal, action, resource);").unwrap();
    wait_for(&gateway, "/notes", 403);
    fs::remove_file(&added).unwrap();
    wait_for(&gateway, "/notes", 200);
}
