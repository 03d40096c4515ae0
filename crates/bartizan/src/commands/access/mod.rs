//! `bartizan access`: what roles, scopes and keys are really used for, and the narrower policy that would do.

mod lines;
mod report;
mod suggest;

use std::process::ExitCode;

use bartizan_policy::Loaded;
use bartizan_store::Usage;
use clap::Subcommand;

use crate::{
    admin_client::{Output, Place, fail},
    commands::check,
};

/// Tells what roles, scopes and keys are used for, and proposes the narrower policy that would do.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Grants, roles, keys and scopes that nobody uses.
    #[command(
        after_help = "Examples:\n  bartizan access report --config bartizan.yaml\n  bartizan access report --unused-for 90d --output json\n\nCounts are written every five seconds. Exit codes: 0 everything is used, 1 something is not, 2 usage, 78 bad configuration."
    )]
    Report(report::Args),
    /// A roles file with nothing but what was used, as a diff with the evidence. Nothing is changed.
    #[command(
        after_help = "Examples:\n  bartizan access suggest --config bartizan.yaml\n  bartizan access suggest --api bank --full > policies/roles.yaml\n\nWithout a roles file it proposes one: mount `access: { role_claims: [role] }` while people work, then ask. Exit codes: 0 there is\nsomething to propose, 1 nothing was used yet, 2 usage, 78 bad configuration."
    )]
    Suggest(suggest::Args),
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let Some(config) = args.place.config.clone().or_else(|| Some("bartizan.yaml".into())) else {
        return ExitCode::FAILURE;
    };
    let loaded = match check::load(&config, None) {
        Ok(loaded) => loaded,
        Err(rejected) => return check::refuse(&rejected, Output::Text),
    };
    let opened = args.place.existing_store().and_then(|store| {
        let read = |error: bartizan_store::StoreError| error.to_string();
        Ok(Used { usage: store.usage().map_err(read)?, keys: store.keys().map_err(read)? })
    });
    let used = match opened {
        Ok(used) => used,
        Err(error) => return fail(&error),
    };
    match &args.command {
        Command::Report(args) => report::run(args, &loaded, &used),
        Command::Suggest(args) => suggest::run(args, &loaded, &used),
    }
}

/// What the store knows.
struct Used {
    usage: Vec<Usage>,
    keys: Vec<bartizan_store::StoredKey>,
}

/// The guards of an API that have a decision to make, each once.
fn guards<'l>(loaded: &'l Loaded, api: &str) -> Vec<&'l bartizan_guards::access::Access> {
    let mut found: Vec<&bartizan_guards::access::Access> = Vec::new();
    for api in loaded.snapshot.apis.iter().filter(|known| *known.name == *api) {
        for operation in api.operations.all() {
            if let Some(access) = operation.guards.access.active()
                && !found.iter().any(|known| std::ptr::eq(*known, access))
            {
                found.push(access);
            }
        }
    }
    found
}
