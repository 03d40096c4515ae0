//! `bartizan issuers`: who still shows tokens of retired issuers.

use std::process::ExitCode;

use bartizan_store::RetiredUse;
use serde_json::{Value, json};

use super::ban::gateway_or_store;
use crate::admin_client::{Output, Place, fail, say};

/// Tells of issuers.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    place: Place,
    /// How to answer.
    #[arg(long, value_enum, default_value_t, global = true)]
    output: Output,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// The last uses of tokens of retired issuers, the latest first: each was refused.
    Report,
}

/// Runs `bartizan issuers`: 0 when it could be told.
pub fn run(args: &Args) -> ExitCode {
    let What::Report = args.what;
    let answer = gateway_or_store(&args.place, "GET", "/v1/issuers/retired", None, |store| {
        let uses = store.retired_uses().map_err(|error| error.to_string())?;
        Ok(json!({ "retired": uses.iter().map(RetiredUse::describe).collect::<Vec<_>>() }))
    });
    match answer {
        Ok(answer) if args.output == Output::Json => say(&answer.to_string()),
        Ok(answer) => match answer.get("retired").and_then(Value::as_array) {
            Some(uses) if !uses.is_empty() => uses.iter().for_each(|used| say(&line(used))),
            _ => say("no token of a retired issuer was shown"),
        },
        Err(error) => return fail(&error),
    }
    ExitCode::SUCCESS
}

fn line(used: &Value) -> String {
    let text = |field: &str| used.get(field).and_then(Value::as_str).unwrap_or_default();
    let verified = used.get("verified").and_then(Value::as_bool).unwrap_or_default();
    let who = match (verified, text("subject"), text("client")) {
        (false, ..) => "a token that could not be verified".to_owned(),
        (true, "", "") => "others".to_owned(),
        (true, subject, "") => format!("`{subject}`"),
        (true, "", client) => format!("client `{client}`"),
        (true, subject, client) => format!("`{subject}` by client `{client}`"),
    };
    let count = used.get("count").and_then(Value::as_u64).unwrap_or_default();
    let line = format!("{}: {who}, {count} times, last {}", text("issuer"), text("last"));
    line.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
