//! Making, rotating and ending API keys, the same for the admin API and the command line.

use std::{sync::Arc, time::Duration};

use bartizan_guards::identity::api_key::generate;
use bartizan_model::{
    Redacted, Timestamp,
    services::{ApiKeyRecord, Random},
    units::Period,
};
use bartizan_store::{Store, StoreError, StoredKey};

/// Scopes of one key.
const MAX_SCOPES: usize = 64;
/// Bytes of an owner or a scope.
const MAX_NAME: usize = 128;

/// How long a rotated key stays valid beside its successor, unless told otherwise.
pub const OVERLAP: Period = Period(Duration::from_secs(24 * 3600));

/// A key that was just made: its text exists here only.
pub struct Issued {
    /// The whole key: show it once.
    pub plain: Redacted<String>,
    /// The key as stored.
    pub key: StoredKey,
}

/// Why a key was not made.
#[derive(Debug)]
pub enum KeyError {
    /// What was asked for is wrong.
    Invalid(String),
    /// The store refused.
    Store(StoreError),
}

impl std::fmt::Display for KeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            KeyError::Invalid(text) => f.write_str(text),
            KeyError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for KeyError {}

impl From<StoreError> for KeyError {
    fn from(error: StoreError) -> Self {
        KeyError::Store(error)
    }
}

/// Makes a key for `owner` that ends after `lifetime`, or never.
///
/// # Errors
/// The owner or a scope is empty, too long or has characters that would not survive in a header or a log; or the store
/// refuses.
pub fn create(
    store: &Store,
    random: &dyn Random,
    now: Timestamp,
    owner: &str,
    scopes: &[String],
    lifetime: Option<Period>,
) -> Result<Issued, KeyError> {
    if owner.is_empty() || owner.len() > MAX_NAME || owner.chars().any(char::is_control) {
        return Err(KeyError::Invalid(format!("an owner of 1 to {MAX_NAME} bytes on one line is needed")));
    }
    if scopes.len() > MAX_SCOPES {
        return Err(KeyError::Invalid(format!("a key has at most {MAX_SCOPES} scopes")));
    }
    if let Some(scope) = scopes.iter().find(|scope| !is_scope(scope)) {
        return Err(KeyError::Invalid(format!(
            "`{}` is not a scope: it is 1 to {MAX_NAME} printable ASCII characters without space, quote or backslash",
            scope.escape_debug()
        )));
    }
    if lifetime.is_some_and(|lifetime| lifetime.0.is_zero()) {
        return Err(KeyError::Invalid(
            "a key lives longer than nothing; write `expires` as `90d`".to_owned(),
        ));
    }
    let new = generate(random);
    let record = ApiKeyRecord {
        scopes: scopes.iter().map(|scope| Arc::from(scope.as_str())).collect(),
        expires: lifetime.map(|lifetime| now.plus(lifetime.0)),
        ..ApiKeyRecord::new(new.id, new.hash, owner.into(), now)
    };
    store.add_key(record.clone())?;
    Ok(Issued { plain: new.plain, key: StoredKey { record, last_used: None } })
}

/// Makes a successor with the same owner, scopes and length of life; the old key ends after `overlap`.
///
/// # Errors
/// The old key is unknown, has ended or was rotated before; or the store refuses.
pub fn rotate(
    store: &Store,
    random: &dyn Random,
    now: Timestamp,
    id: &str,
    overlap: Period,
) -> Result<Issued, KeyError> {
    let new = generate(random);
    let successor = Arc::clone(&new.id);
    store.rotate_key(
        id,
        move |old| ApiKeyRecord {
            id: new.id,
            hash: new.hash,
            created: now,
            expires: old.expires.map(|expires| now.plus(expires.since(old.created))),
            ..old.clone()
        },
        now.plus(overlap.0),
    )?;
    let key = store
        .keys()?
        .into_iter()
        .find(|key| key.record.id == successor)
        .ok_or_else(|| StoreError::UnknownKey(successor.to_string()))?;
    Ok(Issued { plain: new.plain, key })
}

/// RFC 6749 section 3.3: `scope-token`.
fn is_scope(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}
