//! The OWASP Core Rule Set with its own regression tests, in process: every test that is not in
//! `crs_exceptions.txt` passes, and both ways of walking tell the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests assert"
)]

#[path = "crs/debian.rs"]
mod debian;
#[path = "crs/divergence.rs"]
mod divergence;
#[path = "crs/setup.rs"]
mod setup;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bartizan_ftw::{Observed, Stage, Test, inspect, is_refused};
use bartizan_waf::engine::{Inspection, Program, Worker};
use setup::{load, suite};

/// The tests that may fail, each with its reason: `920100-4  why`.
const EXCEPTIONS: &str = include_str!("crs_exceptions.txt");
/// How many exceptions there may be.
const MAX_EXCEPTIONS: usize = 10;

#[test]
fn every_regression_test_passes() {
    let Some(suite) = suite() else { return };
    let rules = load(&suite);
    let (plain, fast) = (Program::plain(rules.clone()), Program::new(rules));
    let only = std::env::var("CRS_ONLY").ok().filter(|only| !only.is_empty());
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in fs::read_dir(suite.join("tests")).unwrap() {
        files.extend(fs::read_dir(folder.unwrap().path()).unwrap().map(|entry| entry.unwrap().path()));
    }
    files.sort();
    if let Some(only) = &only {
        files.retain(|file| file.to_string_lossy().contains(only.split('-').next().unwrap()));
    }
    let exceptions: BTreeMap<&str, &str> = EXCEPTIONS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once("  ").expect("`RULE-TEST  reason`"))
        .collect();
    let next = AtomicUsize::new(0);
    let outcomes: Mutex<Vec<(Test, Result<(), String>)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut engines =
                    Engines { plain: (plain.clone(), Worker::new()), fast: (fast.clone(), Worker::new()) };
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tests = bartizan_ftw::read(&fs::read_to_string(file).unwrap());
                    for test in tests.unwrap_or_else(|error| panic!("{}: {error}", file.display())) {
                        let outcome = test.stages.iter().try_for_each(|stage| engines.run(stage));
                        outcomes.lock().unwrap().push((test, outcome));
                    }
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap();
    outcomes.sort_by_key(|(test, _)| (test.rule, test.number));
    let mut by_rule: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    let mut failed = BTreeSet::new();
    for (test, outcome) in &outcomes {
        let counts = by_rule.entry(test.rule).or_default();
        match outcome {
            Ok(()) => counts.0 += 1,
            Err(why) => {
                counts.1 += 1;
                let name = test.name();
                if !exceptions.contains_key(name.as_str()) || only.is_some() {
                    println!("FAILED {name}: {why}");
                }
                failed.insert(name);
            }
        }
    }
    println!("{} of {} tests passed", outcomes.len() - failed.len(), outcomes.len());
    for (rule, (passed, wrong)) in by_rule.iter().filter(|(_, counts)| counts.1 > 0) {
        println!("  {rule}: {passed} passed, {wrong} failed");
    }
    if only.is_some() {
        return;
    }
    let unexpected: Vec<_> = failed.iter().filter(|name| !exceptions.contains_key(name.as_str())).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    let stale: Vec<_> = exceptions.keys().filter(|name| !failed.contains(**name)).collect();
    assert!(stale.is_empty(), "exceptions that pass: {stale:?}");
    assert!(exceptions.len() <= MAX_EXCEPTIONS);
}

/// The same rules, walked both ways.
struct Engines {
    plain: (Arc<Program>, Worker),
    fast: (Arc<Program>, Worker),
}

impl Engines {
    fn run(&mut self, stage: &Stage) -> Result<(), String> {
        let expected = &stage.expected;
        if expected.wants_refusal() && is_refused(&stage.request) {
            return expected.judge(&Observed { refused: true, ..Observed::default() });
        }
        if !expected.asks_rules() {
            return expected.judge(&Observed::default());
        }
        let run = |(program, worker): &mut (Arc<Program>, Worker)| inspect(&stage.request, program, worker);
        let (Some(plain), Some(fast)) = (run(&mut self.plain), run(&mut self.fast)) else {
            return Err("no request".to_owned());
        };
        let (told, fast) = (tell(&plain), tell(&fast));
        if told != fast {
            let line = told.lines().zip(fast.lines()).find(|(plain, fast)| plain != fast);
            return Err(format!("the two ways differ: {line:?}"));
        }
        expected
            .judge(&Observed::of(&plain))
            .map_err(|why| format!("{why}; {}", stage.request.escape_ascii()))
    }
}

fn tell(inspection: &Inspection) -> String {
    let variables: Vec<_> = inspection.tx().iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
    format!("{:#?} {variables:?}", inspection.findings())
}
