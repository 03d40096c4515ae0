//! What came of it.

use std::{collections::BTreeMap, path::Path};

use bartizan_contract::cases::{Case, Example, ResponseCase, Untested};
use serde_json::{Value, json};

use super::ask::{Told, curl};
use crate::admin_client::{Output, say};

/// Disagreements of one operation that the text shows without `--all`.
const SHOWN: usize = 5;
/// Characters of one line that is shown.
const LINE: usize = 1_200;
/// Examples that do not fit, shown without `--all`.
const EXAMPLES: usize = 40;

/// A case with another verdict than it should have.
#[derive(Debug)]
pub(super) struct Wrong {
    operation: String,
    about: String,
    expected: &'static str,
    actual: &'static str,
    why: String,
    line: String,
}

/// How many cases there were, and how many of them had the right verdict.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    valid: usize,
    invalid: usize,
    wrong: usize,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Report {
    all: bool,
    requests: Count,
    responses: Count,
    operations: usize,
    wrong: Vec<Wrong>,
    /// Every case, where all are shown: operation, what it is about, expectation and verdict.
    told: Vec<Value>,
    examples: Vec<Example>,
    examples_in_all: usize,
    untested: Vec<(String, Untested)>,
    /// Requests that another operation answers: it is more specific.
    elsewhere: BTreeMap<String, usize>,
    left_out: usize,
}

fn word(valid: bool) -> &'static str {
    if valid { "accepted" } else { "refused" }
}

impl Report {
    pub(super) fn new(all: bool) -> Self {
        Report {
            all,
            requests: Count::default(),
            responses: Count::default(),
            operations: 0,
            wrong: Vec::new(),
            told: Vec::new(),
            examples: Vec::new(),
            examples_in_all: 0,
            untested: Vec::new(),
            elsewhere: BTreeMap::new(),
            left_out: 0,
        }
    }

    pub(super) fn examples(&mut self, wrong: Vec<Example>, count: usize) {
        self.examples = wrong;
        self.examples_in_all = count;
    }

    pub(super) fn request(&mut self, label: &str, case: &Case, told: &Told, base: &str) {
        if !told.operation.is_empty() && told.operation != label {
            *self.elsewhere.entry(format!("{label} is answered by {}", told.operation)).or_default() += 1;
            return;
        }
        let right = told.passed == case.valid;
        count(&mut self.requests, case.valid, right);
        let why = match told.by.as_str() {
            "" => String::new(),
            by => format!("{by}: {}", told.why),
        };
        let line = if right && !self.all { String::new() } else { curl(base, &case.request) };
        if !right {
            self.wrong.push(Wrong {
                operation: label.to_owned(),
                about: case.about.clone(),
                expected: word(case.valid),
                actual: word(told.passed),
                why: why.clone(),
                line: line.clone(),
            });
        }
        if self.all {
            self.told.push(json!({
                "operation": label, "about": case.about, "rule": case.rule, "expected": word(case.valid),
                "actual": word(told.passed), "why": why, "request": line,
            }));
        }
    }

    pub(super) fn response(&mut self, label: &str, case: &ResponseCase, told: &[String]) {
        let right = told.is_empty() == case.valid;
        count(&mut self.responses, case.valid, right);
        let about = format!("response {}", case.about);
        if !right {
            self.wrong.push(Wrong {
                operation: label.to_owned(),
                about: about.clone(),
                expected: word(case.valid),
                actual: word(!case.valid),
                why: told.join("; "),
                line: String::from_utf8_lossy(&case.body).into_owned(),
            });
        }
        if self.all {
            self.told.push(json!({
                "operation": label, "about": about, "rule": case.rule, "expected": word(case.valid),
                "actual": word(told.is_empty()), "why": told.join("; "),
                "response": String::from_utf8_lossy(&case.body),
            }));
        }
    }

    pub(super) fn operation(&mut self, label: &str, untested: Vec<Untested>, left_out: usize) {
        self.operations += 1;
        self.left_out += left_out;
        self.untested.extend(untested.into_iter().map(|one| (label.to_owned(), one)));
    }

    pub(super) fn cases(&self) -> usize {
        self.requests.valid + self.requests.invalid + self.responses.valid + self.responses.invalid
    }

    pub(super) fn is_clean(&self) -> bool {
        self.wrong.is_empty() && self.examples.is_empty()
    }

    pub(super) fn tell(&self, output: Output, file: &Path, seed: u64) {
        match output {
            Output::Json => say(&format!("{:#}", self.json(file, seed))),
            Output::Text => say(&self.text(file)),
        }
    }

    fn json(&self, file: &Path, seed: u64) -> Value {
        let count =
            |count: &Count| json!({ "valid": count.valid, "invalid": count.invalid, "wrong": count.wrong });
        let place = |place: &Option<_>| place.as_ref().map(ToString::to_string);
        let wrong = self.wrong.iter().map(|wrong| {
            json!({
                "operation": wrong.operation, "about": wrong.about, "expected": wrong.expected, "actual": wrong.actual,
                "why": wrong.why, "sent": wrong.line,
            })
        });
        let examples = self.examples.iter().map(|example| {
            json!({
                "kind": example.kind, "pointer": example.pointer,
                "place": example.place.as_ref().map(ToString::to_string), "why": example.why,
            })
        });
        let untested = self.untested.iter().map(|(operation, one)| {
            json!({ "operation": operation, "what": one.what, "why": one.why, "place": place(&one.place) })
        });
        json!({
            "file": file.display().to_string(), "seed": seed, "operations": self.operations,
            "requests": count(&self.requests), "responses": count(&self.responses),
            "examples": { "count": self.examples_in_all, "wrong": examples.collect::<Vec<_>>() },
            "wrong": wrong.collect::<Vec<_>>(), "untested": untested.collect::<Vec<_>>(),
            "answered_elsewhere": self.elsewhere, "left_out": self.left_out, "cases": self.told,
        })
    }

    fn text(&self, file: &Path) -> String {
        let mut text = String::new();
        let mut last = "";
        let mut of_operation = 0;
        for wrong in &self.wrong {
            if wrong.operation != last {
                text.push_str(&format!("{}\n", wrong.operation));
                last = &wrong.operation;
                of_operation = 0;
            }
            of_operation += 1;
            if of_operation > SHOWN && !self.all {
                continue;
            }
            text.push_str(&format!("  {}: expected {}, is {}\n", wrong.about, wrong.expected, wrong.actual));
            if !wrong.why.is_empty() {
                text.push_str(&format!("    {}\n", short(&wrong.why)));
            }
            text.push_str(&format!("    {}\n", short(&wrong.line)));
        }
        let shown = if self.all { self.examples.len() } else { EXAMPLES };
        for example in self.examples.iter().take(shown) {
            let place =
                example.place.as_ref().map_or_else(|| file.display().to_string(), ToString::to_string);
            text.push_str(&format!("{place}: this {} does not fit its schema\n", example.kind));
            example.why.iter().for_each(|why| text.push_str(&format!("  {why}\n")));
        }
        if self.examples.len() > shown {
            text.push_str(&format!("and {} more examples; --all shows them\n", self.examples.len() - shown));
        }
        let mut same: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (_, one) in &self.untested {
            *same.entry((&one.what, one.why)).or_default() += 1;
        }
        for (operation, one) in &self.untested {
            // What many operations have alike is told once.
            let Some(count) = same.remove(&(one.what.as_str(), one.why)) else { continue };
            let place = one.place.as_ref().map_or_else(String::new, |place| format!(" ({place})"));
            let more = if count > 1 { format!(", and {} others alike", count - 1) } else { String::new() };
            text.push_str(&format!("not tested: {operation} {}: {}{place}{more}\n", one.what, one.why));
        }
        for (what, count) in &self.elsewhere {
            text.push_str(&format!("not tested: {what} ({count})\n"));
        }
        if self.left_out > 0 {
            text.push_str(&format!("{} requests beyond --cases were left out\n", self.left_out));
        }
        let line = |name: &str, count: &Count| {
            format!(
                "{name}: {} valid, {} invalid, {} wrong verdicts",
                count.valid, count.invalid, count.wrong
            )
        };
        text.push_str(&format!(
            "{} operations; {}; {}; examples: {}, {} do not fit; {} not tested",
            self.operations,
            line("requests", &self.requests),
            line("responses", &self.responses),
            self.examples_in_all,
            self.examples.len(),
            self.untested.len()
        ));
        text
    }
}

fn count(count: &mut Count, valid: bool, right: bool) {
    if valid {
        count.valid += 1;
    } else {
        count.invalid += 1;
    }
    count.wrong += usize::from(!right);
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}..", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
