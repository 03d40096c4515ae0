//! `bartizan rules`: which rules look for attacks, what each of them does, and whether they pass their own tests.

mod files;
mod list;
mod live;
mod mounted;
mod show;
mod test;

use std::process::ExitCode;

use clap::Subcommand;

use crate::admin_client::remark;

/// Usage (exit code of clap).
const USAGE: u8 = 2;

/// Lists, shows and tests the rules that look for attacks.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The rules that a policy mounts, or those of a folder.
    #[command(
        after_help = "Examples:\n  bartizan rules list --config bartizan.yaml --tag attack-sqli\n  bartizan rules list --crs /usr/share/modsecurity-crs --phase 1 --output json"
    )]
    List(list::Args),
    /// One rule as it is written, what it looks at, and which settings of the policy touch it.
    #[command(after_help = "Example:\n  bartizan rules show 942100 --config bartizan.yaml")]
    Show(show::Args),
    /// Run tests of rules: files of go-ftw, in process or against a running gateway.
    #[command(
        after_help = "Examples:\n  bartizan rules test crs/tests --crs crs                      the tests of the Core Rule Set, in process\n  bartizan rules test tests/own.yaml --config bartizan.yaml    your own, with the rules of your policy\n  bartizan rules test crs/tests --url http://127.0.0.1:8080 --state var\n\nWith --crs, the settings that the tests of the Core Rule Set expect are used: level 4, no refusals. With --url the gateway has\nthem from its own policy; what its rules found is read from its events. Tests that answer by a response need an upstream that\nreflects. Exit codes: 0 all passed, 1 some failed, 2 usage, 78 rules that cannot be used."
    )]
    Test(test::Args),
    /// Not available in this version.
    #[command(hide = true)]
    Update(Update),
}

#[derive(Debug, clap::Args)]
struct Update {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Show(args) => show::run(args),
        Command::Test(args) => test::run(args),
        Command::Update(Update { .. }) => {
            remark(
                "error: `rules update` is not available in this version; put the new rules into their folder, and a running \
                 gateway takes them on at its next reload",
            );
            ExitCode::from(USAGE)
        }
    }
}
