//! Upstreams: pools of backends, chosen by balance and health, with bounded connections and retries.

pub mod backend;
pub mod connect;
pub mod health;
pub mod retry;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_model::Clock;
use bartizan_policy::snapshot::{Balance, UpstreamProtocol, UpstreamSpec};
use bartizan_telemetry::Metrics;
use http::HeaderMap;

pub use self::backend::{Backend, Lease, Sender};
use self::{connect::Dialer, retry::RetryBudget};

/// Why no backend could be used. The blame is in the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFailure {
    /// Every backend is out (health) or ejected (passive).
    NoneAvailable,
    /// All connections of the backend are busy and its cap is reached.
    Exhausted,
    /// Connecting failed: refused, unreachable, name not found.
    Connect,
    /// Connecting took too long.
    ConnectTimeout,
    /// The TLS handshake failed: an invalid certificate, a wrong name.
    Tls,
    /// The address is this gateway's own admin API.
    Forbidden,
    /// The backend closed the connection, or broke the protocol, before a response head.
    Broken,
    /// No response head in time.
    FirstByteTimeout,
}

/// One API's upstream: outlives a reload that does not change it.
pub struct Upstream {
    /// What the policy says of it.
    pub spec: Arc<UpstreamSpec>,
    /// Its backends, in the policy's order.
    pub backends: Vec<Arc<Backend>>,
    /// Limits retries.
    pub retries: RetryBudget,
    turn: AtomicUsize,
    dialer: Dialer,
    clock: Arc<dyn Clock>,
    hasher: ahash::RandomState,
}

impl Upstream {
    /// Builds the pools and starts the upkeep (health checks, name resolution, closing of unused connections), which ends
    /// with the last reference. `forbidden` are addresses that are never dialled.
    ///
    /// # Errors
    /// The TLS settings cannot be used; one sentence for the operator.
    pub fn start(
        spec: Arc<UpstreamSpec>,
        forbidden: Vec<SocketAddr>,
        clock: Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
    ) -> Result<Arc<Self>, String> {
        let dialer = Dialer::new(&spec, forbidden)?;
        let backends = spec.backends.iter().map(|b| Arc::new(Backend::new(b, &spec, metrics))).collect();
        let upstream = Arc::new(Upstream {
            backends,
            retries: RetryBudget::new(spec.retry_budget_percent),
            turn: AtomicUsize::new(0),
            dialer,
            clock,
            // Fixed seeds: the same client goes to the same backend on every gateway.
            hasher: ahash::RandomState::with_seeds(1, 2, 3, 4),
            spec,
        });
        health::start(&upstream);
        Ok(upstream)
    }

    /// Chooses a backend by balance among those that may serve at monotonic time `now`, other than those `tried`.
    ///
    /// # Errors
    /// None may serve.
    pub fn choose(
        &self,
        now: Duration,
        client: IpAddr,
        headers: &HeaderMap,
        tried: &[usize],
    ) -> Result<(usize, Arc<Backend>), UpstreamFailure> {
        let count = self.backends.len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let may = |index: &usize| {
            !tried.contains(index)
                && self.backends.get(*index).is_some_and(|backend| backend.is_available(now))
        };
        let in_turn = || (0..count).map(move |step| turn.wrapping_add(step) % count.max(1));
        let chosen = match &self.spec.balance {
            Balance::RoundRobin => in_turn().find(may),
            Balance::LeastRequests => in_turn().filter(may).take(2).min_by_key(|&index| {
                self.backends.get(index).map_or(usize::MAX, |backend| backend.running())
            }),
            Balance::HashAddress => self.highest(&self.hasher.hash_one(client), may),
            Balance::HashHeader(name) => {
                let key = match headers.get(name) {
                    Some(value) => self.hasher.hash_one(value.as_bytes()),
                    None => self.hasher.hash_one(client),
                };
                self.highest(&key, may)
            }
        };
        // With everything out, one request a second is let through to an ejected backend as a trial.
        let chosen = chosen.or_else(|| {
            in_turn().find(|index| {
                !tried.contains(index)
                    && self.backends.get(*index).is_some_and(|backend| backend.try_trial(now))
            })
        });
        let index = chosen.ok_or(UpstreamFailure::NoneAvailable)?;
        let backend = self.backends.get(index).cloned().ok_or(UpstreamFailure::NoneAvailable)?;
        Ok((index, backend))
    }

    /// Consistent hashing by highest random weight: losing a backend moves only its own keys.
    fn highest(&self, key: &u64, may: impl Fn(&usize) -> bool) -> Option<usize> {
        (0..self.backends.len()).filter(may).max_by_key(|&index| {
            self.backends.get(index).map_or(0, |b| self.hasher.hash_one((key, &b.spec.host, b.spec.port)))
        })
    }

    /// A connection to `backend`: an unused one, or a new one. `grpc` asks for HTTP/2 where the policy leaves it open;
    /// `http1` demands HTTP/1.1 (upgrades); `fresh` asks for a new connection.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn lease(
        &self,
        backend: &Arc<Backend>,
        grpc: bool,
        http1: bool,
        fresh: bool,
    ) -> Result<Lease, UpstreamFailure> {
        let http2 = !http1
            && match self.spec.protocol {
                UpstreamProtocol::Http2 => true,
                UpstreamProtocol::Auto => grpc,
                UpstreamProtocol::Http1 => false,
            };
        if !fresh && let Some(lease) = Backend::idle(backend, http1, http2).await {
            return Ok(lease);
        }
        let offer_both = self.spec.protocol == UpstreamProtocol::Auto && !http1;
        // Dialling is rare and its future large: it lives on the heap, not in every exchange.
        Box::pin(self.dialer.dial(backend, http2, offer_both, &self.spec)).await
    }

    /// Whether a backend has less than half of its connections left.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.backends.iter().any(|backend| backend.connections() > self.spec.max_connections / 2)
    }

    /// Notes how an attempt at `backend` went, for passive ejection.
    pub fn note(&self, backend: &Backend, ok: bool) {
        let now = self.clock.monotonic();
        if ok {
            backend.succeeded();
        } else {
            backend.failed(now, &self.spec);
        }
    }
}
