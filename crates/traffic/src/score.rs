//! How well something tells attacks from people, by the truth of the labels.

use std::{
    collections::BTreeMap,
    io::{self, BufRead},
};

use serde::{Deserialize, Serialize};

use crate::{
    label::{Kind, Label, Part},
    play::Outcome,
};

/// What was decided about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It went through.
    Passed,
    /// It was refused, challenged or held back.
    Stopped,
}

/// What a line of a label file says that a score needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Truth {
    /// The request's number.
    pub id: u64,
    /// The behaviour behind it.
    pub kind: Kind,
    /// What stopping it means.
    pub part: Part,
}

/// Counts of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Requests that count: those of people, and of attackers without their groundwork.
    pub requests: u64,
    /// Of these, stopped.
    pub stopped: u64,
    /// Requests of attackers that only attackers need not send: neither hits nor false positives.
    pub groundwork: u64,
    /// Of the groundwork, stopped.
    pub groundwork_stopped: u64,
}

/// A score: counts by kind, and the rates that follow from them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Score {
    /// Counts by kind; people are one of them.
    pub kinds: BTreeMap<Kind, Tally>,
    /// Labels for which there was no judgement. They are in no count.
    pub unjudged: u64,
}

impl Score {
    /// The score of a label file (`*.labels.jsonl`), where `judged` knows what was decided about a request by its number.
    ///
    /// # Errors
    /// The file could not be read, or a line is no label.
    pub fn of(labels: impl BufRead, mut judged: impl FnMut(u64) -> Option<Judgement>) -> io::Result<Score> {
        let mut score = Score::default();
        for (at, line) in labels.lines().enumerate() {
            let truth: Truth = serde_json::from_str(&line?)
                .map_err(|error| io::Error::other(format!("line {} is no label: {error}", at + 1)))?;
            match judged(truth.id) {
                Some(judgement) => score.add(truth.kind, truth.part, judgement),
                None => score.unjudged += 1,
            }
        }
        Ok(score)
    }

    /// Counts one request.
    pub fn add(&mut self, kind: Kind, part: Part, judgement: Judgement) {
        let tally = self.kinds.entry(kind).or_default();
        let stopped = u64::from(judgement == Judgement::Stopped);
        if part == Part::Groundwork {
            tally.groundwork += 1;
            tally.groundwork_stopped += stopped;
        } else {
            tally.requests += 1;
            tally.stopped += stopped;
        }
    }

    /// Counts one request that was played live. A person's counts as stopped unless it was answered as expected; an
    /// attacker's where it was not answered by success, whoever refused it.
    pub fn add_outcome(&mut self, outcome: &Outcome) {
        let Label { kind, part, .. } = outcome.label;
        let went_through = match part {
            Part::Use => outcome.is_as_expected(),
            Part::Groundwork | Part::Attack => outcome.result.as_ref().is_ok_and(crate::Answer::is_success),
        };
        self.add(kind, part, if went_through { Judgement::Passed } else { Judgement::Stopped });
    }

    /// Of the attack requests (of one kind, or of all), the share that was stopped; `None` where there was none.
    #[must_use]
    pub fn detection(&self, kind: Option<Kind>) -> Option<f64> {
        let of =
            |tally: &(&Kind, &Tally)| *tally.0 != Kind::Person && kind.is_none_or(|kind| kind == *tally.0);
        let tallies = self.kinds.iter().filter(of).map(|(_, tally)| *tally);
        let (requests, stopped) =
            tallies.fold((0, 0), |sum, tally| (sum.0 + tally.requests, sum.1 + tally.stopped));
        share(stopped, requests)
    }

    /// Of people's requests, the share that was stopped; `None` where there was none.
    #[must_use]
    pub fn false_positives(&self) -> Option<f64> {
        let people = self.kinds.get(&Kind::Person)?;
        share(people.stopped, people.requests)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
