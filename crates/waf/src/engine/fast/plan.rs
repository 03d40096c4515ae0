//! What is known of a rule set before any request: which rules can be scanned for, and which rules jump over them.

use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::Mutex;

use super::{bits::Bits, scan::Scanner};
use crate::{
    lang::{Condition, Jump, Rule, RuleSet, Selector, Step, Target, Test},
    operator::{Operator, Relation, number},
    transform::Transformation,
    variables::{Tx, Variable},
};

/// How many different gates one phase may have: each is a bit of a profile.
const MAX_GATES: usize = 64;
/// How many sets of open gates get a scanner of their own; behind them all rules are scanned for.
const MAX_PROFILES: usize = 8;

/// The plan of a rule set.
#[derive(Debug)]
pub(in crate::engine) struct Plan {
    phases: [PhasePlan; 5],
}

/// The plan of one phase.
#[derive(Debug, Default)]
pub(super) struct PhasePlan {
    /// Rules that can be scanned for, in the order of the walk.
    rules: Vec<ScanRule>,
    /// Rule index to whether it can be scanned for.
    scannable: Bits,
    gates: Vec<Gate>,
    /// Rule index to its gate, plus one; 0 is none.
    rule_gates: Vec<u8>,
    sets: Mutex<AHashMap<u64, Arc<ScanSet>>>,
}

#[derive(Debug)]
struct ScanRule {
    index: usize,
    /// The gates that jump over it when they hold.
    gates: u64,
}

/// A rule that jumps where a number is what it is, such as a paranoia level.
#[derive(Debug, PartialEq)]
struct Gate {
    name: Box<[u8]>,
    /// Where the variable is among those that every inspection begins with.
    place: Option<usize>,
    relation: Relation,
    right: i64,
    negated: bool,
}

impl Gate {
    fn holds(&self, tx: &Tx) -> bool {
        tx.at(self.place, &self.name)
            .is_some_and(|value| self.relation.holds(number(value), self.right) != self.negated)
    }
}

/// Everything to scan for while some gates hold.
#[derive(Debug)]
pub(super) struct ScanSet {
    /// Distinguishes sets within a process, for the caches of threads.
    pub(super) identity: usize,
    pub(super) scanner: Scanner,
    /// How many tests there are.
    pub(super) tests: usize,
    /// Rule index to its test, plus one; 0 is none.
    rule_tests: Vec<u32>,
    pub(super) sources: Vec<Source>,
    /// Every transformation of any form.
    pub(super) steps: Vec<Transformation>,
    /// The tests that are made one by one.
    pub(super) direct: Vec<Direct>,
}

/// A test that no automaton takes: it is made for each form of each value, once for all that look at it.
#[derive(Debug)]
pub(super) struct Direct {
    pub(super) test: usize,
    pub(super) operator: Arc<Operator>,
    pub(super) negated: bool,
}

/// How a test is made.
#[derive(Clone, Copy)]
enum TestKind {
    /// By the scanner: the test's number.
    Scanned(usize),
    /// By itself: the number in the list of these.
    Direct(usize),
}

/// The values of one variable, with the forms in which rules look at them.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) target: Target,
    pub(super) forms: Form,
}

/// A form of a value: tests that look at it, and what is made of it next.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// Tests of this very form; empty bits where there is none.
    pub(super) tests: Option<Bits>,
    /// Tests of this form and of all that is made of it.
    pub(super) all: Bits,
    /// Direct tests of this very form.
    pub(super) direct: Vec<usize>,
    /// Direct tests of this form and of all that is made of it.
    pub(super) direct_all: Vec<usize>,
    /// Every transformation behind this form, as bits.
    pub(super) steps: u64,
    pub(super) next: Vec<(Transformation, Form)>,
}

impl Plan {
    /// The plan of rules that begin with the variables of `start`.
    pub(in crate::engine) fn new(set: &RuleSet, start: &Tx) -> Self {
        let mut phases: [PhasePlan; 5] = Default::default();
        for (phase, steps) in phases.iter_mut().zip(&set.phases) {
            *phase = PhasePlan::new(set, steps);
            for gate in &mut phase.gates {
                gate.place = start.place(&gate.name);
            }
        }
        Plan { phases }
    }

    pub(super) fn phase(&self, phase: crate::lang::Phase) -> Option<&PhasePlan> {
        self.phases.get(phase as usize)
    }

    /// Whether the rule is a gate that does not hold now.
    pub(in crate::engine) fn is_shut(&self, phase: crate::lang::Phase, rule: usize, tx: &Tx) -> bool {
        self.phase(phase).is_some_and(|phase| {
            let gate = phase.rule_gates.get(rule).and_then(|gate| usize::from(*gate).checked_sub(1));
            gate.and_then(|gate| phase.gates.get(gate)).is_some_and(|gate| !gate.holds(tx))
        })
    }

    /// Whether the rule can be scanned for.
    pub(in crate::engine) fn scans(&self, phase: crate::lang::Phase, rule: usize) -> bool {
        self.phase(phase).is_some_and(|phase| phase.scannable.contains(rule))
    }
}

impl PhasePlan {
    fn new(set: &RuleSet, steps: &[Step]) -> Self {
        let mut plan = PhasePlan {
            scannable: Bits::new(set.rules.len()),
            rule_gates: vec![0; set.rules.len()],
            ..PhasePlan::default()
        };
        // The gates that jump over the station that is looked at: bit and where they lead.
        let mut over: Vec<(usize, usize)> = Vec::new();
        for (station, step) in steps.iter().enumerate() {
            over.retain(|(_, to)| *to > station);
            let Step::Rule(index) = step else { continue };
            let Some(rule) = set.rules.get(*index) else { continue };
            if let Some((gate, to)) = gate(rule) {
                let known = plan.gates.iter().position(|known| *known == gate);
                let bit = known.unwrap_or(plan.gates.len());
                if bit < MAX_GATES {
                    over.push((bit, to));
                    if let Some(place) = plan.rule_gates.get_mut(*index) {
                        *place = u8::try_from(bit + 1).unwrap_or_default();
                    }
                    if known.is_none() {
                        plan.gates.push(gate);
                    }
                }
            }
            if condition(rule).is_some() {
                let gates = over.iter().fold(0, |gates, (bit, _)| gates | 1 << bit);
                plan.rules.push(ScanRule { index: *index, gates });
                plan.scannable.insert(*index);
            }
        }
        plan
    }

    /// What to scan for now: rules that no gate jumps over, as far as the variables stand now.
    pub(super) fn set(&self, rules: &RuleSet, tx: &Tx) -> Arc<ScanSet> {
        let mut profile = 0u64;
        for (bit, gate) in self.gates.iter().enumerate() {
            profile |= u64::from(gate.holds(tx)) << bit;
        }
        let mut sets = self.sets.lock();
        if let Some(set) = sets.get(&profile) {
            return set.clone();
        }
        if sets.len() >= MAX_PROFILES {
            profile = 0;
            if let Some(set) = sets.get(&profile) {
                return set.clone();
            }
        }
        let live = self.rules.iter().filter(|rule| rule.gates & profile == 0).map(|rule| rule.index);
        let set = Arc::new(ScanSet::new(rules, live));
        sets.insert(profile, set.clone());
        set
    }
}

/// A rule that does nothing but jump where a variable of the inspection compares with a number.
fn gate(rule: &Rule) -> Option<(Gate, usize)> {
    let Jump::To(to) = rule.jump else { return None };
    let [link] = rule.links.as_slice() else { return None };
    let condition = link.condition.as_ref()?;
    let Test::Fixed(operator) = &condition.test else { return None };
    let (relation, right) = operator.relation()?;
    let [target] = condition.targets.included.as_slice() else { return None };
    let Selector::Name(name) = &target.selector else { return None };
    let is_plain = target.variable == Variable::Tx
        && !target.count
        && condition.transformations.is_empty()
        && condition.targets.excluded.is_empty();
    let gate = Gate { name: name.clone(), place: None, relation, right, negated: condition.negated };
    is_plain.then_some((gate, to))
}

/// The condition of a rule that can be scanned for: a test that is the same for all requests, of values that do not
/// change in a phase.
fn condition(rule: &Rule) -> Option<(&Condition, &Arc<Operator>, bool)> {
    let link = rule.links.first()?;
    let condition = link.condition.as_ref()?;
    let Test::Fixed(operator) = &condition.test else { return None };
    let fixed = condition.targets.included.iter().all(|target| !target.count && is_fixed(target.variable));
    fixed.then_some((condition, operator, link.multi_match))
}

/// Whether its values are the same for all rules of a phase.
fn is_fixed(variable: Variable) -> bool {
    use Variable as V;
    matches!(
        variable,
        V::Args
            | V::ArgsGet
            | V::ArgsGetNames
            | V::ArgsNames
            | V::ArgsPost
            | V::ArgsPostNames
            | V::Files
            | V::FilesNames
            | V::FilesTmpContent
            | V::MultipartFilename
            | V::MultipartName
            | V::MultipartPartHeaders
            | V::PathInfo
            | V::QueryString
            | V::RequestBasename
            | V::RequestBody
            | V::RequestCookies
            | V::RequestCookiesNames
            | V::RequestFilename
            | V::RequestHeaders
            | V::RequestHeadersNames
            | V::RequestLine
            | V::RequestMethod
            | V::RequestProtocol
            | V::RequestUri
            | V::RequestUriRaw
            | V::ResponseArgs
            | V::ResponseBody
            | V::ResponseHeaders
            | V::ResponseHeadersNames
            | V::Xml
    )
}

impl ScanSet {
    fn new(rules: &RuleSet, live: impl Iterator<Item = usize>) -> Self {
        static IDENTITIES: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1);
        let conditions: Vec<(usize, &Condition, &Arc<Operator>, bool)> = live
            .filter_map(|index| {
                let (condition, operator, multi_match) = condition(rules.rules.get(index)?)?;
                Some((index, condition, operator, multi_match))
            })
            .collect();
        let scanned = |condition: &Condition, operator: &Arc<Operator>| {
            !condition.negated && (operator.expression().is_some() || operator.phrases().is_some())
        };
        let operators: Vec<Option<&Operator>> = conditions
            .iter()
            .map(|(_, condition, operator, _)| scanned(condition, operator).then_some(&***operator))
            .collect();
        let (scanner, left_out) = Scanner::new(&operators);
        let tests = conditions.len();
        let mut rule_tests = vec![0u32; rules.rules.len()];
        let mut sources: Vec<Source> = Vec::new();
        let mut direct = Vec::new();
        for (test, (index, condition, operator, every)) in conditions.iter().enumerate() {
            if let Some(place) = rule_tests.get_mut(*index) {
                *place = u32::try_from(test + 1).unwrap_or_default();
            }
            let kind = if left_out.contains(&test) {
                direct.push(Direct { test, operator: (*operator).clone(), negated: condition.negated });
                TestKind::Direct(direct.len() - 1)
            } else {
                TestKind::Scanned(test)
            };
            for target in &condition.targets.included {
                let known = sources.iter().position(|source| source.target == *target);
                let at = known.unwrap_or_else(|| {
                    sources.push(Source { target: target.clone(), forms: Form::default() });
                    sources.len() - 1
                });
                if let Some(source) = sources.get_mut(at) {
                    source.forms.add(&condition.transformations, kind, tests, *every);
                }
            }
        }
        sources.sort_by_key(|source| source.target.variable);
        for source in &mut sources {
            source.forms.close(tests);
        }
        let identity = IDENTITIES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let used = sources.iter().fold(0, |used, source| used | source.forms.steps);
        let steps =
            Transformation::ALL.iter().copied().filter(|step| used >> *step as u32 & 1 == 1).collect();
        ScanSet { identity, scanner, tests, rule_tests, sources, steps, direct }
    }

    /// The test of a rule, where it has one here.
    pub(super) fn test(&self, rule: usize) -> Option<usize> {
        self.rule_tests.get(rule).and_then(|test| (*test as usize).checked_sub(1))
    }
}

impl Form {
    /// Adds a test behind these transformations, with `every` also behind each of them before the last.
    fn add(&mut self, steps: &[Transformation], test: TestKind, tests: usize, every: bool) {
        if every || steps.is_empty() {
            match test {
                TestKind::Scanned(test) => self.tests.get_or_insert_with(|| Bits::new(tests)).insert(test),
                TestKind::Direct(test) => self.direct.push(test),
            }
        }
        let Some((first, rest)) = steps.split_first() else { return };
        let at = match self.next.iter().position(|(step, _)| step == first) {
            Some(at) => at,
            None => {
                self.next.push((*first, Form::default()));
                self.next.len() - 1
            }
        };
        if let Some((_, form)) = self.next.get_mut(at) {
            form.add(rest, test, tests, every);
        }
    }

    /// Gathers what is behind each form.
    fn close(&mut self, tests: usize) {
        self.all = self.tests.clone().unwrap_or_else(|| Bits::new(tests));
        self.direct_all.clone_from(&self.direct);
        for (step, form) in &mut self.next {
            form.close(tests);
            self.all.insert_all(&form.all);
            for test in &form.direct_all {
                if !self.direct_all.contains(test) {
                    self.direct_all.push(*test);
                }
            }
            self.steps |= form.steps | 1 << *step as u32;
        }
    }
}
