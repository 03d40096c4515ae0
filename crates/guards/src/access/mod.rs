//! Decides who may do what: by roles, by Cedar policies, and by the scopes that the contract demands.
//!
//! # What it does
//! Once `roles` or `policies` are written, everything is refused that neither permits. A role has operations, by method and
//! path, pattern or tag; a policy decides by caller, operation, path, query, header and body fields, address, country, network,
//! time, strength of the credential and risk. A policy that forbids wins over everything that permits. Policies are validated
//! against the API's operations when they are loaded: a wrong name is an error at its line.
//!
//! The contract's `security` needs no setting: where an API has a contract and `identity`, an operation that demands a
//! caller or scopes gets them, and alternatives are for the credentials that they name. `require_scopes` and `require_roles` narrow further, for an API or for operations.
//!
//! `authzen` asks a decision point elsewhere (OpenID AuthZEN Authorization API 1.0) about every request, besides roles and
//! policies: what it refuses is refused, what it permits is permitted unless a policy forbids it.
//!
//! Each decision names what made it: the role or policy, its file and line, in findings, events, `why` and `explain`.
//!
//! # Why
//! OWASP API5:2023 (broken function level authorization), API1:2023 and API3:2023 as far as they are decided by what the
//! request says: the first causes of breaches of APIs.
//!
//! # Example
//! ```yaml
//! roles: file:roles.yaml
//! policies: file:bank.cedar
//! require_scopes: [bank]
//! ```
//! ```yaml
//! # roles.yaml
//! roles:
//!   customer: [GET /accounts/**, POST /transfers]
//!   teller: { inherits: [customer], allow: ["read /reports/*"] }
//! ```
//! ```cedar
//! @id("large-transfers")
//! forbid (principal, action == Action::"POST /transfers", resource)
//! when { context.body.amount > 10000 && principal.strength == "bearer" };
//! ```
//!
//! # When it refuses
//! 401 where there is no caller and the operation is not for everybody; 403 where the caller lacks a scope (RFC 6750
//! section 3.1), a role, or a permission, where a policy or a decision point forbids, and where a policy that forbids cannot be
//! evaluated; 503 where the decision point gives no answer and `authzen.unavailable` is `deny`. The table below has the codes.
//!
//! # Limits
//! It sees the request only: whose object comes back is for `ownership`. By a value that is missing a policy does not permit,
//! and one that forbids refuses, unless it asks with `has`. A value that stands there twice or has another type, and a body
//! that cannot be read or is longer than `max_body`, refuse in either case. Policies are looked up by operation; those that
//! name none are evaluated for all.
//! Summer time is not followed by `zone`. A decision point is told no body, and its answers hold for `authzen.cache`.
//!
//! # References
//! - The Cedar policy language, docs.cedarpolicy.com
//! - OpenAPI 3.1, Security Requirement Object
//! - RFC 6750 section 3.1, `insufficient_scope`
//! - OpenID AuthZEN, Authorization API 1.0
//! - OWASP API Security Top 10 2023, API5

mod authzen;
mod compile;
mod config;
mod decide;
mod matrix;
mod probes;
mod reason;
mod report;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bartizan_authz::{Actions, Geo, Policies, Rego, RoleTable, Zone, cedar::Body};
use bartizan_model::{
    CompileContext, Denial, Diagnostics, Guard, Mode, Outcome, Phase, Timestamp, Transaction,
    compile::SecurityAlternative, probe::Probes, services::AccessUsage,
};
use bartizan_pattern::body::Reading;

use self::authzen::{Elsewhere, Point};

pub use config::{Authzen, Config, FileList, GeoFiles, Offset, Security, WithoutPoint};
pub use matrix::Cell;
pub use reason::Why;
pub use report::{Line, Report};

use crate::{body::HeldBody, identity::Shown};

/// The compiled guard.
pub struct Access {
    api: Arc<str>,
    actions: Actions,
    /// What the contract demands of each action.
    security: Vec<Option<Vec<SecurityAlternative>>>,
    require_scopes: Vec<Arc<str>>,
    require_roles: Vec<Arc<str>>,
    role_claims: Vec<Arc<str>>,
    roles: Option<RoleTable>,
    roles_file: Option<Arc<str>>,
    policies: Option<Policies>,
    rego: Option<Rego>,
    geo: Option<Geo>,
    zone: Zone,
    point: Option<Point>,
    max_body: usize,
    usage: Arc<dyn AccessUsage>,
}

impl Guard for Access {
    const ID: &'static str = "access";
    type Config = Config;
    type Reason = Why;

    fn compile(config: Config, context: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        compile::compile(config, context)
    }

    async fn request_headers(&self, transaction: &mut Transaction) -> Outcome<Why> {
        let action = self.actions.find(&transaction.operation, &transaction.request.method);
        let principal = transaction.principal.clone();
        let shown = transaction.memory.take::<Shown>(Shown::KEY);
        let mut caller = self.caller(principal.as_deref(), transaction.certificate.is_some());
        caller.shown = shown.as_deref();
        let demanded = self.demands(action, &caller);
        let waits = demanded.is_ok() && self.waits(action);
        let elsewhere = match (&self.point, self.actions.get(action)) {
            (Some(point), Some(named)) if demanded.is_ok() => point.decide(self, named, transaction).await,
            _ => Elsewhere::Nothing,
        };
        if transaction.probe && transaction.trace.is_some() && !waits {
            let report = self.report(action, &caller, transaction, Body::Absent, &elsewhere);
            transaction.memory.keep(Self::ID, Box::new(report));
        }
        if let Elsewhere::Assumed(detail) = &elsewhere {
            let why = Why::Assumed { detail: detail.clone() };
            let finding = Denial::of(Self::ID, &why).finding(Phase::RequestHeaders, Mode::Monitor);
            transaction.find(finding);
        }
        if waits {
            transaction.memory.keep(Elsewhere::ID, Box::new(elsewhere));
            return Outcome::Continue;
        }
        let result = demanded.and_then(|()| {
            if self.is_closed() {
                self.grants(action, &caller, transaction, Body::Absent, &elsewhere)
            } else {
                Ok(decide::Permitted::new())
            }
        });
        self.settle_with(action, result, transaction)
    }

    fn needs_body(&self, transaction: &Transaction) -> Option<usize> {
        let action = self.actions.find(&transaction.operation, &transaction.request.method);
        self.waits(action).then_some(self.max_body)
    }

    fn probes(&self, _: Timestamp) -> Probes {
        probes::offer(self)
    }
}

impl Access {
    /// Whether the decision about an action waits for the body.
    fn waits(&self, action: bartizan_authz::ActionId) -> bool {
        self.policies.as_ref().is_some_and(|policies| policies.needs_body(action))
            || self.rego.as_ref().is_some_and(Rego::needs_body)
    }

    /// Decides with the body, where some policy reads it; also where there is none.
    pub fn request_body(&self, transaction: &mut Transaction, body: &HeldBody) -> Outcome<Why> {
        let action = self.actions.find(&transaction.operation, &transaction.request.method);
        if !self.waits(action) {
            return Outcome::Continue;
        }
        let principal = transaction.principal.clone();
        let caller = self.caller(principal.as_deref(), transaction.certificate.is_some());
        let content = content(body);
        let elsewhere = transaction.memory.take::<Elsewhere>(Elsewhere::ID);
        let elsewhere = elsewhere.map_or(Elsewhere::Nothing, |kept| *kept);
        if transaction.probe && transaction.trace.is_some() {
            let report = self.report(action, &caller, transaction, content, &elsewhere);
            transaction.memory.keep(Self::ID, Box::new(report));
        }
        let result = self
            .demands(action, &caller)
            .and_then(|()| self.grants(action, &caller, transaction, content, &elsewhere));
        self.settle_with(action, result, transaction)
    }

    /// The operations that it decides about.
    #[must_use]
    pub fn actions(&self) -> &Actions {
        &self.actions
    }

    /// The roles, where the block has some.
    #[must_use]
    pub fn roles(&self) -> Option<&RoleTable> {
        self.roles.as_ref()
    }

    /// The policies, where the block has some.
    #[must_use]
    pub fn policies(&self) -> Option<&Policies> {
        self.policies.as_ref()
    }
}

/// What policies see of a body.
fn content(body: &HeldBody) -> Body<'_> {
    if body.whole && body.bytes.is_empty() {
        return Body::Absent;
    }
    match body.reading() {
        Reading::Parsed(parsed) if body.whole => Body::Read(parsed.content),
        _ => Body::Unreadable,
    }
}
