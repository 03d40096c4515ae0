//! The walk through a phase, rule by rule, value by value. Where there is a plan, rules that cannot match are left out.

use std::sync::Arc;

use super::{
    effects,
    exchange::Exchange,
    fast::{self, Candidates},
    finding::{Finding, Interruption, Match, Stop},
    inspection::Inspection,
    live::Live,
    plain,
    program::Worker,
    values::View,
};
use crate::{
    lang::{AllowScope, Condition, Disruption, EngineMode, Jump, Link, Phase, Rule, RuleSet, Step, Test},
    operator::{GROUPS, OperatorContext},
    variables::Variable,
};

/// How many findings one inspection keeps; more would only repeat.
const MAX_FINDINGS: usize = 1000;

impl Inspection {
    /// Walks through a phase, unless the exchange was stopped or let through before.
    pub(super) fn phase(&mut self, phase: Phase, worker: &mut Worker) -> Option<&Interruption> {
        let Self { program, exchange, live } = self;
        let rules = &program.rules;
        worker.operator.work = live.work;
        if may_walk(live, phase) {
            // What may match, once the first rule is reached that can be scanned for.
            let mut candidates: Option<Candidates> = None;
            let mut at = program.start(phase);
            let steps = rules.phases.get(phase as usize).map(Vec::as_slice).unwrap_or_default();
            loop {
                if let Some(candidates) = &candidates {
                    let Some(next) = candidates.next(at) else { break };
                    at = next;
                }
                let Some(step) = steps.get(at) else { break };
                at += 1;
                let Step::Rule(index) = step else { continue };
                let Some(rule) = rules.rules.get(*index) else { continue };
                if live.is_removed(*index) {
                    continue;
                }
                let mut keeps_all = true;
                if let Some(plan) = &program.plan {
                    if plan.refutes(*index, exchange, live) {
                        continue;
                    }
                    if plan.only_jumps(*index, live)
                        && let Jump::To(station) = rule.jump
                    {
                        at = station;
                        continue;
                    }
                    if candidates.is_none() && plan.scans(phase, *index) {
                        let Worker { operator, scratch } = &mut *worker;
                        candidates = Candidates::gather(
                            plan,
                            phase,
                            (exchange, &program.bounds),
                            live,
                            rules,
                            scratch,
                            operator,
                        );
                        if candidates.is_some() {
                            // The walk goes on here, if this rule may match.
                            at -= 1;
                            continue;
                        }
                    }
                    keeps_all = plan.keeps_all(*index);
                }
                let Worker { operator, scratch } = &mut *worker;
                let (index, buffers, matches) = (*index, scratch.buffers(), Vec::new());
                let look = Look { index, rule, exchange, rules, operator, buffers, matches, keeps_all };
                let matched = look.evaluate(live, program.plan.is_some());
                // What was not looked at for want of work proves nothing.
                if worker.operator.work.is_over() {
                    break;
                }
                if !matched {
                    continue;
                }
                if let Jump::To(station) = rule.jump {
                    at = station;
                }
                if !live.tuning.is_watched(index) {
                    disrupt(rule, exchange, live, rules);
                }
                if !may_walk(live, phase) {
                    break;
                }
            }
        }
        live.work = worker.operator.work;
        live.interruption.as_ref()
    }
}

fn may_walk(live: &Live, phase: Phase) -> bool {
    if live.engine == EngineMode::Off || live.work.is_over() {
        return false;
    }
    if phase == Phase::Logging {
        return true;
    }
    let allowed = match live.allowed {
        None => false,
        Some((AllowScope::All, _)) => true,
        Some((AllowScope::Phase, allowed)) => allowed == phase,
        Some((AllowScope::Request, _)) => phase <= Phase::RequestBody,
    };
    !allowed && live.interruption.is_none()
}

/// A rule that is looked at, with what it is looked at by.
pub(super) struct Look<'a> {
    pub(super) index: usize,
    pub(super) rule: &'a Rule,
    pub(super) exchange: &'a Exchange,
    pub(super) rules: &'a RuleSet,
    pub(super) operator: &'a mut OperatorContext,
    pub(super) buffers: &'a mut Vec<Vec<u8>>,
    pub(super) matches: Vec<Match>,
    /// Whether the rule may ask for all values that it matched.
    pub(super) keeps_all: bool,
}

impl Look<'_> {
    /// Looks at the rule with its chain; whether all of it matched.
    pub(super) fn evaluate(mut self, live: &mut Live, is_fast: bool) -> bool {
        live.begin(self.index, self.keeps_all);
        for link in &self.rule.links {
            let holds = match &link.condition {
                None => {
                    self.effects(link, live);
                    true
                }
                Some(condition) if is_fast => fast::holds(&mut self, link, condition, live),
                Some(condition) => plain::holds(&mut self, link, condition, live),
            };
            if !holds {
                return false;
            }
        }
        if let Some(severity) = self.rule.severity {
            let number = severity.number();
            live.highest_severity = Some(live.highest_severity.map_or(number, |before| before.min(number)));
        }
        if is_told(self.rule) {
            tell(self.rule, self.matches, self.exchange, live, self.rules);
        }
        true
    }

    /// Tests one form of one value, and does what a match does; whether it matched.
    pub(super) fn test(
        &mut self,
        link: &Link,
        condition: &Condition,
        (variable, part): (Variable, &[u8]),
        seen: &[u8],
        live: &mut Live,
    ) -> bool {
        if self.operator.work.is_over() {
            return false;
        }
        self.operator.capturing = link.capture;
        let holds = match &condition.test {
            Test::Fixed(operator) => operator.matches(seen, self.operator),
            Test::Expanding(operator) => {
                let (exchange, rules) = (self.exchange, self.rules);
                let argument = View { exchange, live, rules }.expand(&condition.argument);
                operator.matches(&argument, seen, self.operator)
            }
        };
        if holds == condition.negated {
            return false;
        }
        if link.capture && !condition.negated {
            capture(live, self.operator, seen);
        }
        live.matches(variable, part, seen);
        if self.matches.len() < Finding::MAX_MATCHES && is_told(self.rule) {
            let span = if condition.negated { None } else { self.operator.span() };
            let transformations = Arc::clone(&condition.transformations);
            self.matches.push(Match::new(variable, part, seen, span, transformations));
        }
        self.effects(link, live);
        true
    }

    fn effects(&self, link: &Link, live: &mut Live) {
        for effect in &link.effects {
            effects::apply(effect, self.exchange, live, self.rules);
        }
    }

    /// Whether a value of that name is left out of the condition.
    pub(super) fn excludes(
        &self,
        condition: &Condition,
        live: &Live,
        variable: Variable,
        name: &[u8],
    ) -> bool {
        condition.targets.excludes(variable, name) || live.excludes(self.index, variable, name, self.exchange)
    }
}

/// Keeps the groups of a match as `TX.0` to `TX.9`; groups that took no part are removed.
fn capture(live: &mut Live, found: &OperatorContext, value: &[u8]) {
    for index in 0..GROUPS {
        live.tx.capture(index, found.group(index, value));
    }
}

/// Whether a match of the rule is a finding.
pub(super) fn is_told(rule: &Rule) -> bool {
    rule.log || rule.audit_log || stops(rule)
}

fn tell(rule: &Rule, matches: Vec<Match>, exchange: &Exchange, live: &mut Live, rules: &RuleSet) {
    if live.findings.len() >= MAX_FINDINGS {
        return;
    }
    let view = View { exchange, live, rules };
    let finding = Finding {
        rule: rule.id,
        place: rule.place.clone(),
        phase: rule.phase,
        msg: rule.msg.as_ref().map(|msg| view.expand(msg).into_owned()).unwrap_or_default(),
        logdata: rule.logdata.as_ref().map(|data| view.expand(data).into_owned()).unwrap_or_default(),
        severity: rule.severity,
        tags: rule.tags.iter().map(|tag| String::from_utf8_lossy(&view.expand(tag)).into_owned()).collect(),
        score: live.score,
        matches,
        log: rule.log,
        audit_log: rule.audit_log,
        stops: stops(rule),
        watched: live.rule.is_some_and(|rule| live.tuning.is_watched(rule)),
    };
    live.findings.push(finding);
}

fn stops(rule: &Rule) -> bool {
    matches!(rule.disruption, Disruption::Deny | Disruption::Drop | Disruption::Redirect(_))
}

/// What a matched rule does to the exchange.
fn disrupt(rule: &Rule, exchange: &Exchange, live: &mut Live, rules: &RuleSet) {
    let stop = match &rule.disruption {
        Disruption::Pass | Disruption::Block => return,
        Disruption::Allow(scope) => {
            live.allowed = Some((*scope, rule.phase));
            return;
        }
        Disruption::Deny => Stop::Deny,
        Disruption::Drop => Stop::Drop,
        Disruption::Redirect(to) => Stop::Redirect(View { exchange, live, rules }.expand(to).into_owned()),
    };
    // The answer is on its way: nothing can be stopped any more.
    if rule.phase == Phase::Logging {
        return;
    }
    let interruption = Interruption { rule: rule.id, phase: rule.phase, stop, status: rule.status };
    match live.engine {
        EngineMode::On => live.interruption = Some(interruption),
        EngineMode::DetectionOnly => {
            live.would_interrupt.get_or_insert(interruption);
        }
        EngineMode::Off => {}
    }
}
