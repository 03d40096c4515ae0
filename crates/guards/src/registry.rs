//! The one table of guards: what is mounted on an operation, what proves that all of them ran, what documents list.

use std::sync::Arc;

use bartizan_model::{
    Cleared, CompileContext, Diagnostics, Guard, Mode, Mounted, Reason, ReasonInfo, ResponseHead, Timestamp,
    Transaction,
    probe::{Offer, Part, Probes},
};
use schemars::Schema;

use crate::{
    access::Access,
    contract::Contract,
    cors::Cors,
    identity::Identity,
    ip_access::IpAccess,
    ownership::Ownership,
    rate_limit::{AddressLimits, RateLimits},
    request_limits::RequestLimits,
    response_contract::ResponseContract,
    security_headers::SecurityHeaders,
    session::Session,
    step_up::StepUp,
    waf::Waf,
};

/// The guards of one operation, each compiled and with its mode. Parts are shared between operations.
#[derive(Clone)]
pub struct Guards {
    /// Which addresses may come.
    pub ip_access: Mounted<IpAccess>,
    /// How much one address may ask, before anything is verified.
    pub address_limits: Mounted<AddressLimits>,
    /// How large and how long a request may be.
    pub request_limits: Mounted<RequestLimits>,
    /// Which origins may read.
    pub cors: Mounted<Cors>,
    /// Who calls.
    pub identity: Mounted<Identity>,
    /// Whether its credential is still its own.
    pub session: Mounted<Session>,
    /// What it has to show beyond a credential.
    pub step_up: Mounted<StepUp>,
    /// What the caller may do.
    pub access: Mounted<Access>,
    /// Whose objects leave.
    pub ownership: Mounted<Ownership>,
    /// How much a principal or a header value may ask.
    pub rate_limit: Mounted<RateLimits>,
    /// What browsers are told.
    pub security_headers: Mounted<SecurityHeaders>,
    /// What the contract calls valid.
    pub contract: Mounted<Contract>,
    /// Which attacks are looked for.
    pub waf: Mounted<Waf>,
    /// What may leave.
    pub response_contract: Mounted<ResponseContract>,
}

/// The places of the pipeline, as one operation has them.
pub type Parts = [Part; 14];

/// The proof that every guard was evaluated under its mode: forwarding takes it by value.
pub struct Clearance {
    /// Which addresses may come.
    pub ip_access: Cleared<IpAccess>,
    /// How much one address may ask, before anything is verified.
    pub address_limits: Cleared<AddressLimits>,
    /// How large and how long a request may be.
    pub request_limits: Cleared<RequestLimits>,
    /// Which origins may read.
    pub cors: Cleared<Cors>,
    /// Who calls.
    pub identity: Cleared<Identity>,
    /// Whether its credential is still its own.
    pub session: Cleared<Session>,
    /// What it has to show beyond a credential.
    pub step_up: Cleared<StepUp>,
    /// What the caller may do.
    pub access: Cleared<Access>,
    /// Whose objects leave.
    pub ownership: Cleared<Ownership>,
    /// How much a principal or a header value may ask.
    pub rate_limit: Cleared<RateLimits>,
    /// What browsers are told.
    pub security_headers: Cleared<SecurityHeaders>,
    /// What the contract calls valid.
    pub contract: Cleared<Contract>,
    /// Which attacks are looked for.
    pub waf: Cleared<Waf>,
    /// What may leave.
    pub response_contract: Cleared<ResponseContract>,
}

/// Where compilation takes each guard's configuration from: the policy's merged blocks for one operation.
pub trait Sections {
    /// The mounted guard for `G::ID`: compiled from its block, shared with another operation that has the same block, or
    /// absent. Problems are reported to the policy's own diagnostics.
    fn mount<G: Guard>(&mut self) -> Mounted<G>;
}

impl Guards {
    /// Compiles every guard of one operation.
    pub fn compile(sections: &mut impl Sections) -> Self {
        Guards {
            ip_access: sections.mount(),
            address_limits: sections.mount(),
            request_limits: sections.mount(),
            cors: sections.mount(),
            identity: sections.mount(),
            session: sections.mount(),
            step_up: sections.mount(),
            access: sections.mount(),
            ownership: sections.mount(),
            rate_limit: sections.mount(),
            security_headers: sections.mount(),
            contract: sections.mount(),
            waf: sections.mount(),
            response_contract: sections.mount(),
        }
    }

    /// Lets every guard look at the response head, in the order of the pipeline.
    pub fn response_headers(&self, transaction: &Transaction, response: &mut ResponseHead) {
        self.ip_access.response_headers(transaction, response);
        self.address_limits.response_headers(transaction, response);
        self.request_limits.response_headers(transaction, response);
        self.cors.response_headers(transaction, response);
        self.identity.response_headers(transaction, response);
        self.session.response_headers(transaction, response);
        self.step_up.response_headers(transaction, response);
        self.access.response_headers(transaction, response);
        self.ownership.response_headers(transaction, response);
        self.rate_limit.response_headers(transaction, response);
        self.security_headers.response_headers(transaction, response);
        self.contract.response_headers(transaction, response);
        self.waf.response_headers(transaction, response);
        self.response_contract.response_headers(transaction, response);
    }

    /// Tells every guard that the exchange ended.
    pub fn settle(&self, transaction: &mut Transaction) {
        self.ip_access.settle(transaction);
        self.address_limits.settle(transaction);
        self.request_limits.settle(transaction);
        self.cors.settle(transaction);
        self.identity.settle(transaction);
        self.session.settle(transaction);
        self.step_up.settle(transaction);
        self.access.settle(transaction);
        self.ownership.settle(transaction);
        self.rate_limit.settle(transaction);
        self.security_headers.settle(transaction);
        self.contract.settle(transaction);
        self.waf.settle(transaction);
        self.response_contract.settle(transaction);
    }

    /// Each place of the pipeline as this operation has it: equal for operations that share all their guards.
    #[must_use]
    pub fn parts(&self) -> Parts {
        let Guards {
            ip_access,
            address_limits,
            request_limits,
            cors,
            identity,
            session,
            step_up,
            access,
            ownership,
            rate_limit,
            security_headers,
            contract,
            waf,
            response_contract,
        } = self;
        [
            ip_access.part(),
            address_limits.part(),
            request_limits.part(),
            cors.part(),
            identity.part(),
            session.part(),
            step_up.part(),
            access.part(),
            ownership.part(),
            rate_limit.part(),
            security_headers.part(),
            contract.part(),
            waf.part(),
            response_contract.part(),
        ]
    }

    /// What each mounted guard that is `wanted` can be probed with, whatever its mode.
    #[must_use]
    pub fn offers(&self, now: Timestamp, wanted: impl Fn(Part) -> bool) -> Vec<Offer> {
        fn offer<G: Guard>(
            mounted: &Mounted<G>,
            now: Timestamp,
            wanted: &impl Fn(Part) -> bool,
        ) -> Option<Offer> {
            if wanted(mounted.part()) { mounted.offer(now) } else { None }
        }
        let Guards {
            ip_access,
            address_limits,
            request_limits,
            cors,
            identity,
            session,
            step_up,
            access,
            ownership,
            rate_limit,
            security_headers,
            contract,
            waf,
            response_contract,
        } = self;
        let all = [
            offer(ip_access, now, &wanted),
            offer(address_limits, now, &wanted),
            offer(request_limits, now, &wanted),
            offer(cors, now, &wanted),
            offer(identity, now, &wanted),
            offer(session, now, &wanted),
            offer(step_up, now, &wanted),
            offer(access, now, &wanted),
            offer(ownership, now, &wanted),
            offer(rate_limit, now, &wanted),
            offer(security_headers, now, &wanted),
            offer(contract, now, &wanted),
            offer(waf, now, &wanted),
            offer(response_contract, now, &wanted),
        ];
        all.into_iter().flatten().collect()
    }

    /// Each guard's id and mode, in the order of the pipeline.
    #[must_use]
    pub fn modes(&self) -> [(&'static str, Mode); 13] {
        [
            (IpAccess::ID, self.ip_access.mode()),
            (RequestLimits::ID, self.request_limits.mode()),
            (Cors::ID, self.cors.mode()),
            (Identity::ID, self.identity.mode()),
            (Session::ID, self.session.mode()),
            (StepUp::ID, self.step_up.mode()),
            (Access::ID, self.access.mode()),
            (Ownership::ID, self.ownership.mode()),
            (RateLimits::ID, self.rate_limit.mode()),
            (SecurityHeaders::ID, self.security_headers.mode()),
            (Contract::ID, self.contract.mode()),
            (Waf::ID, self.waf.mode()),
            (ResponseContract::ID, self.response_contract.mode()),
        ]
    }
}

/// What is known of a guard without mounting it.
pub struct GuardInfo {
    /// The name in configuration.
    pub id: &'static str,
    /// Its module documentation, from which `docs/guards/<id>.md` is generated.
    pub source: &'static str,
    /// The JSON Schema of its configuration.
    pub schema: fn() -> Schema,
    /// Every reason that it can refuse with.
    pub reasons: &'static [ReasonInfo],
    /// Parses a configuration example and compiles it.
    pub check: fn(serde_json::Value, &CompileContext<'_>) -> Result<(), Diagnostics>,
    /// The same, and what the guard can be probed with.
    pub probes: fn(serde_json::Value, &CompileContext<'_>) -> Result<Probes, Diagnostics>,
}

impl GuardInfo {
    const fn of<G: Guard>(source: &'static str) -> Self {
        GuardInfo {
            id: G::ID,
            source,
            schema: || schemars::schema_for!(G::Config),
            reasons: <G::Reason as Reason>::ALL,
            check: |value, context| compiled::<G>(value, context).map(|guard| drop(Arc::new(guard))),
            probes: |value, context| {
                compiled::<G>(value, context).map(|guard| guard.probes(context.services.clock.now()))
            },
        }
    }
}

fn compiled<G: Guard>(value: serde_json::Value, context: &CompileContext<'_>) -> Result<G, Diagnostics> {
    let config = serde_json::from_value(value)
        .map_err(|error| bartizan_model::Diagnostic::error("", error.to_string()))?;
    G::compile(config, context)
}

/// Every guard, in the order of the pipeline.
pub const REGISTRY: &[GuardInfo] = &[
    GuardInfo::of::<IpAccess>(include_str!("ip_access/mod.rs")),
    GuardInfo::of::<RequestLimits>(include_str!("request_limits/mod.rs")),
    GuardInfo::of::<Cors>(include_str!("cors/mod.rs")),
    GuardInfo::of::<Identity>(include_str!("identity/mod.rs")),
    GuardInfo::of::<Session>(include_str!("session/mod.rs")),
    GuardInfo::of::<StepUp>(include_str!("step_up/mod.rs")),
    GuardInfo::of::<Access>(include_str!("access/mod.rs")),
    GuardInfo::of::<Ownership>(include_str!("ownership/mod.rs")),
    GuardInfo::of::<RateLimits>(include_str!("rate_limit/mod.rs")),
    GuardInfo::of::<SecurityHeaders>(include_str!("security_headers/mod.rs")),
    GuardInfo::of::<Contract>(include_str!("contract/mod.rs")),
    GuardInfo::of::<Waf>(include_str!("waf/mod.rs")),
    GuardInfo::of::<ResponseContract>(include_str!("response_contract/mod.rs")),
];
