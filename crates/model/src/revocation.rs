//! What can be revoked before its end.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Principal, Timestamp, services::Revocations};

/// What is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revoked {
    /// One token, by its `jti` or its digest.
    Token,
    /// What was issued to a subject, or all of it before some time.
    Subject,
    /// A session at the issuer (`sid`).
    Session,
    /// What an issuer issued before some time.
    Issuer,
}

impl Revoked {
    /// The stable lower-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Revoked::Token => "token",
            Revoked::Subject => "subject",
            Revoked::Session => "session",
            Revoked::Issuer => "issuer",
        }
    }

    /// The kind of a stable name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Revoked::Token, Revoked::Subject, Revoked::Session, Revoked::Issuer]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// How a revoked token is named that has no `jti`: this and 64 hexadecimal digits of its SHA-256.
pub const DIGEST: &str = "sha256:";

/// The name of a digest.
#[must_use]
pub fn digest_name(digest: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::from(DIGEST), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// One entry of the deny-list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// What is revoked.
    pub kind: Revoked,
    /// The policy's name of the issuer, or `bartizan` for API keys. Empty for a token by its digest, which needs none.
    pub issuer: Arc<str>,
    /// The `jti`, `sha256:` digest, subject or `sid`; empty where a whole issuer is meant.
    pub value: Arc<str>,
    /// Only what was issued before; `None` for all, whenever it was issued.
    pub issued_before: Option<Timestamp>,
    /// When the entry is forgotten; `None` never.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
    /// When it was made.
    pub created: Timestamp,
    /// Who made it.
    pub by: String,
}

impl Revocation {
    /// Whether an entry that names this caller, or what it rests on, is in force at `now` for when its credential was
    /// issued. What does not say when it was issued counts as issued before.
    #[must_use]
    pub fn holds(
        issued_before: Option<Timestamp>,
        until: Option<Timestamp>,
        principal: &Principal,
        now: Timestamp,
    ) -> bool {
        until.is_none_or(|until| now < until)
            && issued_before.is_none_or(|before| principal.issued.is_none_or(|issued| issued < before))
    }
}

/// Where nothing is served, nothing is revoked.
#[derive(Clone, Copy, Debug, Default)]
pub struct NothingRevoked;

impl Revocations for NothingRevoked {
    fn find(&self, _: &Principal, _: Timestamp) -> Option<Revoked> {
        None
    }

    fn note_retired(&self, _: &str, _: &str, _: &str, _: bool, _: Timestamp) {}
}
