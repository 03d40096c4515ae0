//! `bartizan schema`: the JSON Schema of the configuration, for editors.

use std::process::ExitCode;

use crate::admin_client::{Output, say};

/// Prints the JSON Schema of the configuration; editors complete and verify with it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How to answer: a schema is JSON either way.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let schema = bartizan_policy::schema();
    say(&match args.output {
        Output::Text => format!("{schema:#}"),
        Output::Json => schema.to_string(),
    });
    ExitCode::SUCCESS
}
