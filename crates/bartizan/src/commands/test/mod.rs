//! `bartizan test`: the users' own tests of their policy, each a request with its caller and the verdict that is expected.

mod output;
mod read;

use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use serde_json::Value;

use self::{
    output::{Form, tell},
    read::{Expected, PolicyTest, read},
};
use super::{
    authz::principal::Caller,
    explain::{self, Trouble},
};
use crate::{
    admin_client::{Output, fail},
    commands::check,
};

/// Runs tests of a policy: requests with their callers, and the verdicts that are expected. Nothing is sent anywhere.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A test file is YAML:\n\n  tests:\n    - name: customers see no reports\n      as: { subject: alice, issuer: corp, roles: [customer] }\n      client: 203.0.113.9\n      request: |\n        GET /reports/7 HTTP/1.1\n        Host: api.example\n      expect: { verdict: deny, status: 403, reason: access.denied, decided_by: roles.yaml }\n\nWithout `as` the request's own credentials count. Each member of `expect` may be left out; `decided_by` is a part of what\n`explain` tells of the decision.\n\nExamples:\n  bartizan test tests/\n  bartizan test tests/ --config bartizan.yaml --output junit > report.xml\n\nExit codes: 0 all passed, 1 some failed, 2 usage, 78 bad configuration."
)]
pub struct Args {
    /// A folder with test files, or one file.
    #[arg(value_name = "DIR")]
    tests: PathBuf,
    /// The configuration.
    #[arg(long, short, value_name = "FILE", default_value = "bartizan.yaml")]
    config: PathBuf,
    /// The environment to lay over it, instead of its own.
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    output: Form,
}

/// How one test ended.
pub(crate) struct Ended {
    pub file: PathBuf,
    pub line: u32,
    pub name: String,
    /// What was not as expected; empty where all was.
    pub wrong: Vec<String>,
}

/// Runs the command: 0 when all tests passed.
pub fn run(args: &Args) -> ExitCode {
    let tests = match read(&args.tests) {
        Ok(tests) => tests,
        Err(error) => return fail(&error),
    };
    let mut ended = Vec::new();
    for test in tests {
        match one(args, test) {
            Ok(end) => ended.push(end),
            Err(Trouble::Configuration(rejected)) => return check::refuse(&rejected, Output::Text),
            Err(Trouble::Other(error)) => return fail(&error),
        }
    }
    tell(args.output, &ended);
    ExitCode::from(u8::from(ended.iter().any(|end| !end.wrong.is_empty())))
}

fn one(args: &Args, test: PolicyTest) -> Result<Ended, Trouble> {
    let PolicyTest { file, line, name, caller, client, tls, request, expect } = test;
    let asked = explain::Args {
        request: file.clone(),
        config: args.config.clone(),
        environment: args.environment.clone(),
        client: client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        tls,
        running: false,
        state: None,
        output: Output::Json,
    };
    let caller = caller.map(|caller| Arc::new(Caller::principal(caller)));
    let wrong = match explain::asked(&asked, request.as_bytes(), caller) {
        Ok(told) => compare(&expect, &told),
        Err(Trouble::Other(error)) => vec![error],
        Err(trouble) => return Err(trouble),
    };
    Ok(Ended { file, line, name, wrong })
}

/// What is not as expected.
fn compare(expect: &Expected, told: &Value) -> Vec<String> {
    let text = |key: &str| told.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut wrong = Vec::new();
    let mut same = |what: &str, wanted: Option<String>, found: Option<String>| {
        if let Some(wanted) = wanted
            && Some(&wanted) != found.as_ref()
        {
            let found = found.unwrap_or_else(|| "none".to_owned());
            wrong.push(format!("{what}: expected `{wanted}`, found `{found}`"));
        }
    };
    same("verdict", expect.verdict.clone(), text("verdict"));
    same("reason", expect.reason.clone(), text("reason"));
    let status = told.get("status").and_then(Value::as_u64).map(|status| status.to_string());
    same("status", expect.status.map(|status| status.to_string()), status);
    if let Some(part) = &expect.decided_by {
        let decided =
            [told.get("detail"), told.get("allowed_by")].into_iter().flatten().map(Value::to_string);
        let decided = decided.collect::<Vec<_>>().join("; ");
        if !decided.contains(part.as_str()) {
            wrong.push(format!("decided_by: `{part}` is not in {decided}"));
        }
    }
    if let (false, Some(detail)) = (wrong.is_empty(), text("detail")) {
        wrong.push(detail);
    }
    wrong
}

/// A path as it is shown.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
