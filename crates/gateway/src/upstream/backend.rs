//! One backend: its unused connections, its running requests, its health.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_policy::snapshot::{BackendSpec, UpstreamSpec};
use bartizan_telemetry::Metrics;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    body::RequestBody,
    record::BodyMeter,
    workers::{self, PARTS},
};

/// An ejection is doubled with each repetition, at most this many times.
const MAX_DOUBLINGS: u32 = 4;

/// While every backend is ejected, one trial request per this time.
const TRIAL_EVERY: Duration = Duration::from_secs(1);

/// How long a connection that was just used may take to become ready again.
const READY_PATIENCE: Duration = Duration::from_millis(100);

/// The sending half of a connection.
pub enum Sender {
    /// HTTP/1.1: one request at a time.
    Http1(http1::SendRequest<RequestBody>),
    /// HTTP/2: shared by requests.
    Http2(http2::SendRequest<RequestBody>),
}

/// One thread's unused connections.
#[derive(Default)]
struct Part {
    idle: Mutex<Vec<(http1::SendRequest<RequestBody>, Instant)>>,
    http2: Mutex<Option<http2::SendRequest<RequestBody>>>,
}

/// One upstream host.
pub struct Backend {
    /// Where it is.
    pub spec: BackendSpec,
    /// `host:port`, for events and metrics.
    pub label: Arc<str>,
    /// The `Host` value when the backend's own name is sent.
    pub authority: String,
    addresses: Mutex<(Arc<[SocketAddr]>, Option<Instant>)>,
    /// Split by thread: a connection is only used by the thread whose event loop drives it.
    parts: Box<[Part]>,
    max_idle: usize,
    running: AtomicUsize,
    connections: AtomicUsize,
    failures: AtomicU32,
    ejections: AtomicU32,
    ejected_until_ms: AtomicU64,
    trial_at_ms: AtomicU64,
    down: AtomicBool,
    api: Arc<str>,
    metrics: Arc<Metrics>,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Backend {
    /// A backend without connections, presumed healthy.
    #[must_use]
    pub fn new(backend: &BackendSpec, upstream: &UpstreamSpec, metrics: &Arc<Metrics>) -> Self {
        let bracketed =
            if backend.host.contains(':') { format!("[{}]", backend.host) } else { backend.host.clone() };
        let default = if backend.tls { 443 } else { 80 };
        let authority =
            if backend.port == default { bracketed.clone() } else { format!("{bracketed}:{}", backend.port) };
        let label: Arc<str> = format!("{bracketed}:{}", backend.port).into();
        metrics.backend_up(&upstream.name, &label, true);
        Backend {
            spec: backend.clone(),
            label,
            authority,
            addresses: Mutex::new((Arc::new([]), None)),
            parts: (0..PARTS).map(|_| Part::default()).collect(),
            max_idle: upstream.max_idle,
            running: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected_until_ms: AtomicU64::new(0),
            trial_at_ms: AtomicU64::new(0),
            down: AtomicBool::new(false),
            api: Arc::clone(&upstream.name),
            metrics: Arc::clone(metrics),
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "INVARIANT: there are `PARTS` parts, and `part()` is below that"
    )]
    fn part(&self) -> &Part {
        &self.parts[workers::part()]
    }

    /// Requests that are running.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Neither failed by health checks nor ejected.
    #[must_use]
    pub fn is_available(&self, now: Duration) -> bool {
        !self.down.load(Ordering::Relaxed) && self.ejected_until_ms.load(Ordering::Relaxed) <= millis(now)
    }

    /// Takes the right to try an ejected backend before its time; one per second.
    pub fn try_trial(&self, now: Duration) -> bool {
        let at = self.trial_at_ms.load(Ordering::Relaxed);
        let now = millis(now);
        !self.down.load(Ordering::Relaxed)
            && at <= now
            && self
                .trial_at_ms
                .compare_exchange(at, now + millis(TRIAL_EVERY), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Notes a response: the backend works.
    pub fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) == 0 {
            return;
        }
        self.failures.store(0, Ordering::Relaxed);
        if self.ejections.swap(0, Ordering::Relaxed) > 0 {
            self.ejected_until_ms.store(0, Ordering::Relaxed);
            self.metrics.backend_up(&self.api, &self.label, true);
        }
    }

    /// Notes a failure at monotonic time `now`; enough of them in a row eject the backend for a while.
    pub fn failed(&self, now: Duration, spec: &UpstreamSpec) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if spec.eject_after == 0 || failures < spec.eject_after || !self.is_available(now) {
            return;
        }
        let doublings = self.ejections.fetch_add(1, Ordering::Relaxed).min(MAX_DOUBLINGS);
        let until = now + spec.eject_for * 2_u32.pow(doublings);
        self.ejected_until_ms.store(millis(until), Ordering::Relaxed);
        self.trial_at_ms.store(millis(now + TRIAL_EVERY), Ordering::Relaxed);
        self.metrics.backend_up(&self.api, &self.label, false);
        tracing::warn!(backend = %self.label, api = %self.api, failures, "backend ejected");
    }

    /// Notes what the health checks found.
    pub fn set_down(&self, down: bool) {
        if self.down.swap(down, Ordering::Relaxed) != down {
            self.metrics.backend_up(&self.api, &self.label, !down);
            tracing::warn!(backend = %self.label, api = %self.api, down, "backend health changed");
        }
        if !down {
            self.succeeded();
        }
    }

    /// An unused connection, if there is one that still works.
    pub async fn idle(backend: &Arc<Self>, http1: bool, http2: bool) -> Option<Lease> {
        if !http1 {
            let shared = backend.part().http2.lock().clone();
            if let Some(sender) = shared {
                if sender.is_closed() {
                    backend.part().http2.lock().take_if(|s| s.is_closed());
                } else {
                    return Some(Lease::new(backend, Sender::Http2(sender)));
                }
            }
        }
        if http2 {
            return None;
        }
        loop {
            let (mut sender, _) = backend.part().idle.lock().pop()?;
            if sender.is_ready() {
                return Some(Lease::new(backend, Sender::Http1(sender)));
            }
            if sender.is_closed() {
                continue;
            }
            // The connection's task has not yet noticed that the last exchange is over.
            if let Ok(Ok(())) = tokio::time::timeout(READY_PATIENCE, sender.ready()).await {
                return Some(Lease::new(backend, Sender::Http1(sender)));
            }
        }
    }

    /// Keeps an HTTP/2 connection for all to share.
    pub fn share(&self, sender: &http2::SendRequest<RequestBody>) {
        *self.part().http2.lock() = Some(sender.clone());
    }

    /// Counts a connection while it lives; `None` at the cap.
    pub fn open(self: &Arc<Self>, cap: usize) -> Option<OpenConnection> {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let open = OpenConnection { backend: Arc::clone(self) };
        (before < cap).then_some(open)
    }

    /// Drops connections that were unused for `keepalive`, and closed ones.
    pub fn reap(&self, keepalive: Duration) {
        let now = Instant::now();
        for part in &self.parts {
            part.idle
                .lock()
                .retain(|(sender, since)| !sender.is_closed() && now.duration_since(*since) < keepalive);
            part.http2.lock().take_if(|sender| sender.is_closed());
        }
    }

    /// The addresses of the last good resolution; empty before the first.
    pub fn addresses(&self) -> Arc<[SocketAddr]> {
        Arc::clone(&self.addresses.lock().0)
    }

    /// Whether the name should be resolved again.
    pub fn is_stale(&self, after: Duration) -> bool {
        self.addresses.lock().1.is_none_or(|at| at.elapsed() >= after)
    }

    /// Resolves the name; the last good addresses stay when that fails.
    pub async fn resolve(&self) {
        let found = tokio::net::lookup_host((self.spec.host.as_str(), self.spec.port)).await;
        let mut addresses = self.addresses.lock();
        if let Ok(found) = found {
            let found: Arc<[SocketAddr]> = found.collect();
            if !found.is_empty() {
                addresses.0 = found;
            }
        }
        addresses.1 = Some(Instant::now());
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.metrics.backend_gone(&self.api, &self.label);
    }
}

/// Counts an open connection until dropped.
pub struct OpenConnection {
    backend: Arc<Backend>,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.backend.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right to use one connection for one exchange.
pub struct Lease {
    backend: Arc<Backend>,
    sender: Option<Sender>,
}

impl Lease {
    /// Counts the exchange as running at the backend.
    #[must_use]
    pub fn new(backend: &Arc<Backend>, sender: Sender) -> Self {
        backend.running.fetch_add(1, Ordering::Relaxed);
        Lease { backend: Arc::clone(backend), sender: Some(sender) }
    }

    /// The backend.
    #[must_use]
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// Whether requests share the connection.
    #[must_use]
    pub fn is_http2(&self) -> bool {
        matches!(self.sender, Some(Sender::Http2(_)))
    }

    /// Sends the request and waits for the response head.
    ///
    /// # Errors
    /// The library's error, with the request itself when nothing of it was sent.
    pub async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        match &mut self.sender {
            Some(Sender::Http1(sender)) => sender.try_send_request(request).await,
            Some(Sender::Http2(sender)) => sender.try_send_request(request).await,
            // INVARIANT: the sender is only taken by `give_back`, which consumes the lease.
            None => std::future::pending().await,
        }
    }

    /// The response is over. An HTTP/1.1 connection is kept if the request was sent whole, too.
    pub fn give_back(mut self, request: &BodyMeter) {
        if let Some(Sender::Http1(sender)) = self.sender.take()
            && request.is_finished()
            && !sender.is_closed()
        {
            let mut idle = self.backend.part().idle.lock();
            if idle.len() < self.backend.max_idle {
                idle.push((sender, Instant::now()));
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.backend.running.fetch_sub(1, Ordering::Relaxed);
    }
}
