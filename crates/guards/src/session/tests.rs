//! The guard as a whole: tokens, keys and cookies that move, and what lets their owners go on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::sync::Arc;

use bartizan_model::{
    CredentialKind, Guard, Outcome, Principal, Reason, ResponseHead, Services, Timestamp, Transaction,
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::{CREDENTIALS, Session, Sights};
use crate::support::{self, TestFiles};

const NOW: u64 = 1_767_225_600;

fn guard(config: Value, services: &Services) -> Session {
    support::compile::<Session>(config, services, &TestFiles::default()).unwrap()
}

struct Caller<'a> {
    ip: &'a str,
    agent: &'a str,
    hello: Option<u64>,
}

const OWNER: Caller<'_> = Caller { ip: "192.0.2.7", agent: "Surf/118.0 (Telephone)", hello: Some(7) };
const THIEF: Caller<'_> = Caller { ip: "203.0.113.9", agent: "curl/8.5.0", hello: Some(9) };

fn exchange(caller: &Caller<'_>, principal: Option<Principal>, cookie: Option<&str>) -> Transaction {
    let mut transaction = support::transaction();
    transaction.started = Timestamp::from_seconds(NOW);
    transaction.client.ip = caller.ip.parse().unwrap();
    transaction.hello = caller.hello;
    transaction.request.headers.insert(header::USER_AGENT, caller.agent.parse().unwrap());
    if let Some(cookie) = cookie {
        transaction.request.headers.insert(header::COOKIE, cookie.parse().unwrap());
    }
    transaction.principal = principal.map(Arc::new);
    transaction
}

fn token(id: &str) -> Principal {
    Principal {
        credential_id: Some(id.into()),
        ..Principal::new(CredentialKind::Jwt, "corp".into(), "alice".into())
    }
}

fn code(guard: &Session, transaction: &mut Transaction) -> Option<&'static str> {
    support::code(&support::now(guard.request_headers(transaction)))
}

#[test]
fn a_stolen_token_is_refused_and_its_owner_goes_on() {
    let services = support::idle_services();
    let watch = guard(json!({}), &services);
    let ask = |caller, id| {
        let mut transaction = exchange(caller, Some(token(id)), None);
        (code(&watch, &mut transaction), transaction.risk)
    };
    assert_eq!(ask(&OWNER, "t1"), (None, 0));
    assert_eq!(ask(&THIEF, "t1"), (Some("session.moved"), 100));
    assert_eq!(ask(&OWNER, "t1"), (None, 0));
    assert_eq!(ask(&Caller { ip: "198.51.100.4", ..OWNER }, "t1"), (None, 25), "a telephone on its way");
    assert_eq!(ask(&Caller { ip: "198.51.100.5", ..OWNER }, "t1"), (None, 0));
    assert_eq!(
        ask(&Caller { ip: "198.51.100.4", agent: "Surf/118.0 (Telephone)", hello: Some(9) }, "t1"),
        (None, 35)
    );
    assert_eq!(ask(&THIEF, "t2"), (None, 0), "another token");
    // Another policy, the same memory.
    let other = guard(json!({ "moved": "finding", "at": 50 }), &services);
    let mut transaction = exchange(&THIEF, Some(token("t1")), None);
    assert_eq!(code(&other, &mut transaction), None);
    assert_eq!((transaction.findings[0].code, transaction.risk), ("session.moved", 100));
}

#[test]
fn a_session_at_the_issuer_is_one_credential() {
    let services = support::idle_services();
    let watch = guard(json!({ "moved": "step_up", "step_up": { "acr": "mfa" } }), &services);
    let with = |id: &str, time: Option<u64>| {
        let mut principal = token(id);
        principal.session = Some("s-1".into());
        principal.authentication.acr = Some("mfa".into());
        principal.authentication.time = time.map(Timestamp::from_seconds);
        principal
    };
    let ask = |caller, principal, later| {
        let mut transaction = exchange(caller, Some(principal), None);
        transaction.started = Timestamp::from_seconds(NOW + later);
        let outcome = support::now(watch.request_headers(&mut transaction));
        let challenge = match &outcome {
            Outcome::Challenge(reason) => reason.headers()[0].1.to_str().unwrap().to_owned(),
            _ => String::new(),
        };
        (support::code(&outcome), challenge)
    };
    assert_eq!(ask(&OWNER, with("t1", Some(NOW - 10)), 0).0, None);
    let (refused, challenge) = ask(&THIEF, with("t1", Some(NOW - 10)), 5);
    assert_eq!(refused, Some("session.step_up"), "authenticated before the move");
    assert!(
        challenge.contains("insufficient_user_authentication") && challenge.contains("acr_values=\"mfa\"")
    );
    assert_eq!(ask(&THIEF, with("t2", None), 6).0, Some("session.step_up"), "nobody knows when");
    assert_eq!(ask(&THIEF, with("t2", Some(NOW + 8)), 10).0, None, "anew, after the move");
    assert_eq!(ask(&THIEF, with("t2", Some(NOW + 8)), 11).0, None, "and is its client now");
    assert_eq!(ask(&OWNER, with("t1", Some(NOW - 10)), 12).0, Some("session.step_up"));
}

#[test]
fn a_cookie_is_bound_when_it_is_set() {
    let services = support::idle_services();
    let watch = guard(json!({ "cookies": ["sid"] }), &services);
    let mut login = exchange(&OWNER, None, None);
    assert_eq!(code(&watch, &mut login), None);
    let set = HeaderMap::from_iter([(header::SET_COOKIE, "sid=abc; Path=/".parse().unwrap())]);
    let mut head = ResponseHead { status: StatusCode::OK, headers: set, from_upstream: true };
    assert!(matches!(watch.response_head(&mut login, &head), Outcome::Continue));
    assert_eq!(login.findings[0].code, "session.weak_cookie");
    watch.watch_response_headers(&login, &mut head);
    assert_eq!(head.headers[header::SET_COOKIE], "sid=abc; Path=/", "monitor only tells");
    watch.response_headers(&login, &mut head);
    assert_eq!(head.headers[header::SET_COOKIE], "sid=abc; Path=/; Secure; HttpOnly; SameSite=Lax");
    // The thief is first to use it.
    let ask = |caller, cookie| {
        let mut transaction = exchange(caller, None, Some(cookie));
        let outcome = support::now(watch.request_headers(&mut transaction));
        let challenge = match &outcome {
            Outcome::Challenge(reason) => reason.headers()[0].1.to_str().unwrap().to_owned(),
            _ => String::new(),
        };
        (support::code(&outcome), challenge)
    };
    let (refused, challenge) = ask(&THIEF, "theme=dark; sid=abc");
    assert_eq!(refused, Some("session.moved"));
    assert_eq!(challenge, "Cookie realm=\"shop\", cookie-name=\"sid\"");
    assert_eq!(ask(&OWNER, "sid=abc").0, None);
    assert_eq!(ask(&THIEF, "theme=abc").0, None, "not a session cookie");
    assert_eq!(ask(&THIEF, "sid=own").0, None);
    assert_eq!(ask(&OWNER, "sid=own").0, Some("session.moved"), "bound at first sight");
    // Made-up cookies push out neither what was issued nor what was verified.
    for number in 0..CREDENTIALS * 2 {
        let cookie = format!("sid=made-up-{number}");
        code(&watch, &mut exchange(&THIEF, None, Some(&cookie)));
    }
    let sights = services.kept.of::<Sights>();
    assert!(sights.shown.len() <= CREDENTIALS && sights.issued.len() == 1);
    assert_eq!(ask(&THIEF, "sid=abc").0, Some("session.moved"));
}

#[test]
fn probes_and_questions_bind_nothing() {
    let services = support::idle_services();
    let watch = guard(json!({}), &services);
    let mut question = exchange(&THIEF, Some(token("t1")), None);
    question.probe = true;
    assert_eq!(code(&watch, &mut question), None);
    assert_eq!(code(&watch, &mut exchange(&OWNER, Some(token("t1")), None)), None);
    let mut bound = exchange(&THIEF, Some(token("t1")), None);
    Arc::make_mut(bound.principal.as_mut().unwrap()).strength = bartizan_model::Strength::ProofOfPossession;
    assert_eq!(code(&watch, &mut bound), None, "a token that its client proves is nobody else's");
}

#[test]
fn wrong_settings_say_where() {
    for (config, expected) in [
        (json!({ "at": 0 }), "at|error: a risk is from 1 to 100"),
        (json!({ "at": 100, "weights": { "hello": 0, "hopping": 0 } }), "weights|error"),
        (json!({ "step_up": { "acr": "mfa" } }), "step_up|error: it is asked for with `moved: step_up` only"),
        (json!({ "moved": "step_up", "step_up": { "acr": "a\"b" } }), "step_up.acr|error"),
        (json!({ "moved": "step_up", "step_up": { "when": "risk >= 3" } }), "step_up.when|error"),
        (json!({ "cookies": ["a b"] }), "cookies[0]|error: this is not a cookie's name"),
    ] {
        let problems = support::compile_alone::<Session>(config.clone()).err().unwrap();
        let told: Vec<_> =
            problems.0.iter().map(|p| format!("{}|{}: {}", p.path, "error", p.message)).collect();
        assert!(told.iter().any(|line| line.starts_with(expected)), "{config}: {told:?}");
    }
    assert!(serde_json::from_value::<super::Config>(json!({ "moved": "ignore" })).is_err());
}
