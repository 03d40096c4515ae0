//! What is known of one client connection, shared by all its exchanges.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_guards::identity::trust::Fault;
use bartizan_model::{ClientCertificate, Scheme, Timestamp, address::canonical};
use bartizan_pattern::http1::HeadRefusal;
use http::HeaderValue;
use parking_lot::Mutex;

use crate::{client_trust::ClientTrust, gateway::Ticket, probe::Mark, timer::LazyTimer};

/// Why a connection's bytes were refused before HTTP could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The strict head reader refused.
    Head(HeadRefusal),
    /// The head did not arrive in time.
    HeaderTimeout,
}

/// Targets of one connection that are remembered until their exchanges begin: pipelined requests in absolute form are rare.
const MAX_TARGETS: usize = 16;

/// What the reader of raw bytes knows of an HTTP/1 exchange.
#[derive(Debug, Default)]
pub struct Begun {
    /// Its head was replaced, and why.
    pub refusal: Option<Refusal>,
    /// The target as it was sent, where it is no path.
    pub target: Option<Box<str>>,
}

/// Facts of the TLS handshake.
#[derive(Debug, Default)]
pub struct TlsFacts {
    /// The name that the client asked for (SNI), lower case.
    pub server_name: Option<String>,
    /// The client's verified certificate.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// A hash over what the client's first message tells of its software.
    pub hello: Option<u64>,
    /// Who trusts the certificate, and the generation of that trust in which it was last checked.
    pub(crate) trust: Option<(Arc<ClientTrust>, AtomicU64)>,
}

impl TlsFacts {
    /// Whether the certificate that the connection began with is still good at `now`: checked in full when something
    /// that decides has changed, and for its end each time.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) fn certificate_holds(&self, now: Timestamp) -> Result<(), Fault> {
        let (Some(certificate), Some((trust, checked))) = (&self.certificate, &self.trust) else {
            return Ok(());
        };
        let generation = trust.generation();
        if checked.load(Ordering::Acquire) != generation {
            trust.check(certificate, now)?;
            checked.store(generation, Ordering::Release);
        }
        if certificate.not_after < now { Err(Fault::Expired) } else { Ok(()) }
    }
}

/// One client connection.
#[derive(Debug)]
pub struct Connection {
    /// The socket's other end, or what a trusted PROXY header says instead.
    pub peer: SocketAddr,
    /// The peer that PROXY protocol replaced, if any: the hop that must be a trusted proxy.
    pub hop: IpAddr,
    /// `https` when this gateway ended TLS.
    pub scheme: Scheme,
    /// TLS facts, on TLS.
    pub tls: Option<TlsFacts>,
    /// Exchanges that are running.
    active: AtomicUsize,
    /// Monotonic milliseconds (of the gateway's clock) when the last exchange ended.
    quiet_since: AtomicU64,
    /// HTTP/1 heads that were handed to the HTTP library.
    heads: AtomicU32,
    /// Exchanges that were begun on an HTTP/1 connection.
    begun: AtomicU32,
    /// The head that was replaced by a refusal: its index, and why.
    refused: Mutex<Option<(u32, Refusal)>>,
    /// Targets that are no paths, by the index of their head.
    targets: Mutex<VecDeque<(u32, Box<str>)>>,
    /// Set when the framing of a body that was already being read turned out wrong.
    body_refused: Mutex<Option<HeadRefusal>>,
    /// After an upgrade the bytes are no longer HTTP.
    passthrough: AtomicBool,
    /// The HTTP/2 control-frame budget is spent.
    flooded: AtomicBool,
    flood_notice: tokio::sync::Notify,
    /// An armed timer that the next exchange may use.
    timer: Mutex<LazyTimer>,
    /// The peer's address as text.
    peer_text: HeaderValue,
    /// Counts the connection as open, also after an upgrade, until its last exchange is over.
    ticket: Option<Ticket>,
    /// Its exchanges are probes: they end at the echo. Only [`Connection::within`] sets it, which no accepted socket
    /// comes through, so that nothing on the wire can.
    mark: Option<Arc<Mark>>,
}

impl Connection {
    /// A fresh connection.
    #[must_use]
    pub fn new(
        peer: SocketAddr,
        hop: IpAddr,
        scheme: Scheme,
        tls: Option<TlsFacts>,
        ticket: Option<Ticket>,
    ) -> Arc<Self> {
        Arc::new(Self::fresh(peer, hop, scheme, tls, ticket))
    }

    /// A connection inside this process, whose exchanges are probes. No cap and no drain counts it.
    pub(crate) fn within(peer: SocketAddr, scheme: Scheme, mark: Arc<Mark>) -> Arc<Self> {
        Arc::new(Connection { mark: Some(mark), ..Self::fresh(peer, peer.ip(), scheme, None, None) })
    }

    fn fresh(
        peer: SocketAddr,
        hop: IpAddr,
        scheme: Scheme,
        tls: Option<TlsFacts>,
        ticket: Option<Ticket>,
    ) -> Self {
        Connection {
            peer,
            hop,
            scheme,
            tls,
            active: AtomicUsize::new(0),
            quiet_since: AtomicU64::new(0),
            heads: AtomicU32::new(0),
            begun: AtomicU32::new(0),
            refused: Mutex::new(None),
            targets: Mutex::default(),
            body_refused: Mutex::new(None),
            passthrough: AtomicBool::new(false),
            flooded: AtomicBool::new(false),
            flood_notice: tokio::sync::Notify::new(),
            timer: Mutex::default(),
            peer_text: HeaderValue::from_str(&canonical(peer.ip()).to_string())
                .unwrap_or_else(|_| HeaderValue::from_static("unknown")),
            ticket,
            mark: None,
        }
    }

    /// The client's verified certificate, on TLS.
    #[must_use]
    pub fn certificate(&self) -> Option<&Arc<ClientCertificate>> {
        self.tls.as_ref()?.certificate.as_ref()
    }

    /// Whether the client's certificate, where it has one, is still good at `now`.
    ///
    /// # Errors
    /// Why it is not.
    pub fn certificate_holds(&self, now: Timestamp) -> Result<(), Fault> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.certificate_holds(now))
    }

    /// The mark of a probe's connection.
    pub(crate) fn mark(&self) -> Option<&Arc<Mark>> {
        self.mark.as_ref()
    }

    /// The peer's address, as header fields say it.
    #[must_use]
    pub fn peer_text(&self) -> &HeaderValue {
        &self.peer_text
    }

    /// The connection's timer, or a new one while another exchange has it (HTTP/2).
    #[must_use]
    pub fn take_timer(&self) -> LazyTimer {
        std::mem::take(&mut *self.timer.lock())
    }

    /// Gives the timer back for the next exchange.
    pub fn give_timer(&self, timer: LazyTimer) {
        *self.timer.lock() = timer;
    }

    /// An exchange begins; the guard ends it.
    pub fn begin(self: &Arc<Self>) -> Running {
        self.active.fetch_add(1, Ordering::Relaxed);
        Running { connection: Arc::clone(self) }
    }

    /// Exchanges that are running.
    #[must_use]
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// When the last exchange ended, in monotonic time; zero when there was none.
    #[must_use]
    pub fn quiet_since(&self) -> Duration {
        Duration::from_millis(self.quiet_since.load(Ordering::Relaxed))
    }

    /// Notes the end of an exchange at monotonic time `now`.
    pub fn note_quiet(&self, now: Duration) {
        self.quiet_since.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What the reader of raw bytes knows of the HTTP/1 exchange that begins now. Called once per exchange, in order.
    pub fn take_begun(&self) -> Begun {
        let index = self.begun.fetch_add(1, Ordering::Relaxed);
        let refusal = self.refused.lock().filter(|(at, _)| *at == index).map(|(_, why)| why);
        let mut targets = self.targets.lock();
        while targets.front().is_some_and(|(at, _)| *at < index) {
            targets.pop_front();
        }
        let is_next = targets.front().is_some_and(|(at, _)| *at == index);
        let target = if is_next { targets.pop_front().map(|(_, target)| target) } else { None };
        Begun { refusal, target }
    }

    /// The head that is handed on next has a target that is no path: the HTTP library tidies it. What does not fit is
    /// told as the library has it.
    pub(crate) fn note_target(&self, target: &[u8]) {
        let mut targets = self.targets.lock();
        if targets.len() < MAX_TARGETS
            && let Ok(target) = std::str::from_utf8(target)
        {
            targets.push_back((self.heads.load(Ordering::Relaxed), target.into()));
        }
    }

    /// Whether an HTTP/1 head was handed on that is not yet answered in full.
    pub(crate) fn owes_an_answer(&self) -> bool {
        self.active() > 0 || self.heads.load(Ordering::Relaxed) != self.begun.load(Ordering::Relaxed)
    }

    /// A complete, valid HTTP/1 head was handed on.
    pub(crate) fn head_released(&self) {
        self.heads.fetch_add(1, Ordering::Relaxed);
    }

    /// The head that was counted last is withdrawn: its body is malformed within the same bytes.
    pub(crate) fn head_withdrawn(&self) {
        self.heads.fetch_sub(1, Ordering::Relaxed);
    }

    /// The next head is replaced by a refusal.
    pub(crate) fn refuse_next(&self, why: Refusal) {
        *self.refused.lock() = Some((self.heads.load(Ordering::Relaxed), why));
    }

    /// The body being read is malformed.
    pub(crate) fn refuse_body(&self, why: HeadRefusal) {
        *self.body_refused.lock() = Some(why);
    }

    /// Why the body being read is malformed, if it is.
    pub fn body_refusal(&self) -> Option<HeadRefusal> {
        *self.body_refused.lock()
    }

    /// From now on bytes pass unread: the connection was upgraded.
    pub fn pass_through(&self) {
        self.passthrough.store(true, Ordering::Release);
    }

    pub(crate) fn is_passed_through(&self) -> bool {
        self.passthrough.load(Ordering::Acquire)
    }

    /// Whether requests wait for connections that clients who do not read keep busy.
    pub(crate) fn is_pressed(&self) -> bool {
        self.ticket.as_ref().is_some_and(Ticket::is_pressed)
    }

    pub(crate) fn flood(&self) {
        self.flooded.store(true, Ordering::Release);
        self.flood_notice.notify_one();
    }

    /// Resolves when the connection must be ended for a flood of control frames.
    pub(crate) async fn flooded(&self) {
        while !self.flooded.load(Ordering::Acquire) {
            self.flood_notice.notified().await;
        }
    }
}

/// Counts an exchange as running until dropped.
#[derive(Debug)]
pub struct Running {
    connection: Arc<Connection>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.connection.active.fetch_sub(1, Ordering::Relaxed);
    }
}
