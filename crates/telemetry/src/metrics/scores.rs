//! What rules that add up to a score make of traffic: how far from a refusal it is, and which rules it meets.

use std::sync::Arc;

use bartizan_model::{Verdict, event::Exchange, transaction::Score};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use super::{MAX_SERIES, OperationLabels, series::Handles};

/// Rules that get counters of their own: as many as any rule set has; behind them all share `rule="other"`.
const MAX_RULES: usize = 10_000;

/// Points: what notices, warnings, errors and critical rules of the Core Rule Set count, and sums of them.
const POINTS: [f64; 13] = [0.0, 2.0, 3.0, 4.0, 5.0, 7.0, 9.0, 10.0, 14.0, 15.0, 20.0, 25.0, 50.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ApiLabels {
    api: Arc<str>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RuleLabels {
    rule: Arc<str>,
}

/// The counters of scores and rules.
pub(super) struct Scores {
    near: Family<OperationLabels, Counter>,
    near_handles: Handles<(Arc<str>, Arc<str>), Counter>,
    points: Family<ApiLabels, Histogram, fn() -> Histogram>,
    point_handles: Handles<Arc<str>, Arc<Histogram>>,
    rules: Family<RuleLabels, Counter>,
    rule_handles: Handles<u64, Counter>,
}

impl Scores {
    pub(super) fn new() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(POINTS);
        Scores {
            near: Family::default(),
            near_handles: Handles::new(MAX_SERIES),
            points: Family::new_with_constructor(histogram),
            point_handles: Handles::new(MAX_SERIES),
            rules: Family::default(),
            rule_handles: Handles::new(MAX_RULES),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "waf_near_misses",
            "Exchanges that were let through, and that one grave rule more would have refused",
            self.near.clone(),
        );
        registry.register("waf_score", "What rules made of requests, in points", self.points.clone());
        registry.register("waf_rule_matches", "Exchanges in which a rule matched", self.rules.clone());
    }

    pub(super) fn count(&self, exchange: &Exchange, score: &Score) {
        let points = self.point_handles.get(&exchange.api, |full| {
            let api: Arc<str> = if full { "other".into() } else { Arc::clone(&exchange.api) };
            let series = self.points.get_or_create_owned(&ApiLabels { api: Arc::clone(&api) });
            (api, Arc::new(series))
        });
        points.observe(f64::from(score.inbound));
        for rule in &score.rules {
            self.rule_handles
                .get(rule, |full| {
                    // No rule has the number 0.
                    let (key, name) =
                        if full { (0, "other".into()) } else { (*rule, rule.to_string().into()) };
                    (key, self.rules.get_or_create_owned(&RuleLabels { rule: name }))
                })
                .inc();
        }
        // What was refused for another reason was not one rule from a refusal.
        if score.near_miss && exchange.verdict == Verdict::Allow {
            let key = (Arc::clone(&exchange.api), Arc::clone(&exchange.operation));
            self.near_handles
                .get(&key, |full| {
                    let (api, operation): (Arc<str>, Arc<str>) = if full {
                        ("other".into(), "other".into())
                    } else {
                        (Arc::clone(&exchange.api), Arc::clone(&exchange.operation))
                    };
                    let labels = OperationLabels { api: Arc::clone(&api), operation: Arc::clone(&operation) };
                    ((api, operation), self.near.get_or_create_owned(&labels))
                })
                .inc();
        }
    }
}
