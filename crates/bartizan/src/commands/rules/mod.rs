//! `bartizan rules`: which rules look for attacks, what each of them does, whether they pass their own tests, what they
//! make of traffic, and other versions of them.

mod files;
mod list;
mod live;
mod measure;
mod mounted;
mod show;
mod test;
mod update;

use std::process::ExitCode;

use clap::Subcommand;

/// Usage (exit code of clap).
const USAGE: u8 = 2;

/// Lists, shows, tests, measures and updates the rules that look for attacks.
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
    /// What rules make of known attacks and of known harmless traffic, at each paranoia level.
    #[command(
        after_help = "Examples:\n  bartizan rules measure --crs crs --attacks sqli.txt --harmless last-week.txt\n  bartizan rules measure --config bartizan.yaml --labelled values.csv.gz --show 5\n\nTexts are sent in process, under the settings of the policy or, with --crs, those of a policy that mounts the rules at each\nlevel. Rules that block all attacks and a tenth of your traffic are no good: look at both figures."
    )]
    Measure(measure::Args),
    /// Put another version of the Core Rule Set in place: downloaded, verified, tried, exchanged in one step.
    #[command(
        after_help = "Examples:\n  bartizan rules update --into crs --from https://rules.example/crs-4.28.0.tar.gz --sha256 9f86d08..\n  bartizan rules update --into crs --from https://rules.example/crs.tar.gz --key RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3 --config bartizan.yaml\n  bartizan rules update --into crs --rollback\n\nThe archive must have the hash, or a signature of minisign by the key, or both. All of its rules have to load. The folder as it\nwas is kept beside it as `crs.previous`, and your own `crs-setup.conf` and exclusion files are taken over. Exit codes: 0 in place,\n1 nothing changed, 2 usage, 78 rules that cannot be used."
    )]
    Update(update::Args),
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Show(args) => show::run(args),
        Command::Test(args) => test::run(args),
        Command::Measure(args) => measure::run(args),
        Command::Update(args) => update::run(args),
    }
}
