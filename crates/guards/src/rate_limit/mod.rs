//! Bounds how much one caller may ask in a time.
//!
//! # What it does
//! Counts requests per client address, per principal or per value of a header field, and refuses those beyond the rate. A
//! caller may save up to `burst` requests and spend them at once; the rest comes back evenly (the generic cell rate
//! algorithm, GCRA), so there is no window at whose edge twice the rate slips through. Every response tells the caller
//! where it stands: `RateLimit-Policy`, `RateLimit`, and the older `X-RateLimit-*` of the tightest limit.
//!
//! A limit counts in the scope where it is written: operations that share an API's limit share its counters. Limits with
//! `key: ip` are taken before anybody is identified, so that guessing credentials is limited too; the others after.
//!
//! # Why
//! OWASP API4:2023 (unrestricted resource consumption), API2:2023 (broken authentication: guessing) and API6:2023
//! (sensitive business flows). RFC 6585 section 4 defines 429; draft-ietf-httpapi-ratelimit-headers-10 the fields.
//!
//! # Example
//! ```yaml
//! - { name: per-address, key: ip, rate: 20/s }
//! - { name: per-caller, key: principal, rate: 100/s, burst: 200 }
//! - { name: per-device, key: header.x-device-id, rate: 60/m, cost: 2 }
//! ```
//!
//! # When it refuses
//! With 429 and `Retry-After` (whole seconds, rounded up): the request's cost does not fit into what is left. A refused
//! request costs nothing under the limit that refused it, but what earlier limits of the list took stays taken.
//!
//! # Limits
//! IPv6 addresses count by their /64. Keys by `request.body.*`, `session` and `claims.*` are not available in this version.
//! A caller chooses its header values: pair a `header.` limit with one by `ip`. A request without the header, or with
//! an empty one, counts under its address, as does an anonymous caller under `principal`. Counters take 32 bytes each, in a
//! table that is made for 1,048,576 of them and never grows beyond 64 MiB. When it is full, finished counters go first
//! and then those closest to whole, so that a flood of new keys does not free a caller who is at its limit. Counters are
//! this process's own and end with it; they survive a reload as long as limit name and scope stay. An upstream's own
//! `X-RateLimit-*` stay where it has less left, its `RateLimit` fields beside ours.
//!
//! # References
//! - RFC 6585 section 4 (429), RFC 9110 section 10.2.3 (Retry-After)
//! - draft-ietf-httpapi-ratelimit-headers-10
//! - ITU-T I.371, the generic cell rate algorithm
//! - OWASP API Security Top 10 2023, API4

mod config;
mod fields;
mod key;
mod probes;
mod reason;
pub mod table;
#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc};

use bartizan_model::{
    CompileContext, Diagnostics, Guard, Outcome, ResponseHead, Timestamp, Transaction,
    address::limiting_key,
    probe::Probes,
    services::{LimitStore, Quota},
};

pub use config::{Config, Limit};
pub use reason::Why;

use self::{config::Key, fields::LimitFields, key::KeyHasher};

/// The part of the limits that needs no identity: `key: ip` entries, run before anything is verified.
pub struct AddressLimits(Limits);

/// The limits by principal and header, run once the caller is known.
pub struct RateLimits(Limits);

impl Guard for AddressLimits {
    const ID: &'static str = "rate_limit";
    type Config = Config;
    type Reason = Why;

    fn compile(config: Config, context: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        Limits::compile(&config, context, |key| *key == Key::Ip).map(AddressLimits)
    }

    async fn request_headers(&self, transaction: &mut Transaction) -> Outcome<Why> {
        self.0.take(transaction)
    }

    fn probes(&self, _: Timestamp) -> Probes {
        probes::offer(&self.0, false)
    }
}

impl AddressLimits {
    /// How many limits each exchange asks here.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.limits.len()
    }
}

impl Guard for RateLimits {
    const ID: &'static str = "rate_limit";
    type Config = Config;
    type Reason = Why;

    fn compile(config: Config, context: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        Limits::compile(&config, context, |key| *key != Key::Ip).map(RateLimits)
    }

    async fn request_headers(&self, transaction: &mut Transaction) -> Outcome<Why> {
        self.0.take(transaction)
    }

    fn response_headers(&self, transaction: &Transaction, response: &mut ResponseHead) {
        fields::settle_legacy(&transaction.response_headers, &mut response.headers);
    }

    fn probes(&self, _: Timestamp) -> Probes {
        probes::offer(&self.0, true)
    }
}

/// The limits of one of the two places, in the order of the document.
struct Limits {
    limits: Vec<CompiledLimit>,
    /// The list limits addresses, too.
    by_address: bool,
    store: Arc<dyn LimitStore>,
    hasher: KeyHasher,
}

struct CompiledLimit {
    name: Arc<str>,
    scope: Arc<str>,
    rate: bartizan_model::Rate,
    key: Key,
    quota: Quota,
    cost: u32,
    fields: LimitFields,
    /// The hash over scope, name and kind of key: what keeps limits apart in the one table.
    id: u128,
}

impl Limits {
    fn compile(
        config: &Config,
        context: &CompileContext<'_>,
        mine: impl Fn(&Key) -> bool,
    ) -> Result<Self, Diagnostics> {
        let store = Arc::clone(&context.services.limits);
        let hasher = KeyHasher::new(store.seeds());
        let checked = config.checked()?;
        let by_address = checked.iter().any(|limit| limit.key == Key::Ip);
        let limits = checked
            .into_iter()
            .enumerate()
            .filter(|(_, limit)| mine(&limit.key))
            .map(|(index, limit)| {
                let scope = (context.scope)(&format!("[{index}]"));
                CompiledLimit {
                    id: hasher.limit(&scope, &limit.name, &limit.key),
                    fields: LimitFields::new(&limit.name, limit.quota),
                    name: limit.name,
                    scope: scope.into(),
                    rate: limit.rate,
                    key: limit.key,
                    quota: limit.quota,
                    cost: limit.cost,
                }
            })
            .collect();
        Ok(Limits { limits, by_address, store, hasher })
    }

    fn take(&self, transaction: &mut Transaction) -> Outcome<Why> {
        // A probe must not spend what callers are owed: it brings counters of its own, or asks no limit.
        let scratch = transaction.scratch.as_ref().map(|scratch| Arc::clone(&scratch.limits));
        if transaction.probe && scratch.is_none() {
            return Outcome::Continue;
        }
        let store = scratch.as_ref().unwrap_or(&self.store);
        for limit in &self.limits {
            let key = self.key(limit, transaction);
            let decision = store.take(key, limit.quota, limit.cost, transaction.ticks);
            limit.fields.append(decision, &mut transaction.response_headers);
            if !decision.allowed {
                return Outcome::Deny(Why::Exceeded {
                    limit: Arc::clone(&limit.name),
                    scope: Arc::clone(&limit.scope),
                    rate: limit.rate,
                    kind: limit.key.kind(),
                    retry_after: decision.retry_after,
                });
            }
        }
        Outcome::Continue
    }

    /// The counter that this request is charged to. What a caller leaves out is replaced by its address, so that leaving
    /// it out gains nothing.
    fn key(&self, limit: &CompiledLimit, transaction: &Transaction) -> u128 {
        let address = || self.address(limit.id, transaction.client.ip);
        match &limit.key {
            Key::Ip => address(),
            Key::Principal => match &transaction.principal {
                Some(principal) => {
                    let parts = [principal.issuer.as_bytes(), principal.subject.as_bytes()];
                    self.hasher.value(limit.id, key::Source::Principal, parts)
                }
                None => address(),
            },
            Key::Header(name) => {
                let values = transaction.request.headers.get_all(name);
                if values.iter().all(|value| value.as_bytes().trim_ascii().is_empty()) {
                    return address();
                }
                let parts = values.iter().map(|value| value.as_bytes().trim_ascii());
                self.hasher.value(limit.id, key::Source::Header, parts)
            }
        }
    }

    fn address(&self, limit: u128, ip: IpAddr) -> u128 {
        match limiting_key(ip) {
            IpAddr::V4(v4) => self.hasher.value(limit, key::Source::Address, [&v4.octets()[..]]),
            IpAddr::V6(v6) => self.hasher.value(limit, key::Source::Address, [&v6.octets()[..]]),
        }
    }
}
