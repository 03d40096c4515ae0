//! `bartizan authz explain`: one request of one caller, and everything that the decision looked at.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use bartizan_telemetry::explain_value;
use serde_json::Value;

use super::principal::Caller;
use crate::{
    admin_client::{Output, fail, say},
    commands::{check, explain},
    terminal::look,
};

/// A request and its caller.
#[derive(Debug, clap::Args)]
#[group(id = "caller_and_request")]
pub struct Args {
    #[command(flatten)]
    pub request: explain::Args,
    /// A file that describes the caller; without it, nobody calls.
    #[arg(long = "as", value_name = "FILE")]
    pub caller: Option<PathBuf>,
}

/// Runs the command: 0 when the caller may, 1 when not.
pub fn run(args: &Args) -> ExitCode {
    let caller = match args.caller.as_deref().map(Caller::read).transpose() {
        Ok(caller) => caller.map(|caller| Arc::new(caller.principal())),
        Err(error) => return fail(&error),
    };
    let raw = match explain::read(&args.request) {
        Ok(raw) => raw,
        Err(error) => return fail(&error),
    };
    let told = match explain::asked(&args.request, &raw, caller) {
        Ok(told) => told,
        Err(explain::Trouble::Configuration(rejected)) => {
            return check::refuse(&rejected, args.request.output);
        }
        Err(explain::Trouble::Other(error)) => return fail(&error),
    };
    match args.request.output {
        Output::Json => say(&told.to_string()),
        Output::Text => {
            say(explain_value(&told, &look()).trim_end());
            say(&lines(&told));
        }
    }
    ExitCode::from(u8::from(told.get("verdict").and_then(Value::as_str) != Some("allow")))
}

/// What the decision looked at, for people.
pub fn lines(told: &Value) -> String {
    let Some(report) = told.get("access").filter(|report| report.is_object()) else {
        return "\nAccess\n   nothing was asked: `access` is not mounted here, or another guard decided before".to_owned();
    };
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |key: &str| report.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let roles: Vec<String> = list("roles").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let roles = if roles.is_empty() { "none".to_owned() } else { roles.join(", ") };
    let mut out = format!("\nAccess to {}, roles of the caller: {roles}", text(report, "action"));
    for line in list("lines") {
        out.push_str(&format!(
            "\n   {:<8} {:<14} {}",
            text(&line, "check"),
            text(&line, "says"),
            text(&line, "what")
        ));
    }
    out
}
