//! `cargo xtask bench`: Bartizan and its peers before one upstream, in interleaved rounds on loopback.
//!
//! What is compared is the processor time of the proxy for the same work: on a small machine it is steadier than
//! requests per second, which the load generator and the upstream share.

mod idle;
mod load;
mod peers;
mod proc;
mod waf;

use std::{collections::BTreeMap, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, bail};
use bartizan_testkit::workspace_root;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// HTTP/1.1, guards off.
    Plain,
    /// HTTP/1.1 with addresses, limits, ES256 tokens, security headers and the audit log on.
    Headers,
    /// TLS 1.3, HTTP/1.1, guards off.
    Tls,
    /// Memory at rest and per idle connection, start to first byte.
    Idle,
    /// All of them.
    All,
}

/// How the measurement is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table for terminals.
    Text,
    /// A table for documents.
    Markdown,
    /// One object.
    Json,
}

/// What to measure.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    of: Option<Of>,
    /// Two rounds of two seconds.
    #[arg(long)]
    quick: bool,
    /// Peers to measure beside Bartizan; absent ones are named and left out.
    #[arg(long, value_delimiter = ',', default_value = "nginx,haproxy,envoy")]
    peers: Vec<String>,
    /// What to measure.
    #[arg(long, value_enum, default_value = "all")]
    profile: Profile,
    /// Rounds; the median counts.
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of load per round and proxy.
    #[arg(long)]
    seconds: Option<u64>,
    /// Keep-alive connections of the load.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Idle connections that are opened to measure their memory.
    #[arg(long, default_value_t = 10_000)]
    idle_connections: usize,
    /// The binary; built with `--release` when absent.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// What is measured on its own.
#[derive(Debug, Subcommand)]
enum Of {
    /// Rules: the engine and the gateway beside nginx with libmodsecurity, with the same OWASP Core Rule Set.
    Waf(waf::Options),
}

/// One proxy under one profile: medians of its rounds.
#[derive(Clone, Debug, Serialize)]
struct Line {
    profile: Profile,
    proxy: String,
    cpu_seconds_per_100k: f64,
    requests_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    resident_mb: f64,
    failed: u64,
    /// Processor time relative to nginx without guards, in the same profile (plain, for `headers`).
    times_nginx: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Report {
    rounds: usize,
    seconds: u64,
    connections: usize,
    lines: Vec<Line>,
    idle: Vec<idle::Idle>,
}

/// Measures and prints; whether every request of every round was answered.
///
/// # Errors
/// A program is missing, or a proxy did not start.
pub fn run(options: &Options) -> Result<bool> {
    if let Some(Of::Waf(options)) = &options.of {
        return waf::run(options);
    }
    let binary = match &options.binary {
        Some(path) => std::path::absolute(path)?,
        None => build()?,
    };
    let rounds = options.rounds.unwrap_or(if options.quick { 2 } else { 5 });
    let seconds = options.seconds.unwrap_or(if options.quick { 2 } else { 8 });
    let wanted = |profile: Profile| options.profile == profile || options.profile == Profile::All;
    let lab = peers::Lab::new(binary, options.peers.clone())?;
    let mut lines = Vec::new();
    for profile in [Profile::Plain, Profile::Headers, Profile::Tls] {
        if wanted(profile) {
            lines.extend(measure(&lab, profile, rounds, seconds, options.connections)?);
        }
    }
    let idle =
        if wanted(Profile::Idle) { idle::measure(&lab, options.idle_connections)? } else { Vec::new() };
    let report = Report { rounds, seconds, connections: options.connections, lines, idle };
    print(&report, options.output)?;
    Ok(report.lines.iter().all(|line| line.failed == 0))
}

fn build() -> Result<PathBuf> {
    let root = workspace_root();
    let mut cargo = Command::new("cargo");
    let status = cargo.args(["build", "--release", "--package", "bartizan"]).current_dir(&root).status()?;
    if !status.success() {
        bail!("the release build failed");
    }
    Ok(std::path::absolute(target_dir().join("release/bartizan"))?)
}

/// Where cargo builds: `CARGO_TARGET_DIR`, else `target`.
fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace_root().join("target"), PathBuf::from)
}

/// Interleaved rounds: every proxy once per round, so that a busy moment of the machine hits all of them.
fn measure(
    lab: &peers::Lab,
    profile: Profile,
    rounds: usize,
    seconds: u64,
    connections: usize,
) -> Result<Vec<Line>> {
    let mut proxies = lab.start(profile)?;
    let mut samples: BTreeMap<usize, Vec<(load::Load, f64)>> = BTreeMap::new();
    for round in 0..=rounds {
        for (index, proxy) in proxies.iter_mut().enumerate() {
            let before = proc::cpu_seconds(proxy.process.id())?;
            // Round 0 warms up pools and caches.
            let duration = Duration::from_secs(if round == 0 { 1 } else { seconds });
            let load = load::run(&proxy.url, &proxy.headers, connections, duration)
                .with_context(|| format!("load on {}: {}", proxy.name, proxy.process.log()))?;
            let cpu = proc::cpu_seconds(proxy.process.id())? - before;
            if round > 0 {
                samples.entry(index).or_default().push((load, cpu));
            }
        }
    }
    let mut lines: Vec<Line> = Vec::new();
    for (index, samples) in samples {
        let Some(proxy) = proxies.get(index) else { continue };
        let of = |figure: &dyn Fn(&(load::Load, f64)) -> f64| median(samples.iter().map(figure).collect());
        lines.push(Line {
            profile,
            proxy: proxy.name.clone(),
            cpu_seconds_per_100k: of(&|(load, cpu)| cpu * 100_000.0 / load.requests.max(1.0)),
            requests_per_second: of(&|(load, _)| load.per_second),
            p50_ms: of(&|(load, _)| load.p50_ms),
            p99_ms: of(&|(load, _)| load.p99_ms),
            resident_mb: proc::resident_mb(proxy.process.id())?,
            failed: samples.iter().map(|(load, _)| load.failed).sum(),
            times_nginx: None,
        });
    }
    let nginx = lines.iter().find(|line| line.proxy == "nginx").map(|line| line.cpu_seconds_per_100k);
    for line in &mut lines {
        line.times_nginx = nginx.map(|nginx| line.cpu_seconds_per_100k / nginx);
    }
    Ok(lines)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn print(report: &Report, output: Output) -> Result<()> {
    if output == Output::Json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    println!(
        "medians of {} interleaved rounds of {} s, {} keep-alive connections, 1 KB answers\n",
        report.rounds, report.seconds, report.connections
    );
    let rows: Vec<Vec<String>> = report
        .lines
        .iter()
        .map(|line| {
            vec![
                format!("{:?}", line.profile).to_lowercase(),
                line.proxy.clone(),
                format!("{:.2}", line.cpu_seconds_per_100k),
                line.times_nginx.map_or_else(String::new, |times| format!("{times:.2}")),
                format!("{:.0}", line.requests_per_second),
                format!("{:.2}", line.p50_ms),
                format!("{:.2}", line.p99_ms),
                format!("{:.1}", line.resident_mb),
                line.failed.to_string(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let head = [
            "profile",
            "proxy",
            "CPU s/100k",
            "x nginx",
            "requests/s",
            "p50 ms",
            "p99 ms",
            "RSS MB",
            "failed",
        ];
        table(output, &head, rows);
    }
    let rows: Vec<Vec<String>> = report.idle.iter().map(idle::Idle::row).collect();
    if !rows.is_empty() {
        println!();
        table(output, &idle::HEAD, rows);
    }
    Ok(())
}

fn table(output: Output, head: &[&str], rows: Vec<Vec<String>>) {
    if output == Output::Markdown {
        println!("| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
        for row in rows {
            println!("| {} |", row.join(" | "));
        }
    } else {
        let mut table = comfy_table::Table::new();
        table.load_preset(comfy_table::presets::NOTHING).set_header(head);
        table.add_rows(rows);
        println!("{table}");
    }
}
