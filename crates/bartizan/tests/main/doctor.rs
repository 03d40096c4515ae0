//! The self-proof on the shipped binary: good policies pass, each way to break enforcement is named, readiness follows, and
//! nothing of it reaches an upstream or is counted.

use std::{fs, path::Path, thread, time::Duration};

use bartizan_testkit::{Gateway, Process, RawUpstream, free_port, gateway::run_to_end, workspace_root};
use serde_json::Value;

use crate::support::{BINARY, with};

const CONTRACT: &str = r#"{"openapi":"3.1.0","info":{"title":"shop","version":"1"},"paths":{
  "/items/{id}":{"get":{"responses":{"200":{"description":"ok"}}},"delete":{"responses":{"204":{"description":"ok"}}}},
  "/orders":{"post":{"responses":{"201":{"description":"ok"}}}},
  "/login":{"post":{"responses":{"200":{"description":"ok"}}}}}}"#;

/// The public half of the key of RFC 7515 appendix A.3, whose private half is printed there.
const PUBLISHED: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a3","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

/// What the README's policy names; in the place of the Core Rule Set a rule that knows what its mount is probed with.
const README_FILES: [(&str, &str); 5] = [
    (
        "openapi/bank.yaml",
        r#"{"openapi":"3.1.0","info":{"title":"bank","version":"1"},"paths":{
  "/accounts/{id}":{"get":{"responses":{"200":{"description":"ok"}}},"delete":{"responses":{"204":{"description":"ok"}}}},
  "/login":{"post":{"responses":{"200":{"description":"ok"}}}}}}"#,
    ),
    (
        "policies/roles.yaml",
        "roles:\n  anonymous: [POST /login]\n  customer: [GET /accounts/*]\n  teller: []\n",
    ),
    ("policies/bank.cedar", "permit (principal in Role::\"teller\", action, resource);\n"),
    ("crs/crs-setup.conf", "SecRuleEngine On\n"),
    (
        "crs/rules/REQUEST-900.conf",
        "SecRule ARGS \"@rx UNION|script|passwd\" \"id:100,phase:2,deny,status:403,log,msg:'An attack'\"\n",
    ),
];

/// A policy with everything in it. Each line stands alone, so that a test can break one.
const GOOD: &str = r#"listeners: [{ address: "$LISTEN" }]
admin: { address: "$ADMIN" }
trusted_proxies: [10.0.0.0/8]
issuers:
  - { name: corp, issuer: "https://id.example.com", audiences: [shop], algorithms: [ES256], jwks: file:jwks.json }
apis:
  - name: shop
    upstream: UPSTREAM
    base_path: /v1
    contract: file:shop.json
    unknown_operations: deny
    mode: enforce
    identity:
      accept: [{ jwt: { issuers: [corp] } }, { api_key: { header: X-API-Key } }]
      anonymous: deny
    guards:
      ip_access: { deny: [203.0.113.0/24] }
      request_limits: { max_body: 1MiB }
      cors: { origins: ["https://app.shop.example"] }
      rate_limit:
        - { name: per-caller, key: principal, rate: 100/s, burst: 200 }
        - { name: per-address, key: ip, rate: 20/s }
    operations:
      - match: POST /login
        identity: { anonymous: allow }
        guards: { rate_limit: [{ name: guesses, key: ip, rate: 5/m }] }
"#;

/// One of its lines, in whose place a test mounts something else.
const REQUEST_LIMITS: &str = "      request_limits: { max_body: 1MiB }\n";

fn good(upstream: &str) -> String {
    GOOD.replace("UPSTREAM", upstream)
}

/// The files that the policy names.
fn files(dir: &Path) {
    fs::write(dir.join("shop.json"), CONTRACT).unwrap();
    let key = bartizan_testkit::Signer::new("one").unwrap();
    fs::write(dir.join("jwks.json"), key.jwks().unwrap()).unwrap();
    fs::write(dir.join("published.json"), PUBLISHED).unwrap();
    let refusing = "SecRule ARGS \"@contains evil\" \"id:1,phase:2,deny,status:403\"\n";
    fs::write(dir.join("refusing.conf"), refusing).unwrap();
    fs::write(dir.join("watching.conf"), format!("SecRuleEngine DetectionOnly\n{refusing}")).unwrap();
    fs::write(dir.join("passing.conf"), refusing.replace("deny,status:403", "pass")).unwrap();
}

fn running(text: &str) -> Gateway {
    Gateway::with_config(BINARY, text, |dir| {
        files(dir);
        Ok(())
    })
    .unwrap()
}

/// `bartizan doctor` in this folder: exit code and what it said.
fn doctor(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let (status, said) = run_to_end(BINARY, dir, &[&["doctor"], arguments].concat()).unwrap();
    (status.code().unwrap(), said)
}

/// `bartizan doctor` about a running gateway.
fn ask(gateway: &Gateway, arguments: &[&str]) -> (i32, String) {
    let state = gateway.state();
    doctor(gateway.dir.path(), &[&["--state", state.to_str().unwrap()], arguments].concat())
}

/// `bartizan doctor --config` about this text.
fn examine(text: &str, arguments: &[&str]) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path());
    let text = text.replace("$LISTEN", "127.0.0.1:8080").replace("$ADMIN", "127.0.0.1:9440");
    fs::write(dir.path().join("bartizan.yaml"), text).unwrap();
    doctor(dir.path(), &[&["--config", "bartizan.yaml"], arguments].concat())
}

fn broken(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(good("http://127.0.0.1:9"), |text, (from, to)| {
        assert!(text.contains(from), "`{from}` is not in the policy");
        text.replacen(from, to, 1)
    })
}

#[test]
fn good_policies_pass_before_they_run_and_while_they_run() {
    let upstream = RawUpstream::echo().unwrap();
    let (code, said) = examine(&good(&upstream.url()), &[]);
    assert_eq!(code, 0, "{said}");
    for guard in [
        "strict ingress",
        "ip_access",
        "request_limits",
        "cors",
        "identity",
        "rate_limit",
        "security_headers",
    ] {
        assert!(said.contains(guard), "{guard} is not in:\n{said}");
    }
    assert!(said.contains("every guard that is to enforce blocks"), "{said}");

    let gateway = running(&good(&upstream.url()));
    let (code, said) = ask(&gateway, &["--output", "json"]);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &report["good"]), (0, &true.into()), "{said}");
    for row in report["apis"][0]["guards"].as_array().unwrap() {
        assert_eq!(row["blocked"], row["hostile"], "{row}");
        assert_eq!(row["passed"], row["benign"], "{row}");
        assert_eq!(row["watched"], 0, "{row}");
    }
    assert!(report["probes"].as_u64().unwrap() > 30, "{said}");
    let quick = Gateway::before(BINARY, &upstream.url(), &[]).unwrap();
    let (code, said) = ask(&quick, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(upstream.connections().is_empty(), "a probe reached the upstream");
}

/// What the documents show is good, word for word but for addresses.
#[test]
fn the_documented_policies_pass() {
    let bank = free_port();
    let mut command = std::process::Command::new(BINARY);
    command.args(["sample", "--fixed", "--listen", &format!("127.0.0.1:{bank}")]);
    let mut sample = Process::start("sample", &mut command).unwrap();
    sample.wait_for_port(bank, Duration::from_secs(20)).unwrap();
    let contract = bartizan_testkit::reply(&bartizan_testkit::raw_request(
        ([127, 0, 0, 1], bank).into(),
        b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        Duration::from_secs(10),
    ));
    assert_eq!(contract.status, 200);
    let page = fs::read_to_string(workspace_root().join("docs/sample-bank.md")).unwrap();
    let policy = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let policy = policy.replace("127.0.0.1:8080", "$LISTEN").replace(":3000", &format!(":{bank}"));
    let prepare = |dir: &Path| Ok(fs::write(dir.join("bank.json"), &contract.body)?);
    let text = format!("admin: {{ address: \"$ADMIN\" }}\n{policy}");
    let gateway = Gateway::with_config(BINARY, &text, prepare).unwrap();
    let (code, said) = ask(&gateway, &[]);
    assert_eq!(code, 0, "{said}");

    let readme = fs::read_to_string(workspace_root().join("README.md")).unwrap();
    let policy = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let apis = policy.find("trusted_proxies").unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in README_FILES {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::write(dir.path().join("bartizan.yaml"), &policy[apis..]).unwrap();
    let (code, said) = doctor(dir.path(), &["--config", "bartizan.yaml"]);
    assert_eq!(code, 0, "{said}");
}

/// One line of the policy at a time: what it is called, and what must be said about it.
#[test]
fn each_way_to_break_enforcement_is_named() {
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (
            &[("[10.0.0.0/8]", "[0.0.0.0/0]")],
            "forged_address",
            &["any client may choose its own address", "bartizan.yaml:3:1"],
        ),
        (&[("[10.0.0.0/8]", "[0.0.0.0/1, 128.0.0.0/1]")], "forged_address", &["x-forwarded-for"]),
        (
            &[("mode: enforce", "mode: monitor")],
            "monitor",
            &["`identity`, `ip_access`", "bartizan.yaml:12:5", "--allow-monitor"],
        ),
        (
            &[("max_body: 1MiB", "max_body: 1MiB, mode: monitor")],
            "monitor",
            &["`request_limits` only watches", "bartizan.yaml:18:41"],
        ),
        (
            &[("anonymous: deny\n", "anonymous: deny\n      mode: off\n")],
            "off",
            &["`identity` is written and off", "bartizan.yaml:16:7"],
        ),
        (
            &[(
                "guards: { rate_limit: [{ name: guesses, key: ip, rate: 5/m }] }",
                "guards: { rate_limit: off }",
            )],
            "off",
            &["`rate_limit`", "POST /login", "bartizan.yaml:26:19"],
        ),
        (
            &[(
                "        guards: { rate_limit: [{ name: guesses, key: ip, rate: 5/m }] }",
                "        mode: monitor",
            )],
            "monitor",
            &["POST /login", "bartizan.yaml:26:9"],
        ),
        (
            &[(
                "        guards: { rate_limit: [{ name: guesses, key: ip, rate: 5/m }] }",
                "        inherit: false",
            )],
            "not_mounted",
            &["`ip_access`", "`rate_limit`", "POST /login"],
        ),
        (
            &[("    operations:\n", "    operations:\n      - { match: \"* /**\", inherit: false }\n")],
            "not_mounted",
            &[
                "`identity`, `rate_limit` are mounted by the API and not",
                "`ip_access`",
                "bartizan.yaml:24:27",
            ],
        ),
        (
            &[("anonymous: deny\n", "anonymous: allow\n")],
            "anonymous",
            &["callers without any pass as anonymous", "bartizan.yaml:15:7"],
        ),
        (
            &[("unknown_operations: deny", "unknown_operations: allow")],
            "unknown_operations",
            &["forwarded without a word", "bartizan.yaml:11:5"],
        ),
        (
            &[("unknown_operations: deny", "unknown_operations: monitor")],
            "monitor",
            &["what neither the contract nor a block names"],
        ),
        (&[("rate: 20/s", "rate: 100000/s")], "limit_never_bites", &["`per-address`", "nobody meets it"]),
        (
            &[(
                "{ name: per-address, key: ip, rate: 20/s }",
                "{ name: per-device, key: header.x-device, rate: 20/s }",
            )],
            "limit_by_choice",
            &["`x-device`, which callers choose"],
        ),
        (&[("deny: [203.0.113.0/24]", "allow: [0.0.0.0/0]")], "allow_everybody", &["keeps nobody out"]),
        (
            &[("    mode: enforce\n", "    allow_override_headers: [X-HTTP-Method-Override]\n")],
            "override_headers",
            &["`x-http-method-override` is let through"],
        ),
        (
            &[("file:jwks.json", "file:published.json")],
            "not_enforced",
            &["RFC 7515 appendix A.3", "200 from the echo", "sign with another key"],
        ),
        (
            &[(REQUEST_LIMITS, "      waf: { rules: [\"file:watching.conf\"] }\n")],
            "nothing_to_enforce",
            &["FINDING", "`SecRuleEngine DetectionOnly`", "bartizan.yaml:18:7"],
        ),
        (
            &[(REQUEST_LIMITS, "      waf: { rules: [\"file:passing.conf\"] }\n")],
            "nothing_to_enforce",
            &["none of the rules of `waf` refuses anything"],
        ),
        (
            &[("max_body: 1MiB", "max_body: 1MiB, max_headers: 0")],
            "benign_refused",
            &["request_limits.headers", "raise `request_limits.max_headers`"],
        ),
    ];
    for (changes, code, said) in cases {
        let (exit, text) = examine(&broken(changes), &[]);
        assert_eq!(exit, 1, "{changes:?}:\n{text}");
        for wanted in [&format!("[{code}]")[..]].iter().chain(*said) {
            assert!(text.contains(wanted), "`{wanted}` is not said of {changes:?}:\n{text}");
        }
    }
    // What cannot even be run is not probed.
    let careless = broken(&[(
        "cors: { origins: [\"https://app.shop.example\"] }",
        "cors: { origins: [\"*\"], credentials: true }",
    )]);
    let (exit, text) = examine(&careless, &[]);
    assert!(exit == 78 && text.contains("act as the signed-in user"), "{exit}: {text}");
    let (exit, _) = examine(&good("http://127.0.0.1:9"), &["--state", "var"]);
    assert_eq!(exit, 2, "two places to look at");
}

#[test]
fn rules_of_ones_own_are_not_called_idle() {
    let own = broken(&[(REQUEST_LIMITS, "      waf: { rules: [\"file:refusing.conf\"] }\n")]);
    let (exit, text) = examine(&own, &[]);
    assert_eq!(exit, 0, "{text}");
    assert!(text.contains("the rules of `waf` are your own") && text.contains("[not_probed]"), "{text}");
    assert!(!text.contains("`waf` is mounted, and its settings refuse nothing"), "{text}");
}

#[test]
fn a_deny_within_an_allow_is_shown_to_hold() {
    let text = broken(&[(
        "deny: [203.0.113.0/24]",
        "allow: [203.0.113.0/24, 192.0.2.0/24], deny: [203.0.113.0/24]",
    )]);
    let (exit, said) = examine(&text, &["--output", "json"]);
    let report: Value = serde_json::from_str(&said).unwrap();
    let row = report["apis"][0]["guards"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["guard"] == "ip_access")
        .unwrap();
    assert_eq!(
        (exit, row["blocked"].as_u64(), row["mode"].as_str()),
        (0, row["hostile"].as_u64(), Some("enforce")),
        "{said}"
    );
}

#[test]
fn findings_are_accepted_by_name_and_errors_never() {
    let monitor = broken(&[("mode: enforce", "mode: monitor")]);
    let (exit, said) = examine(&monitor, &["--allow-monitor"]);
    assert!(exit == 0 && said.contains("accepted"), "{exit}: {said}");
    let allowed = broken(&[("anonymous: deny\n", "anonymous: allow\n")]);
    assert_eq!(examine(&allowed, &["--allow-monitor"]).0, 1);
    assert_eq!(examine(&allowed, &["--allow", "anonymous"]).0, 0);
    let forged = broken(&[("[10.0.0.0/8]", "[0.0.0.0/0]")]);
    assert_eq!(examine(&forged, &["--allow", "forged_address"]).0, 1);
}

#[test]
fn a_running_gateway_is_seen_as_it_runs() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = running(&good(&upstream.url()));
    let state = gateway.state();
    let state = state.to_str().unwrap();
    assert_eq!(ask(&gateway, &[]).0, 0);
    let mode = |arguments: &[&str]| {
        let (status, said) =
            run_to_end(BINARY, gateway.dir.path(), &[&["mode"], arguments, &["--state", state]].concat())
                .unwrap();
        assert!(status.success(), "{said}");
    };
    mode(&["monitor", "--for", "5m", "--reason", "test"]);
    let (exit, said) = ask(&gateway, &[]);
    assert!(
        exit == 1 && said.contains("[break_glass]") && said.contains("break-glass is on until"),
        "{exit}: {said}"
    );
    assert_eq!(ask(&gateway, &["--allow-monitor"]).0, 1, "an emergency is no policy");
    assert_eq!(ready(&gateway).0, 200, "break-glass keeps no traffic away");
    mode(&["enforce"]);
    assert_eq!(ask(&gateway, &[]).0, 0);

    // A reload counts, and the configuration on the disk does not until it is in force.
    let file = gateway.dir.path().join("bartizan.yaml");
    let text = fs::read_to_string(&file).unwrap().replace("mode: enforce", "mode: monitor");
    fs::write(&file, text).unwrap();
    assert_eq!(gateway.ask("POST", "/v1/reload", None).unwrap().status, 200);
    let (exit, said) = ask(&gateway, &[]);
    assert!(exit == 1 && said.contains("[monitor]") && said.contains("bartizan.yaml:12:5"), "{exit}: {said}");

    let watching = Gateway::before(BINARY, &upstream.url(), &["--mode", "monitor"]).unwrap();
    let (exit, said) = ask(&watching, &[]);
    assert!(exit == 1 && said.contains("`request_limits` only watches"), "{exit}: {said}");
    let none = tempfile::tempdir().unwrap();
    let (exit, said) = doctor(none.path(), &["--state", "var"]);
    assert!(exit == 1 && said.contains("no gateway runs") && said.contains("--config"), "{exit}: {said}");
    assert!(upstream.connections().is_empty(), "a probe reached the upstream");
}

/// The answer of `/readyz`.
fn ready(gateway: &Gateway) -> (u16, Value) {
    let answer = gateway.ask("GET", "/readyz", None).unwrap();
    (answer.status, answer.json())
}

#[test]
fn readiness_follows_the_probes_of_the_policy_in_force() {
    let upstream = RawUpstream::echo().unwrap();
    let mut gateway = running(&good(&upstream.url()));
    let (status, body) = ready(&gateway);
    assert_eq!((status, &body["ready"], &body["generation"]), (200, &true.into(), &1.into()), "{body}");
    assert_eq!(body["probes"]["blocked"], body["probes"]["hostile"], "{body}");
    let file = gateway.dir.path().join("bartizan.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let reload = |text: &str| {
        fs::write(&file, text).unwrap();
        let answer = gateway.ask("POST", "/v1/reload", None).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    // An enforced guard that lets through: everybody can sign with this key.
    reload(&text.replace("file:jwks.json", "file:published.json"));
    let (status, problem) = ready(&gateway);
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        status == 503 && detail.contains("`identity`") && detail.contains("RFC 7515"),
        "{status}: {problem}"
    );
    // The policy is in force all the same: what the operator wrote is what decides.
    assert!(gateway.ask("GET", "/v1/status", None).unwrap().json()["generation"].as_u64() >= Some(2));
    let log = gateway.process.shared_log();
    gateway
        .process
        .wait_until(Duration::from_secs(5), || log().contains("a probe failed, the gateway is not ready"))
        .unwrap();
    let reload = |text: &str| {
        fs::write(&file, text).unwrap();
        assert_eq!(gateway.ask("POST", "/v1/reload", None).unwrap().status, 200);
    };
    // A benign request that is refused.
    reload(&text.replace("max_body: 1MiB", "max_headers: 0"));
    let (status, problem) = ready(&gateway);
    assert!(
        status == 503 && problem["detail"].as_str().unwrap().contains("request_limits"),
        "{status}: {problem}"
    );
    // What only watches by policy keeps no traffic away, and is told.
    reload(&text.replace("mode: enforce", "mode: monitor"));
    let (status, body) = ready(&gateway);
    assert!(status == 200 && body["open"].to_string().contains("only watch"), "{status}: {body}");
    reload(
        &text
            .replace("max_body: 1MiB", "max_headers: 0")
            .replace("admin: {", "admin: { readiness_probes: false,"),
    );
    let (status, body) = ready(&gateway);
    assert_eq!((status, body["probes"].as_str()), (200, Some("off")), "{body}");
    reload(&text);
    assert_eq!(ready(&gateway).0, 200);
    assert!(upstream.connections().is_empty(), "a probe reached the upstream");
}

/// Limits of one request an hour, an audit log, metrics, events: a hundred doctors leave all as it was.
#[test]
fn probes_leave_no_trace() {
    let upstream = RawUpstream::echo().unwrap();
    let text = good(&upstream.url())
        .replace("rate: 100/s, burst: 200", "rate: 1/h")
        .replace("rate: 20/s", "rate: 1/h")
        .replace("rate: 5/m", "rate: 1/h");
    let gateway = running(&text);
    let made = gateway.ask("POST", "/v1/keys", Some(&serde_json::json!({ "owner": "shop" }))).unwrap().json();
    let key = format!("X-API-Key: {}", made["secret"].as_str().unwrap());
    thread::sleep(Duration::from_millis(1_200));
    let figures = || {
        let text = gateway.ask("GET", "/metrics", None).unwrap().text();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains("process"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let audit = || fs::read_to_string(gateway.state().join("audit.jsonl")).unwrap_or_default();
    let before = (figures(), audit(), gateway.ask("GET", "/v1/events", None).unwrap().text());
    for _ in 0..5 {
        let (exit, said) = ask(&gateway, &[]);
        assert_eq!(exit, 0, "{said}");
    }
    thread::sleep(Duration::from_millis(500));
    let after = (figures(), audit(), gateway.ask("GET", "/v1/events", None).unwrap().text());
    assert_eq!(before, after);
    assert!(upstream.connections().is_empty(), "a probe reached the upstream");
    let used = gateway.ask("GET", "/v1/keys", None).unwrap().text();
    assert!(!used.contains("probe"), "{used}");

    // Every limit still has its one request, and only that.
    assert_eq!(gateway.get("/v1/items/1", &[&key]).status, 200);
    assert_eq!(gateway.get("/v1/items/1", &[&key]).status, 429);
    assert_eq!(upstream.requests().len(), 1);
}

/// Nothing that a client can send makes it a probe.
#[test]
fn a_request_from_outside_is_never_a_probe() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = with(&format!(
        "listeners: [{{ address: $LISTEN }}]\nadmin: {{ address: $ADMIN }}\ntrusted_proxies: [127.0.0.0/8]\napis:\n  - name: shop\n    upstream: {}\n",
        upstream.url()
    ));
    let imitations = [
        "X-Bartizan-Probe: 1",
        "X-Probe: 1",
        "X-Bartizan-Event: probe",
        "Via: 1.1 bartizan-probe",
        "User-Agent: bartizan-probe",
        "X-Forwarded-For: 192.0.2.1",
        "Forwarded: for=192.0.2.66",
        "X-API-Key: btz_probe",
    ];
    for (count, field) in imitations.iter().enumerate() {
        let answer = gateway.raw(
            format!("GET /bartizan-probe/undeclared HTTP/1.1\r\nHost: probe.invalid\r\n{field}\r\n\r\n")
                .as_bytes(),
        );
        assert_eq!(answer.status, 200, "{field}");
        assert!(!answer.text().contains("\"echo\":true"), "{field}: {}", answer.text());
        assert_eq!(upstream.requests().len(), count + 1, "{field} did not reach the upstream");
    }
    let counted = gateway.ask("GET", "/metrics", None).unwrap().text();
    let requests: f64 = counted
        .lines()
        .filter(|line| line.starts_with("bartizan_requests_total"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert!((requests - imitations.len() as f64).abs() < f64::EPSILON, "{requests}:\n{counted}");
}

#[test]
fn a_drain_waits_for_no_probe() {
    let upstream = RawUpstream::echo().unwrap();
    let mut gateway = running(&good(&upstream.url()));
    assert_eq!(ask(&gateway, &[]).0, 0);
    gateway.process.signal(rustix::process::Signal::TERM).unwrap();
    let status = gateway.process.wait(Duration::from_secs(5)).expect("it drains");
    assert!(status.success(), "{}", gateway.process.log());
}
