//! Prometheus metrics with bounded labels: names from the policy and the code, never a value that a client chose.

mod scores;
mod series;

use std::sync::Arc;

use bartizan_model::{Event, EventKind};
use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use scores::Scores;
use series::{Handles, RequestKeyRef, RequestSeries};

/// Distinct (API, operation, method) triples that get series of their own: beyond that all share the series
/// `api="other", operation="other"`. With 16 lines per histogram this keeps a scrape under about 10 MB.
pub const MAX_SERIES: usize = 2_000;

/// Distinct findings and refusals (guard, code, mode): all are constants of the code, so this is never reached.
const MAX_CODES: usize = 1_000;

/// Seconds: from well under a proxied exchange on one machine to the longest that total time-outs usually allow.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// Every metric of the process. Shared by reference; each method costs a few atomic operations.
pub struct Metrics {
    registry: Registry,
    sources: Mutex<Vec<Source>>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<OperationLabels, Histogram, fn() -> Histogram>,
    upstream_durations: Family<OperationLabels, Histogram, fn() -> Histogram>,
    series: Handles<RequestKey, Arc<RequestSeries>>,
    findings: Family<FindingLabels, Counter>,
    finding_handles: Handles<FindingLabels, Counter>,
    scores: Scores,
    refusals: Family<RefusalLabels, Counter>,
    refusal_handles: Handles<RefusalLabels, Counter>,
    bytes_in: Counter,
    bytes_out: Counter,
    connections: [Gauge; 2],
    connections_total: [Counter; 2],
    connections_refused: Family<CodeLabels, Counter>,
    generation: Gauge,
    reloads: [Counter; 2],
    monitor_all: Gauge,
    events_dropped: Family<ConsumerLabels, Counter>,
    audit_failures: Counter,
    backends: Family<BackendLabels, Gauge>,
    limiter_keys: Gauge,
    bans: Gauge,
}

type Source = Box<dyn Fn(&Metrics) + Send + Sync>;
type RequestKey = (Arc<str>, Arc<str>, &'static str);

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    api: Arc<str>,
    operation: Arc<str>,
    method: &'static str,
    status: &'static str,
    verdict: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OperationLabels {
    api: Arc<str>,
    operation: Arc<str>,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FindingLabels {
    guard: &'static str,
    code: &'static str,
    mode: &'static str,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RefusalLabels {
    guard: &'static str,
    reason: &'static str,
    verdict: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DirectionLabels {
    direction: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TransportLabels {
    transport: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ConsumerLabels {
    consumer: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BackendLabels {
    api: String,
    backend: String,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl Metrics {
    /// An empty registry with every family registered.
    #[must_use]
    pub fn new() -> Self {
        let histograms: fn() -> Histogram = || Histogram::new(BUCKETS);
        let mut metrics = Metrics {
            registry: Registry::with_prefix("bartizan"),
            sources: Mutex::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(histograms),
            upstream_durations: Family::new_with_constructor(histograms),
            series: Handles::new(MAX_SERIES),
            findings: Family::default(),
            finding_handles: Handles::new(MAX_CODES),
            scores: Scores::new(),
            refusals: Family::default(),
            refusal_handles: Handles::new(MAX_CODES),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            connections: Default::default(),
            connections_total: Default::default(),
            connections_refused: Family::default(),
            generation: Gauge::default(),
            reloads: Default::default(),
            monitor_all: Gauge::default(),
            events_dropped: Family::default(),
            audit_failures: Counter::default(),
            backends: Family::default(),
            limiter_keys: Gauge::default(),
            bans: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let bytes = Family::<DirectionLabels, Counter>::default();
        self.bytes_in = bytes.get_or_create_owned(&DirectionLabels { direction: "in" });
        self.bytes_out = bytes.get_or_create_owned(&DirectionLabels { direction: "out" });
        let open = Family::<TransportLabels, Gauge>::default();
        self.connections =
            ["plain", "tls"].map(|transport| open.get_or_create_owned(&TransportLabels { transport }));
        let accepted = Family::<TransportLabels, Counter>::default();
        self.connections_total =
            ["plain", "tls"].map(|transport| accepted.get_or_create_owned(&TransportLabels { transport }));
        let reloads = Family::<ResultLabels, Counter>::default();
        self.reloads = ["refused", "ok"].map(|result| reloads.get_or_create_owned(&ResultLabels { result }));
        for consumer in ["audit", "recent"] {
            self.events_dropped.get_or_create_owned(&ConsumerLabels { consumer });
        }

        let r = &mut self.registry;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        r.register("build", "The running build", build);
        r.register("requests", "Exchanges by operation, status class and verdict", self.requests.clone());
        r.register(
            "request_duration_seconds",
            "From the complete request head to the last byte of the response",
            self.durations.clone(),
        );
        r.register(
            "upstream_duration_seconds",
            "From forwarding to the first byte of the upstream",
            self.upstream_durations.clone(),
        );
        r.register("findings", "What guards noticed, in which mode", self.findings.clone());
        self.scores.register(r);
        r.register(
            "refusals",
            "Exchanges that did not reach or pass the upstream, by reason",
            self.refusals.clone(),
        );
        r.register("bytes", "Body bytes received from and released to clients", bytes);
        r.register("connections", "Open client connections", open);
        r.register("connections", "Client connections accepted", accepted);
        r.register(
            "connections_refused",
            "Client connections refused before HTTP, by code",
            self.connections_refused.clone(),
        );
        r.register("config_generation", "The generation of the policy in force", self.generation.clone());
        r.register("config_reloads", "Reloads of the policy, by result", reloads);
        r.register("monitor_all", "1 while break-glass lets every refusal pass", self.monitor_all.clone());
        r.register("events_dropped", "Events that a consumer missed", self.events_dropped.clone());
        r.register("audit_write_failures", "Failed writes of the audit log", self.audit_failures.clone());
        r.register("upstream_up", "1 while a backend receives requests", self.backends.clone());
        r.register("limiter_keys", "Keys that rate limits hold in memory", self.limiter_keys.clone());
        r.register("bans", "Addresses and networks banned", self.bans.clone());
    }

    /// Counts one event.
    pub fn count(&self, event: &Event) {
        let EventKind::Exchange(exchange) = &event.kind else {
            return;
        };
        let series =
            self.series.get(&RequestKeyRef(&exchange.api, &exchange.operation, exchange.method), |full| {
                self.open_series(&exchange.api, &exchange.operation, exchange.method, full)
            });
        series.request(self, exchange.status, exchange.verdict);
        series.duration.observe(exchange.duration.as_secs_f64());
        if let Some(wait) = exchange.upstream_wait {
            series.upstream(self).observe(wait.as_secs_f64());
        }
        self.bytes_in.inc_by(exchange.bytes_in);
        self.bytes_out.inc_by(exchange.bytes_out);
        for finding in &exchange.findings {
            let labels =
                FindingLabels { guard: finding.guard, code: finding.code, mode: finding.mode.as_str() };
            self.finding_handles.get(&labels, |_| (labels, self.findings.get_or_create_owned(&labels))).inc();
        }
        if let Some(score) = &exchange.score {
            self.scores.count(exchange, score);
        }
        if let Some(reason) = exchange.reason {
            let guard = exchange.by.unwrap_or("none");
            let labels = RefusalLabels { guard, reason, verdict: exchange.verdict.as_str() };
            self.refusal_handles.get(&labels, |_| (labels, self.refusals.get_or_create_owned(&labels))).inc();
        }
    }

    fn open_series(
        &self,
        api: &Arc<str>,
        operation: &Arc<str>,
        method: &'static str,
        full: bool,
    ) -> (RequestKey, Arc<RequestSeries>) {
        let (api, operation): (Arc<str>, Arc<str>) =
            if full { ("other".into(), "other".into()) } else { (Arc::clone(api), Arc::clone(operation)) };
        let labels = OperationLabels { api: Arc::clone(&api), operation: Arc::clone(&operation) };
        let duration = self.durations.get_or_create_owned(&labels);
        ((api, operation, method), Arc::new(RequestSeries::new(labels, method, duration)))
    }

    /// A client connection was accepted.
    pub fn connection_opened(&self, tls: bool) {
        if let (Some(open), Some(total)) =
            (self.connections.get(usize::from(tls)), self.connections_total.get(usize::from(tls)))
        {
            open.inc();
            total.inc();
        }
    }

    /// A client connection that was counted as opened ended.
    pub fn connection_closed(&self, tls: bool) {
        if let Some(open) = self.connections.get(usize::from(tls)) {
            open.dec();
        }
    }

    /// A client connection was refused before HTTP; `code` as in the event, such as `connection.banned`.
    pub fn connection_refused(&self, code: &'static str) {
        self.connections_refused.get_or_create(&CodeLabels { code }).inc();
    }

    /// Body bytes of exchanges that end in no event of their own yet (long streams and tunnels) are counted here as they
    /// flow; do not count the same bytes in the event again.
    pub fn bytes(&self, received: u64, released: u64) {
        self.bytes_in.inc_by(received);
        self.bytes_out.inc_by(released);
    }

    /// The policy in force.
    pub fn set_generation(&self, generation: u64) {
        self.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
    }

    /// A reload was tried.
    pub fn reloaded(&self, ok: bool) {
        if let Some(counter) = self.reloads.get(usize::from(ok)) {
            counter.inc();
        }
    }

    /// Break-glass is on or off.
    pub fn set_monitor_all(&self, on: bool) {
        self.monitor_all.set(i64::from(on));
    }

    /// A consumer missed so many events.
    pub fn events_dropped(&self, consumer: &'static str, count: u64) {
        self.events_dropped.get_or_create(&ConsumerLabels { consumer }).inc_by(count);
    }

    /// A write of the audit log failed.
    pub fn audit_write_failed(&self) {
        self.audit_failures.inc();
    }

    /// Whether a backend receives requests. `api` and `backend` are names of the policy.
    pub fn backend_up(&self, api: &str, backend: &str, up: bool) {
        let labels = BackendLabels { api: api.to_owned(), backend: backend.to_owned() };
        self.backends.get_or_create(&labels).set(i64::from(up));
    }

    /// A backend left the policy: its series ends.
    pub fn backend_gone(&self, api: &str, backend: &str) {
        self.backends.remove(&BackendLabels { api: api.to_owned(), backend: backend.to_owned() });
    }

    /// Keys that rate limits hold.
    pub fn set_limiter_keys(&self, keys: usize) {
        self.limiter_keys.set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    /// Bans in force.
    pub fn set_bans(&self, bans: usize) {
        self.bans.set(i64::try_from(bans).unwrap_or(i64::MAX));
    }

    /// Registers what sets gauges just before each scrape (sizes that nobody counts as they change).
    pub fn before_encode(&self, source: impl Fn(&Metrics) + Send + Sync + 'static) {
        self.sources.lock().push(Box::new(source));
    }

    /// The Prometheus text format 0.0.4 that `GET /metrics` answers (`text/plain; version=0.0.4; charset=utf-8`).
    #[must_use]
    pub fn encode(&self) -> String {
        for source in self.sources.lock().iter() {
            source(self);
        }
        let mut out = String::with_capacity(16 * 1024);
        if let Err(error) = text::encode(&mut out, &self.registry) {
            tracing::error!("metrics could not be written: {error}");
        }
        plain(&out)
    }
}

/// OpenMetrics text as Prometheus text 0.0.4: counters and infos are named with their suffix in `HELP` and `TYPE` too,
/// and nothing marks the end.
fn plain(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len() + 1024);
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map(|(_, text)| text);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|r| r.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            let help = help.take().unwrap_or_default();
            out.push_str(&format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n"));
        } else if line != "# EOF" {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}
