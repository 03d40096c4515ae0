//! What roles, scopes and keys were used for: counted in memory, written every few seconds.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

use bartizan_model::{
    Timestamp,
    services::{AccessUsage, UseOf},
};
use rusqlite::{Connection, Result, Transaction, params};
use serde::Serialize;

use crate::bans::as_text;

/// Different uses that wait to be written, at most; more are not noted until the next writing.
const MAX_PENDING: usize = 65_536;

/// Different uses that are kept, at most: the oldest go first.
const MAX_KEPT: i64 = 200_000;

/// Locks, so that the threads of traffic seldom meet at one.
const SHARDS: usize = 16;

/// Bytes of a name that are kept.
const MAX_NAME: usize = 256;

/// One use: what, of which API and operation, how often and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// `role`, `scope` or `key`.
    pub of: String,
    /// The role, the scope, or the key's public id.
    pub name: String,
    /// The API.
    pub api: String,
    /// The operation.
    pub operation: String,
    /// How often.
    pub count: u64,
    /// The first time. In JSON as RFC 3339 text.
    #[serde(serialize_with = "as_text")]
    pub first: Timestamp,
    /// The last time. In JSON as RFC 3339 text.
    #[serde(serialize_with = "as_text")]
    pub last: Timestamp,
}

type Key = (UseOf, Arc<str>, Arc<str>, Arc<str>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

/// By the hash of its key, as keys are compared without being made.
type Shard = HashMap<u64, Vec<(Key, Seen)>>;

/// Uses that are not written yet.
#[derive(Default)]
pub struct UsageIndex {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

impl UsageIndex {
    /// Takes what has been noted since it was last asked.
    pub(crate) fn take(&self) -> Vec<Usage> {
        let mut taken = Vec::new();
        for shard in &self.shards {
            let noted = std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner));
            taken.extend(noted.into_values().flatten().map(|((of, name, api, operation), seen)| Usage {
                of: of.as_str().to_owned(),
                name: name.to_string(),
                api: api.to_string(),
                operation: operation.to_string(),
                count: seen.count,
                first: seen.first,
                last: seen.last,
            }));
        }
        taken
    }
}

impl AccessUsage for UsageIndex {
    fn used(&self, of: UseOf, name: &str, api: &str, operation: &str, at: Timestamp) {
        let name = name.get(..name.len().min(MAX_NAME)).unwrap_or_default();
        let hash = self.hasher.hash_one((of, name, api, operation));
        let Some(shard) = self.shards.get(usize::try_from(hash).unwrap_or(0) % SHARDS) else { return };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let full = shard.len() >= MAX_PENDING / SHARDS;
        let same = |(key, _): &&mut (Key, Seen)| {
            key.0 == of && *key.1 == *name && *key.2 == *api && *key.3 == *operation
        };
        if let Some((_, seen)) = shard.get_mut(&hash).and_then(|entries| entries.iter_mut().find(same)) {
            seen.count += 1;
            seen.last = seen.last.max(at);
        } else if !full {
            let key = (of, Arc::from(name), Arc::from(api), Arc::from(operation));
            shard.entry(hash).or_default().push((key, Seen { count: 1, first: at, last: at }));
        }
    }
}

pub(crate) fn write(transaction: &Transaction<'_>, uses: &[Usage]) -> Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO access_usage (of, name, api, operation, count, first, last) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (of, name, api, operation) DO UPDATE
         SET count = count + excluded.count, first = min(first, excluded.first), last = max(last, excluded.last)",
    )?;
    let int = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    for Usage { of, name, api, operation, count, first, last } in uses {
        statement.execute(params![of, name, api, operation, int(*count), int(first.0), int(last.0)])?;
    }
    let kept: i64 = transaction.query_row("SELECT count(*) FROM access_usage", [], |row| row.get(0))?;
    if kept > MAX_KEPT {
        transaction.execute(
            "DELETE FROM access_usage WHERE rowid IN (SELECT rowid FROM access_usage ORDER BY last LIMIT ?1)",
            [kept - MAX_KEPT],
        )?;
    }
    Ok(())
}

pub(crate) fn read(connection: &Connection) -> Result<Vec<Usage>> {
    let mut statement = connection.prepare_cached(
        "SELECT of, name, api, operation, count, first, last FROM access_usage ORDER BY of, name, api, operation",
    )?;
    let number = |row: &rusqlite::Row<'_>, at| {
        Ok::<u64, rusqlite::Error>(u64::try_from(row.get::<_, i64>(at)?).unwrap_or(0))
    };
    let rows = statement.query_map([], |row| {
        Ok(Usage {
            of: row.get(0)?,
            name: row.get(1)?,
            api: row.get(2)?,
            operation: row.get(3)?,
            count: number(row, 4)?,
            first: Timestamp(number(row, 5)?),
            last: Timestamp(number(row, 6)?),
        })
    })?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests assert")]
    use super::*;
    use crate::Store;

    #[test]
    fn uses_add_up_on_disk_and_across_processes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bartizan.db");
        for round in 1..=2 {
            let store = Store::open(&path).unwrap();
            for _ in 0..3 {
                let at = Timestamp::from_seconds(round);
                store.usage_index().used(UseOf::Role, "teller", "bank", "GET /accounts", at);
            }
            store.usage_index().used(UseOf::Key, "k1", "bank", "GET /accounts", Timestamp::from_seconds(9));
        }
        let store = Store::open(&path).unwrap();
        let uses = store.usage().unwrap();
        assert_eq!(uses.len(), 2);
        let teller = uses.iter().find(|usage| usage.of == "role").unwrap();
        assert_eq!(
            (teller.count, teller.first, teller.last),
            (6, Timestamp::from_seconds(1), Timestamp::from_seconds(2))
        );
    }

    #[test]
    fn memory_is_bounded() {
        let index = UsageIndex::default();
        for number in 0..MAX_PENDING * 2 {
            index.used(UseOf::Scope, &number.to_string(), "api", "GET /", Timestamp(1));
        }
        assert!(index.take().len() <= MAX_PENDING);
        assert!(index.take().is_empty());
    }
}
