//! `bartizan mode`: break-glass, and its end.

use std::process::ExitCode;

use bartizan_model::units::Period;
use serde_json::{Value, json};

use crate::admin_client::{Output, Place, fail, say};

/// Lets every refusal pass for a while, as findings only, or ends that.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

/// Which mode.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Every refusal of a guard becomes a finding; ends by itself.
    Monitor {
        /// For how long, at most 24h, such as `15m`.
        #[arg(long = "for", value_name = "PERIOD")]
        period: Period,
        /// Why; kept in the audit log.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        place: Place,
        /// How to answer.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Every guard decides in its own mode again.
    Enforce {
        #[command(flatten)]
        place: Place,
        /// How to answer.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

/// Runs the command: 0 when the mode is in force.
pub fn run(args: Args) -> ExitCode {
    let (place, output, method, body) = match args.command {
        Command::Monitor { period, reason, place, output } => {
            let body = json!({ "mode": "monitor", "for": period.to_string(), "reason": reason });
            (place, output, "POST", Some(body))
        }
        Command::Enforce { place, output } => (place, output, "DELETE", None),
    };
    match place.admin().and_then(|admin| admin.ask(method, "/v1/mode", body.as_ref())) {
        Ok(answer) if output == Output::Json => say(&answer.to_string()),
        Ok(answer) => match answer.pointer("/monitor/until").and_then(Value::as_str) {
            Some(until) => say(&format!("monitor until {until}: refusals are findings only")),
            None => say("enforce: every guard decides in its own mode"),
        },
        Err(error) => return fail(&error),
    }
    ExitCode::SUCCESS
}
