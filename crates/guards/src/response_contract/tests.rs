//! Responses that are streams of items, and findings that are bounded.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests assert")]

use bartizan_model::{Outcome, Transaction, compile::ApiSpec};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::*;
use crate::support::{self, FixedKeys, Sequence, StillClock, TestFiles};

fn guard(config: serde_json::Value) -> ResponseContract {
    let document = json!({ "openapi": "3.2.0", "info": { "title": "t", "version": "1" }, "paths": { "/log": { "get": {
        "responses": { "200": { "description": "", "content": {
            "application/jsonl": { "itemSchema": { "properties": { "n": { "type": "integer" } } } },
            "application/json": { "schema": { "items": { "properties": { "n": { "type": "integer" } } } } } } } } } } } });
    let folder = std::env::temp_dir().join(format!("bartizan-responses-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("log.json"), document.to_string()).unwrap();
    let description = support::contract(Some("file:log.json"), &folder).unwrap().unwrap();
    let spec: ApiSpec = support::spec(&description).unwrap();
    let limits = Arc::new(crate::rate_limit::table::LimitTable::new(16, &Sequence::new()));
    let services = support::services(StillClock::new(), limits, FixedKeys::default());
    let context = CompileContext {
        spec: &spec,
        api: "t",
        operation: None,
        profile: bartizan_model::Profile::Balanced,
        issuers: &std::collections::BTreeMap::new(),
        services: &services,
        files: &TestFiles::default(),
        scope: &|_| String::new(),
    };
    ResponseContract::compile(serde_json::from_value(config).unwrap(), &context).unwrap()
}

fn answer(guard: &ResponseContract, kind: &'static str, body: &str) -> (Outcome<Why>, Transaction) {
    let mut transaction = support::transaction();
    transaction.operation = "GET /log".into();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let head = ResponseHead { status: StatusCode::OK, headers, from_upstream: true };
    assert!(matches!(guard.response_head(&mut transaction, &head), Outcome::Continue));
    assert_eq!(guard.needs_response_body(&transaction), Some(1 << 20));
    let held = HeldBody::new(Bytes::copy_from_slice(body.as_bytes()), true).described(&head.headers);
    let outcome = guard.response_body(&mut transaction, &head, &held);
    (outcome, transaction)
}

#[test]
fn items_of_a_stream_are_judged_one_by_one() {
    let guard = guard(json!({ "invalid": "deny" }));
    let lines = "application/jsonl";
    let (outcome, transaction) = answer(&guard, lines, "{\"n\": 1}\n{\"n\": 2}\n");
    assert!(matches!(outcome, Outcome::Continue) && transaction.findings.is_empty());
    assert!(matches!(
        answer(&guard, lines, "{\"n\": 1}\n{\"n\": \"x\"}\n").0,
        Outcome::Deny(Why::Invalid(_))
    ));
    assert!(matches!(
        answer(&guard, lines, "{\"n\": 1, \"secret\": 2}\n").0,
        Outcome::Deny(Why::Undeclared(_))
    ));
}

#[test]
fn excess_is_told_a_few_times_and_taken_out_every_time() {
    let guard = guard(json!({}));
    let body = format!("[{}]", vec!["{\"n\":1,\"secret\":2}"; 100].join(","));
    let (outcome, mut transaction) = answer(&guard, "application/json", &body);
    assert!(matches!(outcome, Outcome::Continue));
    assert_eq!(transaction.findings.len(), TOLD);
    assert_eq!(transaction.findings[1].detail, "response/1/secret is not part of the contract");
    let (_, edited) = guard.edits(&mut transaction);
    assert_eq!(edited.unwrap(), format!("[{}]", vec!["{\"n\":1}"; 100].join(",")));
}
