//! One canonical request from what the HTTP library hands over; what could be read in two ways is refused.

use bartizan_model::{CanonicalRequest, Denial, ReasonInfo, Scheme, Severity, Verdict};
use bartizan_pattern::{
    http1::is_authority,
    path::{PathRefusal, PathRules, canonical},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{self, Entry},
    request::Parts,
};
use hyper::ext::Protocol;
use smallvec::SmallVec;

use crate::connection::Connection;

/// Bounds on a head that the HTTP/2 library does not count itself.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Header fields.
    pub header_count: usize,
    /// Bytes of path and query.
    pub target_bytes: usize,
}

/// Headers by which a client could name another method or target than the one that guards see. Underscores count as
/// dashes: some servers fold them.
const OVERRIDES: &[&str] = &[
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-override-url",
    "x-rewrite-uri",
    "x-rewrite-url",
    "x-forwarded-prefix",
    "x-forwarded-path",
    "x-forwarded-uri",
    "x-forwarded-method",
    "x-envoy-original-path",
    "x-accel-redirect",
    "x-sendfile",
];

/// Hop-by-hop fields (RFC 9110 section 7.6.1) that end at this gateway in both directions.
#[must_use]
pub fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

/// The target of an `OPTIONS` request that concerns the server as a whole (RFC 9112 section 3.2.4).
pub const SERVER: &str = "*";

/// Fields that are removed from trailers, beside hop-by-hop and reserved ones.
const NOT_IN_TRAILERS: &[&str] = &[
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "max-forwards",
    "origin",
    "range",
    "trailer",
    "x-real-ip",
    "x-request-id",
];

/// An upgrade that the client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// WebSocket over HTTP/1.1 (RFC 6455 section 4.1).
    WebSocket,
    /// WebSocket over HTTP/2 (RFC 8441).
    ExtendedConnect,
}

/// A request head after the ingress rules, save for the path, whose rules depend on the API.
#[derive(Debug)]
pub struct Head {
    /// The canonical request; `path` holds the strict or lenient canonical form until the route is known.
    pub request: CanonicalRequest,
    /// The path as sent.
    pub raw_path: String,
    /// The upgrade that is asked for.
    pub upgrade: Option<Upgrade>,
    /// `TE: trailers` was sent.
    pub trailers: bool,
}

/// A refusal by the ingress rules.
#[must_use]
pub fn refusal(
    code: &'static str,
    status: u16,
    detail: impl Into<std::borrow::Cow<'static, str>>,
) -> Box<Denial> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    Box::new(Denial {
        guard: "ingress",
        info: ReasonInfo {
            code,
            status,
            severity: Severity::Medium,
            verdict: Verdict::Deny,
            public: status.canonical_reason().unwrap_or("Bad Request"),
        },
        detail: detail.into(),
        remedy: None,
        headers: Vec::new(),
        errors: Vec::new(),
    })
}

/// The refusal of a path.
#[must_use]
pub fn path_refusal(why: PathRefusal) -> Box<Denial> {
    refusal(why.code(), 400, why.detail())
}

/// What is tolerated only where an API says so.
const LENIENT: PathRules = PathRules { encoded_slash: true, parameters: true };

/// Builds the canonical request.
///
/// # Errors
/// The request is ambiguous or out of bounds.
pub fn head(parts: &mut Parts, connection: &Connection, limits: HeadLimits) -> Result<Head, Box<Denial>> {
    let headers = std::mem::take(&mut parts.headers);
    if headers.len() > limits.header_count {
        return Err(refusal(
            "ingress.too_many_headers",
            431,
            "more header fields than `bounds.header_count`",
        ));
    }
    // RFC 9113 section 8.2.1; over HTTP/1 such spaces are no part of the value.
    let padded = |value: &http::HeaderValue| {
        let bytes = value.as_bytes();
        matches!(bytes.first(), Some(b' ' | b'\t')) || matches!(bytes.last(), Some(b' ' | b'\t'))
    };
    if parts.version >= Version::HTTP_2 && headers.values().any(padded) {
        return Err(refusal("ingress.field_value", 400, "a field value begins or ends with white space"));
    }
    let protocol = parts.extensions.get::<Protocol>();
    let upgrade = upgrade(&parts.method, parts.version, protocol, &headers)?;
    if parts.method == Method::CONNECT && upgrade.is_none() {
        return Err(refusal("ingress.connect", 501, "this is no forward proxy: `CONNECT` is refused"));
    }
    // RFC 8441 only changes how the upgrade is asked for: rules for `GET` hold for it, too.
    let method = if upgrade.is_some() { Method::GET } else { parts.method.clone() };
    if parts.method == Method::TRACE {
        return Err(refusal("ingress.trace", 405, "`TRACE` would reflect credentials and is refused"));
    }
    let (host, port) = authority(parts, &headers)?;
    // Over HTTP/2 the client's `:scheme` says little behind another TLS end; over HTTP/1 it is part of the target.
    let known = |scheme: &str| scheme == "http" || scheme == "https";
    if let Some(scheme) = parts.uri.scheme_str()
        && scheme != connection.scheme.as_str()
        && (parts.version < Version::HTTP_2 || !known(scheme))
    {
        return Err(refusal("ingress.scheme", 400, "the scheme of the target is not the connection's"));
    }
    let raw_path = if parts.uri.path().is_empty() { "/" } else { parts.uri.path() };
    if raw_path == SERVER && method != Method::OPTIONS {
        return Err(refusal("ingress.target", 400, "the target `*` belongs to `OPTIONS` alone"));
    }
    let query = parts.uri.query();
    if raw_path.len() + query.map_or(0, str::len) > limits.target_bytes {
        return Err(refusal(
            "ingress.target_too_long",
            414,
            "the target is longer than `bounds.target_bytes`",
        ));
    }
    if query.is_some_and(|q| q.bytes().any(|b| !b.is_ascii_graphic() || b == b'#')) {
        return Err(refusal("ingress.query", 400, "the query has bytes that are not visible ASCII"));
    }
    let path = if raw_path == SERVER {
        raw_path.to_owned()
    } else {
        canonical(raw_path, PathRules::default())
            .or_else(|_| canonical(raw_path, LENIENT))
            .map_err(path_refusal)?
    };
    let content_length = content_length(&headers)?;
    let sent = (raw_path != path || parts.uri.path().is_empty())
        .then(|| parts.uri.path_and_query().map_or(raw_path, http::uri::PathAndQuery::as_str).into());
    let raw_path = raw_path.to_owned();
    let trailers = tokens(&headers, header::TE).any(|coding| coding.eq_ignore_ascii_case("trailers"));
    let mut headers = headers;
    let of_connection = headers.iter().filter(|(name, _)| is_hop_by_hop(name.as_str()));
    let removed = of_connection.map(|(name, value)| (name.clone(), value.clone())).collect();
    strip_hop_by_hop(&mut headers);
    // Several cookie fields are legal in HTTP/2 only to compress better (RFC 9113 section 8.2.3): one line for all else.
    join_cookies(&mut headers);
    Ok(Head {
        request: CanonicalRequest {
            method,
            scheme: connection.scheme,
            host,
            port,
            path,
            query: query.map(str::to_owned),
            sent,
            headers,
            removed,
            version: parts.version,
            content_length,
        },
        raw_path,
        upgrade,
        trailers,
    })
}

/// Applies the rules of the chosen API to a path as it was sent.
///
/// # Errors
/// The path needs a tolerance that the API does not give.
pub fn settle_path(raw_path: &str, rules: PathRules) -> Result<String, Box<Denial>> {
    if raw_path == SERVER {
        Ok(raw_path.to_owned())
    } else {
        canonical(raw_path, rules).map_err(path_refusal)
    }
}

/// Removes what clients may not say: overrides of method and target (unless `allowed`), and this gateway's own names,
/// with underscores (and what else is neither letter nor digit) read as dashes. Answers what was removed.
pub fn strip_reserved(headers: &mut HeaderMap, allowed: &[HeaderName]) -> Vec<(HeaderName, HeaderValue)> {
    let doomed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            let suspicious =
                name.starts_with('x') || name.bytes().any(|b| b != b'-' && !b.is_ascii_alphanumeric());
            suspicious && is_reserved(name) && !allowed.iter().any(|a| a.as_str() == name)
        })
        .cloned()
        .collect();
    let mut removed = Vec::new();
    for name in doomed {
        if let Entry::Occupied(entry) = headers.entry(name.clone()) {
            removed.extend(entry.remove_entry_mult().1.map(|value| (name.clone(), value)));
        }
    }
    removed
}

/// Removes from a request's trailers what some server would merge into its head: fields of framing, routing, identity and
/// of how the content is to be read (RFC 9110 section 6.5.1). Over HTTP/1 the strict reader has refused most of them.
pub fn strip_trailers(trailers: &mut HeaderMap) {
    strip_hop_by_hop(trailers);
    strip_reserved(trailers, &[]);
    let doomed: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| NOT_IN_TRAILERS.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded"))
        .cloned()
        .collect();
    for name in doomed {
        trailers.remove(name);
    }
}

fn is_reserved(name: &str) -> bool {
    // CGI and its heirs make one name of all that is neither letter nor digit.
    let dashed = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let underscored = dashed != name;
    dashed.starts_with("x-bartizan-")
        || OVERRIDES.contains(&dashed.as_str())
        || underscored
            && (dashed.starts_with("x-forwarded")
                || dashed.starts_with("x-real-ip")
                || dashed.starts_with("x-request-id")
                || matches!(
                    dashed.as_str(),
                    "forwarded" | "content-length" | "transfer-encoding" | "content-type"
                ))
}

/// Removes hop-by-hop fields and those that `Connection` lists.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Most messages have none, or `Connection` alone: one pass over the names decides.
    let found: SmallVec<[HeaderName; 4]> =
        headers.keys().filter(|name| is_hop_by_hop(name.as_str())).cloned().collect();
    if found.is_empty() {
        return;
    }
    let mut connection = headers.get_all(header::CONNECTION).iter().map(http::HeaderValue::as_bytes);
    let plain =
        |value: &[u8]| value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close");
    if !connection.all(plain) {
        let listed: Vec<HeaderName> =
            tokens(headers, header::CONNECTION).filter_map(|token| token.parse().ok()).collect();
        for name in listed {
            headers.remove(name);
        }
    }
    // RFC 9112 section 6.3: the coding overrides the length, which must not be passed on.
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    for name in found {
        headers.remove(name);
    }
}

/// The members of a comma-separated field over all its lines.
fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter();
    lines.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let joined: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(|v| v.as_bytes()).collect();
    let joined = joined.join(&b"; "[..]);
    if let Ok(value) = http::HeaderValue::from_bytes(&joined) {
        headers.insert(header::COOKIE, value);
    }
}

/// The one authority of the request: `Host`, `:authority`, or both when they agree.
fn authority(parts: &Parts, headers: &HeaderMap) -> Result<(String, Option<u16>), Box<Denial>> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(refusal("ingress.two_hosts", 400, "more than one `Host`"));
    }
    let host = match host {
        Some(value) => Some(
            value
                .to_str()
                .map_err(|_| refusal("ingress.host", 400, "`Host` has bytes that are not visible ASCII"))?,
        ),
        None => None,
    };
    let target = parts.uri.authority().map(http::uri::Authority::as_str);
    let text = match (target, host) {
        (Some(target), Some(host)) if !same_authority(target, host, parts.uri.scheme_str()) => {
            return Err(refusal("ingress.host_mismatch", 400, "`Host` and the target's authority differ"));
        }
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) => return Err(refusal("ingress.no_host", 400, "no `Host`")),
    };
    split_authority(text)
        .ok_or_else(|| refusal("ingress.host", 400, "the host is not a valid name or address"))
}

fn same_authority(a: &str, b: &str, scheme: Option<&str>) -> bool {
    let default = if scheme == Some("https") { 443 } else { 80 };
    match (split_authority(a), split_authority(b)) {
        (Some((host_a, port_a)), Some((host_b, port_b))) => {
            host_a == host_b && port_a.unwrap_or(default) == port_b.unwrap_or(default)
        }
        _ => false,
    }
}

/// Lower-case host, without the dot of the root, and port.
fn split_authority(text: &str) -> Option<(String, Option<u16>)> {
    if !is_authority(text) {
        return None;
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port.parse::<u16>().ok()?)),
        _ => (text, None),
    };
    Some((host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(), port))
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Box<Denial>> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let digits = value.to_str().ok().filter(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit()));
    match (digits.and_then(|v| v.parse().ok()), values.next()) {
        (Some(length), None) => Ok(Some(length)),
        _ => Err(refusal("ingress.content_length", 400, "`Content-Length` is not one plain number")),
    }
}

fn upgrade(
    method: &Method,
    version: Version,
    protocol: Option<&Protocol>,
    headers: &HeaderMap,
) -> Result<Option<Upgrade>, Box<Denial>> {
    if let Some(protocol) = protocol {
        return if protocol.as_str() == "websocket" {
            Ok(Some(Upgrade::ExtendedConnect))
        } else {
            Err(refusal("ingress.connect", 501, "extended CONNECT is served for `websocket` only"))
        };
    }
    if version != Version::HTTP_11 || method != Method::GET {
        return Ok(None);
    }
    let asks = tokens(headers, header::CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    let websocket =
        headers.get(header::UPGRADE).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if !(asks && websocket) {
        return Ok(None);
    }
    let length = headers.get(header::CONTENT_LENGTH).filter(|length| length.as_bytes() != b"0");
    if length.is_some() || headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(refusal("ingress.upgrade", 400, "a request for an upgrade has a body"));
    }
    Ok(Some(Upgrade::WebSocket))
}

/// The default port of a scheme.
#[must_use]
pub fn default_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    }
}
