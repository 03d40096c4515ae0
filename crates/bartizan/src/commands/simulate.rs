//! `bartizan simulate`: labelled traffic of people and attackers, into a file or against a server on this machine.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal as _, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use bartizan_model::Timestamp;
use bartizan_store::system::SystemClock;
use bartizan_traffic::{
    Actor, Kind, Mix, Outcome, Part, Plan, Rhythm, Score, Settings, Simulation, World,
    play::{self, play},
    record::{Format, Recorder},
};
use comfy_table::{Table, presets};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{signal, sync::mpsc};

use crate::admin_client::{Output, fail, remark, say};

/// Requests that are written where neither `--requests` nor `--minutes` is given.
const REQUESTS: u64 = 10_000;

/// How long a run against a server takes where `--minutes` is not given.
const LIVE_MINUTES: u64 = 1;

/// How often progress is told on a terminal.
const PROGRESS: Duration = Duration::from_millis(250);

/// What clap exits with as well.
const EXIT_USAGE: u8 = 2;

/// Outcomes of a live run that wait to be counted.
const WAITING: usize = 1_024;

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
    pub minutes: Option<u64>,
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
    #[arg(long, value_name = "NAME", default_value = "bank.example")]
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
        Some(target) => live(args, target),
        None => file(args),
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

/// A moment as the microseconds that the simulation counts.
fn moment(text: &str) -> anyhow::Result<Timestamp> {
    let parsed = OffsetDateTime::parse(text, &Rfc3339).ok();
    let micros = parsed.and_then(|time| u64::try_from(time.unix_timestamp_nanos() / 1_000).ok());
    micros
        .map(Timestamp)
        .with_context(|| format!("`--start` is a time such as `2026-03-02T08:00:00Z`, not `{text}`"))
}

/// Where a file's parts go.
struct Places {
    format: Format,
    out: Option<PathBuf>,
    labels: Option<PathBuf>,
    jwks: Option<PathBuf>,
}

fn places(args: &Args) -> anyhow::Result<Places> {
    let out = args.out.clone().unwrap_or_default();
    let (labels, jwks) = (args.labels.clone(), args.jwks.clone());
    if out == Path::new("-") {
        return Ok(Places { format: Format::Jsonl, out: None, labels, jwks });
    }
    let format = match out.extension().and_then(|extension| extension.to_str()) {
        Some("jsonl") => Format::Jsonl,
        Some("har") => Format::Har,
        _ => bail!("`{}` ends in neither `.jsonl` nor `.har`: name a file that does, or `-`", out.display()),
    };
    let labels = labels.unwrap_or_else(|| out.with_extension("labels.jsonl"));
    let jwks = jwks.unwrap_or_else(|| out.with_extension("jwks.json"));
    Ok(Places { format, out: Some(out), labels: Some(labels), jwks: Some(jwks) })
}

fn create(path: &Path) -> anyhow::Result<BufWriter<File>> {
    let file = File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(BufWriter::with_capacity(256 * 1024, file))
}

/// Counts of what was written.
#[derive(Default)]
struct Written {
    people: u64,
    attack: u64,
    groundwork: u64,
    kinds: std::collections::BTreeMap<Kind, u64>,
    last: Timestamp,
}

/// What a file is made of, where the arguments make sense.
fn asked(args: &Args) -> anyhow::Result<(Mix, Places)> {
    let (start, attacks) = (moment(&args.start)?, attacks(&args.attacks)?);
    ensure!(args.people > 0 || !attacks.is_empty(), "with neither people nor attacks nobody sends anything");
    Ok((Mix { start, attacks, attack_percent: args.attack_percent }, places(args)?))
}

fn file(args: &Args) -> Result<ExitCode, Failure> {
    let (mix, places) = asked(args).map_err(Failure::Usage)?;
    let start = mix.start;
    let world = world(args, Rhythm::Days { visits: 2 });
    let to_stdout = places.out.is_none();
    let out: Box<dyn Write> = match &places.out {
        Some(path) => Box::new(create(path)?),
        None => Box::new(BufWriter::with_capacity(64 * 1024, io::stdout().lock())),
    };
    let labels = places.labels.as_deref().map(create).transpose()?;
    if let Some(path) = &places.jwks {
        std::fs::write(path, format!("{:#}\n", world.jwks()))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    let begun = Instant::now();
    let name =
        places.out.as_deref().map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    let written = match record(args, &world, mix, (places.format, out, labels)) {
        // Who reads has read enough, as `head` has.
        Err(error) if to_stdout && error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        written => written.with_context(|| format!("cannot write `{name}` or its labels"))?,
    };
    let summary = summary(&written, &places, (start, begun.elapsed()));
    let text = match args.output {
        Output::Json => summary.to_string(),
        Output::Text => {
            let total = written.people + written.attack + written.groundwork;
            let hours = written.last.since(start).as_secs() / 3_600;
            let beside: Vec<String> = [&places.labels, &places.jwks]
                .into_iter()
                .flatten()
                .map(|path| path.display().to_string())
                .collect();
            format!(
                "{total} requests over {hours} h of simulated time: {} of people, {} of attacks, {} of their groundwork\n\
                 written to {name}{}{}",
                written.people,
                written.attack,
                written.groundwork,
                if beside.is_empty() { "" } else { ", and beside it " },
                beside.join(" and "),
            )
        }
    };
    if to_stdout {
        remark(&text)
    } else {
        say(&text)
    }
    Ok(ExitCode::SUCCESS)
}

type Sinks = (Format, Box<dyn Write>, Option<BufWriter<File>>);

fn record(args: &Args, world: &Arc<World>, mix: Mix, sinks: Sinks) -> io::Result<Written> {
    let (format, out, labels) = sinks;
    let most = args.requests.unwrap_or(if args.minutes.is_some() { u64::MAX } else { REQUESTS });
    let until = args.minutes.map(|minutes| mix.start.plus(Duration::from_secs(minutes.saturating_mul(60))));
    let mut recorder = Recorder::new(format, &args.host, out, labels)?;
    let mut written = Written { last: mix.start, ..Written::default() };
    let (tells, begun, mut told) = (io::stderr().is_terminal(), Instant::now(), Instant::now());
    for exchange in Simulation::new(world, mix) {
        if exchange.id > most || until.is_some_and(|until| exchange.at > until) {
            break;
        }
        recorder.write(&exchange)?;
        let label = &exchange.request.label;
        match label.part {
            Part::Use => written.people += 1,
            Part::Attack => written.attack += 1,
            Part::Groundwork => written.groundwork += 1,
        }
        *written.kinds.entry(label.kind).or_default() += 1;
        written.last = exchange.at;
        if tells && exchange.id.is_multiple_of(1_000) && told.elapsed() > PROGRESS {
            told = Instant::now();
            let rate = exchange.id * 1_000 / u64::try_from(begun.elapsed().as_millis()).unwrap_or(1).max(1);
            // Progress is for people; a terminal that is gone is no error.
            let _ = write!(io::stderr(), "\r{} requests, {rate} a second ", exchange.id);
        }
    }
    if tells && begun.elapsed() > PROGRESS {
        let _ = write!(io::stderr(), "\r{:60}\r", "");
    }
    recorder.finish()?;
    Ok(written)
}

fn summary(written: &Written, places: &Places, (start, elapsed): (Timestamp, Duration)) -> Value {
    json!({
        "requests": written.people + written.attack + written.groundwork,
        "people": written.people,
        "attack": written.attack,
        "groundwork": written.groundwork,
        "kinds": written.kinds,
        "from": start.to_string(),
        "to": written.last.to_string(),
        "out": places.out,
        "labels": places.labels,
        "jwks": places.jwks,
        "elapsed_ms": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
    })
}

/// The address of a URL of this machine.
fn loopback(target: &str) -> anyhow::Result<SocketAddr> {
    let authority = target
        .strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/'))
        .with_context(|| format!("`--target` is a URL such as `http://127.0.0.1:8080`, not `{target}`"))?;
    let authority = authority.replace("localhost", "127.0.0.1");
    let address: SocketAddr = authority
        .parse()
        .or_else(|_| format!("{authority}:80").parse())
        .with_context(|| format!("`--target` names an address and a port of this machine, not `{target}`"))?;
    ensure!(
        address.ip().is_loopback(),
        "traffic is played to loopback only: `{target}` is not on this machine"
    );
    Ok(address)
}

/// What became of the requests of one kind, live.
#[derive(Default)]
struct Met {
    requests: u64,
    succeeded: u64,
    by_gateway: u64,
    broken: u64,
}

fn live(args: &Args, target: &str) -> Result<ExitCode, Failure> {
    let address = loopback(target).map_err(Failure::Usage)?;
    let attacks = attacks(&args.attacks).map_err(Failure::Usage)?;
    let world = world(args, Rhythm::Steady { pause: Duration::from_secs(30) });
    let config = play::Config {
        host: args.host.clone(),
        proxy_protocol: args.proxy_protocol,
        max_requests: args.requests.unwrap_or(u64::MAX),
        max_time: Duration::from_secs(args.minutes.unwrap_or(LIVE_MINUTES).saturating_mul(60)),
        speed: args.speed,
        ..play::Config::new(address, Arc::new(SystemClock::default()))
    };
    let attackers = attacks.iter().map(|kind| world.attacker(Plan::new(*kind, 1)));
    let actors: Vec<Box<dyn Actor>> = world.people().chain(attackers).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let interrupted = async {
        if signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let (played, (score, kinds, missed)) = runtime.block_on(async {
        let counted = tokio::spawn(count(receiver));
        let played = play(config, actors, sender, interrupted).await;
        (played, counted.await.unwrap_or_default())
    });
    played.map_err(|error| Failure::Usage(error.into()))?;
    let people = score.false_positives().map(|stopped| (1.0 - stopped) * 100.0);
    let passed = people.is_none_or(|percent| percent >= 100.0);
    match args.output {
        Output::Json => {
            let kinds: serde_json::Map<String, Value> =
                kinds.iter().map(|(kind, met)| (kind.name().to_owned(), told(met))).collect();
            say(&json!({
                "people_percent": people,
                "detection": score.detection(None),
                "kinds": kinds,
                "missed": missed,
            })
            .to_string());
        }
        Output::Text => {
            let mut table = Table::new();
            table.load_preset(presets::NOTHING);
            table.set_header(["kind", "requests", "succeeded", "refused by the gateway", "without answer"]);
            for (kind, met) in &kinds {
                let counts =
                    [met.requests, met.succeeded, met.by_gateway, met.broken].map(|count| count.to_string());
                table.add_row(std::iter::once(kind.name().to_owned()).chain(counts));
            }
            say(&table.trim_fmt());
            if let Some(percent) = people {
                say(&format!(
                    "people were answered as the bank alone answers in {percent:.2} % of their requests"
                ));
            }
            missed.iter().for_each(|line| say(&format!("  not so: {line}")));
        }
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(met: &Met) -> Value {
    json!({
        "requests": met.requests,
        "succeeded": met.succeeded,
        "refused_by_gateway": met.by_gateway,
        "without_answer": met.broken,
    })
}

type Counted = (Score, std::collections::BTreeMap<Kind, Met>, Vec<String>);

/// Counts outcomes as they come, and keeps the first few where a person was not answered as expected.
async fn count(mut outcomes: mpsc::Receiver<Outcome>) -> Counted {
    let (mut score, mut kinds, mut missed) = Counted::default();
    while let Some(outcome) = outcomes.recv().await {
        score.add_outcome(&outcome);
        let met = kinds.entry(outcome.label.kind).or_default();
        met.requests += 1;
        met.broken += u64::from(outcome.result.is_err());
        met.by_gateway +=
            u64::from(outcome.event().is_some() && outcome.status().is_some_and(|status| status >= 400));
        let as_expected = outcome.is_as_expected();
        let is_person = outcome.label.part == Part::Use;
        met.succeeded += u64::from(if is_person {
            as_expected
        } else {
            outcome.result.as_ref().is_ok_and(bartizan_traffic::Answer::is_success)
        });
        if is_person && !as_expected && missed.len() < 5 {
            let got = match &outcome.result {
                Ok(answer) => format!("status {}", answer.status),
                Err(broken) => broken.to_string(),
            };
            let event = outcome.event().map(|event| format!(", event {event}")).unwrap_or_default();
            missed.push(format!(
                "{} {} of {}: {got}{event}",
                outcome.method, outcome.target, outcome.label.actor
            ));
        }
    }
    (score, kinds, missed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn targets_are_of_this_machine() {
        assert_eq!(loopback("http://127.0.0.1:8080/").unwrap(), "127.0.0.1:8080".parse().unwrap());
        assert_eq!(loopback("http://localhost").unwrap(), "127.0.0.1:80".parse().unwrap());
        assert_eq!(loopback("http://[::1]:81").unwrap(), "[::1]:81".parse().unwrap());
        for wrong in ["http://192.0.2.1:80", "https://127.0.0.1", "http://bank.example:80", "127.0.0.1:80"] {
            assert!(loopback(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn attacks_are_named() {
        assert_eq!(attacks("all").unwrap().len(), Kind::ATTACKS.len());
        assert_eq!(attacks("none").unwrap(), []);
        assert_eq!(attacks("ssrf, forged_token").unwrap(), [Kind::Ssrf, Kind::ForgedToken]);
        assert!(attacks("ddos").unwrap_err().to_string().contains("`ddos`"));
    }
}
