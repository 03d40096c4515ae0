//! `bartizan contract lint`: a security audit of a contract.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use bartizan_contract::lint::{Audit, Finding, RULES, Severity, audit, sarif};
use clap::ValueEnum;
use serde_json::json;

use super::files::{open, refuse};
use crate::admin_client::say;

/// Places of one rule that the text shows without `--all`.
const SHOWN: usize = 5;

/// Audits a contract.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The OpenAPI document.
    #[arg(value_name = "SPEC")]
    pub file: PathBuf,
    /// The least severity that makes the exit code 1; `never` for none.
    #[arg(long, value_enum, default_value_t = FailOn::Medium)]
    pub fail_on: FailOn,
    /// Leave out rules, by id.
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub skip: Vec<String>,
    /// Show every place, not the first few of each rule.
    #[arg(long)]
    pub all: bool,
    /// Tell why each rule matters.
    #[arg(long)]
    pub explain: bool,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Form,
}

/// What makes the exit code 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Anything.
    Low,
    /// What helps an attacker.
    Medium,
    /// What opens a door.
    High,
    /// Nothing.
    Never,
}

/// How to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// SARIF 2.1.0, for code hosts and editors.
    Sarif,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    if let Some(unknown) = args.skip.iter().find(|id| !RULES.iter().any(|rule| rule.id == **id)) {
        let known: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
        let error = format!("there is no rule `{unknown}`; the rules are {}", known.join(", "));
        return crate::admin_client::fail(&error);
    }
    let (documents, description, warnings) = match open(&args.file) {
        Ok(opened) => opened,
        Err(diagnostics) => return refuse(&diagnostics),
    };
    let mut audit = audit(&documents, &description, &warnings);
    audit.skip(&args.skip);
    match args.output {
        Form::Json => {
            let file = args.file.display().to_string();
            let answer = json!({
                "file": file, "score": audit.score, "counts": audit.counts, "findings": audit.findings, "rules": RULES,
            });
            say(&format!("{answer:#}"));
        }
        Form::Sarif => say(&format!("{:#}", sarif(&audit, env!("CARGO_PKG_VERSION")))),
        Form::Text => say(&text(&audit, args)),
    }
    let least = match args.fail_on {
        FailOn::Low => Severity::Low,
        FailOn::Medium => Severity::Medium,
        FailOn::High => Severity::High,
        FailOn::Never => return ExitCode::SUCCESS,
    };
    match audit.findings.iter().any(|finding| finding.severity >= least) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// Findings by rule, the worst rules first.
fn text(audit: &Audit, args: &Args) -> String {
    let mut by_rule: BTreeMap<(std::cmp::Reverse<Severity>, usize), Vec<&Finding>> = BTreeMap::new();
    for finding in &audit.findings {
        let at = RULES.iter().position(|rule| rule.id == finding.rule).unwrap_or_default();
        by_rule.entry((std::cmp::Reverse(finding.severity), at)).or_default().push(finding);
    }
    let mut text = String::new();
    for ((severity, at), findings) in by_rule {
        let Some(rule) = RULES.get(at) else { continue };
        let owasp = if rule.owasp.is_empty() { String::new() } else { format!(", {}", rule.owasp) };
        text.push_str(&format!(
            "{} [{}{owasp}] {} ({})\n",
            rule.id,
            severity.0.as_str(),
            rule.title,
            findings.len()
        ));
        if args.explain {
            text.push_str(&format!("  why: {}\n", rule.why));
        }
        text.push_str(&format!("  do:  {}\n", rule.remedy));
        let shown = if args.all { findings.len() } else { SHOWN };
        for finding in findings.iter().take(shown) {
            let place =
                finding.place.as_ref().map_or_else(|| args.file.display().to_string(), ToString::to_string);
            text.push_str(&format!("  {place}: {}\n", finding.message));
        }
        if findings.len() > shown {
            text.push_str(&format!("  and {} more places; --all shows them\n", findings.len() - shown));
        }
        text.push('\n');
    }
    let counts: Vec<_> = ["high", "medium", "low"]
        .iter()
        .filter_map(|severity| audit.counts.get(severity).map(|count| format!("{count} {severity}")))
        .collect();
    let counts = if counts.is_empty() { "nothing found".to_owned() } else { counts.join(", ") };
    text.push_str(&format!("score {} of 100: {counts}", audit.score));
    text
}
