//! `bartizan contract diff`: what a new version of a contract changes.

use std::{path::PathBuf, process::ExitCode};

use bartizan_contract::compare::{Change, Effect, compare};
use serde_json::json;

use super::files::{open, refuse};
use crate::admin_client::{Output, say};

/// Compares two versions of a contract.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The version that clients know.
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// The version to come.
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// Exit with 1 when security is loosened, too.
    #[arg(long)]
    pub fail_on_loosened: bool,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let old = match open(&args.old) {
        Ok((_, old, _)) => old,
        Err(diagnostics) => return refuse(&diagnostics),
    };
    let new = match open(&args.new) {
        Ok((_, new, _)) => new,
        Err(diagnostics) => return refuse(&diagnostics),
    };
    let changes = compare(&old, &new);
    let breaking = changes.iter().filter(|change| change.breaking).count();
    let loosened = changes.iter().filter(|change| change.security == Some(Effect::Loosened)).count();
    match args.output {
        Output::Json => {
            say(&format!("{:#}", json!({ "breaking": breaking, "loosened": loosened, "changes": changes })));
        }
        Output::Text => say(&text(&changes, breaking, loosened)),
    }
    let fails = breaking > 0 || args.fail_on_loosened && loosened > 0;
    if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// By operation, in the order of the old version.
fn text(changes: &[Change], breaking: usize, loosened: usize) -> String {
    let mut text = String::new();
    let mut last = "";
    for change in changes {
        if change.operation != last {
            text.push_str(&format!("{}\n", change.operation));
            last = &change.operation;
        }
        let mut marks = Vec::new();
        if change.breaking {
            marks.push("breaking");
        }
        match change.security {
            Some(Effect::Loosened) => marks.push("looser"),
            Some(Effect::Tightened) => marks.push("tighter"),
            None => {}
        }
        let marks = if marks.is_empty() { String::new() } else { format!(" [{}]", marks.join(", ")) };
        let place = change.new.as_ref().or(change.old.as_ref());
        let place = place.map_or_else(String::new, |place| format!(" ({place})"));
        text.push_str(&format!("  {}{marks}: {}{place}\n", change.kind, change.message));
    }
    text.push_str(&match changes.len() {
        0 => "nothing changes".to_owned(),
        all => format!("{all} changes, {breaking} of them breaking, {loosened} loosen security"),
    });
    text
}
