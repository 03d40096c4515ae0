//! Into a file: requests, and beside them labels and the key set.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use bartizan_model::Timestamp;
use bartizan_traffic::{
    Kind, Mix, Part, Rhythm, Simulation, World,
    record::{Format, Recorder},
};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Args, Failure, Progress, attacks, world};
use crate::{
    admin_client::{Output, remark, say},
    commands::minutes::Minutes,
};

/// Requests that are written where neither `--requests` nor `--minutes` is given.
const REQUESTS: u64 = 10_000;

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
    kinds: BTreeMap<Kind, u64>,
    last: Timestamp,
}

/// What a file is made of, where the arguments make sense.
fn asked(args: &Args) -> anyhow::Result<(Mix, Places)> {
    let (start, attacks) = (moment(&args.start)?, attacks(&args.attacks)?);
    ensure!(args.people > 0 || !attacks.is_empty(), "with neither people nor attacks nobody sends anything");
    Ok((Mix { start, attacks, attack_percent: args.attack_percent }, places(args)?))
}

/// Writes what was asked for.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
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
            let minutes = written.last.since(start).as_secs() / 60;
            let time = if minutes < 120 { format!("{minutes} min") } else { format!("{} h", minutes / 60) };
            let beside: Vec<String> = [&places.labels, &places.jwks]
                .into_iter()
                .flatten()
                .map(|path| path.display().to_string())
                .collect();
            format!(
                "{total} requests over {time} of simulated time: {} of people, {} of attacks, {} of their groundwork\n\
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
    let until = args.minutes.map(|Minutes(time)| mix.start.plus(time));
    let mut recorder = Recorder::new(format, &args.host, out, labels)?;
    let mut written = Written { last: mix.start, ..Written::default() };
    let (mut progress, interrupted) = (Progress::new(), interrupted());
    for exchange in Simulation::new(world, mix) {
        let ends = exchange.id > most || until.is_some_and(|until| exchange.at > until);
        if ends || interrupted.load(Ordering::Relaxed) {
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
        if exchange.id.is_multiple_of(1_000) {
            progress.tell(exchange.id);
        }
    }
    progress.end();
    recorder.finish()?;
    Ok(written)
}

/// True from Ctrl-C on: what was begun is ended as a whole file.
fn interrupted() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&flag);
    // Without a runtime or the signal, Ctrl-C ends the process as it would anyway.
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if runtime.is_ok_and(|runtime| runtime.block_on(tokio::signal::ctrl_c()).is_ok()) {
            told.store(true, Ordering::Relaxed);
        }
    });
    flag
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
