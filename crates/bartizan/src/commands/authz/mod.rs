//! `bartizan authz`: who may do what by the policy, and why.

mod explain;
mod matrix;
pub mod principal;

use std::process::ExitCode;

use clap::Subcommand;

/// Tells who may do what by the policy, and why.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What the policy decides about a request of a caller, step by step, with the roles and policies that decide.
    #[command(
        after_help = "FILE describes the caller, YAML or JSON:\n\n  subject: alice\n  issuer: corp\n  roles: [teller]\n  scopes: [read]\n  tenant: north\n  attributes: { department: cards }\n  acr: mfa\n\nExamples:\n  bartizan authz explain --as alice.yaml request.http\n  bartizan authz explain request.http --output json       a caller without a credential\n\nExit codes: 0 allowed, 1 not so, 2 usage, 78 bad configuration."
    )]
    Explain(explain::Args),
    /// The roles and what each may do with every operation.
    #[command(
        after_help = "Examples:\n  bartizan authz matrix --config bartizan.yaml\n  bartizan authz matrix --api bank --output csv > matrix.csv\n\n`depends` is for operations where a path or the conditions of a policy decide. Exit codes: 0 ok, 2 usage, 78 bad configuration."
    )]
    Matrix(matrix::Args),
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    match &args.command {
        Command::Explain(args) => explain::run(args),
        Command::Matrix(args) => matrix::run(args),
    }
}
