//! `bartizan contract`: what an OpenAPI document leaves open, and what another version of it changes.

mod diff;
mod files;
mod lint;

use std::process::ExitCode;

use clap::Subcommand;

pub use files::open;

/// Audits and compares contracts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What a contract leaves open: missing security, unbounded data, open objects, secrets in examples.
    #[command(
        after_help = "Examples:\n  bartizan contract lint openapi.yaml\n  bartizan contract lint openapi.yaml --fail-on high --output sarif > lint.sarif\n  bartizan contract lint openapi.yaml --all --explain\n\nExit codes: 0 nothing at or above --fail-on, 1 something is, 2 usage, 78 a document that cannot be read."
    )]
    Lint(lint::Args),
    /// What a new version of a contract changes for clients, and for security.
    #[command(
        after_help = "Examples:\n  bartizan contract diff old.yaml new.yaml\n  bartizan contract diff old.yaml new.yaml --output json\n\nExit codes: 0 no client breaks, 1 one may, 2 usage, 78 a document that cannot be read."
    )]
    Diff(diff::Args),
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    match &args.command {
        Command::Lint(args) => lint::run(args),
        Command::Diff(args) => diff::run(args),
    }
}
