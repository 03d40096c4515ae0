//! The one way in for events: counted at once, then offered to every consumer's buffer.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bartizan_model::{Event, EventKind, Severity, Verdict, services::EventStore};
use serde_json::Value;

use crate::{
    AuditConfig, Metrics,
    audit::AuditLog,
    buffer::{Buffer, Consumer},
};

/// What receives events.
pub struct Config {
    /// Events that each consumer's buffer holds; beyond that the newest are dropped and counted. 65,536 hold some
    /// seconds of a busy gateway while a disk stalls; each buffer is also bounded to 64 MiB.
    pub capacity: usize,
    /// The audit log; `None` switches it off.
    pub audit: Option<AuditConfig>,
    /// Where recent events are kept.
    pub recent: Option<Arc<dyn EventStore>>,
}

impl Default for Config {
    fn default() -> Self {
        Config { capacity: 65_536, audit: None, recent: None }
    }
}

/// Why telemetry could not start.
#[derive(Debug)]
pub enum StartError {
    /// The audit log could not be opened.
    Audit(PathBuf, io::Error),
    /// A consumer's thread could not be started.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Audit(path, error) => write!(
                f,
                "cannot open the audit log `{}`: {error}; make its directory writable or choose another `audit.file`",
                path.display()
            ),
            StartError::Thread(error) => write!(f, "cannot start a thread for events: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// The event queue with its consumers.
pub struct Telemetry {
    metrics: Arc<Metrics>,
    sample: Sample,
    consumers: Vec<Buffer>,
}

impl Telemetry {
    /// Starts the consumers, each on a thread of its own.
    ///
    /// # Errors
    /// The audit log cannot be opened, or the system refuses a thread.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new());
        let mut consumers = Vec::new();
        if let Some(audit) = config.audit {
            let path = audit.file.clone();
            let log = AuditLog::open(audit, Arc::clone(&metrics)).map_err(|e| StartError::Audit(path, e))?;
            consumers.push(Buffer::start(config.capacity, log).map_err(StartError::Thread)?);
        }
        if let Some(store) = config.recent {
            let recent = Recent { store, metrics: Arc::clone(&metrics), failing: false };
            consumers.push(Buffer::start(config.capacity, recent).map_err(StartError::Thread)?);
        }
        Ok(Telemetry { metrics, sample: Sample::default(), consumers })
    }

    /// Counts events and keeps none.
    #[must_use]
    pub fn metrics_only() -> Self {
        Telemetry { metrics: Arc::new(Metrics::new()), sample: Sample::default(), consumers: Vec::new() }
    }

    /// Counts an event and offers it to every consumer. Never waits; a consumer whose buffer is full misses the event,
    /// which is counted in `bartizan_events_dropped_total`.
    pub fn publish(&self, event: impl Into<Arc<Event>>) {
        let event = event.into();
        self.metrics.count(&event);
        for consumer in &self.consumers {
            if consumer.name == Recent::NAME && !self.sample.keeps(&event) {
                continue;
            }
            if !consumer.offer(&event) {
                self.metrics.events_dropped(consumer.name, 1);
            }
        }
    }

    /// The metrics.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Waits until everything published before is written, at most until `deadline` has passed; `true` when all is.
    pub async fn flush(&self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        let pending: Vec<_> = self.consumers.iter().map(Buffer::flushed).collect();
        for flushed in pending {
            let left = until.saturating_duration_since(Instant::now());
            if !matches!(tokio::time::timeout(left, flushed).await, Ok(Ok(()))) {
                return false;
            }
        }
        true
    }
}

/// Exchanges kept per second that simply passed. The audit log has them all; writing each to a database as well would cost
/// more than the proxying, and nobody asks why something passed a thousand times a second.
const PASSED_PER_SECOND: u32 = 100;

/// Chooses what the store of recent events gets: everything that was refused, failed or noticed, and some of what passed.
#[derive(Default)]
struct Sample {
    second: AtomicU64,
    kept: AtomicU32,
}

impl Sample {
    fn keeps(&self, event: &Event) -> bool {
        let EventKind::Exchange(exchange) = &event.kind else { return true };
        let passed = exchange.verdict == Verdict::Allow
            && exchange.trace.is_empty()
            && exchange.findings.iter().all(|finding| finding.severity == Severity::Info);
        if !passed {
            return true;
        }
        let second = event.time.seconds();
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.kept.store(0, Ordering::Relaxed);
        }
        self.kept.fetch_add(1, Ordering::Relaxed) < PASSED_PER_SECOND
    }
}

/// The consumer that feeds the store of recent events.
struct Recent {
    store: Arc<dyn EventStore>,
    metrics: Arc<Metrics>,
    failing: bool,
}

/// Events of one transaction: bounds the JSON text that is held at once.
const BATCH: usize = 1_024;

impl Consumer for Recent {
    const NAME: &'static str = "recent";

    fn consume(&mut self, batch: &[Arc<Event>]) {
        for events in batch.chunks(BATCH) {
            let texts = events.iter().map(|event| (Arc::clone(event), json(event))).collect();
            match self.store.insert(texts) {
                Ok(()) => self.failing = false,
                Err(error) => {
                    self.metrics.events_dropped(Self::NAME, events.len() as u64);
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::error!(
                            "recent events are being lost, `bartizan why` will not find them: {error}"
                        );
                    }
                }
            }
        }
    }
}

/// The event's one JSON form, in the audit log and in the store.
pub(crate) fn json(event: &Event) -> String {
    serde_json::to_string(event).unwrap_or_else(|_| Value::Null.to_string())
}
