//! Bartizan, the API protection platform: the one binary. Each command lives in a file of its own.

mod admin_client;
mod assemble;
mod commands;
mod control;
mod reload;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bad configuration (sysexits.h `EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;

/// Bartizan stands before HTTP APIs and protects them: it knows who calls, what they may do, what a valid exchange is and
/// how much is too much, and explains every decision.
#[derive(Parser)]
#[command(name = "bartizan", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Begin with:\n  bartizan run --upstream http://127.0.0.1:3000\n  bartizan init --upstream http://127.0.0.1:3000\n\nExit codes: 0 ok, 1 findings or failure, 2 usage, 78 bad configuration."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Protect: run the gateway before an API.
    Run(Box<commands::run::Args>),
    /// Verify a configuration; every problem at once.
    Check(commands::check::Args),
    /// Compare what two configurations decide.
    Diff(commands::diff::Args),
    /// Print the JSON Schema of the configuration, for editors.
    Schema(commands::schema::Args),
    /// Run the sample bank: an API to protect, with planted flaws or with none.
    Sample(commands::sample::Args),
    /// Write a first configuration.
    Init(commands::init::Args),
    /// Tell what a configuration decides about one request, step by step.
    Explain(commands::explain::Args),
    /// Tell what happened in one exchange, and why.
    Why(commands::why::Args),
    /// Create, list, rotate and revoke API keys.
    Keys(commands::keys::Args),
    /// Ban an address or network.
    Ban(commands::ban::Args),
    /// Lift a ban.
    Unban(commands::ban::UnbanArgs),
    /// Break glass: let refusals pass for a while, as findings only.
    Mode(commands::mode::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => commands::run::run(*args),
        Command::Check(args) => commands::check::run(&args),
        Command::Diff(args) => commands::diff::run(&args),
        Command::Schema(args) => commands::schema::run(&args),
        Command::Sample(args) => commands::sample::run(args),
        Command::Init(args) => commands::init::run(&args),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Why(args) => commands::why::run(args),
        Command::Keys(args) => commands::keys::run(args),
        Command::Ban(args) => commands::ban::run(args),
        Command::Unban(args) => commands::ban::run_unban(args),
        Command::Mode(args) => commands::mode::run(args),
    }
}
