//! `request_limits`: what its settings accept, and the edges that no case shows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use bartizan_model::{Diagnostics, Guard, Outcome, Reason};
use http::{HeaderValue, Method, header};
use serde_json::json;

use super::RequestLimits;
use crate::support;

fn compile(config: serde_json::Value) -> Result<RequestLimits, Diagnostics> {
    support::compile_alone(config)
}

#[test]
fn the_body_bound_is_told_to_whoever_counts_streams() {
    let unsaid = compile(json!({})).unwrap();
    assert_eq!((unsaid.own_max_body(), unsaid.max_body()), (None, u64::MAX));
    let said = compile(json!({ "max_body": "2GiB" })).unwrap();
    assert_eq!((said.own_max_body(), said.max_body()), (Some(2 << 30), 2 << 30));
}

#[test]
fn a_streamed_body_passes_the_head() {
    let guard = compile(json!({ "max_body": "1B" })).unwrap();
    let mut transaction = support::transaction();
    transaction.request.content_length = None;
    assert_eq!(support::code(&support::now(guard.request_headers(&mut transaction))), None);
}

#[test]
fn methods_are_tokens_in_capitals() {
    let problems = compile(json!({ "methods": ["GET", "post", "P UT", "PURGE"] })).err().unwrap();
    let paths: Vec<_> = problems.0.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(paths, ["methods[1]", "methods[2]"]);
    assert!(problems.to_string().contains("write `POST`"), "{problems}");
}

#[test]
fn unknown_settings_are_errors() {
    assert!(compile(json!({ "max_bodies": "1B" })).err().unwrap().to_string().contains("max_bodies"));
    assert!(compile(json!({ "max_body": "10MB" })).err().unwrap().to_string().contains("`10MiB`"));
}

#[test]
fn preflights_are_left_to_cors_and_other_options_are_not() {
    let guard = compile(json!({ "methods": ["GET"] })).unwrap();
    let mut transaction = support::transaction();
    transaction.request.method = Method::OPTIONS;
    assert_eq!(
        support::code(&support::now(guard.request_headers(&mut transaction))),
        Some("request_limits.method")
    );
    let headers = &mut transaction.request.headers;
    headers.insert(header::ORIGIN, HeaderValue::from_static("https://app.example"));
    headers.insert(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("GET"));
    assert_eq!(support::code(&support::now(guard.request_headers(&mut transaction))), None);
}

#[test]
fn a_websocket_over_http_2_counts_as_get() {
    for (methods, expected) in [(json!(["GET"]), None), (json!(["POST"]), Some("request_limits.method"))] {
        let guard = compile(json!({ "methods": methods })).unwrap();
        let mut transaction = support::transaction();
        transaction.request.method = Method::CONNECT;
        assert_eq!(support::code(&support::now(guard.request_headers(&mut transaction))), expected);
    }
}

#[test]
fn trace_is_refused_unless_it_is_listed() {
    for (methods, expected) in [(json!([]), Some("request_limits.method")), (json!(["TRACE"]), None)] {
        let guard = compile(json!({ "methods": methods })).unwrap();
        let mut transaction = support::transaction();
        transaction.request.method = Method::TRACE;
        let outcome = support::now(guard.request_headers(&mut transaction));
        assert_eq!(support::code(&outcome), expected);
        if let Outcome::Deny(why) = outcome {
            assert_eq!(why.headers()[0].1, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY");
        }
    }
}

#[test]
fn only_bodies_of_types_that_apis_parse_are_held() {
    let guard = compile(json!({})).unwrap();
    let needs = |guard: &RequestLimits, kind: &'static str, length: Option<u64>| {
        let mut transaction = support::transaction();
        transaction.request.content_length = length;
        transaction.request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        guard.needs_body(&transaction)
    };
    for kind in [
        "application/json",
        "Application/Problem+JSON; charset=utf-8",
        "text/xml",
        "multipart/mixed; boundary=a",
    ] {
        assert_eq!(needs(&guard, kind, None), Some(10 << 20), "{kind}");
        assert_eq!(needs(&guard, kind, Some(0)), None, "{kind}");
    }
    for kind in [
        "text/plain",
        "application/octet-stream",
        "application/grpc+json",
        "application/grpc-web+json",
        "json",
        "",
    ] {
        assert_eq!(needs(&guard, kind, Some(7)), None, "{kind}");
    }
    let open = compile(json!({ "bodies": { "unreadable": "allow" } })).unwrap();
    assert_eq!(needs(&open, "application/json", Some(7)), None);
    let short = compile(json!({ "bodies": { "max_checked": "8B", "larger": "allow" } })).unwrap();
    assert_eq!(needs(&short, "application/json", Some(9)), None, "what passes unread is not held");
    assert_eq!(needs(&short, "application/json", None), Some(8));
}

#[test]
fn a_bound_that_another_bound_undoes_is_told() {
    let told = |config: serde_json::Value| {
        compile(config).unwrap().warnings(bartizan_model::Timestamp(0)).to_string()
    };
    assert!(
        told(json!({ "max_body": "64MiB" }))
            .contains("beyond 10MiB are refused, although `max_body` allows 64MiB")
    );
    for config in [
        json!({}),
        json!({ "max_body": "10MiB" }),
        json!({ "max_body": "64MiB", "bodies": { "larger": "allow" } }),
        json!({ "max_body": "64MiB", "bodies": { "max_checked": "64MiB" } }),
        json!({ "max_body": "64MiB", "bodies": { "unreadable": "allow" } }),
    ] {
        assert_eq!(told(config.clone()), "", "{config}");
    }
}
