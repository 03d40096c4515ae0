//! What heads say of requests and answers, and the answers that stand in for others.

use bartizan_model::{Answer, Problem, ResponseHead, Transaction};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

/// What the gateway calls the event of a refusal.
const EVENT: HeaderName = HeaderName::from_static("x-bartizan-event");

pub(super) fn is_websocket(transaction: &Transaction) -> bool {
    let asked = |name: &HeaderName, value: &HeaderValue| {
        *name == header::UPGRADE
            && value.as_bytes().to_ascii_lowercase().windows(9).any(|word| word == b"websocket")
    };
    transaction.request.removed.iter().any(|(name, value)| asked(name, value))
        || transaction.request.headers.iter().any(|(name, value)| asked(name, value))
        || transaction.request.method == Method::CONNECT
}

pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    String::from_utf8_lossy(essence.trim_ascii()).to_ascii_lowercase()
}

pub(super) fn is_stream(headers: &HeaderMap) -> bool {
    let essence = media_type(headers);
    essence == "text/event-stream"
        || essence == "application/grpc"
        || essence.starts_with("application/grpc+")
}

/// One JSON document a line.
pub(super) fn is_lines(headers: &HeaderMap) -> bool {
    let essence = media_type(headers);
    let known =
        ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"];
    known.contains(&essence.as_str())
        || essence == "application/json-lines"
        || essence == "application/jsonlines"
}

/// Lets shared caches keep nothing of it (RFC 9111 section 5.2.2.7).
pub(super) fn keep_private(headers: &mut HeaderMap) {
    let values: Vec<String> = headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .map(|directive| directive.trim().to_owned())
        .filter(|directive| !directive.is_empty())
        .collect();
    let is = |directive: &str, name: &str| {
        directive.split('=').next().unwrap_or_default().trim().eq_ignore_ascii_case(name)
    };
    if values.iter().any(|one| is(one, "no-store") || one.eq_ignore_ascii_case("private")) {
        return;
    }
    let mut kept: Vec<String> = values
        .into_iter()
        .filter(|one| !is(one, "public") && !is(one, "s-maxage") && !is(one, "private"))
        .collect();
    kept.push("private".to_owned());
    if let Ok(value) = HeaderValue::from_str(&kept.join(", ")) {
        headers.insert(header::CACHE_CONTROL, value);
    }
}

/// What a missing object looks like: the same as one that is somebody else's.
pub(super) fn not_there(transaction: &Transaction) -> Answer {
    problem(transaction, "not_found", "Not Found", StatusCode::NOT_FOUND, HeaderMap::new())
}

/// An error without what came with it.
pub(super) fn error_alone(transaction: &Transaction, head: &ResponseHead) -> Answer {
    let mut headers = HeaderMap::new();
    for name in [header::RETRY_AFTER, header::WWW_AUTHENTICATE, header::ALLOW] {
        for value in head.headers.get_all(&name) {
            headers.append(&name, value.clone());
        }
    }
    let title = head.status.canonical_reason().unwrap_or("Error");
    problem(transaction, "upstream_error", title, head.status, headers)
}

/// A problem, as the gateway writes those of refusals.
fn problem(
    transaction: &Transaction,
    code: &str,
    title: &'static str,
    status: StatusCode,
    mut headers: HeaderMap,
) -> Answer {
    if let Ok(id) = HeaderValue::from_str(&transaction.id.to_string()) {
        headers.insert(EVENT, id);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    let head_only = transaction.request.method == Method::HEAD;
    let body =
        if head_only { String::new() } else { Problem::new(code, title, status, transaction.id).to_json() };
    Answer { status, headers, body: body.into() }
}

/// What a head says of a body that is not sent as it came (RFC 9110 section 8, RFC 9530, RFC 9421).
const OF_BODY: [HeaderName; 11] = [
    header::ACCEPT_RANGES,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::ETAG,
    header::LAST_MODIFIED,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("signature"),
    HeaderName::from_static("signature-input"),
];

/// Takes out of a head, or of trailers, what they say of a body that is not sent as it came.
pub fn forget_body(headers: &mut HeaderMap) {
    for name in OF_BODY {
        headers.remove(name);
    }
}

/// Makes a head say what another body needs.
pub fn describe(headers: &mut HeaderMap, body: &[u8]) {
    forget_body(headers);
    headers.remove(header::TRAILER);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
}
