//! A security audit of a contract: what it leaves open, why that matters, and what to write instead.

mod access;
mod data;
mod responses;
mod rules;
mod sarif;
mod secrets;

use std::collections::{BTreeMap, HashSet};

use bartizan_model::{Diagnostics, diagnostic::Place};
use serde::Serialize;

pub use rules::{RULES, Rule, Severity};
pub use sarif::sarif;

use crate::{
    documents::Documents,
    form::{Description, SchemaRef},
};

/// Findings of one audit, at most: beyond them places are counted, not listed.
const MAX_FINDINGS: usize = 20_000;

/// One thing that a contract leaves open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's stable id.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is open, at this place.
    pub message: String,
    /// The first operation that has it, as `METHOD /template`; none where it is of the whole document.
    pub operation: Option<String>,
    /// The JSON Pointer, in the file of `place`.
    pub pointer: String,
    /// Where it is written.
    pub place: Option<Place>,
}

/// The outcome of an audit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Audit {
    /// From 0 to 100; 100 where nothing was found. See [`score`].
    pub score: u32,
    /// How many findings there are by severity, those that are not listed included.
    pub counts: BTreeMap<&'static str, usize>,
    /// The findings, the worst first, then by place.
    pub findings: Vec<Finding>,
}

/// Audits a contract. `doubts` are the warnings of reading it.
#[must_use]
pub fn audit(documents: &Documents, description: &Description, doubts: &Diagnostics) -> Audit {
    let mut auditor = Auditor {
        description,
        tallies: BTreeMap::new(),
        findings: Vec::new(),
        seen: HashSet::new(),
        walked: HashSet::new(),
        operation: None,
    };
    for doubt in &doubts.0 {
        auditor.check(&rules::DOUBT);
        auditor.report(&rules::DOUBT, doubt.message.clone(), doubt.path.clone(), doubt.place.clone());
    }
    access::document(&mut auditor);
    for operation in &description.operations {
        auditor.operation = Some(operation.spec.label.to_string());
        access::operation(&mut auditor, operation);
        if !operation.opaque {
            data::operation(&mut auditor, operation);
            responses::operation(&mut auditor, operation);
        }
    }
    auditor.operation = None;
    secrets::look(&mut auditor, documents);
    let Auditor { tallies, mut findings, .. } = auditor;
    let key = |finding: &Finding| {
        let place = finding.place.as_ref().map(|place| (place.file.clone(), place.line, place.column));
        (std::cmp::Reverse(finding.severity), place, finding.rule)
    };
    findings.sort_by_cached_key(key);
    let mut counts = BTreeMap::new();
    for (id, tally) in &tallies {
        if let Some(rule) = RULES.iter().find(|rule| rule.id == *id).filter(|_| tally.found > 0) {
            *counts.entry(rule.severity.as_str()).or_insert(0) += tally.found;
        }
    }
    Audit { score: score(&tallies), counts, findings }
}

/// How often a rule was asked, and how often it found something.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    checked: usize,
    found: usize,
}

/// 100, less for each rule what its severity weighs (high 30, medium 15, low 5) times the share of the places it looked
/// at where it found something; not below 0. A contract does not become worse by being longer.
fn score(tallies: &BTreeMap<&'static str, Tally>) -> u32 {
    // In hundredths: whole numbers are the same everywhere.
    let lost: usize = tallies
        .iter()
        .filter_map(|(id, tally)| {
            let rule = RULES.iter().find(|rule| rule.id == *id)?;
            Some(rule.severity.weight() * 100 * tally.found.min(tally.checked) / tally.checked.max(1))
        })
        .sum();
    u32::try_from(100_usize.saturating_sub(lost.div_ceil(100))).unwrap_or(0)
}

impl Audit {
    /// Leaves out what these rules found. The score stays that of all rules.
    pub fn skip(&mut self, rules: &[String]) {
        let skipped = |finding: &Finding| rules.iter().any(|rule| *rule == finding.rule);
        for finding in self.findings.iter().filter(|finding| skipped(finding)) {
            if let Some(count) = self.counts.get_mut(finding.severity.as_str()) {
                *count = count.saturating_sub(1);
            }
        }
        self.counts.retain(|_, count| *count > 0);
        self.findings.retain(|finding| !skipped(finding));
    }
}

/// An audit that is under way.
struct Auditor<'a> {
    description: &'a Description,
    tallies: BTreeMap<&'static str, Tally>,
    findings: Vec<Finding>,
    /// A schema that many operations use is told of once.
    seen: HashSet<(&'static str, String)>,
    /// Schemas that were walked, by direction.
    walked: HashSet<(bool, String)>,
    operation: Option<String>,
}

impl Auditor<'_> {
    /// Counts a place that a rule looks at.
    fn check(&mut self, rule: &'static Rule) {
        self.tallies.entry(rule.id).or_default().checked += 1;
    }

    fn report(
        &mut self,
        rule: &'static Rule,
        message: impl Into<String>,
        pointer: String,
        place: Option<Place>,
    ) {
        self.tallies.entry(rule.id).or_default().found += 1;
        if self.findings.len() < MAX_FINDINGS {
            let operation = self.operation.clone();
            let (rule, severity, message) = (rule.id, rule.severity, message.into());
            self.findings.push(Finding { rule, severity, message, operation, pointer, place });
        }
    }

    /// Looks at a place; says what is wrong, if anything is.
    fn judge(&mut self, rule: &'static Rule, place: Option<&Place>, pointer: &str, wrong: Option<String>) {
        self.check(rule);
        if let Some(message) = wrong {
            self.report(rule, message, pointer.to_owned(), place.cloned());
        }
    }

    /// The same for a schema, once for each of them.
    fn judge_schema(&mut self, rule: &'static Rule, at: &SchemaRef, wrong: Option<String>) {
        if !self.seen.insert((rule.id, at.to_string())) {
            return;
        }
        self.check(rule);
        if let Some(message) = wrong {
            self.report(rule, message, at.pointer.to_string(), self.description.schemas.place(at));
        }
    }
}
