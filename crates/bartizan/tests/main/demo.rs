//! `bartizan demo` as a process: what it shows, what it counts, and that nothing of it stays.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bartizan_testkit::{Process, free_port, process::loopback, raw_request, reply};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{BINARY, installed};

/// For a demo to put up its stage in a debug build on a busy machine.
const START: Duration = Duration::from_secs(40);
const SECONDS: Duration = Duration::from_secs(10);

/// A demo that keeps its temporary files in `dir`, so that what it leaves there is seen.
fn demo(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("demo").args(args).env("TMPDIR", dir).env_remove("NO_COLOR");
    command
}

/// The outcome of a short demo, and that it ended as it should.
fn outcome(args: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let output = demo(dir.path(), &[args, &["--output", "json"]].concat()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert_eq!(left(dir.path()), Vec::<String>::new(), "nothing is left behind");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn left(dir: &Path) -> Vec<String> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_short_demo_stops_attacks_and_harms_nobody() {
    let told = outcome(&["--minutes", "0.2", "--seed", "7"]);
    let people = &told["people"];
    assert!(people["sent"].as_u64().unwrap() > 20, "{told}");
    assert_eq!(people["succeeded"], people["sent"], "{told}");
    assert!(told["attacks"]["stopped"].as_u64().unwrap() > 20, "{told}");
    assert!(told["first_stop_seconds"].as_f64().unwrap() < 3.0, "{told}");
    for kind in [
        "account_enumeration",
        "record_enumeration",
        "tenant_switch",
        "sql_injection",
        "anonymous_access",
        "forgotten_endpoint",
        "forged_token",
        "oversized_head",
    ] {
        let tally = &told["by_kind"][kind];
        assert_eq!(tally["stopped"], tally["tried"], "{kind}: {told}");
    }
    // What no guard stops is said to get through.
    assert!(told["by_kind"]["credential_stuffing"]["through"].as_u64().unwrap() > 0, "{told}");
}

#[test]
fn without_attacks_nothing_is_refused() {
    let told = outcome(&["--minutes", "0.15", "--no-attacks"]);
    assert_eq!(told["people"]["succeeded"], told["people"]["sent"], "{told}");
    assert_eq!(
        (&told["reasons"], &told["attacks"]["tried"]),
        (&serde_json::json!({}), &serde_json::json!(0))
    );
}

#[test]
fn lines_lead_to_an_explanation_and_to_metrics_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let listen = loopback(port).to_string();
    let mut process = Process::start("demo", &mut demo(dir.path(), &["--listen", &listen])).unwrap();
    let log = wait_for(&process, |log| log.contains(", event "));
    assert!(!log.contains('\u{1b}'), "no escape codes: {log:?}");
    let after = |word: &str| log.lines().find_map(|line| line.strip_prefix(word)).unwrap().trim().to_owned();
    let command = after("explanation");
    let event = log.split(", event ").nth(1).unwrap().split_whitespace().next().unwrap();
    let words: Vec<&str> =
        command.split(' ').map(|word| if word == "EVENT" { event } else { word }).collect();
    let why = Command::new(words[0]).args(&words[1..]).output().unwrap();
    let told = String::from_utf8_lossy(&why.stdout);
    assert!(why.status.success() && told.contains(event) && told.contains("Findings"), "{told}");
    let url = after("metrics").split("http://").nth(1).unwrap().to_owned();
    let admin: std::net::SocketAddr = url.split('/').next().unwrap().parse().unwrap();
    let ask = b"GET /metrics HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n";
    let metrics = reply(&raw_request(admin, ask, SECONDS)).text();
    assert!(metrics.contains("bartizan_refusals_total"), "{metrics}");
    // Anybody may try: the bank is protected from this address too.
    let ask = b"GET /v1/accounts HTTP/1.1\r\nHost: bank\r\nConnection: close\r\n\r\n";
    assert_eq!(reply(&raw_request(loopback(port), ask, SECONDS)).status, 401);
    // The log and the database beside the policy change all the time: a saved change is noticed all the same.
    let policy = after("policy ");
    let text = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, text.replace("rate: 20/s", "rate: 21/s")).unwrap();
    wait_for(&process, |log| log.contains("is in force"));
    ended(&mut process, Signal::INT);
    assert!(process.log().contains("Where to look next"), "{}", process.log());
    assert_eq!(left(dir.path()), Vec::<String>::new());
    assert!(TcpListener::bind(loopback(port)).is_ok(), "the port is free again");
}

/// What the process has printed, once it has what is waited for.
fn wait_for(process: &Process, has: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + START;
    loop {
        let log = process.log();
        if has(&log) {
            return log;
        }
        assert!(Instant::now() < deadline, "{log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ends within five seconds, as it should.
fn ended(process: &mut Process, signal: Signal) {
    let asked = Instant::now();
    process.signal(signal).unwrap();
    let status = process.wait(SECONDS);
    assert!(status.is_some_and(|status| status.success()), "{status:?} {}", process.log());
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[test]
fn a_terminal_shows_the_view_and_is_given_back() {
    let Some(mut script) = installed("script") else { return };
    let dir = tempfile::tempdir().unwrap();
    let command = format!("stty cols 80 rows 24; {BINARY} demo");
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
    script
        .env("TMPDIR", dir.path())
        .env("TERM", "xterm-256color")
        .env("LC_ALL", "C.UTF-8")
        .env("SHELL", "/bin/sh");
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keys, mut shown) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut text = Vec::new();
    let seen = |text: &[u8], what: &str| String::from_utf8_lossy(text).contains(what);
    let (mut part, mut asked) = ([0; 4096], false);
    while let Some(count) = shown.read(&mut part).ok().filter(|&count| count > 0) {
        text.extend_from_slice(&part[..count]);
        // A refusal is shown: enough was seen.
        if !asked && seen(&text, "identity.missing") {
            keys.write_all(b"q").unwrap();
            asked = true;
        }
    }
    let status = child.wait().unwrap();
    let text = String::from_utf8_lossy(&text);
    assert!(asked && status.success(), "{status} {text:?}");
    let (view, after) = text.split_once("\u{1b}[?1049l").expect("the alternate screen is left");
    assert!(view.contains("\u{1b}[?1049h") && after.contains("\u{1b}[?25h"), "the cursor is back: {after:?}");
    assert!(after.contains("The demo ended after") && after.contains("Where to look next"), "{after}");
    assert_eq!(left(dir.path()), Vec::<String>::new());
}

#[test]
fn a_policy_of_ones_own_is_used_and_a_saved_change_is_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("mine.yaml");
    let print = Command::new(BINARY).args(["demo", "--print-policy"]).output().unwrap();
    let text = String::from_utf8(print.stdout).unwrap();
    fs::write(&policy, &text).unwrap();
    let state = dir.path().join("kept");
    let args = ["--policy", policy.to_str().unwrap(), "--state", state.to_str().unwrap(), "--no-attacks"];
    let mut process = Process::start("demo", &mut demo(dir.path(), &args)).unwrap();
    wait_for(&process, |log| log.contains("requests/s"));
    fs::write(&policy, text.replace("rate: 20/s", "rate: 21/s")).unwrap();
    wait_for(&process, |log| log.contains("is in force"));
    fs::write(&policy, "apis: [{ nam: bank }]\n").unwrap();
    wait_for(&process, |log| log.contains("the newest configuration was refused"));
    let second = demo(dir.path(), &args).output().unwrap();
    assert_eq!(second.status.code(), Some(78), "one gateway at a time uses a directory");
    assert!(String::from_utf8_lossy(&second.stderr).contains("another gateway uses"));
    ended(&mut process, Signal::TERM);
    let mut kept = left(dir.path());
    kept.sort();
    assert_eq!(kept, ["kept", "mine.yaml"], "what was asked for is kept, and nothing else");
    assert!(state.join("audit.jsonl").exists() && state.join("bartizan.db").exists());
}

#[test]
fn what_cannot_be_used_is_told_before_anything_begins() {
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("mine.yaml");
    let taken = TcpListener::bind(loopback(0)).unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let file = policy.to_str().unwrap();
    let shop = "apis: [{ name: shop, upstream: \"${BANK}\" }]\n";
    let untrusted = "trusted_proxies: [10.0.0.1]\nlisteners: [{ address: \"${TRAFFIC}\", proxy_protocol: true }]\n\
                     apis: [{ name: shop, upstream: \"${BANK}\" }]\n";
    for (text, args, code, told) in [
        ("apis: [{ nam: shop }]\n", vec!["--policy", file], 78, "mine.yaml:1"),
        (shop, vec!["--policy", file], 78, "proxy_protocol: true"),
        (untrusted, vec!["--policy", file], 78, "trusted_proxies: [127.0.0.1]"),
        (
            "listeners: [{ address: 0.0.0.0:8080 }]\napis: [{ name: a, upstream: \"${BANK}\" }]\n",
            vec!["--policy", file],
            78,
            "loopback only",
        ),
        (shop, vec!["--policy", "absent.yaml"], 78, "does not exist"),
        (shop, vec!["--listen", &taken], 78, "another process listens there"),
        (shop, vec!["--listen", "0.0.0.0:8080"], 78, "loopback only"),
        (shop, vec!["--minutes", "0"], 2, "above 0"),
    ] {
        fs::write(&policy, text).unwrap();
        let output = demo(dir.path(), &args).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?} {error}");
        assert!(error.contains(told), "{args:?} {error}");
        assert_eq!(left(dir.path()), ["mine.yaml"], "{args:?}");
    }
}
