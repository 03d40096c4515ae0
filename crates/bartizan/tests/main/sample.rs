//! `bartizan sample` as a process, alone and behind the gateway with the policy of `docs/sample-bank.md`.

use std::{process::Command, time::Duration};

use bartizan_testkit::{Gateway, Process, free_port, process::loopback, raw_request, reply};
use rustix::process::Signal;

use crate::support::BINARY;

const SECONDS: Duration = Duration::from_secs(10);

/// The bank, its port, and a customer to sign in as: as it says itself.
fn bank(build: &str) -> (Process, u16, String) {
    let port = free_port();
    let mut command = Command::new(BINARY);
    command.args(["sample", build, "--seed", "5", "--listen", &format!("127.0.0.1:{port}")]);
    let mut process = Process::start("bartizan sample", &mut command).unwrap();
    process.wait_for_port(port, SECONDS).unwrap();
    let log = process.log();
    let line = log.lines().find(|line| line.contains("customers")).unwrap_or_else(|| panic!("{log}"));
    let words: Vec<&str> = line.split('`').collect();
    let body = serde_json::json!({ "username": words[1], "password": words[3] }).to_string();
    (process, port, body)
}

fn sign_in(gateway: &Gateway, body: &str) -> String {
    let head = "POST /v1/login HTTP/1.1\r\nHost: bank\r\nContent-Type: application/json";
    let reply = gateway.raw(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    assert_eq!(reply.status, 200, "{}", reply.text());
    format!("Authorization: Bearer {}", reply.json()["access_token"].as_str().unwrap())
}

#[test]
fn the_documented_policy_protects_the_bank() {
    let (mut bank, port, body) = bank("--vulnerable");
    let address = loopback(port);
    let manual = include_str!("../../../../docs/sample-bank.md");
    let policy = manual.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let policy = policy
        .replace("\"127.0.0.1:8080\"", "$LISTEN")
        .replace("127.0.0.1:3000", &format!("127.0.0.1:{port}"));
    let gateway = Gateway::with_config(BINARY, &format!("admin: {{ address: $ADMIN }}\n{policy}"), |dir| {
        let ask = b"GET /openapi.json HTTP/1.1\r\nHost: bank\r\nConnection: close\r\n\r\n";
        Ok(std::fs::write(dir.join("bank.json"), reply(&raw_request(address, ask, SECONDS)).body)?)
    })
    .unwrap();
    let token = sign_in(&gateway, &body);
    assert_eq!(gateway.get("/v1/accounts", &[&token]).status, 200, "the bank's own issuer is believed");
    assert_eq!(gateway.get("/v1/accounts", &[]).status, 401);
    // What is planted beside the contract: BANK-11 and BANK-12.
    for target in ["/debug", "/v0/customers", "/v0/accounts/1"] {
        assert_eq!(gateway.get(target, &[&token]).status, 404, "{target}");
    }
    bank.signal(Signal::TERM).unwrap();
    assert!(bank.wait(SECONDS).is_some_and(|status| status.success()), "{}", bank.log());
}

#[test]
fn the_bank_listens_on_loopback_only_and_needs_a_build() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let (status, log) = bartizan_testkit::gateway::run_to_end(BINARY, dir.path(), arguments).unwrap();
        (status.code(), log)
    };
    let (code, log) = run(&["sample", "--vulnerable", "--listen", "0.0.0.0:0"]);
    assert!(code == Some(1) && log.contains("loopback only"), "{log}");
    assert_eq!(run(&["sample"]).0, Some(2), "vulnerable or fixed is for the user to say");
    assert_eq!(run(&["sample", "--vulnerable", "--fixed"]).0, Some(2));
}
