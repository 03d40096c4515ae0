//! Responses that are streams of items, and findings that are bounded.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests assert")]

use bartizan_model::{Outcome, Transaction, compile::ApiSpec};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::*;
use crate::support::{self, TestFiles};

fn guard(config: serde_json::Value) -> ResponseContract {
    let item = json!({ "type": "object", "properties": { "n": { "type": "integer" },
        "key": { "type": "string", "writeOnly": true } } });
    let event = json!({ "type": "object", "required": ["data"], "properties": {
        "event": { "enum": ["item", "text"] }, "retry": { "type": "integer", "maximum": 5000 } },
        "oneOf": [
            { "properties": { "event": { "const": "item" },
                "data": { "contentMediaType": "application/json", "contentSchema": item } }, "required": ["event"] },
            { "properties": { "event": { "const": "text" }, "data": { "maxLength": 5 } }, "required": ["event"] }] });
    let media = |more: serde_json::Value| json!({ "200": { "description": "", "content": more } });
    let get = |more: serde_json::Value| json!({ "get": { "responses": media(more) } });
    let document = json!({ "openapi": "3.2.0", "info": { "title": "t", "version": "1" }, "paths": {
        "/log": get(json!({
            "application/jsonl": { "itemSchema": item },
            "application/json-seq": { "itemSchema": item },
            "text/event-stream": { "itemSchema": event },
            "application/json": { "schema": { "items": item } } })),
        "/plain": get(json!({
            "application/x-ndjson": { "schema": { "type": "array", "items": item } },
            "application/jsonl": { "schema": item },
            "text/event-stream": { "schema": item } })),
        "/text": get(json!({ "text/event-stream": { "schema": { "type": "string" } } })) } });
    compiled(&document, config)
}

/// The guard of a contract.
pub(super) fn compiled(document: &serde_json::Value, config: serde_json::Value) -> ResponseContract {
    static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("bartizan-responses-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("log.json"), document.to_string()).unwrap();
    let description = support::contract(Some("file:log.json"), &folder).unwrap().unwrap();
    let spec: ApiSpec = support::spec(&description).unwrap();
    let guard = support::compile_for(config, &spec, &TestFiles::default()).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    guard
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
    let outcome = guard.response_body(&mut transaction, &held);
    (outcome, transaction)
}

/// What a stream becomes.
#[derive(Debug, PartialEq)]
struct Streamed {
    passed: String,
    refused: Option<&'static str>,
    told: Vec<String>,
}

/// A stream that comes in pieces of so many bytes.
fn flow(guard: &ResponseContract, target: &str, kind: &'static str, body: &[u8], step: usize) -> Streamed {
    let mut transaction = support::transaction();
    transaction.operation = format!("GET {target}").into();
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
    let head = ResponseHead { status: StatusCode::OK, headers, from_upstream: true };
    assert!(matches!(guard.response_head(&mut transaction, &head), Outcome::Continue));
    assert_eq!(guard.needs_response_body(&transaction), None, "a stream is not held");
    let mut items = guard.items(&transaction, true).unwrap();
    let (mut passed, mut refused) = (Vec::new(), None);
    for piece in body.chunks(step) {
        let got = items.push(&mut transaction, Bytes::copy_from_slice(piece));
        passed.extend_from_slice(&got.bytes);
        refused = refused.or(got.refused);
    }
    let got = items.finish(&mut transaction);
    passed.extend_from_slice(&got.bytes);
    let refused = refused.or(got.refused).map(|why| why.info().code);
    let told = transaction.findings.iter().map(|finding| finding.detail.to_string()).collect();
    Streamed { passed: String::from_utf8_lossy(&passed).into_owned(), refused, told }
}

/// The same whatever the pieces are.
fn flows(guard: &ResponseContract, target: &str, kind: &'static str, body: &str) -> Streamed {
    let whole = flow(guard, target, kind, body.as_bytes(), body.len());
    for step in [1, 2, 3, 7, 16] {
        assert_eq!(flow(guard, target, kind, body.as_bytes(), step), whole, "in steps of {step}");
    }
    whole
}

#[test]
fn excess_is_taken_out_of_each_item_and_its_framing_stays() {
    let guard = guard(json!({}));
    let lines = "{\"n\": 1}\r\n\n{\"n\": 2, \"secret\": {\"a\": 1}, \"key\": \"k\"}\r\n{\"n\":3,\"x\":0}";
    let got = flows(&guard, "/log", "application/jsonl", lines);
    assert_eq!(got.passed, "{\"n\": 1}\r\n\n{\"n\":2}\r\n{\"n\":3}");
    assert_eq!(
        got.told,
        [
            "response/1/secret is not part of the contract",
            "response/1/key is `writeOnly`",
            "response/2/x is not part of the contract"
        ]
    );
    let got = flows(&guard, "/log", "application/json-seq", "\x1e{\"n\":\n1,\"a\":2}\n\x1e {\"n\":2}\n");
    assert_eq!(got.passed, "\x1e{\"n\":1}\n\x1e {\"n\":2}\n");
    for kind in ["application/x-ndjson", "application/jsonl"] {
        let got = flows(&guard, "/plain", kind, "{\"n\":1,\"a\":2}\n{\"n\":2}\n");
        assert_eq!(got.passed, "{\"n\":1}\n{\"n\":2}\n", "{kind} with a plain schema");
    }
}

#[test]
fn events_are_what_their_schema_says_of_them() {
    let guard = guard(json!({}));
    let stream = "\u{feff}retry: 10\r\n\r\n: hello\n\nevent: item\nid: 7\ndata: {\"n\":1,\ndata: \"secret\": 2}\n\n\
        event:text\ndata:abc\ndebug: sql\n\ndata: {\"n\": 1}\nevent: item\n\n";
    let got = flows(&guard, "/log", "text/event-stream", stream);
    let expected = "\u{feff}retry: 10\r\n\r\n: hello\n\nevent: item\nid: 7\ndata: {\"n\":1}\n\n\
        event:text\ndata:abc\n\ndata: {\"n\": 1}\nevent: item\n\n";
    assert_eq!((got.passed.as_str(), got.refused), (expected, None));
    assert_eq!(
        got.told,
        [
            "response/0/data/secret is not part of the contract",
            "response/1/debug is not part of the contract"
        ]
    );
    // The schema of each kind of event is its own, in all fields and in what the data holds.
    let strict = self::guard(json!({ "invalid": "deny" }));
    for wrong in [
        "event: text\ndata: abcdefg\n\n",
        "event: item\ndata: {\"n\": \"x\"}\n\n",
        "event: item\ndata: no document\n\n",
        "event: other\ndata: a\n\n",
        "event: text\nretry: 6000\ndata: a\n\n",
        "data: a\n\n",
    ] {
        let good = "event: text\ndata: a\n\n";
        let got = flows(&strict, "/log", "text/event-stream", &format!("{good}{wrong}{good}"));
        assert_eq!((got.passed.as_str(), got.refused), (good, Some("response_contract.invalid")), "{wrong}");
    }
}

#[test]
fn a_plain_schema_describes_the_data_of_events() {
    let guard = guard(json!({ "invalid": "deny" }));
    let stream = "data: {\"n\":1,\"secret\":2}\n\ndata: [DONE]\n\n";
    let got = flows(&guard, "/plain", "text/event-stream", stream);
    assert_eq!((got.passed.as_str(), got.refused), ("data: {\"n\":1}\n\ndata: [DONE]\n\n", None));
    let got = flows(&guard, "/plain", "text/event-stream", "data: {\"n\":\"x\"}\n\n");
    assert_eq!((got.passed.as_str(), got.refused), ("", Some("response_contract.invalid")));
}

#[test]
fn a_stream_that_nothing_describes_is_not_looked_at() {
    let guard = guard(json!({}));
    let mut transaction = support::transaction();
    transaction.operation = "GET /text".into();
    let kind = HeaderValue::from_static("text/event-stream");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
    let head = ResponseHead { status: StatusCode::OK, headers, from_upstream: true };
    assert!(matches!(guard.response_head(&mut transaction, &head), Outcome::Continue));
    assert_eq!(guard.needs_response_body(&transaction), None);
    assert!(guard.items(&transaction, true).is_none());
}

#[test]
fn a_refused_item_ends_the_stream_and_the_ones_before_it_have_gone() {
    let guard = guard(json!({ "undeclared_properties": "deny" }));
    let got = flows(&guard, "/log", "application/jsonl", "{\"n\":1}\n{\"n\":2,\"a\":1}\n{\"n\":3}\n");
    assert_eq!((got.passed.as_str(), got.refused), ("{\"n\":1}\n", Some("response_contract.undeclared")));
    let got = flows(&guard, "/log", "application/jsonl", "{\"n\":1}\n{\"n\":2,\"a\":1}");
    assert_eq!((got.passed.as_str(), got.refused), ("{\"n\":1}\n", Some("response_contract.undeclared")));
}

#[test]
fn what_is_too_large_or_unreadable_is_undecided() {
    let large = format!("{{\"n\":1}}\n{{\"n\":2,\"a\":\"{}\"}}\n{{\"n\":3,\"a\":1}}\n", "x".repeat(100));
    let watching = guard(json!({ "max_response": "64B" }));
    let got = flows(&watching, "/log", "application/jsonl", &large);
    assert_eq!(got.passed, large.replace(",\"a\":1", ""));
    assert!(got.told[0].contains("larger than"), "{got:?}");
    let strict = guard(json!({ "max_response": "64B", "undecided": "deny" }));
    for (body, step) in [(large.as_str(), 10), ("{\"n\":1}\n{\"n\n", 3), ("{\"n\":1}\n\"\u{0}\"\n", 3)] {
        let got = flow(&strict, "/log", "application/jsonl", body.as_bytes(), step);
        assert_eq!((got.passed.as_str(), got.refused), ("{\"n\":1}\n", Some("response_contract.undecided")));
    }
}

#[test]
fn who_watches_tells_and_keeps_nothing_back() {
    let guard = guard(json!({ "undeclared_properties": "monitor", "write_only": "monitor" }));
    let mut transaction = support::transaction();
    transaction.operation = "GET /log".into();
    let kind = HeaderValue::from_static("application/jsonl");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
    let head = ResponseHead { status: StatusCode::OK, headers, from_upstream: true };
    assert!(matches!(guard.response_head(&mut transaction, &head), Outcome::Continue));
    let mut items = guard.items(&transaction, true).unwrap();
    for piece in ["{\"n\":1,\"a", "\":1}", "\n"] {
        let got = items.push(&mut transaction, Bytes::from_static(piece.as_bytes()));
        assert_eq!((got.bytes.as_ref(), got.refused), (piece.as_bytes(), None));
    }
    assert_eq!(transaction.findings.len(), 1);
    // An endless stream does not tell without end.
    for _ in 0..100 {
        items.push(&mut transaction, Bytes::from_static(b"{\"a\":1}\n"));
    }
    assert_eq!(transaction.findings.len(), TOLD);
    assert_eq!(items.held(), 0);
}

#[test]
fn excess_is_told_a_few_times_and_taken_out_every_time() {
    let guard = guard(json!({}));
    let body = format!("[{}]", vec!["{\"n\":1,\"secret\":2}"; 100].join(","));
    let (outcome, mut transaction) = answer(&guard, "application/json", &body);
    assert!(matches!(outcome, Outcome::Continue));
    assert_eq!(transaction.findings.len(), TOLD);
    assert_eq!(transaction.findings[1].detail, "response/1/secret is not part of the contract");
    let edited = guard.edits(&mut transaction).body;
    assert_eq!(edited.unwrap(), format!("[{}]", vec!["{\"n\":1}"; 100].join(",")));
}
