//! Who may do what, as a table of roles and operations.

use std::sync::Arc;

use bartizan_authz::ActionId;
use serde::Serialize;

use super::Access;

/// What a role may do with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cell {
    /// It may.
    Allow,
    /// It depends: on the path, or on what policies say of the request.
    Depends,
    /// It may not.
    Deny,
}

impl Access {
    /// Every role that the block knows: those of its file, and those that it demands.
    #[must_use]
    pub fn role_names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = self
            .roles
            .iter()
            .flat_map(|table| table.roles().map(|(_, name)| Arc::clone(name)))
            .chain(self.require_roles.iter().cloned())
            .collect();
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(Arc::clone(name)));
        names
    }

    /// The roles file, as the policy names it.
    #[must_use]
    pub fn roles_file(&self) -> Option<&str> {
        self.roles_file.as_deref()
    }

    /// What a caller with this role may do, as far as that is known without a request. Scopes are left aside.
    #[must_use]
    pub fn cell(&self, role: &str, action: ActionId) -> Cell {
        let table = self.roles.as_ref();
        let id = table.and_then(|table| table.role(role));
        let has = |wanted: &Arc<str>| {
            **wanted == *role
                || id
                    .is_some_and(|id| table.is_some_and(|table| table.lineage(id).any(|name| name == wanted)))
        };
        if !self.require_roles.is_empty() && !self.require_roles.iter().any(has) {
            return Cell::Deny;
        }
        if !self.is_closed() {
            return Cell::Allow;
        }
        if self.point.is_some() || self.rego.is_some() {
            return Cell::Depends;
        }
        let everybody = ["anonymous", "authenticated"];
        let names = everybody
            .iter()
            .copied()
            .filter(|name| role != "anonymous" || *name == "anonymous")
            .chain([role]);
        let cells = names.filter_map(|name| table.and_then(|table| table.cell(table.role(name)?, action)));
        let granted = cells.fold(Cell::Deny, |so_far, always| match (so_far, always) {
            (Cell::Allow, _) | (_, true) => Cell::Allow,
            (_, false) => Cell::Depends,
        });
        let Some(policies) = &self.policies else { return granted };
        let applicable = policies.applicable(action).iter().filter_map(|number| policies.get(*number));
        applicable.fold(granted, |so_far, policy| match (so_far, policy.forbids) {
            (Cell::Allow, true) | (Cell::Deny, false) => Cell::Depends,
            (so_far, _) => so_far,
        })
    }
}
