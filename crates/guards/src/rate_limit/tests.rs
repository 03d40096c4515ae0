//! `rate_limit`: what its settings accept, whose counter is whose, and what survives a reload.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::{sync::Arc, time::Duration};

use bartizan_model::{
    CredentialKind, Diagnostics, Guard, Mode, Mounted, Outcome, Principal, Reason, Services, Transaction,
};
use http::HeaderValue;
use serde_json::{Value, json};

use super::{AddressLimits, RateLimits, table::LimitTable};
use crate::support::{self, FixedKeys, Sequence, StillClock, TestFiles};

fn services() -> Services {
    let limits = Arc::new(LimitTable::new(0, &Sequence::new()));
    support::services(StillClock::new(), limits, FixedKeys::default())
}

fn compile<G: Guard>(config: Value, services: &Services) -> Result<G, Diagnostics> {
    support::compile(config, services, &TestFiles::default())
}

fn passes(guard: &impl Guard, transaction: &mut Transaction) -> bool {
    matches!(support::now(guard.request_headers(transaction)), Outcome::Continue)
}

fn principal(issuer: &str, subject: &str) -> Option<Arc<Principal>> {
    Some(Arc::new(Principal::new(CredentialKind::Jwt, issuer.into(), subject.into())))
}

#[test]
fn every_mistake_is_reported_with_its_place() {
    let config = json!([
        { "name": "a", "key": "ip", "rate": "1/s" },
        { "name": "a", "key": "request.body.a..b", "rate": "1/s" },
        { "name": "", "key": "session", "rate": "1/s", "burst": 0 },
        { "name": "c", "key": "claims.tenant", "rate": "2000000/s" },
        { "name": "d", "key": "header.", "rate": "5/s", "cost": 6 },
        { "name": "e", "key": "address", "rate": "1/d", "burst": 400 },
    ]);
    let problems = compile::<RateLimits>(config, &services()).err().unwrap();
    let paths: Vec<_> = problems.0.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "[1].name",
            "[1].key",
            "[2].name",
            "[2].key",
            "[2].burst",
            "[3].key",
            "[3].rate",
            "[4].key",
            "[4].cost",
            "[5].key",
            "[5].burst"
        ]
    );
    let text = problems.to_string();
    for name in ["session", "claims.tenant"] {
        assert!(text.contains(&format!("`key: {name}` is not available in this version")), "{text}");
    }
    assert!(
        text.contains(
            "`address` is not a key; write `ip`, `principal`, `header.<name>` or `request.body.<field>`"
        ),
        "{text}"
    );
}

#[test]
fn addresses_come_first_and_the_others_after() {
    let services = services();
    let config = json!([
        { "name": "address", "key": "ip", "rate": "1/m" },
        { "name": "caller", "key": "principal", "rate": "1/m" },
    ]);
    let first: AddressLimits = compile(config.clone(), &services).unwrap();
    let second: RateLimits = compile(config, &services).unwrap();
    let mut transaction = support::transaction();
    assert!(passes(&first, &mut transaction) && passes(&second, &mut transaction));
    let fields: Vec<_> = transaction.response_headers.get_all("ratelimit").iter().collect();
    assert_eq!(fields, ["\"address\";r=0;t=60", "\"caller\";r=0;t=60"]);
    assert!(!passes(&first, &mut support::transaction()) && !passes(&second, &mut support::transaction()));
}

#[test]
fn principals_are_who_their_issuer_says() {
    let guard: RateLimits =
        compile(json!([{ "name": "caller", "key": "principal", "rate": "1/m" }]), &services()).unwrap();
    let mut transaction = support::transaction();
    for (issuer, subject) in [("corp", "alice"), ("corp", "bob"), ("partner", "alice"), ("cor", "palice")] {
        transaction.principal = principal(issuer, subject);
        assert!(passes(&guard, &mut transaction), "{issuer} {subject}");
        assert!(!passes(&guard, &mut transaction), "{issuer} {subject} again");
        transaction.client.ip = [192, 0, 2, 1].into();
        assert!(!passes(&guard, &mut transaction), "{issuer} {subject} from another address");
    }
    // The address of a verified caller was not charged.
    transaction.principal = None;
    assert!(passes(&guard, &mut transaction));
}

#[test]
fn a_header_value_is_not_an_address_and_values_are_told_apart() {
    let guard: RateLimits =
        compile(json!([{ "name": "device", "key": "header.x-device", "rate": "1/m" }]), &services()).unwrap();
    let with = |values: &[&'static [u8]]| {
        let mut transaction = support::transaction();
        for value in values {
            transaction.request.headers.append("x-device", HeaderValue::from_bytes(value).unwrap());
        }
        transaction
    };
    // The bytes of this address are letters, so that a header value can be made of them.
    let mut nameless = with(&[]);
    nameless.client.ip = [b'b', b'c', b'd', b'e'].into();
    assert!(passes(&guard, &mut with(&[b"bcde"])));
    assert!(passes(&guard, &mut nameless) && !passes(&guard, &mut nameless));
    assert!(passes(&guard, &mut with(&[])));
    assert!(!passes(&guard, &mut with(&[b"", b" "])), "empty values hide nobody");
    assert!(passes(&guard, &mut with(&[b"ab", b"c"])));
    assert!(passes(&guard, &mut with(&[b"a", b"bc"])));
    assert!(!passes(&guard, &mut with(&[b" ab", b"c "])), "spaces make no other value");
}

#[test]
fn a_limit_counts_where_it_is_written_and_survives_a_reload() {
    let services = services();
    let config = json!([{ "name": "n", "key": "ip", "rate": "2/m" }]);
    let files = TestFiles::default();
    let at = |scope: &'static str| {
        support::compile_in::<AddressLimits>(config.clone(), &services, &files, &|path| {
            assert_eq!(path, "[0]");
            scope.to_owned()
        })
        .unwrap()
    };
    // Two operations below the same API, then the same policy compiled again.
    assert!(passes(&at("api:shop"), &mut support::transaction()));
    assert!(passes(&at("api:shop"), &mut support::transaction()));
    assert!(!passes(&at("api:shop"), &mut support::transaction()));
    assert!(passes(&at("operation:shop POST /login"), &mut support::transaction()));
    assert!(passes(&at("api:bank"), &mut support::transaction()));
}

#[test]
fn probes_take_nothing_and_learn_nothing() {
    let guard: AddressLimits =
        compile(json!([{ "name": "n", "key": "ip", "rate": "1/m" }]), &services()).unwrap();
    for _ in 0..10 {
        let mut probe = support::transaction();
        probe.probe = true;
        assert!(passes(&guard, &mut probe) && probe.response_headers.is_empty());
    }
    assert!(passes(&guard, &mut support::transaction()));
}

#[test]
fn monitor_mode_counts_as_enforcing_would() {
    let services = services();
    let guard = compile(json!([{ "name": "n", "key": "ip", "rate": "2/m" }]), &services).unwrap();
    let watched = Mounted::<AddressLimits>::new(Arc::new(guard), Mode::Monitor);
    let found: Vec<usize> = (0..4)
        .map(|second| {
            let mut transaction = support::transaction();
            transaction.ticks = Duration::from_secs(second * 10);
            assert!(support::now(watched.request_headers(&mut transaction)).is_ok());
            transaction.findings.len()
        })
        .collect();
    // Two fit, the third does not, and after 30 seconds one more does.
    assert_eq!(found, [0, 0, 1, 0]);
}

#[test]
fn a_refusal_names_the_limit_and_never_the_value() {
    let guard: RateLimits =
        compile(json!([{ "name": "tenant", "key": "header.x-tenant", "rate": "1/m" }]), &services()).unwrap();
    let mut transaction = support::transaction();
    transaction.request.headers.insert("x-tenant", HeaderValue::from_static("hunter2"));
    assert!(passes(&guard, &mut transaction));
    transaction.ticks = Duration::from_millis(100);
    let Outcome::Deny(why) = support::now(guard.request_headers(&mut transaction)) else {
        panic!("it passed")
    };
    let detail = why.detail();
    assert_eq!(detail, "limit `tenant` of `api:shop`, 1/m per header value, is used up for another 60 s");
    assert!(!format!("{why:?}{:?}", why.remedy()).contains("hunter2"));
    assert_eq!(why.headers()[0].1, "60", "rounded up");
}
