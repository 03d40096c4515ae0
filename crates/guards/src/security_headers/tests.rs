//! `security_headers`: what its settings accept, and which responses are left alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use bartizan_model::{Diagnostics, Guard, ResponseHead};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::SecurityHeaders;
use crate::support;

fn compile(config: Value) -> Result<SecurityHeaders, Diagnostics> {
    support::compile_alone(config)
}

fn response(config: Value, status: u16, content_type: Option<&'static str>) -> HeaderMap {
    let guard = compile(config).unwrap();
    let mut headers = HeaderMap::new();
    headers.extend(content_type.map(|value| (header::CONTENT_TYPE, HeaderValue::from_static(value))));
    let mut head =
        ResponseHead { status: StatusCode::from_u16(status).unwrap(), headers, from_upstream: true };
    guard.response_headers(&support::transaction(), &mut head);
    head.headers
}

#[test]
fn data_is_told_from_documents() {
    for data in [
        "application/json",
        "application/problem+json",
        "Application/JSON; charset=utf-8",
        "text/event-stream",
        "text/plain; charset=utf-8",
        "application/grpc+proto",
        "application/octet-stream",
    ] {
        let headers = response(json!({}), 200, Some(data));
        assert!(headers.contains_key(header::CONTENT_SECURITY_POLICY), "{data}");
        assert_eq!(headers[header::X_FRAME_OPTIONS], "DENY", "{data}");
    }
    for document in [
        "text/html",
        "application/pdf",
        "image/svg+xml",
        "text/javascript",
        "application/xhtml+xml",
        "video/mp4",
    ] {
        let headers = response(json!({}), 200, Some(document));
        assert!(!headers.contains_key(header::CONTENT_SECURITY_POLICY), "{document}");
        assert!(!headers.contains_key("cross-origin-resource-policy"), "{document}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{document}");
    }
}

#[test]
fn switching_protocols_gets_nothing() {
    assert!(response(json!({}), 101, None).is_empty());
    assert!(response(json!({}), 304, None).is_empty());
}

#[test]
fn everything_can_be_switched_off() {
    let off = json!({
        "nosniff": false, "content_security_policy": "off", "referrer_policy": "off", "frame_options": false,
        "cross_origin_resource_policy": "off", "cache_control": "off", "hide_software": false
    });
    assert!(response(off, 200, None).is_empty());
}

#[test]
fn a_framing_field_cannot_be_edited() {
    for name in
        ["Content-Length", "transfer-encoding", "Connection", "keep-alive", "upgrade", "TE", "trailer"]
    {
        let config = json!({ "set": { name: "x" }, "remove": [name] });
        let problems = compile(config).err().unwrap();
        let paths: Vec<_> = problems.0.iter().map(|p| p.path.clone()).collect();
        assert_eq!(paths, [format!("set.{name}"), "remove[0]".to_owned()]);
    }
}

#[test]
fn values_that_would_split_the_response_are_errors() {
    for value in ["a\r\nset-cookie: b=c", "a\nb", "", " a", "a\u{e9}"] {
        let problems = compile(json!({ "set": { "x-a": value }, "referrer_policy": value })).err().unwrap();
        assert_eq!(problems.0.len(), 2, "{value:?}");
    }
    assert!(compile(json!({ "set": { "x a": "b" } })).is_err());
    assert!(
        compile(json!({ "set": { "access-control-allow-origin": "*" } }))
            .err()
            .unwrap()
            .to_string()
            .contains("`cors`")
    );
    assert!(compile(json!({ "frame_options": true })).is_err());
}
