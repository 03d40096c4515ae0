//! `bartizan why EVENT-ID`: what happened in one exchange, and why.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use bartizan_model::EventId;
use bartizan_store::read_event;
use bartizan_telemetry::explain_value;
use serde_json::Value;

use crate::admin_client::{AdminError, Output, Place, fail, say};

/// An event is stored within 100 ms of its end: an id that was just quoted is looked for again that long and more.
const PATIENCE: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(50);

/// Tells what happened in one exchange, and why.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The id that the refusal quoted: `urn:bartizan:event:..` or its last part.
    #[arg(value_name = "EVENT-ID")]
    pub event: String,
    #[command(flatten)]
    pub place: Place,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Runs the command: 0 when the event is found.
pub fn run(args: Args) -> ExitCode {
    let text = args.event.strip_prefix("urn:bartizan:event:").unwrap_or(&args.event);
    let id: EventId = match text.parse() {
        Ok(id) => id,
        Err(error) => return fail(&error),
    };
    let started = Instant::now();
    let found = loop {
        match look(&args.place, id) {
            Ok(None) if started.elapsed() < PATIENCE => pause(),
            outcome => break outcome,
        }
    };
    match found {
        Ok(Some(event)) => {
            match args.output {
                Output::Json => say(&event.to_string()),
                Output::Text => say(explain_value(&event, width()).trim_end()),
            }
            ExitCode::SUCCESS
        }
        Ok(None) => fail(&format!(
            "no recent event has the id `{id}` in the state directory `{}`; only the newest events are kept there, \
             the audit log has older ones",
            args.place.directory().display()
        )),
        Err(error) => fail(&error),
    }
}

/// The event from the database, else from the running gateway.
fn look(place: &Place, id: EventId) -> Result<Option<Value>, String> {
    if let Some(database) = place.database().filter(|file| file.exists())
        && let Some(json) = read_event(&database, id).map_err(|error| error.to_string())?
    {
        return serde_json::from_str(&json)
            .map(Some)
            .map_err(|error| format!("the event is damaged: {error}"));
    }
    match place.admin().and_then(|admin| admin.ask("GET", &format!("/v1/events/{id}"), None)) {
        Ok(event) => Ok(Some(event)),
        Err(AdminError::Refused(404, _) | AdminError::NotRunning(_) | AdminError::Connection(..)) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

#[expect(clippy::disallowed_methods, reason = "a command that waits for one answer serves nobody else")]
fn pause() {
    std::thread::sleep(PAUSE);
}

/// The terminal's columns where a shell tells them, else 100.
fn width() -> usize {
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(100)
}
