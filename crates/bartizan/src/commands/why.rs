//! `bartizan why`: what happened in one exchange, and why; the newest refusal, or a list of them.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use bartizan_gateway::policy_place;
use bartizan_model::{EventId, Mode};
use bartizan_store::{read_event, read_refusals};
use bartizan_telemetry::{explain_list, explain_value};
use serde_json::{Value, json};

use super::{check::load, run::CONFIG};
use crate::{
    admin_client::{AdminError, Output, Place, fail, say},
    terminal::look,
};

/// An event is stored within 100 ms of its end: an id that was just quoted is looked for again that long and more.
const PATIENCE: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(50);

/// What was refused a moment ago must be among the newest.
const SETTLED: Duration = Duration::from_millis(150);

/// Refusals that are listed where nobody says how many, and at most: so many lines nobody reads.
const LISTED: &str = "20";
const MAX_LISTED: usize = 1_000;

/// The admin API sorts by id, which does not tell what came within a millisecond.
const SAME_MOMENT: usize = 100;

/// Characters of an id, and those that suffice to find a recent refusal.
const FULL_ID: usize = 26;
const MIN_END: usize = 6;

/// Tells what happened in one exchange, and why.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["event", "last", "list"])))]
pub struct Args {
    /// The id that the refusal quoted: `urn:bartizan:event:..` or its last part, or of a recent refusal the last 6 or more
    /// characters of it.
    #[arg(value_name = "EVENT-ID")]
    pub event: Option<String>,
    /// The newest refusal.
    #[arg(long)]
    pub last: bool,
    /// The newest refusals, a line each: 20, or N up to 1000.
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = LISTED, value_parser = count)]
    pub list: Option<usize>,
    #[command(flatten)]
    pub place: Place,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=MAX_LISTED) => Ok(count),
        _ => Err(format!("expected 1 to {MAX_LISTED}")),
    }
}

/// Runs the command: 0 when an event is found.
pub fn run(args: Args) -> ExitCode {
    match (&args.event, args.list) {
        (Some(event), _) => one(&args, event),
        (None, Some(count)) => list(&args, count),
        (None, None) => last(&args),
    }
}

fn one(args: &Args, event: &str) -> ExitCode {
    let text = event.strip_prefix("urn:bartizan:event:").unwrap_or(event);
    let end = text.strip_prefix("..").unwrap_or(text);
    if (MIN_END..FULL_ID).contains(&end.len()) && end.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return by_end(args, &end.to_ascii_uppercase());
    }
    let id: EventId = match text.parse() {
        Ok(id) => id,
        Err(error) => return fail(&error),
    };
    let started = Instant::now();
    let found = loop {
        match look_up(&args.place, id) {
            Ok(None) if started.elapsed() < PATIENCE => pause(PAUSE),
            outcome => break outcome,
        }
    };
    match found {
        Ok(Some(event)) => tell(args, &event),
        Ok(None) => fail(&format!(
            "no recent event has the id `{id}` in the state directory `{}`; only the newest events are kept there, \
             the audit log has older ones",
            args.place.directory().display()
        )),
        Err(error) => fail(&error),
    }
}

/// The newest refusal whose id ends so: what a list on a narrow screen shows.
fn by_end(args: &Args, end: &str) -> ExitCode {
    let id = |event: &Value| event.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    match refusals(&args.place, MAX_LISTED) {
        Ok(events) => match events.iter().find(|event| id(event).ends_with(end)) {
            Some(event) => tell(args, event),
            None => fail(&format!(
                "none of the newest {MAX_LISTED} refusals has an id that ends in `{end}`; `bartizan why --list` shows them"
            )),
        },
        Err(error) => fail(&error),
    }
}

fn last(args: &Args) -> ExitCode {
    match refusals(&args.place, 1) {
        Ok(events) => match events.first() {
            Some(event) => tell(args, event),
            None => fail(&nothing(&args.place)),
        },
        Err(error) => fail(&error),
    }
}

fn list(args: &Args, count: usize) -> ExitCode {
    let events = match refusals(&args.place, count) {
        Ok(events) => events,
        Err(error) => return fail(&error),
    };
    match args.output {
        Output::Json => say(&json!({ "events": events }).to_string()),
        Output::Text if events.is_empty() => return fail(&nothing(&args.place)),
        Output::Text => say(explain_list(&events, &look()).trim_end()),
    }
    ExitCode::SUCCESS
}

fn nothing(place: &Place) -> String {
    format!(
        "nothing was refused, as far as the state directory `{}` remembers; name another one by `--state` or `--config`",
        place.directory().display()
    )
}

fn tell(args: &Args, event: &Value) -> ExitCode {
    match args.output {
        Output::Json => say(&event.to_string()),
        Output::Text => {
            let mut look = look();
            look.place = written(&args.place, event);
            say(explain_value(event, &look).trim_end());
        }
    }
    ExitCode::SUCCESS
}

/// The event from the database, else from the running gateway.
fn look_up(place: &Place, id: EventId) -> Result<Option<Value>, String> {
    if let Some(database) = place.database().filter(|file| file.exists())
        && let Some(json) = read_event(&database, id).map_err(|error| error.to_string())?
    {
        return parsed(&json).map(Some);
    }
    match place.admin().and_then(|admin| admin.ask("GET", &format!("/v1/events/{id}"), None)) {
        Ok(event) => Ok(Some(event)),
        Err(AdminError::Refused(404, _) | AdminError::NotRunning(_) | AdminError::Connection(..)) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// The newest refusals and failures from the database; from the running gateway where it keeps none.
fn refusals(place: &Place, count: usize) -> Result<Vec<Value>, String> {
    pause(SETTLED);
    if let Some(database) = place.database() {
        if !database.exists() {
            return Err(nothing(place));
        }
        let found = read_refusals(&database, count).map_err(|error| error.to_string())?;
        return found.iter().map(|json| parsed(json)).collect();
    }
    let admin = place.admin().map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    let asked = (count + SAME_MOMENT).min(MAX_LISTED);
    for verdict in ["deny", "challenge", "throttle", "error"] {
        let answer = admin
            .ask("GET", &format!("/v1/events?verdict={verdict}&limit={asked}"), None)
            .map_err(|error| error.to_string())?;
        found.extend(answer.get("events").and_then(Value::as_array).cloned().unwrap_or_default());
    }
    // RFC 3339 text of one length: its order is that of the times.
    let time = |event: &Value| event.get("time").and_then(Value::as_str).unwrap_or_default().to_owned();
    found.sort_by_key(|event| std::cmp::Reverse(time(event)));
    found.truncate(count);
    Ok(found)
}

fn parsed(json: &str) -> Result<Value, String> {
    serde_json::from_str(json).map_err(|error| format!("the event is damaged: {error}"))
}

/// Where the configuration, as it is now, says what decided. Nothing, where it cannot be read here.
fn written(place: &Place, event: &Value) -> Option<String> {
    let file = match (&place.config, &place.state) {
        (Some(file), _) => file.clone(),
        (None, Some(state)) => state.parent().unwrap_or(Path::new("")).join(CONFIG),
        (None, None) => PathBuf::from(CONFIG),
    };
    let text =
        |value: &Value, field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let watched = |finding: &&Value| text(finding, "mode") == "monitor";
    let (code, mode) = match (text(event, "reason"), event.get("findings").and_then(Value::as_array)) {
        (reason, _) if !reason.is_empty() => (reason, Mode::Enforce),
        (_, Some(findings)) => (text(findings.iter().find(watched)?, "code"), Mode::Monitor),
        _ => return None,
    };
    if !file.exists() {
        return None;
    }
    let loaded = load(&file, None).ok()?;
    // A number stands for itself; other values are not told, and matched only by a parameter.
    let path = text(event, "path").replace("{number}", "1");
    let place =
        policy_place(&loaded.snapshot, &text(event, "api"), &text(event, "method"), &path, &code, mode)?;
    Some(format!("{place} (as it is now)"))
}

#[expect(clippy::disallowed_methods, reason = "a command that waits for one answer serves nobody else")]
fn pause(period: Duration) {
    std::thread::sleep(period);
}
