//! Bounds how much one caller may ask in a time.
//!
//! # What it does
//! Counts requests per client address, per principal, or per value of a header field or of a field of the body, and refuses
//! those beyond the rate. A
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
//! - { name: per-login, key: request.body.username, rate: 5/m }
//! ```
//!
//! # When it refuses
//! With 429 and `Retry-After` (whole seconds, rounded up): the request's cost does not fit into what is left. A refused
//! request costs nothing under the limit that refused it, but what earlier limits of the list took stays taken.
//!
//! # Limits
//! IPv6 addresses count by their /64. Keys by `session` and `claims.*` are not available in this version.
//! A limit by a field of the body holds up to 1 MiB of it. Values are compared without regard to case and to blanks around
//! them, as names at a login mostly are. A body that is longer, is a stream, is not what it says it is, or has the field
//! twice does not tell its key: all such requests share one counter, so that hiding the key gains nothing.
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
pub(crate) use fields::LimitFields;
pub use reason::Why;

use self::{config::Key, key::KeyHasher};
use crate::body::{Field, FieldValue, HeldBody};

/// The part of the limits that needs no identity: `key: ip` entries, run before anything is verified.
pub struct AddressLimits(Limits);

/// The limits by principal, header and body, run once the caller is known.
pub struct RateLimits(Limits);

/// Bytes of a body that are held to find a key in it: a login takes less than a thousandth.
const HELD: usize = 1 << 20;

impl Guard for AddressLimits {
    const ID: &'static str = "rate_limit";
    type Config = Config;
    type Reason = Why;

    fn compile(config: Config, context: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        Limits::compile(&config, context, |key| *key == Key::Ip).map(AddressLimits)
    }

    async fn request_headers(&self, transaction: &mut Transaction) -> Outcome<Why> {
        self.0.take(transaction, None)
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
        self.0.take(transaction, None)
    }

    fn needs_body(&self, transaction: &Transaction) -> Option<usize> {
        let by_body = self.0.limits.iter().any(|limit| matches!(limit.key, Key::Body(_)));
        (by_body && transaction.request.content_length != Some(0)).then_some(HELD)
    }

    fn response_headers(&self, transaction: &Transaction, response: &mut ResponseHead) {
        fields::settle_legacy(&transaction.response_headers, &mut response.headers);
    }

    fn probes(&self, _: Timestamp) -> Probes {
        probes::offer(&self.0, true)
    }
}

impl RateLimits {
    /// Asks the limits that count by a field of the body; also where there is none.
    pub fn request_body(&self, transaction: &mut Transaction, body: &HeldBody) -> Outcome<Why> {
        self.0.take(transaction, Some(body))
    }
}

/// The limits of one of the two places, in the order of the document; those that need the body are last.
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
        let mut limits: Vec<CompiledLimit> = checked
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
        limits.sort_by_key(|limit| matches!(limit.key, Key::Body(_)));
        Ok(Limits { limits, by_address, store, hasher })
    }

    /// Asks the limits that need no body, or with a body those that need it.
    fn take(&self, transaction: &mut Transaction, body: Option<&HeldBody>) -> Outcome<Why> {
        // A probe must not spend what callers are owed: it brings counters of its own, or asks no limit.
        let scratch = transaction.scratch.as_ref().map(|scratch| Arc::clone(&scratch.limits));
        if transaction.probe && scratch.is_none() {
            return Outcome::Continue;
        }
        let store = scratch.as_ref().unwrap_or(&self.store);
        let asked = self.limits.iter().filter(|limit| matches!(limit.key, Key::Body(_)) == body.is_some());
        for limit in asked {
            let key = self.key(limit, transaction, body);
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
    fn key(&self, limit: &CompiledLimit, transaction: &Transaction, body: Option<&HeldBody>) -> u128 {
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
            Key::Body(path) => match body.map_or(Field::Unknown, |body| body.field(path)) {
                Field::Absent | Field::One(FieldValue::Null) => address(),
                Field::One(value) if value.as_bytes().trim_ascii().is_empty() => address(),
                Field::One(FieldValue::Text(text)) => {
                    let folded = text.trim().to_lowercase();
                    self.hasher.value(limit.id, key::Source::Body, [folded.as_bytes()])
                }
                Field::One(FieldValue::Structure(_)) | Field::Twice | Field::Unknown => {
                    self.hasher.value(limit.id, key::Source::Unknown, [])
                }
                Field::One(value) => {
                    self.hasher.value(limit.id, key::Source::Body, [value.as_bytes().trim_ascii()])
                }
            },
        }
    }

    fn address(&self, limit: u128, ip: IpAddr) -> u128 {
        match limiting_key(ip) {
            IpAddr::V4(v4) => self.hasher.value(limit, key::Source::Address, [&v4.octets()[..]]),
            IpAddr::V6(v6) => self.hasher.value(limit, key::Source::Address, [&v6.octets()[..]]),
        }
    }
}
