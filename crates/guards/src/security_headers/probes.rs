//! What `security_headers` can be probed with: an upstream that names its software and is careless with browsers.

use std::collections::BTreeMap;

use bartizan_model::probe::{Edit, Probe, Probes};
use http::{HeaderName, HeaderValue};

use super::SecurityHeaders;

/// What the guard offers. The echo answers with JSON, which is data.
pub(super) fn offer(guard: &SecurityHeaders) -> Probes {
    let mut hostile = Vec::new();
    let set: BTreeMap<&str, (&HeaderName, &HeaderValue)> =
        guard.always.iter().chain(&guard.data).map(|(name, value)| (name.as_str(), (name, value))).collect();
    if !set.is_empty() {
        let fields = set.values().map(|(name, value)| ((*name).clone(), Some((*value).clone()))).collect();
        hostile.push(Probe::answered(
            "a response without the fields that make browsers careful",
            Vec::new(),
            fields,
        ));
    }
    let removed: Vec<HeaderName> =
        guard.remove.iter().filter(|name| !set.contains_key(name.as_str())).cloned().collect();
    if !removed.is_empty() {
        let named = HeaderValue::from_static("probe/1.0");
        hostile.push(Probe::answered(
            "a response that names software",
            removed.iter().map(|name| Edit::Reply(name.clone(), named.clone())).collect(),
            removed.into_iter().map(|name| (name, None)).collect(),
        ));
    }
    Probes { hostile, ..Probes::default() }
}
