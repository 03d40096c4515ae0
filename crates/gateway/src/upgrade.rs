//! WebSocket: the client is upgraded only after the upstream's real 101 (RFC 6455), over HTTP/1.1 or by extended CONNECT
//! over HTTP/2 (RFC 8441). Towards the backend it is always HTTP/1.1.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use aws_lc_rs::digest;
use bartizan_model::{Denial, Stop, Verdict};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderValue, Response, StatusCode, header};
use hyper::{
    body::Incoming,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{
    body::{Download, ReplyBody, RequestBody},
    forward::{Onward, message},
    frame::FrameEdges,
    ingress::canonical::{Upgrade, strip_hop_by_hop},
    inspect::look_at_cookies,
    kick::Kick,
    record::{Ending, Record},
    respond::{self, own_denial, upstream_denial},
    upstream::{Lease, UpstreamFailure},
};

/// RFC 6455 section 1.3.
const ACCEPT_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Bytes copied at once per direction.
const COPY_BUFFER: usize = 8 * 1024;

/// How long the upstream has to answer after a policy close was sent to the client.
const CLOSE_PATIENCE: Duration = Duration::from_millis(200);

/// Close code 1008, policy violation (RFC 6455 section 7.4.1), as an unmasked server frame.
const CLOSE_POLICY: &[u8] = &[0x88, 0x02, 0x03, 0xF0];

/// Forwards a request for an upgrade.
pub async fn forward(
    mut record: Box<Record>,
    onward: Onward,
    kind: Upgrade,
    client: Option<OnUpgrade>,
) -> Response<ReplyBody> {
    let Some(client) = client else {
        let why = "the connection cannot be upgraded";
        let denial = own_denial("ingress", "ingress.upgrade", StatusCode::BAD_REQUEST, Verdict::Deny, why);
        return respond::stop(record, Stop::Denial(denial));
    };
    record.body.finish();
    match open(&mut record, &onward, kind).await {
        Err(denial) => respond::stop(record, Stop::Denial(denial)),
        Ok((response, lease, accept)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            switch(record, kind, client, response, lease, &accept)
        }
        Ok((response, lease, _)) => refused_by_upstream(record, &onward, response, lease),
    }
}

/// Asks the backend; answers its response and the `Sec-WebSocket-Accept` that a 101 must carry.
async fn open(
    record: &mut Record,
    onward: &Onward,
    kind: Upgrade,
) -> Result<(Response<Incoming>, Lease, String), Box<Denial>> {
    let upstream = &onward.upstream;
    let client = record.transaction.client.ip;
    if kind == Upgrade::ExtendedConnect {
        // RFC 8441 section 5: the key exchange does not exist over HTTP/2; the backend needs one.
        let mut nonce = [0_u8; 16];
        record.gateway.services.random.fill(&mut nonce);
        let headers = &mut record.transaction.request.headers;
        if let Ok(value) = HeaderValue::from_str(&STANDARD.encode(nonce)) {
            headers.insert(header::SEC_WEBSOCKET_KEY, value);
        }
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    let key = record.transaction.request.headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key.and_then(|k| k.to_str().ok()).filter(|k| STANDARD.decode(k).is_ok_and(|k| k.len() == 16));
    let Some(key) = key else {
        let why = "`Sec-WebSocket-Key` is not 16 bytes in base64";
        return Err(own_denial(
            "ingress",
            "ingress.websocket_key",
            StatusCode::BAD_REQUEST,
            Verdict::Deny,
            why,
        ));
    };
    let accept = accept(key);
    let (_, backend) = upstream
        .choose(record.transaction.ticks, client, &record.transaction.request.headers, &[])
        .map_err(upstream_denial)?;
    record.attempts = 1;
    record.backend = Some(Arc::clone(&backend.label));
    let started = record.gateway.services.clock.monotonic();
    let attempt = async {
        let mut lease = upstream.lease(&backend, false, true, true).await?;
        let mut request = message(record, onward, &backend, false, RequestBody::Empty)?;
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        request.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        request.headers_mut().remove(header::CONTENT_LENGTH);
        let response = tokio::time::timeout(upstream.spec.first_byte_timeout, lease.send(request)).await;
        match response {
            Err(_) => Err(UpstreamFailure::FirstByteTimeout),
            Ok(Err(_)) => Err(UpstreamFailure::Broken),
            Ok(Ok(response)) => Ok((response, lease)),
        }
    };
    let result = attempt.await;
    upstream.note(&backend, !matches!(result, Err(why) if why != UpstreamFailure::Exhausted));
    let (response, lease) = result.map_err(upstream_denial)?;
    let clock = &record.gateway.services.clock;
    record.upstream_wait = Some(clock.monotonic().saturating_sub(started));
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let real = response
            .headers()
            .get(header::SEC_WEBSOCKET_ACCEPT)
            .is_some_and(|v| v.as_bytes() == accept.as_bytes())
            && response
                .headers()
                .get(header::UPGRADE)
                .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"websocket"));
        if !real {
            return Err(upstream_denial(UpstreamFailure::Broken));
        }
    }
    Ok((response, lease, accept))
}

/// `Sec-WebSocket-Accept` for a key (RFC 6455 section 4.2.2).
#[must_use]
pub fn accept(key: &str) -> String {
    let text = format!("{key}{ACCEPT_GUID}");
    STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

/// The backend said no: its answer is passed on as it is.
fn refused_by_upstream(
    mut record: Box<Record>,
    onward: &Onward,
    response: Response<Incoming>,
    lease: Lease,
) -> Response<ReplyBody> {
    let (parts, incoming) = response.into_parts();
    let mut head =
        bartizan_model::ResponseHead { status: parts.status, headers: parts.headers, from_upstream: true };
    strip_hop_by_hop(&mut head.headers);
    if let Err(stop) = look_at_cookies(&mut record, &head) {
        return respond::stop(record, stop);
    }
    respond::dress(&record, &mut head);
    record.status = head.status.as_u16();
    let download = Download::new(incoming, lease, Some(onward.upstream.spec.idle_timeout), None);
    let mut reply = Response::new(ReplyBody::upstream(download, record));
    *reply.status_mut() = head.status;
    *reply.headers_mut() = head.headers;
    reply
}

/// Both sides agreed: from here on bytes are carried, not read.
fn switch(
    mut record: Box<Record>,
    kind: Upgrade,
    client: OnUpgrade,
    response: Response<Incoming>,
    lease: Lease,
    accept: &str,
) -> Response<ReplyBody> {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut head = bartizan_model::ResponseHead { status, headers, from_upstream: true };
    strip_hop_by_hop(&mut head.headers);
    if let Err(stop) = look_at_cookies(&mut record, &head) {
        return respond::stop(record, stop);
    }
    // Of what guards do to responses, cookies alone are touched: the rest is for content.
    if let Some(operation) = &record.operation {
        operation.guards.session.response_headers(&record.transaction, &mut head);
    }
    let mut headers = head.headers;
    headers.remove(header::SEC_WEBSOCKET_ACCEPT);
    headers.remove(header::CONTENT_LENGTH);
    let mut reply = Response::new(ReplyBody::bare());
    match kind {
        Upgrade::WebSocket => {
            *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            if let Ok(value) = HeaderValue::from_str(accept) {
                headers.insert(header::SEC_WEBSOCKET_ACCEPT, value);
            }
            record.connection.pass_through();
        }
        Upgrade::ExtendedConnect => *reply.status_mut() = StatusCode::OK,
    }
    record.status = reply.status().as_u16();
    *reply.headers_mut() = headers;
    tokio::spawn(async move {
        let upstream = hyper::upgrade::on(response).await;
        let client = client.await;
        if let (Ok(client), Ok(upstream)) = (client, upstream) {
            let ending = tunnel(&mut record, client, upstream).await;
            record.end(ending);
        }
        drop(lease);
    });
    reply
}

/// Carries bytes both ways until both sides end, or policy ends the stream. The directions do not wait for each other.
async fn tunnel(record: &mut Record, client: Upgraded, upstream: Upgraded) -> Ending {
    let (mut client_read, mut client_write) = tokio::io::split(TokioIo::new(client));
    let (mut upstream_read, mut upstream_write) = tokio::io::split(TokioIo::new(upstream));
    let mut kicked = record.gateway.kicks.subscribe();
    let (meter, mut towards_client) = (Arc::clone(&record.body), Downstream::default());
    let ended_by = {
        let up = carry(&mut client_read, &mut upstream_write, |passed| {
            if let Passed::Whole(bytes) = passed {
                meter.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
        });
        let down = carry(&mut upstream_read, &mut client_write, |passed| towards_client.see(&passed));
        let both = async { tokio::try_join!(up, down) };
        tokio::pin!(both);
        loop {
            tokio::select! {
                _ = &mut both => break None,
                () = kicked.changed() => {
                    if let Some(why) = Kick::verdict(record) {
                        break Some(why);
                    }
                }
            }
        }
    };
    record.bytes_out += towards_client.bytes;
    let Some(why) = ended_by else { return Ending { verdict: Verdict::Allow, reason: None, by: None } };
    // A close frame makes sense only between two frames; in the middle of one the stream just ends.
    if !towards_client.writing && towards_client.edges.at_edge() {
        let _ = tokio::time::timeout(CLOSE_PATIENCE, client_write.write_all(CLOSE_POLICY)).await;
    }
    let _ = tokio::time::timeout(CLOSE_PATIENCE, client_write.shutdown()).await;
    Ending { verdict: Verdict::Deny, reason: Some(why), by: Some("stream") }
}

/// What is known of the stream towards the client.
#[derive(Default)]
struct Downstream {
    edges: FrameEdges,
    bytes: u64,
    /// A write is under way: nobody knows how much of it left.
    writing: bool,
}

impl Downstream {
    fn see(&mut self, passed: &Passed<'_>) {
        self.writing = matches!(passed, Passed::Begun);
        if let Passed::Whole(bytes) = passed {
            self.edges.see(bytes);
            self.bytes += bytes.len() as u64;
        }
    }
}

/// How far a piece of a tunnel got.
enum Passed<'a> {
    /// Its write began.
    Begun,
    /// It was written.
    Whole(&'a [u8]),
}

/// Copies one direction of a tunnel; its end of stream is passed on as one.
async fn carry(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut tell: impl FnMut(Passed<'_>),
) -> io::Result<()> {
    let mut buffer = vec![0_u8; COPY_BUFFER];
    loop {
        let count = from.read(&mut buffer).await?;
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return to.shutdown().await;
        }
        tell(Passed::Begun);
        to.write_all(bytes).await?;
        to.flush().await?;
        tell(Passed::Whole(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_of_the_rfc() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
