//! The gathered configuration as one: defaults inherited, `block` resolved, jumps turned into stations.

use std::sync::Arc;

use super::{
    action::{Actions, Control, Disruption, Effect, Phase, Which},
    load::{Draft, Item, Loader},
    rule::{Condition, Jump, Link, Rule, RuleSet, Step},
    source::{Fault, Place},
    text::Text,
};

/// Where a rule wants to go after a match.
enum Wish {
    Skip(usize),
    Behind(Box<str>),
}

pub(super) fn rule_set(loader: &mut Loader<'_>) -> RuleSet {
    let mut set = RuleSet { settings: loader.settings.clone(), ..RuleSet::default() };
    let mut wishes: Vec<(usize, Place, Wish)> = Vec::new();
    for item in std::mem::take(&mut loader.items) {
        match item {
            Item::Marker(name) => {
                for phase in &mut set.phases {
                    phase.push(Step::Marker(name.clone()));
                }
            }
            Item::Rule(draft) => {
                let index = set.rules.len();
                let Some((rule, wish)) = rule(*draft) else { continue };
                if let Some(wish) = wish {
                    wishes.push((index, rule.place.clone(), wish));
                }
                if let Some(phase) = set.phases.get_mut(rule.phase as usize) {
                    phase.push(Step::Rule(index));
                }
                set.rules.push(rule);
            }
        }
    }
    for (index, place, wish) in wishes {
        resolve(&mut set, index, &place, &wish, loader);
    }
    removals(&mut set);
    set
}

/// Turns removals at run time into lists of rules.
fn removals(set: &mut RuleSet) {
    let tags: Vec<Vec<String>> = set.rules.iter().map(Rule::tags_source).collect();
    let messages: Vec<String> =
        set.rules.iter().map(|rule| rule.msg.as_ref().map(Text::source).unwrap_or_default()).collect();
    let ids: Vec<u64> = set.rules.iter().map(|rule| rule.id).collect();
    let meant = |which: &Which| -> Arc<[usize]> {
        let is_meant = |index: &usize| match which {
            Which::Ids(wanted) => ids.get(*index).is_some_and(|id| wanted.contains(*id)),
            Which::Tag(label) => tags.get(*index).is_some_and(|tags| tags.iter().any(|tag| label.is(tag))),
            Which::Msg(label) => messages.get(*index).is_some_and(|message| label.is(message)),
        };
        (0..ids.len()).filter(is_meant).collect()
    };
    let links = set.rules.iter_mut().flat_map(|rule| &mut rule.links);
    for effect in links.flat_map(|link| &mut link.effects) {
        let Effect::Control(control) = effect else { continue };
        *effect = match &**control {
            Control::Remove(which) => Effect::RemoveRules(meant(which)),
            Control::RemoveTarget(which, target) => Effect::RemoveTarget(meant(which), target.clone()),
            _ => continue,
        };
    }
}

fn rule(draft: Draft) -> Option<(Rule, Option<Wish>)> {
    let default = draft.default;
    let mut actions: Option<Actions> = None;
    let mut links = Vec::new();
    let mut place = None;
    for link in draft.links {
        let transformations = link.actions.chain_of(&default);
        let condition = link.test.map(|test| Condition {
            targets: test.targets,
            transformations: transformations.into(),
            negated: test.negated,
            name: test.name,
            argument: test.argument,
            test: test.test,
        });
        links.push(Link {
            place: link.place.clone(),
            condition,
            effects: default.effects.iter().chain(&link.actions.effects).cloned().collect(),
            capture: link.actions.capture || default.capture,
            multi_match: link.actions.multi_match || default.multi_match,
        });
        match &mut actions {
            None => {
                actions = Some(link.actions);
                place = Some(link.place);
            }
            // What a chained rule tells counts where its head tells nothing.
            Some(head) => {
                head.msg = head.msg.take().or(link.actions.msg);
                head.logdata = head.logdata.take().or(link.actions.logdata);
                head.severity = head.severity.or(link.actions.severity);
                head.tags.extend(link.actions.tags);
            }
        }
    }
    let head = actions?;
    let fallback = match &default.disruption {
        Some(disruption) => disruption.clone(),
        None => Disruption::Pass,
    };
    let disruption = match head.disruption {
        Some(Disruption::Block) | None => fallback,
        Some(disruption) => disruption,
    };
    let status = head.status.or(default.status);
    let log = head.log.or(default.log).unwrap_or(true);
    let wish = match (head.skip_after, head.skip) {
        (Some(name), _) => Some(Wish::Behind(name)),
        (None, Some(count)) => Some(Wish::Skip(count)),
        (None, None) => None,
    };
    let rule = Rule {
        id: draft.id,
        place: place?,
        phase: draft.phase,
        links,
        status: status.unwrap_or(if matches!(disruption, Disruption::Redirect(_)) { 302 } else { 403 }),
        disruption,
        jump: Jump::Next,
        log,
        audit_log: head.audit_log.or(default.audit_log).unwrap_or(log),
        msg: head.msg,
        logdata: head.logdata,
        severity: head.severity.or(default.severity),
        tags: default.tags.iter().chain(&head.tags).cloned().collect(),
        rev: head.rev,
        ver: head.ver,
        maturity: head.maturity,
        accuracy: head.accuracy,
    };
    Some((rule, wish))
}

/// Turns a wish into a station: the marker or rule of that name behind the rule. One that does not exist means the end
/// of the phase, which is told.
fn resolve(set: &mut RuleSet, index: usize, place: &Place, wish: &Wish, loader: &mut Loader<'_>) {
    let Some(phase) = set.rules.get(index).map(|rule| rule.phase) else { return };
    let steps = steps(set, phase);
    let Some(own) = steps.iter().position(|step| *step == Step::Rule(index)) else { return };
    let behind = steps.iter().enumerate().skip(own + 1);
    let target = match wish {
        Wish::Skip(count) => {
            let mut rules = behind.filter(|(_, step)| matches!(step, Step::Rule(_)));
            rules.nth(*count).map_or(steps.len(), |(station, _)| station)
        }
        Wish::Behind(name) => {
            let number: Option<u64> = name.parse().ok();
            let found = behind.into_iter().find(|(_, step)| match step {
                Step::Marker(marker) => **marker == **name,
                Step::Rule(rule) => number.is_some() && set.rules.get(*rule).map(|rule| rule.id) == number,
            });
            match found {
                Some((station, _)) => station + 1,
                None => {
                    let help = "add `SecMarker` with that name behind the rule; now the rest of the phase is skipped";
                    loader.warn(place, Fault::new(format!("no marker `{name}` follows the rule"), help));
                    steps.len()
                }
            }
        }
    };
    if let Some(rule) = set.rules.get_mut(index) {
        rule.jump = Jump::To(target);
    }
}

fn steps(set: &RuleSet, phase: Phase) -> Arc<[Step]> {
    set.phases.get(phase as usize).map_or_else(|| Arc::from([]), |steps| Arc::from(steps.as_slice()))
}
