//! `bartizan ownership`: rules that recorded exchanges seem to keep. Nothing is applied.

use std::{
    collections::HashSet,
    fmt::Write as _,
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::ExitCode,
};

use bartizan_authz::ownership::mine::{Demands, Proposal, Sample, mine};
use bartizan_store::read_events;
use serde_json::{Value, json};

use crate::admin_client::{Output, Place, fail, say};

/// Events that are read, the newest: what the database keeps.
const MOST_EVENTS: usize = 100_000;

/// Bytes of one line of a file of events; longer ones are skipped.
const MAX_LINE: usize = 1 << 20;

/// Finds rules about who owns what an API answers.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Propose rules from recorded exchanges, with what speaks for and against each. Nothing is applied.
    #[command(
        after_help = "Let the gateway record tokens of ids first: `guards: { ownership: { learn: true } }`. No value can be read from them.\n\nExamples:\n  bartizan ownership suggest                             from the gateway's database\n  bartizan ownership suggest --events var/audit.jsonl    from the audit log\n  bartizan ownership suggest --support 20 --share 0.99   only what is all but certain\n\nExit codes: 0 rules are proposed, 1 none, or the events cannot be read, 2 usage."
    )]
    Suggest(Suggest),
}

/// From which events, and how sure.
#[derive(Debug, clap::Args)]
pub struct Suggest {
    /// Events as JSON lines, such as the audit log, instead of the database.
    #[arg(long, value_name = "FILE")]
    pub events: Vec<PathBuf>,
    /// Exchanges in which a rule held, at least.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub support: usize,
    /// Callers in whose exchanges it held, at least.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub callers: usize,
    /// Of the exchanges that have both values, the share in which it held, at least.
    #[arg(long, value_name = "SHARE", default_value_t = 0.8, value_parser = share)]
    pub share: f64,
    #[command(flatten)]
    pub place: Place,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.5..=1.0).contains(share));
    share.ok_or_else(|| "a share is a number from 0.5 to 1".to_owned())
}

/// Runs the command: 0 when rules are proposed.
pub fn run(args: Args) -> ExitCode {
    let Command::Suggest(args) = args.command;
    let samples = match samples(&args) {
        Ok(samples) => samples,
        Err(error) => return fail(&error),
    };
    let demands = Demands { support: args.support.max(1), callers: args.callers.max(1), share: args.share };
    let found = mine(&samples, demands, 3);
    match args.output {
        Output::Json => say(&as_json(&samples, &found).to_string()),
        Output::Text => say(as_text(&samples, &found).trim_end()),
    }
    if found.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What the recorded exchanges showed.
fn samples(args: &Suggest) -> Result<Vec<Sample>, String> {
    let mut samples = Vec::new();
    if args.events.is_empty() {
        let database = args.place.database().filter(|file| file.exists());
        let database = database.ok_or_else(|| {
            format!(
                "no events are kept in `{}`; name a file of events by `--events`, or the state by `--state` or `--config`",
                args.place.directory().display()
            )
        })?;
        let events = read_events(&database, MOST_EVENTS).map_err(|error| error.to_string())?;
        samples.extend(events.iter().filter_map(|text| sample(&serde_json::from_str(text).ok()?)));
    }
    for file in &args.events {
        read(file, &mut samples)?;
    }
    Ok(samples)
}

fn read(file: &Path, samples: &mut Vec<Sample>) -> Result<(), String> {
    let wrong = |error: std::io::Error| format!("`{}` cannot be read: {error}", file.display());
    let mut lines = BufReader::new(File::open(file).map_err(wrong)?);
    let mut line = Vec::new();
    while samples.len() < MOST_EVENTS {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(wrong)? == 0 {
            break;
        }
        if line.len() <= MAX_LINE
            && let Ok(event) = serde_json::from_slice(&line)
        {
            samples.extend(sample(&event));
        }
    }
    Ok(())
}

/// One event with what it observed; nothing where it observed nothing, or where its exchange was refused.
fn sample(event: &Value) -> Option<Sample> {
    let text = |value: &Value, field: &str| Some(value.get(field)?.as_str()?.to_owned());
    let observed = event.get("observed")?.as_array()?;
    let values =
        observed.iter().filter_map(|value| Some((text(value, "name")?, text(value, "token")?))).collect();
    let operation = text(event, "operation").filter(|operation| operation.contains(' '))?;
    Some(Sample { operation, event: text(event, "id")?, values })
}

fn as_json(samples: &[Sample], found: &[Proposal]) -> Value {
    let proposals: Vec<Value> = found
        .iter()
        .map(|proposal| {
            json!({
                "operation": proposal.operation,
                "predicate": proposal.predicate,
                "support": proposal.support,
                "callers": proposal.callers,
                "seen": proposal.seen,
                "exchanges": proposal.all,
                "counter_examples": proposal.counter_examples,
                "exempt_role_token": proposal.exempt_role,
            })
        })
        .collect();
    json!({ "exchanges": samples.len(), "proposals": proposals })
}

fn as_text(samples: &[Sample], found: &[Proposal]) -> String {
    if samples.is_empty() {
        return "no recorded exchange has tokens of its ids: set `guards: { ownership: { learn: true } }`, and let callers \
                come"
            .to_owned();
    }
    let mut out = String::new();
    if found.is_empty() {
        let _ = write!(out, "nothing in {} exchanges is the same for its caller often enough", samples.len());
        return out;
    }
    let _ = writeln!(
        out,
        "# From {} exchanges. Nothing is applied: read it, then paste what is right.",
        samples.len()
    );
    let _ = writeln!(out, "ownership:");
    let mut told = HashSet::new();
    for proposal in found {
        let Proposal { operation, predicate, support, callers, seen, all, .. } = proposal;
        let first = told.insert(operation.as_str());
        let quoted = predicate.replace('\'', "''");
        let _ = writeln!(
            out,
            "  # held in {support} of {seen} exchanges that have both values ({all} in all), by {callers} callers"
        );
        if !proposal.counter_examples.is_empty() {
            let _ = writeln!(
                out,
                "  # not in {}: `bartizan why` tells each",
                proposal.counter_examples.join(", ")
            );
        }
        if proposal.exempt_role.is_some() {
            let _ = writeln!(
                out,
                "  # callers of all of those have one role that nobody else has: `|| principal.roles contains \"..\"`"
            );
        }
        let comment = if first { "" } else { "# or: " };
        let _ = writeln!(out, "  {comment}\"{operation}\": '{quoted}'");
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn what_is_proposed_is_a_configuration() {
        let event = |number: usize| {
            json!({
                "id": format!("event-{number}"), "operation": "GET /accounts/{id}", "verdict": "allow",
                "observed": [
                    { "name": "principal.sub", "token": format!("~{}", number % 3) },
                    { "name": "response.owner", "token": format!("~{}", number % 3) },
                ],
            })
        };
        let samples: Vec<Sample> = (0..9).filter_map(|number| sample(&event(number))).collect();
        let found = mine(&samples, Demands::default(), 3);
        let text = as_text(&samples, &found);
        assert!(text.contains("\"GET /accounts/{id}\": 'response.owner == principal.sub'"), "{text}");
        assert!(text.contains("held in 9 of 9"), "{text}");
        assert!(sample(&json!({ "id": "x", "operation": "unknown", "observed": [] })).is_none());
        assert!(as_text(&[], &[]).contains("learn: true"));
    }
}
