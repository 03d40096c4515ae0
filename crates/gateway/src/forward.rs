//! Step 8 to 10: the cleared request goes upstream, the response comes back. Takes the [`Clearance`] by value: nothing is
//! forwarded without the proof of every guard.

use std::{sync::Arc, time::Duration};

use bartizan_guards::{
    Clearance,
    identity::signature::{digest::CONTENT_DIGEST, sign::Outgoing},
};
use bartizan_model::{CanonicalRequest, Denial, ResponseHead, address::canonical};
use bartizan_policy::snapshot::{Api, UpstreamHost};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version, header,
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::{
    body::{Download, ReplyBody, RequestBody},
    client_body::{ClientBody, body_denial},
    ingress::{
        address::X_FORWARDED_FOR,
        canonical::{Upgrade, strip_hop_by_hop},
    },
    inspect,
    pipeline::fail,
    probe,
    record::{BodyFault, Record},
    respond::{self, upstream_denial},
    timer::until,
    upgrade,
    upstream::{Backend, Lease, Upstream, UpstreamFailure, retry::is_idempotent},
};

pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_BARTIZAN_SUBJECT: HeaderName = HeaderName::from_static("x-bartizan-subject");

/// What proxies tell upstreams of the client, in fields other than those that this gateway sets: passed on only from a
/// trusted proxy.
const PROXY_SAYS: &[&str] = &[
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "client-cert",
    "client-cert-chain",
    "client-ip",
    "fastly-client-ip",
    "front-end-https",
    "proxy-client-ip",
    "true-client-ip",
    "wl-proxy-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-forwarded",
    "x-forwarded-by",
    "x-forwarded-client-cert",
    "x-forwarded-port",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-original-forwarded-for",
    "x-originating-ip",
    "x-proxyuser-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-url-scheme",
];

/// How long a request waits for one of `max_connections`, while clients that do not read are cut, and how often it looks.
const QUEUE_TIME: Duration = Duration::from_secs(3);
const QUEUE_LOOK: Duration = Duration::from_millis(20);

/// Where a cleared request goes, and how.
pub struct Onward {
    /// Its API.
    pub api: Arc<Api>,
    /// The API's pools.
    pub upstream: Arc<Upstream>,
    /// The upgrade that the client asks for.
    pub upgrade: Option<Upgrade>,
    /// Path and query as sent.
    pub target: Option<PathAndQuery>,
    /// `TE: trailers` was sent.
    pub trailers: bool,
    /// The largest body, in bytes.
    pub max_body: u64,
    /// `Content-Digest` of the body, where requests are signed and it was held.
    pub digest: Option<HeaderValue>,
}

/// Forwards, and answers with what comes back.
pub async fn forward(
    clearance: Clearance,
    mut record: Box<Record>,
    onward: Onward,
    mut parts: Parts,
    body: ClientBody,
) -> Response<ReplyBody> {
    // The proof ends here: what follows is what it allows.
    let _: Clearance = clearance;
    if record.transaction.probe {
        return probe::echo(record);
    }
    if let Some(kind) = onward.upgrade {
        let client = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
        return Box::pin(upgrade::forward(record, onward, kind, client)).await;
    }
    let body = match body.onward(&record, &onward).await {
        Ok(body) => body,
        Err(denial) => return failed(record, denial),
    };
    match send(&mut record, &onward, body).await {
        Ok((response, lease)) => pass(record, &onward, response, lease).await,
        Err(denial) => failed(record, denial),
    }
}

/// A refusal or failure after the guards.
fn failed(mut record: Box<Record>, denial: Box<Denial>) -> Response<ReplyBody> {
    let stop = fail(&mut record.transaction, denial);
    respond::stop(record, stop)
}

/// Sends the request, with retries where they are harmless, and waits for the response head.
async fn send(
    record: &mut Record,
    onward: &Onward,
    body: RequestBody,
) -> Result<(Response<Incoming>, Lease), Box<Denial>> {
    let upstream = &onward.upstream;
    let clock = Arc::clone(&record.gateway.services.clock);
    let started = clock.monotonic();
    upstream.retries.request(started);
    let bodyless = matches!(body, RequestBody::Empty);
    let grpc = respond::is_grpc(&record.transaction.request.headers);
    let mut body = Some(body);
    let mut tried = Vec::new();
    let mut reused_failures = 0_u8;
    let mut retries = 0;
    loop {
        let request = &record.transaction.request;
        let (index, backend) = upstream
            .choose(started, record.transaction.client.ip, &request.headers, &tried)
            .or_else(|why| {
                // With nothing else left, the same backend may be tried again.
                if tried.is_empty() {
                    Err(upstream_denial(why))
                } else {
                    upstream
                        .choose(started, record.transaction.client.ip, &request.headers, &[])
                        .map_err(upstream_denial)
                }
            })?;
        record.attempts = record.attempts.saturating_add(1);
        let fresh = reused_failures > 0;
        let leased = match upstream.lease(&backend, grpc, false, fresh).await {
            Err(UpstreamFailure::Exhausted) if upstream.backends.len() == tried.len() + 1 => {
                queue(record, upstream, &backend, grpc).await
            }
            leased => leased,
        };
        let failure = match leased {
            Err(why) => why,
            Ok(mut lease) => {
                record.backend = Some(Arc::clone(&backend.label));
                let outgoing = body.take().unwrap_or(RequestBody::Empty);
                let message = match message(record, onward, &backend, lease.is_http2(), outgoing) {
                    Ok(message) => message,
                    Err(why) => return Err(upstream_denial(why)),
                };
                match attempt(record, &mut lease, message, upstream.spec.first_byte_timeout).await {
                    Ok(response) => {
                        upstream.note(&backend, true);
                        record.upstream_wait = Some(clock.monotonic().saturating_sub(started));
                        return Ok((response, lease));
                    }
                    Err(Failed::Client(fault)) => return Err(body_denial(record, fault)),
                    Err(Failed::Unsent(returned)) => {
                        body = Some(returned);
                        // The kept connection was closed by the backend: not its failure, and nothing was sent.
                        reused_failures += 1;
                        if reused_failures <= 2 {
                            record.attempts = record.attempts.saturating_sub(1);
                            continue;
                        }
                        UpstreamFailure::Broken
                    }
                    Err(Failed::Upstream(why)) => why,
                }
            }
        };
        if failure != UpstreamFailure::Exhausted {
            upstream.note(&backend, false);
        }
        // Before anything was sent any method may be repeated; afterwards only one that does no harm twice.
        let unsent = body.is_some() && !matches!(failure, UpstreamFailure::FirstByteTimeout);
        let repeatable = unsent
            || bodyless
                && is_idempotent(&record.transaction.request.method)
                && failure == UpstreamFailure::Broken;
        // Moving on to a backend that has not been asked burdens nobody; asking again what failed has a budget.
        let moves_on = unsent && tried.len() + 1 < upstream.backends.len();
        if !moves_on {
            let may =
                repeatable && retries < upstream.spec.retries && upstream.retries.take(clock.monotonic());
            if !may {
                return Err(upstream_denial(failure));
            }
            retries += 1;
        }
        tried.push(index);
    }
}

/// Waits for a connection of a backend that has none left. Meanwhile clients that read nothing lose theirs.
async fn queue(
    record: &Record,
    upstream: &Upstream,
    backend: &Arc<Backend>,
    grpc: bool,
) -> Result<Lease, UpstreamFailure> {
    let until = Instant::now() + QUEUE_TIME;
    loop {
        record.gateway.press();
        tokio::time::sleep(QUEUE_LOOK).await;
        match upstream.lease(backend, grpc, false, false).await {
            Err(UpstreamFailure::Exhausted) if Instant::now() < until => {}
            leased => return leased,
        }
    }
}

/// How an attempt failed.
enum Failed {
    /// Nothing was sent; here is the body back.
    Unsent(RequestBody),
    /// The client's body was cut.
    Client(BodyFault),
    /// The upstream failed.
    Upstream(UpstreamFailure),
}

async fn attempt(
    record: &Record,
    lease: &mut Lease,
    message: Request<RequestBody>,
    first_byte: Duration,
) -> Result<Response<Incoming>, Failed> {
    let mut sending = std::pin::pin!(lease.send(message));
    let mut timer = record.connection.take_timer();
    let mut waits_until = Instant::now() + first_byte;
    let result = loop {
        match until(&mut timer, waits_until, sending.as_mut()).await {
            Some(result) => break Some(result),
            // While the client is still uploading the upstream owes nothing; the upload has bounds of its own.
            None if !record.body.is_finished() && Instant::now() < record.deadline() => {
                waits_until += first_byte
            }
            None => break None,
        }
    };
    record.connection.give_timer(timer);
    let Some(result) = result else { return Err(Failed::Upstream(UpstreamFailure::FirstByteTimeout)) };
    match result {
        Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            // Nobody asked for it: what follows would not be HTTP.
            Err(Failed::Upstream(UpstreamFailure::Broken))
        }
        Ok(response) if !is_readable(response.headers()) => Err(Failed::Upstream(UpstreamFailure::Broken)),
        Ok(response) => Ok(response),
        Err(mut error) => match (error.take_message(), record.body.fault()) {
            (_, Some(fault)) => Err(Failed::Client(fault)),
            (Some(message), None) => Err(Failed::Unsent(message.into_body())),
            (None, None) => {
                tracing::debug!(error = %error.error(), "upstream exchange failed");
                Err(Failed::Upstream(UpstreamFailure::Broken))
            }
        },
    }
}

/// Whether the body's transfer coding ends here: only `chunked` is undone, and any other would reach the client unnamed.
fn is_readable(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let first = codings.next().is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
    first && codings.next().is_none()
}

/// The request as the backend gets it.
pub fn message(
    record: &Record,
    onward: &Onward,
    backend: &Backend,
    http2: bool,
    body: RequestBody,
) -> Result<Request<RequestBody>, UpstreamFailure> {
    let request = &record.transaction.request;
    let asked = authority(request).ok_or(UpstreamFailure::Broken)?;
    let host = match &onward.upstream.spec.host {
        UpstreamHost::Preserve => asked.clone(),
        UpstreamHost::Backend => {
            HeaderValue::from_str(&backend.authority).map_err(|_| UpstreamFailure::Broken)?
        }
        UpstreamHost::Fixed(name) => HeaderValue::from_str(name).map_err(|_| UpstreamFailure::Broken)?,
    };
    let target = target(record, onward).ok_or(UpstreamFailure::Broken)?;
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = Some(target);
    if http2 {
        uri.scheme = Some(if backend.spec.tls { Scheme::HTTPS } else { Scheme::HTTP });
        uri.authority = Some(Authority::try_from(host.as_bytes()).map_err(|_| UpstreamFailure::Broken)?);
    }
    let uri = Uri::from_parts(uri).map_err(|_| UpstreamFailure::Broken)?;
    let mut headers = request.headers.clone();
    headers.reserve(ADDED_FIELDS);
    dress_request(record, onward, &mut headers, asked);
    if let Some(signer) = &onward.upstream.spec.sign {
        // A body that was not held may be another one than the client's digest says.
        if signer.covers_body() {
            match &onward.digest {
                Some(digest) => drop(headers.insert(CONTENT_DIGEST, digest.clone())),
                None => drop(headers.remove(CONTENT_DIGEST)),
            }
        }
        let outgoing = Outgoing {
            scheme: if backend.spec.tls { "https" } else { "http" },
            authority: host.to_str().map_err(|_| UpstreamFailure::Broken)?,
            path: uri.path(),
            query: uri.query(),
        };
        signer.sign(&record.transaction, &outgoing, &mut headers, record.gateway.services.clock.now());
    }
    if http2 {
        headers.remove(header::HOST);
    } else {
        headers.insert(header::HOST, host);
    }
    let mut message = Request::new(body);
    *message.method_mut() = request.method.clone();
    *message.uri_mut() = uri;
    *message.version_mut() = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
    *message.headers_mut() = headers;
    Ok(message)
}

/// Header fields that the gateway adds: room for them is made at once.
const ADDED_FIELDS: usize = 8;

/// The client's `Host` in canonical form: as it was sent, where that is canonical.
fn authority(request: &CanonicalRequest) -> Option<HeaderValue> {
    let sent = request.headers.get(header::HOST);
    let canonical = |value: &HeaderValue| {
        let rest = value.as_bytes().strip_prefix(request.host.as_bytes());
        match (rest, request.port) {
            (Some([]), None) => true,
            (Some([b':', digits @ ..]), Some(port)) => {
                !digits.starts_with(b"0") && std::str::from_utf8(digits).is_ok_and(|d| d.parse() == Ok(port))
            }
            _ => false,
        }
    };
    match (sent.filter(|value| canonical(value)), request.port) {
        (Some(value), _) => Some(value.clone()),
        (None, Some(port)) => HeaderValue::from_str(&format!("{}:{port}", request.host)).ok(),
        (None, None) => HeaderValue::from_str(&request.host).ok(),
    }
}

/// Path and query, with the API's prefix replaced where the policy says so; as sent, where that is canonical.
fn target(record: &Record, onward: &Onward) -> Option<PathAndQuery> {
    let request = &record.transaction.request;
    let path = match &onward.upstream.spec.rewrite_prefix {
        None => {
            let sent = onward.target.as_ref();
            let canonical =
                |t: &&PathAndQuery| t.path() == request.path && t.query() == request.query.as_deref();
            if let Some(sent) = sent.filter(canonical) {
                return Some(sent.clone());
            }
            request.path.as_str().to_owned()
        }
        Some(prefix) => {
            let rest = request.path.strip_prefix(onward.api.base_path.as_str()).unwrap_or(&request.path);
            let joined = format!("{}{rest}", prefix.trim_end_matches('/'));
            if joined.starts_with('/') { joined } else { format!("/{joined}") }
        }
    };
    let text = match &request.query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    PathAndQuery::try_from(text).ok()
}

/// Strips what the backend must not get, adds what it should know.
fn dress_request(record: &Record, onward: &Onward, headers: &mut HeaderMap, asked: HeaderValue) {
    let transaction = &record.transaction;
    for name in &transaction.consumed_headers {
        headers.remove(name);
    }
    headers.remove(header::EXPECT);
    headers.remove(header::FORWARDED);
    if onward.trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    let client = &transaction.client;
    let peer = canonical(client.peer.ip());
    // Only a trusted proxy's chain is continued; anybody else's is replaced.
    let trusted = record.active.snapshot.trusted_proxies.contains(peer);
    if !trusted {
        let forged: Vec<HeaderName> =
            headers.keys().filter(|name| PROXY_SAYS.contains(&name.as_str())).cloned().collect();
        forged.into_iter().for_each(|name| drop(headers.remove(name)));
    }
    let client_text = || match client.ip == canonical(peer) {
        true => Some(record.connection.peer_text().clone()),
        false => HeaderValue::from_str(&client.ip.to_string()).ok(),
    };
    if trusted {
        let chain = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let chain = match chain.collect::<Vec<_>>().as_slice() {
            [] if client.ip != peer => format!("{}, {peer}", client.ip),
            [] => client.ip.to_string(),
            hops => format!("{}, {peer}", hops.join(", ")),
        };
        set(headers, X_FORWARDED_FOR, &chain);
    } else if let Some(text) = client_text() {
        headers.insert(X_FORWARDED_FOR, text);
    }
    if let Some(text) = client_text() {
        headers.insert(X_REAL_IP, text);
    }
    if !trusted || !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(transaction.request.scheme.as_str()));
    }
    if !trusted || !headers.contains_key(X_FORWARDED_HOST) {
        headers.insert(X_FORWARDED_HOST, asked);
    }
    let id = transaction.id.encode();
    if let Ok(id) = HeaderValue::from_bytes(&id) {
        if !headers.contains_key(X_REQUEST_ID) {
            headers.insert(X_REQUEST_ID, id.clone());
        }
        headers.insert(respond::EVENT_HEADER, id);
    }
    if let Some(principal) = &transaction.principal {
        set(headers, X_BARTIZAN_SUBJECT, &principal.subject);
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // A verified subject may hold characters that a header cannot: then the upstream is told nothing.
    match HeaderValue::from_str(value) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => drop(headers.remove(name)),
    }
}

/// The upstream's response on its way to the client.
async fn pass(
    mut record: Box<Record>,
    onward: &Onward,
    response: Response<Incoming>,
    lease: Lease,
) -> Response<ReplyBody> {
    let (parts, incoming) = response.into_parts();
    let mut head = ResponseHead { status: parts.status, headers: parts.headers, from_upstream: true };
    let trailers = head.headers.get(header::TRAILER).cloned();
    strip_hop_by_hop(&mut head.headers);
    if let Some(trailers) = trailers {
        head.headers.insert(header::TRAILER, trailers);
    }
    let streams = is_stream(&head.headers);
    let spec = &onward.upstream.spec;
    let deadline = record.deadline();
    let mut download = Download::new(
        incoming,
        lease,
        (!streams).then_some(spec.idle_timeout),
        (!streams).then_some(deadline),
    );
    // 9 inspect
    if let Err(stop) = inspect::inspect(&mut record, &mut head, &mut download, streams).await {
        return respond::stop(record, stop);
    }
    respond::dress(&record, &mut head);
    record.status = head.status.as_u16();
    let mut response = Response::new(ReplyBody::upstream(download, record));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

/// Responses that may stay open without a sound: event streams and gRPC.
fn is_stream(headers: &HeaderMap) -> bool {
    respond::is_grpc(headers)
        || headers.get(header::CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"text/event-stream"))
}
