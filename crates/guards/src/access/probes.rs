//! What `access` can be probed with: callers to whom nothing is granted.

use bartizan_model::probe::{Doubt, Probe, Probes, Weight};

use super::Access;

/// What the guard offers.
pub(super) fn offer(guard: &Access) -> Probes {
    let mut probes = Probes { unmet: Some("access.*"), ..Probes::default() };
    let demanded = !guard.require_scopes.is_empty() || !guard.require_roles.is_empty();
    if demanded || guard.is_closed() && !permits_strangers(guard) {
        let name = "a caller who has no scope and no role that anything is granted to";
        probes.hostile.push(Probe::refused(name, Vec::new()));
        return probes;
    }
    let contract = guard.security.iter().flatten().any(|alternatives| !alternatives.is_empty());
    probes.doubts.push(if guard.is_closed() || contract {
        Doubt {
            code: "not_probed",
            weight: Weight::Note,
            what: "what `access` refuses depends on the operation and the caller: no request is known here that it must refuse everywhere".into(),
            remedy: "write tests of your own for `bartizan test`; `bartizan authz matrix` shows who may do what".into(),
        }
    } else {
        Doubt {
            code: "nothing_to_enforce",
            weight: Weight::Open,
            what: "`access` has no roles, no policies and nothing that it requires: it refuses nobody".into(),
            remedy: "add `roles:` or `policies:`; `bartizan access suggest` writes roles from what was used".into(),
        }
    });
    probes
}

/// Whether some operation is open to a caller of whom nothing is known but that it is there.
fn permits_strangers(guard: &Access) -> bool {
    let roles = guard.roles.as_ref().is_some_and(|table| {
        ["anonymous", "authenticated"]
            .iter()
            .filter_map(|name| table.role(name))
            .any(|role| table.grants(role).next().is_some())
    });
    roles
        || guard.point.is_some()
        || guard.rego.is_some()
        || guard.policies.as_ref().is_some_and(bartizan_authz::Policies::may_permit_strangers)
}
