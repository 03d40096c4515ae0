//! Roles compiled: one cell for each role and action, so that a decision is a look-up.

use std::{fmt, sync::Arc};

use bartizan_model::{Diagnostic, Diagnostics, diagnostic::Place};
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::{
    ANONYMOUS, AUTHENTICATED, Roles,
    document::Named,
    grant::{Coverage, Scope},
};
use crate::{
    actions::{ActionId, Actions},
    names::hint,
};

/// Roles of one file at most: with 20,000 operations the table takes 80 MB, and nobody reads more.
pub const MAX_ROLES: usize = 1_000;

/// Which role: a small number, valid for the table that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoleId(u16);

/// One line of a role: what determines a decision.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The role.
    pub role: Arc<str>,
    /// The line as written: `GET /accounts/**`.
    pub text: Arc<str>,
    /// Where it is written.
    pub place: Place,
    /// What decided, for findings and events: the role, the line and its place.
    pub told: Arc<str>,
    scope: Scope,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told)
    }
}

#[derive(Clone, Debug)]
struct Role {
    name: Arc<str>,
    /// The role itself and all that it inherits from.
    lineage: Vec<u16>,
}

/// No grant in this cell.
const NONE: u32 = u32::MAX;
/// It depends on the path.
const BY_PATH: u32 = u32::MAX - 1;

/// The table.
#[derive(Clone, Debug, Default)]
pub struct RoleTable {
    ids: HashMap<Arc<str>, RoleId>,
    roles: Vec<Role>,
    grants: Vec<Grant>,
    /// Grants of each role, its own first, then those it inherits.
    of_role: Vec<Vec<u32>>,
    /// One row for each action, one cell for each role.
    cells: Vec<u32>,
    members: HashMap<Arc<str>, Vec<RoleId>>,
}

impl RoleTable {
    /// Compiles a roles file for the actions of an API.
    ///
    /// # Errors
    /// Unknown roles and operations, cycles: all of them, with places and the nearest name.
    pub fn compile(file: &Roles, actions: &Actions) -> Result<Self, Diagnostics> {
        let mut report = Diagnostics::new();
        let mut table = RoleTable::default();
        if file.entries.len() > MAX_ROLES {
            let error = Diagnostic::error("", format!("a roles file has at most {MAX_ROLES} roles"));
            return Err(Diagnostics(vec![error.help("let roles inherit, or split the API")]));
        }
        for entry in &file.entries {
            let name: Arc<str> = Arc::from(entry.name.as_str());
            let id = RoleId(u16::try_from(table.roles.len()).unwrap_or(u16::MAX));
            table.ids.insert(Arc::clone(&name), id);
            table.roles.push(Role { name, lineage: Vec::new() });
        }
        table.inherit(file, &mut report);
        table.grant(file, actions, &mut report);
        for (member, roles) in &file.members {
            let ids = roles.iter().filter_map(|named| table.known(named, &mut report)).collect();
            if !member.contains('/') {
                let place = roles.first().map(|named| named.place.clone());
                let mut error = Diagnostic::error("", format!("`{member}` is no member")).help(
                    "write the issuer's name in the policy and the subject: `corp/alice`, `bartizan/billing`",
                );
                error.place = place;
                report.push(error);
            }
            table.members.insert(Arc::from(member.as_str()), ids);
        }
        if report.has_errors() {
            return Err(report);
        }
        table.fill(actions);
        Ok(table)
    }

    /// A role that must be there.
    fn known(&self, named: &Named, report: &mut Diagnostics) -> Option<RoleId> {
        let found = self.ids.get(named.text.as_str()).copied();
        if found.is_none() {
            let names = self.roles.iter().map(|role| &*role.name);
            let help = hint(&named.text, names, "add it below `roles`");
            let error = Diagnostic::error("", format!("there is no role `{}`", named.text));
            report.push(error.help(help).at(named.place.clone()));
        }
        found
    }

    /// The lineage of each role.
    fn inherit(&mut self, file: &Roles, report: &mut Diagnostics) {
        let parents: Vec<Vec<RoleId>> = file
            .entries
            .iter()
            .map(|entry| entry.inherits.iter().filter_map(|named| self.known(named, report)).collect())
            .collect();
        for (at, entry) in file.entries.iter().enumerate() {
            let own = u16::try_from(at).unwrap_or(u16::MAX);
            let mut lineage = vec![own];
            let mut next = 0;
            while let Some(&current) = lineage.get(next) {
                next += 1;
                for parent in parents.get(usize::from(current)).into_iter().flatten() {
                    if parent.0 == own {
                        let through = file.entries.get(usize::from(current)).map_or("", |e| e.name.as_str());
                        let message =
                            format!("the role `{}` inherits from itself, through `{through}`", entry.name);
                        let place = entry.inherits.first().map_or(&entry.place, |named| &named.place);
                        report.push(
                            Diagnostic::error("", message)
                                .help("remove one of the `inherits` of the circle")
                                .at(place.clone()),
                        );
                    } else if !lineage.contains(&parent.0) {
                        lineage.push(parent.0);
                    }
                }
            }
            if let Some(role) = self.roles.get_mut(at) {
                role.lineage = lineage;
            }
        }
    }

    /// The grants, each of which has to name something.
    fn grant(&mut self, file: &Roles, actions: &Actions, report: &mut Diagnostics) {
        let mut own: Vec<Vec<u32>> = Vec::new();
        for entry in &file.entries {
            let mut mine = Vec::new();
            for (scope, named) in &entry.allow {
                let names_some = actions
                    .iter()
                    .filter(|(_, action)| action.path.is_some())
                    .any(|(_, action)| scope.coverage(action) != Coverage::None);
                if scope.names_one() && actions.are_declared() && !names_some {
                    report.push(unknown(scope, named, actions));
                }
                mine.push(u32::try_from(self.grants.len()).unwrap_or(NONE));
                let Place { file, line, .. } = &named.place;
                self.grants.push(Grant {
                    role: Arc::from(entry.name.as_str()),
                    text: Arc::from(named.text.as_str()),
                    place: named.place.clone(),
                    told: Arc::from(format!("role `{}`: `{}` ({file}:{line})", entry.name, named.text)),
                    scope: scope.clone(),
                });
            }
            own.push(mine);
        }
        self.of_role = self
            .roles
            .iter()
            .map(|role| {
                role.lineage.iter().filter_map(|&at| own.get(usize::from(at))).flatten().copied().collect()
            })
            .collect();
    }

    /// One cell for each role and action.
    fn fill(&mut self, actions: &Actions) {
        // Each grant is compared with each action once, whoever inherits it.
        let coverage: Vec<Vec<Coverage>> = self
            .grants
            .iter()
            .map(|grant| actions.iter().map(|(_, action)| grant.scope.coverage(action)).collect())
            .collect();
        self.cells = Vec::with_capacity(actions.len() * self.roles.len());
        for (id, _) in actions.iter() {
            for grants in &self.of_role {
                let mut cell = NONE;
                for &grant in grants {
                    let found = coverage.get(grant as usize).and_then(|row| row.get(id.index()));
                    match found {
                        Some(Coverage::All) => {
                            cell = grant;
                            break;
                        }
                        Some(Coverage::Some) => cell = BY_PATH,
                        _ => {}
                    }
                }
                self.cells.push(cell);
            }
        }
    }

    /// The role with this name, if the file has it.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<RoleId> {
        self.ids.get(name).copied()
    }

    /// The role's name.
    #[must_use]
    pub fn name(&self, role: RoleId) -> &str {
        self.roles.get(usize::from(role.0)).map_or("", |role| &role.name)
    }

    /// All roles, in the order of the file.
    pub fn roles(&self) -> impl Iterator<Item = (RoleId, &Arc<str>)> {
        (0..).map(RoleId).zip(self.roles.iter().map(|role| &role.name))
    }

    /// The role and all that it inherits from, by name.
    pub fn lineage(&self, role: RoleId) -> impl Iterator<Item = &Arc<str>> {
        let lineage = self.roles.get(usize::from(role.0)).map(|role| role.lineage.as_slice());
        lineage.unwrap_or_default().iter().filter_map(|&at| Some(&self.roles.get(usize::from(at))?.name))
    }

    /// The grants of a role, inherited ones included.
    pub fn grants(&self, role: RoleId) -> impl Iterator<Item = &Grant> {
        let grants = self.of_role.get(usize::from(role.0)).map(Vec::as_slice).unwrap_or_default();
        grants.iter().filter_map(|&at| self.grants.get(at as usize))
    }

    /// The roles of a caller that the file has: those that the credential `names`, those of the file's members, and the
    /// roles that everybody has. `member` is the issuer and the subject of an identified caller.
    pub fn roles_of<'n>(
        &self,
        member: Option<(&str, &str)>,
        names: impl Iterator<Item = &'n str>,
    ) -> SmallVec<[RoleId; 8]> {
        let mut roles: SmallVec<[RoleId; 8]> = SmallVec::new();
        // What anybody may do, an identified caller may do, too.
        let identified = member.is_some().then_some(AUTHENTICATED);
        for name in names.chain([ANONYMOUS]).chain(identified) {
            if let Some(&role) = self.ids.get(name) {
                roles.push(role);
            }
        }
        if let Some((issuer, subject)) = member
            && !self.members.is_empty()
        {
            let more = self.members.get(format!("{issuer}/{subject}").as_str());
            roles.extend(more.into_iter().flatten().copied());
        }
        roles
    }

    /// The grant that lets one of these roles do this; `path` answers the folded path below the base path, and is only asked
    /// where the action alone does not decide.
    pub fn decide<'p>(
        &self,
        actions: &Actions,
        action: ActionId,
        roles: &[RoleId],
        path: impl Fn() -> std::borrow::Cow<'p, str>,
    ) -> Option<&Grant> {
        let width = self.roles.len();
        let row = self.cells.get(action.index() * width..(action.index() + 1) * width)?;
        let mut by_path = false;
        for role in roles {
            match row.get(usize::from(role.0)).copied() {
                None | Some(NONE) => {}
                Some(BY_PATH) => by_path = true,
                Some(grant) => return self.grants.get(grant as usize),
            }
        }
        if !by_path {
            return None;
        }
        let path = path();
        let action = actions.get(action)?;
        let mut grants = roles.iter().flat_map(|role| self.grants(*role));
        grants.find(|grant| grant.scope.has(&path) && grant.touches(action))
    }

    /// The roles that may do this whatever the path, for the refused caller's operator.
    pub fn holders(&self, action: ActionId) -> impl Iterator<Item = &Arc<str>> {
        let width = self.roles.len();
        let row = self.cells.get(action.index() * width..(action.index() + 1) * width).unwrap_or_default();
        row.iter().zip(&self.roles).filter(|(cell, _)| **cell != NONE).map(|(_, role)| &role.name)
    }

    /// Whether a role may do this: `Some(true)` always, `Some(false)` for some paths, `None` never.
    #[must_use]
    pub fn cell(&self, role: RoleId, action: ActionId) -> Option<bool> {
        match self.cells.get(action.index() * self.roles.len() + usize::from(role.0)).copied() {
            None | Some(NONE) => None,
            Some(BY_PATH) => Some(false),
            Some(_) => Some(true),
        }
    }
}

impl Grant {
    /// Whether it covers some request of the action.
    #[must_use]
    pub fn touches(&self, action: &crate::actions::Action) -> bool {
        self.scope.coverage(action) != Coverage::None
    }
}

fn unknown(scope: &Scope, named: &Named, actions: &Actions) -> Diagnostic {
    let (message, help) = match scope {
        Scope::Tag(tag) => {
            let mut tags: Vec<&str> =
                actions.iter().flat_map(|(_, action)| action.tags.iter().map(|tag| &**tag)).collect();
            tags.sort_unstable();
            tags.dedup();
            (
                format!("no operation of the contract has the tag `{tag}`"),
                hint(tag, tags, "correct the tag, or name paths"),
            )
        }
        Scope::Paths { .. } => {
            let known = actions.iter().filter(|(_, action)| action.path.is_some());
            (
                format!("the contract has no operation `{}`", named.text),
                hint(
                    &named.text,
                    known.map(|(_, action)| &*action.name),
                    "name an operation of the contract, or a pattern such as `GET /accounts/**`",
                ),
            )
        }
    };
    Diagnostic::error("", message).help(help).at(named.place.clone())
}
