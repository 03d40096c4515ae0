//! `bartizan sample` as a process, alone and behind the gateway with the policy of `docs/sample-bank.md`.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

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
    // The port is taken before the bank is filled, and whom to sign in as is told after.
    let deadline = Instant::now() + SECONDS;
    while !process.log().contains("staff") && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
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

/// The block of commands that follows each heading of a flaw in the manual, with what it shows where it works.
fn recipes(manual: &str) -> Vec<(String, String, Vec<String>)> {
    let sections = manual.split("\n### ").filter(|section| section.starts_with("BANK-"));
    sections
        .map(|section| {
            let number = section.split(':').next().unwrap().to_owned();
            let lines: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("    ")).collect();
            let shows =
                lines.iter().filter_map(|line| Some(line.split_once("# shows ")?.1.to_owned())).collect();
            (number, lines.join("\n"), shows)
        })
        .collect()
}

/// What a block prints, after the manual's own lines that sign in.
fn bash(manual: &str, port: u16, block: &str) -> String {
    let sign_in: Vec<&str> = manual
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| ["BANK=", "TOKEN=", "AUTH="].iter().any(|name| line.starts_with(name)))
        .collect();
    assert_eq!(sign_in.len(), 3, "{sign_in:?}");
    let script = format!("{}\n[ ${{#TOKEN}} -gt 100 ] || echo NOT SIGNED IN\n{block}\n", sign_in.join("\n"));
    let script = script.replace("127.0.0.1:3000", &format!("127.0.0.1:{port}"));
    let ended = Command::new("timeout").args(["30", "bash", "-c", &script]).output().unwrap();
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(!text.contains("NOT SIGNED IN"), "{script}");
    text
}

/// The manual's exploits, as they are written: all of them work against one build, none against the other.
#[test]
fn the_documented_exploits_work_as_they_are_written() {
    for tool in ["bash", "curl", "jq", "timeout"] {
        if Command::new(tool).arg("--version").output().is_err() {
            println!("SKIPPED: the exploits of docs/sample-bank.md need `{tool}`");
            return;
        }
    }
    let manual = include_str!("../../../../docs/sample-bank.md");
    let mut recipes = recipes(manual);
    assert_eq!(recipes.len(), bartizan_bank::Flaw::ALL.len());
    // It makes its customer an administrator: nothing may be judged after it.
    recipes.sort_by_key(|(number, ..)| number == "BANK-03");
    for (build, works) in [("--vulnerable", true), ("--fixed", false)] {
        let port = free_port();
        let mut command = Command::new(BINARY);
        command.args(["sample", build, "--listen", &format!("127.0.0.1:{port}")]);
        let mut process = Process::start("bartizan sample", &mut command).unwrap();
        process.wait_for_port(port, SECONDS).unwrap();
        for (number, block, shows) in &recipes {
            assert!(!shows.is_empty(), "{number} does not tell what it shows");
            let printed = bash(manual, port, block);
            let worked = shows.iter().all(|text| printed.contains(text.as_str()));
            assert_eq!(
                worked, works,
                "{number} against {build} should show {shows:?}, printed: {printed:.2000}"
            );
        }
    }
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

/// What cannot be opened is told before anything is said to answer.
#[test]
fn a_database_of_another_bank_is_refused_before_the_bank_says_that_it_answers() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("other.db"), "no database").unwrap();
    let arguments = ["sample", "--fixed", "--listen", "127.0.0.1:0", "--database", "other.db"];
    let (status, said) = bartizan_testkit::gateway::run_to_end(BINARY, dir.path(), &arguments).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("database") && !said.contains("sample bank on"), "{said}");
}
