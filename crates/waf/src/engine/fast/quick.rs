//! What tells without a look at a rule that it cannot match now: a number that does not compare, a part of a
//! collection that is not there.

use smallvec::SmallVec;

use crate::{
    engine::{exchange::Exchange, live::Live, values::has_part},
    lang::{Change, Condition, Disruption, Effect, Link, Part, Rule, RuleSet, Selector, Target, Test, Text},
    operator::{Relation, number},
    variables::{Slots, Tx, Variable},
};

/// What has to be so for a rule to match, as far as it is told at once.
#[derive(Debug, Default)]
pub(super) struct Quick {
    checks: SmallVec<[Check; 2]>,
    /// Whether a match of the rule does nothing but jump.
    pub(super) only_jumps: bool,
    /// Whether the rule asks for all values that it matched.
    pub(super) keeps_all: bool,
}

#[derive(Debug)]
enum Check {
    /// Some of these parts exists.
    Exists(SmallVec<[(Variable, Name); 1]>),
    /// A variable of the inspection compares with a number.
    Number { left: Name, relation: Relation, right: Right, negated: bool },
    /// The number of some parts compares with a number.
    Count { target: Target, name: Option<Name>, relation: Relation, right: i64, negated: bool },
}

#[derive(Debug)]
enum Right {
    Fixed(i64),
    /// The number that a variable of the inspection is.
    Tx(Name),
}

/// The name of a part, in lower case.
#[derive(Debug)]
struct Name {
    text: Box<[u8]>,
    /// Its slot, where it may be a variable of the inspection.
    slot: Option<usize>,
}

impl Name {
    fn new(text: &[u8], slots: &Slots) -> Self {
        Name { text: text.into(), slot: slots.of(text) }
    }

    fn get<'t>(&self, tx: &'t Tx) -> Option<&'t [u8]> {
        tx.at(self.slot, &self.text)
    }
}

impl Quick {
    /// What tells of a rule. `stale` says that some rule may look at what an earlier one matched.
    pub(super) fn new(rule: &Rule, slots: &Slots, stale: bool) -> Self {
        let mut quick = Quick::default();
        for link in &rule.links {
            let Some(condition) = &link.condition else { break };
            quick.checks.extend(Check::new(condition, slots));
            // What is behind a link that does something may depend on it, and is reached only by doing it.
            if stale || link.capture || !link.effects.is_empty() {
                break;
            }
        }
        // Such a check is the whole condition.
        let is_told = matches!(quick.checks.as_slice(), [Check::Number { right: Right::Fixed(_), .. }]);
        quick.only_jumps = !stale && is_told && only_jumps(rule);
        let links = rule.links.iter().filter_map(|link| link.condition.as_ref());
        quick.keeps_all =
            links.flat_map(|condition| &condition.targets.included).any(|target| is_all(target.variable))
                || texts(rule).iter().any(|text| names(text, is_all));
        quick
    }

    /// Whether the rule cannot match now.
    pub(super) fn refutes(&self, exchange: &Exchange, live: &Live) -> bool {
        self.checks.iter().any(|check| !check.may_hold(exchange, live))
    }
}

impl Check {
    fn new(condition: &Condition, slots: &Slots) -> Option<Self> {
        let included = condition.targets.included.as_slice();
        let negated = condition.negated;
        if let [target] = included
            && condition.transformations.is_empty()
        {
            let relation = match &condition.test {
                Test::Fixed(operator) => {
                    operator.relation().map(|(relation, right)| (relation, Right::Fixed(right)))
                }
                Test::Expanding(operator) => operator.relation().zip(lone_tx(&condition.argument, slots)),
            };
            match (relation, &target.selector) {
                (Some((relation, Right::Fixed(right))), selector)
                    if target.count && condition.targets.excluded.is_empty() =>
                {
                    let is_tx = target.variable == Variable::Tx;
                    let name = match selector {
                        Selector::Name(name) if is_tx => Some(Name::new(name, slots)),
                        _ if is_tx => return None,
                        _ => None,
                    };
                    return Some(Check::Count { target: target.clone(), name, relation, right, negated });
                }
                (Some((relation, right)), Selector::Name(name))
                    if !target.count && target.variable == Variable::Tx =>
                {
                    return Some(Check::Number { left: Name::new(name, slots), relation, right, negated });
                }
                _ => {}
            }
        }
        let parts = included.iter().map(|target| match &target.selector {
            Selector::Name(name) if !target.count && is_collection(target.variable) => {
                Some((target.variable, Name::new(name, slots)))
            }
            _ => None,
        });
        parts.collect::<Option<_>>().map(Check::Exists)
    }

    fn may_hold(&self, exchange: &Exchange, live: &Live) -> bool {
        match self {
            Check::Exists(parts) => parts.iter().any(|(variable, name)| match variable {
                Variable::Tx => name.get(&live.tx).is_some(),
                _ => has_part(exchange, *variable, &name.text),
            }),
            Check::Number { left, relation, right, negated } => {
                let right = match right {
                    Right::Fixed(right) => *right,
                    Right::Tx(name) => name.get(&live.tx).map_or(0, number),
                };
                left.get(&live.tx).is_some_and(|left| relation.holds(number(left), right) != *negated)
            }
            Check::Count { target, name, relation, right, negated } => {
                if live.has_exclusions() {
                    return true;
                }
                let mut count = 0i64;
                match name {
                    Some(name) => count = i64::from(name.get(&live.tx).is_some()),
                    None => {
                        if !crate::engine::values::each(exchange, target, |_, _, _| count += 1) {
                            return true;
                        }
                    }
                }
                relation.holds(count, *right) != *negated
            }
        }
    }
}

/// Whether the parts of a variable lie in the exchange as they are, or are those of the inspection.
fn is_collection(variable: Variable) -> bool {
    use Variable as V;
    matches!(
        variable,
        V::Args
            | V::ArgsGet
            | V::ArgsPost
            | V::RequestCookies
            | V::RequestHeaders
            | V::ResponseHeaders
            | V::MultipartPartHeaders
            | V::Tx
    )
}

/// Whether a match of the rule does nothing but jump: it tells nothing, sets nothing, stops nothing.
fn only_jumps(rule: &Rule) -> bool {
    let [link] = rule.links.as_slice() else { return false };
    let condition = |condition: &Condition| {
        matches!(condition.test, Test::Fixed(_))
            && condition.transformations.is_empty()
            && condition.targets.excluded.is_empty()
            && matches!(condition.targets.included.as_slice(), [target] if !target.count && target.variable == Variable::Tx)
    };
    link.effects.is_empty()
        && !link.capture
        && rule.severity.is_none()
        && rule.disruption == Disruption::Pass
        && !crate::engine::walk::is_told(rule)
        && link.condition.as_ref().is_some_and(condition)
}

/// Whether some rule may look at the value that an earlier rule matched.
pub(super) fn is_stale(set: &RuleSet) -> bool {
    set.rules.iter().any(|rule| match rule.links.first().and_then(|link| link.condition.as_ref()) {
        Some(condition) => {
            let mut targets = condition.targets.included.iter();
            targets.any(|target| is_last(target.variable)) || names(&condition.argument, is_last)
        }
        None => {
            let conditions = rule.links.iter().filter_map(|link| link.condition.as_ref());
            let mut targets = conditions.flat_map(|condition| &condition.targets.included);
            targets.any(|target| is_last(target.variable))
                || texts(rule).iter().any(|text| names(text, is_last))
        }
    })
}

fn is_last(variable: Variable) -> bool {
    matches!(variable, Variable::MatchedVar | Variable::MatchedVarName)
}

fn is_all(variable: Variable) -> bool {
    matches!(variable, Variable::MatchedVars | Variable::MatchedVarsNames)
}

fn names(text: &Text, is: fn(Variable) -> bool) -> bool {
    text.parts().iter().any(|part| matches!(part, Part::Macro { variable, .. } if is(*variable)))
}

/// Every text of a rule that may have macros.
fn texts(rule: &Rule) -> Vec<&Text> {
    let mut all: Vec<&Text> = rule.tags.iter().chain(&rule.msg).chain(&rule.logdata).collect();
    if let Disruption::Redirect(to) = &rule.disruption {
        all.push(to);
    }
    for Link { condition, effects, .. } in &rule.links {
        all.extend(condition.iter().map(|condition| &condition.argument));
        for effect in effects {
            match effect {
                Effect::SetVar { name, change, .. } => {
                    all.push(name);
                    match change {
                        Change::Set(text) | Change::Add(text) | Change::Subtract(text) => all.push(text),
                        Change::Remove => {}
                    }
                }
                Effect::ExpireVar { name, seconds, .. } => all.extend([name, seconds]),
                Effect::DeprecateVar { name, .. } => all.push(name),
                Effect::InitCollection { key, .. } | Effect::Identify(_, key) => all.push(key),
                Effect::SetEnv { name, value } => {
                    all.push(name);
                    all.extend(value);
                }
                Effect::Control(_) | Effect::RemoveRules(_) | Effect::RemoveTarget(..) | Effect::Sanitise => {
                }
            }
        }
    }
    all
}

/// The variable of the inspection that a text consists of.
fn lone_tx(text: &Text, slots: &Slots) -> Option<Right> {
    match text.parts() {
        [Part::Macro { variable: Variable::Tx, key: Some(key) }] => Some(Right::Tx(Name::new(key, slots))),
        _ => None,
    }
}

/// The slots of all names that rules give variables of the inspection, where they stand alone.
pub(in crate::engine) fn slots(set: &RuleSet) -> Slots {
    let conditions = set.rules.iter().flat_map(|rule| &rule.links).filter_map(|link| link.condition.as_ref());
    let names = conditions.flat_map(|condition| {
        let targets = condition.targets.included.iter().filter_map(|target| match &target.selector {
            Selector::Name(name) if target.variable == Variable::Tx => Some(&**name),
            _ => None,
        });
        let keys = condition.argument.parts().iter().filter_map(|part| match part {
            Part::Macro { variable: Variable::Tx, key } => key.as_deref(),
            _ => None,
        });
        targets.chain(keys)
    });
    Slots::new(names)
}
