//! The one shape of a scenario: actors, traffic, truth and pass criteria, and the two runs that are measured.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;

use crate::Stage;

/// A scenario. Each is a constant in a file of its own below `scenarios/`.
pub struct Scenario {
    /// Who takes part.
    pub actors: &'static str,
    /// What they send.
    pub traffic: &'static str,
    /// How it is known what was an attack, and what became of it.
    pub truth: &'static str,
    /// What it may cost at most, without and with the gateway together.
    pub bounds: Bounds,
    /// What must be seen without the gateway: otherwise the drill proves nothing.
    pub proofs: &'static [Criterion],
    /// What must be seen with it.
    pub criteria: &'static [Criterion],
    /// The attack where nothing stands before the API.
    pub without: fn(&Stage) -> Result<Figures>,
    /// The same attack where the gateway does.
    pub with: fn(&Stage) -> Result<Figures>,
}

/// What a scenario may cost at most. A drill that exceeds one of them is broken off and fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Bounds {
    /// Requests and connections of attackers and people.
    pub requests: u64,
    /// Seconds from the first process that is started to the last.
    pub seconds: u64,
}

/// One thing that is measured and judged.
#[derive(Clone, Copy, Debug)]
pub struct Criterion {
    /// The name of the measured value in [`Figures::values`], stable for programs.
    pub key: &'static str,
    /// What it means, for people.
    pub text: &'static str,
    /// What the value has to be.
    pub rule: Rule,
}

/// What a measured value has to be. A value that was not measured, or is no number, meets no rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// This and nothing else.
    Exactly(f64),
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Rule {
    /// Whether a value meets the rule.
    #[must_use]
    pub fn is_met(self, value: f64) -> bool {
        match self {
            // Counts are whole and far below 2^53: they compare exactly.
            Rule::Exactly(wanted) => value.total_cmp(&wanted).is_eq() || (value == 0.0 && wanted == 0.0),
            Rule::AtLeast(least) => value >= least,
            Rule::AtMost(most) => value <= most,
        }
    }
}

/// What a run measured.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Attack requests, or connections where the attack is below HTTP.
    pub attacks: u64,
    /// Of these, how many were refused or aborted, or ended without effect.
    pub blocked: u64,
    /// How many gave the attacker something to read.
    pub leaked: u64,
    /// How many gave the attacker something to keep: money moved, records read, a session used.
    pub taken: u64,
    /// From the first attack to the first answer or record that told of it.
    pub first_finding: Option<Duration>,
    /// What became of the people meanwhile.
    pub legitimate: Legitimate,
    /// Everything else, by the key of its criterion.
    pub values: BTreeMap<&'static str, f64>,
    /// What was found, for people: at most a few lines, without any secret.
    pub notes: Vec<String>,
}

impl Figures {
    /// Counts one attack; `stopped` says what became of it.
    pub fn attack(&mut self, stopped: bool) {
        self.attacks += 1;
        self.blocked += u64::from(stopped);
    }

    /// Records a measured count.
    pub fn count(&mut self, key: &'static str, count: u64) {
        // Bounds keep counts far below 2^32; a larger one would still be a miss where little is allowed.
        self.values.insert(key, f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    }

    /// Adds to a measured count.
    pub fn add(&mut self, key: &'static str, count: u64) {
        *self.values.entry(key).or_default() += f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    }
}

/// Requests of people who attack nothing.
#[derive(Clone, Debug, Default)]
pub struct Legitimate {
    /// Sent.
    pub requests: u64,
    /// Answered as they should be.
    pub succeeded: u64,
    /// The time of each that succeeded, in microseconds.
    pub micros: Vec<u64>,
    /// The first of those that did not succeed, for people: what was asked for, and what came.
    pub missed: Vec<String>,
}

/// Requests that did not succeed and are told.
const MISSES_TOLD: usize = 8;

impl Legitimate {
    /// Takes in what other people did.
    pub fn merge(&mut self, other: Legitimate) {
        self.requests += other.requests;
        self.succeeded += other.succeeded;
        self.micros.extend(other.micros);
        for missed in other.missed {
            self.miss(missed);
        }
    }

    /// Keeps what did not succeed, as far as it is told.
    pub fn miss(&mut self, what: String) {
        if self.missed.len() < MISSES_TOLD {
            self.missed.push(what);
        }
    }

    /// The time within which 99 % of those that succeeded were answered (nearest rank), in microseconds.
    #[must_use]
    pub fn p99_micros(&self) -> Option<u64> {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * 99).div_ceil(100);
        sorted.get(rank.checked_sub(1)?).copied()
    }
}
