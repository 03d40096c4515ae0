//! `bartizan revoke`: tokens, subjects and sessions that are refused before their end.

use std::{
    io::{self, Read as _},
    process::ExitCode,
};

use bartizan_control::revocations::{self, Asked};
use bartizan_guards::identity::token_name;
use bartizan_model::{
    Clock as _, Redacted,
    revocation::{DIGEST, Revoked},
    units::Period,
};
use bartizan_store::{describe_revocation, system::SystemClock};
use serde_json::{Value, json};

use super::ban::gateway_or_store;
use crate::admin_client::{Output, Place, fail, remark, say};

/// Who made a change, in the log of changes.
const ACTOR: &str = "command-line";

/// Bytes of a token that are read: more than a gateway looks at.
const MAX_TOKEN: u64 = 64 * 1024;

/// Entries that are listed where no gateway runs.
const LISTED: usize = 1_000;

/// Revokes, lists and lifts.
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
    /// One token: by its `jti`, by `sha256:` and its digest, or `-` to read the token itself from standard input.
    Token(Entry),
    /// What was issued to a subject.
    Subject(Entry),
    /// A session at the issuer, by its `sid`.
    Session(Entry),
    /// What an issuer issued before some time.
    Issuer(IssuerEntry),
    /// The deny-list, newest first.
    List,
    /// Removes an entry.
    Lift(Lift),
}

#[derive(Debug, clap::Args)]
struct Entry {
    /// What is revoked.
    value: String,
    /// The policy's name of the issuer; `bartizan` for API keys. A token by its digest needs none.
    #[arg(long, default_value = "")]
    issuer: String,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct IssuerEntry {
    /// The policy's name of the issuer.
    issuer: String,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct How {
    /// Only what was issued before: `now`, `2026-01-31` or `2026-01-31T12:00:00Z`.
    #[arg(long, value_name = "MOMENT")]
    issued_before: Option<String>,
    /// For how long it is remembered, such as `30d`; without it, until it is lifted.
    #[arg(long = "for", value_name = "PERIOD")]
    period: Option<Period>,
    /// Why; kept in the audit log.
    #[arg(long)]
    reason: String,
}

#[derive(Debug, clap::Args)]
struct Lift {
    /// `token`, `subject`, `session` or `issuer`.
    #[arg(value_parser = kind)]
    kind: Revoked,
    /// As it was revoked; nothing for an issuer.
    #[arg(default_value = "")]
    value: String,
    /// As it was revoked.
    #[arg(long, default_value = "")]
    issuer: String,
}

fn kind(text: &str) -> Result<Revoked, String> {
    Revoked::named(text).ok_or_else(|| "write `token`, `subject`, `session` or `issuer`".to_owned())
}

/// Runs `bartizan revoke`: 0 when the entry is in force or stored, listed or lifted.
pub fn run(args: Args) -> ExitCode {
    let Args { what, place, output } = args;
    let answer = match what {
        What::Token(entry) => add(&place, Revoked::Token, entry.issuer, entry.value, entry.how),
        What::Subject(entry) => add(&place, Revoked::Subject, entry.issuer, entry.value, entry.how),
        What::Session(entry) => add(&place, Revoked::Session, entry.issuer, entry.value, entry.how),
        What::Issuer(entry) => add(&place, Revoked::Issuer, entry.issuer, String::new(), entry.how),
        What::List => list(&place),
        What::Lift(entry) => lift(&place, entry),
    };
    match answer {
        Ok(answer) if output == Output::Json => say(&answer.to_string()),
        Ok(answer) => tell(&answer),
        Err(error) => return fail(&error),
    }
    ExitCode::SUCCESS
}

fn tell(answer: &Value) {
    if let Some(warning) = answer.get("warning").and_then(Value::as_str) {
        remark(&format!("warning: {warning}"));
    }
    match (answer.get("revocations").and_then(Value::as_array), answer.get("lifted").and_then(Value::as_str))
    {
        (Some(entries), _) if entries.is_empty() => say("nothing is revoked"),
        (Some(entries), _) => entries.iter().for_each(|entry| say(&line(entry))),
        (None, Some(lifted)) => say(&format!("{} is no longer revoked", lifted.escape_debug())),
        (None, None) => say(&line(answer.get("revocation").unwrap_or(&Value::Null))),
    }
}

fn line(entry: &Value) -> String {
    let text = |field: &str| entry.get(field).and_then(Value::as_str);
    let kind = text("kind").and_then(Revoked::named).unwrap_or(Revoked::Token);
    let mut line =
        revocations::name(kind, text("issuer").unwrap_or_default(), text("value").unwrap_or_default());
    if let Some(before) = text("issued_before") {
        line.push_str(&format!(" issued before {before}"));
    }
    let until = text("until").map_or_else(|| "lifted".to_owned(), str::to_owned);
    line.push_str(&format!(" is revoked until {until}: {}", text("reason").unwrap_or_default()));
    line.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn add(place: &Place, kind: Revoked, issuer: String, value: String, how: How) -> Result<Value, String> {
    let read = kind == Revoked::Token && value == "-";
    let value = if read { digest_of_input()? } else { value };
    // A digest names its token alone.
    let issuer = if kind == Revoked::Token && value.starts_with(DIGEST) { String::new() } else { issuer };
    let How { issued_before, period, reason } = how;
    let asked = Asked { kind, issuer, value, issued_before, period, reason };
    let entry = revocations::revocation(&asked, ACTOR, SystemClock::default().now())?;
    let body = serde_json::to_value(&asked).map_err(|error| error.to_string())?;
    gateway_or_store(place, "POST", "/v1/revocations", Some(&body), |store| {
        let entry = store.revoke(entry).map_err(|error| error.to_string())?;
        store
            .log_change("revocation.added", ACTOR, &revocations::told(&entry))
            .map_err(|error| error.to_string())?;
        Ok(json!({ "revocation": describe_revocation(&entry) }))
    })
}

/// The digest of a token on standard input: the token itself goes nowhere.
fn digest_of_input() -> Result<String, String> {
    let mut text = String::new();
    io::stdin()
        .take(MAX_TOKEN)
        .read_to_string(&mut text)
        .map_err(|error| format!("standard input: {error}"))?;
    let text = Redacted::new(text);
    let token = text.expose().trim();
    let token = token.strip_prefix("Bearer ").unwrap_or(token).trim();
    if token.is_empty() {
        return Err("standard input has no token".to_owned());
    }
    Ok(token_name(token))
}

fn list(place: &Place) -> Result<Value, String> {
    gateway_or_store(place, "GET", "/v1/revocations", None, |store| {
        let entries = store.revocations(LISTED).map_err(|error| error.to_string())?;
        let entries: Vec<_> = entries.iter().map(describe_revocation).collect();
        Ok(json!({ "revocations": entries, "count": store.deny_list().len() }))
    })
}

fn lift(place: &Place, entry: Lift) -> Result<Value, String> {
    let Lift { kind, value, issuer } = entry;
    let body = json!({ "kind": kind, "issuer": issuer, "value": value });
    let named = revocations::name(kind, &issuer, &value);
    gateway_or_store(place, "POST", "/v1/revocations/lift", Some(&body), |store| {
        if !store.lift(kind, &issuer, &value).map_err(|error| error.to_string())? {
            return Err(format!("{named} is not revoked"));
        }
        store.log_change("revocation.lifted", ACTOR, &named).map_err(|error| error.to_string())?;
        Ok(json!({ "lifted": named }))
    })
}
