//! Which operations of an API are probed, and as which requests: one for each distinct set of mounted guards.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use bartizan_guards::registry::Parts;
use bartizan_model::probe::Part;
use bartizan_pattern::ip::IpSet;
use bartizan_policy::snapshot::{Api, Found, Operation};
use http::Method;

use crate::gateway::Active;

/// Distinct sets of guards of one API that are probed: a thousand operations of a contract usually share three.
const MAX_TARGETS: usize = 1_024;

/// Requests of one API that are looked up in search of operations.
const MAX_SAMPLES: usize = 20_000;

/// Requests kept for one set of guards: enough to find one that still fits when a probe changes the method.
const SAMPLES: usize = 6;

/// Operations that share all their guards.
pub(super) struct Target {
    /// One of them.
    pub operation: Arc<Operation>,
    /// Their guards.
    pub parts: Parts,
    /// Requests that find one of them: method and canonical path.
    pub samples: Vec<(Method, String)>,
    /// The names of all.
    pub labels: BTreeSet<Arc<str>>,
}

impl Target {
    pub fn new(operation: &Arc<Operation>, sample: (Method, String)) -> Self {
        Target {
            parts: operation.guards.parts(),
            operation: Arc::clone(operation),
            samples: vec![sample],
            labels: BTreeSet::from([Arc::clone(&operation.label)]),
        }
    }

    /// Whether `part` is mounted in this place.
    pub fn has(&self, place: usize, part: Part) -> bool {
        self.parts.get(place) == Some(&part)
    }
}

/// The sets of guards of an API, and how many could not be reached by a request that is known here.
pub(super) fn targets(api: &Arc<Api>, active: &Active) -> (Vec<Target>, usize) {
    let mut missing: HashSet<Parts> =
        api.operations.all().map(|operation| operation.guards.parts()).collect();
    let mut targets: Vec<Target> = Vec::new();
    let mut index: HashMap<Parts, usize> = HashMap::new();
    let host = host(api, active);
    // Every single operation is looked up; pairs only as long as a set of guards is still missing.
    let singles = api.operations.singles();
    for (number, (method, path)) in api.operations.samples().take(MAX_SAMPLES).enumerate() {
        if number >= singles && missing.is_empty() {
            break;
        }
        let Found::Operation(operation) = api.operations.find(&method, &path) else { continue };
        if !active.route(&host, &path).is_some_and(|(found, _)| Arc::ptr_eq(found, api)) {
            continue;
        }
        let parts = operation.guards.parts();
        missing.remove(&parts);
        if let Some(target) = index.get(&parts).and_then(|at| targets.get_mut(*at)) {
            let new = target.labels.insert(Arc::clone(&operation.label));
            let other_method = target.samples.iter().all(|(known, _)| *known != method);
            if target.samples.len() < SAMPLES && (new || other_method) {
                target.samples.push((method, path));
            }
        } else if targets.len() < MAX_TARGETS {
            index.insert(parts, targets.len());
            targets.push(Target::new(operation, (method, path)));
        } else {
            missing.insert(parts);
        }
    }
    // What is declared first: there a benign request is expected to pass.
    let order = |target: &Target| (!target.operation.known, target.labels.first().cloned());
    targets.sort_by_cached_key(order);
    (targets, missing.len())
}

/// First labels that are tried for `*.example.com`: a more specific API may serve one of them.
const LABELS: [&str; 3] = ["probe", "bartizan-probe", "a.b.c"];

/// A host that leads to the API; one that should, where none does.
pub(super) fn host(api: &Arc<Api>, active: &Active) -> String {
    let written = api.hosts.iter().flat_map(|host| match host.strip_prefix("*.") {
        Some(rest) => LABELS.iter().map(|label| format!("{label}.{rest}")).collect(),
        None => vec![host.clone()],
    });
    let mut hosts: Vec<String> = written.collect();
    if hosts.is_empty() {
        hosts.push("probe.invalid".to_owned());
    }
    let path = api.operations.undeclared_path();
    let leads = |host: &String| active.route(host, &path).is_some_and(|(found, _)| Arc::ptr_eq(found, api));
    let found = hosts.iter().position(leads).unwrap_or(0);
    hosts.swap_remove(found)
}

/// Addresses for documentation, one of each network (RFC 5737).
const NOBODY_V4: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 66)),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66)),
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66)),
];

/// The same of IPv6 (RFC 3849, RFC 9637).
const NOBODY_V6: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x66)),
    IpAddr::V6(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0x66)),
];

/// Somebody whom no proxy should speak for: where strangers are trusted after all, one of them. Whoever trusts one network
/// of documentation follows an example; whoever trusts all of them trusts everybody.
pub(super) fn strangers(trusted: &IpSet) -> Vec<IpAddr> {
    let all = |addresses: &[IpAddr]| addresses.iter().all(|ip| trusted.contains(*ip));
    // A whole block of this size is more than any provider's proxies.
    let block = |first: u8| {
        let at = |second: u8| IpAddr::V4(Ipv4Addr::new(first, second, 85, 85));
        (0..16).all(|step| trusted.contains(at(step * 16 + 5))).then(|| at(85))
    };
    if all(&NOBODY_V4) {
        return NOBODY_V4.to_vec();
    }
    if all(&NOBODY_V6) {
        return NOBODY_V6.to_vec();
    }
    let public = (1..=223).filter(|first| !matches!(first, 10 | 127));
    if let Some(trusted) = public.filter_map(block).next() {
        return vec![trusted];
    }
    NOBODY_V4.into_iter().chain(NOBODY_V6).filter(|ip| !trusted.contains(*ip)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    fn trusts_a_stranger(networks: &[&str]) -> bool {
        let trusted: IpSet = networks.iter().map(|text| text.parse::<ipnet::IpNet>().unwrap()).collect();
        strangers(&trusted).iter().any(|ip| trusted.contains(*ip))
    }

    #[test]
    fn a_trust_in_everybody_is_found_however_it_is_written() {
        for open in
            [&["0.0.0.0/0"][..], &["0.0.0.0/1", "128.0.0.0/1"], &["0.0.0.0/1"], &["::/0"], &["64.0.0.0/6"]]
        {
            assert!(trusts_a_stranger(open), "{open:?}");
        }
        for sound in [&[][..], &["10.0.0.0/8", "127.0.0.0/8", "fd00::/8"], &["104.16.0.0/12", "192.0.2.0/24"]]
        {
            assert!(!trusts_a_stranger(sound), "{sound:?}");
        }
    }
}
