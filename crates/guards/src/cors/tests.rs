//! `cors`: what its settings accept, and which origins are the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::sync::Arc;

use bartizan_model::{Diagnostics, Guard, ResponseHead, Stop};
use bartizan_model::{Mode, Mounted};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::{
    Cors,
    origin::{Origin, OriginPattern},
};
use crate::support;

fn compile(config: Value) -> Result<Cors, Diagnostics> {
    support::compile_alone(config)
}

fn matches(pattern: &str, origin: &str) -> bool {
    let pattern = OriginPattern::parse(pattern).unwrap();
    Origin::parse(origin).is_some_and(|origin| pattern.matches(&origin))
}

#[test]
fn origins_are_scheme_host_and_port() {
    assert!(matches("https://App.Example.com", "https://app.example.com"));
    assert!(matches("https://app.example.com:443", "https://app.example.com"));
    assert!(matches("http://[::1]:3000", "http://[::1]:3000"));
    assert!(matches("capacitor://localhost", "capacitor://localhost"));
    assert!(!matches("https://app.example.com", "http://app.example.com"));
    assert!(!matches("https://app.example.com", "https://app.example.com:8443"));
    assert!(!matches("https://app.example.com", "https://app.example.com."));
    assert!(!matches("*", "null"));
    assert!(matches("null", "null"));
}

#[test]
fn subdomains_are_below_the_name_at_the_same_port() {
    let pattern = "https://*.example.com";
    assert!(matches(pattern, "https://a.example.com") && matches(pattern, "https://a.b.example.com"));
    for other in [
        "https://example.com",
        "https://.example.com",
        "https://evilexample.com",
        "https://a.example.com:8443",
        "http://a.example.com",
        "https://a.example.com.evil.test",
        "https://evil.test#.example.com",
        "https://evil.test/.example.com",
        "https://u@a.example.com",
    ] {
        assert!(!matches(pattern, other), "{other}");
    }
}

#[test]
fn only_origins_can_be_written() {
    for wrong in [
        "app.example.com",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://user@app.example.com",
        "https://app.example.com:port",
        "https://app.example.com:99999",
        "https://app.*.com",
        "https://*",
        "https://*.",
        "https://*app.example.com",
        "https://app.example.com\n",
        "",
    ] {
        assert!(OriginPattern::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn every_mistake_is_reported_with_its_place() {
    let config = json!({
        "origins": ["*", "shop"], "methods": ["get", "*"], "headers": ["x y", "*"], "expose": ["*"], "credentials": true
    });
    let problems = compile(config).err().unwrap();
    let paths: Vec<_> = problems.0.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(
        paths,
        ["origins[1]", "methods[0]", "headers[0]", "origins[0]", "methods[1]", "headers[1]", "expose[0]"]
    );
    assert!(compile(json!({})).err().unwrap().to_string().contains("names no origin"));
    assert!(compile(json!({ "origin": ["*"] })).is_err());
}

fn preflight() -> bartizan_model::Transaction {
    let mut transaction = support::transaction();
    transaction.request.method = Method::OPTIONS;
    let headers = &mut transaction.request.headers;
    headers.insert(header::ORIGIN, HeaderValue::from_static("https://evil.test"));
    headers.insert(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("GET"));
    transaction
}

#[test]
fn watching_takes_nothing_from_origins_that_are_not_named() {
    let guard = Arc::new(compile(json!({ "origins": ["https://app.example"] })).unwrap());
    let mut transaction = preflight();
    let enforced = Mounted::new(Arc::clone(&guard), Mode::Enforce);
    let refused = support::now(enforced.request_headers(&mut transaction));
    assert!(matches!(refused, Err(Stop::Denial(denial)) if denial.info.code == "cors.origin"));

    let mut transaction = preflight();
    let watched = Mounted::new(guard, Mode::Monitor);
    assert!(support::now(watched.request_headers(&mut transaction)).is_ok());
    assert_eq!(transaction.findings.len(), 1);
    let theirs = HeaderMap::from_iter([
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("https://evil.test")),
        (header::VARY, HeaderValue::from_static("Origin")),
    ]);
    let mut response = ResponseHead { status: StatusCode::OK, headers: theirs.clone(), from_upstream: true };
    watched.response_headers(&transaction, &mut response);
    assert_eq!(response.headers, theirs);

    transaction.request.method = Method::GET;
    watched.response_headers(&transaction, &mut response);
    assert_eq!(response.headers, theirs);

    let named = HeaderValue::from_static("https://app.example");
    transaction.request.headers.insert(header::ORIGIN, named.clone());
    watched.response_headers(&transaction, &mut response);
    assert_eq!(response.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], named);
}

#[test]
fn vary_is_appended_and_never_lost() {
    let guard = compile(json!({ "origins": ["https://app.example"] })).unwrap();
    for (theirs, expected) in [
        (vec![], vec!["Origin"]),
        (vec!["Accept"], vec!["Accept", "Origin"]),
        (vec!["Accept", "accept-encoding, ORIGIN"], vec!["Accept", "accept-encoding, ORIGIN"]),
        (vec!["*"], vec!["*"]),
        (vec!["X-Origin"], vec!["X-Origin", "Origin"]),
    ] {
        let mut response =
            ResponseHead { status: StatusCode::OK, headers: HeaderMap::new(), from_upstream: true };
        for value in theirs {
            response.headers.append(header::VARY, HeaderValue::from_static(value));
        }
        guard.response_headers(&support::transaction(), &mut response);
        let vary: Vec<_> = response.headers.get_all(header::VARY).iter().collect();
        assert_eq!(vary, expected);
    }
}
