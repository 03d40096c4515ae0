//! What the limits can be probed with: each one once with its counter spent.

use bartizan_model::probe::{Doubt, Edit, Probe, Probes, Weight};
use http::HeaderValue;

use super::{CompiledLimit, Limits, config::Key};

/// Requests of one caller in one second beyond which a limit protects nothing: what stands behind a gateway is busy long
/// before one caller gets there.
const NEVER: u64 = 10_000;

/// What one of the two places offers: before the caller is `identified`, or after.
pub(super) fn offer(limits: &Limits, identified: bool) -> Probes {
    let mut probes = Probes::default();
    for (place, limit) in limits.limits.iter().enumerate() {
        let mut edits = vec![Edit::Spent { place, identified }];
        if let Key::Header(name) = &limit.key {
            edits.push(Edit::Header(name.clone(), HeaderValue::from_static("probe")));
        }
        let name = format!("one request more than the limit `{}` allows", limit.name);
        probes.hostile.push(Probe::refused(name, edits));
        if let (Key::Header(header), false) = (&limit.key, limits.by_address) {
            probes.doubts.push(Doubt {
                code: "limit_by_choice",
                weight: Weight::Open,
                what: format!(
                    "the limit `{}` counts by `{header}`, which callers choose: who changes it is never limited",
                    limit.name
                )
                .into(),
                remedy: "add a limit with `key: ip` beside it".into(),
            });
        }
        let most = in_first_second(limit);
        if most >= NEVER {
            probes.doubts.push(Doubt {
                code: "limit_never_bites",
                weight: Weight::Open,
                what: format!(
                    "the limit `{}` lets one caller ask {most} times in a second: nobody meets it",
                    limit.name
                )
                .into(),
                remedy: "write the rate, and the burst, that one caller really needs".into(),
            });
        }
    }
    probes
}

/// What one caller may ask in its first second.
fn in_first_second(limit: &CompiledLimit) -> u64 {
    let units = u64::from(limit.quota.burst).saturating_add(1_000_000_000 / limit.quota.interval_ns.max(1));
    units / u64::from(limit.cost.max(1))
}
