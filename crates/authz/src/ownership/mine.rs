//! Finds rules in what exchanges showed: which values of answers and paths are always the caller's.
//!
//! Values are tokens: equal ones are equal, and nothing else is known of them.

use std::collections::{BTreeMap, BTreeSet};

/// What one exchange showed.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// The operation, `GET /accounts/{id}`.
    pub operation: String,
    /// The exchange's event.
    pub event: String,
    /// Tokens by name, as a predicate writes it: `principal.sub`, `response.items[].ownerId`.
    pub values: Vec<(String, String)>,
}

/// How sure a proposal has to be.
#[derive(Clone, Copy, Debug)]
pub struct Demands {
    /// Exchanges in which it held, at least.
    pub support: usize,
    /// Callers in whose exchanges it held, at least: with one, everything is constant.
    pub callers: usize,
    /// Of the exchanges that have both values, the share in which it held, at least.
    pub share: f64,
}

impl Default for Demands {
    fn default() -> Self {
        Demands { support: 5, callers: 2, share: 0.8 }
    }
}

/// A rule that an operation seems to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The operation.
    pub operation: String,
    /// The predicate.
    pub predicate: String,
    /// Exchanges in which it held.
    pub support: usize,
    /// Callers in whose exchanges it held.
    pub callers: usize,
    /// Exchanges that have both values.
    pub seen: usize,
    /// Exchanges of the operation in all.
    pub all: usize,
    /// Events of exchanges in which it did not hold, the first ones.
    pub counter_examples: Vec<String>,
    /// The token of a role that callers of all counter-examples have, and nobody else does.
    pub exempt_role: Option<String>,
}

/// Counter-examples that are named.
const NAMED: usize = 5;

const ROLES: &str = "principal.roles";

/// The rules that operations seem to keep, the best of each operation first: at most `most` of each.
#[must_use]
pub fn mine(samples: &[Sample], demands: Demands, most: usize) -> Vec<Proposal> {
    let mut operations: BTreeMap<&str, Vec<Exchange<'_>>> = BTreeMap::new();
    for sample in samples {
        let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, token) in &sample.values {
            values.entry(name).or_default().insert(token);
        }
        operations.entry(&sample.operation).or_default().push(Exchange { event: &sample.event, values });
    }
    let mut proposals = Vec::new();
    for (operation, exchanges) in operations {
        let names: BTreeSet<&str> =
            exchanges.iter().flat_map(|exchange| exchange.values.keys().copied()).collect();
        let of_caller = |name: &&&str| name.starts_with("principal.") && **name != ROLES;
        let of_object = |name: &&&str| !name.starts_with("principal.");
        let mut found: Vec<Proposal> = Vec::new();
        for claim in names.iter().filter(of_caller) {
            for value in names.iter().filter(of_object) {
                found.extend(judge(operation, &exchanges, claim, value, demands));
            }
        }
        found.sort_by(|a, b| rank(b).partial_cmp(&rank(a)).unwrap_or(std::cmp::Ordering::Equal));
        proposals.extend(found.into_iter().take(most));
    }
    proposals
}

struct Exchange<'s> {
    event: &'s str,
    values: BTreeMap<&'s str, BTreeSet<&'s str>>,
}

/// The share of exchanges, then what the rule asks for: the answer itself before the path, and the subject before a group.
fn rank(proposal: &Proposal) -> (f64, u8, usize, isize) {
    let share = proposal.support as f64 / proposal.seen.max(1) as f64;
    let kind = u8::from(proposal.predicate.contains("principal.sub")) * 2
        + u8::from(proposal.predicate.contains("response"));
    let length = isize::try_from(proposal.predicate.len()).unwrap_or(isize::MAX);
    (share, kind, proposal.seen, -length)
}

fn judge(
    operation: &str,
    exchanges: &[Exchange<'_>],
    claim: &str,
    value: &str,
    demands: Demands,
) -> Option<Proposal> {
    let (claims, members) = (claim.strip_suffix("[*]"), value.strip_suffix("[*]"));
    // Two lists with something in common are no rule.
    if claims.is_some() && members.is_some() || value.matches("[*]").count() > 1 {
        return None;
    }
    let mut held: Vec<&Exchange<'_>> = Vec::new();
    let mut failed: Vec<&Exchange<'_>> = Vec::new();
    let mut callers = BTreeSet::new();
    for exchange in exchanges {
        let (Some(mine), Some(theirs)) = (exchange.values.get(claim), exchange.values.get(value)) else {
            continue;
        };
        // Of records, each; of members, one.
        let holds = match members {
            Some(_) => mine.iter().all(|token| theirs.contains(token)),
            None => theirs.iter().all(|token| mine.contains(token)),
        };
        if holds {
            held.push(exchange);
            callers.extend(mine.iter().copied());
        } else {
            failed.push(exchange);
        }
    }
    let seen = held.len() + failed.len();
    let enough = held.len() >= demands.support && callers.len() >= demands.callers;
    if !enough || (held.len() as f64) < demands.share * seen as f64 {
        return None;
    }
    let predicate = match (claims, members) {
        (Some(claims), _) => format!("{value} in {claims}"),
        (_, Some(members)) => format!("{members} contains {claim}"),
        _ => format!("{value} == {claim}"),
    };
    Some(Proposal {
        operation: operation.to_owned(),
        predicate,
        support: held.len(),
        callers: callers.len(),
        seen,
        all: exchanges.len(),
        counter_examples: failed.iter().take(NAMED).map(|exchange| exchange.event.to_owned()).collect(),
        exempt_role: exempt(&held, &failed),
    })
}

fn roles<'s>(exchange: &Exchange<'s>) -> BTreeSet<&'s str> {
    exchange.values.get(ROLES).cloned().unwrap_or_default()
}

/// The role that tells the callers of counter-examples from all others.
fn exempt(held: &[&Exchange<'_>], failed: &[&Exchange<'_>]) -> Option<String> {
    let mut common = roles(failed.first()?);
    for exchange in failed {
        let own = roles(exchange);
        common.retain(|role| own.contains(role));
    }
    for exchange in held {
        let own = roles(exchange);
        common.retain(|role| !own.contains(role));
    }
    common.first().map(|role| (*role).to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests assert")]
    use super::*;
    use crate::ownership::Predicate;

    fn sample(number: usize, operation: &str, values: &[(&str, &str)]) -> Sample {
        Sample {
            operation: operation.to_owned(),
            event: format!("event-{number}"),
            values: values.iter().map(|(name, token)| ((*name).to_owned(), (*token).to_owned())).collect(),
        }
    }

    #[test]
    fn equal_values_of_many_callers_are_a_rule() {
        let mut samples = Vec::new();
        for number in 0..12 {
            let who = format!("~{}", number % 4);
            samples.push(sample(
                number,
                "GET /accounts/{id}",
                &[
                    ("principal.sub", &who),
                    ("principal.tenant", "~t"),
                    ("principal.roles", "~user"),
                    ("path.id", &format!("~id{number}")),
                    ("response.owner", &who),
                    ("response.currency", "~eur"),
                ],
            ));
        }
        samples.push(sample(
            99,
            "GET /accounts/{id}",
            &[("principal.sub", "~boss"), ("principal.roles", "~admin"), ("response.owner", "~1")],
        ));
        let found = mine(&samples, Demands::default(), 3);
        assert_eq!(found.len(), 1, "constants are no rule: {found:?}");
        let best = &found[0];
        assert_eq!(best.predicate, "response.owner == principal.sub");
        assert_eq!((best.support, best.callers, best.seen, best.all), (12, 4, 13, 13));
        assert_eq!(best.counter_examples, ["event-99"]);
        assert_eq!(best.exempt_role.as_deref(), Some("~admin"));
        Predicate::parse(&best.predicate).unwrap();
    }

    #[test]
    fn records_members_and_paths_are_rules_too() {
        let mut samples = Vec::new();
        for number in 0..8 {
            let who = format!("~{}", number % 4);
            let other = format!("~o{number}");
            samples.push(sample(
                number,
                "GET /list",
                &[
                    ("principal.sub", &who),
                    ("response.items[].ownerId", &who),
                    ("response.items[].id", &other),
                ],
            ));
            samples.push(sample(
                number,
                "GET /teams/{id}",
                &[("principal.sub", &who), ("response.members[*]", &who), ("response.members[*]", &other)],
            ));
            samples.push(sample(number, "GET /users/{id}/x", &[("principal.sub", &who), ("path.id", &who)]));
            samples.push(sample(
                number,
                "GET /org/{id}",
                &[
                    ("principal.sub", &other),
                    ("principal.claims.accounts[*]", &who),
                    ("principal.claims.accounts[*]", "~y"),
                    ("path.id", &who),
                ],
            ));
        }
        let found: Vec<String> =
            mine(&samples, Demands::default(), 1).into_iter().map(|p| p.predicate).collect();
        assert_eq!(
            found,
            [
                "response.items[].ownerId == principal.sub",
                "path.id in principal.claims.accounts",
                "response.members contains principal.sub",
                "path.id == principal.sub",
            ]
        );
        for predicate in found {
            Predicate::parse(&predicate).unwrap();
        }
    }
}
