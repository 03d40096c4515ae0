//! `bartizan simulate`: people pass the gateway untouched, and files are whole and the same for the same seed.

use std::{fs, path::Path, process::Command, time::Duration};

use bartizan_model::Timestamp;
use bartizan_testkit::{
    Gateway, Process, RawUpstream, free_port, gateway::run_to_end, process::loopback, raw_request, reply,
    token::epoch_seconds,
};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{BINARY, policy};

const SECONDS: Duration = Duration::from_secs(10);

/// Within this a live run of a few thousand requests has ended, on a machine that does much else.
const LIVE: Duration = Duration::from_secs(60);

/// The policy of `docs/sample-bank.md`, behind a load balancer that tells addresses, with a limit for each caller.
const POLICY: &str = r#"
listeners: [{ address: $LISTEN, proxy_protocol: true }]
admin: { address: $ADMIN }
trusted_proxies: [127.0.0.0/8]
issuers:
  - { name: bank, issuer: "http://127.0.0.1:$BANK", audiences: [bank], algorithms: [ES256], max_lifetime: 15m }
apis:
  - name: bank
    upstream: { backends: ["http://127.0.0.1:$BANK"] }
    contract: file:bank.json
    unknown_operations: deny
    identity: { accept: [{ jwt: { issuers: [bank] } }], anonymous: deny }
    guards: { rate_limit: [{ name: callers, key: principal, rate: 1200/m, burst: 200 }] }
    operations:
      - match: POST /v1/login
        identity: { anonymous: allow }
        guards: { rate_limit: [{ name: guesses, key: ip, rate: 10/m }] }
      - match: POST /token
        identity: { anonymous: allow }
        guards: { rate_limit: [{ name: guesses, key: ip, rate: 10/m }] }
"#;

/// A bank of seed 5 and the gateway before it.
fn protected_bank(build: &str) -> (Process, Gateway) {
    let port = free_port();
    let mut command = Command::new(BINARY);
    command.args(["sample", build, "--seed", "5", "--listen", &format!("127.0.0.1:{port}")]);
    let mut bank = Process::start("bartizan sample", &mut command).unwrap();
    bank.wait_for_port(port, SECONDS).unwrap();
    let gateway = Gateway::with_config(BINARY, &POLICY.replace("$BANK", &port.to_string()), |dir| {
        let ask = b"GET /openapi.json HTTP/1.1\r\nHost: bank\r\nConnection: close\r\n\r\n";
        Ok(fs::write(dir.join("bank.json"), reply(&raw_request(loopback(port), ask, SECONDS)).body)?)
    })
    .unwrap();
    (bank, gateway)
}

/// What a live run says, with its exit code.
fn live(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, Value) {
    let target = format!("http://{}", gateway.address);
    let mut command = Command::new(BINARY);
    command.args(["simulate", "--target", &target, "--proxy-protocol", "--seed", "5", "--output", "json"]);
    let mut process = Process::start("bartizan simulate", command.args(arguments)).unwrap();
    let status = process.wait(LIVE).unwrap_or_else(|| panic!("it did not end: {}", process.log()));
    let log = process.log();
    let line = log.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{log}"));
    (status.code(), serde_json::from_str(line).unwrap())
}

#[test]
fn people_pass_the_gateway_untouched() {
    let (_bank, gateway) = protected_bank("--fixed");
    let people = ["--people", "300", "--attacks", "none", "--speed", "20", "--requests", "3000"];
    let (code, told) = live(&gateway, &people);
    assert_eq!(code, Some(0), "{told:#}");
    let person = &told["kinds"]["person"];
    assert_eq!(
        (person["requests"].as_u64(), person["succeeded"].as_u64()),
        (Some(3_000), Some(3_000)),
        "{told:#}"
    );
    assert_eq!(person["refused_by_gateway"], 0, "{told:#}");
    assert_eq!(told["people_percent"], 100.0);
}

#[test]
fn people_pass_while_attackers_are_refused() {
    let (_bank, gateway) = protected_bank("--vulnerable");
    let attacks =
        "forged_token,anonymous_access,forgotten_endpoint,credential_stuffing,password_guessing,path_trick";
    let arguments = ["--people", "150", "--attacks", attacks, "--speed", "20", "--requests", "2000"];
    let (code, told) = live(&gateway, &arguments);
    assert_eq!((code, &told["people_percent"]), (Some(0), &Value::from(100.0)), "{told:#}");
    for kind in ["anonymous_access", "forgotten_endpoint"] {
        assert_eq!(told["kinds"][kind]["succeeded"], 0, "{told:#}");
        assert!(told["kinds"][kind]["refused_by_gateway"].as_u64() > Some(10), "{told:#}");
    }
    let guessing = &told["kinds"]["password_guessing"];
    assert!(guessing["refused_by_gateway"].as_u64() > Some(0), "the limit of sign-ins is felt: {told:#}");
}

fn run(dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let (status, log) = run_to_end(BINARY, dir, arguments).unwrap();
    (status.code(), log)
}

#[test]
fn files_are_the_same_for_the_same_seed() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for out in ["traffic.jsonl", "traffic.har"] {
        let arguments = ["simulate", "--out", out, "--requests", "3000", "--people", "300", "--seed", "9"];
        for dir in [&one, &other] {
            assert_eq!(run(dir.path(), &arguments).0, Some(0));
        }
        for file in [out, "traffic.labels.jsonl", "traffic.jwks.json"] {
            let read = |dir: &tempfile::TempDir| fs::read(dir.path().join(file)).unwrap();
            assert!(!read(&one).is_empty() && read(&one) == read(&other), "{file}");
        }
    }
    let (_, log) = run(
        other.path(),
        &["simulate", "--out", "-", "--requests", "3000", "--people", "300", "--seed", "9"],
    );
    assert!(log.starts_with(&fs::read_to_string(one.path().join("traffic.jsonl")).unwrap()[..100_000]));
    let lines = fs::read_to_string(one.path().join("traffic.jsonl")).unwrap().lines().count();
    assert_eq!(lines, 3_000);
}

#[test]
fn minutes_are_simulated_ones_and_the_summary_is_json() {
    let dir = tempfile::tempdir().unwrap();
    let minutes = [
        "simulate",
        "--out",
        "a.jsonl",
        "--minutes",
        "30",
        "--start",
        "2026-07-01T12:00:00Z",
        "--output",
        "json",
    ];
    let (code, log) = run(dir.path(), &minutes);
    assert_eq!(code, Some(0), "{log}");
    let told: Value = serde_json::from_str(log.trim()).unwrap();
    assert_eq!(told["from"], "2026-07-01T12:00:00.000000Z");
    assert!(told["to"].as_str().unwrap() <= "2026-07-01T12:30:00.000000Z");
    assert!(
        told["requests"].as_u64() > Some(200) && told["kinds"]["person"].as_u64() > Some(200),
        "{told:#}"
    );
}

#[test]
fn what_cannot_be_done_is_said_in_a_line() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, code, says) in [
        (["--out", "traffic.txt"].as_slice(), 2, "neither `.jsonl` nor `.har`"),
        (&["--out", "a.jsonl", "--attacks", "ddos"], 2, "`ddos` is no attack"),
        (&["--out", "a.jsonl", "--start", "today"], 2, "2026-03-02T08:00:00Z"),
        (&["--out", "a.jsonl", "--people", "0", "--attacks", "none"], 2, "nobody sends anything"),
        (&["--out", "nowhere/a.jsonl"], 1, "cannot write `nowhere/a.jsonl`"),
        (&["--out", "/dev/full.jsonl/a.jsonl"], 1, "cannot write"),
        (&["--target", "http://192.0.2.1:80"], 2, "loopback only"),
        (&["--target", "http://127.0.0.1:1", "--speed", "0"], 2, "`speed` is a number"),
        (&[], 2, "--out"),
    ] {
        let arguments: Vec<&str> = std::iter::once("simulate").chain(arguments.iter().copied()).collect();
        let (got, log) = run(dir.path(), &arguments);
        assert_eq!(got, Some(code), "{arguments:?}: {log}");
        assert!(
            log.contains(says) && (code == 2 && log.contains("Usage") || log.lines().count() == 1),
            "{log}"
        );
    }
}

#[test]
fn a_full_disk_is_one_error() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", dir.path().join("a.jsonl")).unwrap();
    let (code, log) = run(dir.path(), &["simulate", "--out", "a.jsonl", "--requests", "5000"]);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("a.jsonl") && log.contains("No space left") && log.lines().count() == 1, "{log}");
}

#[test]
fn an_interrupted_file_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(BINARY);
    command.current_dir(dir.path()).args(["simulate", "--out", "a.har", "--requests", "50000000"]);
    let mut process = Process::start("bartizan simulate", &mut command).unwrap();
    let file = dir.path().join("a.har");
    process.wait_until(SECONDS, || fs::metadata(&file).is_ok_and(|file| file.len() > 1_000_000)).unwrap();
    process.signal(Signal::INT).unwrap();
    assert!(process.wait(SECONDS).is_some_and(|status| status.success()), "{}", process.log());
    let har: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let labels = fs::read_to_string(dir.path().join("a.labels.jsonl")).unwrap();
    let entries = har["log"]["entries"].as_array().unwrap().len();
    assert!(entries > 100 && entries == labels.lines().count(), "{entries}");
}

#[test]
fn tokens_of_a_file_verify_by_its_key_set() {
    let dir = tempfile::tempdir().unwrap();
    let start = Timestamp::from_seconds(epoch_seconds().unsigned_abs() - 300).to_string();
    let arguments =
        ["simulate", "--out", "traffic.jsonl", "--requests", "400", "--people", "5000", "--start", &start];
    assert_eq!(
        run(
            dir.path(),
            &[arguments.as_slice(), &["--attacks", "forged_token", "--attack-percent", "40"]].concat()
        )
        .0,
        Some(0)
    );
    let upstream = RawUpstream::echo().unwrap();
    let issuers = "issuers:\n  - { name: bank, issuer: \"https://bank.example\", audiences: [bank], algorithms: [EdDSA], \
                   jwks: file:traffic.jwks.json }\n";
    let identity = "    identity: { accept: [{ jwt: { issuers: [bank] } }], anonymous: deny }\n";
    let text = format!("{issuers}{}", policy(&upstream.url(), identity));
    let gateway = Gateway::with_config(BINARY, &text, |gateway| {
        fs::copy(dir.path().join("traffic.jwks.json"), gateway.join("traffic.jwks.json"))?;
        Ok(())
    })
    .unwrap();
    let read = |file: &str| fs::read_to_string(dir.path().join(file)).unwrap();
    let (traffic, labels) = (read("traffic.jsonl"), read("traffic.labels.jsonl"));
    let (mut people, mut forged) = (0, 0);
    for (line, label) in traffic.lines().zip(labels.lines()) {
        let (line, label): (Value, Value) =
            (serde_json::from_str(line).unwrap(), serde_json::from_str(label).unwrap());
        let fields = line["headers"].as_array().unwrap();
        let Some(field) = fields.iter().find(|field| field[0] == "Authorization") else { continue };
        // Tokens of later than now are not yet valid.
        if line["at"].as_str().unwrap()
            > Timestamp::from_seconds(epoch_seconds().unsigned_abs()).to_string().as_str()
        {
            continue;
        }
        let status =
            gateway.get("/v1/accounts", &[&format!("Authorization: {}", field[1].as_str().unwrap())]).status;
        let is_forged = label["part"] == "attack";
        assert_eq!(status, if is_forged { 401 } else { 200 }, "{label}");
        people += u32::from(!is_forged);
        forged += u32::from(is_forged);
    }
    assert!(people > 10 && forged > 5, "{people} {forged}");
}
