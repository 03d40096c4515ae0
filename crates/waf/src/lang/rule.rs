//! Checked rules, in the order in which they are looked at.

use std::sync::Arc;

use super::{
    action::{Disruption, Effect, Phase, Severity},
    settings::Settings,
    source::Place,
    target::Targets,
    text::Text,
};
use crate::{
    operator::{Expanding, Operator},
    transform::Transformation,
};

/// All rules of one configuration.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// What holds for all inspections.
    pub settings: Settings,
    /// The rules in the order of the files.
    pub rules: Vec<Rule>,
    /// For each phase, what is walked: rules by their index in `rules`, and markers.
    pub phases: [Vec<Step>; 5],
}

impl RuleSet {
    /// The indices of the rules that `is_meant`, ascending.
    pub fn indices(&self, is_meant: impl Fn(&Rule) -> bool) -> Arc<[usize]> {
        let found = self.rules.iter().enumerate().filter(|(_, rule)| is_meant(rule));
        found.map(|(index, _)| index).collect()
    }
}

/// One station of the walk through a phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A rule, by its index.
    Rule(usize),
    /// The target of `skipAfter`.
    Marker(Arc<str>),
}

/// Where the walk goes on after a match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jump {
    /// With the next station.
    #[default]
    Next,
    /// With this station of the phase; its length means the end.
    To(usize),
}

/// A rule with its chain.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its number; no two are equal.
    pub id: u64,
    /// Where it stands.
    pub place: Place,
    /// When it is looked at.
    pub phase: Phase,
    /// The conditions that all have to hold; the first belongs to the rule itself, the others are chained.
    pub links: Vec<Link>,
    /// What it does to the exchange; never [`Disruption::Block`].
    pub disruption: Disruption,
    /// The status of a refusal.
    pub status: u16,
    /// Where the walk goes on after a match.
    pub jump: Jump,
    /// Whether a match is told.
    pub log: bool,
    /// Whether a match puts the exchange into the audit log.
    pub audit_log: bool,
    /// What it tells.
    pub msg: Option<Text>,
    /// What it tells about the value.
    pub logdata: Option<Text>,
    /// How bad a match is.
    pub severity: Option<Severity>,
    /// Its labels.
    pub tags: Vec<Text>,
    /// Its revision.
    pub rev: Option<Box<str>>,
    /// The version of its rule set.
    pub ver: Option<Box<str>>,
    /// 0 to 9.
    pub maturity: Option<u8>,
    /// 0 to 9.
    pub accuracy: Option<u8>,
}

impl Rule {
    /// Whether it bears this tag, as it was written.
    #[must_use]
    pub fn tags_source(&self) -> Vec<String> {
        self.tags.iter().map(Text::source).collect()
    }
}

/// One condition with what its matches do.
#[derive(Clone, Debug)]
pub struct Link {
    /// Where it stands.
    pub place: Place,
    /// None always holds: `SecAction`.
    pub condition: Option<Condition>,
    /// What is done with each match.
    pub effects: Vec<Effect>,
    /// Whether matches fill `TX.0` to `TX.9`.
    pub capture: bool,
    /// Whether the operator sees the value after each transformation that changes it.
    pub multi_match: bool,
}

/// Which values are tested, and how.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Which values.
    pub targets: Targets,
    /// What is done with a value first, in order.
    pub transformations: Arc<[Transformation]>,
    /// Whether the test has to fail.
    pub negated: bool,
    /// The operator's name, without `@`.
    pub name: Box<str>,
    /// Its argument, as it was written.
    pub argument: Text,
    /// The test itself.
    pub test: Test,
}

/// How a value is tested.
#[derive(Clone, Debug)]
pub enum Test {
    /// With an argument that is the same for every request.
    Fixed(Arc<Operator>),
    /// With an argument that holds macros, expanded for each value.
    Expanding(Expanding),
}
