//! `cargo xtask`: developer commands.

#![allow(clippy::print_stdout, reason = "a command line tool")]

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use bartizan_testkit::workspace_root;
use clap::{Parser, Subcommand};
use xtask::{architecture, bench, lines, suite, test};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands of Bartizan")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing, then check form, lints and behaviour of the whole workspace.
    Test {
        /// Install nothing.
        #[arg(long)]
        offline: bool,
        /// Leave out formatting and lints.
        #[arg(long)]
        only_tests: bool,
    },
    /// Check imports, bans, licences and duplicate versions.
    Architecture,
    /// Count lines; tell files that are too long or do not say what they hold.
    Lines,
    /// Write `docs/guards/` from the guards' own documentation.
    Docs,
    /// Measure the gateway beside nginx, haproxy and Envoy.
    Bench(bench::Options),
    /// Run a foreign suite against running gateways.
    Suite {
        /// Which one.
        suite: suite::Suite,
        /// The binary.
        #[arg(long, default_value = "target/debug/bartizan")]
        binary: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let fine = match Arguments::parse().command {
        Task::Test { offline, only_tests } => return test::run(!offline, only_tests),
        Task::Architecture => print(&architecture::violations(&workspace_root())?),
        Task::Lines => {
            println!("{}", lines::table(&workspace_root())?);
            print(&lines::complaints(&workspace_root())?)
        }
        Task::Docs => std::process::Command::new("cargo")
            .args(["test", "--quiet", "--package", "bartizan-guards"])
            .env("BLESS", "1")
            .status()?
            .success(),
        Task::Bench(options) => bench::run(&options)?,
        Task::Suite { suite, binary, json } => {
            suite::run(suite, &std::path::absolute(binary)?.display().to_string(), json)?
        }
    };
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints complaints; whether there were none.
fn print(complaints: &[String]) -> bool {
    for complaint in complaints {
        println!("{complaint}");
    }
    complaints.is_empty()
}
