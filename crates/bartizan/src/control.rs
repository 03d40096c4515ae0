//! The running gateway as the admin API sees it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bartizan_control::{BackendStatus, ListenerStatus, MonitorUntil, Operations, ReloadReport, StatusReport};
use bartizan_gateway::{
    DecisionAsker, Fetcher, Gateway, Introspector, Listeners, explain,
    probe::{self, Bounds, Interrupted, Level, SelfProof},
};
use bartizan_guards::identity::events::{Refused, Taken};
use bartizan_model::{Event, EventKind, Scheme, Timestamp, services::BoxFuture};
use bartizan_policy::Snapshot;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::reload::Reloader;

/// What the policy leaves open that `/readyz` tells; `bartizan doctor` tells all.
const MAX_OPEN: usize = 8;

/// Policies that may follow each other while one doctor asks.
const SUPERSEDED: usize = 3;

/// Implements the admin API's view over the gateway.
pub struct Running {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// Its listeners.
    pub listeners: Arc<Listeners>,
    /// Reloads.
    pub reloader: Arc<Reloader>,
    /// When the process started.
    pub started: Timestamp,
    /// What did not work as it should at start.
    pub degraded: Vec<String>,
    /// Key sets.
    pub fetcher: Arc<Fetcher>,
    /// Introspection endpoints.
    pub introspector: Arc<Introspector>,
    /// Decision points elsewhere.
    pub decision_asker: Arc<DecisionAsker>,
    /// Break-glass with its reason.
    pub monitor: Mutex<Option<MonitorUntil>>,
    /// The proof that the policy in force is enforced.
    pub proof: Arc<SelfProof>,
    /// One doctor at a time.
    pub doctors: tokio::sync::Mutex<()>,
    /// Where timers run.
    pub runtime: tokio::runtime::Handle,
    /// This value itself, for timers.
    pub this: std::sync::Weak<Running>,
}

impl Running {
    /// What does not work as it should right now.
    fn degraded(&self) -> Vec<String> {
        let mut all = self.degraded.clone();
        for (source, error) in self.fetcher.failing() {
            all.push(format!("the key set of `{source}` could not be fetched: {error}"));
        }
        for (endpoint, error) in self.introspector.failing() {
            all.push(format!(
                "the introspection endpoint `{endpoint}` gives no answer that can be used: {error}"
            ));
        }
        for (point, error) in self.decision_asker.failing() {
            all.push(format!("the decision point `{point}` gives no answer that can be used: {error}"));
        }
        all.extend(self.reloader.refused());
        all
    }
}

impl Operations for Running {
    fn reload(&self) -> BoxFuture<'_, Result<ReloadReport, String>> {
        Box::pin(async move { self.reloader.reload("admin API").await })
    }

    fn set_mode(&self, monitor: Option<MonitorUntil>) {
        let until = monitor.as_ref().map(|m| m.until);
        self.gateway.set_break_glass(until);
        self.gateway.telemetry.metrics().set_monitor_all(monitor.is_some());
        *self.monitor.lock() = monitor;
        if let Some(until) = until {
            let this = self.this.clone();
            self.runtime.spawn(async move { end_at(this, until).await });
        }
    }

    fn key_max_age(&self) -> Option<Duration> {
        key_max_age(&self.gateway.active().snapshot)
    }

    fn signing_keys(&self) -> Vec<Value> {
        let active = self.gateway.active();
        let mut keys = Vec::new();
        for sign in active.upstreams.iter().filter_map(|upstream| upstream.spec.sign.as_ref()) {
            let key = sign.jwk();
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    fn status(&self) -> StatusReport {
        let active = self.gateway.active();
        let now = self.gateway.services.clock.monotonic();
        let backends = active.upstreams.iter().flat_map(|upstream| {
            upstream.backends.iter().map(move |backend| BackendStatus {
                api: upstream.spec.name.to_string(),
                backend: format!("{}://{}", if backend.spec.tls { "https" } else { "http" }, backend.label),
                up: backend.is_available(now),
            })
        });
        StatusReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started,
            generation: active.snapshot.generation,
            digest: active.snapshot.digest.clone(),
            monitor: self.monitor.lock().clone(),
            listeners: self
                .listeners
                .addresses()
                .into_iter()
                .map(|(address, tls)| ListenerStatus { address, tls })
                .collect(),
            backends: backends.collect(),
            degraded: self.degraded(),
        }
    }

    fn explain<'a>(&'a self, raw: &'a [u8]) -> BoxFuture<'a, Result<Value, String>> {
        let peer = SocketAddr::from(([127, 0, 0, 1], 0));
        Box::pin(explain(&self.gateway, raw, peer, Scheme::Http))
    }

    fn ready(&self) -> BoxFuture<'_, Result<Value, String>> {
        Box::pin(async {
            if self.gateway.is_draining() {
                return Err("draining".to_owned());
            }
            if self.listeners.addresses().is_empty() {
                return Err("no listener".to_owned());
            }
            let Some(report) = self.proof.wait().await? else { return Ok(json!({ "probes": "off" })) };
            let (hostile, blocked, watched) = report.hostile();
            let open = report.findings.iter().filter(|remark| remark.level != Level::Note);
            let open: Vec<String> = open.take(MAX_OPEN).map(ToString::to_string).collect();
            Ok(json!({
                "generation": report.generation,
                "probes": { "hostile": hostile, "blocked": blocked, "watched": watched },
                "open": open,
            }))
        })
    }

    fn issuers(&self) -> Vec<Arc<str>> {
        self.gateway.active().snapshot.issuers.keys().cloned().collect()
    }

    fn security_event<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Taken, Refused>> {
        Box::pin(async move {
            let events = Arc::clone(&self.gateway.active().snapshot.events);
            events.receive(token, self.gateway.services.clock.now()).await
        })
    }

    fn doctor(&self) -> BoxFuture<'_, Result<Value, String>> {
        Box::pin(async {
            let _one = self.doctors.lock().await;
            let mut ran = probe::run(&self.gateway, Bounds::DOCTOR).await;
            // A saved file and a command may both reload: the last policy is the one that is asked about.
            for _ in 0..SUPERSEDED {
                if !matches!(ran, Err(Interrupted::Superseded)) {
                    break;
                }
                ran = probe::run(&self.gateway, Bounds::DOCTOR).await;
            }
            serde_json::to_value(ran.map_err(|why| why.to_string())?).map_err(|error| error.to_string())
        })
    }
}

/// The greatest age of an API key that a policy accepts anywhere.
pub fn key_max_age(snapshot: &Snapshot) -> Option<Duration> {
    let operations = snapshot.apis.iter().flat_map(|api| api.operations.all());
    operations.filter_map(|operation| operation.guards.identity.active()?.key_max_age()).min()
}

/// Ends break-glass when its time is over, unless it was ended or prolonged before.
async fn end_at(running: std::sync::Weak<Running>, until: Timestamp) {
    loop {
        let Some(running) = running.upgrade() else { return };
        let now = running.gateway.services.clock.now();
        if now >= until {
            let ours = {
                let mut monitor = running.monitor.lock();
                let ours = monitor.as_ref().is_some_and(|m| m.until == until);
                if ours {
                    *monitor = None;
                }
                ours
            };
            if ours {
                running.gateway.set_break_glass(None);
                running.gateway.telemetry.metrics().set_monitor_all(false);
                running.gateway.telemetry.publish(Event {
                    id: running.gateway.event_id(now),
                    time: now,
                    client: None,
                    generation: running.gateway.active().snapshot.generation,
                    kind: EventKind::Control {
                        code: "mode.ended",
                        actor: "bartizan".to_owned(),
                        detail: "break-glass ended by itself: every guard decides in its own mode".to_owned(),
                    },
                });
                tracing::info!("break-glass ended by itself");
            }
            return;
        }
        // In short steps: the wall clock may be set while we wait.
        let left = until.since(now).min(Duration::from_millis(500));
        drop(running);
        tokio::time::sleep(left).await;
    }
}
