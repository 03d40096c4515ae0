//! What is known of a rule set before any request: which rules can be scanned for, and which rules jump over them.

use std::sync::{Arc, Weak};

use ahash::AHashMap;
use bartizan_pattern::alphabet::Bound;
use parking_lot::Mutex;

use super::{
    bits::Bits,
    proved::Bounds,
    quick::{Quick, is_stale, slots},
    set::ScanSet,
};
use crate::{
    engine::{
        exchange::{Entry, Exchange},
        live::Live,
    },
    lang::{Condition, Jump, Rule, RuleSet, Selector, Step, Test},
    operator::{Operator, Relation, number},
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
    /// By rule, what tells at once that it cannot match.
    quick: Vec<Quick>,
    /// What programs with these rules know of values.
    bounds: Mutex<Vec<Weak<Bounds>>>,
}

/// The plan of one phase.
#[derive(Debug, Default)]
pub(super) struct PhasePlan {
    /// Rules that can be scanned for, in the order of the walk.
    rules: Vec<ScanRule>,
    /// Rule index to whether it can be scanned for.
    scannable: Bits,
    gates: Vec<Gate>,
    /// What is walked, station by station.
    steps: Vec<Step>,
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
    slot: Option<usize>,
    relation: Relation,
    right: i64,
    negated: bool,
}

impl Gate {
    fn holds(&self, tx: &Tx) -> bool {
        tx.at(self.slot, &self.name)
            .is_some_and(|value| self.relation.holds(number(value), self.right) != self.negated)
    }
}

impl Plan {
    /// The plan of rules.
    pub(in crate::engine) fn new(set: &RuleSet) -> Self {
        let slots = slots(set);
        let mut phases: [PhasePlan; 5] = Default::default();
        for (phase, steps) in phases.iter_mut().zip(&set.phases) {
            *phase = PhasePlan::new(set, steps);
            for gate in &mut phase.gates {
                gate.slot = slots.of(&gate.name);
            }
        }
        let stale = is_stale(set);
        let quick = set.rules.iter().map(|rule| Quick::new(rule, &slots, stale)).collect();
        Plan { phases, quick, bounds: Mutex::default() }
    }

    /// What these bounds rule out, shared with all programs that know the same of values.
    pub(in crate::engine) fn bounds(&self, bounds: &[Bound]) -> Arc<Bounds> {
        Bounds::shared(bounds, &self.bounds)
    }

    /// How many tests of a phase look at a part of a variable, and how many of them may find something in a value within the
    /// bound of this number.
    pub(in crate::engine) fn left(
        &self,
        phase: crate::lang::Phase,
        (rules, tx): (&RuleSet, &Tx),
        bounds: &Bounds,
        (variables, entry): (&[Variable], &Entry),
    ) -> (usize, usize) {
        let Some(set) = self.phase(phase).map(|phase| phase.set(rules, tx)) else { return (0, 0) };
        let spared = bounds.spared(&set);
        let (mut all, mut left) = (0, 0usize);
        for source in set.sources.iter().filter(|source| variables.contains(&source.variable)) {
            source.show(&entry.name, entry.alias.as_deref(), |form| {
                all += form.all.iter().count();
                left = left.saturating_add(spared.left(form.tree, entry.bound));
            });
        }
        (all, left)
    }

    pub(super) fn phase(&self, phase: crate::lang::Phase) -> Option<&PhasePlan> {
        self.phases.get(phase as usize)
    }

    /// Whether the rule cannot match now, told without a look at it.
    pub(in crate::engine) fn refutes(&self, rule: usize, exchange: &Exchange, live: &Live) -> bool {
        self.quick.get(rule).is_some_and(|quick| quick.refutes(exchange, live))
    }

    /// Whether a match of the rule, which nothing refutes, is certain and does nothing but jump.
    pub(in crate::engine) fn only_jumps(&self, rule: usize, live: &Live) -> bool {
        self.quick.get(rule).is_some_and(|quick| quick.only_jumps) && !live.has_exclusions()
    }

    /// Whether the rule asks for all values that it matched.
    pub(in crate::engine) fn keeps_all(&self, rule: usize) -> bool {
        self.quick.get(rule).is_none_or(|quick| quick.keeps_all)
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
            steps: steps.to_vec(),
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
        let set = Arc::new(ScanSet::new(rules, &self.steps, live));
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
    let gate = Gate { name: name.clone(), slot: None, relation, right, negated: condition.negated };
    is_plain.then_some((gate, to))
}

/// The condition of a rule that can be scanned for: a test that is the same for all requests, of values that do not
/// change in a phase.
pub(super) fn condition(rule: &Rule) -> Option<(&Condition, &Arc<Operator>, bool)> {
    let link = rule.links.first()?;
    let condition = link.condition.as_ref()?;
    let Test::Fixed(operator) = &condition.test else { return None };
    let fixed = condition.targets.included.iter().all(|target| !target.count && is_fixed(target.variable));
    let always = !condition.negated && operator.expression().is_some_and(|text| ANYTHING.contains(&text));
    (fixed && !always).then_some((condition, operator, link.multi_match))
}

/// Expressions that every text matches: to scan for them proves nothing.
const ANYTHING: [&str; 4] = ["", ".*", "^.*", "^.*$"];

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
