//! API keys, second factors and session cookies on a running gateway: what they may do, and what a thief of the database gets.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::hmac;
use bartizan_testkit::{Ca, Gateway, RawUpstream, Reply, Step};
use serde_json::{Value, json};

use crate::support::{BINARY, curl, output, policy, with};

/// Within this, a change by the command line is in force.
const IN_FORCE: Duration = Duration::from_secs(1);

const CODE: &str = "X-Bartizan-TOTP";

fn bartizan(gateway: &Gateway, arguments: &[&str]) -> Value {
    let mut command = Command::new(BINARY);
    command.args(arguments).args(["--output", "json", "--state"]).arg(gateway.state());
    let text = output(command.current_dir(gateway.dir.path()));
    serde_json::from_str(&text).expect(&text)
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer}: {value}")).to_owned()
}

/// Whole text and public id of a new key.
fn key(gateway: &Gateway, more: &[&str]) -> (String, String) {
    let made = bartizan(gateway, &[&["keys", "create", "--owner", "billing"], more].concat());
    (text(&made, "/secret"), text(&made, "/key/id"))
}

fn get(gateway: &Gateway, target: &str, key: &str, more: &[String]) -> Reply {
    let mut lines = vec![format!("X-API-Key: {key}"), "User-Agent: tests/1".to_owned()];
    lines.extend_from_slice(more);
    gateway.get(target, &lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Waits until this is so.
fn until(what: &str, mut so: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < Duration::from_secs(8), "not so: {what}");
        thread::sleep(Duration::from_millis(20));
    }
    begin.elapsed()
}

/// What an authenticator app shows after `steps` more steps, by the secret of its URI.
fn code(secret: &str, steps: u64) -> String {
    let mut bits = 0_u64;
    let (mut count, mut bytes) = (0, Vec::new());
    for digit in secret.bytes() {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|b| *b == digit).unwrap();
        bits = bits << 5 | value as u64;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    let tag = hmac::sign(&key, &(now / 30 + steps).to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 15);
    let value = u32::from_be_bytes(tag[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", value % 1_000_000)
}

/// Waits for a step of codes that has some seconds left.
fn early_in_a_step() {
    until("early in a step of 30 s", || {
        let second = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 30;
        second < 22
    });
}

#[test]
fn holders_of_keys_show_codes() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = with(&policy(
        &upstream.url(),
        "    identity: { accept: [api_key] }\n    operations:\n      - match: GET /transfers\n        guards: { step_up: {} }\n",
    ));
    let (secret, _) = key(&gateway, &[]);
    until("the key is known", || get(&gateway, "/x", &secret, &[]).status == 200);
    let missing = get(&gateway, "/transfers", &secret, &[]);
    assert_eq!(missing.status, 401);
    assert!(missing.text().contains("urn:bartizan:problem:step_up.not_enrolled"), "{}", missing.text());

    let enrolled = bartizan(&gateway, &["mfa", "enroll", "billing"]);
    let app = text(&enrolled, "/secret");
    assert!(text(&enrolled, "/uri").contains(&format!("secret={app}&issuer=Bartizan")));
    let asked = until("the factor is known", || {
        get(&gateway, "/transfers", &secret, &[]).text().contains("problem:step_up.required")
    });
    assert!(asked < IN_FORCE, "{asked:?}");
    let challenge = get(&gateway, "/transfers", &secret, &[]);
    assert_eq!(challenge.header("www-authenticate"), Some("TOTP realm=\"shop\", header=\"X-Bartizan-TOTP\""));
    assert_eq!(challenge.header("x-bartizan-step-up"), Some("totp"));

    early_in_a_step();
    let shown = [format!("{CODE}: {}", code(&app, 0))];
    upstream.clear();
    let passed = get(&gateway, "/transfers", &secret, &shown);
    assert_eq!(passed.status, 200, "{}", passed.text());
    let sent = upstream.requests().pop().unwrap();
    assert!(sent.header(CODE).is_empty() && sent.header("x-api-key").is_empty(), "{}", sent.text());
    let again = get(&gateway, "/transfers", &secret, &shown);
    assert!(again.text().contains("problem:step_up.code_replayed"), "{}", again.text());

    // What was taken stays taken over a restart, also one without a farewell.
    thread::sleep(Duration::from_millis(700));
    let listed = bartizan(&gateway, &["mfa", "list"]);
    assert_eq!(text(&listed, "/factors/0/owner"), "billing");
    assert!(listed.pointer("/factors/0/last_used").is_some_and(Value::is_string), "{listed}");

    bartizan(&gateway, &["mfa", "revoke", "billing"]);
    let gone = until("the factor is gone", || {
        get(&gateway, "/transfers", &secret, &[]).text().contains("step_up.not_enrolled")
    });
    assert!(gone < IN_FORCE, "{gone:?}");
    // The admin API does the same.
    let asked = json!({ "owner": "billing", "hash": "sha256" });
    let answer = gateway.ask("POST", "/v1/factors", Some(&asked)).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(gateway.ask("POST", "/v1/factors", Some(&asked)).unwrap().status, 409);
    let listed = gateway.ask("GET", "/v1/factors", None).unwrap().text();
    assert!(
        listed.contains("sha256") && !listed.contains("sealed") && !listed.contains("otpauth"),
        "{listed}"
    );
    let revoked = gateway.ask("POST", "/v1/factors/revoke", Some(&json!({ "owner": "billing" }))).unwrap();
    assert_eq!(revoked.status, 200);
    thread::sleep(Duration::from_millis(500));
    let changes = gateway.ask("GET", "/v1/changes", None).unwrap().text();
    for code in ["mfa.enrolled", "mfa.revoked", "key.created", "command-line", "admin-token"] {
        assert!(changes.contains(code), "`{code}` is not in {changes}");
    }
}

#[test]
fn a_dump_of_the_database_opens_nothing() {
    let cookie = "s3ss10n-0f-4l1c3-kq7w";
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: sid={cookie}\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    let upstream = RawUpstream::scripted(vec![Step::Send(answer.into_bytes())]).unwrap();
    let gateway = with(&policy(
        &upstream.url(),
        "    identity: { accept: [api_key] }\n    guards: { session: { cookies: [sid] }, step_up: { valid_for: 1m } }\n",
    ));
    let (first, id) = key(&gateway, &["--scope", "read"]);
    let rotated = bartizan(&gateway, &["keys", "rotate", &id]);
    let second = text(&rotated, "/secret");
    let made = gateway.ask("POST", "/v1/keys", Some(&json!({ "owner": "billing" }))).unwrap();
    let third = text(&serde_json::from_slice(&made.body).unwrap(), "/secret");
    let app = text(&bartizan(&gateway, &["mfa", "enroll", "billing"]), "/secret");
    until("the keys are known", || get(&gateway, "/x", &second, &[]).text().contains("step_up.required"));
    early_in_a_step();
    let shown = code(&app, 0);
    assert_eq!(get(&gateway, "/x", &first, &[format!("{CODE}: {shown}")]).status, 200);
    let sent = [format!("Cookie: sid={cookie}")];
    assert_eq!(get(&gateway, "/x", &first, &sent).status, 200);
    let bearer = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.c2lnbmF0dXJl";
    let refused = gateway.get("/x", &[&format!("Authorization: Bearer {bearer}")]);
    assert_eq!(refused.status, 401);
    for url in [format!("/x?k={first}"), format!("/x/{second}")] {
        assert_eq!(get(&gateway, &url, &third, &[]).status, 400, "a key in the URL");
    }
    // Uses and events are written within some seconds.
    until("events are stored", || {
        gateway.ask("GET", "/v1/events", None).unwrap().text().contains("key_in_path")
    });
    thread::sleep(Duration::from_secs(1));
    let mut dump = Vec::new();
    let mut files = 0;
    for entry in fs::read_dir(gateway.state()).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with("bartizan.db") || name.starts_with("audit") {
            dump.extend(fs::read(entry.path()).unwrap());
            files += 1;
        }
    }
    assert!(files >= 2 && dump.len() > 10_000, "{files} files, {} bytes", dump.len());
    let holds = |what: &[u8]| dump.windows(what.len()).any(|part| part == what);
    assert!(holds(id.as_bytes()), "public ids are in it, or this looks at the wrong files");
    let secret_part = |key: &str| key[15..].to_owned();
    let token = gateway.token().unwrap();
    for (what, secret) in [
        ("a key", secret_part(&first)),
        ("a rotated key", secret_part(&second)),
        ("a key of the admin API", secret_part(&third)),
        ("the app's secret", app.clone()),
        ("a session cookie", cookie.to_owned()),
        ("a token", bearer.split('.').next_back().unwrap().to_owned()),
        ("the admin token", token),
    ] {
        for part in [secret.as_str(), &secret[..secret.len().min(12)]] {
            assert!(!holds(part.as_bytes()), "{what} is in the dump");
        }
    }
    let log = gateway.process.log();
    for secret in [&first, &second, &third, &app, &shown] {
        assert!(!log.contains(secret.as_str()), "a secret is in the log");
    }
}

#[test]
fn keys_have_a_rate_an_age_and_more_to_know() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway =
        with(&policy(&upstream.url(), "    identity: { accept: [{ api_key: { max_age: 4s } }] }\n"));
    let (secret, id) = key(
        &gateway,
        &["--role", "reader", "--tenant", "north", "--attribute", "level=3", "--rate", "3/m", "--burst", "2"],
    );
    let listed = bartizan(&gateway, &["keys", "list"]);
    let listed = &listed["keys"][0];
    assert_eq!(listed["roles"], json!(["reader"]), "{listed}");
    assert_eq!((&listed["tenant"], &listed["attributes"]), (&json!("north"), &json!({ "level": 3 })));
    assert_eq!(listed["limit"], json!({ "rate": "3/m", "burst": 2 }));
    assert!(listed["rotate_by"].is_string(), "{listed}");
    let told = gateway.ask("GET", "/v1/keys", None).unwrap().text();
    assert!(told.contains(&text(listed, "/rotate_by")), "the admin API knows the policy, too: {told}");
    until("the key is known", || get(&gateway, "/x", &secret, &[]).status == 200);
    assert_eq!(get(&gateway, "/x", &secret, &[]).status, 200);
    let limited = get(&gateway, "/x", &secret, &[]);
    assert_eq!(limited.status, 429, "{}", limited.text());
    assert!(limited.text().contains("identity.key_limit") && limited.header("retry-after").is_some());
    until("the key is too old", || get(&gateway, "/x", &secret, &[]).status == 401);
    // Its successor is new.
    let successor = text(&bartizan(&gateway, &["keys", "rotate", &id]), "/secret");
    let passed = until("the successor is known", || get(&gateway, "/x", &successor, &[]).status == 200);
    assert!(passed < IN_FORCE, "{passed:?}");
    let mut table = Command::new(BINARY);
    table.args(["keys", "list", "--state"]).arg(gateway.state()).current_dir(gateway.dir.path());
    let table = output(&mut table);
    assert!(table.contains("ROTATE BY") && table.contains("rotated"), "{table}");
    let wrong = Command::new(BINARY)
        .args(["keys", "create", "--owner", "a", "--burst", "2", "--state"])
        .arg(gateway.state())
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn operators_are_reminded_of_keys_that_end() {
    let upstream = RawUpstream::echo().unwrap();
    let text_of = policy(&upstream.url(), "    identity: { accept: [api_key] }\n");
    let prepare = |dir: &std::path::Path| {
        let made = Command::new(BINARY)
            .args(["keys", "create", "--owner", "billing", "--expires", "3d", "--state"])
            .arg(dir.join("var"))
            .output()?;
        assert!(made.status.success(), "{made:?}");
        Ok(())
    };
    let gateway = Gateway::with_config(BINARY, &text_of, prepare).unwrap();
    until("the reminder is an event", || {
        let changes = gateway.ask("GET", "/v1/changes", None).unwrap().text();
        changes.contains("key.due") && changes.contains("of billing has to be replaced by")
    });
}

#[test]
fn another_tls_client_with_the_same_words_is_noticed() {
    let upstream = RawUpstream::echo().unwrap();
    let text = format!(
        "listeners: [{{ address: $LISTEN, tls: {{ certificates: [{{ cert: \"file:leaf.pem\", key: \"file:leaf.key\" }}] }} }}]\n\
         admin: {{ address: $ADMIN }}\napis:\n  - name: shop\n    upstream: {}\n    guards: {{ session: {{ cookies: [sid], at: 30 }} }}\n",
        upstream.url()
    );
    let gateway = Gateway::with_config(BINARY, &text, |dir| {
        let ca = Ca::new("tests")?;
        ca.write(dir, "ca.pem")?;
        ca.server(dir, "leaf", &["localhost", "127.0.0.1"]).map(drop)
    })
    .unwrap();
    let url = format!("https://localhost:{}/x", gateway.address.port());
    let ca = gateway.dir.path().join("ca.pem").display().to_string();
    let ask = |more: &[&str]| {
        let same = ["--cacert", &ca, "--user-agent", "app/1", "--cookie", "sid=one", "--output", "/dev/null"];
        curl(&[&same, &["--write-out", "%{http_code}"][..], more, &[&url]].concat())
    };
    let Some(first) = ask(&[]) else { return };
    assert_eq!(first, "200");
    assert_eq!(ask(&["--http1.1"]).unwrap(), "200", "another protocol is the same program");
    assert_eq!(ask(&["--tls-max", "1.2"]).unwrap(), "401", "other suites are another");
    assert_eq!(ask(&[]).unwrap(), "200");
}
