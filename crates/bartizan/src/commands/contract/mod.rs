//! `bartizan contract`: what an OpenAPI document leaves open, what another version of it changes, and whether it is held.

mod diff;
mod files;
mod lint;
mod test;

use std::process::ExitCode;

use clap::Subcommand;

pub use files::open;

/// Audits, compares and tests contracts.
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
    /// Whether requests and responses that are made from a contract get the right verdicts, and its own examples fit.
    #[command(
        after_help = "Requests that fit the contract, up to every bound, and requests that break one rule each go through the gateway's own\ndecision, without a socket and with no other guard than `contract`. What should be refused and is not (or the other way\nround) is shown with a line for curl, the expected and the actual verdict, and why. Responses are held against the same\nchecks as in a running gateway. Examples and defaults that the document writes have to fit their schemas.\n\nWhat cannot be made (a schema that no value was found for) is named and counted as not tested.\n\nExamples:\n  bartizan contract test openapi.yaml\n  bartizan contract test openapi.yaml --operation 'POST /orders' --all\n  bartizan contract test openapi.yaml --cases 1000 --seed 7 --output json\n\nExit codes: 0 all as it should be, 1 something is not, 2 usage, 78 a document that cannot be read."
    )]
    Test(test::Args),
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    match &args.command {
        Command::Lint(args) => lint::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Test(args) => test::run(args),
    }
}
