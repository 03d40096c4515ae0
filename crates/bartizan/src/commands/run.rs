//! `bartizan run`: the gateway itself, from a configuration or from flags alone.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use bartizan_control::{Admin, Operations};
use bartizan_gateway::{Fetcher, Gateway, Listeners, Parts, Workers};
use bartizan_model::{
    Clock, Mode, Profile,
    services::{Bans, EventStore},
};
use bartizan_policy::{CompileOptions, Loaded, QuickStart, Snapshot, Source, compile, render};
use bartizan_store::{
    State,
    system::{SystemClock, SystemRandom},
};
use bartizan_telemetry::{AuditConfig, Config as TelemetryConfig, Telemetry};
use clap::ValueEnum;
use parking_lot::Mutex;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use super::check::colour;
use crate::{EXIT_CONFIG, assemble, control::Running, reload::Reloader};

/// The configuration that is used when none is named.
pub const CONFIG: &str = "bartizan.yaml";

/// Protects an API: with `--upstream` alone no file is needed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration. Without it and without `--upstream`, `bartizan.yaml` is used.
    #[arg(long, short, value_name = "FILE", conflicts_with = "upstream")]
    pub config: Option<PathBuf>,
    /// The environment to lay over the configuration, instead of its own.
    #[arg(long, value_name = "NAME", conflicts_with = "upstream")]
    pub environment: Option<String>,
    /// The API to protect, such as `http://127.0.0.1:3000`.
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// Where to listen [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR", requires = "upstream")]
    pub listen: Option<SocketAddr>,
    /// Where the admin API listens [default: 127.0.0.1:9440].
    #[arg(long, value_name = "ADDR", requires = "upstream")]
    pub admin: Option<SocketAddr>,
    /// Whether findings stop exchanges: hygiene, limits and normalization always do.
    #[arg(long, value_enum, requires = "upstream")]
    pub mode: Option<ModeFlag>,
    /// How much the defaults demand.
    #[arg(long, value_enum, requires = "upstream")]
    pub profile: Option<ProfileFlag>,
    /// An OpenAPI document: its paths and methods are what exists, anything else is refused.
    #[arg(long, value_name = "FILE", requires = "upstream")]
    pub contract: Option<PathBuf>,
    /// A folder with the OWASP Core Rule Set (not available in this version).
    #[arg(long, value_name = "DIR", requires = "upstream")]
    pub crs: Option<PathBuf>,
    /// The state directory: database, audit log, admin token [default: `var`].
    #[arg(long, value_name = "DIR", requires = "upstream")]
    pub state: Option<PathBuf>,
    /// Threads that carry traffic [default: one per core].
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// How much to tell on standard error: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "BARTIZAN_LOG")]
    pub log: tracing::Level,
    /// Keep each guard's decision also of exchanges that simply passed: `why` then explains them, too.
    #[arg(long)]
    pub trace: bool,
}

/// `--mode`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ModeFlag {
    /// Findings stop the exchange.
    Enforce,
    /// Findings are recorded only.
    Monitor,
}

/// `--profile`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ProfileFlag {
    /// Doubtful settings are warnings.
    Balanced,
    /// Doubtful settings are errors.
    Strict,
}

/// Runs the gateway until it is told to stop: 0 after a clean drain, 78 for a bad configuration.
pub fn run(args: Args) -> ExitCode {
    if args.crs.is_some() {
        return config_error("`--crs` is not available in this version: it has no WAF; leave the flag out");
    }
    if args.upstream.is_none() && args.config.is_none() && !Path::new(CONFIG).exists() {
        return config_error(&format!(
            "there is no `{CONFIG}` here; name one by `--config`, write one by `bartizan init`, or do without: \
             `bartizan run --upstream http://127.0.0.1:3000`"
        ));
    }
    start_tracing(args.log);
    raise_file_limit();
    refuse_huge_pages();
    // Traffic has threads of its own; this runtime reloads, checks health and answers the admin API.
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return config_error(&format!("cannot start: {error}")),
    };
    let code = runtime.block_on(serve(args));
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

fn config_error(text: &str) -> ExitCode {
    eprintln!("error: {text}");
    ExitCode::from(EXIT_CONFIG)
}

/// Foreign crates tell only warnings, whatever the level: their debug output may quote headers.
fn start_tracing(level: tracing::Level) {
    let level = level.as_str().to_lowercase();
    let rooms = ["bartizan", "bartizan_control", "bartizan_gateway", "bartizan_guards", "bartizan_policy"];
    let more = ["bartizan_store", "bartizan_telemetry", "bartizan_contract"];
    let mut filter = String::from("warn,hyper=error,h2=error,rustls=error");
    for room in rooms.iter().chain(&more) {
        filter.push_str(&format!(",{room}={level}"));
    }
    let layer =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colour()).with_target(false);
    let _ = tracing_subscriber::registry().with(EnvFilter::new(filter)).with(layer).try_init();
}

/// Every connection needs a descriptor, and every forwarded request another.
fn raise_file_limit() {
    if let Ok((soft, hard)) = rlimit::Resource::NOFILE.get()
        && soft < hard
    {
        let _ = rlimit::Resource::NOFILE.set(hard, hard);
    }
}

/// The allocator asks for huge pages, which are resident whole once a byte of them is used: a third more memory for each
/// idle connection.
fn refuse_huge_pages() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// The configuration that the flags mean.
fn source(args: &Args) -> Source {
    match &args.upstream {
        Some(upstream) => {
            let path = |path: &PathBuf| path.to_string_lossy().into_owned();
            let quick = QuickStart {
                listen: args.listen,
                admin: args.admin,
                state: args.state.as_ref().map(path),
                mode: args.mode.map(|mode| match mode {
                    ModeFlag::Enforce => Mode::Enforce,
                    ModeFlag::Monitor => Mode::Monitor,
                }),
                profile: args.profile.map(|profile| match profile {
                    ProfileFlag::Balanced => Profile::Balanced,
                    ProfileFlag::Strict => Profile::Strict,
                }),
                contract: args.contract.as_ref().map(path),
                ..QuickStart::new(upstream.as_str())
            };
            quick.source()
        }
        None => Source::file(args.config.clone().unwrap_or_else(|| PathBuf::from(CONFIG))),
    }
}

async fn serve(args: Args) -> ExitCode {
    match start(&args).await {
        Ok(running) => running.until_stopped().await,
        Err(text) => config_error(text.trim_start_matches("error: ")),
    }
}

/// A gateway that serves.
struct Started {
    gateway: Arc<Gateway>,
    listeners: Arc<Listeners>,
    reloader: Arc<Reloader>,
    state: State,
    stop_admin: oneshot::Sender<()>,
}

async fn start(args: &Args) -> Result<Started, String> {
    let runtime = tokio::runtime::Handle::current();
    let source = source(args);
    // The policy says where state is kept, and guards need what is kept there: compiled once to look, once to run.
    let idle = bartizan_policy::offline::services();
    let looked = load(&source, args, &idle)?;
    let (state_spec, audit_spec) = (looked.snapshot.state.clone(), looked.snapshot.audit.clone());
    drop(looked);
    let state = State::open(&state_spec.directory, state_spec.database.as_deref())
        .map_err(|error| error.to_string())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let recent: Arc<dyn EventStore> = Arc::<bartizan_store::Store>::clone(&state.store);
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
    let services = assemble::services(&clock, &state, &limits, documents);
    let loaded = load(&source, args, &services)?;
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
    let parts = Parts { services, telemetry: Arc::clone(&telemetry), bans, trace: args.trace };
    let gateway = Gateway::start(parts, loaded.snapshot)?;
    let inherited = inherited();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = Workers::start(args.workers.filter(|&n| n > 0).unwrap_or(cores))
        .map_err(|error| format!("cannot start the threads that carry traffic: {error}"))?;
    let listeners = Listeners::new(Arc::clone(&gateway), workers, inherited);
    let plan = listeners.prepare(&listener_specs)?;
    let admin = TcpListener::bind(admin_address).await.map_err(|error| {
        format!("the admin API cannot listen on `{admin_address}`: {error}; choose another address by `admin.address` or `--admin`")
    })?;
    let admin_bound = admin.local_addr().unwrap_or(admin_address);
    let reloader = Reloader::new(
        Arc::clone(&gateway),
        Arc::clone(&listeners),
        source,
        args.environment.clone(),
        loaded.watched,
    );
    reloader.watch(runtime.clone());
    end_streams_on_change(&gateway, &state);
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
        monitor: Mutex::new(None),
        runtime: runtime.clone(),
        this: this.clone(),
    });
    let control = Admin {
        operations,
        store: Arc::clone(&state.store),
        telemetry: Arc::clone(&telemetry),
        clock,
        random: Arc::new(SystemRandom),
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
    println!("{summary}");
    for (address, tls) in listeners.addresses() {
        println!("listening on {}://{address}", if tls { "https" } else { "http" });
    }
    println!("admin API on http://{admin_bound} (/healthz /readyz /metrics)");
    Ok(Started { gateway, listeners, reloader, state, stop_admin })
}

/// The policy, or everything that is wrong with it.
fn load(source: &Source, args: &Args, services: &bartizan_model::Services) -> Result<Loaded, String> {
    let mut options = CompileOptions::new(services);
    options.environment.clone_from(&args.environment);
    compile(source, &options).map_err(|rejected| render(&rejected.diagnostics, &rejected.sources, colour()))
}

/// Sockets that systemd opened for us (`sd_listen_fds(3)`).
fn inherited() -> Vec<std::net::TcpListener> {
    let mut sockets = listenfd::ListenFd::from_env();
    (0..sockets.len()).filter_map(|index| sockets.take_tcp_listener(index).ok().flatten()).collect()
}

/// A ban or a revoked key ends the live streams that it concerns.
fn end_streams_on_change(gateway: &Arc<Gateway>, state: &State) {
    for changes in [state.store.ban_list().changes(), state.store.key_index().changes()] {
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
        let unknown = match api.unknown_operations {
            bartizan_policy::snapshot::UnknownOperations::Deny => "refused",
            bartizan_policy::snapshot::UnknownOperations::Monitor => "only watched",
            bartizan_policy::snapshot::UnknownOperations::Allow => "let through",
        };
        lines.push(format!("  unknown operations: {unknown}"));
    }
    lines.join("\n")
}

impl Started {
    async fn until_stopped(mut self) -> ExitCode {
        let (Ok(mut term), Ok(mut int), Ok(mut hup)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
        else {
            return config_error("cannot listen for signals");
        };
        loop {
            tokio::select! {
                _ = term.recv() => break,
                _ = int.recv() => break,
                _ = hup.recv() => {
                    let _ = self.reloader.reload("SIGHUP").await;
                }
            }
        }
        let patience = self.gateway.active().snapshot.bounds.drain_timeout;
        tracing::info!(connections = self.gateway.connections(), "draining");
        self.listeners.close();
        if let Some(directory) = &mut self.state.directory {
            directory.release();
        }
        let whole = tokio::select! {
            whole = self.gateway.drain(patience) => whole,
            // Asked twice: at once.
            _ = int.recv() => false,
            _ = term.recv() => false,
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
        ExitCode::SUCCESS
    }
}
