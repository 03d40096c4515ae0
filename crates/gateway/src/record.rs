//! The record of one exchange: it collects what the event needs and publishes it exactly once, whatever happens.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bartizan_model::{
    Denial, Event, EventKind, Mode, Principal, Severity, Transaction, Verdict,
    event::{EventPrincipal, Exchange, ObservedValues, redact_path_of},
};
use bartizan_policy::snapshot::{Api, Operation};
use http::{Method, Version};
use tokio::time::Instant;

use crate::{
    connection::{Connection, Running},
    gateway::{Active, Gateway},
};

/// What the request body did, shared with the upstream's side.
#[derive(Debug, Default)]
pub struct BodyMeter {
    /// Bytes received from the client.
    pub bytes: AtomicU64,
    finished: AtomicBool,
    /// Why it was cut, as an index into [`BodyFault`] plus one; zero for not.
    fault: AtomicU64,
}

/// Why a request body was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// Larger than the policy allows.
    TooLarge,
    /// Slower than the policy demands.
    TooSlow,
    /// Not whole at the end of the longest exchange.
    TooLong,
    /// The client left or broke the framing.
    Broken,
}

impl BodyMeter {
    /// Notes why the body was cut; the first reason stays.
    pub fn cut(&self, fault: BodyFault) {
        let code = match fault {
            BodyFault::TooLarge => 1,
            BodyFault::TooSlow => 2,
            BodyFault::TooLong => 4,
            BodyFault::Broken => 3,
        };
        let _ = self.fault.compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Notes that the client's body came to its end, or that there is none.
    pub fn finish(&self) {
        self.finished.store(true, Ordering::Release);
    }

    /// Whether the client's body came to its end.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// Why the body was cut, if it was.
    #[must_use]
    pub fn fault(&self) -> Option<BodyFault> {
        match self.fault.load(Ordering::Relaxed) {
            1 => Some(BodyFault::TooLarge),
            2 => Some(BodyFault::TooSlow),
            3 => Some(BodyFault::Broken),
            4 => Some(BodyFault::TooLong),
            _ => None,
        }
    }
}

/// How the exchange ended, once known.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// The verdict.
    pub verdict: Verdict,
    /// The reason code of a refusal or failure.
    pub reason: Option<&'static str>,
    /// The guard or stage.
    pub by: Option<&'static str>,
}

impl Ending {
    /// A failure or refusal named by its denial.
    #[must_use]
    pub fn of(denial: &Denial) -> Self {
        Ending { verdict: denial.info.verdict, reason: Some(denial.info.code), by: Some(denial.guard) }
    }
}

/// Everything about one exchange that outlives its phases. Dropping it publishes the event; an exchange that was dropped
/// half-way still yields one, with verdict `Abort`.
pub struct Record {
    /// The gateway's shared state.
    pub gateway: Arc<Gateway>,
    /// The policy and the pools that were in force when the exchange began.
    pub active: Arc<Active>,
    /// The client's connection.
    pub connection: Arc<Connection>,
    /// The exchange as guards see it.
    pub transaction: Transaction,
    /// The API, once routed.
    pub api: Option<Arc<Api>>,
    /// The operation, once routed.
    pub operation: Option<Arc<Operation>>,
    /// How it ended; `None` until decided.
    pub ending: Option<Ending>,
    /// The status sent to the client; 0 before.
    pub status: u16,
    /// Request body.
    pub body: Arc<BodyMeter>,
    /// Response body bytes released.
    pub bytes_out: u64,
    /// From forwarding to the upstream's head.
    pub upstream_wait: Option<Duration>,
    /// The backend that answered.
    pub backend: Option<Arc<str>>,
    /// Attempts made upstream.
    pub attempts: u8,
    /// `explain` asks without an exchange: no event is published.
    pub silent: bool,
    /// `explain` asks as if the request came from this caller: `identity` is left out. Never set for an exchange.
    pub assumed: Option<Arc<Principal>>,
    /// Keeps the connection marked as busy.
    pub running: Option<Running>,
}

impl Record {
    /// Decides the ending, unless it is decided already: an exchange ends exactly once.
    pub fn end(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
    }

    /// When the exchange must be over, unless it is an open stream.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.gateway.born + self.transaction.ticks + self.active.snapshot.bounds.total_timeout
    }

    /// The path as it may be told: what the operation's template has a parameter for is a value, whatever it looks like.
    #[must_use]
    pub fn told_path(&self) -> String {
        let known = self.operation.as_deref().filter(|operation| operation.known);
        let template = known.and_then(|operation| operation.label.split_once(' ')).map(|(_, path)| path);
        redact_path_of(&self.transaction.request.path, template, &self.gateway.services.tokens)
    }

    fn event(&mut self, now: Duration) -> Event {
        let path = self.told_path();
        let ending = self.ending.unwrap_or(Ending { verdict: Verdict::Abort, reason: None, by: None });
        let transaction = &mut self.transaction;
        let elapsed = now.saturating_sub(transaction.ticks);
        let mode = match (&self.api, transaction.monitor_all) {
            (_, true) => Mode::Monitor,
            (Some(api), false) => api.mode,
            (None, false) => Mode::Enforce,
        };
        let noticed = transaction.findings.iter().any(|finding| finding.severity > Severity::Info);
        let explained = self.gateway.trace || noticed || ending.verdict != Verdict::Allow;
        let exchange = Exchange {
            verdict: ending.verdict,
            reason: ending.reason,
            by: ending.by,
            api: Arc::clone(&transaction.api),
            operation: Arc::clone(&transaction.operation),
            method: method_label(&transaction.request.method),
            scheme: transaction.request.scheme,
            protocol: protocol_label(transaction.request.version),
            path,
            status: self.status,
            duration: elapsed,
            upstream_wait: self.upstream_wait,
            backend: self.backend.clone(),
            attempts: self.attempts,
            bytes_in: self.body.bytes.load(Ordering::Relaxed),
            bytes_out: self.bytes_out,
            principal: transaction.principal.as_ref().map(|p| EventPrincipal {
                subject: Arc::clone(&p.subject),
                issuer: Arc::clone(&p.issuer),
                credential: p.kind,
            }),
            allowed_by: std::mem::take(&mut transaction.allowed_by),
            findings: std::mem::take(&mut transaction.findings),
            findings_dropped: transaction.findings_dropped,
            score: transaction.score.take(),
            observed: transaction
                .memory
                .take::<ObservedValues>(ObservedValues::ID)
                .map(|values| values.0)
                .unwrap_or_default(),
            // What simply passed has nothing to explain, unless somebody asked to see it all.
            trace: transaction.trace.take().filter(|_| explained).unwrap_or_default(),
            mode,
        };
        Event {
            id: transaction.id,
            time: transaction.started,
            client: Some(transaction.client.ip),
            generation: self.active.snapshot.generation,
            kind: EventKind::Exchange(Box::new(exchange)),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(operation) = &self.operation {
            operation.guards.settle(&mut self.transaction);
        }
        let now = self.gateway.services.clock.monotonic();
        self.connection.note_quiet(now);
        if self.silent || self.transaction.probe {
            if let Some(mark) = self.connection.mark() {
                mark.note(self.ending, &mut self.transaction, self.active.snapshot.generation);
            }
            return;
        }
        let event = self.event(now);
        self.gateway.telemetry.publish(event);
    }
}

/// Methods by name; anything unusual is `OTHER`, so that clients cannot invent metric labels.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "QUERY" => "QUERY",
        "CONNECT" => "CONNECT",
        _ => "OTHER",
    }
}

fn protocol_label(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}
