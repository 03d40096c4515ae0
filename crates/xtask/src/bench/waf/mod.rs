//! `cargo xtask bench waf`: what rules cost, beside nginx with libmodsecurity and the same Core Rule Set.
//!
//! Every server gets the same bytes over keep-alive connections on loopback, in interleaved rounds, so that a busy moment of
//! the machine hits all of them. What counts is the processor time of its processes (user and system, as the scheduler
//! measures it) over a counted number of requests, not how long anybody waited.

mod client;
mod engine;
mod hostile;
mod report;
mod requests;
mod servers;

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, Result};
use bartizan_testkit::{program, suites_dir};
use clap::Args;

use self::{
    engine::Engine,
    report::{Cost, Report, Weight},
    requests::Shape,
    servers::{Lab, Server},
};
use super::{Output, build, median};
use crate::test;

/// Each measurement of a round runs for about so long, microseconds of processor time.
const BUDGET: f64 = 300_000.0;

/// The fewest requests of a measurement.
const FEWEST: usize = 4;

/// The most.
const MOST: usize = 10_000;

/// What to measure.
#[derive(Args, Debug)]
pub struct Options {
    /// Two rounds.
    #[arg(long)]
    quick: bool,
    /// Instead, what hostile texts cost by the byte, and what bombs cost the gateway.
    #[arg(long)]
    hostile: bool,
    /// Rounds; the median counts [default: 7].
    #[arg(long)]
    rounds: Option<usize>,
    /// Paranoia levels.
    #[arg(long, value_delimiter = ',', default_value = "1,2", value_parser = clap::value_parser!(u8).range(1..=4))]
    levels: Vec<u8>,
    /// The folder of the Core Rule Set [default: `crs` among the suites].
    #[arg(long)]
    crs: Option<PathBuf>,
    /// Install nothing; without libmodsecurity the others are measured.
    #[arg(long)]
    offline: bool,
    /// The binary; built with `--release` when absent.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// Measures and prints. Fails where anybody refuses harmless traffic.
///
/// # Errors
/// A server is missing or does not start, or harmless traffic was refused.
pub fn run(options: &Options) -> Result<bool> {
    let rules = match &options.crs {
        Some(folder) => std::path::absolute(folder)?,
        None => suites_dir().context("there are no suites; name the Core Rule Set by `--crs`")?.join("crs"),
    };
    let rules = rules.canonicalize().with_context(|| format!("no rules in `{}`", rules.display()))?;
    if !servers::has_modsecurity() && !options.offline && !options.hostile {
        test::install(&[servers::PACKAGE])?;
    }
    anyhow::ensure!(program("nginx").is_some(), "`nginx` is not installed (Debian: nginx-light)");
    engine::build()?;
    let binary = match &options.binary {
        Some(path) => std::path::absolute(path)?,
        None => build()?,
    };
    let rounds = options.rounds.unwrap_or(if options.quick { 2 } else { 7 });
    let shapes = requests::shapes();
    let lab = Lab::new(binary, rules.clone())?;
    if options.hostile {
        hostile::measure(&lab, &rules, &shapes)?.print(options.output)?;
        return Ok(true);
    }
    let mut measured = start(&lab, &options.levels, &rules)?;
    let count = measured.iter().find_map(Measured::rules).unwrap_or_default();
    for round in 0..=rounds {
        for one in &mut measured {
            for (index, shape) in shapes.iter().enumerate() {
                one.measure(shape, index, round > 0)
                    .with_context(|| format!("{}, {}", one.name, shape.name))?;
            }
        }
    }
    let bytes: Vec<Vec<u8>> = shapes.iter().map(|shape| shape.bytes.clone()).collect();
    let mut allocated = BTreeMap::new();
    for level in &options.levels {
        allocated.insert(*level, engine::memory(&rules, *level, &bytes)?);
    }
    let report = Report {
        rounds,
        rules: count,
        shapes: shapes.iter().map(|shape| shape.name).collect(),
        costs: measured.iter().map(Measured::cost).collect(),
        weights: measured
            .iter()
            .map(Measured::weight)
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect(),
        allocated,
    };
    report.print(options.output)?;
    Ok(true)
}

/// One server, with what was measured so far.
struct Measured {
    name: String,
    level: Option<u8>,
    what: What,
    /// How many requests make a measurement, shape by shape.
    counts: Vec<usize>,
    /// Microseconds for one request, shape by shape and round by round.
    samples: Vec<Vec<f64>>,
}

enum What {
    Server(Server),
    Engine(Engine),
}

fn start(lab: &Lab, levels: &[u8], rules: &std::path::Path) -> Result<Vec<Measured>> {
    let new = |name: &str, level: Option<u8>, what: What| Measured {
        name: name.to_owned(),
        level,
        what,
        counts: Vec::new(),
        samples: Vec::new(),
    };
    let mut all = vec![
        new("nginx", None, What::Server(lab.nginx(None)?)),
        new("gateway, guards off", None, What::Server(lab.gateway(None)?)),
    ];
    for level in levels {
        if servers::has_modsecurity() {
            let server = lab.nginx(Some(*level)).context("nginx with libmodsecurity")?;
            all.push(new("nginx + libmodsecurity", Some(*level), What::Server(server)));
        } else {
            eprintln!("SKIPPED: nginx with libmodsecurity is not installed (Debian: {})", servers::PACKAGE);
        }
        all.push(new("gateway", Some(*level), What::Server(lab.gateway(Some(*level))?)));
        all.push(new("engine in process", Some(*level), What::Engine(Engine::start(rules, *level)?)));
    }
    Ok(all)
}

impl Measured {
    /// Measures one shape once. The first time it finds out how many requests make a measurement, and warms up.
    fn measure(&mut self, shape: &Shape, index: usize, counts: bool) -> Result<()> {
        if !counts {
            self.once(shape, FEWEST)?;
            let cost = self.once(shape, FEWEST)?;
            let requests = (BUDGET / cost.max(1.0)) as usize;
            self.counts.push(requests.clamp(FEWEST, MOST));
            self.samples.push(Vec::new());
            self.once(shape, requests.clamp(FEWEST, MOST) / 2)?;
            return Ok(());
        }
        let requests = self.counts.get(index).copied().unwrap_or(FEWEST);
        let cost = self.once(shape, requests)?;
        if let Some(samples) = self.samples.get_mut(index) {
            samples.push(cost);
        }
        Ok(())
    }

    /// Microseconds for one request.
    fn once(&mut self, shape: &Shape, count: usize) -> Result<f64> {
        match &mut self.what {
            What::Server(server) => Ok(server.cost(&shape.bytes, count)? / 1e3 / count.max(1) as f64),
            What::Engine(engine) => {
                let told = engine.inspect(&shape.bytes, count)?;
                anyhow::ensure!(
                    told.status.is_none() && told.unreadable.is_none() && told.matched.is_empty(),
                    "harmless traffic was not let pass in silence: {told:?}"
                );
                Ok(told.microseconds)
            }
        }
    }

    fn rules(&self) -> Option<usize> {
        match &self.what {
            What::Engine(engine) => Some(engine.loaded.rules),
            What::Server(_) => None,
        }
    }

    fn cost(&self) -> Cost {
        let least = |samples: &Vec<f64>| samples.iter().copied().fold(f64::MAX, f64::min);
        Cost {
            server: self.name.clone(),
            level: self.level,
            microseconds: self.samples.iter().map(|samples| median(samples.clone())).collect(),
            least: self.samples.iter().map(least).collect(),
        }
    }

    fn weight(&self) -> Result<Option<Weight>> {
        let What::Server(server) = &self.what else { return Ok(None) };
        Ok(Some(Weight {
            server: self.name.clone(),
            level: self.level,
            start_ms: server.start_ms,
            resident_mb: server.resident_mb()?,
        }))
    }
}

/// Bytes in base64 (RFC 4648 section 4), as the programs that are measured take them.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word =
            three.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS.get((word >> (18 - 6 * place) & 63) as usize).copied().unwrap_or_default();
            text.push(if place > three.len() { '=' } else { char::from(digit) });
        }
    }
    text
}
