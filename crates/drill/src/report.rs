//! What a drill says: the documented, stable form for programs, which the table is made of.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Bounds, Figures, Rule};

/// How a drill ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The attack succeeded without the gateway, and with it every criterion is met.
    Passed,
    /// A criterion is missed.
    Missed,
    /// The attack did not succeed without the gateway: nothing is proved by its failure with it.
    ProvesNothing,
    /// The drill could not be run to its end.
    Broken,
    /// It waits for a capability.
    NotBuilt,
}

/// One drill's report. Serialized, it is the documented form of `--output json`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `T-03`.
    pub id: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What it waits for, where it is not built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<&'static str>,
    /// Why it could not be run to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it may cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Bounds>,
    /// What it did cost: requests and connections.
    pub requests: u64,
    /// What it did cost: seconds.
    pub seconds: f64,
    /// The row of the table without the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without: Option<Series>,
    /// The row with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<Series>,
    /// What had to be seen without it.
    pub proofs: Vec<Judged>,
    /// What had to be seen with it.
    pub criteria: Vec<Judged>,
}

/// One row of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// Attack requests.
    pub attacks: u64,
    /// Of these, refused, aborted or without effect.
    pub blocked: u64,
    /// That gave the attacker something to read.
    pub leaked: u64,
    /// That gave the attacker something to keep.
    pub taken: u64,
    /// Milliseconds from the first attack to the first answer or record that told of it; `null` where none did.
    pub first_finding_ms: Option<f64>,
    /// Requests of people who attack nothing.
    pub legitimate: u64,
    /// Of these, answered as they should be.
    pub succeeded: u64,
    /// Milliseconds within which 99 % of those were answered; `null` where there were none.
    pub p99_ms: Option<f64>,
    /// Every measured value by its key.
    pub values: BTreeMap<&'static str, f64>,
    /// What was found, for people.
    pub notes: Vec<String>,
}

/// One criterion and its measure.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// The stable name of the value.
    pub key: &'static str,
    /// What it means.
    pub text: &'static str,
    /// `exactly`, `at_least` or `at_most`.
    pub rule: &'static str,
    /// What the rule speaks of.
    pub wanted: f64,
    /// What was measured; `null` where nothing was.
    pub measured: Option<f64>,
    /// Whether the rule is met.
    pub pass: bool,
}

impl Report {
    /// The report of a drill that was not run.
    #[must_use]
    pub fn empty(id: &'static str, title: &'static str, outcome: Outcome) -> Self {
        Report {
            id,
            title,
            outcome,
            waits_for: None,
            error: None,
            bounds: None,
            requests: 0,
            seconds: 0.0,
            without: None,
            with: None,
            proofs: Vec::new(),
            criteria: Vec::new(),
        }
    }
}

impl From<&Figures> for Series {
    fn from(figures: &Figures) -> Self {
        Series {
            attacks: figures.attacks,
            blocked: figures.blocked,
            leaked: figures.leaked,
            taken: figures.taken,
            first_finding_ms: figures.first_finding.map(|time| millis(micros(time))),
            legitimate: figures.legitimate.requests,
            succeeded: figures.legitimate.succeeded,
            p99_ms: figures.legitimate.p99_micros().map(millis),
            values: figures.values.clone(),
            notes: figures.notes.iter().chain(&figures.legitimate.missed).cloned().collect(),
        }
    }
}

impl Rule {
    /// Its name and what it speaks of.
    #[must_use]
    pub fn parts(self) -> (&'static str, f64) {
        match self {
            Rule::Exactly(wanted) => ("exactly", wanted),
            Rule::AtLeast(wanted) => ("at_least", wanted),
            Rule::AtMost(wanted) => ("at_most", wanted),
        }
    }
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Milliseconds with three decimals.
fn millis(micros: u64) -> f64 {
    // A drill ends within minutes: 2^32 microseconds are more than an hour.
    f64::from(u32::try_from(micros).unwrap_or(u32::MAX)) / 1_000.0
}
