//! What one mount of rules changes of them: shared rules are not loaded again for it.

use std::sync::Arc;

use bartizan_pattern::alphabet::Bound;

use super::{
    exchange::{Entry, Exchange},
    live::{Live, Removed},
};
use crate::lang::{RuleSet, Target};

/// A variable's name in lower case, and its value.
type Given = (Box<[u8]>, Box<[u8]>);

/// What rules no longer look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The variable.
    pub target: Target,
    /// Where its values have to come from.
    pub side: Option<Side>,
}

/// Where arguments come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The query. A body that has arguments of the name, too, keeps all of them under the rules.
    Query,
    /// The body. A query that has arguments of the name, too, keeps all of them under the rules.
    Body,
}

impl From<Target> for Part {
    fn from(target: Target) -> Self {
        Part { target, side: None }
    }
}

impl Part {
    /// Whether the other side has nothing of it.
    pub(super) fn is_alone(&self, exchange: &Exchange) -> bool {
        let other = match self.side {
            None => return true,
            Some(Side::Query) => &exchange.args_post,
            Some(Side::Body) => &exchange.args_get,
        };
        let selector = &self.target.selector;
        let is_meant = |entry: &Entry| {
            selector.selects(&entry.name) || entry.alias.as_ref().is_some_and(|alias| selector.selects(alias))
        };
        !other.iter().any(is_meant)
    }
}

/// Changes of a rule set that is shared: variables that inspections begin with, rules that are left out, in part or until
/// some time, and rules that only watch.
#[derive(Clone, Debug, Default)]
pub struct Tuning {
    pub(super) given: Vec<Given>,
    pub(super) removed: Removed,
    /// By rule index; empty where none does.
    watched: Vec<bool>,
    /// What ends, and when: seconds since 1970.
    passing: Vec<(u64, Arc<[usize]>, Option<Part>)>,
    pub(super) request_body_limit: Option<usize>,
    pub(super) bounds: Vec<Bound>,
}

impl Tuning {
    /// Lets every inspection begin with this variable of `TX`.
    pub fn give(&mut self, name: &str, value: &str) {
        self.given.push((name.to_ascii_lowercase().into_bytes().into(), value.as_bytes().into()));
    }

    /// Leaves rules out, by their indices in ascending order: all that they look at, or one variable; for good, or until
    /// a time in seconds since 1970.
    pub fn leave_out(&mut self, set: &RuleSet, rules: &Arc<[usize]>, part: Option<Part>, until: Option<u64>) {
        match (until, &part) {
            (Some(end), _) => self.passing.push((end, Arc::clone(rules), part)),
            (None, None) => self.removed.rules(rules, set.rules.len()),
            (None, Some(part)) => self.removed.part(rules, part),
        }
    }

    /// Lets rules watch only: they tell what they find, but add to no score and stop nothing.
    pub fn watch(&mut self, set: &RuleSet, rules: &[usize]) {
        self.watched.resize(set.rules.len(), false);
        for index in rules {
            if let Some(place) = self.watched.get_mut(*index) {
                *place = true;
            }
        }
    }

    /// Lets rules look at no more than so many bytes of a request body, decoded or not.
    pub fn bound_request_body(&mut self, bytes: usize) {
        self.request_body_limit = Some(bytes);
    }

    /// Lets inspections be told that a value keeps to one of these bounds. Of no more than 128 of them is worked out what it
    /// rules out.
    pub fn expect(&mut self, bounds: impl IntoIterator<Item = Bound>) {
        self.bounds.extend(bounds);
    }

    pub(super) fn is_watched(&self, rule: usize) -> bool {
        self.watched.get(rule) == Some(&true)
    }

    /// Whether the rule is left out for some time, so that it depends on the clock whether it is looked at.
    pub(super) fn is_passing(&self, rule: usize) -> bool {
        self.passing.iter().any(|(_, rules, _)| rules.binary_search(&rule).is_ok())
    }

    /// Leaves out what is left out now.
    pub(super) fn begin(&self, live: &mut Live, rules: usize) {
        if let Some(limit) = self.request_body_limit {
            live.controls.request_body_limit = live.controls.request_body_limit.min(limit);
        }
        let now = live.context.now / 1000;
        for (_, gone, part) in self.passing.iter().filter(|(end, ..)| now < *end) {
            match part {
                None => live.removed.rules(gone, rules),
                Some(part) => live.removed.part(gone, part),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;
    use crate::{
        engine::{Context, Inspection, Program, RequestHead, Worker},
        files::MemoryFiles,
        lang::Loader,
    };

    const RULES: &str = "SecRule &TX:given \"@eq 1\" \"id:1,phase:1,pass,nolog,setvar:tx.level=%{tx.given}\"\n\
        SecRule TX:level \"@lt 2\" \"id:2,phase:1,pass,nolog,skipAfter:END\"\n\
        SecRule ARGS \"@contains deep\" \"id:3,phase:1,pass,log,setvar:tx.anomaly_score=+5\"\n\
        SecMarker END\n\
        SecRule ARGS \"@contains x\" \"id:4,phase:1,pass,log,setvar:tx.anomaly_score=+5\"\n\
        SecRule TX:anomaly_score \"@ge 5\" \"id:5,phase:1,deny,log\"\n\
        SecAction \"id:6,phase:1,pass,log,ctl:ruleEngine=On\"\n\
        SecRule ARGS \"@contains y\" \"id:7,phase:1,deny,log\"\n";

    /// Rules that told something, what stopped the exchange, and what would have.
    type Told = (Vec<u64>, Option<u64>, Option<u64>);

    /// Both ways of walking, and what the walk told, must be alike.
    fn told(tune: impl Fn(&RuleSet) -> Tuning, query: &str, now: u64, detects: bool) -> Told {
        let files = MemoryFiles::default();
        let mut loader = Loader::new(&files);
        loader.text("test.conf", RULES);
        let rules = loader.finish().unwrap().rules;
        let tuning = tune(&rules);
        let outcomes = [Program::plain(rules.clone()), Program::new(rules)].map(|program| {
            let tuned = program.tuned(tuning.clone());
            assert!(tuned.shares_rules(&program));
            let context = Context { unique_id: "u".into(), now: now * 1000, collections: None };
            let mut inspection = Inspection::new(tuned, context);
            if detects {
                inspection.only_detect();
            }
            let target = format!("/?{query}");
            let head = RequestHead {
                method: b"GET",
                target: target.as_bytes(),
                version: b"HTTP/1.1",
                headers: &[],
                client: "192.0.2.1:1".parse().unwrap(),
                server: "192.0.2.2:80".parse().unwrap(),
                proved: &[],
            };
            inspection.request_head(&head, &mut Worker::new());
            let would = inspection.take_would_interrupt().map(|stop| stop.rule);
            let ids = inspection.findings().iter().map(|finding| finding.rule).collect();
            (ids, inspection.interruption().map(|stop| stop.rule), would)
        });
        let [plain, fast] = outcomes;
        assert_eq!(plain, fast);
        fast
    }

    fn one(set: &RuleSet, id: u64) -> Arc<[usize]> {
        set.indices(|rule| rule.id == id)
    }

    #[test]
    fn what_is_given_is_there_before_the_first_rule() {
        let none = |_: &RuleSet| Tuning::default();
        assert_eq!(told(none, "a=deep", 0, false), (vec![3, 5], Some(5), None), "no level, no gate");
        let at = |level: &'static str| {
            move |_: &RuleSet| {
                let mut tuning = Tuning::default();
                tuning.give("Given", level);
                tuning
            }
        };
        assert_eq!(told(at("1"), "a=deep", 0, false), (vec![6], None, None));
        assert_eq!(told(at("2"), "a=deep", 0, false), (vec![3, 5], Some(5), None));
    }

    #[test]
    fn rules_are_left_out_for_good_for_a_while_or_in_part() {
        let gone = |until: Option<u64>, target: Option<&'static str>| {
            move |set: &RuleSet| {
                let mut tuning = Tuning::default();
                let target = target.map(|target| Part::from(Target::parse(target).unwrap()));
                tuning.leave_out(set, &one(set, 4), target, until);
                tuning
            }
        };
        assert_eq!(told(gone(None, None), "a=x", 0, false).0, [6]);
        assert_eq!(told(gone(None, Some("ARGS:a")), "a=x", 0, false).0, [6]);
        assert_eq!(told(gone(None, Some("ARGS:a")), "b=x", 0, false).0, [4, 5]);
        assert_eq!(told(gone(Some(100), None), "a=x", 99, false).0, [6]);
        assert_eq!(told(gone(Some(100), Some("ARGS:a")), "a=x", 99, false).0, [6]);
        assert_eq!(told(gone(Some(100), None), "a=x", 100, false).0, [4, 5]);
    }

    #[test]
    fn what_is_left_out_of_one_side_is_looked_at_on_the_other() {
        let gone = |side: Side| {
            move |set: &RuleSet| {
                let mut tuning = Tuning::default();
                let part = Part { target: Target::parse("ARGS:a").unwrap(), side: Some(side) };
                tuning.leave_out(set, &one(set, 4), Some(part), None);
                tuning
            }
        };
        assert_eq!(told(gone(Side::Query), "a=x", 0, false).0, [6]);
        assert_eq!(told(gone(Side::Body), "a=x", 0, false).0, [4, 5]);
    }

    #[test]
    fn rules_that_watch_count_nowhere_and_stop_nothing() {
        let watch = |id: u64| {
            move |set: &RuleSet| {
                let mut tuning = Tuning::default();
                tuning.watch(set, &one(set, id));
                tuning
            }
        };
        assert_eq!(told(watch(4), "a=x", 0, false), (vec![4, 6], None, None));
        assert_eq!(told(watch(4), "a=xy", 0, false), (vec![4, 6, 7], Some(7), None));
        assert_eq!(told(watch(7), "a=y", 0, false), (vec![6, 7], None, None));
    }

    #[test]
    fn who_only_detects_sees_all_of_it_and_is_not_talked_out_of_it() {
        let none = |_: &RuleSet| Tuning::default();
        assert_eq!(told(none, "a=xy", 0, true), (vec![4, 5, 6, 7], None, Some(5)));
    }
}
