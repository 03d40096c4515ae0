//! `bartizan ban` and `bartizan unban`: addresses and networks that may not connect.

use std::process::ExitCode;

use bartizan_control::bans;
use bartizan_model::{Clock as _, units::Period};
use bartizan_store::{Store, system::SystemClock};
use serde_json::{Value, json};

use crate::admin_client::{AdminError, Output, Place, fail, say};

/// Who made a change, in the log of changes.
const ACTOR: &str = "command-line";

/// Bans an address or network: its connections end within a second.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Such as `192.0.2.7` or `2001:db8::/32`.
    #[arg(value_name = "ADDRESS|CIDR", required_unless_present = "list")]
    pub target: Option<String>,
    /// For how long, such as `1h`; without it, until `bartizan unban`.
    #[arg(long = "for", value_name = "PERIOD")]
    pub period: Option<Period>,
    /// Why; kept in the audit log.
    #[arg(long, required_unless_present = "list")]
    pub reason: Option<String>,
    /// Lists the bans instead.
    #[arg(long, conflicts_with_all = ["target", "period", "reason"])]
    pub list: bool,
    #[command(flatten)]
    pub place: Place,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Ends a ban.
#[derive(Debug, clap::Args)]
pub struct UnbanArgs {
    /// Exactly as it was banned.
    #[arg(value_name = "ADDRESS|CIDR")]
    pub target: String,
    #[command(flatten)]
    pub place: Place,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Runs `bartizan ban`: 0 when the ban is in force or stored.
pub fn run(args: Args) -> ExitCode {
    let answer = match (&args.target, &args.reason) {
        (Some(target), Some(reason)) => ban(&args.place, target, args.period, reason),
        _ => list(&args.place),
    };
    match answer {
        Ok(answer) if args.output == Output::Json => say(&answer.to_string()),
        Ok(answer) => match answer.get("bans").and_then(Value::as_array) {
            Some(bans) if bans.is_empty() => say("nothing is banned"),
            Some(bans) => bans.iter().for_each(|ban| say(&line(ban))),
            None => say(&line(answer.get("ban").unwrap_or(&Value::Null))),
        },
        Err(error) => return fail(&error),
    }
    ExitCode::SUCCESS
}

/// Runs `bartizan unban`: 0 when the ban was there and is gone.
pub fn run_unban(args: UnbanArgs) -> ExitCode {
    match unban(&args.place, &args.target) {
        Ok(answer) if args.output == Output::Json => say(&answer.to_string()),
        Ok(_) => say(&format!("{} is no longer banned", args.target)),
        Err(error) => return fail(&error),
    }
    ExitCode::SUCCESS
}

fn ban(place: &Place, target: &str, period: Option<Period>, reason: &str) -> Result<Value, String> {
    let ban = bans::ban(target, period, reason, ACTOR, SystemClock::default().now())?;
    let body = json!({ "target": ban.target, "for": period, "reason": ban.reason });
    gateway_or_store(place, "POST", "/v1/bans", Some(&body), |store| {
        let ban = store.ban(ban).map_err(|error| error.to_string())?;
        store.log_change("ban.added", ACTOR, &bans::told(&ban)).map_err(|error| error.to_string())?;
        Ok(json!({ "ban": ban }))
    })
}

fn unban(place: &Place, target: &str) -> Result<Value, String> {
    let network = bans::target(target)?;
    gateway_or_store(place, "DELETE", &format!("/v1/bans?target={network}"), None, |store| {
        if !store.unban(network).map_err(|error| error.to_string())? {
            return Err(format!("`{network}` is not banned"));
        }
        store.log_change("ban.removed", ACTOR, &network.to_string()).map_err(|error| error.to_string())?;
        Ok(json!({ "removed": network }))
    })
}

fn list(place: &Place) -> Result<Value, String> {
    gateway_or_store(place, "GET", "/v1/bans", None, |store| {
        let bans = store.bans().map_err(|error| error.to_string())?;
        Ok(json!({ "bans": bans }))
    })
}

/// Asks the running gateway, which audits the change; where none runs, the database that the next one will read.
pub(super) fn gateway_or_store(
    place: &Place,
    method: &str,
    target: &str,
    body: Option<&Value>,
    direct: impl FnOnce(&Store) -> Result<Value, String>,
) -> Result<Value, String> {
    match place.admin().and_then(|admin| admin.ask(method, target, body)) {
        Ok(answer) => Ok(answer),
        Err(AdminError::NotRunning(_) | AdminError::Connection(..)) => direct(&place.store()?),
        Err(error) => Err(error.to_string()),
    }
}

fn line(ban: &Value) -> String {
    let text = |field| ban.get(field).and_then(Value::as_str).unwrap_or_default();
    let until = ban.get("until").and_then(Value::as_str).unwrap_or("unbanned");
    format!("{} banned until {until}: {}", text("target"), text("reason").escape_debug())
}
