//! What was looked at for one decision, line by line, for whoever asks `explain`.

use bartizan_authz::{ActionId, cedar::Body};
use bartizan_model::Transaction;
use bartizan_pattern::path::folded;
use serde::Serialize;

use super::{Access, authzen::Elsewhere, decide::Caller};

/// Everything that a decision looked at.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The action.
    pub action: String,
    /// The caller's roles, inherited ones included.
    pub roles: Vec<String>,
    /// What was looked at, in order.
    pub lines: Vec<Line>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// `security`, `require`, `role`, `policy` or `authzen`.
    pub check: &'static str,
    /// `holds`, `fails`, `permits`, `forbids`, `does not apply` or `error`.
    pub says: &'static str,
    /// What it is, with its place where it has one.
    pub what: String,
}

impl Access {
    /// What a decision about the exchange looks at.
    pub(super) fn report(
        &self,
        id: ActionId,
        caller: &Caller<'_>,
        transaction: &Transaction,
        body: Body<'_>,
        elsewhere: &Elsewhere,
    ) -> Report {
        let Some(action) = self.actions.get(id) else { return Report::default() };
        let lineage = self.lineage(caller);
        let mut report = Report {
            action: action.name.to_string(),
            roles: lineage.iter().map(ToString::to_string).collect(),
            lines: Vec::new(),
        };
        let mut add = |check, says, what: String| report.lines.push(Line { check, says, what });
        if self.security.get(id.index()).is_some_and(Option::is_some) || !self.is_closed() {
            match self.demands(id, caller) {
                Ok(()) => add(
                    "require",
                    "holds",
                    "the contract's `security`, scopes and roles that are demanded".to_owned(),
                ),
                Err(why) => add("require", "fails", bartizan_model::Reason::detail(&why).into_owned()),
            }
        }
        let path = self.actions.below(&transaction.request.path);
        if let Some(table) = &self.roles {
            match table.decide(&self.actions, id, &caller.ids, || folded(path)) {
                Some(grant) => add("role", "permits", grant.to_string()),
                None => {
                    let file = self.roles_file.as_deref().unwrap_or_default();
                    add(
                        "role",
                        "does not apply",
                        format!("no role of the caller has `{}` in `{file}`", action.name),
                    );
                }
            }
        }
        if let Some(policies) = &self.policies {
            let facts = self.facts(action, path, caller, &lineage, transaction, body);
            for (number, judged) in policies.explain(id, &facts) {
                let Some(info) = policies.get(number) else { continue };
                let says =
                    match (&judged.errors.first(), judged.permits.is_empty(), judged.forbids.is_empty()) {
                        (Some(_), ..) => "error",
                        (None, false, _) => "permits",
                        (None, true, false) => "forbids",
                        (None, true, true) => "does not apply",
                    };
                let why = judged.errors.first().map(|(_, why)| format!(": {why}")).unwrap_or_default();
                add("policy", says, format!("{}{why}", info.told));
            }
        }
        if let Some(rego) = &self.rego {
            let ruled = rego.judge(&self.facts(action, path, caller, &lineage, transaction, body));
            let mut rules = |says, all: &[std::sync::Arc<str>]| {
                for one in all {
                    add("policy", says, one.to_string());
                }
            };
            rules("forbids", &ruled.forbids);
            rules("permits", &ruled.permits);
            match ruled.error {
                Some(why) => add("policy", "error", why),
                None if ruled.forbids.is_empty() && ruled.permits.is_empty() => {
                    add("policy", "does not apply", "no rule in Rego holds".to_owned());
                }
                None => {}
            }
        }
        if let Some(point) = &self.point {
            let told = || point.told().to_string();
            match elsewhere {
                Elsewhere::Permits(_) => add("authzen", "permits", told()),
                Elsewhere::Refuses(why) => add("authzen", "forbids", why.clone()),
                Elsewhere::Unavailable(why) | Elsewhere::Assumed(why) => add("authzen", "error", why.clone()),
                Elsewhere::Nothing => {
                    add("authzen", "does not apply", format!("{} was not asked, or gives no answer", told()))
                }
            }
        }
        report
    }
}
