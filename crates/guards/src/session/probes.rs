//! What `session` can be probed with: an upstream that sets a careless cookie. That a credential moves takes more than one
//! request.

use bartizan_model::probe::{Doubt, Edit, Probe, Probes, Weight};
use http::{HeaderMap, HeaderValue};

use super::{Session, cookies::FIELD};

/// What the guard offers.
pub(super) fn offer(guard: &Session) -> Probes {
    let weak = HeaderValue::from_static("bartizan_probe=1");
    let mut headers = HeaderMap::from_iter([(FIELD, weak.clone())]);
    guard.hardening.harden(&mut headers);
    let hard = headers.get(FIELD).cloned();
    let mut probes = Probes::default();
    if hard.as_ref().is_some_and(|hard| *hard != weak) {
        probes.hostile.push(Probe::answered(
            "a session cookie that scripts and other sites may use",
            vec![Edit::Reply(FIELD, weak)],
            vec![(FIELD, hard)],
        ));
    } else {
        probes.doubts.push(Doubt {
            code: "not_probed",
            weight: Weight::Note,
            what: "`session` hardens no cookie of any name, and that a credential moves takes two clients"
                .into(),
            remedy: "nothing, if that is meant".into(),
        });
    }
    probes
}
