//! `bartizan rules test`: tests of go-ftw, in process or through a running gateway.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bartizan_ftw::Test;
use bartizan_waf::engine::{Program, Worker};
use parking_lot::Mutex;
use serde_json::json;

use super::{
    USAGE,
    files::{core_rules, tests},
    live,
    mounted::{Mounted, Which},
};
use crate::{
    EXIT_CONFIG,
    admin_client::{Output, Place, fail, remark, say},
    commands::run::installed_crs,
};

/// Runs tests of rules.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file of go-ftw, or a folder with such files.
    #[arg(value_name = "DIR")]
    tests: PathBuf,
    /// The folder of the OWASP Core Rule Set [default: Debian's, without `--config`].
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "state", "url"])]
    crs: Option<PathBuf>,
    /// A running gateway on this machine to send the tests to, instead of running them in process: its policy decides.
    #[arg(long, value_name = "URL", value_parser = loopback)]
    url: Option<SocketAddr>,
    /// Only tests whose name begins so: `942100`, or `942100-3`.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    #[command(flatten)]
    place: Place,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Otherwise, and how.
    Failed(String),
    /// The request was refused before any rule saw it, and why.
    Refused(String),
}

/// Runs the command: 0 when no test failed.
pub fn run(args: &Args) -> ExitCode {
    if args.place.state.is_some() && args.url.is_none() {
        remark("error: `--state` is where a running gateway keeps its events; name the gateway by `--url`");
        return ExitCode::from(USAGE);
    }
    let mut tests = match tests(&args.tests) {
        Ok(tests) => tests,
        Err(text) => return fail(&text),
    };
    if let Some(only) = &args.only {
        tests.retain(|test| test.name() == *only || test.rule.to_string() == *only);
        if tests.is_empty() {
            return fail(&format!("no test is called `{only}`; a name is `942100`, or `942100-3`"));
        }
    }
    let outcomes = match args.url {
        Some(address) => match live::run(&tests, address, &args.place) {
            Ok(outcomes) => outcomes,
            Err(text) => return fail(&text),
        },
        None => match rules(args) {
            Ok(program) => in_process(&tests, &program),
            Err(code) => return code,
        },
    };
    let results: Vec<_> = tests.iter().zip(outcomes).collect();
    match args.output {
        Output::Json => say(&as_json(&results).to_string()),
        Output::Text => say(&as_text(&results)),
    }
    let failed = results.iter().any(|(_, outcome)| matches!(outcome, Outcome::Failed(_)));
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// `http://127.0.0.1:8080`.
fn loopback(url: &str) -> Result<SocketAddr, String> {
    let wrong =
        || "write the address of a gateway on this machine, such as `http://127.0.0.1:8080`".to_owned();
    let authority = url.strip_prefix("http://").ok_or_else(wrong)?.trim_end_matches('/');
    let authority = authority.replace("localhost", "127.0.0.1");
    let with_port = if authority.contains(':') { authority } else { format!("{authority}:80") };
    let address: SocketAddr = with_port.parse().map_err(|_| wrong())?;
    if address.is_ipv4() && address.ip().is_loopback() { Ok(address) } else { Err(wrong()) }
}

/// The rules that are tested in process.
fn rules(args: &Args) -> Result<Arc<Program>, ExitCode> {
    if args.place.config.is_some() {
        let which = Which { config: args.place.config.clone(), environment: None, crs: None };
        let mounted = Mounted::load(&which, args.output)?;
        return match mounted.sets().first() {
            Some((.., waf)) => Ok(Arc::clone(waf.program())),
            None => Err(fail(&"the policy mounts no rules; write `waf: { rules: [crs] }` below `guards`")),
        };
    }
    let folder = args.crs.clone().or_else(|| installed_crs().map(PathBuf::from)).ok_or_else(|| {
        fail(&"no rules to test; name their folder by `--crs`, or a policy by `--config`");
        ExitCode::from(EXIT_CONFIG)
    })?;
    core_rules(Path::new(&folder)).map_err(|diagnostics| {
        remark(diagnostics.to_string().trim_end());
        ExitCode::from(EXIT_CONFIG)
    })
}

fn in_process(tests: &[Test], program: &Arc<Program>) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(vec![Outcome::Passed; tests.len()]);
    let lanes = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                let mut worker = Worker::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(test) = tests.get(index) else { break };
                    let run = test.stages.iter().try_for_each(|stage| stage.run(program, &mut worker));
                    if let (Err(why), Some(outcome)) = (run, outcomes.lock().get_mut(index)) {
                        *outcome = Outcome::Failed(why);
                    }
                }
            });
        }
    });
    outcomes.into_inner()
}

/// Counts of one rule or of all.
#[derive(Clone, Copy, Default)]
struct Counts {
    passed: usize,
    failed: usize,
    refused: usize,
}

impl Counts {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Refused(_) => self.refused += 1,
        }
    }

    fn text(self) -> String {
        let mut text = format!("{} passed", self.passed);
        if self.failed > 0 {
            let _ = write!(text, ", {} failed", self.failed);
        }
        if self.refused > 0 {
            let _ = write!(text, ", {} refused before any rule", self.refused);
        }
        text
    }
}

fn counted(results: &[(&Test, Outcome)]) -> (BTreeMap<u64, Counts>, Counts) {
    let (mut by_rule, mut all) = (BTreeMap::<u64, Counts>::new(), Counts::default());
    for (test, outcome) in results {
        by_rule.entry(test.rule).or_default().add(outcome);
        all.add(outcome);
    }
    (by_rule, all)
}

fn as_text(results: &[(&Test, Outcome)]) -> String {
    let (by_rule, all) = counted(results);
    let mut text = String::new();
    for (rule, counts) in by_rule {
        let _ = writeln!(text, "{rule}: {}", counts.text());
        for (test, outcome) in results.iter().filter(|(test, _)| test.rule == rule) {
            match outcome {
                Outcome::Passed => {}
                Outcome::Failed(why) => {
                    let _ = writeln!(text, "  {} failed: {why}", test.name());
                }
                Outcome::Refused(why) => {
                    let _ = writeln!(text, "  {} refused: {why}", test.name());
                }
            }
        }
    }
    let plural = if results.len() == 1 { "" } else { "s" };
    let _ = write!(text, "{} test{plural}: {}", results.len(), all.text());
    text
}

fn as_json(results: &[(&Test, Outcome)]) -> serde_json::Value {
    let (by_rule, all) = counted(results);
    let counts = |counts: Counts| json!({ "passed": counts.passed, "failed": counts.failed, "refused": counts.refused });
    let rules: BTreeMap<String, _> =
        by_rule.into_iter().map(|(rule, c)| (rule.to_string(), counts(c))).collect();
    let told = |wanted: fn(&Outcome) -> Option<&String>| -> Vec<_> {
        let told = results.iter().filter_map(|(test, outcome)| Some((test, wanted(outcome)?)));
        told.map(|(test, why)| json!({ "test": test.name(), "why": why })).collect()
    };
    json!({
        "tests": results.len(),
        "passed": all.passed,
        "failed": told(|outcome| if let Outcome::Failed(why) = outcome { Some(why) } else { None }),
        "refused": told(|outcome| if let Outcome::Refused(why) = outcome { Some(why) } else { None }),
        "rules": rules,
    })
}
