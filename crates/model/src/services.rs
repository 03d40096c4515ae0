//! What guards need from outside, as traits: all of it outlives a policy and survives a reload.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    Clock, Event, Principal, Rate, Redacted, Timestamp, TokenKey,
    decision_point::{DecisionPoint, Question},
    introspection::{Endpoint, Response, Unavailable},
    redacted::shown_url,
    revocation::Revoked,
};

/// A boxed future, for the few calls that wait through a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The handles that a gateway gives its guards.
#[derive(Clone)]
pub struct Services {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Counters of rate limits.
    pub limits: Arc<dyn LimitStore>,
    /// Remote documents (key sets), fetched in the background.
    pub documents: Arc<dyn Documents>,
    /// API keys.
    pub api_keys: Arc<dyn ApiKeys>,
    /// Second factors of key holders.
    pub factors: Arc<dyn Factors>,
    /// What guards remember from one policy to the next.
    pub kept: Kept,
    /// Keys of clients that sign their requests.
    pub client_keys: Arc<dyn ClientKeys>,
    /// What may be used once.
    pub replay: Arc<dyn Replay>,
    /// Tokens, subjects and sessions that were revoked.
    pub revocations: Arc<dyn Revocations>,
    /// Who asks issuers about opaque tokens.
    pub introspection: Arc<dyn Introspection>,
    /// Who asks decision points elsewhere.
    pub decision_points: Arc<dyn DecisionPoints>,
    /// What is counted of roles, scopes and keys.
    pub usage: Arc<dyn AccessUsage>,
    /// Random bytes.
    pub random: Arc<dyn Random>,
    /// Turns secrets into tokens for findings.
    pub tokens: TokenKey,
}

/// A source of unpredictable bytes.
pub trait Random: Send + Sync {
    /// Fills `buffer`.
    fn fill(&self, buffer: &mut [u8]);
}

/// A limit in GCRA terms (the generic cell rate algorithm).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The time that one unit costs: period / count, in nanoseconds, at least 1.
    pub interval_ns: u64,
    /// Units that may be taken at once, at least 1.
    pub burst: u32,
}

/// What a limit decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitDecision {
    /// Whether the cost was taken.
    pub allowed: bool,
    /// Units left right now.
    pub remaining: u32,
    /// When refused: how long until the cost would be accepted. When allowed: zero.
    pub retry_after: Duration,
    /// How long until the limit is whole again.
    pub reset_after: Duration,
}

/// Bounded, keyed counters.
pub trait LimitStore: Send + Sync {
    /// Takes `cost` units of `key` under `quota` at monotonic time `now`, or nothing when it does not fit.
    ///
    /// `key` is a 128-bit hash over limit and value: collisions are negligible, and no value is kept.
    fn take(&self, key: u128, quota: Quota, cost: u32, now: Duration) -> LimitDecision;

    /// The secret that keys are hashed with, so that nobody outside can aim at a counter. It is the store's own, because
    /// it must stay the same for as long as its counters do; without one, keys are still well spread but predictable.
    fn seeds(&self) -> [u64; 4] {
        [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89]
    }
}

/// A document that was fetched, or read, at some time.
#[derive(Clone, Debug)]
pub struct Document {
    /// The content.
    pub bytes: Arc<[u8]>,
    /// Grows by one with each change of content.
    pub generation: u64,
    /// When it was last fetched well.
    pub fetched: Timestamp,
}

/// Which remote document. For an issuer's discovery the document is the JWKS that the metadata names, not the metadata.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum DocumentSource {
    /// A JWKS at a URL.
    Url(Arc<str>),
    /// The JWKS of an OpenID issuer, by discovery.
    Issuer(Arc<str>),
}

/// As it may be told: keys travel in users and queries of URLs.
impl fmt::Display for DocumentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (DocumentSource::Url(url) | DocumentSource::Issuer(url)) = self;
        f.write_str(&shown_url(url))
    }
}

impl fmt::Debug for DocumentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Remote documents, kept fresh in the background; the last good one serves while the source is down.
pub trait Documents: Send + Sync {
    /// Declares interest: the document is fetched now and then refreshed. Idempotent.
    fn watch(&self, source: &DocumentSource);

    /// The last good document; never waits.
    fn latest(&self, source: &DocumentSource) -> Option<Document>;

    /// Waits for one fetch, shared by all callers, unless the last one was less than 30 s ago; answers what is then the
    /// last good document.
    fn refetch<'a>(&'a self, source: &'a DocumentSource) -> BoxFuture<'a, Option<Document>>;
}

/// What was revoked before its end, and who still uses what has ended: in memory, changed within a second of a change
/// elsewhere.
pub trait Revocations: Send + Sync {
    /// What was revoked that this caller rests on; asked at every use of a credential, cached or not, and for live
    /// streams when something changed. Must not wait.
    fn find(&self, principal: &Principal, now: Timestamp) -> Option<Revoked>;

    /// Notes that a token of a retired issuer was shown; cheap, bounded, written later. `client` and `subject` are as the
    /// token says where it is `verified`, empty where it could not be.
    fn note_retired(&self, issuer: &str, client: &str, subject: &str, verified: bool, now: Timestamp);
}

/// Asks the endpoints that issuers offer for opaque tokens (RFC 7662).
pub trait Introspection: Send + Sync {
    /// One question, shared by all who ask the same at the same time. An endpoint that keeps failing is left alone for a
    /// while. The token is in no log and no error.
    fn ask<'a>(
        &'a self,
        endpoint: &'a Arc<Endpoint>,
        token: &'a Redacted<String>,
    ) -> BoxFuture<'a, Result<Response, Unavailable>>;
}

/// Asks policy decision points elsewhere (OpenID AuthZEN Authorization API 1.0).
pub trait DecisionPoints: Send + Sync {
    /// One question, shared by all who ask the same at the same time: the same caller about the same thing. A point that
    /// keeps failing is left alone for a while. Answers what it answered with 200, at most 64 KiB; no error has a part of
    /// the question.
    fn ask<'a>(
        &'a self,
        point: &'a Arc<DecisionPoint>,
        question: &'a Question,
    ) -> BoxFuture<'a, Result<Arc<[u8]>, Unavailable>>;
}

/// One API key, as stored: the key itself is not in it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ApiKeyRecord {
    /// The public part, safe to show and log.
    pub id: Arc<str>,
    /// SHA-256 of the whole key.
    #[serde(skip_serializing, default)]
    pub hash: [u8; 32],
    /// Whose it is; becomes the principal's subject.
    pub owner: Arc<str>,
    /// What it may do.
    pub scopes: Vec<Arc<str>>,
    /// When it was made.
    pub created: Timestamp,
    /// After which it is refused.
    pub expires: Option<Timestamp>,
    /// Since when it is revoked.
    pub revoked: Option<Timestamp>,
    /// The key that replaces it, when rotated.
    pub successor: Option<Arc<str>>,
    /// The roles of whoever brings it.
    #[serde(default)]
    pub roles: Vec<Arc<str>>,
    /// The tenant of whoever brings it.
    #[serde(default)]
    pub tenant: Option<Arc<str>>,
    /// What else policies may know of whoever brings it, by name.
    #[serde(default)]
    pub attributes: BTreeMap<Arc<str>, serde_json::Value>,
    /// How often it may be used, whatever the policy's limits say.
    #[serde(default)]
    pub limit: Option<KeyLimit>,
}

impl ApiKeyRecord {
    /// A key that may be used from `created` on, without an end, and of which no more is known.
    #[must_use]
    pub fn new(id: Arc<str>, hash: [u8; 32], owner: Arc<str>, created: Timestamp) -> Self {
        ApiKeyRecord {
            id,
            hash,
            owner,
            scopes: Vec::new(),
            created,
            expires: None,
            revoked: None,
            successor: None,
            roles: Vec::new(),
            tenant: None,
            attributes: BTreeMap::new(),
            limit: None,
        }
    }
}

/// How often one key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeyLimit {
    /// Requests in a time.
    pub rate: Rate,
    /// Requests that may come at once, at least 1.
    pub burst: u32,
}

impl KeyLimit {
    /// The limit as counters take it.
    #[must_use]
    pub fn quota(self) -> Quota {
        Quota { interval_ns: self.rate.interval_ns(), burst: self.burst.max(1) }
    }
}

/// The key store as the request path needs it: in memory, changed within a second of a change on disk.
pub trait ApiKeys: Send + Sync {
    /// The record with this SHA-256, revoked and expired ones included.
    fn find(&self, hash: &[u8; 32]) -> Option<Arc<ApiKeyRecord>>;

    /// Whether the key with this public id is revoked or unknown; asked for live streams when something changed.
    fn is_revoked(&self, id: &str) -> bool;

    /// Notes that the key was used; cheap, written later.
    fn used(&self, id: &str, at: Timestamp);
}

/// The hash of a time-based one-time password (RFC 6238 section 1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TotpHash {
    /// HMAC-SHA-1, which every authenticator app knows.
    #[default]
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
}

/// The second factor of a key holder: an authenticator app with six digits in steps of 30 s (RFC 6238).
pub struct Totp {
    /// What the app knows.
    pub secret: Redacted<Vec<u8>>,
    /// Which hash it uses.
    pub hash: TotpHash,
}

/// Second factors of key holders: in memory, changed within a second of a change on disk.
pub trait Factors: Send + Sync {
    /// The owner's second factor.
    fn totp(&self, owner: &str) -> Option<Totp>;

    /// Counts an attempt to show the factor, before it is judged, so that guesses at the same time all count.
    ///
    /// # Errors
    /// There were too many wrong ones: how long to wait.
    fn attempt(&self, owner: &str, now: Timestamp) -> Result<(), Duration>;

    /// Takes the code of time step `step`: `false` when this or a later one was taken before. One that is taken ends the
    /// count of attempts.
    fn accept(&self, owner: &str, step: u64) -> bool;
}

/// Nobody has a second factor.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFactors;

impl Factors for NoFactors {
    fn totp(&self, _: &str) -> Option<Totp> {
        None
    }

    fn attempt(&self, _: &str, _: Timestamp) -> Result<(), Duration> {
        Ok(())
    }

    fn accept(&self, _: &str, _: u64) -> bool {
        false
    }
}

/// What guards remember from one policy to the next, one value of each type: each is bounded by its own cap.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<Vec<Arc<dyn Any + Send + Sync>>>>);

impl Kept {
    /// The value of this type, made when it is first asked for. Asked when a policy is compiled, not by exchanges.
    #[must_use]
    pub fn of<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = all.iter().find_map(|value| Arc::clone(value).downcast::<T>().ok()) {
            return found;
        }
        let made = Arc::new(T::default());
        all.push(Arc::<T>::clone(&made));
        made
    }
}

/// The public key of an enrolled client, as stored.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ClientKeyRecord {
    /// What signatures name as `keyid`.
    pub id: Arc<str>,
    /// Whose it is; becomes the principal's subject.
    pub client: Arc<str>,
    /// The signature algorithm, by its name in the registry of RFC 9421: `ed25519`, `ecdsa-p256-sha256`, ...
    pub algorithm: Arc<str>,
    /// The public key: PEM, `PUBLIC KEY`.
    pub public_key: Arc<str>,
    /// When it was enrolled.
    pub created: Timestamp,
    /// After which it is refused.
    pub expires: Option<Timestamp>,
    /// Since when it is revoked.
    pub revoked: Option<Timestamp>,
    /// The key that replaces it, when rotated.
    pub successor: Option<Arc<str>>,
}

/// Enrolled clients as the request path needs them: in memory, changed within a second of a change on disk.
pub trait ClientKeys: Send + Sync {
    /// The record of this key, revoked and expired ones included.
    fn find(&self, id: &str) -> Option<Arc<ClientKeyRecord>>;

    /// Notes that the key was used; cheap, written later.
    fn used(&self, id: &str, at: Timestamp);
}

/// Whether a value is used for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is, and is noted from now on.
    First,
    /// It was used before.
    Again,
    /// Nothing more can be noted: whoever demands a first use has to refuse.
    Full,
}

/// Values that may be used once: nonces of signatures, `jti` of proofs. Bounded.
pub trait Replay: Send + Sync {
    /// Notes `key` until `until`, unless it is noted already at `now`.
    ///
    /// `key` is a 128-bit hash over the kind, the key and the value: collisions are negligible, and no value is kept.
    fn take(&self, key: u128, until: Timestamp, now: Timestamp) -> Use;
}

/// What was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UseOf {
    /// A role of a caller.
    Role,
    /// A scope of a credential.
    Scope,
    /// An API key, by its public id.
    Key,
}

impl UseOf {
    /// Its name in tables and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            UseOf::Role => "role",
            UseOf::Scope => "scope",
            UseOf::Key => "key",
        }
    }
}

/// What roles, scopes and keys are used for, so that what is never used can be taken away.
pub trait AccessUsage: Send + Sync {
    /// Notes one use; cheap and bounded, written later.
    fn used(&self, of: UseOf, name: &str, api: &str, operation: &str, at: Timestamp);
}

/// Notes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoUsage;

impl AccessUsage for NoUsage {
    fn used(&self, _: UseOf, _: &str, _: &str, _: &str, _: Timestamp) {}
}

/// Where recent events are kept for `why`: the newest ones, up to a cap of the implementation.
pub trait EventStore: Send + Sync {
    /// Stores a batch, each event with its JSON text; the oldest events beyond the cap are removed. May wait for a
    /// disk: it is called on a thread of its own.
    ///
    /// # Errors
    /// The text for the operator. The batch is lost; the next one is tried again.
    fn insert(&self, batch: Vec<(Arc<Event>, String)>) -> Result<(), String>;
}

/// Addresses that are banned right now.
pub trait Bans: Send + Sync {
    /// Whether `ip` is banned at `now`. Asked once per connection and once per exchange: it must not wait.
    fn is_banned(&self, ip: std::net::IpAddr, now: Timestamp) -> bool;
}
