//! API keys in memory: found by hash without a lock, with the time of last use noted on the way.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bartizan_model::{
    Timestamp,
    services::{ApiKeyRecord, ApiKeys},
};
use serde_json::{Value, json};

use crate::Changes;

/// A key as the store keeps it.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// What guards need.
    pub record: ApiKeyRecord,
    /// When it was last accepted, to within some seconds.
    pub last_used: Option<Timestamp>,
}

impl StoredKey {
    /// `active`, `rotated` (active, with a successor), `expired` or `revoked`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> &'static str {
        match &self.record {
            key if key.revoked.is_some() => "revoked",
            key if key.expires.is_some_and(|at| at <= now) => "expired",
            key if key.successor.is_some() => "rotated",
            _ => "active",
        }
    }

    /// When it has to be replaced: it ends, or is older than the policy's `max_age`. Nothing where it ended or was rotated.
    #[must_use]
    pub fn rotate_by(&self, now: Timestamp, max_age: Option<Duration>) -> Option<Timestamp> {
        let too_old = max_age.map(|age| self.record.created.plus(age));
        let end = too_old.into_iter().chain(self.record.expires).min();
        end.filter(|_| self.state(now) == "active")
    }

    /// The key for people and programs, without its hash; moments as RFC 3339 text. `max_age` is the policy's.
    #[must_use]
    pub fn describe(&self, now: Timestamp, max_age: Option<Duration>) -> Value {
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let key = &self.record;
        json!({
            "id": key.id, "owner": key.owner, "scopes": key.scopes, "state": self.state(now),
            "created": key.created.to_string(), "expires": text(key.expires), "revoked": text(key.revoked),
            "successor": key.successor, "last_used": text(self.last_used),
            "rotate_by": text(self.rotate_by(now, max_age)),
            "roles": key.roles, "tenant": key.tenant, "attributes": key.attributes,
            "limit": key.limit.map(|limit| json!({ "rate": limit.rate, "burst": limit.burst })),
        })
    }
}

/// All keys, replaced whole when they change on disk.
#[derive(Default)]
pub struct KeyIndex {
    table: ArcSwap<Table>,
    changes: Changes,
}

#[derive(Default)]
struct Table {
    by_hash: HashMap<[u8; 32], Arc<ApiKeyRecord>>,
    by_id: HashMap<Arc<str>, Entry>,
}

struct Entry {
    record: Arc<ApiKeyRecord>,
    last_use: Arc<LastUse>,
}

/// When a key was last used, and what of that is on disk; microseconds, 0 for never.
struct LastUse {
    at: AtomicU64,
    written: AtomicU64,
}

impl KeyIndex {
    /// The generation of the index, and notice of its changes: who holds live exchanges looks again after each.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    pub(crate) fn replace(&self, keys: Vec<StoredKey>) {
        let before = self.table.load();
        let mut table = Table::default();
        for StoredKey { record, last_used } in keys {
            let on_disk = last_used.unwrap_or_default().0;
            let last_use = match before.by_id.get(&record.id) {
                Some(entry) => Arc::clone(&entry.last_use),
                None => Arc::new(LastUse { at: AtomicU64::new(on_disk), written: AtomicU64::new(on_disk) }),
            };
            let record = Arc::new(record);
            table.by_hash.insert(record.hash, Arc::clone(&record));
            table.by_id.insert(Arc::clone(&record.id), Entry { record, last_use });
        }
        self.table.store(Arc::new(table));
        self.changes.announce();
    }

    /// Uses that are not on disk yet.
    pub(crate) fn unwritten(&self) -> Vec<(Arc<str>, Timestamp)> {
        let table = self.table.load();
        let pending = table.by_id.iter().filter_map(|(id, Entry { last_use, .. })| {
            let at = last_use.at.load(Ordering::Relaxed);
            (at > last_use.written.load(Ordering::Relaxed)).then(|| (Arc::clone(id), Timestamp(at)))
        });
        pending.collect()
    }

    pub(crate) fn written(&self, uses: &[(Arc<str>, Timestamp)]) {
        let table = self.table.load();
        for (id, at) in uses {
            if let Some(Entry { last_use, .. }) = table.by_id.get(id) {
                last_use.written.fetch_max(at.0, Ordering::Relaxed);
            }
        }
    }
}

impl ApiKeys for KeyIndex {
    fn find(&self, hash: &[u8; 32]) -> Option<Arc<ApiKeyRecord>> {
        self.table.load().by_hash.get(hash).cloned()
    }

    fn is_revoked(&self, id: &str) -> bool {
        self.table.load().by_id.get(id).is_none_or(|entry| entry.record.revoked.is_some())
    }

    fn used(&self, id: &str, at: Timestamp) {
        if let Some(Entry { last_use, .. }) = self.table.load().by_id.get(id) {
            last_use.at.fetch_max(at.0, Ordering::Relaxed);
        }
    }
}
