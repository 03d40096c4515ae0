//! Making, rotating and ending API keys, the same for the admin API and the command line.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bartizan_guards::identity::api_key::generate;
use bartizan_model::{
    Rate, Redacted, Timestamp,
    services::{ApiKeyRecord, KeyLimit, Random},
    units::Period,
};
use bartizan_store::{Store, StoreError, StoredKey};
use serde::Deserialize;
use serde_json::Value;

/// Scopes of one key, and roles.
const MAX_SCOPES: usize = 64;
/// Bytes of an owner, a tenant, a scope or a role.
const MAX_NAME: usize = 128;
/// Bytes of a key's attributes: every policy that reads them does so with each request.
const MAX_ATTRIBUTES: usize = 4_096;

/// How long a rotated key stays valid beside its successor, unless told otherwise.
pub const OVERLAP: Period = Period(Duration::from_secs(24 * 3600));

/// How long before a key has to be replaced its operators are reminded.
pub const REMIND: Duration = Duration::from_secs(14 * 24 * 3600);

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

/// What is asked of a new key.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewKey {
    /// Whose it is: the subject that policies and events see.
    pub owner: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// The roles of its holder.
    pub roles: Vec<String>,
    /// The tenant of its holder.
    pub tenant: Option<String>,
    /// What else policies may know of its holder.
    pub attributes: BTreeMap<String, Value>,
    /// After how long it ends; without it, never.
    pub expires: Option<Period>,
    /// How often it may be used, whatever the policy limits.
    pub rate: Option<Rate>,
    /// Requests that may come at once under `rate`; without it, as many as the rate counts.
    pub burst: Option<u32>,
}

impl NewKey {
    /// What is wrong with it, if anything.
    fn check(&self) -> Result<(), String> {
        line("an owner", &self.owner)?;
        if let Some(tenant) = &self.tenant {
            line("a tenant", tenant)?;
        }
        for (what, list) in [("scopes", &self.scopes), ("roles", &self.roles)] {
            if list.len() > MAX_SCOPES {
                return Err(format!("a key has at most {MAX_SCOPES} {what}"));
            }
            if let Some(name) = list.iter().find(|name| !is_scope(name)) {
                return Err(format!(
                    "`{}` cannot be among the {what}: each is 1 to {MAX_NAME} printable ASCII characters without space, \
                     quote or backslash",
                    name.escape_debug()
                ));
            }
        }
        for name in self.attributes.keys() {
            line("an attribute's name", name)?;
        }
        let attributes = serde_json::to_string(&self.attributes).map_or(usize::MAX, |text| text.len());
        if attributes > MAX_ATTRIBUTES {
            return Err(format!("the attributes of a key have at most {MAX_ATTRIBUTES} bytes as JSON"));
        }
        if self.expires.is_some_and(|lifetime| lifetime.0.is_zero()) {
            return Err("a key lives longer than nothing; write `expires` as `90d`".to_owned());
        }
        match (self.rate, self.burst) {
            (None, Some(_)) => Err("`burst` belongs to a `rate`; write both".to_owned()),
            (Some(_), Some(0)) => Err("a `burst` of 0 lets nothing through; write at least 1".to_owned()),
            _ => Ok(()),
        }
    }
}

/// A name on one line.
pub(crate) fn line(what: &str, text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > MAX_NAME || text.chars().any(char::is_control) {
        return Err(format!("{what} of 1 to {MAX_NAME} bytes on one line is needed"));
    }
    Ok(())
}

/// Makes a key.
///
/// # Errors
/// A name is empty, too long or has characters that would not survive in a header or a log; or the store refuses.
pub fn create(
    store: &Store,
    random: &dyn Random,
    now: Timestamp,
    asked: &NewKey,
) -> Result<Issued, KeyError> {
    asked.check().map_err(KeyError::Invalid)?;
    let all = |names: &[String]| names.iter().map(|name| Arc::from(name.as_str())).collect();
    let new = generate(random);
    let record = ApiKeyRecord {
        scopes: all(&asked.scopes),
        roles: all(&asked.roles),
        tenant: asked.tenant.as_deref().map(Arc::from),
        attributes: asked
            .attributes
            .iter()
            .map(|(name, value)| (name.as_str().into(), value.clone()))
            .collect(),
        expires: asked.expires.map(|lifetime| now.plus(lifetime.0)),
        limit: asked.rate.map(|rate| KeyLimit { rate, burst: asked.burst.unwrap_or(rate.count) }),
        ..ApiKeyRecord::new(new.id, new.hash, asked.owner.as_str().into(), now)
    };
    store.add_key(record.clone())?;
    Ok(Issued { plain: new.plain, key: StoredKey { record, last_used: None } })
}

/// Makes a successor that may do the same, with the same length of life; the old key ends after `overlap`.
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
