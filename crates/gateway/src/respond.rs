//! The only place that writes a gateway-made response: RFC 9457 problems, trailers-only status for gRPC, redirects.

use std::sync::Arc;

use bartizan_model::{Answer, Denial, Problem, ReasonInfo, ResponseHead, Scheme, Severity, Stop, Verdict};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};

use crate::{
    body::ReplyBody,
    ingress::canonical::default_port,
    metadata,
    record::{Ending, Record},
    upstream::UpstreamFailure,
};

/// Names the event of a refusal, so that a client can quote it.
pub const EVENT_HEADER: HeaderName = HeaderName::from_static("x-bartizan-event");

/// A refusal or failure of the gateway's own, outside the guards.
#[must_use]
pub fn own_denial(
    stage: &'static str,
    code: &'static str,
    status: StatusCode,
    verdict: Verdict,
    detail: &'static str,
) -> Box<Denial> {
    let severity = if verdict == Verdict::Error { Severity::Low } else { Severity::Medium };
    Box::new(Denial {
        guard: stage,
        info: ReasonInfo {
            code,
            status,
            severity,
            verdict,
            public: status.canonical_reason().unwrap_or("Refused"),
        },
        detail: detail.into(),
        remedy: None,
        headers: Vec::new(),
        errors: Vec::new(),
    })
}

/// The one table from upstream failures to responses (RFC 9110 sections 15.6.3 to 15.6.5).
#[must_use]
pub fn upstream_denial(why: UpstreamFailure) -> Box<Denial> {
    use UpstreamFailure as F;
    let (code, status, detail) = match why {
        F::NoneAvailable => ("upstream.unavailable", 503, "every backend is out by health or ejection"),
        F::Exhausted => ("upstream.exhausted", 503, "the backend's `max_connections` are all busy"),
        F::Connect => ("upstream.connect", 502, "the backend cannot be reached"),
        F::ConnectTimeout => {
            ("upstream.connect_timeout", 504, "connecting took longer than `timeouts.connect`")
        }
        F::Tls => {
            ("upstream.tls", 502, "the backend's TLS handshake failed: its certificate or name is not valid")
        }
        F::Forbidden => ("upstream.forbidden", 502, "the backend's address is this gateway's own admin API"),
        F::Broken => ("upstream.broken", 502, "the backend closed the connection or broke the protocol"),
        F::FirstByteTimeout => ("upstream.timeout", 504, "no response head within `timeouts.first_byte`"),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut denial = own_denial("upstream", code, status, Verdict::Error, detail);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        denial.headers.push((header::RETRY_AFTER, HeaderValue::from_static("1")));
    }
    denial
}

/// Answers an exchange that goes no further.
#[must_use]
pub fn stop(mut record: Box<Record>, stop: Stop) -> Response<ReplyBody> {
    match stop {
        Stop::Answer { guard, answer } => {
            record.end(Ending { verdict: Verdict::Allow, reason: None, by: Some(guard) });
            let Answer { status, headers, body } = *answer;
            finish(record, status, headers, body)
        }
        Stop::Denial(denial) => {
            record.end(Ending::of(&denial));
            refuse(record, &denial)
        }
    }
}

fn refuse(record: Box<Record>, denial: &Denial) -> Response<ReplyBody> {
    let transaction = &record.transaction;
    let mut headers = HeaderMap::new();
    for (name, value) in &denial.headers {
        let told =
            if *name == header::WWW_AUTHENTICATE { metadata::with_address(value, &record) } else { None };
        headers.append(name.clone(), told.unwrap_or_else(|| value.clone()));
    }
    if let Ok(id) = HeaderValue::from_str(&transaction.id.to_string()) {
        headers.insert(EVENT_HEADER, id);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if is_grpc(&transaction.request.headers) {
        // A gRPC client reads the status from trailers; without a body they are the head (trailers-only).
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(
            HeaderName::from_static("grpc-status"),
            HeaderValue::from(grpc_status(denial.info.status)),
        );
        let message = format!("{} ({})", denial.info.public, transaction.id);
        if let Ok(message) = HeaderValue::from_str(&message.replace('%', "%25")) {
            headers.insert(HeaderName::from_static("grpc-message"), message);
        }
        return finish(record, StatusCode::OK, headers, Bytes::new());
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    // Which check a credential failed is told to operators only: the challenge says what the client may know.
    // Whose an object is, and whether it exists, is told by no code either.
    let code = match denial.info.code {
        _ if denial.guard == "identity" && denial.info.verdict == Verdict::Challenge => "identity.challenge",
        "ownership.enumeration" => "rate_limit.exceeded",
        "ownership.parameter_conflict" => denial.info.code,
        _ if denial.guard == "ownership" && denial.info.status == StatusCode::NOT_FOUND => "not_found",
        _ if denial.guard == "ownership" => "forbidden",
        code => code,
    };
    let problem = Problem::new(code, denial.info.public, denial.info.status, transaction.id)
        .with_errors(denial.errors.clone());
    let body = if transaction.request.method == Method::HEAD { String::new() } else { problem.to_json() };
    finish(record, denial.info.status, headers, Bytes::from(body))
}

/// Every guard looks at the head once more (CORS, security headers), then it is written.
fn finish(
    mut record: Box<Record>,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
) -> Response<ReplyBody> {
    let mut head = ResponseHead { status, headers, from_upstream: false };
    dress(&record, &mut head);
    let must_close = record.transaction.request.version < Version::HTTP_2
        && (record.connection.body_refusal().is_some() || record.transaction.request.host.is_empty());
    if must_close {
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    record.status = head.status.as_u16();
    let mut response = Response::new(ReplyBody::own(body, record));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

/// What every response gets, whoever made it: guards' fields and HSTS (RFC 6797 section 7.2: only over TLS).
pub fn dress(record: &Record, head: &mut ResponseHead) {
    let transaction = &record.transaction;
    for (name, value) in &transaction.response_headers {
        head.headers.append(name.clone(), value.clone());
    }
    if let Some(operation) = &record.operation {
        operation.guards.response_headers(transaction, head);
    }
    if transaction.request.scheme == Scheme::Https
        && let Some(age) = hsts(record)
        && !head.headers.contains_key(header::STRICT_TRANSPORT_SECURITY)
        && let Ok(value) = HeaderValue::from_str(&format!("max-age={age}; includeSubDomains"))
    {
        head.headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
}

/// The `max-age` of HSTS: the API's, or where none was found the shortest of all.
fn hsts(record: &Record) -> Option<u64> {
    match &record.api {
        Some(api) => api.hsts,
        None => record.active.snapshot.apis.iter().map(|api| api.hsts).min().flatten(),
    }
}

/// 308 to the same URL under `https`.
#[must_use]
pub fn redirect(mut record: Box<Record>, port: u16) -> Response<ReplyBody> {
    let request = &record.transaction.request;
    let target = if port == default_port(Scheme::Https) {
        format!("https://{}{}", request.host, request.path_and_query())
    } else {
        format!("https://{}:{port}{}", request.host, request.path_and_query())
    };
    record.end(Ending {
        verdict: Verdict::Deny,
        reason: Some("listener.redirect_to_https"),
        by: Some("listener"),
    });
    let mut headers = HeaderMap::new();
    if let Ok(location) = HeaderValue::from_str(&target) {
        headers.insert(header::LOCATION, location);
    }
    if record.transaction.request.version < Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    finish(record, StatusCode::PERMANENT_REDIRECT, headers, Bytes::new())
}

/// Whether the client speaks gRPC.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|v| {
        let v = v.as_bytes();
        v == b"application/grpc" || v.starts_with(b"application/grpc+") || v.starts_with(b"application/grpc;")
    })
}

/// The gRPC project's mapping from HTTP statuses to its own, where that has a better fit than `UNKNOWN`.
fn grpc_status(status: StatusCode) -> u16 {
    match status.as_u16() {
        400 | 414 | 431 => 3,
        401 => 16,
        403 => 7,
        404 | 405 | 501 => 12,
        408 | 504 => 4,
        413 | 429 => 8,
        502 | 503 => 14,
        _ => 2,
    }
}

/// The record's label when no API or operation was found.
#[must_use]
pub fn no_label() -> Arc<str> {
    Arc::from("")
}
