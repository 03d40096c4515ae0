//! `bartizan diff`: what changes for each operation from one configuration to another.

use std::{path::PathBuf, process::ExitCode};

use bartizan_policy::diff;
use serde_json::json;

use super::check::{load, refuse};
use crate::{
    EXIT_CONFIG,
    admin_client::{Output, say},
};

/// Compares what two configurations decide. Exit code 0 when nothing changes, 1 when something does.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration in force.
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// The configuration that may replace it.
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// The environment to lay over both, instead of their own.
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let (old, new) = (load(&args.old, args.environment.clone()), load(&args.new, args.environment.clone()));
    let (old, new) = match (old, new) {
        (Ok(old), Ok(new)) => (old, new),
        (old, new) => {
            for rejected in [old.err(), new.err()].into_iter().flatten() {
                refuse(&rejected, args.output);
                // One document is one answer for programs.
                if args.output == Output::Json {
                    break;
                }
            }
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let changes = diff(&old.effective, &new.effective);
    match args.output {
        Output::Json => say(&format!("{:#}", json!({ "changes": changes }))),
        Output::Text if changes.is_empty() => say("nothing changes"),
        Output::Text => changes.iter().for_each(|change| say(&change.to_string())),
    }
    if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
