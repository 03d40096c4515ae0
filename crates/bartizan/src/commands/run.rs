//! `bartizan run`: the gateway itself, from a configuration or from flags alone.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use bartizan_guards::waf::DEBIAN;
use bartizan_model::{Mode, Profile};
use bartizan_policy::{QuickStart, Source};
use clap::ValueEnum;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use super::check::colour;
use crate::{
    EXIT_CONFIG,
    running::{Setup, Started, start},
};

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
    #[arg(long, value_name = "ADDR", requires = "upstream", conflicts_with = "config")]
    pub listen: Option<SocketAddr>,
    /// Where the admin API listens [default: 127.0.0.1:9440].
    #[arg(long, value_name = "ADDR", requires = "upstream", conflicts_with = "config")]
    pub admin: Option<SocketAddr>,
    /// Whether findings stop exchanges: hygiene, limits and normalization always do.
    #[arg(long, value_enum, requires = "upstream", conflicts_with = "config")]
    pub mode: Option<ModeFlag>,
    /// How much the defaults demand.
    #[arg(long, value_enum, requires = "upstream", conflicts_with = "config")]
    pub profile: Option<ProfileFlag>,
    /// An OpenAPI document: its paths and methods are what exists, anything else is refused.
    #[arg(long, value_name = "FILE", requires = "upstream", conflicts_with = "config")]
    pub contract: Option<PathBuf>,
    /// The folder of the OWASP Core Rule Set, which looks for attacks; it has `rules/` and `crs-setup.conf`
    /// [default: Debian's package `modsecurity-crs`, where it is installed].
    #[arg(long, value_name = "DIR", requires = "upstream", conflicts_with = "config")]
    pub crs: Option<PathBuf>,
    /// The state directory: database, audit log, admin token [default: `var`].
    #[arg(long, value_name = "DIR", requires = "upstream", conflicts_with = "config")]
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
    if args.upstream.is_none() && args.config.is_none() && !Path::new(CONFIG).exists() {
        return config_error(&format!(
            "there is no `{CONFIG}` here; name one by `--config`, write one by `bartizan init`, or do without: \
             `bartizan run --upstream http://127.0.0.1:3000`"
        ));
    }
    start_tracing(args.log);
    raise_file_limit();
    refuse_huge_pages();
    refuse_core_dumps();
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

/// Memory holds credentials and bodies of live requests: where the process breaks down, none of it is written to disk.
fn refuse_core_dumps() {
    let _ = rlimit::Resource::CORE.set(0, 0);
    // A collector that the kernel pipes dumps into is not bound by the limit.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
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
                crs: args.crs.as_ref().map(path).or_else(installed_crs),
                ..QuickStart::new(upstream.as_str())
            };
            quick.source()
        }
        None => Source::file(args.config.clone().unwrap_or_else(|| PathBuf::from(CONFIG))),
    }
}

/// The folder of the Core Rule Set that this machine has.
pub fn installed_crs() -> Option<String> {
    Path::new(DEBIAN).join("rules").is_dir().then(|| DEBIAN.to_owned())
}

async fn serve(args: Args) -> ExitCode {
    let setup = Setup {
        environment: args.environment.clone(),
        workers: args.workers,
        trace: args.trace,
        sockets: inherited(),
        ..Setup::new(source(&args))
    };
    match start(setup).await {
        Ok(started) => {
            announce(&started);
            until_stopped(started).await
        }
        Err(text) => config_error(text.trim_start_matches("error: ")),
    }
}

/// Sockets that systemd opened for us (`sd_listen_fds(3)`).
fn inherited() -> Vec<std::net::TcpListener> {
    let mut sockets = listenfd::ListenFd::from_env();
    (0..sockets.len()).filter_map(|index| sockets.take_tcp_listener(index).ok().flatten()).collect()
}

/// Tells what is protected, and where.
fn announce(started: &Started) {
    println!("{}", started.summary);
    for (address, tls) in started.listeners.addresses() {
        println!("listening on {}://{address}", if tls { "https" } else { "http" });
    }
    println!("admin API on http://{} (/healthz /readyz /metrics)", started.admin);
}

/// Serves until SIGTERM or SIGINT, and drains then; SIGHUP reloads.
async fn until_stopped(started: Started) -> ExitCode {
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
                let _ = started.reloader.reload("SIGHUP").await;
            }
        }
    }
    let patience = started.gateway.active().snapshot.bounds.drain_timeout;
    // Asked twice: at once.
    let asked_again = async {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
    };
    started.stop(patience, asked_again).await;
    ExitCode::SUCCESS
}
