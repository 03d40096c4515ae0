//! `bartizan simulate`: labelled traffic of people and attackers, into a file or against a server on this machine.

mod file;
mod live;

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bartizan_traffic::{Kind, Rhythm, Settings, World};

use crate::{
    admin_client::{Output, fail},
    commands::minutes::Minutes,
};

/// What clap exits with as well.
const EXIT_USAGE: u8 = 2;

/// Makes traffic of people and attackers around the sample bank, with the truth about each request aside.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("to").required(true).args(["out", "target"])))]
pub struct Args {
    /// Writes `FILE.jsonl` or `FILE.har`, and beside it `FILE.labels.jsonl` and `FILE.jwks.json`; `-` is standard output,
    /// as JSON lines without the others.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Plays it live against this server on loopback, before which is nothing or a gateway, and behind it the sample bank
    /// with the same seed.
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,
    /// Requests at most; 10,000 for a file where `--minutes` is not given either.
    #[arg(long, value_name = "N")]
    pub requests: Option<u64>,
    /// Minutes at most: simulated ones for a file, real ones for a server (1 where not given).
    #[arg(long, value_name = "M")]
    pub minutes: Option<Minutes>,
    /// The same seed makes the same traffic, byte for byte. It is the seed of the bank too.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Customers who are about, at most 5,000.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=5_000))]
    pub people: u32,
    /// `all`, `none`, or kinds of attacks separated by commas, such as `credential_stuffing,forged_token`.
    #[arg(long, value_name = "LIST", default_value = "all")]
    pub attacks: String,
    /// In a file, attackers come while fewer than this many of 100 requests are theirs.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=100))]
    pub attack_percent: u64,
    /// When a file begins (RFC 3339).
    #[arg(long, value_name = "TIME", default_value = "2026-03-02T08:00:00Z")]
    pub start: String,
    /// The value of `Host`.
    #[arg(long, value_name = "NAME", default_value = "bank.example", value_parser = host)]
    pub host: String,
    /// Where the labels of a file go instead.
    #[arg(long, value_name = "FILE", requires = "out")]
    pub labels: Option<PathBuf>,
    /// Where the key set of a file's tokens goes instead.
    #[arg(long, value_name = "FILE", requires = "out")]
    pub jwks: Option<PathBuf>,
    /// Begins each connection with a PROXY protocol v2 header that tells the actor's address.
    #[arg(long, requires = "target")]
    pub proxy_protocol: bool,
    /// Live, waits are divided by this.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, requires = "target")]
    pub speed: f64,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Why nothing was made.
enum Failure {
    /// The arguments make no sense.
    Usage(anyhow::Error),
    /// They do, and it failed.
    Run(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Run(error)
    }
}

/// Runs `bartizan simulate`: 0 when all was written, or every person was answered as the bank alone would have.
pub fn run(args: &Args) -> ExitCode {
    let done = match &args.target {
        Some(target) => live::run(args, target),
        None => file::run(args),
    };
    match done {
        Ok(code) => code,
        Err(Failure::Run(error)) => fail(&format!("{error:#}")),
        Err(Failure::Usage(error)) => {
            fail(&format!("{error:#}"));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// A host name with or without a port, as a `Host` field has it.
fn host(text: &str) -> Result<String, &'static str> {
    match text.parse::<http::uri::Authority>() {
        Ok(authority) if !authority.as_str().contains('@') => Ok(text.to_owned()),
        _ => Err("write a host name such as `bank.example` or `127.0.0.1:8080`"),
    }
}

fn attacks(list: &str) -> anyhow::Result<Vec<Kind>> {
    match list {
        "all" => Ok(Kind::ATTACKS.to_vec()),
        "none" => Ok(Vec::new()),
        list => list
            .split(',')
            .map(|name| {
                Kind::attack(name.trim()).with_context(|| {
                    let names: Vec<&str> = Kind::ATTACKS.iter().map(|kind| kind.name()).collect();
                    format!("`{name}` is no attack: name `all`, `none` or some of {}", names.join(", "))
                })
            })
            .collect(),
    }
}

fn world(args: &Args, rhythm: Rhythm) -> Arc<World> {
    let settings = Settings {
        seed: args.seed,
        people: args.people,
        host: args.host.clone(),
        rhythm,
        ..Settings::default()
    };
    World::new(settings)
}

/// How far a run is, told on a terminal now and then.
struct Progress {
    tells: bool,
    begun: Instant,
    told: Instant,
}

impl Progress {
    fn new() -> Self {
        Progress { tells: io::stderr().is_terminal(), begun: Instant::now(), told: Instant::now() }
    }

    /// Tells of so many requests, four times a second.
    fn tell(&mut self, requests: u64) {
        if self.tells && self.told.elapsed() > Duration::from_millis(250) {
            self.told = Instant::now();
            let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
            // A terminal that is gone is no error.
            let _ = write!(io::stderr(), "\r{requests} requests, {} a second ", requests * 1_000 / millis);
        }
    }

    /// Makes room for what comes.
    fn end(self) {
        if self.tells {
            let _ = write!(io::stderr(), "\r{:60}\r", "");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn attacks_are_named() {
        assert_eq!(attacks("all").unwrap().len(), Kind::ATTACKS.len());
        assert_eq!(attacks("none").unwrap(), []);
        assert_eq!(attacks("ssrf, forged_token").unwrap(), [Kind::Ssrf, Kind::ForgedToken]);
        assert!(attacks("ddos").unwrap_err().to_string().contains("`ddos`"));
    }
}
