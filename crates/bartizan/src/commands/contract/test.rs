//! `bartizan contract test`: requests made from a contract go through the gateway's own decision, with the right verdicts.

mod ask;
mod report;

use std::{path::PathBuf, process::ExitCode};

use bartizan_contract::cases::{Generator, Settings, examples};

use self::{ask::Gate, report::Report};
use super::files::{open, refuse};
use crate::{
    EXIT_CONFIG,
    admin_client::{Output, fail, remark},
};

/// Operations after each of which the progress is told, in documents with more.
const TOLD: usize = 50;

/// Tests that a contract is held.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The OpenAPI document.
    #[arg(value_name = "SPEC")]
    pub file: PathBuf,
    /// Requests for one operation, at most, and as many responses for each of its responses.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub cases: u32,
    /// Another one makes other examples; the same one always the same.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Only operations whose label has this text, such as `POST /orders`.
    #[arg(long, value_name = "TEXT")]
    pub operation: Option<String>,
    /// Leave out the examples and defaults that the document itself writes.
    #[arg(long)]
    pub no_examples: bool,
    /// Show every case, not only those that went wrong.
    #[arg(long)]
    pub all: bool,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Runs the command: 0 when every verdict is right and every example fits.
pub fn run(args: &Args) -> ExitCode {
    let (documents, description, _) = match open(&args.file) {
        Ok(opened) => opened,
        Err(diagnostics) => return refuse(&diagnostics),
    };
    let settings = Settings { seed: args.seed, requests: args.cases as usize };
    let generator = match Generator::new(&description, settings) {
        Ok(generator) => generator,
        Err(diagnostics) => return refuse(&diagnostics),
    };
    let gate = match Gate::open(&args.file, &description) {
        Ok(gate) => gate,
        Err(error) => {
            fail(&error);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let mut report = Report::new(args.all);
    if !args.no_examples {
        match examples(&documents, &description) {
            Ok((wrong, count)) => report.examples(wrong, count),
            Err(diagnostics) => return refuse(&diagnostics),
        }
    }
    let wanted = |label: &str| args.operation.as_ref().is_none_or(|part| label.contains(part.as_str()));
    let operations: Vec<_> =
        description.operations.iter().filter(|operation| wanted(&operation.spec.label)).collect();
    if operations.is_empty() {
        let why = match &args.operation {
            Some(part) => {
                format!("no operation has `{part}` in its label; write it like `GET /orders/{{id}}`")
            }
            None => "the document has no operation".to_owned(),
        };
        return fail(&why);
    }
    for (number, operation) in operations.iter().enumerate() {
        let made = generator.operation(operation);
        let label = &operation.spec.label;
        for case in &made.requests {
            match gate.ask(label, &case.request) {
                Err(error) => return fail(&error),
                Ok(told) => report.request(label, case, &told, gate.base()),
            }
        }
        for case in &made.responses {
            let told = generator.judge(operation, case);
            report.response(label, case, &told);
        }
        report.operation(label, made.untested, made.left_out);
        if operations.len() > TOLD && (number + 1) % TOLD == 0 {
            remark(&format!("{} of {} operations, {} cases", number + 1, operations.len(), report.cases()));
        }
    }
    report.tell(args.output, &args.file, args.seed);
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
