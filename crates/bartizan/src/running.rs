//! A gateway that runs in this process: how `run` and `demo` start one, and how it ends.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use bartizan_control::{Admin, Operations};
use bartizan_gateway::{
    DecisionAsker, Fetcher, Gateway, Introspector, Listeners, Parts, Workers, probe::SelfProof,
};
use bartizan_model::{
    Clock, Event, Mode,
    services::{Bans, EventStore},
};
use bartizan_policy::{CompileOptions, Loaded, Snapshot, Source, compile, render, snapshot::Api};
use bartizan_store::{
    State,
    system::{SystemClock, SystemRandom},
};
use bartizan_telemetry::{AuditConfig, Config as TelemetryConfig, Telemetry};
use parking_lot::Mutex;
use tokio::{net::TcpListener, sync::oneshot};

use crate::{assemble, commands::check::colour, control::Running, reload::Reloader, reminders};

/// How a gateway is started.
pub struct Setup {
    /// The policy.
    pub source: Source,
    /// The environment to lay over it, instead of its own.
    pub environment: Option<String>,
    /// Threads that carry traffic; `None` for one per core.
    pub workers: Option<usize>,
    /// Events of exchanges that simply passed carry each step's decision, too, and are all kept.
    pub trace: bool,
    /// Open sockets, used for the listeners and the admin API of the same address.
    pub sockets: Vec<std::net::TcpListener>,
    /// Sees every event that is kept.
    pub witness: Option<Arc<dyn EventStore>>,
}

impl Setup {
    /// A gateway with this policy, and nothing else said.
    pub fn new(source: Source) -> Self {
        Setup { source, environment: None, workers: None, trace: false, sockets: Vec::new(), witness: None }
    }
}

/// A gateway that serves.
pub struct Started {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// Its listeners.
    pub listeners: Arc<Listeners>,
    /// Reloads.
    pub reloader: Arc<Reloader>,
    /// Where the admin API listens.
    pub admin: SocketAddr,
    /// What is protected and what is only watched, one line per API and set of guards.
    pub summary: String,
    state: State,
    stop_admin: oneshot::Sender<()>,
}

/// Starts a gateway in this process.
///
/// # Errors
/// The rendered diagnostics of the policy, or one sentence for the operator: a port is taken, a directory unusable.
pub async fn start(mut setup: Setup) -> Result<Started, String> {
    let runtime = tokio::runtime::Handle::current();
    // The policy says where state is kept, and guards need what is kept there: compiled once to look, once to run.
    let idle = bartizan_policy::offline::services();
    let looked = load(&setup, &idle)?;
    let (state_spec, audit_spec) = (looked.snapshot.state.clone(), looked.snapshot.audit.clone());
    drop(looked);
    let state = State::open(&state_spec.directory, state_spec.database.as_deref())
        .map_err(|error| error.to_string())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let recent: Arc<dyn EventStore> = Arc::<bartizan_store::Store>::clone(&state.store);
    let recent = match setup.witness.clone() {
        Some(witness) => Arc::new(Witnessed { store: recent, witness }),
        None => recent,
    };
    let audit = audit_spec.file.filter(|_| state.directory.is_some()).map(|file| AuditConfig {
        file,
        rotate_at: audit_spec.rotate_at,
        keep: audit_spec.keep,
    });
    let telemetry =
        Telemetry::start(TelemetryConfig { audit, recent: Some(recent), ..TelemetryConfig::default() });
    let telemetry = Arc::new(telemetry.map_err(|error| error.to_string())?);
    let limits = assemble::limits();
    let fetcher = Fetcher::new(Arc::clone(&clock), runtime.clone());
    let documents: Arc<dyn bartizan_model::services::Documents> = Arc::<Fetcher>::clone(&fetcher);
    let introspector = Introspector::new(runtime.clone());
    let introspection: Arc<dyn bartizan_model::services::Introspection> =
        Arc::<Introspector>::clone(&introspector);
    let decision_asker = DecisionAsker::new(runtime.clone());
    let decision_points: Arc<dyn bartizan_model::services::DecisionPoints> =
        Arc::<DecisionAsker>::clone(&decision_asker);
    let services = assemble::services(&clock, &state, &limits, documents, introspection, decision_points);
    let loaded = load(&setup, &services)?;
    for warning in &loaded.snapshot.warnings.0 {
        eprintln!("{warning}");
    }
    for degraded in &state.degraded {
        tracing::warn!("{degraded}");
    }
    let summary = summary(&loaded.snapshot);
    let admin_address = loaded.snapshot.admin.address;
    let listener_specs = loaded.snapshot.listeners.clone();
    let bans: Arc<dyn Bans> = Arc::<bartizan_store::BanList>::clone(state.store.ban_list());
    let parts = Parts { services, telemetry: Arc::clone(&telemetry), bans, trace: setup.trace };
    let gateway = Gateway::start(parts, loaded.snapshot)?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = Workers::start(setup.workers.filter(|&n| n > 0).unwrap_or(cores))
        .map_err(|error| format!("cannot start the threads that carry traffic: {error}"))?;
    let admin = match take_socket(&mut setup.sockets, admin_address) {
        Some(socket) => socket.set_nonblocking(true).and_then(|()| TcpListener::from_std(socket)),
        None => TcpListener::bind(admin_address).await,
    };
    let admin = admin.map_err(|error| {
        format!("the admin API cannot listen on `{admin_address}`: {error}; choose another address by `admin.address` or `--admin`")
    })?;
    let listeners = Listeners::new(Arc::clone(&gateway), workers, setup.sockets);
    let plan = listeners.prepare(&listener_specs)?;
    let admin_bound = admin.local_addr().unwrap_or(admin_address);
    let reloader = Reloader::new(
        Arc::clone(&gateway),
        Arc::clone(&listeners),
        setup.source,
        setup.environment,
        loaded.watched,
    );
    reloader.watch(runtime.clone());
    end_streams_on_change(&gateway, &state);
    runtime.spawn(reminders::remind(Arc::downgrade(&gateway), Arc::clone(&state.store)));
    let (table, store) = (Arc::clone(&limits), Arc::clone(&state.store));
    let metrics_clock = Arc::clone(&clock);
    telemetry.metrics().before_encode(move |metrics| {
        metrics.set_limiter_keys(table.len(metrics_clock.monotonic()));
        metrics.set_bans(store.ban_list().len());
    });
    let operations: Arc<dyn Operations> = Arc::new_cyclic(|this| Running {
        gateway: Arc::clone(&gateway),
        listeners: Arc::clone(&listeners),
        reloader: Arc::clone(&reloader),
        started: clock.now(),
        degraded: state.degraded.clone(),
        fetcher: Arc::clone(&fetcher),
        introspector: Arc::clone(&introspector),
        decision_asker: Arc::clone(&decision_asker),
        monitor: Mutex::new(None),
        proof: SelfProof::start(&gateway),
        doctors: tokio::sync::Mutex::new(()),
        runtime: runtime.clone(),
        this: this.clone(),
    });
    let control = Admin {
        operations,
        store: Arc::clone(&state.store),
        telemetry: Arc::clone(&telemetry),
        clock,
        random: Arc::new(SystemRandom),
        sealer: Arc::clone(&state.sealer),
        token: Arc::clone(&state.token),
    };
    let (stop_admin, admin_stopped) = oneshot::channel();
    tokio::spawn(async move {
        let stopped = async {
            let _ = admin_stopped.await;
        };
        if let Err(error) = bartizan_control::serve(admin, control, stopped).await {
            tracing::error!(%error, "the admin API ended");
        }
    });
    listeners.commit(plan);
    if let Some(directory) = &state.directory {
        let announced = directory.announce(admin_bound, state_spec.database.as_deref());
        if let Err(error) = announced {
            tracing::warn!(%error, "commands will not find the admin API");
        }
    }
    Ok(Started { gateway, listeners, reloader, admin: admin_bound, summary, state, stop_admin })
}

/// The open socket of an address, where there is one.
fn take_socket(
    sockets: &mut Vec<std::net::TcpListener>,
    address: SocketAddr,
) -> Option<std::net::TcpListener> {
    let at = sockets.iter().position(|socket| socket.local_addr().is_ok_and(|bound| bound == address))?;
    Some(sockets.swap_remove(at))
}

/// The policy, or everything that is wrong with it.
fn load(setup: &Setup, services: &bartizan_model::Services) -> Result<Loaded, String> {
    let mut options = CompileOptions::new(services);
    options.environment.clone_from(&setup.environment);
    compile(&setup.source, &options)
        .map_err(|rejected| render(&rejected.diagnostics, &rejected.sources, colour()))
}

impl Started {
    /// Ends it: no new connections, running exchanges have `patience` (or until `at_once` ends), then everything is written.
    pub async fn stop(mut self, patience: Duration, at_once: impl Future<Output = ()>) {
        tracing::info!(connections = self.gateway.connections(), "draining");
        self.listeners.close();
        if let Some(directory) = &mut self.state.directory {
            directory.release();
        }
        let whole = tokio::select! {
            whole = self.gateway.drain(patience) => whole,
            () = at_once => false,
        };
        if !whole {
            tracing::warn!(connections = self.gateway.connections(), "ended with exchanges still running");
        }
        let _ = self.stop_admin.send(());
        self.gateway.telemetry.flush(Duration::from_secs(5)).await;
        if let Err(error) = self.state.store.settle() {
            tracing::warn!(%error, "the last key uses were not written");
        }
        if let Some(directory) = &self.state.directory {
            directory.withdraw();
        }
    }
}

/// A ban or a revoked key ends the live streams that it concerns.
fn end_streams_on_change(gateway: &Arc<Gateway>, state: &State) {
    let store = &state.store;
    for changes in [
        store.ban_list().changes(),
        store.key_index().changes(),
        store.client_index().changes(),
        store.deny_list().changes(),
    ] {
        let gateway = Arc::downgrade(gateway);
        changes.on_change(move || {
            if let Some(gateway) = gateway.upgrade() {
                gateway.kicks.announce();
            }
        });
    }
}

/// What is protected and what is only watched, one line per API.
fn summary(snapshot: &Snapshot) -> String {
    let mut lines = Vec::new();
    for api in &snapshot.apis {
        let backends: Vec<String> = api
            .upstream
            .backends
            .iter()
            .map(|b| format!("{}://{}:{}", if b.tls { "https" } else { "http" }, b.host, b.port))
            .collect();
        lines.push(format!("api {} -> {}", api.name, backends.join(", ")));
        lines.push(
            "  protected: request hygiene (one reading of every request), connection and size bounds"
                .to_owned(),
        );
        let (mut enforced, mut watched) = (Vec::new(), Vec::new());
        for (id, mode) in api.operations.fallback().iter().flat_map(|operation| operation.guards.modes()) {
            match mode {
                Mode::Enforce => enforced.push(id),
                Mode::Monitor => watched.push(id),
                Mode::Off => {}
            }
        }
        enforced.dedup();
        watched.dedup();
        if !enforced.is_empty() {
            lines.push(format!("  protected: {}", enforced.join(", ")));
        }
        if !watched.is_empty() {
            lines.push(format!("  only watched: {}", watched.join(", ")));
        }
        lines.extend(rule_sets(api));
        let unknown = match api.unknown_operations {
            bartizan_policy::snapshot::UnknownOperations::Deny => "refused",
            bartizan_policy::snapshot::UnknownOperations::Monitor => "only watched",
            bartizan_policy::snapshot::UnknownOperations::Allow => "let through",
        };
        lines.push(format!("  unknown operations: {unknown}"));
    }
    lines.join("\n")
}

/// Which rules look for attacks in an API, and where they are from: one line for each set of them.
fn rule_sets(api: &Api) -> Vec<String> {
    let mut lines = Vec::new();
    for waf in api.operations.all().filter_map(|operation| operation.guards.waf.active()) {
        for origin in waf.origins() {
            let line = format!("  rules of waf: {origin}");
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

/// A store, and somebody who sees what is stored.
struct Witnessed {
    store: Arc<dyn EventStore>,
    witness: Arc<dyn EventStore>,
}

impl EventStore for Witnessed {
    /// The store first: what the witness tells of can be looked up.
    fn insert(&self, batch: Vec<(Arc<Event>, String)>) -> Result<(), String> {
        let seen = batch.clone();
        let stored = self.store.insert(batch);
        self.witness.insert(seen)?;
        stored
    }
}
