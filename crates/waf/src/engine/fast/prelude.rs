//! The rules at the start of phase 1 that are the same for every request: they only set defaults. They are walked once,
//! when the program is made, and every inspection begins behind them.

use std::sync::Arc;

use super::quick::slots;
use crate::{
    engine::{
        exchange::Exchange,
        inspection::Context,
        live::{Live, Matched},
        tuning::Tuning,
        walk::{Look, is_told},
    },
    lang::{Change, Disruption, Effect, Jump, Link, Part, Phase, Rule, RuleSet, Step, Test, Text},
    operator::OperatorContext,
    variables::{Tx, Variable},
};

/// Where the first rules lead.
#[derive(Debug)]
pub(in crate::engine) struct Prelude {
    /// The variables that every inspection begins with.
    pub(in crate::engine) tx: Tx,
    matched: Matched,
    /// How many stations of phase 1 are behind it.
    pub(in crate::engine) stations: usize,
}

impl Prelude {
    /// Walks as far as nothing depends on a request, or on the time.
    pub(in crate::engine) fn new(rules: &RuleSet, tuning: &Arc<Tuning>) -> Self {
        let context = || Context { unique_id: "".into(), now: 0, collections: None };
        let exchange = Exchange::default();
        let mut prelude = Prelude { tx: Tx::default(), matched: Matched::default(), stations: 0 };
        for (name, value) in &tuning.given {
            prelude.tx.set(name, value);
        }
        let steps = rules.phases.first().map(Vec::as_slice).unwrap_or_default();
        let mut operator = OperatorContext::default();
        while let Some(step) = steps.get(prelude.stations) {
            let next = prelude.stations + 1;
            let index = match step {
                Step::Marker(_) => {
                    prelude.stations = next;
                    continue;
                }
                Step::Rule(index) => *index,
            };
            if tuning.is_passing(index) {
                break;
            }
            let mut live = Live::new(rules, context(), Arc::clone(tuning));
            if live.is_removed(index) {
                prelude.stations = next;
                continue;
            }
            let Some(rule) = rules.rules.get(index).filter(|rule| is_constant(rule)) else { break };
            prelude.begin(&mut live);
            let mut buffers = Vec::new();
            let look = Look {
                index,
                rule,
                exchange: &exchange,
                rules,
                operator: &mut operator,
                buffers: &mut buffers,
                matches: Vec::new(),
                keeps_all: true,
            };
            if look.evaluate(&mut live, false) {
                // What is told, or stops something, is told for each request.
                if is_told(rule) || rule.disruption != Disruption::Pass || rule.severity.is_some() {
                    break;
                }
                prelude.stations = match rule.jump {
                    Jump::To(station) => station,
                    Jump::Next => next,
                };
            } else {
                prelude.stations = next;
            }
            prelude.tx = live.tx;
            prelude.matched = live.matched;
        }
        let conditions =
            rules.rules.iter().flat_map(|rule| &rule.links).filter_map(|link| link.condition.as_ref());
        let targets = conditions.flat_map(|condition| &condition.targets.included);
        let of_tx = targets.filter(|target| target.variable == Variable::Tx);
        prelude.tx = prelude.tx.share(of_tx.map(|target| &target.selector), &slots(rules));
        prelude
    }

    pub(in crate::engine) fn begin(&self, live: &mut Live) {
        live.tx = self.tx.clone();
        live.matched = self.matched.clone();
    }
}

/// Whether nothing of the rule depends on the request or on what is stored.
fn is_constant(rule: &Rule) -> bool {
    rule.phase == Phase::RequestHeaders && rule.links.iter().all(is_constant_link)
}

fn is_constant_link(link: &Link) -> bool {
    let effects = link.effects.iter().all(|effect| match effect {
        Effect::SetVar { collection: Variable::Tx, name, change } => {
            is_constant_text(name)
                && match change {
                    Change::Set(value) | Change::Add(value) | Change::Subtract(value) => {
                        is_constant_text(value)
                    }
                    Change::Remove => true,
                }
        }
        Effect::Sanitise => true,
        _ => false,
    });
    let condition = link.condition.as_ref().is_none_or(|condition| {
        let fixed = matches!(condition.test, Test::Fixed(_)) || is_constant_text(&condition.argument);
        fixed && condition.targets.included.iter().all(|target| target.variable == Variable::Tx)
    });
    effects && condition
}

fn is_constant_text(text: &Text) -> bool {
    text.parts().iter().all(|part| match part {
        Part::Literal(_) => true,
        Part::Macro { variable, .. } => *variable == Variable::Tx,
    })
}
