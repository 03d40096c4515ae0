//! `bartizan explain` and `bartizan why`: what they say is so, and what they advise helps.

use std::path::Path;

use bartizan_testkit::{Gateway, RawUpstream, gateway::run_to_end};
use serde_json::Value;

use crate::support::BINARY;

const POLICY: &str = "listeners: [{ address: $LISTEN }]
admin: { address: $ADMIN }
trusted_proxies: [127.0.0.0/8]
issuers:
  - { name: corp, issuer: 'https://issuer.example', audiences: [shop], algorithms: [HS256], secret: 'file:secret' }
apis:
  - name: shop
    upstream: UPSTREAM
    unknown_operations: deny
    identity: { accept: [{ jwt: { issuers: [corp] } }] }
    guards:
      ip_access: { deny: [203.0.113.0/24] }
      request_limits: { max_body: 1KiB, max_query_bytes: 20B, methods: [GET, POST] }
      rate_limit: [{ name: few, key: ip, rate: 1/d }]
    operations:
      - match: GET /items/{id}
";

fn gateway(upstream: &RawUpstream) -> Gateway {
    let policy = POLICY.replace("UPSTREAM", &format!("http://{}", upstream.address));
    Gateway::with_config(BINARY, &policy, |dir| Ok(std::fs::write(dir.join("secret"), "s".repeat(40))?))
        .unwrap()
}

/// Exit status and output of a command in the gateway's folder.
fn run(dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let (status, log) = run_to_end(BINARY, dir, arguments).unwrap();
    (status.code(), log)
}

/// The answer of `explain` for a request, with the policy's text.
fn asked(dir: &Path, policy: &str, request: &str) -> (Value, String) {
    std::fs::write(dir.join("asked.yaml"), policy).unwrap();
    std::fs::write(dir.join("request.http"), request).unwrap();
    let arguments = ["explain", "request.http", "--config", "asked.yaml"];
    let (_, told) = run(dir, &[&arguments[..], &["--output", "json"]].concat());
    let json = told.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{told}"));
    (serde_json::from_str(json).unwrap(), run(dir, &arguments).1)
}

/// The lines of YAML that a screen advises, laid into the policy's only API.
fn advised(policy: &str, screen: &str) -> String {
    let advice = screen.split("the policy:").nth(1).unwrap_or_else(|| panic!("{screen}"));
    let lines: Vec<&str> = advice.lines().skip(1).take_while(|line| line.starts_with("      ")).collect();
    assert!(!lines.is_empty(), "{screen}");
    let (mut policy, mut operations) = (policy.to_owned(), Vec::new());
    for line in lines {
        match line.strip_prefix("      ").unwrap() {
            "operations:" => {}
            block if block.starts_with("  ") => operations.push(format!("    {block}")),
            setting => {
                policy = policy.replace("    operations:\n", &format!("    {setting}\n    operations:\n"))
            }
        }
    }
    // The block takes the place of one that matches the same.
    let same = operations.first().is_some_and(|first| policy.contains(&format!("{first}\n")));
    if same {
        operations.remove(0);
    }
    format!("{policy}{}\n", operations.join("\n"))
}

#[test]
fn what_is_advised_lets_the_request_pass() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("secret"), "s".repeat(40)).unwrap();
    let policy = POLICY
        .replace("$LISTEN", "'127.0.0.1:1'")
        .replace("$ADMIN", "'127.0.0.1:2'")
        .replace("UPSTREAM", "http://127.0.0.1:3");
    let open = policy.replace("issuers: [corp] } }] }", "issuers: [corp] } }], anonymous: allow }");
    let host = "Host: shop.example\r\n";
    for (policy, request, reason) in [
        (&policy, format!("GET /items/4 HTTP/1.1\r\n{host}\r\n"), "identity.missing"),
        (&open, format!("GET /carts/4 HTTP/1.1\r\n{host}\r\n"), "route.unknown_operation"),
        (
            &open,
            format!("GET /items/4?long=123456789012345678901234567890 HTTP/1.1\r\n{host}\r\n"),
            "request_limits.query",
        ),
        (
            &open,
            format!("GET /items/4 HTTP/1.1\r\n{host}Content-Length: 5000\r\n\r\n"),
            "request_limits.body",
        ),
        (&open, format!("DELETE /items/4 HTTP/1.1\r\n{host}\r\n"), "request_limits.method"),
        (&open, format!("GET /items/a%2Fb HTTP/1.1\r\n{host}\r\n"), "ingress.path_encoded_slash"),
    ] {
        let (told, screen) = asked(dir.path(), policy, &request);
        assert_eq!(told["reason"], reason, "{told}");
        assert!(screen.contains("would be ") && screen.contains(reason), "{screen}");
        let better = advised(policy, &screen);
        let (told, screen) = asked(dir.path(), &better, &request);
        assert_eq!(told["verdict"], "allow", "{reason}: {screen}\n{better}");
        assert!(screen.contains("would be let through"), "{screen}");
    }
}

#[test]
fn a_question_names_the_place_and_a_wrong_file_its_line() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("secret"), "s".repeat(40)).unwrap();
    let policy = POLICY
        .replace("$LISTEN", "'127.0.0.1:1'")
        .replace("$ADMIN", "'127.0.0.1:2'")
        .replace("UPSTREAM", "http://127.0.0.1:3");
    let (told, screen) = asked(dir.path(), &policy, "GET /items/4 HTTP/1.1\nHost: shop.example\n");
    assert_eq!(told["place"], "asked.yaml:10:5");
    assert!(screen.contains("policy      asked.yaml:10:5"), "{screen}");
    for (text, error) in [
        ("", "line 1: there is nothing"),
        ("\n\n{\"log\": {}}", "line 3: this is JSON"),
        ("> GET / HTTP/1.1\n", "line 1: this is what `curl -v` tells"),
        ("HTTP/1.1 200 OK\n", "line 1: this is a response"),
        ("hello\n", "line 1: this is no request line"),
    ] {
        std::fs::write(dir.path().join("request.http"), text).unwrap();
        let (code, told) = run(dir.path(), &["explain", "request.http", "--config", "asked.yaml"]);
        assert!(code == Some(1) && told.contains(error) && told.contains("GET /accounts HTTP/1.1"), "{told}");
        assert_eq!(told.lines().filter(|line| line.starts_with("error")).count(), 1, "{told}");
    }
    let (code, told) = run(dir.path(), &["explain", "absent.http", "--config", "asked.yaml"]);
    assert!(code == Some(1) && told.contains("cannot read `absent.http`"), "{told}");
}

#[test]
fn refusals_are_found_by_last_list_and_the_end_of_their_id() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = gateway(&upstream);
    let dir = gateway.dir.path();
    let (code, told) = run(dir, &["why", "--last", "--config", "bartizan.yaml"]);
    assert!(code == Some(1) && told.contains("nothing was refused"), "{told}");
    assert_eq!(gateway.get("/items/1", &["X-Forwarded-For: 203.0.113.9"]).status, 403);
    assert_eq!(gateway.get("/items/1", &["X-Forwarded-For: 198.51.100.1"]).status, 401);
    assert_eq!(gateway.get("/items/1", &["X-Forwarded-For: 198.51.100.1"]).status, 429);

    let (code, told) = run(dir, &["why", "--last", "--config", "bartizan.yaml"]);
    assert_eq!(code, Some(0), "{told}");
    for part in [
        "A client at 198.51.100.1 asked for GET /items/{number}",
        "429",
        "limit `few` of `api:shop`",
        "bartizan.yaml:14:7",
    ] {
        assert!(told.contains(part), "`{part}` is missing in:\n{told}");
    }
    let (_, list) = run(dir, &["why", "--list", "--state", "var"]);
    let reasons: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().nth(3)).collect();
    assert_eq!(
        reasons,
        ["rate_limit.exceeded", "identity.missing", "ip_access.denied"],
        "the newest first: {list}"
    );
    let (_, one) = run(dir, &["why", "--list", "1", "--state", "var"]);
    assert_eq!(one.lines().count(), 1, "{one}");
    let end = list.lines().last().unwrap().split_whitespace().next().unwrap();
    let (code, told) = run(dir, &["why", end, "--config", "bartizan.yaml"]);
    assert!(code == Some(0) && told.contains("203.0.113.9") && told.contains("bartizan.yaml:12:7"), "{told}");
    let (code, json) = run(dir, &["why", "--list", "2", "--output", "json", "--state", "var"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, json["events"].as_array().unwrap().len()), (Some(0), 2));
    assert_eq!(run(dir, &["why", "--list", "1001", "--state", "var"]).0, Some(2));
    assert_eq!(run(dir, &["why", "--state", "var"]).0, Some(2), "which one is for the user to say");
}

#[test]
fn a_gateway_that_keeps_nothing_on_disk_is_asked_itself() {
    let upstream = RawUpstream::echo().unwrap();
    let policy =
        format!("storage: memory\n{}", POLICY.replace("UPSTREAM", &format!("http://{}", upstream.address)));
    let gateway =
        Gateway::with_config(BINARY, &policy, |dir| Ok(std::fs::write(dir.join("secret"), "s".repeat(40))?))
            .unwrap();
    assert_eq!(gateway.get("/items/1", &["X-Forwarded-For: 203.0.113.9"]).status, 403);
    assert_eq!(gateway.get("/items/1", &["X-Forwarded-For: 198.51.100.1"]).status, 401);
    let (code, list) = run(gateway.dir.path(), &["why", "--list", "--config", "bartizan.yaml"]);
    assert_eq!((code, list.lines().count()), (Some(0), 2), "{list}");
    assert!(list.lines().next().unwrap().contains("identity.missing"), "{list}");
}

/// `docs/explain.md` names every member of the answer, and no other.
#[test]
fn the_answer_has_the_documented_members() {
    let manual = include_str!("../../../../docs/explain.md");
    let documented: Vec<&str> =
        manual.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("secret"), "s".repeat(40)).unwrap();
    let policy = POLICY
        .replace("$LISTEN", "'127.0.0.1:1'")
        .replace("$ADMIN", "'127.0.0.1:2'")
        .replace("UPSTREAM", "http://127.0.0.1:3");
    for path in ["/items/4", "/unknown"] {
        let (told, _) = asked(dir.path(), &policy, &format!("GET {path} HTTP/1.1\nHost: shop.example\n"));
        assert_eq!(told.as_object().unwrap().keys().collect::<Vec<_>>(), documented);
    }
    let (told, _) = asked(dir.path(), &policy, "GET /items/4 HTTP/1.1\nHost: a\nHost: b\n");
    assert!(told.as_object().unwrap().keys().all(|member| documented.contains(&member.as_str())), "{told}");
}

/// What only the gateway that runs knows: its bans, and keys that were issued.
#[test]
fn the_gateway_that_runs_is_asked_with_what_it_knows() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = gateway(&upstream);
    let dir = gateway.dir.path();
    let ask = |address: &str, more: &[&str]| {
        let request = format!("GET /items/1 HTTP/1.1\nHost: shop.example\nX-Forwarded-For: {address}\n");
        std::fs::write(dir.join("request.http"), request).unwrap();
        run(dir, &[&["explain", "--running", "request.http"], more].concat())
    };
    let (code, told) = ask("203.0.113.9", &[]);
    assert!(
        code == Some(1) && told.contains("ip_access.denied") && told.contains("bartizan.yaml:12:7"),
        "{told}"
    );
    for _ in 0..3 {
        let (_, told) = ask("198.51.100.7", &["--state", "var"]);
        assert!(told.contains("identity.missing"), "a question does not count: {told}");
    }
    assert_eq!(
        run(dir, &["ban", "198.51.100.7", "--reason", "test", "--config", "bartizan.yaml"]).0,
        Some(0)
    );
    let (code, told) = ask("198.51.100.7", &[]);
    assert!(code == Some(1) && told.contains("`bartizan unban 198.51.100.7`"), "{told}");
    std::fs::write(dir.join("request.http"), "{}").unwrap();
    let (_, told) = run(dir, &["explain", "--running", "request.http"]);
    assert!(told.contains("`request.http`, line 1: this is JSON"), "{told}");
    let (code, told) = run(dir, &["explain", "--running", "--state", "absent", "request.http"]);
    assert!(code == Some(1) && told.contains("no gateway runs on the state directory `absent`"), "{told}");
}

/// Whatever a guard can refuse with, the screen knows a change: of the client, of the policy, or a command.
#[test]
fn every_reason_has_a_change() {
    for guard in bartizan_guards::REGISTRY {
        for reason in guard.reasons {
            let event = serde_json::json!({
                "client": "203.0.113.9", "operation": "GET /a", "method": "GET", "path": "/a", "reason": reason.code,
            });
            // What the guard advises itself is not there: these words are the screen's own, or the guard's remedy is taken.
            let finding =
                serde_json::json!({ "code": reason.code, "detail": "7 of 5", "remedy": "as the guard says" });
            let change = bartizan_telemetry::narrowest(&event, &finding);
            assert_ne!(change, bartizan_telemetry::Change::default(), "{}", reason.code);
        }
    }
}
