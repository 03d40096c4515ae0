//! The walk through a phase, rule by rule, value by value. Where there is a plan, rules that cannot match are left out.

use std::sync::Arc;

use super::{
    effects,
    exchange::Exchange,
    fast::Candidates,
    finding::{Finding, Interruption, Match, Stop, full_name},
    inspection::Inspection,
    live::Live,
    program::Worker,
    values::{Value, View},
};
use crate::{
    lang::{AllowScope, Condition, Disruption, EngineMode, Jump, Link, Phase, Rule, RuleSet, Step, Test},
    operator::{GROUPS, OperatorContext},
};

/// How many findings one inspection keeps; more would only repeat.
const MAX_FINDINGS: usize = 1000;

impl Inspection {
    /// Walks through a phase, unless the exchange was stopped or let through before.
    pub(super) fn phase(&mut self, phase: Phase, worker: &mut Worker) -> Option<&Interruption> {
        let Self { program, exchange, live } = self;
        let rules = &program.rules;
        if may_walk(live, phase) {
            // What may match, once the first rule is reached that can be scanned for.
            let mut candidates = None;
            let mut at = 0;
            let steps = rules.phases.get(phase as usize).map(Vec::as_slice).unwrap_or_default();
            while let Some(step) = steps.get(at) {
                at += 1;
                let Step::Rule(index) = step else { continue };
                let Some(rule) = rules.rules.get(*index) else { continue };
                if live.removed.has(*index) {
                    continue;
                }
                if let Some(plan) = &program.plan
                    && plan.scans(phase, *index)
                {
                    let scratch = &mut worker.scratch;
                    let candidates = candidates.get_or_insert_with(|| {
                        Candidates::gather(plan, phase, exchange, live, rules, scratch)
                    });
                    if candidates.as_ref().is_some_and(|candidates| !candidates.may_match(*index)) {
                        continue;
                    }
                }
                if !evaluate(*index, rule, exchange, live, rules, &mut worker.operator) {
                    continue;
                }
                if let Jump::To(station) = rule.jump {
                    at = station;
                }
                disrupt(rule, exchange, live, rules);
                if !may_walk(live, phase) {
                    break;
                }
            }
        }
        self.live.interruption.as_ref()
    }
}

fn may_walk(live: &Live, phase: Phase) -> bool {
    if live.engine == EngineMode::Off {
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

/// Looks at one rule with its chain; whether all of it matched.
fn evaluate(
    index: usize,
    rule: &Rule,
    exchange: &Exchange,
    live: &mut Live,
    rules: &RuleSet,
    operator: &mut OperatorContext,
) -> bool {
    live.rule = Some(index);
    live.matched_all.clear();
    live.score = 0;
    let mut matches = Vec::new();
    for link in &rule.links {
        let holds = match &link.condition {
            None => {
                effects_of(link, exchange, live, rules);
                true
            }
            Some(condition) => holds(
                index,
                link,
                condition,
                &mut Surroundings { exchange, rules, operator },
                live,
                &mut matches,
            ),
        };
        if !holds {
            return false;
        }
    }
    if let Some(severity) = rule.severity {
        let number = severity.number();
        live.highest_severity = Some(live.highest_severity.map_or(number, |before| before.min(number)));
    }
    tell(rule, matches, exchange, live, rules);
    true
}

struct Surroundings<'a> {
    exchange: &'a Exchange,
    rules: &'a RuleSet,
    operator: &'a mut OperatorContext,
}

/// Looks at one condition: at every value of every target. Each match has its effects at once.
fn holds(
    index: usize,
    link: &Link,
    condition: &Condition,
    around: &mut Surroundings<'_>,
    live: &mut Live,
    matches: &mut Vec<Match>,
) -> bool {
    let Surroundings { exchange, rules, operator: found_by } = around;
    let (exchange, rules) = (*exchange, *rules);
    let transformations: Arc<[_]> = Arc::from(condition.transformations.as_slice());
    let mut found = false;
    for target in &condition.targets.included {
        let mut values = View { exchange, live, rules }.values(target);
        values.retain(|value| !excluded(index, condition, value, live));
        if target.count {
            let name = match &target.selector {
                crate::lang::Selector::Name(name) => name.to_vec(),
                _ => Vec::new(),
            };
            let bytes = values.len().to_string().into_bytes();
            values = vec![Value {
                variable: target.variable,
                name: name.into(),
                alias: None,
                bytes: bytes.into(),
            }];
        }
        for value in values {
            for seen in seen(condition, link.multi_match, &value) {
                found_by.capturing = link.capture;
                let holds = match &condition.test {
                    Test::Fixed(operator) => operator.matches(&seen, found_by),
                    Test::Expanding(operator) => {
                        let argument = View { exchange, live, rules }.expand(&condition.argument);
                        operator.matches(&argument, &seen, found_by)
                    }
                };
                if holds == condition.negated {
                    continue;
                }
                found = true;
                if link.capture && !condition.negated {
                    capture(live, found_by, &seen);
                }
                live.matches(full_name(value.variable, &value.name), &seen);
                if matches.len() < Finding::MAX_MATCHES {
                    let span = if condition.negated { None } else { found_by.span() };
                    matches.push(Match::new(
                        value.variable,
                        &value.name,
                        &seen,
                        span,
                        transformations.clone(),
                    ));
                }
                effects_of(link, exchange, live, rules);
            }
        }
    }
    found
}

fn excluded(index: usize, condition: &Condition, value: &Value<'_>, live: &Live) -> bool {
    let names = [Some(&*value.name), value.alias];
    names.into_iter().flatten().any(|name| {
        condition.targets.excludes(value.variable, name) || live.removed.excludes(index, value.variable, name)
    })
}

/// What the operator sees of a value: its last form, or with `multiMatch` every form that differs from the one before.
fn seen(condition: &Condition, multi_match: bool, value: &Value<'_>) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    let mut current = value.bytes.to_vec();
    let mut next = Vec::new();
    for transformation in &condition.transformations {
        if transformation.apply(&current, &mut next) {
            let before = std::mem::replace(&mut current, std::mem::take(&mut next));
            if multi_match {
                forms.push(before);
            }
        }
    }
    forms.push(current);
    forms
}

/// Keeps the groups of a match as `TX.0` to `TX.9`; groups that took no part are removed.
fn capture(live: &mut Live, found: &OperatorContext, value: &[u8]) {
    for index in 0..GROUPS {
        let name = [b'0' + u8::try_from(index).unwrap_or_default()];
        match found.group(index, value) {
            Some(group) => live.tx.set(&name, group),
            None => live.tx.remove(&name),
        }
    }
}

fn effects_of(link: &Link, exchange: &Exchange, live: &mut Live, rules: &RuleSet) {
    for effect in &link.effects {
        effects::apply(effect, exchange, live, rules);
    }
}

fn tell(rule: &Rule, matches: Vec<Match>, exchange: &Exchange, live: &mut Live, rules: &RuleSet) {
    let stops = stops(rule);
    let relevant = rule.log || rule.audit_log || (stops && live.engine != EngineMode::Off);
    if !relevant || live.findings.len() >= MAX_FINDINGS {
        return;
    }
    let view = View { exchange, live, rules };
    let finding = Finding {
        rule: rule.id,
        place: rule.place.clone(),
        phase: rule.phase,
        msg: rule.msg.as_ref().map(|msg| view.expand(msg)).unwrap_or_default(),
        logdata: rule.logdata.as_ref().map(|data| view.expand(data)).unwrap_or_default(),
        severity: rule.severity,
        tags: rule.tags.iter().map(|tag| String::from_utf8_lossy(&view.expand(tag)).into_owned()).collect(),
        score: live.score,
        matches,
        log: rule.log,
        audit_log: rule.audit_log,
        stops,
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
        Disruption::Redirect(to) => Stop::Redirect(View { exchange, live, rules }.expand(to)),
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
