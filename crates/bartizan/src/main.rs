//! Bartizan, the API protection platform: the one binary. Each command lives in a file of its own.

mod admin_client;
mod assemble;
mod commands;
mod control;
mod reload;
mod reminders;
mod running;
mod terminal;

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
    after_help = "Begin with:\n  bartizan demo\n  bartizan run --upstream http://127.0.0.1:3000\n  bartizan init --upstream http://127.0.0.1:3000\n\nExit codes: 0 ok, 1 findings or failure, 2 usage, 78 bad configuration."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Protect: run the gateway before an API.
    #[command(
        after_help = "Examples:\n  bartizan run --upstream http://127.0.0.1:3000 --mode monitor\n  bartizan run --config bartizan.yaml --environment staging\n\nExit codes: 0 after a clean end, 2 usage, 78 bad configuration or a port that is taken."
    )]
    Run(Box<commands::run::Args>),
    /// Verify a configuration; every problem at once.
    #[command(
        after_help = "Examples:\n  bartizan check --effective              what each operation ends up with\n  bartizan check new.yaml --output json   for a pipeline\n\nExit codes: 0 it can be run, 1 warnings with --strict-warnings, 2 usage, 78 it cannot be run."
    )]
    Check(commands::check::Args),
    /// Compare what two configurations decide.
    #[command(
        after_help = "Example:\n  bartizan diff bartizan.yaml new.yaml\n\nExit codes: 0 nothing changes, 1 something does, 2 usage, 78 one of them cannot be run."
    )]
    Diff(commands::diff::Args),
    /// Print the JSON Schema of the configuration, for editors.
    Schema(commands::schema::Args),
    /// Run the sample bank: an API to protect, with planted flaws or with none.
    #[command(
        after_help = "Examples:\n  bartizan sample --vulnerable\n  bartizan sample --fixed --seed 7 --database bank.db --listen 127.0.0.1:9000\n\ndocs/sample-bank.md has each flaw with an exploit to paste, and a policy. Only run the vulnerable build where nobody else has an account on the machine. Exit codes: 0 after a clean end, 1 an address that is taken or not on loopback, 2 usage."
    )]
    Sample(commands::sample::Args),
    /// Make labelled traffic of people and attackers around the sample bank.
    #[command(
        after_help = "Examples:\n  bartizan simulate --out traffic.jsonl --requests 50000\n  bartizan simulate --out attack.har --people 0 --attacks credential_stuffing --requests 500\n  bartizan simulate --target http://127.0.0.1:8080 --proxy-protocol --people 50 --attacks none\n\nThe truth about each request is written aside; docs/traffic.md has the formats. Exit codes: 0 written, or people were answered as the bank alone answers; 1 not so, or a write failed; 2 usage."
    )]
    Simulate(commands::simulate::Args),
    /// Run attack scenarios on loopback, without the gateway and with it.
    Drill(commands::drill::Args),
    /// Watch it work: a vulnerable bank, people and attackers around it, and the gateway between.
    #[command(
        after_help = "Examples:\n  bartizan demo                          watch; `q` or Ctrl-C ends it\n  bartizan demo --minutes 1 | tee log    lines instead of the view\n  bartizan demo --print-policy > mine.yaml\n  bartizan demo --policy mine.yaml       changes that are saved are in force at once\n\nExit codes: 0 it ended as it should, 2 usage, 78 a policy or an address that cannot be used."
    )]
    Demo(commands::demo::Args),
    /// Write a first configuration.
    #[command(
        after_help = "Examples:\n  bartizan init --upstream http://127.0.0.1:3000\n  bartizan init openapi.yaml --profile strict -o shop.yaml\n\nWhat it writes passes `bartizan check`."
    )]
    Init(commands::init::Args),
    /// Tell what a configuration decides about one request, step by step.
    Explain(commands::explain::Args),
    /// Tell what happened in one exchange, and why.
    #[command(
        after_help = "A refusal names its event in `instance` and in the field `X-Bartizan-Event`. Examples:\n  bartizan why 01M80E09JJH2GAJP9MY4AA1DPC\n  bartizan why --last                     the newest refusal\n  bartizan why --list 50 --output json    the newest ones, for a program\n\nThe steps of exchanges that simply passed are kept by `bartizan run --trace`."
    )]
    Why(commands::why::Args),
    /// Tell which rules look for attacks, show one, and run their tests.
    Rules(Box<commands::rules::Args>),
    /// Prove that what is meant to block blocks: probes through the live path, to an echo inside the process.
    Doctor(commands::doctor::Args),
    /// Enroll, list, rotate and revoke the keys of clients that sign their requests.
    #[command(
        after_help = "Examples:\n  bartizan clients enroll reports --key reports.pub.pem --expires 180d\n  bartizan clients enroll reports --generate reports.key       makes a pair; the file goes to the client\n  bartizan clients rotate ck_0123456789abcdef --key new.pub.pem --overlap 7d\n  bartizan clients revoke reports\n\nAn operation that demands such a signature besides the user's token:\n  identity: { accept: [{ all: [jwt, signature] }] }\n\nA change is in force within a second."
    )]
    Clients(commands::clients::Args),
    /// Audit an OpenAPI document, or compare two of them.
    Contract(commands::contract::Args),
    /// Create, list, rotate and revoke API keys.
    #[command(
        after_help = "Examples:\n  bartizan keys create --owner billing --scope invoices:read --expires 90d\n  bartizan keys rotate ID --overlap 7d\n  bartizan keys revoke ID\n\nA change is in force within a second."
    )]
    Keys(commands::keys::Args),
    /// Enroll, list and revoke second factors of key holders.
    #[command(
        after_help = "Examples:\n  bartizan mfa enroll billing        prints an otpauth URI and a QR code, once\n  bartizan mfa list --output json\n  bartizan mfa revoke billing\n\nA change is in force within a second. docs/keys.md tells the rest."
    )]
    Mfa(commands::mfa::Args),
    /// Revoke tokens, subjects and sessions before their end.
    #[command(
        after_help = "Examples:\n  bartizan revoke token 7f1c2a --issuer corp --reason 'stolen laptop'\n  pbpaste | bartizan revoke token - --reason 'seen in a log'\n  bartizan revoke subject alice --issuer corp --issued-before now --reason 'password changed'\n  bartizan revoke session 42 --issuer corp --for 30d --reason 'logout'\n  bartizan revoke issuer corp --issued-before 2026-01-31T12:00:00Z --reason 'key leaked'\n  bartizan revoke list\n  bartizan revoke lift subject alice --issuer corp\n\nA change is in force within a second, for tokens seen before and for live streams, too."
    )]
    Revoke(commands::revoke::Args),
    /// Tell who still shows tokens of retired issuers.
    #[command(
        after_help = "Examples:\n  bartizan issuers report\n  bartizan issuers report --output json\n\nAn issuer is retired by `retired: true` or `retired_at` in the policy: its tokens are refused everywhere, and each use is noted here."
    )]
    Issuers(commands::issuers::Args),
    /// Ban an address or network.
    #[command(
        after_help = "Examples:\n  bartizan ban 203.0.113.7 --for 1h --reason 'password guessing'\n  bartizan ban --list"
    )]
    Ban(commands::ban::Args),
    /// Run tests of your own against a policy: requests, callers and the verdicts that are expected.
    Test(commands::test::Args),
    /// Who may do what by the policy, and why.
    Authz(Box<commands::authz::Args>),
    /// What roles, scopes and keys are used for, and the narrower policy that would do.
    Access(commands::access::Args),
    /// Lift a ban.
    Unban(commands::ban::UnbanArgs),
    /// Break glass: let refusals pass for a while, as findings only.
    #[command(
        after_help = "Examples:\n  bartizan mode monitor --for 15m --reason 'incident 42: partners are refused'\n  bartizan mode enforce"
    )]
    Mode(commands::mode::Args),
    /// Find rules about who owns what an API answers.
    Ownership(commands::ownership::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => commands::run::run(*args),
        Command::Check(args) => commands::check::run(&args),
        Command::Diff(args) => commands::diff::run(&args),
        Command::Schema(args) => commands::schema::run(&args),
        Command::Sample(args) => commands::sample::run(args),
        Command::Simulate(args) => commands::simulate::run(&args),
        Command::Drill(args) => commands::drill::run(args),
        Command::Demo(args) => commands::demo::run(&args),
        Command::Init(args) => commands::init::run(&args),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Why(args) => commands::why::run(args),
        Command::Rules(args) => commands::rules::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args),
        Command::Clients(args) => commands::clients::run(args),
        Command::Contract(args) => commands::contract::run(&args),
        Command::Keys(args) => commands::keys::run(args),
        Command::Mfa(args) => commands::mfa::run(args),
        Command::Revoke(args) => commands::revoke::run(args),
        Command::Issuers(args) => commands::issuers::run(&args),
        Command::Test(args) => commands::test::run(&args),
        Command::Authz(args) => commands::authz::run(&args),
        Command::Access(args) => commands::access::run(&args),
        Command::Ban(args) => commands::ban::run(args),
        Command::Unban(args) => commands::ban::run_unban(args),
        Command::Mode(args) => commands::mode::run(args),
        Command::Ownership(args) => commands::ownership::run(args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn every_command_is_well_formed() {
        Cli::command().debug_assert();
    }
}
