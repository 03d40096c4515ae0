//! What the gateway would decide about one request, told step by step; nothing is forwarded, counted or recorded.

use std::{net::SocketAddr, sync::Arc};

use bartizan_guards::{
    access::{Access, Report},
    waf::{Trusted, Waf},
};
use bartizan_model::{Finding, Guard as _, Mode, Principal, Scheme, Stop, Transaction, diagnostic::Place};
use bartizan_pattern::http1::{HeadBounds, HeadRefusal, Progress, Scanner};
use bartizan_policy::snapshot::{BackendSpec, Snapshot};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Version, header};
use serde_json::{Value, json};

use crate::{client_body::ClientBody, connection::Connection, gateway::Gateway, pipeline, record::Ending};

/// Decides about the raw HTTP/1.1 request in `raw`, as if it came from `peer`.
///
/// Line ends may be bare line feeds, as editors write them, and a missing empty line at the end is added.
///
/// The answer is an object of `verdict` (`allow`, `deny`, `challenge` or `throttle`), `status` (null where the upstream
/// would answer), `reason` and `by` (the code, and the guard or stage that decided), `detail`, `api`, `base_path`,
/// `operation`, `mode`, `method`, `path`, `client`, `principal`, `allowed_by`, `access`, `findings`, `score` and `steps` as events have them, `trusted` (values that the contract proved harmless to rules), `backends` (where
/// it could go), `place` (where the policy says what decided, `file:line:column`) and `generation`. What is not known is null
/// or missing.
///
/// # Errors
/// The text is not a request; one sentence that names the line.
pub async fn explain(
    gateway: &Arc<Gateway>,
    raw: &[u8],
    peer: SocketAddr,
    scheme: Scheme,
) -> Result<Value, String> {
    explain_as(gateway, raw, peer, scheme, None).await
}

/// The same, as if the request came from `caller`, who needs no credential. The answer has `access` besides: everything that
/// the decision about what the caller may do looked at.
///
/// # Errors
/// As [`explain`].
pub async fn explain_as(
    gateway: &Arc<Gateway>,
    raw: &[u8],
    peer: SocketAddr,
    scheme: Scheme,
    caller: Option<Arc<Principal>>,
) -> Result<Value, String> {
    looks_like_a_request(raw)?;
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
        Progress::Refuse(why) => return Ok(refused_at_the_door(&active.snapshot, why, peer)),
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
    record.assumed = caller;
    record.transaction.probe = true;
    record.transaction.trace = Some(Vec::new());
    let head_end = raw.windows(4).position(|w| w == b"\r\n\r\n").map_or(raw.len(), |at| at + 4);
    let told = Bytes::copy_from_slice(raw.get(head_end..).unwrap_or_default());
    // A body in a text needs no length; on the wire it has one.
    if !told.is_empty() && !parts.headers.contains_key(header::TRANSFER_ENCODING) {
        parts.headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(told.len()));
    }
    let mut body = ClientBody::Told(told);
    let decided = pipeline::decide(&mut record, &mut parts, &mut body).await;
    let (status, ending) = match &decided {
        Ok(_) => (None, None),
        Err(Stop::Answer { guard, answer }) => (
            Some(answer.status.as_u16()),
            Some(Ending { verdict: bartizan_model::Verdict::Allow, reason: None, by: Some(guard) }),
        ),
        Err(Stop::Denial(denial)) => (Some(denial.info.status.as_u16()), Some(Ending::of(denial))),
    };
    let path = record.told_path();
    // The question ends here: what guards sum up at the end belongs into the answer.
    if let Some(operation) = record.operation.take() {
        operation.guards.settle(&mut record.transaction);
    }
    let transaction = &record.transaction;
    let detail = match &decided {
        Err(Stop::Denial(denial)) => Some(denial.detail.to_string()),
        _ => None,
    };
    let reason = ending.and_then(|ending| ending.reason);
    let api = record.api.as_deref();
    let backends = api.map(|api| api.upstream.backends.iter().map(backend).collect::<Vec<_>>());
    let place = deciding(transaction, reason)
        .and_then(|(code, mode)| {
            let request = &transaction.request;
            policy_place(
                &active.snapshot,
                &transaction.api,
                request.method.as_str(),
                &request.path,
                code,
                mode,
            )
        })
        .map(|place| place.to_string());
    Ok(json!({
        "verdict": ending.map_or("allow", |e| e.verdict.as_str()),
        "status": status,
        "reason": reason,
        "by": ending.and_then(|e| e.by),
        "detail": detail,
        "api": transaction.api,
        "base_path": api.map(|api| &api.base_path),
        "operation": transaction.operation,
        "mode": api.map(|api| api.mode),
        "method": transaction.request.method.as_str(),
        "path": path,
        "client": transaction.client.ip,
        "principal": transaction.principal.as_ref().map(|p| json!({
            "subject": p.subject, "issuer": p.issuer, "credential": p.kind,
        })),
        "allowed_by": transaction.allowed_by,
        "access": transaction.memory.get::<Report>(Access::ID),
        "findings": transaction.findings,
        "score": transaction.score.as_ref().filter(|score| !score.rules.is_empty()),
        "trusted": transaction.memory.get::<Trusted>(Waf::ID).filter(|trusted| trusted.count > 0),
        "steps": transaction.trace,
        "backends": backends,
        "place": place,
        "generation": active.snapshot.generation,
    }))
}

fn backend(spec: &BackendSpec) -> String {
    let BackendSpec { host, port, .. } = spec;
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What nobody reads further than its head.
fn refused_at_the_door(snapshot: &Snapshot, why: HeadRefusal, peer: SocketAddr) -> Value {
    json!({
        "verdict": "deny",
        "status": why.status(),
        "reason": why.code(),
        "by": "ingress",
        "detail": why.detail(),
        "client": peer.ip(),
        "steps": [{ "guard": "ingress", "phase": "request_headers", "mode": "enforce",
                    "decision": "refused", "code": why.code() }],
        "generation": snapshot.generation,
    })
}

/// The code and mode of what decided, or of the first that is only watched.
fn deciding(transaction: &Transaction, reason: Option<&'static str>) -> Option<(&'static str, Mode)> {
    match reason {
        Some(code) => Some((code, Mode::Enforce)),
        None => transaction
            .findings
            .iter()
            .find(|finding: &&Finding| finding.mode == Mode::Monitor)
            .map(|finding| (finding.code, Mode::Monitor)),
    }
}

/// Where a policy says what decided with this reason code: about a request of an API by method and canonical path.
#[must_use]
pub fn policy_place<'s>(
    snapshot: &'s Snapshot,
    api: &str,
    method: &str,
    path: &str,
    code: &str,
    mode: Mode,
) -> Option<&'s Place> {
    let (guard, reason) = code.split_once('.')?;
    let of_issuer =
        ["audience", "algorithm_not_accepted", "type_not_accepted", "lifetime_too_long", "unknown_issuer"];
    let own_mode = format!("{guard}.mode");
    let mut keys: Vec<&str> = match guard {
        "identity" if of_issuer.contains(&reason) => return snapshot.places.document("issuers"),
        "identity" if reason == "missing" => vec!["identity.anonymous", "identity"],
        "ingress" => return snapshot.places.document("bounds").filter(|_| reason.contains("too_")),
        "route" if reason != "no_api" => vec!["unknown_operations", "contract"],
        "route" | "ban" | "upstream" | "client" | "listener" => return None,
        guard => vec![guard],
    };
    if mode == Mode::Monitor {
        keys.splice(0..0, [own_mode.as_str(), "mode"]);
    }
    let found = snapshot.apis.iter().find(|known| *known.name == *api)?;
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    snapshot.places.setting(api, &found.operations.blocks_of(&method, path), &keys)
}

/// A file of another kind is told as such, instead of as a request that is refused.
fn looks_like_a_request(raw: &[u8]) -> Result<(), String> {
    const WANTED: &str = "expected a request as text, which begins as `GET /accounts HTTP/1.1`";
    let lines = raw.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).enumerate();
    let Some((at, line)) = lines.into_iter().find(|(_, line)| !line.is_empty()) else {
        return Err(format!("line 1: there is nothing; {WANTED}"));
    };
    let words = line.split(|&b| b == b' ').filter(|word| !word.is_empty());
    let marked = matches!(line, [b'>' | b'*', b' ', ..]);
    if !marked
        && words.clone().count() >= 2
        && words.clone().next_back().is_some_and(|word| word.starts_with(b"HTTP/"))
    {
        return Ok(());
    }
    let kind = match line {
        [b'{' | b'[', ..] => "this is JSON",
        [b'<', ..] => "this is markup",
        [b'>' | b'*', ..] => "this is what `curl -v` tells, with a mark before each line",
        _ if line.starts_with(b"curl ") => "this is a command",
        _ if line.starts_with(b"HTTP/") => "this is a response",
        _ => "this is no request line",
    };
    Err(format!("line {}: {kind}; {WANTED}", at + 1))
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
