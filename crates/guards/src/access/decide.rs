//! One decision: the contract's demands, the block's, then who permits and who forbids.

use std::{borrow::Cow, sync::Arc};

use bartizan_authz::{
    Action, ActionId, Facts, Judged, RoleId,
    cedar::Body,
    roles::{ANONYMOUS, AUTHENTICATED},
};
use bartizan_model::{
    CredentialKind, Outcome, Principal, Transaction,
    compile::{SchemeDemand, SchemeKind, SecurityAlternative},
    services::UseOf,
};
use bartizan_pattern::path::folded;
use serde_json::Value;
use smallvec::SmallVec;

use super::{Access, authzen::Elsewhere, reason::Why};
use crate::identity::Shown;

/// Roles of one caller that are looked at: more than any real credential names.
const MAX_ROLES: usize = 256;

/// A caller as decisions see it.
pub(super) struct Caller<'t> {
    pub principal: Option<&'t Principal>,
    /// Whether a client certificate was shown, besides whatever else was.
    pub certificate: bool,
    /// The roles as the credential names them.
    pub names: SmallVec<[&'t str; 8]>,
    /// Those of them that the roles file has, and those that it adds.
    pub ids: SmallVec<[RoleId; 8]>,
    /// What was shown of the kinds that a contract demands.
    pub shown: Option<&'t Shown>,
}

impl Caller<'_> {
    /// Whether the request showed what a contract demands, as far as that is accepted here: a kind of credential that is
    /// not cannot be told from another, and counts as shown. Scopes of a key are scopes.
    fn meets(&self, demand: &SchemeDemand, principal: &Principal) -> bool {
        let Some(shown) = self.shown else { return true };
        match demand.kind {
            SchemeKind::Token if shown.taken.tokens => {
                let has = |name: &Arc<str>| principal.scopes.contains(name);
                shown.token || (!demand.names.is_empty() && demand.names.iter().all(has))
            }
            SchemeKind::ApiKey => match demand.field.as_deref() {
                Some(field) if shown.taken.keys.iter().any(|own| own == field) => {
                    shown.keys.iter().any(|own| own == field)
                }
                _ => shown.taken.keys.is_empty() || !shown.keys.is_empty(),
            },
            // A certificate is looked for by itself.
            SchemeKind::Token | SchemeKind::Certificate | SchemeKind::Other => true,
        }
    }
}

/// Who permitted an exchange.
pub(super) type Permitted = SmallVec<[Arc<str>; 2]>;

impl Access {
    /// The caller of an exchange.
    pub(super) fn caller<'t>(&self, principal: Option<&'t Principal>, certificate: bool) -> Caller<'t> {
        let mut names: SmallVec<[&'t str; 8]> = SmallVec::new();
        if let Some(principal) = principal {
            names.extend(principal.roles.iter().take(MAX_ROLES).map(|name| &**name));
            for claim in &self.role_claims {
                match principal.attributes.get(claim) {
                    Some(Value::String(name)) => names.push(name),
                    Some(Value::Array(items)) => {
                        names.extend(items.iter().take(MAX_ROLES).filter_map(Value::as_str));
                    }
                    _ => {}
                }
            }
        }
        let member = principal.map(|principal| (&*principal.issuer, &*principal.subject));
        let ids = self.roles.as_ref().map(|table| table.roles_of(member, names.iter().copied()));
        Caller { principal, certificate, ids: ids.unwrap_or_default(), names, shown: None }
    }

    /// Every role of a caller by name, inherited ones included.
    pub(super) fn lineage<'a>(&'a self, caller: &'a Caller<'_>) -> SmallVec<[&'a str; 16]> {
        let mut all: SmallVec<[&'a str; 16]> = SmallVec::new();
        let known = caller.ids.iter().flat_map(|id| self.roles.iter().flat_map(|table| table.lineage(*id)));
        let named = caller.names.iter().map(|name| -> &'a str { name });
        for name in named.chain(known.map(|name| &**name)) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        all
    }

    /// What the head alone decides: that there is a caller, scopes and roles that are demanded.
    pub(super) fn demands(&self, action: ActionId, caller: &Caller<'_>) -> Result<(), Why> {
        if let Some(Some(alternatives)) = self.security.get(action.index()) {
            self.contract(alternatives, caller)?;
        }
        let demanded = !self.require_scopes.is_empty() || !self.require_roles.is_empty();
        let Some(principal) = caller.principal else {
            return if demanded {
                Err(self.unauthenticated("`require_scopes` or `require_roles` of the policy needs a caller"))
            } else {
                Ok(())
            };
        };
        let missing = lacking(principal, &self.require_scopes);
        if !missing.is_empty() {
            return Err(Why::Scope {
                realm: Arc::clone(&self.api),
                needed: self.require_scopes.clone(),
                detail: format!("the credential lacks {}, which `require_scopes` demands", listed(&missing)),
            });
        }
        let lineage = self.lineage(caller);
        if !self.require_roles.is_empty() && !self.require_roles.iter().any(|role| lineage.contains(&&**role))
        {
            return Err(Why::Role {
                detail: format!(
                    "the caller has {}, and `require_roles` demands one of {}",
                    roles(&lineage),
                    listed(&self.require_roles)
                ),
            });
        }
        Ok(())
    }

    /// The contract's `security`: one of its alternatives has to hold.
    fn contract(&self, alternatives: &[SecurityAlternative], caller: &Caller<'_>) -> Result<(), Why> {
        if alternatives.iter().any(Vec::is_empty) || alternatives.is_empty() {
            return Ok(());
        }
        let Some(principal) = caller.principal else {
            return Err(self.unauthenticated("the contract's `security` demands a caller"));
        };
        let missing = |alternative: &SecurityAlternative| -> Vec<Arc<str>> {
            let demands = alternative.iter();
            let lacking = demands.flat_map(|demand| {
                let has = |name: &Arc<str>| {
                    let role = !demand.scopes && caller.names.contains(&&**name);
                    role || principal.scopes.contains(name)
                };
                demand.names.iter().filter(move |name| !has(name)).cloned().collect::<Vec<_>>()
            });
            lacking.collect()
        };
        let met: SmallVec<[&SecurityAlternative; 4]> = alternatives
            .iter()
            .filter(|one| one.iter().all(|demand| caller.meets(demand, principal)))
            .collect();
        if met.is_empty() {
            let schemes: Vec<Arc<str>> =
                alternatives.iter().flatten().map(|demand| Arc::clone(&demand.scheme)).collect();
            let detail =
                format!("the contract's `security` demands another kind of credential: {}", listed(&schemes));
            return Err(self.unauthenticated(&detail));
        }
        let Some(candidates) = candidates(&met, principal, caller.certificate) else {
            return Err(Why::Denied {
                detail: "the contract's `security` demands a client certificate, and there is none"
                    .to_owned(),
                remedy: "connect with a certificate that `client_auth` of the listener accepts".to_owned(),
            });
        };
        // The alternative that is nearest to hold is the one to tell of.
        let nearest =
            candidates.iter().map(|one| (missing(one), *one)).min_by_key(|(missing, _)| missing.len());
        match nearest {
            Some((missing, alternative)) if !missing.is_empty() => Err(Why::Scope {
                realm: Arc::clone(&self.api),
                needed: alternative.iter().flat_map(|demand| demand.names.iter().cloned()).collect(),
                detail: format!("the credential lacks {}, which the contract demands", listed(&missing)),
            }),
            _ => Ok(()),
        }
    }

    fn unauthenticated(&self, detail: &str) -> Why {
        Why::Unauthenticated { realm: Arc::clone(&self.api), detail: detail.to_owned() }
    }

    /// Whether something has to permit what is done here.
    pub(super) fn is_closed(&self) -> bool {
        self.roles.is_some() || self.policies.is_some() || self.rego.is_some() || self.point.is_some()
    }

    /// Who permits it, and that nobody forbids it.
    pub(super) fn grants(
        &self,
        id: ActionId,
        caller: &Caller<'_>,
        transaction: &Transaction,
        body: Body<'_>,
        elsewhere: &Elsewhere,
    ) -> Result<Permitted, Why> {
        let Some(action) = self.actions.get(id) else {
            return Err(Why::Undecided { detail: "the operation is not known to the policy".to_owned() });
        };
        let path = self.actions.below(&transaction.request.path);
        let grant = self
            .roles
            .as_ref()
            .and_then(|table| table.decide(&self.actions, id, &caller.ids, || folded(path)));
        let judged = match &self.policies {
            Some(policies) if !policies.applicable(id).is_empty() => {
                let lineage = self.lineage(caller);
                policies.judge(id, &self.facts(action, path, caller, &lineage, transaction, body))
            }
            _ => Judged::default(),
        };
        let ruled = self.rego.as_ref().map(|rego| {
            let lineage = self.lineage(caller);
            rego.judge(&self.facts(action, path, caller, &lineage, transaction, body))
        });
        let ruled = ruled.unwrap_or_default();
        let told = |number: &u32| {
            let info = self.policies.as_ref().and_then(|policies| policies.get(*number));
            info.map_or_else(|| Arc::from("a policy"), |info| Arc::clone(&info.told))
        };
        let listed = |numbers: &[u32]| numbers.iter().map(told).collect::<Vec<_>>().join(", ");
        if !judged.forbids.is_empty() {
            let description = judged.forbids.first().and_then(|number| {
                let info = self.policies.as_ref()?.get(*number)?;
                info.description.as_ref().map(|text| format!(": {text}"))
            });
            let detail = format!("{} forbids it{}", listed(&judged.forbids), description.unwrap_or_default());
            return Err(Why::Forbidden { detail });
        }
        if !ruled.forbids.is_empty() {
            return Err(Why::Forbidden { detail: format!("{} forbids it", ruled.forbids.join(", ")) });
        }
        // Rules permit and forbid at once: where they cannot be asked, nobody knows what they forbid.
        if let Some(why) = ruled.error {
            return Err(Why::Undecided { detail: format!("the rules cannot be evaluated: {why}") });
        }
        // A policy that forbids and cannot be asked is taken to forbid; one that permits, not to permit.
        let forbids = |number: &u32| {
            let info = self.policies.as_ref().and_then(|policies| policies.get(*number));
            info.is_none_or(|info| info.forbids)
        };
        let failed = judged.errors.iter().find(|(number, _)| forbids(number));
        if let Some((number, why)) = failed {
            let detail = format!("{} forbids, and cannot be evaluated: {why}", told(number));
            return Err(Why::Undecided { detail });
        }
        let permits = match elsewhere {
            Elsewhere::Refuses(_) if caller.principal.is_none() => {
                return Err(
                    self.unauthenticated("the decision point refuses it to callers without a credential")
                );
            }
            Elsewhere::Refuses(detail) => return Err(Why::Refused { detail: detail.clone() }),
            Elsewhere::Unavailable(detail) => return Err(Why::Unavailable { detail: detail.clone() }),
            Elsewhere::Permits(who) => Some(Arc::clone(who)),
            Elsewhere::Assumed(why) => {
                Some(Arc::from(format!("nobody: {why}, and `authzen.unavailable` is `allow`")))
            }
            Elsewhere::Nothing => None,
        };
        let permitted: Permitted = grant
            .map(|grant| Arc::clone(&grant.told))
            .into_iter()
            .chain(judged.permits.iter().map(told))
            .chain(ruled.permits)
            .chain(permits)
            .collect();
        if !permitted.is_empty() {
            return Ok(permitted);
        }
        if caller.principal.is_none() {
            return Err(self.unauthenticated("nothing permits it to callers without a credential"));
        }
        if let Some((number, why)) = judged.errors.first() {
            let detail = format!("nothing permits it; {} cannot be evaluated: {why}", told(number));
            return Err(Why::Undecided { detail });
        }
        Err(self.denied(id, action, caller))
    }

    pub(super) fn facts<'a>(
        &'a self,
        action: &'a Action,
        path: &'a str,
        caller: &'a Caller<'_>,
        lineage: &'a [&'a str],
        transaction: &'a Transaction,
        body: Body<'a>,
    ) -> Facts<'a> {
        Facts {
            request: &transaction.request,
            principal: caller.principal,
            ip: transaction.client.ip,
            api: &self.api,
            time: transaction.started,
            action,
            path,
            roles: lineage,
            body,
            geo: self.geo.as_ref(),
            zone: self.zone,
            risk: transaction.risk.into(),
        }
    }

    /// Deny by default, with what was looked at.
    fn denied(&self, id: ActionId, action: &Action, caller: &Caller<'_>) -> Why {
        let lineage = self.lineage(caller);
        let mut looked = Vec::new();
        let mut remedy = Vec::new();
        if let (Some(table), Some(file)) = (&self.roles, &self.roles_file) {
            looked.push(format!(
                "no role of the caller ({}) has `{}` in `{file}`",
                roles(&lineage),
                action.name
            ));
            let mut holders = table.holders(id).map(|name| format!("`{name}`"));
            let some: Vec<String> = holders.by_ref().take(5).collect();
            remedy.push(if some.is_empty() {
                format!("add the operation to a role in `{file}`")
            } else {
                format!("give the caller one of the roles {}, if it is meant to do this", some.join(", "))
            });
        }
        if let Some(policies) = &self.policies {
            let applicable = policies.applicable(id);
            looked.push(match applicable.len() {
                0 => format!("no policy applies to `{}`", action.name),
                1 => "the policy that applies does not permit it".to_owned(),
                several => format!("none of the {several} policies that apply permits it"),
            });
            let permits =
                applicable.iter().filter_map(|number| policies.get(*number)).find(|info| !info.forbids);
            remedy.push(match permits {
                Some(info) => format!("meet the conditions of {}", info.told),
                None => "write a policy that permits it".to_owned(),
            });
        }
        Why::Denied { detail: looked.join("; "), remedy: remedy.join(", or ") }
    }

    /// Ends the decision: notes who permitted, and what was used.
    pub(super) fn settle_with(
        &self,
        action: ActionId,
        result: Result<Permitted, Why>,
        transaction: &mut Transaction,
    ) -> Outcome<Why> {
        match result {
            Err(why @ Why::Unauthenticated { .. }) => Outcome::Challenge(why),
            Err(why) => Outcome::Deny(why),
            Ok(permitted) => {
                transaction.allowed_by.extend(permitted);
                self.note(action, transaction);
                Outcome::Continue
            }
        }
    }

    /// Counts the roles, scopes and keys that were used; probes and questions count for nothing.
    fn note(&self, id: ActionId, transaction: &Transaction) {
        if transaction.probe || transaction.scratch.is_some() {
            return;
        }
        let Some(action) = self.actions.get(id) else { return };
        let at = transaction.started;
        // What nothing names is told by its template only: paths are no names.
        let used = |of: UseOf, name: &str| self.usage.used(of, name, &self.api, &action.name, at);
        let Some(principal) = transaction.principal.as_deref() else {
            return used(UseOf::Role, ANONYMOUS);
        };
        let names = self.caller(Some(principal), false).names;
        if names.is_empty() {
            used(UseOf::Role, AUTHENTICATED);
        }
        for name in &names {
            used(UseOf::Role, name);
        }
        let contract = self.security.get(id.index()).into_iter().flatten().flatten().flatten();
        let demanded = contract.filter(|demand| demand.scopes).flat_map(|demand| &demand.names);
        let demanded: Vec<&Arc<str>> = demanded.chain(&self.require_scopes).collect();
        for scope in &principal.scopes {
            if demanded.is_empty() || demanded.contains(&scope) {
                used(UseOf::Scope, scope);
            }
        }
        if let (bartizan_model::CredentialKind::ApiKey, Some(key)) =
            (principal.kind, &principal.credential_id)
        {
            used(UseOf::Key, key);
        }
    }
}

/// The alternatives of the contract that this kind of credential is for: a token without the scope that the contract demands
/// of tokens is not let in by the alternative for API keys. Where none is for it, those that demand scopes, if any does.
/// `None` where all of them demand a client certificate, and there is none.
fn candidates<'s>(
    alternatives: &[&'s SecurityAlternative],
    principal: &Principal,
    certificate: bool,
) -> Option<SmallVec<[&'s SecurityAlternative; 4]>> {
    let certified = certificate || principal.kind == CredentialKind::Mtls;
    let fits = |kind: SchemeKind| match kind {
        SchemeKind::Token => matches!(principal.kind, CredentialKind::Jwt | CredentialKind::Opaque),
        SchemeKind::ApiKey => principal.kind == CredentialKind::ApiKey,
        SchemeKind::Certificate => certified,
        SchemeKind::Other => false,
    };
    let all: SmallVec<[&SecurityAlternative; 4]> = alternatives
        .iter()
        .copied()
        .filter(|one| certified || one.iter().all(|demand| demand.kind != SchemeKind::Certificate))
        .collect();
    if all.is_empty() {
        return None;
    }
    let narrowed = |wanted: &dyn Fn(&SchemeDemand) -> bool| {
        let some: SmallVec<[&SecurityAlternative; 4]> =
            all.iter().copied().filter(|one| one.iter().any(wanted)).collect();
        (!some.is_empty()).then_some(some)
    };
    let found = narrowed(&|demand| fits(demand.kind))
        .or_else(|| narrowed(&|demand| demand.kind == SchemeKind::Other))
        .or_else(|| narrowed(&|demand| !demand.names.is_empty()));
    Some(found.unwrap_or(all))
}

fn lacking(principal: &Principal, scopes: &[Arc<str>]) -> Vec<Arc<str>> {
    scopes.iter().filter(|scope| !principal.scopes.contains(scope)).cloned().collect()
}

fn listed(names: &[Arc<str>]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The roles of a caller as they are told; what a credential says is cut to a length.
fn roles(names: &[&str]) -> String {
    if names.is_empty() {
        return "no roles".to_owned();
    }
    let shown = |name: &&str| {
        let name: String =
            name.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        format!("`{name}`")
    };
    let listed: Vec<Cow<'_, str>> = names.iter().take(8).map(|name| Cow::Owned(shown(name))).collect();
    let more = if names.len() > 8 { ", .." } else { "" };
    format!("{}{more}", listed.join(", "))
}
