//! `bartizan drill`: attack scenarios on loopback, without the gateway and with it, that end in figures.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use bartizan_drill::{Cancel, Drill, Options, Outcome, Report, State, all, catalogue_table, find};
use bartizan_store::system::SystemClock;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::admin_client::{Output, fail, remark, say};

/// Wrong usage, as clap says it.
const EXIT_USAGE: u8 = 2;

/// The version of the JSON form: it grows by fields, and changes its number where one changes its meaning.
const FORM: u32 = 1;

/// Runs attack scenarios on loopback: first without the gateway, where the attack succeeds, then with it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bartizan drill                 the sixteen, and what each waits for\n  bartizan drill T-03            one; `t3` is the same\n  bartizan drill --built --short everything that can be run, as CI does\n  bartizan drill all             also counts what is not built as not shown, and fails\n  bartizan drill T-04 --keep out logs and state to look at, in `out/T-04`\n\nNothing leaves the machine: processes, ports and folders are the drill's own and end with it.\nExit codes: 0 everything that was asked for passed, 1 a miss, 2 usage."
)]
pub struct Args {
    /// The drills to run, such as `T-03`, or `all`. Without any, they are listed.
    #[arg(value_name = "T-..|all")]
    pub drills: Vec<String>,
    /// All that are built, and only these.
    #[arg(long, conflicts_with = "drills")]
    pub built: bool,
    /// The same seed makes the same people, secrets and order.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Each case once: the form for CI.
    #[arg(long)]
    pub short: bool,
    /// The times that people and scenarios mean pass N times as fast; what is measured is measured in true time.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub scale: u32,
    /// Keep configurations, logs and state below this folder.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let chosen = match choose(&args) {
        Ok(Some(chosen)) => chosen,
        Ok(None) => return list(args.output),
        Err(unknown) => {
            remark(&format!("error: {unknown}; `bartizan drill` lists them"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let binary = match std::env::current_exe() {
        Ok(binary) => binary,
        Err(error) => return fail(&format!("cannot find the program itself: {error}")),
    };
    let options = Options {
        binary,
        seed: args.seed,
        short: args.short,
        scale: f64::from(args.scale),
        keep: args.keep.clone(),
        clock: Arc::new(SystemClock::default()),
    };
    let cancel = Cancel::default();
    if let Err(error) = cancel_on_signals(&cancel) {
        return fail(&format!("cannot listen for signals: {error}"));
    }
    let mut reports = Vec::new();
    for drill in chosen {
        if args.output == Output::Text && !reports.is_empty() {
            say("");
        }
        let mut told = |what: &str| {
            if args.output == Output::Text {
                remark(&format!("{}: {what}", drill.id));
            }
        };
        let report = drill.run(&options, &cancel, &mut told);
        if args.output == Output::Text {
            say(bartizan_drill::drill_text(&report, &options).trim_end());
        }
        reports.push(report);
        if cancel.is_cancelled() {
            break;
        }
    }
    match args.output {
        Output::Json => say(&told(&reports, &args).to_string()),
        Output::Text if reports.len() > 1 => say(&format!("\n{}", bartizan_drill::summary_text(&reports))),
        Output::Text => {}
    }
    ExitCode::from(u8::from(!passed(&reports)))
}

/// What is asked for; `None` for the list.
fn choose(args: &Args) -> Result<Option<Vec<&'static Drill>>, bartizan_drill::Unknown> {
    if args.built {
        return Ok(Some(all().iter().filter(|drill| drill.is_built()).collect()));
    }
    if args.drills.is_empty() {
        return Ok(None);
    }
    if args.drills.iter().any(|name| name.eq_ignore_ascii_case("all")) {
        return Ok(Some(all().iter().collect()));
    }
    args.drills.iter().map(|name| find(name)).collect::<Result<Vec<_>, _>>().map(Some)
}

fn list(output: Output) -> ExitCode {
    match output {
        Output::Text => say(catalogue_table(all()).trim_end()),
        Output::Json => {
            let drills: Vec<Value> = all()
                .iter()
                .map(|drill| match drill.state {
                    State::Built(_) => json!({ "id": drill.id, "title": drill.title, "built": true }),
                    State::Waits(capability) => json!({
                        "id": drill.id, "title": drill.title, "built": false, "waits_for": capability,
                    }),
                })
                .collect();
            say(&json!({ "form": FORM, "drills": drills }).to_string());
        }
    }
    ExitCode::SUCCESS
}

/// Ctrl-C and SIGTERM end the drill at its next step, which takes down what it started.
fn cancel_on_signals(cancel: &Cancel) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let cancel = cancel.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        cancel.cancel();
    })?;
    Ok(())
}

fn passed(reports: &[Report]) -> bool {
    !reports.is_empty() && reports.iter().all(|report| report.outcome == Outcome::Passed)
}

/// The documented form for programs (`docs/drills.md`).
fn told(reports: &[Report], args: &Args) -> Value {
    let count = |wanted: &[Outcome]| reports.iter().filter(|r| wanted.contains(&r.outcome)).count();
    json!({
        "form": FORM,
        "seed": args.seed,
        "short": args.short,
        "scale": args.scale,
        "ok": passed(reports),
        "passed": count(&[Outcome::Passed]),
        "failed": count(&[Outcome::Missed, Outcome::ProvesNothing, Outcome::Broken]),
        "not_shown": count(&[Outcome::NotBuilt]),
        "drills": reports,
    })
}
