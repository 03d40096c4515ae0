//! What `step_up` can be probed with: a caller without a second factor, and codes that everybody can make.

use bartizan_model::{
    Timestamp,
    probe::{Doubt, Edit, Probe, Probes, Weight},
};
use http::HeaderValue;

use super::{StepUp, demand::CODE, totp};

/// What the guard offers at `now`. Where it depends on a risk, no single request shows it.
pub(super) fn offer(guard: &StepUp, now: Timestamp) -> Probes {
    if let Some(when) = guard.when {
        return Probes {
            doubts: vec![Doubt {
                code: "not_probed",
                weight: Weight::Note,
                what: format!(
                    "`step_up` asks callers of a risk of {} or more: no single request has one",
                    when.risk
                )
                .into(),
                remedy: "nothing, where `session` is mounted beside it: it finds the risk".into(),
            }],
            ..Probes::default()
        };
    }
    // The secret of RFC 6238 appendix B.
    let published = totp::code(b"12345678901234567890", now);
    let code = |text: &str| HeaderValue::from_str(text).ok().map(|value| Edit::Header(CODE, value));
    Probes {
        unmet: Some("step_up.required"),
        hostile: vec![
            Probe::refused("a caller who showed no second factor", Vec::new()),
            Probe::refused("a made-up one-time code", code("000000").into_iter().collect()),
            Probe::refused("a code of a published secret", code(&published).into_iter().collect()),
        ],
        ..Probes::default()
    }
}
