//! Guards on the running gateway: tokens, limits, addresses, CORS; each refusal with its event.

use std::{fs, thread, time::Duration};

use bartizan_testkit::{Gateway, RawUpstream, Reply, Signer, gateway::run_to_end, token::epoch_seconds};
use serde_json::{Value, json};

use crate::support::{BINARY, policy, with};

struct Bank {
    gateway: Gateway,
    upstream: RawUpstream,
    signer: Signer,
}

fn bank() -> Bank {
    let upstream = RawUpstream::echo().unwrap();
    let signer = Signer::new("one").unwrap();
    let text = policy(
        &upstream.url(),
        "    identity: { accept: [{ jwt: { issuers: [corp], forward_credential: false } }], anonymous: deny }\n",
    ) + "issuers:\n  - { name: corp, issuer: \"https://id.example.com\", audiences: [bank], algorithms: [ES256], jwks: \"file:jwks.json\", max_lifetime: 15m }\n";
    let gateway =
        Gateway::with_config(BINARY, &text, |dir| Ok(fs::write(dir.join("jwks.json"), signer.jwks()?)?));
    Bank { gateway: gateway.unwrap(), upstream, signer }
}

fn claims() -> Value {
    let now = epoch_seconds();
    json!({ "iss": "https://id.example.com", "aud": "bank", "sub": "alice", "iat": now - 10, "exp": now + 600 })
}

impl Bank {
    fn ask(&self, token: &str) -> Reply {
        self.gateway.get("/accounts/1", &[&format!("Authorization: Bearer {token}")])
    }

    fn signed(&self, change: impl FnOnce(&mut Value)) -> Reply {
        let mut claims = claims();
        change(&mut claims);
        self.ask(&self.signer.sign(&claims).unwrap())
    }
}

#[test]
fn a_valid_token_passes_and_never_reaches_the_upstream() {
    let bank = bank();
    let answer = bank.signed(|_| ());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = &bank.upstream.requests()[0];
    assert!(seen.header("authorization").is_empty(), "the credential stops here: {}", seen.text());
    assert!(seen.text().contains("alice"), "the upstream is told who calls: {}", seen.text());
}

#[test]
fn every_wrong_token_is_401_with_a_challenge() {
    let bank = bank();
    let now = epoch_seconds();
    let stranger = Signer::new("one").unwrap();
    let mut answers = vec![
        ("expired", bank.signed(|c| c["exp"] = json!(now - 3_600))),
        ("not yet", bank.signed(|c| c["nbf"] = json!(now + 3_600))),
        ("audience", bank.signed(|c| c["aud"] = json!("shop"))),
        ("issuer", bank.signed(|c| c["iss"] = json!("https://evil.example"))),
        ("lifetime", bank.signed(|c| c["exp"] = json!(now + 86_400))),
        ("no expiry", bank.signed(|c| drop(c.as_object_mut().unwrap().remove("exp")))),
        ("stranger's key", bank.ask(&stranger.sign(&claims()).unwrap())),
        ("garbage", bank.ask("a.b.c")),
        ("none", bank.ask("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.")),
    ];
    let token = bank.signer.sign(&claims()).unwrap();
    answers.push(("cut", bank.ask(&token[..token.len() - 4])));
    answers.push(("basic", bank.gateway.get("/accounts/1", &["Authorization: Basic YTpi"])));
    answers.push(("absent", bank.gateway.get("/accounts/1", &[])));
    for (what, answer) in answers {
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Bearer"), "{what}: `{challenge}`");
    }
    assert!(bank.upstream.requests().is_empty());
}

#[test]
fn a_limit_counts_and_says_when_to_come_back() {
    let upstream = RawUpstream::echo().unwrap();
    let more = "    guards: { rate_limit: [{ name: address, key: ip, rate: 60/m, burst: 5 }] }\n";
    let gateway = with(&policy(&upstream.url(), more));
    let statuses: Vec<_> =
        (0..8).map(|_| gateway.get("/x", &["X-Forwarded-For: 198.51.100.9"]).status).collect();
    assert_eq!(statuses[..5], [200; 5]);
    assert_eq!(statuses[6..], [429; 2], "{statuses:?}");
    let answer = gateway.get("/x", &[]);
    assert_eq!(answer.status, 429);
    assert!(answer.header("retry-after").is_some_and(|after| after.parse::<u64>().is_ok()), "{answer:?}");
    assert!(answer.header("ratelimit").is_some(), "{answer:?}");
    thread::sleep(Duration::from_millis(2_200));
    assert_eq!(gateway.get("/x", &[]).status, 200, "it is whole again after a while");
}

#[test]
fn monitor_finds_and_lets_pass() {
    let upstream = RawUpstream::echo().unwrap();
    let more = "    guards: { ip_access: { deny: [127.0.0.0/8], mode: monitor } }\n";
    let gateway = with(&policy(&upstream.url(), more));
    assert_eq!(gateway.get("/x", &[]).status, 200);
}

#[test]
fn a_preflight_is_answered_before_identity() {
    let upstream = RawUpstream::echo().unwrap();
    let more = "    identity: { accept: [{ api_key: { header: X-API-Key } }], anonymous: deny }\n    guards: { cors: { origins: [\"https://app.example\"], methods: [PUT] } }\n";
    let gateway = with(&policy(&upstream.url(), more));
    let request = |origin: &str| {
        gateway.raw(
            format!("OPTIONS /x HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n\r\n")
                .as_bytes(),
        )
    };
    let answer = request("https://app.example");
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    let answer = request("https://evil.example");
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_refusal_is_explained_by_its_event() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = with(&policy(&upstream.url(), "    guards: { ip_access: { deny: [127.0.0.0/8] } }\n"));
    let refusal = gateway.get("/secret-7f3a?token=hunter2", &[]);
    assert_eq!(refusal.status, 403);
    let problem = refusal.json();
    let instance = problem["instance"].as_str().unwrap_or_else(|| panic!("{problem}"));
    let id = instance.strip_prefix("urn:bartizan:event:").unwrap();
    assert_eq!(refusal.header("x-bartizan-event"), Some(id));
    thread::sleep(Duration::from_millis(500));
    let arguments = ["why", instance, "--state", "var"];
    let (status, output) = run_to_end(BINARY, gateway.dir.path(), &arguments).unwrap();
    assert!(status.success() && output.contains("ip_access"), "{output}");
    let audit = fs::read_to_string(gateway.state().join("audit.jsonl")).unwrap();
    assert!(audit.contains(id) && !audit.contains("hunter2"), "{audit}");
}
