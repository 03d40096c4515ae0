//! The first hour: what is wrong in a policy or on the machine is told in one clear error, and nothing starts.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    thread::sleep,
    time::{Duration, Instant},
};

use bartizan_testkit::{RawUpstream, free_port, gateway::run_to_end};

use crate::support::{BINARY, before};

/// `bartizan run --config` with this text must end with 78 and say all of `expected`.
fn refused(text: &str, expected: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let text = text
        .replace("$PORT", &free_port().to_string())
        .replace("$ADMIN", &format!("admin: {{ address: 127.0.0.1:{} }}", free_port()));
    fs::write(dir.path().join("bartizan.yaml"), text).unwrap();
    told(dir.path(), &["run", "--config", "bartizan.yaml"], expected);
}

fn told(dir: &std::path::Path, arguments: &[&str], expected: &[&str]) {
    let (status, output) = run_to_end(BINARY, dir, arguments).unwrap();
    assert_eq!(status.code(), Some(78), "{arguments:?}:\n{output}");
    for words in expected {
        assert!(output.contains(words), "`{words}` is not in:\n{output}");
    }
    assert!(!output.contains("panicked"), "{output}");
}

#[test]
fn the_file_is_missing_or_unreadable() {
    let dir = tempfile::tempdir().unwrap();
    told(dir.path(), &["run", "--config", "absent.yaml"], &["absent.yaml"]);
    fs::create_dir(dir.path().join("folder.yaml")).unwrap();
    told(dir.path(), &["run", "--config", "folder.yaml"], &["folder.yaml"]);
    fs::write(dir.path().join("binary.yaml"), [0xff, 0xfe, 0, 1]).unwrap();
    told(dir.path(), &["run", "--config", "binary.yaml"], &["binary.yaml"]);
    let locked = dir.path().join("locked.yaml");
    fs::write(&locked, "apis: []").unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    told(dir.path(), &["run", "--config", "locked.yaml"], &["error"]);
}

#[test]
fn keys_and_values_are_wrong() {
    refused(
        "apis:\n  - name: shop\n    upstreem: http://127.0.0.1:1\n",
        &["bartizan.yaml:3:5", "upstreem", "upstream"],
    );
    refused(
        "$ADMIN\napis:\n  - name: shop\n    upstream: http://127.0.0.1:1\n    guards: { rate_limit: [{ name: a, key: ip, rate: 20/week }] }\n",
        &["bartizan.yaml:5", "20/week", "20/s"],
    );
    refused("apis: [}\n", &["bartizan.yaml:1"]);
    refused("", &["apis"]);
}

#[test]
fn every_error_is_told_at_once() {
    refused(
        "apis:\n  - name: shop\n    upstream: ftp://127.0.0.1:1\n    colour: red\n  - name: shop2\n    upstream: http://127.0.0.1:1\n    mode: maybe\n",
        &["ftp", "colour", "maybe"],
    );
}

#[test]
fn the_upstream_has_the_wrong_scheme() {
    let dir = tempfile::tempdir().unwrap();
    told(dir.path(), &["run", "--upstream", "ftp://127.0.0.1:21"], &["ftp", "http"]);
    told(dir.path(), &["run", "--upstream", "localhost:3000"], &["http"]);
}

#[test]
fn features_to_come_are_refused_by_name() {
    refused(
        "storage: memory\nshared_state: redis://127.0.0.1\napis: [{ name: a, upstream: \"http://127.0.0.1:1\" }]\n",
        &["redis"],
    );
}

#[test]
fn a_port_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let admin = format!("127.0.0.1:{}", free_port());
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["run", "--upstream", "http://127.0.0.1:1", "--listen", &address, "--admin", &admin];
    told(dir.path(), &arguments, &[&address]);
}

#[test]
fn a_certificate_is_bad_or_absent() {
    let text = "listeners: [{ address: 127.0.0.1:$PORT, tls: { certificates: [{ cert: \"file:c.pem\", key: \"file:k.pem\" }] } }]\n$ADMIN\napis: [{ name: a, upstream: \"http://127.0.0.1:1\" }]\n";
    refused(text, &["c.pem"]);
    let dir = tempfile::tempdir().unwrap();
    let text = text
        .replace("$PORT", &free_port().to_string())
        .replace("$ADMIN", &format!("admin: {{ address: 127.0.0.1:{} }}", free_port()));
    fs::write(dir.path().join("bartizan.yaml"), text).unwrap();
    fs::write(dir.path().join("c.pem"), "no certificate").unwrap();
    fs::write(dir.path().join("k.pem"), "no key").unwrap();
    told(dir.path(), &["run", "--config", "bartizan.yaml"], &["c.pem"]);
}

#[test]
fn a_secret_in_the_policy_is_refused_and_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let text = "issuers: [{ name: a, issuer: \"https://a\", audiences: [a], algorithms: [HS256], secret: hunter2hunter2 }]\napis: [{ name: a, upstream: \"http://127.0.0.1:1\" }]\n";
    fs::write(dir.path().join("bartizan.yaml"), text).unwrap();
    let (status, output) = run_to_end(BINARY, dir.path(), &["check", "--config", "bartizan.yaml"]).unwrap();
    assert_eq!(status.code(), Some(78), "{output}");
    assert!(output.contains("env:") && !output.contains("hunter2"), "{output}");
}

#[test]
fn usage_errors_are_2() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [&["rum"][..], &["run", "--upstream"], &["run", "--lisden", "x"]] {
        let (status, output) = run_to_end(BINARY, dir.path(), arguments).unwrap();
        assert_eq!(status.code(), Some(2), "{arguments:?}: {output}");
    }
    // What would be ignored beside a configuration is refused: whoever writes it relies on it.
    for flag in [
        ["--mode", "monitor"],
        ["--state", "elsewhere"],
        ["--listen", "127.0.0.1:1"],
        ["--admin", "127.0.0.1:1"],
        ["--profile", "strict"],
        ["--contract", "openapi.json"],
        ["--crs", "rules"],
    ] {
        let arguments = ["run", "--config", "bartizan.yaml", flag[0], flag[1]];
        let (status, text) = run_to_end(BINARY, dir.path(), &arguments).unwrap();
        assert_eq!(status.code(), Some(2), "{flag:?}: {text}");
        assert!(text.contains(flag[0]), "{text}");
    }
}

#[test]
fn one_command_protects_and_says_how() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = before(&upstream.url());
    assert_eq!(gateway.get("/items/1", &[]).status, 200);
    let address = gateway.address.to_string();
    let deadline = Instant::now() + Duration::from_secs(5);
    let says = |words: &str| {
        while !gateway.process.log().contains(words) {
            assert!(Instant::now() < deadline, "it does not say `{words}`:\n{}", gateway.process.log());
            sleep(Duration::from_millis(20));
        }
    };
    says(&address);
    says("protected");
    let two_hosts = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
    let refusal = gateway.raw(two_hosts);
    assert_eq!(refusal.status, 400);
    assert_eq!(refusal.header("content-type"), Some("application/problem+json"));
}
