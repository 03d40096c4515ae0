//! One connection from accept to close: PROXY header, TLS, protocol detection, exchanges, drain.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use aws_lc_rs::digest;
use bartizan_guards::identity::{certificate, trust::Fault};
use bartizan_model::{Scheme, Witness, address::canonical};
use bartizan_pattern::http1::HeadBounds;
use bartizan_policy::snapshot::ConnectionBounds;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{
    HandshakeKind, ServerConfig,
    server::{Acceptor, ClientHello},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::TcpStream,
    sync::watch,
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use crate::{
    body::ReplyBody,
    client_trust::{self, ClientTrust},
    connection::{Connection, TlsFacts},
    gateway::Gateway,
    ingress::{
        proxy_protocol,
        tap::{Tap, TapTimes},
    },
    pipeline::exchange,
    stall::StreamExecutor,
};

/// After a flood of control frames: how long the GOAWAY may take to leave.
const GOAWAY_TIME: Duration = Duration::from_millis(100);

/// A connection that is ended for being idle: how long a request that is on its way may still take to arrive.
const IDLE_GRACE: Duration = Duration::from_secs(1);

/// After a ban: how long the streams of the connection may take to end by themselves.
const BAN_GRACE: Duration = Duration::from_millis(300);

/// The least that is buffered of an HTTP/1 message, in each direction.
const MIN_BUFFER: usize = 64 * 1024;

/// HTTP/2 flow control: what a client may send ahead on one stream and on the connection, and what is buffered towards it.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const SEND_BUFFER: usize = 256 * 1024;

/// Reset streams that are remembered before the connection is ended (rapid reset, CVE-2023-44487).
const MAX_RESETS: usize = 50;

/// What a listener gives its connections. Swapped whole when the policy changes.
#[derive(Clone)]
pub struct Context {
    /// TLS, or cleartext.
    pub tls: Option<Secured>,
    /// Every request is redirected to `https` at this port.
    pub redirect_to: Option<u16>,
    /// A PROXY header is expected from trusted proxies.
    pub proxy_protocol: bool,
}

/// TLS on a listener.
#[derive(Clone)]
pub struct Secured {
    /// How it is spoken.
    pub config: Arc<ServerConfig>,
    /// Whose certificates are accepted, where clients are asked for one.
    pub trust: Option<Arc<ClientTrust>>,
}

/// Serves one accepted connection to its end.
pub async fn serve(gateway: Arc<Gateway>, context: Context, mut stream: TcpStream, peer: SocketAddr) {
    let hop = canonical(peer.ip());
    let active = gateway.active();
    let trusted = active.snapshot.trusted_proxies.contains(hop);
    let bounds = active.snapshot.bounds.clone();
    drop(active);
    let mut client = peer;
    // The hop is counted first; a client behind PROXY protocol once it is known.
    let mut ticket = match gateway.admit(hop, trusted) {
        Ok(ticket) => ticket,
        Err(code) => {
            return gateway.connection_refused(peer, code, "a connection cap of `bounds` is reached");
        }
    };
    let _ = stream.set_nodelay(true);
    if context.proxy_protocol {
        if !trusted {
            let why = "PROXY protocol from an address that is not in `trusted_proxies`";
            return gateway.connection_refused(peer, "connection.proxy_untrusted", why);
        }
        match tokio::time::timeout(bounds.header_timeout, proxy_protocol::read(&mut stream)).await {
            Ok(Ok(Some(address))) => {
                client = address;
                drop(ticket);
                ticket = match gateway.admit(canonical(address.ip()), false) {
                    Ok(ticket) => ticket,
                    Err(code) => {
                        return gateway.connection_refused(
                            client,
                            code,
                            "a connection cap of `bounds` is reached",
                        );
                    }
                };
            }
            Ok(Ok(None)) => {}
            Ok(Err(_)) | Err(_) => {
                let why = "no valid PROXY header came";
                return gateway.connection_refused(peer, "connection.proxy_header", why);
            }
        }
    }
    if gateway.bans.is_banned(canonical(client.ip()), gateway.services.clock.now()) {
        return gateway.connection_refused(client, "connection.banned", "the client's address is banned");
    }
    let is_tls = context.tls.is_some();
    ticket.opened(is_tls);
    match context.tls {
        None => {
            let connection = Connection::new(client, hop, Scheme::Http, None, Some(ticket));
            // Boxed: a connection holds the room of what it speaks, not of all that it might have spoken.
            let spoken =
                Box::pin(speak(&gateway, &bounds, connection, stream, false, context.redirect_to)).await;
            if let Some(spoken) = spoken {
                spoken.await;
            }
        }
        Some(Secured { config, trust }) => {
            let trusted = trust.as_ref().map_or(0, |trust| trust.generation());
            let accept = Box::pin(accept(config, stream));
            match tokio::time::timeout(bounds.header_timeout, accept).await {
                Ok(Ok((stream, hello))) => {
                    let tls = stream.get_ref().1;
                    // A resumed session brings the certificate of its first handshake: nobody looked at it since.
                    let resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
                    let (mut facts, h2) = match facts(tls) {
                        Ok(facts) => facts,
                        Err(why) => {
                            let code = client_trust::connection_code(Fault::Malformed);
                            return gateway.connection_refused(client, code, why);
                        }
                    };
                    facts.hello = Some(hello);
                    facts.trust =
                        trust.map(|trust| (trust, AtomicU64::new(if resumed { 0 } else { trusted })));
                    if let Err(fault) = facts.certificate_holds(gateway.services.clock.now()) {
                        let code = client_trust::connection_code(fault);
                        return gateway.connection_refused(client, code, fault.sentence());
                    }
                    let connection = Connection::new(client, hop, Scheme::Https, Some(facts), Some(ticket));
                    let spoken =
                        Box::pin(speak(&gateway, &bounds, connection, stream, h2, context.redirect_to)).await;
                    if let Some(spoken) = spoken {
                        spoken.await;
                    }
                }
                Ok(Err(error)) => {
                    let code = client_trust::fault_of(&error)
                        .map_or("connection.tls", client_trust::connection_code);
                    gateway.connection_refused(client, code, &format!("TLS handshake failed: {error}"));
                }
                Err(_) => {
                    gateway.connection_refused(
                        client,
                        "connection.tls_timeout",
                        "the TLS handshake took too long",
                    );
                }
            }
        }
    }
}

/// Serves a stream inside this process, from its first byte on, as one that was accepted: the way of a probe.
pub(crate) async fn serve_within(gateway: &Arc<Gateway>, connection: Arc<Connection>, stream: DuplexStream) {
    let bounds = gateway.active().snapshot.bounds.clone();
    if let Some(spoken) = Box::pin(speak(gateway, &bounds, connection, stream, false, None)).await {
        spoken.await;
    }
}

/// A TLS handshake, and what its first message tells of the client's software.
async fn accept<T>(config: Arc<ServerConfig>, stream: T) -> io::Result<(TlsStream<T>, u64)>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let hello = of_software(&start.client_hello());
    Ok((start.into_stream(config).await?, hello))
}

/// A hash over the cipher suites, signature schemes and groups that a client offers, in its order: the same for each
/// connection of one program, as those of resumed sessions and of WebSocket are. Names and protocols, which differ between
/// them, are left out, and so is what is sent at random (GREASE, RFC 8701).
fn of_software(hello: &ClientHello<'_>) -> u64 {
    let mut context = digest::Context::new(&digest::SHA256);
    let suites = hello.cipher_suites().iter().map(|suite| u16::from(*suite));
    let schemes = hello.signature_schemes().iter().map(|scheme| u16::from(*scheme));
    let groups = hello.named_groups().unwrap_or_default().iter().map(|group| u16::from(*group));
    for (list, values) in [suites.collect::<Vec<_>>(), schemes.collect(), groups.collect()].iter().enumerate()
    {
        context.update(&[u8::try_from(list).unwrap_or(0)]);
        values
            .iter()
            .filter(|value| !is_grease(**value))
            .for_each(|value| context.update(&value.to_be_bytes()));
    }
    context.finish().as_ref().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// `0x0a0a`, `0x1a1a` to `0xfafa` (RFC 8701 section 2).
fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

fn facts(tls: &rustls::ServerConnection) -> Result<(TlsFacts, bool), &'static str> {
    let certificate = match tls.peer_certificates().and_then(<[_]>::split_first) {
        None => None,
        Some((leaf, chain)) => {
            let chain: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
            Some(Arc::new(certificate::read(leaf, &chain, Witness::Handshake)?))
        }
    };
    let facts = TlsFacts {
        server_name: tls.server_name().map(str::to_ascii_lowercase),
        certificate,
        hello: None,
        trust: None,
    };
    Ok((facts, tls.alpn_protocol() == Some(b"h2")))
}

/// A connection's protocol, to be spoken until it ends.
type Spoken<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Waits for what shows the client's protocol; answers how it is spoken from there, unless the connection ended before.
async fn speak<'a, T>(
    gateway: &'a Arc<Gateway>,
    bounds: &'a ConnectionBounds,
    connection: Arc<Connection>,
    stream: T,
    alpn_h2: bool,
    redirect_to: Option<u16>,
) -> Option<Spoken<'a>>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let head = HeadBounds {
        target_bytes: bounds.target_bytes,
        header_count: bounds.header_count,
        header_bytes: bounds.header_bytes,
    };
    let times = TapTimes {
        header_timeout: bounds.header_timeout,
        idle_timeout: bounds.idle_timeout,
        write_stall: bounds.write_stall,
    };
    let mut tap = Tap::new(stream, Arc::clone(&connection), head, times, gateway.born);
    let mut drains = gateway.drains();
    let begun = async {
        if tap.detect(alpn_h2, bounds.control_frames).await? {
            return Ok(true);
        }
        if tap.head().await? { Ok(false) } else { Err(io::Error::from(io::ErrorKind::UnexpectedEof)) }
    };
    let is_h2 = tokio::select! {
        begun = begun => match begun {
            Ok(is_h2) => is_h2,
            Err(error) => {
                // A connection that never said anything is no news; one that is cut off half-way is not ours to answer.
                tracing::debug!(%error, "connection ended before a request");
                return None;
            }
        },
        () = drained(&mut drains) => return None,
        () = banned(gateway, &connection) => return None,
    };
    Some(if is_h2 {
        Box::pin(speak_h2(gateway, bounds, connection, tap, redirect_to, drains))
    } else {
        Box::pin(speak_h1(gateway, bounds, connection, tap, redirect_to, drains))
    })
}

async fn drained(drains: &mut watch::Receiver<bool>) {
    if drains.wait_for(|draining| *draining).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Resolves when the connection's peer is banned.
async fn banned(gateway: &Gateway, connection: &Connection) {
    let mut changes = gateway.kicks.watch();
    let peer = canonical(connection.peer.ip());
    while !gateway.bans.is_banned(peer, gateway.services.clock.now()) {
        if changes.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Serves one request. The library keeps the future's room for the life of the connection: boxed, an idle connection does
/// not hold an exchange's.
fn answer(
    gateway: &Arc<Gateway>,
    connection: &Arc<Connection>,
    redirect_to: Option<u16>,
    request: Request<Incoming>,
) -> Pin<Box<impl Future<Output = io::Result<Response<ReplyBody>>> + Send + use<>>> {
    let (gateway, connection) = (Arc::clone(gateway), Arc::clone(connection));
    Box::pin(async move { Ok(exchange(&gateway, &connection, redirect_to, request).await) })
}

async fn speak_h1<T>(
    gateway: &Arc<Gateway>,
    bounds: &ConnectionBounds,
    connection: Arc<Connection>,
    tap: Tap<T>,
    redirect_to: Option<u16>,
    mut drains: watch::Receiver<bool>,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| answer(gateway, &connection, redirect_to, request));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        // The tap keeps the time of heads: the library would count idle time, too.
        .header_read_timeout(None)
        .max_headers(bounds.header_count.saturating_add(16))
        // Room for the largest head; of a response no more than that waits for a client that reads slowly.
        .max_buf_size(bounds.header_bytes.saturating_add(bounds.target_bytes).max(MIN_BUFFER))
        .serve_connection(TokioIo::new(tap), service)
        .with_upgrades();
    tokio::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        () = banned(gateway, &connection) => {
            serving.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(BAN_GRACE, serving).await;
            return;
        }
        () = drained(&mut drains) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "HTTP/1 connection ended");
    }
}

async fn speak_h2<T>(
    gateway: &Arc<Gateway>,
    bounds: &ConnectionBounds,
    connection: Arc<Connection>,
    tap: Tap<T>,
    redirect_to: Option<u16>,
    mut drains: watch::Receiver<bool>,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| answer(gateway, &connection, redirect_to, request));
    let serving = http2::Builder::new(StreamExecutor { patience: bounds.write_stall })
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.concurrent_streams)
        .max_header_list_size(u32::try_from(bounds.header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS)
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(tap), service);
    tokio::pin!(serving);
    let mut look =
        tokio::time::interval(bounds.idle_timeout.min(Duration::from_secs(5)).max(Duration::from_millis(50)));
    let began = gateway.services.clock.monotonic();
    loop {
        tokio::select! {
            // The library first: before it has greeted the client it cannot say GOAWAY.
            biased;
            result = serving.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%error, "HTTP/2 connection ended");
                }
                return;
            }
            () = connection.flooded() => {
                gateway.connection_refused(connection.peer, "connection.control_flood", "HTTP/2 control frames without end");
                serving.as_mut().graceful_shutdown();
                let _ = tokio::time::timeout(GOAWAY_TIME, serving).await;
                return;
            }
            () = banned(gateway, &connection) => {
                serving.as_mut().graceful_shutdown();
                let _ = tokio::time::timeout(BAN_GRACE, serving).await;
                return;
            }
            () = drained(&mut drains) => {
                serving.as_mut().graceful_shutdown();
                let _ = serving.await;
                return;
            }
            _ = look.tick() => {
                let now = gateway.services.clock.monotonic();
                let quiet = now.saturating_sub(connection.quiet_since().max(began));
                if connection.active() == 0 && quiet >= bounds.idle_timeout {
                    serving.as_mut().graceful_shutdown();
                    let _ = tokio::time::timeout(IDLE_GRACE, serving).await;
                    return;
                }
            }
        }
    }
}
