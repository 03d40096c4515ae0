//! Enrolled clients and their public keys: in the database, and in memory for the request path.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use bartizan_model::{
    Timestamp,
    services::{ClientKeyRecord, ClientKeys},
};
use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};
use serde_json::{Value, json};

use crate::{
    Changes, Store, StoreError,
    sql::{int, moment, some_moment},
};

/// Keys of clients that are kept, revoked ones included: each costs some 500 bytes of memory.
pub const MAX_CLIENT_KEYS: usize = 10_000;

/// The public key of a client as the store keeps it.
#[derive(Clone, Debug)]
pub struct StoredClientKey {
    /// What guards need.
    pub record: ClientKeyRecord,
    /// When a signature by it was last accepted, to within some seconds.
    pub last_used: Option<Timestamp>,
}

impl StoredClientKey {
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

    /// The key for people and programs; moments as RFC 3339 text.
    #[must_use]
    pub fn describe(&self, now: Timestamp) -> Value {
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let key = &self.record;
        json!({
            "id": key.id, "client": key.client, "algorithm": key.algorithm, "state": self.state(now),
            "public_key": key.public_key, "created": key.created.to_string(), "expires": text(key.expires),
            "revoked": text(key.revoked), "successor": key.successor, "last_used": text(self.last_used),
        })
    }
}

/// All keys of clients, replaced whole when they change on disk.
#[derive(Default)]
pub struct ClientIndex {
    table: ArcSwap<HashMap<Arc<str>, Entry>>,
    changes: Changes,
}

struct Entry {
    record: Arc<ClientKeyRecord>,
    last_use: Arc<LastUse>,
}

/// When a key was last used, and what of that is on disk; microseconds, 0 for never.
struct LastUse {
    at: AtomicU64,
    written: AtomicU64,
}

impl ClientIndex {
    /// Notice of changes: who holds live exchanges looks again after each.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    pub(crate) fn replace(&self, keys: Vec<StoredClientKey>) {
        let before = self.table.load();
        let entries = keys.into_iter().map(|StoredClientKey { record, last_used }| {
            let on_disk = last_used.unwrap_or_default().0;
            let last_use = match before.get(&record.id) {
                Some(entry) => Arc::clone(&entry.last_use),
                None => Arc::new(LastUse { at: AtomicU64::new(on_disk), written: AtomicU64::new(on_disk) }),
            };
            (Arc::clone(&record.id), Entry { record: Arc::new(record), last_use })
        });
        self.table.store(Arc::new(entries.collect()));
        self.changes.announce();
    }

    /// Uses that are not on disk yet.
    pub(crate) fn unwritten(&self) -> Vec<(Arc<str>, Timestamp)> {
        let table = self.table.load();
        let pending = table.iter().filter_map(|(id, Entry { last_use, .. })| {
            let at = last_use.at.load(Ordering::Relaxed);
            (at > last_use.written.load(Ordering::Relaxed)).then(|| (Arc::clone(id), Timestamp(at)))
        });
        pending.collect()
    }

    pub(crate) fn written(&self, uses: &[(Arc<str>, Timestamp)]) {
        let table = self.table.load();
        for (id, at) in uses {
            if let Some(Entry { last_use, .. }) = table.get(id) {
                last_use.written.fetch_max(at.0, Ordering::Relaxed);
            }
        }
    }
}

impl ClientKeys for ClientIndex {
    fn find(&self, id: &str) -> Option<Arc<ClientKeyRecord>> {
        self.table.load().get(id).map(|entry| Arc::clone(&entry.record))
    }

    fn used(&self, id: &str, at: Timestamp) {
        if let Some(Entry { last_use, .. }) = self.table.load().get(id) {
            last_use.at.fetch_max(at.0, Ordering::Relaxed);
        }
    }
}

impl Store {
    /// The keys of clients in memory: what `Services::client_keys` takes.
    #[must_use]
    pub fn client_index(&self) -> &Arc<ClientIndex> {
        &self.clients
    }

    /// All keys of clients, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn client_keys(&self) -> std::result::Result<Vec<StoredClientKey>, StoreError> {
        self.ask(|worker| load(&worker.connection))
    }

    /// Enrolls a key; in force when this returns.
    ///
    /// # Errors
    /// A key of this id is enrolled, there are too many, or the database cannot be written.
    pub fn enroll_client_key(&self, key: ClientKeyRecord) -> std::result::Result<(), StoreError> {
        self.change(move |connection| {
            if count(connection)? >= MAX_CLIENT_KEYS {
                return Ok(Err(StoreError::TooManyClientKeys));
            }
            Ok(if insert(connection, &key)? {
                Ok(())
            } else {
                Err(StoreError::ClientKeyExists(key.id.to_string()))
            })
        })?
    }

    /// Enrolls `successor` for the client of the key `id`, which then ends at `old_expires` or when it would have ended
    /// anyway, whatever is earlier. Answers the old key as it now is.
    ///
    /// # Errors
    /// The key is unknown, has ended or was rotated before; or the database cannot be written.
    pub fn rotate_client_key(
        &self,
        id: &str,
        successor: impl FnOnce(&ClientKeyRecord) -> ClientKeyRecord + Send + 'static,
        old_expires: Timestamp,
        now: Timestamp,
    ) -> std::result::Result<StoredClientKey, StoreError> {
        let wanted = id.to_owned();
        self.change(move |connection| {
            let Some(old) = one(connection, &wanted)? else {
                return Ok(Err(StoreError::UnknownClientKey(wanted)));
            };
            let ended = old.record.expires.is_some_and(|at| at <= now);
            if ended || old.record.revoked.is_some() || old.record.successor.is_some() {
                return Ok(Err(StoreError::ClientKeyEnded(wanted)));
            }
            let new = successor(&old.record);
            if !insert(connection, &new)? {
                return Ok(Err(StoreError::ClientKeyExists(new.id.to_string())));
            }
            connection.execute(
                "UPDATE client_keys SET successor = ?2, expires = min(coalesce(expires, ?3), ?3) WHERE id = ?1",
                params![wanted, &*new.id, int(old_expires)],
            )?;
            Ok(one(connection, &wanted)?.ok_or(StoreError::UnknownClientKey(wanted)))
        })?
    }

    /// Ends a key, or every key of the client of this name; in force when this returns. Answers what it ended.
    ///
    /// # Errors
    /// No key has the id and no client the name, or the database cannot be written.
    pub fn revoke_client_keys(
        &self,
        id_or_client: &str,
        at: Timestamp,
    ) -> std::result::Result<Vec<StoredClientKey>, StoreError> {
        let wanted = id_or_client.to_owned();
        self.change(move |connection| {
            connection.execute(
                "UPDATE client_keys SET revoked = ?2 WHERE (id = ?1 OR client = ?1) AND revoked IS NULL",
                params![wanted, int(at)],
            )?;
            let found: Vec<_> = load(connection)?
                .into_iter()
                .filter(|key| *key.record.id == *wanted || *key.record.client == *wanted)
                .collect();
            Ok(if found.is_empty() { Err(StoreError::UnknownClientKey(wanted)) } else { Ok(found) })
        })?
    }
}

const COLUMNS: &str = "id, client, algorithm, public_key, created, expires, revoked, successor, last_used";

pub(crate) fn load(connection: &Connection) -> Result<Vec<StoredClientKey>> {
    let text = format!("SELECT {COLUMNS} FROM client_keys ORDER BY created, id");
    connection.prepare_cached(&text)?.query_map([], read)?.collect()
}

/// Counts the changes of the table, other processes' included.
pub(crate) fn revision(connection: &Connection) -> Result<i64> {
    connection
        .prepare_cached("SELECT revision FROM revisions WHERE subject = 'clients'")?
        .query_row([], |row| row.get(0))
}

pub(crate) fn note_uses(connection: &Connection, uses: &[(Arc<str>, Timestamp)]) -> Result<()> {
    let mut statement = connection
        .prepare_cached("UPDATE client_keys SET last_used = max(coalesce(last_used, 0), ?2) WHERE id = ?1")?;
    for (id, at) in uses {
        statement.execute(params![&**id, int(*at)])?;
    }
    Ok(())
}

fn one(connection: &Connection, id: &str) -> Result<Option<StoredClientKey>> {
    let text = format!("SELECT {COLUMNS} FROM client_keys WHERE id = ?1");
    connection.query_row(&text, [id], read).optional()
}

fn count(connection: &Connection) -> Result<usize> {
    let count: i64 = connection.query_row("SELECT count(*) FROM client_keys", [], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Answers `false` when the id exists.
fn insert(connection: &Connection, key: &ClientKeyRecord) -> Result<bool> {
    let inserted = connection.execute(
        "INSERT OR IGNORE INTO client_keys (id, client, algorithm, public_key, created, expires)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            &*key.id,
            &*key.client,
            &*key.algorithm,
            &*key.public_key,
            int(key.created),
            key.expires.map(int)
        ],
    )?;
    Ok(inserted == 1)
}

fn read(row: &Row<'_>) -> Result<StoredClientKey> {
    let text = |index| row.get::<_, String>(index).map(Arc::<str>::from);
    let record = ClientKeyRecord {
        id: text(0)?,
        client: text(1)?,
        algorithm: text(2)?,
        public_key: text(3)?,
        created: moment(row, 4)?,
        expires: some_moment(row, 5)?,
        revoked: some_moment(row, 6)?,
        successor: row.get::<_, Option<String>>(7)?.map(Arc::from),
    };
    Ok(StoredClientKey { record, last_used: some_moment(row, 8)? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    fn key(id: &str, client: &str) -> ClientKeyRecord {
        ClientKeyRecord {
            id: id.into(),
            client: client.into(),
            algorithm: "ed25519".into(),
            public_key: "-----BEGIN PUBLIC KEY-----".into(),
            created: Timestamp::from_seconds(1),
            expires: None,
            revoked: None,
            successor: None,
        }
    }

    #[test]
    fn keys_are_enrolled_rotated_with_overlap_and_revoked_at_once() {
        let store = Store::memory().unwrap();
        let index = Arc::clone(store.client_index());
        store.enroll_client_key(key("a", "reports")).unwrap();
        assert!(matches!(
            store.enroll_client_key(key("a", "reports")),
            Err(StoreError::ClientKeyExists(id)) if id == "a"
        ));
        let now = Timestamp::from_seconds(10);
        let overlap = Timestamp::from_seconds(20);
        let old = store.rotate_client_key("a", |old| key("b", &old.client), overlap, now).unwrap();
        assert_eq!((old.record.expires, old.state(now)), (Some(overlap), "rotated"));
        assert_eq!(index.find("a").unwrap().expires, Some(overlap));
        assert!(index.find("b").unwrap().revoked.is_none());
        assert!(matches!(
            store.rotate_client_key("a", |_| key("c", "reports"), overlap, now),
            Err(StoreError::ClientKeyEnded(_))
        ));
        assert_eq!(store.revoke_client_keys("reports", now).unwrap().len(), 2);
        assert_eq!(index.find("b").unwrap().revoked, Some(now));
        assert!(matches!(store.revoke_client_keys("nobody", now), Err(StoreError::UnknownClientKey(_))));
        index.used("b", now);
        store.settle().unwrap();
        let last = store.client_keys().unwrap().into_iter().find(|key| &*key.record.id == "b").unwrap();
        assert_eq!(last.last_used, Some(now));
    }
}
