//! What `ownership` can be probed with: one id with two values, and what its settings leave open.

use bartizan_model::probe::{Doubt, Edit, Probe, Probes, Weight};
use http::Method;

use super::{Ownership, config::Undecided};

/// What the guard offers.
pub(super) fn offer(guard: &Ownership) -> Probes {
    let mut hostile = Vec::new();
    if guard.parameters.checks_ids() {
        hostile.push(Probe::refused("one id with two values", vec![Edit::Query("id=1&id=2".to_owned())]));
    }
    let mut doubts = Vec::new();
    if guard.rules.iter().next().is_none() {
        doubts.push(Doubt {
            code: "no_rule",
            weight: Weight::Note,
            what: "`ownership` has no rule: no answer is checked".into(),
            remedy: "write one such as `GET /accounts/{id}: response.ownerId == principal.sub`; `bartizan ownership suggest` finds some".into(),
        });
    }
    for rule in guard.rules.iter() {
        if rule.undecided == Undecided::Allow {
            doubts.push(Doubt {
                code: "undecided_allowed",
                weight: Weight::Note,
                what: format!("answers of `{}` that cannot be decided pass", rule.label).into(),
                remedy: "remove `undecided: allow` once the operation answers as its rule expects".into(),
            });
        }
        let changes = rule.method().is_some_and(|method| {
            matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
        });
        if changes && rule.asks_response {
            doubts.push(Doubt {
                code: "too_late",
                weight: Weight::Note,
                what: format!("the rule of `{}` asks for the answer, when the change is made", rule.label)
                    .into(),
                remedy: "ask for the path or the body in its rule, or check with `access`".into(),
            });
        }
    }
    Probes { pass: Vec::new(), unmet: None, hostile, doubts }
}
