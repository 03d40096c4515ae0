//! What it costs to decide whose an answer is: `cargo run --release -p bartizan-guards --example ownership`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a program that measures, and prints"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bartizan_guards::{HeldBody, ownership::Ownership};
use bartizan_model::{CredentialKind, Guard as _, Outcome, Principal, ResponseHead};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// Rounds of which the median is told.
const ROUNDS: usize = 2_000;

fn main() {
    let record = |number: usize, owner: &str| {
        json!({ "id": number, "ownerId": owner, "iban": format!("DE893704004405320{number:05}"),
                "balance": { "amount": number * 37, "currency": "EUR" }, "text": "card payment" })
    };
    let list = |owner: &dyn Fn(usize) -> &'static str, records: usize| json!({ "items": (0..records).map(|number| record(number, owner(number))).collect::<Vec<_>>() });
    let own = list(&|_| "alice", 760);
    let mixed = list(&|number| if number % 10 == 0 { "bob" } else { "alice" }, 760);
    let lines = json!({ "account": { "owner": "alice" }, "lines": own["items"] });
    let each = "response.items[].ownerId == principal.sub";
    println!("{:<56}{:>10}{:>10}{:>10}", "answer and rule", "KB", "median", "p99");
    measure("760 records, each judged", each, "refuse", &own);
    measure(
        "760 records, each judged by two conditions",
        "response.items[].ownerId == principal.sub || principal.roles contains \"auditor\"",
        "refuse",
        &own,
    );
    measure("760 records, a tenth of them taken out", each, "filter", &mixed);
    measure(
        "one object with a long list, judged by one field",
        "response.account.owner == principal.sub",
        "refuse",
        &lines,
    );
    measure("one small object", "response.ownerId == principal.sub", "refuse", &record(1, "alice"));
    measure(
        "an auditor: the answer is not read",
        "response.ownerId == principal.sub || principal.sub == \"alice\"",
        "refuse",
        &own,
    );
}

fn measure(name: &str, rule: &str, on_foreign: &str, answer: &Value) {
    let config = json!({ "GET /a": { "rule": rule, "on_foreign": on_foreign } });
    let guard: Ownership = support::compile_alone(config).unwrap_or_else(|problems| panic!("{problems}"));
    let bytes = Bytes::from(answer.to_string());
    let alice = Arc::new(Principal::new(CredentialKind::Jwt, "corp".into(), "alice".into()));
    let headers =
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let head = ResponseHead { status: StatusCode::OK, headers, from_upstream: true };
    let mut times: Vec<Duration> = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let mut transaction = support::transaction();
        transaction.request.path = "/a".to_owned();
        transaction.principal = Some(Arc::clone(&alice));
        let begun = Instant::now();
        let outcome = support::now(guard.request_headers(&mut transaction));
        assert!(matches!(outcome, Outcome::Continue));
        assert!(matches!(guard.response_head(&mut transaction, &head), Outcome::Continue));
        if guard.needs_response_body(&transaction).is_some() {
            let held = HeldBody::new(bytes.clone(), true).described(&head.headers);
            let outcome = guard.response_body(&mut transaction, &head, &held);
            assert!(matches!(outcome, Outcome::Continue), "{outcome:?}");
        }
        drop(guard.instead(&mut transaction));
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let micros = |time: Duration| format!("{:.1} us", time.as_secs_f64() * 1e6);
    let (median, p99) = (times[ROUNDS / 2], times[ROUNDS * 99 / 100]);
    println!("{name:<56}{:>10.1}{:>10}{:>10}", bytes.len() as f64 / 1e3, micros(median), micros(p99));
}
