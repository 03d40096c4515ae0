//! What the gateway would decide about one request, told step by step; nothing is forwarded, counted or recorded.

use std::{net::SocketAddr, sync::Arc};

use bartizan_model::{Scheme, Stop};
use bartizan_pattern::http1::{HeadBounds, Progress, Scanner};
use http::{Method, Request, Version};
use serde_json::{Value, json};

use crate::{connection::Connection, gateway::Gateway, pipeline, record::Ending};

/// Decides about the raw HTTP/1.1 request in `raw`, as if it came from `peer`.
///
/// Line ends may be bare line feeds, as editors write them, and a missing empty line at the end is added.
///
/// # Errors
/// The text is not a request; one sentence.
pub async fn explain(
    gateway: &Arc<Gateway>,
    raw: &[u8],
    peer: SocketAddr,
    scheme: Scheme,
) -> Result<Value, String> {
    let raw = normalize_lines(raw);
    let active = gateway.active();
    let bounds = &active.snapshot.bounds;
    let mut scanner = Scanner::new(HeadBounds {
        target_bytes: bounds.target_bytes,
        header_count: bounds.header_count,
        header_bytes: bounds.header_bytes,
    });
    match scanner.scan(&raw) {
        Progress::Head { .. } => {}
        Progress::Refuse(why) => {
            return Ok(json!({
                "verdict": "deny",
                "status": why.status(),
                "reason": why.code(),
                "by": "ingress",
                "detail": why.detail(),
                "steps": [{ "guard": "ingress", "phase": "request_headers", "mode": "enforce",
                            "decision": "refused", "code": why.code() }],
            }));
        }
        Progress::NeedMore | Progress::Body { .. } => {
            return Err("the head is not complete: expected a request line, header lines and an empty line"
                .to_owned());
        }
    }
    let request = parse(&raw)?;
    let connection = Connection::new(peer, peer.ip(), scheme, None, None);
    let (mut parts, ()) = request.into_parts();
    let mut record = pipeline::begin(gateway, &connection, &parts);
    record.silent = true;
    record.transaction.probe = true;
    record.transaction.trace = Some(Vec::new());
    let decided = pipeline::decide(&mut record, &mut parts).await;
    let (status, ending) = match &decided {
        Ok(_) => (None, None),
        Err(Stop::Answer { guard, answer }) => (
            Some(answer.status.as_u16()),
            Some(Ending { verdict: bartizan_model::Verdict::Allow, reason: None, by: Some(guard) }),
        ),
        Err(Stop::Denial(denial)) => (Some(denial.info.status.as_u16()), Some(Ending::of(denial))),
    };
    let transaction = &record.transaction;
    let detail = match &decided {
        Err(Stop::Denial(denial)) => Some(denial.detail.to_string()),
        _ => None,
    };
    Ok(json!({
        "verdict": ending.map_or("allow", |e| e.verdict.as_str()),
        "status": status,
        "reason": ending.and_then(|e| e.reason),
        "by": ending.and_then(|e| e.by),
        "detail": detail,
        "api": transaction.api,
        "operation": transaction.operation,
        "method": transaction.request.method.as_str(),
        "path": transaction.request.path,
        "client": transaction.client.ip,
        "principal": transaction.principal.as_ref().map(|p| json!({ "subject": p.subject, "issuer": p.issuer })),
        "findings": transaction.findings,
        "steps": transaction.trace,
        "generation": active.snapshot.generation,
    }))
}

/// Editors end lines with a line feed; the strict reader wants what the wire has.
fn normalize_lines(raw: &[u8]) -> Vec<u8> {
    let head_end = raw.windows(2).position(|w| w == b"\n\n").map(|at| at + 2);
    if raw.windows(4).any(|w| w == b"\r\n\r\n") {
        return raw.to_vec();
    }
    let (head, body) = raw.split_at_checked(head_end.unwrap_or(raw.len())).unwrap_or((raw, &[]));
    let mut out = Vec::with_capacity(raw.len() + 64);
    for line in head.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out
}

/// A head that the strict reader has passed, as the HTTP library would see it.
fn parse(raw: &[u8]) -> Result<Request<()>, String> {
    let text = raw.windows(4).position(|w| w == b"\r\n\r\n").and_then(|end| raw.get(..end)).unwrap_or(raw);
    let mut lines = text.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.find(|line| !line.is_empty()).unwrap_or_default();
    let first = std::str::from_utf8(first).map_err(|_| "the request line is not ASCII")?;
    let mut words = first.split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let mut request = Request::builder()
        .method(
            method.and_then(|m| Method::from_bytes(m.as_bytes()).ok()).ok_or("the method is not a token")?,
        )
        .uri(target.ok_or("the request line has no target")?)
        .version(if version == Some("HTTP/1.0") { Version::HTTP_10 } else { Version::HTTP_11 });
    for line in lines {
        let colon = line.iter().position(|&b| b == b':').ok_or("a header line has no colon")?;
        let (name, value) = line.split_at_checked(colon).unwrap_or((line, &[]));
        request = request.header(name, value.get(1..).unwrap_or_default().trim_ascii());
    }
    request.body(()).map_err(|e| format!("the request cannot be read: {e}"))
}
