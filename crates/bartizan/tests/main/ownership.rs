//! Whose objects leave, through the running gateway: coded answers, filtered lists, refusals that tell nothing, counters
//! that survive a reload, and rules that are found in recorded exchanges.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use bartizan_testkit::{
    Gateway, RawUpstream, Reply, Signer, Step, gateway::run_to_end, raw_request, reply, token::epoch_seconds,
};
use serde_json::{Value, json};

use crate::support::BINARY;

const PATIENCE: Duration = Duration::from_secs(5);

struct Bank {
    gateway: Gateway,
    upstream: RawUpstream,
    signer: Signer,
}

fn policy(upstream: &str, ownership: &str) -> String {
    format!(
        "listeners: [{{ address: $LISTEN }}]\nadmin: {{ address: $ADMIN }}\nstorage: sqlite:$DIR/var/bartizan.db\n\
         issuers: [{{ name: corp, issuer: \"https://id.test\", jwks: file:keys.json, audiences: [bank], algorithms: [ES256] }}]\n\
         apis:\n  - name: bank\n    upstream: {upstream}\n    \
         identity: {{ accept: [{{ jwt: {{ issuers: [corp] }} }}], anonymous: deny }}\n    guards:\n      ownership:\n{ownership}\n    \
         operations:\n      - match: GET /accounts/{{id}}\n      - match: GET /accounts\n"
    )
}

impl Bank {
    fn start(ownership: &str) -> Bank {
        let upstream = RawUpstream::echo().unwrap();
        let signer = Signer::new("k").unwrap();
        let jwks = signer.jwks().unwrap();
        let gateway = Gateway::with_config(BINARY, &policy(&upstream.url(), ownership), |folder: &Path| {
            Ok(fs::write(folder.join("keys.json"), jwks)?)
        })
        .unwrap();
        Bank { gateway, upstream, signer }
    }

    fn token(&self, sub: &str) -> String {
        let now = epoch_seconds();
        let claims =
            json!({ "iss": "https://id.test", "aud": "bank", "sub": sub, "iat": now, "exp": now + 600 });
        self.signer.sign(&claims).unwrap()
    }

    fn answers(&self, status: &str, fields: &str, body: &[u8]) {
        let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
        self.upstream.answer(vec![Step::Send([head.as_bytes(), body].concat())]);
    }

    fn json(&self, body: &Value) {
        self.answers("200 OK", "Content-Type: application/json\r\n", body.to_string().as_bytes());
    }

    fn get(&self, sub: &str, target: &str, fields: &str) -> Reply {
        let token = self.token(sub);
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer {token}\r\n{fields}\r\n"
        );
        reply(&raw_request(self.gateway.address, request.as_bytes(), PATIENCE))
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(BINARY)
            .args(arguments)
            .args(["--state", self.gateway.dir.path().join("var").to_str().unwrap()])
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn events(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.gateway.dir.path().join("var/audit.jsonl")).unwrap_or_default();
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

const RULES: &str = "        \"GET /accounts/{id}\": response.owner == principal.sub\n        \
                     \"GET /accounts\": { rule: \"response.items[].owner == principal.sub\", on_foreign: filter }";

/// The document behind gzip (RFC 1952): one block that is stored as it is.
fn zipped(value: &Value) -> Vec<u8> {
    let text = value.to_string().into_bytes();
    let length = u16::try_from(text.len()).unwrap();
    let crc = text.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend(&text);
    out.extend((!crc).to_le_bytes());
    out.extend(u32::from(length).to_le_bytes());
    out
}

/// What a client sees, without what every exchange has of its own.
fn looks(reply: &Reply) -> (u16, Vec<String>, String) {
    let event = reply.header("x-bartizan-event").unwrap_or("none").to_owned();
    let shown = |text: &str| text.replace(&event, "EVENT");
    let mut fields: Vec<String> = reply
        .headers
        .iter()
        .filter(|(name, _)| name != "date")
        .map(|(name, value)| format!("{name}: {}", shown(value)))
        .collect();
    fields.sort();
    (reply.status, fields, shown(&reply.text()))
}

#[test]
fn answers_behind_a_coding_are_judged_and_lists_are_cut_to_what_is_the_callers() {
    let bank = Bank::start(RULES);
    let coded = "Content-Type: application/json\r\nContent-Encoding: gzip\r\nETag: \"1\"\r\n";
    bank.answers("200 OK", coded, &zipped(&json!({ "owner": "bob" })));
    assert_eq!(bank.get("alice", "/accounts/1", "").status, 404);

    let own = zipped(&json!({ "owner": "alice" }));
    bank.answers("200 OK", coded, &own);
    let passed = bank.get("alice", "/accounts/1", "");
    assert_eq!(
        (passed.status, passed.body.as_slice()),
        (200, own.as_slice()),
        "what is whole is sent as it came"
    );
    assert_eq!(passed.header("content-encoding"), Some("gzip"));
    assert_eq!(passed.header("cache-control"), Some("private"));

    let list =
        json!({ "items": [{ "owner": "bob", "n": 1 }, { "owner": "alice", "n": 2 }, { "owner": "carol" }] });
    bank.answers("200 OK", coded, &zipped(&list));
    let cut = bank.get("alice", "/accounts", "");
    assert_eq!((cut.status, cut.json()), (200, json!({ "items": [{ "owner": "alice", "n": 2 }] })));
    assert_eq!(cut.header("content-encoding"), None);
    assert_eq!(cut.header("etag"), None);
    assert_eq!(cut.header("content-length"), Some(cut.body.len().to_string().as_str()));
    assert!(cut.whole);

    // In pieces, as many servers send it.
    let body = list.to_string();
    let (a, b) = body.split_at(30);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunked = format!("{head}{:x}\r\n{a}\r\n{:x}\r\n{b}\r\n0\r\n\r\n", a.len(), b.len());
    bank.upstream.answer(vec![Step::Send(chunked.into_bytes())]);
    let cut = bank.get("bob", "/accounts", "");
    assert_eq!((cut.status, cut.json()), (200, json!({ "items": [{ "owner": "bob", "n": 1 }] })));
}

#[test]
fn a_foreign_object_looks_like_one_that_does_not_exist() {
    let bank = Bank::start(RULES);
    bank.json(&json!({ "owner": "bob", "balance": 77 }));
    let foreign = bank.get("alice", "/accounts/8", "");
    bank.answers("404 Not Found", "Content-Type: text/plain\r\nX-Db: accounts\r\n", b"no row 9");
    let missing = bank.get("alice", "/accounts/9", "");
    bank.answers("403 Forbidden", "Content-Type: text/plain\r\n", b"not yours");
    let refused = bank.get("alice", "/accounts/10", "");
    assert_eq!(looks(&foreign), looks(&missing));
    assert_eq!(looks(&foreign), looks(&refused));
    assert_eq!(foreign.status, 404);
    for word in ["bob", "77", "owner"] {
        assert!(!foreign.text().contains(word), "{}", foreign.text());
    }
    let (code, text) = bank.run(&["why", "--last"]);
    assert_eq!(code, 0, "{text}");
    for word in ["ownership", "response.owner == principal.sub", "GET /accounts/{id}"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn counting_is_told_within_five_ids_and_survives_a_reload() {
    let bank = Bank::start(RULES);
    let begun = Instant::now();
    for id in [3, 900] {
        bank.json(&json!({ "owner": "bob" }));
        assert_eq!(bank.get("mallory", &format!("/accounts/{id}"), "").status, 404);
    }
    let file = bank.gateway.dir.path().join("bartizan.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("on_foreign: filter", "on_foreign: refuse")).unwrap();
    let list = json!({ "items": [{ "owner": "bob" }] });
    let reloaded = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(25));
        bank.json(&list);
        bank.get("alice", "/accounts", "").status == 404
    });
    assert!(reloaded, "the new policy is in force");
    bank.json(&json!({ "owner": "bob" }));
    assert_eq!(bank.get("mallory", "/accounts/77", "").status, 404);
    let told = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        bank.events().iter().any(|event| event.to_string().contains("ownership.enumeration"))
    });
    assert!(told, "the third foreign object tells, after {:?}", begun.elapsed());
}

#[test]
fn rules_are_found_in_what_was_recorded_and_no_value_is() {
    let bank = Bank::start("        learn: true");
    for number in 0..12 {
        let who = ["alice", "bob", "carol"][number % 3];
        let owner = if number == 11 { "alice" } else { who };
        bank.json(&json!({ "id": 4_000 + number, "owner": owner, "currency": "EUR", "iban": "DE89370400440532013000" }));
        assert_eq!(bank.get(who, &format!("/accounts/{}", 4_000 + number), "").status, 200);
    }
    let observed = || bank.events().iter().filter(|event| event.get("observed").is_some()).count();
    assert!(
        (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            observed() == 12
        }),
        "{}",
        observed()
    );
    let log = fs::read_to_string(bank.gateway.dir.path().join("var/audit.jsonl")).unwrap();
    assert!(!log.contains("DE8937044") && !log.contains("\"EUR\""), "values are not told");
    let audit = bank.gateway.dir.path().join("var/audit.jsonl");
    let (code, text) = bank.run(&["ownership", "suggest", "--events", audit.to_str().unwrap()]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("\"GET /accounts/{id}\": 'response.owner == principal.sub'"), "{text}");
    assert!(text.contains("held in 11 of 12 exchanges") && text.contains("# not in 0"), "{text}");
    let (code, text) = bank.run(&["ownership", "suggest", "--output", "json"]);
    assert_eq!(code, 0, "{text}");
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["proposals"][0]["predicate"], "response.owner == principal.sub");
    assert_eq!(told["proposals"][0]["counter_examples"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_wrong_with_a_rule_is_told_at_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bartizan.yaml");
    let text = "apis:\n  - name: bank\n    upstream: http://127.0.0.1:1\n    guards:\n      ownership:\n        \
                \"GET /accounts/{id}\": response.owner = principal.sub\n        \
                \"GET /teams/{id}\":\n          rule: path.team == principal.sub\n    operations:\n      \
                - { match: GET /notes, guards: { ownership: \"response.owner == principal.subj\" } }\n";
    fs::write(&file, text).unwrap();
    let (status, told) = run_to_end(BINARY, folder.path(), &["check", "bartizan.yaml"]).unwrap();
    assert_eq!(status.code(), Some(78), "{told}");
    for wanted in [
        ":6:",
        "`=` compares nothing",
        "write `==`",
        ":8:",
        "has no `team`",
        "its parameters are `id`",
        ":10:",
        "did you mean `principal.sub`?",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
}
