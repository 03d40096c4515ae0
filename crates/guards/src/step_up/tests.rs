//! The guard as a whole: tokens by what their issuer says, key holders by their codes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bartizan_model::{
    CredentialKind, Guard, Outcome, Principal, Reason, Redacted, Services, Timestamp, Transaction,
    services::{Factors, Totp, TotpHash},
};
use serde_json::{Value, json};

use super::{StepUp, demand::CODE, totp};
use crate::support::{self, TestFiles};

const NOW: u64 = 1_767_225_600;
const SECRET: &[u8] = b"12345678901234567890";

/// One owner, `billing`, with a factor; five attempts.
#[derive(Default)]
struct OneFactor {
    step: AtomicU64,
    attempts: Mutex<u32>,
}

impl Factors for OneFactor {
    fn totp(&self, owner: &str) -> Option<Totp> {
        let secret = Redacted::new(SECRET.to_vec());
        (owner == "billing").then_some(Totp { secret, hash: TotpHash::Sha1 })
    }

    fn attempt(&self, _: &str, _: Timestamp) -> Result<(), Duration> {
        let mut attempts = self.attempts.lock().unwrap();
        *attempts += 1;
        if *attempts > 5 { Err(Duration::from_millis(29_500)) } else { Ok(()) }
    }

    fn accept(&self, _: &str, step: u64) -> bool {
        *self.attempts.lock().unwrap() = 0;
        self.step.fetch_max(step, Ordering::SeqCst) < step
    }
}

fn services() -> Services {
    Services { factors: Arc::new(OneFactor::default()), ..support::idle_services() }
}

fn guard(config: Value, services: &Services) -> StepUp {
    support::compile::<StepUp>(config, services, &TestFiles::default()).unwrap()
}

fn token(acr: Option<&str>, amr: &[&str], time: Option<u64>) -> Principal {
    let mut principal = Principal::new(CredentialKind::Jwt, "corp".into(), "alice".into());
    principal.authentication.acr = acr.map(Into::into);
    principal.authentication.amr = amr.iter().map(|method| (*method).into()).collect();
    principal.authentication.time = time.map(Timestamp::from_seconds);
    principal
}

fn key(owner: &str) -> Principal {
    Principal {
        credential_id: Some("k1".into()),
        ..Principal::new(CredentialKind::ApiKey, "bartizan".into(), owner.into())
    }
}

fn exchange(principal: Option<Principal>, at: u64, code: Option<&str>) -> Transaction {
    let mut transaction = support::transaction();
    transaction.started = Timestamp::from_seconds(at);
    transaction.principal = principal.map(Arc::new);
    if let Some(code) = code {
        transaction.request.removed.push((CODE, code.parse().unwrap()));
    }
    transaction
}

fn judged(guard: &StepUp, mut transaction: Transaction) -> (&'static str, Vec<String>) {
    let outcome = support::now(guard.request_headers(&mut transaction));
    assert!(transaction.request.removed.is_empty(), "the code goes no further");
    let headers = match &outcome {
        Outcome::Challenge(reason) | Outcome::Deny(reason) => reason
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect(),
        _ => Vec::new(),
    };
    (support::code(&outcome).unwrap_or("passed"), headers)
}

#[test]
fn tokens_show_what_their_issuer_says() {
    let services = services();
    let mfa = json!({ "acr": ["mfa", "gold"] });
    let recent = json!({ "max_age": "5m" });
    let methods = json!({ "amr": ["pwd", "otp"] });
    for (config, principal, expected) in [
        (&mfa, token(Some("mfa"), &[], None), "passed"),
        (&mfa, token(Some("gold"), &[], None), "passed"),
        (&mfa, token(Some("silver"), &["mfa"], None), "step_up.required"),
        (&mfa, token(None, &[], None), "step_up.required"),
        (&methods, token(None, &["otp", "pwd"], None), "passed"),
        (&methods, token(None, &["pwd"], None), "step_up.required"),
        (&recent, token(None, &[], Some(NOW - 300)), "passed"),
        (&recent, token(None, &[], Some(NOW - 301)), "step_up.too_old"),
        (&recent, token(None, &[], None), "step_up.too_old"),
        (&recent, token(None, &[], Some(NOW + 3_600)), "step_up.too_old"),
        (&json!({}), token(None, &["pwd"], None), "step_up.required"),
        (&json!({}), token(None, &["pwd", "hwk"], None), "passed"),
    ] {
        let guard = guard(config.clone(), &services);
        let told = format!("{config} {:?}", principal.authentication);
        assert_eq!(judged(&guard, exchange(Some(principal), NOW, None)).0, expected, "{told}");
    }
}

#[test]
fn the_challenge_is_that_of_rfc_9470() {
    let guard = guard(json!({ "acr": ["mfa", "gold"], "max_age": "5m" }), &services());
    let (_, headers) = judged(&guard, exchange(Some(token(None, &[], None)), NOW, None));
    let challenge = "www-authenticate: Bearer realm=\"shop\", error=\"insufficient_user_authentication\", \
                     error_description=\"A different authentication level is required\", acr_values=\"mfa gold\", \
                     max_age=\"300\"";
    assert_eq!(headers, [challenge]);
    let (code, headers) = judged(&guard, exchange(Some(token(Some("mfa"), &[], Some(1))), NOW, None));
    assert_eq!(code, "step_up.too_old");
    assert!(headers[0].contains("More recent authentication is required"), "{headers:?}");
    assert_eq!(judged(&guard, exchange(None, NOW, None)).0, "step_up.required", "nobody");
}

#[test]
fn key_holders_show_a_code_once() {
    let guard = guard(json!({}), &services());
    let ask = |at, code: Option<&str>| judged(&guard, exchange(Some(key("billing")), at, code));
    let (code, headers) = ask(NOW, None);
    assert_eq!(code, "step_up.required");
    assert_eq!(
        headers,
        ["www-authenticate: TOTP realm=\"shop\", header=\"X-Bartizan-TOTP\"", "x-bartizan-step-up: totp"]
    );
    let right = totp::code(SECRET, Timestamp::from_seconds(NOW));
    assert_eq!(ask(NOW, Some(&right)).0, "passed");
    assert_eq!(ask(NOW, Some(&right)).0, "step_up.code_replayed");
    assert_eq!(ask(NOW, None).0, "step_up.required", "it held for its request only");
    let next = totp::code(SECRET, Timestamp::from_seconds(NOW + 30));
    assert_eq!(
        ask(NOW + 30, Some(&format!(" {} {}", &next[..3], &next[3..]))).0,
        "passed",
        "as people type it"
    );
    assert_eq!(ask(NOW + 30, Some(&right)).0, "step_up.code_replayed", "an earlier one");
    for wrong in ["000000", "12345", "", "abcdef", "000000", "000000"] {
        let (code, headers) = ask(NOW + 30, Some(wrong));
        assert!(matches!(code, "step_up.code_wrong" | "step_up.throttled"), "{wrong}: {code}");
        if code == "step_up.throttled" {
            assert_eq!(headers, ["retry-after: 30"]);
        }
    }
    assert_eq!(ask(NOW + 30, Some(&next)).0, "step_up.throttled");
    let stranger = judged(&guard, exchange(Some(key("nobody")), NOW, Some("000000")));
    assert_eq!(stranger.0, "step_up.not_enrolled");
}

#[test]
fn a_code_may_hold_for_a_while_for_the_same_client() {
    let services = services();
    let guard_for = |config| guard(config, &services);
    let held = guard_for(json!({ "valid_for": "2m" }));
    let code = totp::code(SECRET, Timestamp::from_seconds(NOW));
    assert_eq!(judged(&held, exchange(Some(key("billing")), NOW, Some(&code))).0, "passed");
    assert_eq!(judged(&held, exchange(Some(key("billing")), NOW + 119, None)).0, "passed");
    assert_eq!(judged(&held, exchange(Some(key("billing")), NOW + 120, None)).0, "step_up.required");
    let mut elsewhere = exchange(Some(key("billing")), NOW + 1, None);
    elsewhere.client.ip = "203.0.113.1".parse().unwrap();
    assert_eq!(judged(&held, elsewhere).0, "step_up.required", "another client");
    let mut other = key("billing");
    other.credential_id = Some("k2".into());
    assert_eq!(judged(&held, exchange(Some(other), NOW + 1, None)).0, "step_up.required", "another key");
    let shorter = guard_for(json!({ "valid_for": "2m", "max_age": "1m" }));
    assert_eq!(judged(&shorter, exchange(Some(key("billing")), NOW + 59, None)).0, "passed");
    assert_eq!(judged(&shorter, exchange(Some(key("billing")), NOW + 60, None)).0, "step_up.required");
    let never = guard_for(json!({ "factor": "none", "acr": "mfa" }));
    let (code, headers) = judged(&never, exchange(Some(key("billing")), NOW, None));
    assert_eq!(code, "step_up.required");
    assert!(headers[0].contains("insufficient_user_authentication"), "{headers:?}");
}

#[test]
fn questions_use_no_code_up() {
    let guard = guard(json!({}), &services());
    let code = totp::code(SECRET, Timestamp::from_seconds(NOW));
    let mut question = exchange(Some(key("billing")), NOW, Some(&code));
    question.probe = true;
    assert_eq!(judged(&guard, question).0, "step_up.required");
    assert_eq!(judged(&guard, exchange(Some(key("billing")), NOW, Some(&code))).0, "passed");
}

#[test]
fn a_demand_by_risk_waits_for_it() {
    let guard = guard(json!({ "acr": "mfa", "when": "risk >= 40" }), &services());
    let ask = |risk| {
        let mut transaction = exchange(Some(token(None, &[], None)), NOW, None);
        transaction.risk = risk;
        judged(&guard, transaction).0
    };
    assert_eq!(
        (ask(0), ask(39), ask(40), ask(100)),
        ("passed", "passed", "step_up.required", "step_up.required")
    );
    for wrong in
        ["risk", "risk >= 0", "risk >= 101", "risk > 100", "risk == 4", "score >= 4", "risk >= -1", ""]
    {
        assert!(wrong.parse::<super::When>().is_err(), "{wrong}");
    }
    assert_eq!("risk>39".parse::<super::When>().unwrap().risk, 40);
}
