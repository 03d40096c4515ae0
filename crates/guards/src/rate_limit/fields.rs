//! The response fields that tell callers where they stand: draft-ietf-httpapi-ratelimit-headers-10, and the older
//! `X-RateLimit-*` that most clients know.

use std::time::Duration;

use bartizan_model::services::{LimitDecision, Quota};
use http::{HeaderMap, HeaderName, HeaderValue};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");
const LEGACY_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const LEGACY_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const LEGACY_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The fields of one limit, as far as they are known when the policy is compiled.
pub(crate) struct LimitFields {
    /// The limit's name as a structured field string; names are checked, so nothing needs escaping.
    name: String,
    policy: HeaderValue,
    burst: u32,
}

impl LimitFields {
    /// `q` is the most that may be taken at once and `w` the time in which that much comes back, so that `r` never
    /// exceeds `q` and `q / w` is the rate.
    pub(crate) fn new(name: &str, quota: Quota) -> Self {
        let window = Duration::from_nanos(quota.interval_ns.saturating_mul(u64::from(quota.burst)));
        let window = whole_seconds(window).max(1);
        let policy = format!("\"{name}\";q={};w={window}", quota.burst);
        LimitFields {
            name: format!("\"{name}\""),
            policy: HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("")),
            burst: quota.burst,
        }
    }

    /// Adds this limit to the response: one list member each in the standard fields; the older ones belong to the
    /// limit with the least left.
    pub(crate) fn append(&self, decision: LimitDecision, headers: &mut HeaderMap) {
        let remaining = u64::from(decision.remaining);
        let reset = whole_seconds(decision.reset_after);
        headers.append(POLICY, self.policy.clone());
        if let Ok(state) = HeaderValue::from_str(&format!("{};r={remaining};t={reset}", self.name)) {
            headers.append(STATE, state);
        }
        let before = (number(headers, &LEGACY_REMAINING), number(headers, &LEGACY_RESET));
        let tighter = match before {
            (Some(other), Some(other_reset)) => {
                remaining < other || (remaining == other && reset > other_reset)
            }
            _ => true,
        };
        if tighter {
            headers.insert(LEGACY_LIMIT, HeaderValue::from(self.burst));
            headers.insert(LEGACY_REMAINING, HeaderValue::from(remaining));
            headers.insert(LEGACY_RESET, HeaderValue::from(reset));
        }
    }
}

/// The older fields can say one limit only: the upstream's own where it has less left, else ours.
pub(super) fn settle_legacy(ours: &HeaderMap, response: &mut HeaderMap) {
    let Some(remaining) = number(ours, &LEGACY_REMAINING) else { return };
    let theirs =
        response.get_all(&LEGACY_REMAINING).iter().filter_map(|value| value.to_str().ok()?.parse().ok());
    let upstream_is_tighter = theirs.min().is_some_and(|least: u64| least < remaining);
    for name in [LEGACY_LIMIT, LEGACY_REMAINING, LEGACY_RESET] {
        let Some(own) = ours.get(&name) else { continue };
        if !upstream_is_tighter {
            response.insert(name, own.clone());
        } else if let Some(first) = response.get(&name).cloned() {
            response.insert(name, first);
        }
    }
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// Seconds, rounded up: a caller that waits this long has waited long enough.
pub(super) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}
