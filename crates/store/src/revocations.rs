//! The deny-list of tokens, subjects and sessions, and who still shows tokens of retired issuers: in memory for every
//! exchange, on disk for the next process.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bartizan_model::{
    Principal, Timestamp,
    revocation::{DIGEST, Revocation, Revoked, digest_name},
    services::Revocations,
};
use parking_lot::{Mutex, RwLock};
use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};
use serde_json::{Value, json};

use crate::{Changes, Store, StoreError};

/// Entries kept, in memory and on disk: about 60 MB at most. A list that long names what should be retired as a whole.
pub const MAX_REVOCATIONS: usize = 200_000;

/// Callers of retired issuers that are told apart, in memory and on disk; the others are counted together.
const MAX_USERS: usize = 10_000;

/// Security events remembered, so that none has an effect twice: the newest.
const MAX_EVENTS: i64 = 100_000;

/// What is in force of an entry.
#[derive(Clone, Copy)]
struct Entry {
    issued_before: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// Entries by issuer, then by what is revoked.
type ByIssuer = HashMap<Arc<str>, HashMap<Arc<str>, Entry>>;

#[derive(Default)]
struct Table {
    tokens: ByIssuer,
    subjects: ByIssuer,
    sessions: ByIssuer,
    issuers: ByIssuer,
}

/// The revocations in force. Looked at by every exchange that has a caller; edited in place.
#[derive(Default)]
pub struct DenyList {
    table: RwLock<Table>,
    count: AtomicUsize,
    read: Mutex<Read>,
    uses: Mutex<HashMap<User, Use>>,
    changes: Changes,
}

/// How far the table follows the database: the last entry that was read, and the removals that were.
#[derive(Clone, Copy, Default)]
struct Read {
    entry: i64,
    removals: Option<i64>,
}

/// Who showed a token of a retired issuer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct User {
    issuer: Arc<str>,
    client: Arc<str>,
    subject: Arc<str>,
    verified: bool,
}

#[derive(Clone, Copy)]
struct Use {
    first: Timestamp,
    last: Timestamp,
    count: u64,
}

/// The last uses of a retired issuer by one caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredUse {
    /// The policy's name of the issuer.
    pub issuer: String,
    /// The client that the token was issued to; empty where it does not say.
    pub client: String,
    /// Whom it names; empty where it does not say, and for callers beyond the cap.
    pub subject: String,
    /// Whether the token was signed by the issuer. What is not may be anybody's, and names nobody.
    pub verified: bool,
    /// The first such token.
    pub first: Timestamp,
    /// The last one.
    pub last: Timestamp,
    /// How many were shown, and refused.
    pub count: u64,
}

impl RetiredUse {
    /// For people and programs; moments as RFC 3339 text.
    #[must_use]
    pub fn describe(&self) -> Value {
        json!({
            "issuer": self.issuer, "client": self.client, "subject": self.subject, "verified": self.verified,
            "first": self.first.to_string(), "last": self.last.to_string(), "count": self.count,
        })
    }
}

/// An entry of the deny-list for people and programs; moments as RFC 3339 text.
#[must_use]
pub fn describe_revocation(revocation: &Revocation) -> Value {
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
    json!({
        "kind": revocation.kind.as_str(), "issuer": revocation.issuer, "value": revocation.value,
        "issued_before": text(revocation.issued_before), "until": text(revocation.until),
        "reason": revocation.reason, "created": revocation.created.to_string(), "by": revocation.by,
    })
}

impl DenyList {
    /// The generation of the list, and notice of its changes: who holds live exchanges looks again after each.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// How many entries there are, those that have ended since the last sweep included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in what was added since the last time, or everything where something was removed.
    pub(crate) fn refresh(&self, connection: &Connection) -> Result<()> {
        let mut read = self.read.lock();
        let removals: i64 = connection
            .prepare_cached("SELECT revision FROM revisions WHERE subject = 'revocations_removed'")?
            .query_row([], |row| row.get(0))?;
        let whole = read.removals != Some(removals);
        let after = if whole { 0 } else { read.entry };
        let mut statement = connection.prepare_cached(
            "SELECT kind, issuer, value, issued_before, until, reason, created, made_by, id
             FROM revocations WHERE id > ?1 ORDER BY id",
        )?;
        let rows: Vec<(Revocation, i64)> = statement
            .query_map([after], |row| Ok((revocation(row)?, row.get(8)?)))?
            .collect::<Result<_>>()?;
        let changed = !rows.is_empty() || whole && !self.is_empty();
        {
            let mut table = self.table.write();
            if whole {
                *table = Table::default();
                self.count.store(0, Ordering::Relaxed);
                read.entry = 0;
            }
            for (revocation, id) in rows {
                read.entry = id;
                let entry = Entry { issued_before: revocation.issued_before, until: revocation.until };
                let of_issuer = table.of(revocation.kind).entry(revocation.issuer).or_default();
                if of_issuer.insert(revocation.value, entry).is_none() {
                    self.count.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        read.removals = Some(removals);
        drop(read);
        if changed {
            self.changes.announce();
        }
        Ok(())
    }

    /// Writes who showed tokens of retired issuers; what could not be written is kept for the next time.
    pub(crate) fn write_uses(&self, connection: &mut Connection) -> Result<()> {
        let uses = std::mem::take(&mut *self.uses.lock());
        if uses.is_empty() {
            return Ok(());
        }
        let written = insert_uses(connection, &uses);
        if written.is_err() {
            let mut kept = self.uses.lock();
            for (user, used) in uses {
                add_use(&mut kept, user, used);
            }
        }
        written
    }
}

impl Table {
    fn of(&mut self, kind: Revoked) -> &mut ByIssuer {
        match kind {
            Revoked::Token => &mut self.tokens,
            Revoked::Subject => &mut self.subjects,
            Revoked::Session => &mut self.sessions,
            Revoked::Issuer => &mut self.issuers,
        }
    }
}

impl Revocations for DenyList {
    fn find(&self, principal: &Principal, now: Timestamp) -> Option<Revoked> {
        if self.is_empty() {
            return None;
        }
        let table = self.table.read();
        let holds = |list: &ByIssuer, issuer: &str, value: &str| {
            let entry = list.get(issuer).and_then(|of_issuer| of_issuer.get(value));
            entry.is_some_and(|entry| Revocation::holds(entry.issued_before, entry.until, principal, now))
        };
        let issuer = &*principal.issuer;
        let by_id = || principal.credential_id.as_deref().is_some_and(|id| holds(&table.tokens, issuer, id));
        let by_digest = || {
            table.tokens.contains_key("")
                && principal.digest.is_some_and(|digest| holds(&table.tokens, "", &digest_name(&digest)))
        };
        let session = || principal.session.as_deref().is_some_and(|id| holds(&table.sessions, issuer, id));
        if by_id() || by_digest() {
            Some(Revoked::Token)
        } else if holds(&table.subjects, issuer, &principal.subject) {
            Some(Revoked::Subject)
        } else if session() {
            Some(Revoked::Session)
        } else if holds(&table.issuers, issuer, "") {
            Some(Revoked::Issuer)
        } else {
            None
        }
    }

    fn note_retired(&self, issuer: &str, client: &str, subject: &str, verified: bool, now: Timestamp) {
        let user = User { issuer: issuer.into(), client: client.into(), subject: subject.into(), verified };
        add_use(&mut self.uses.lock(), user, Use { first: now, last: now, count: 1 });
    }
}

fn add_use(uses: &mut HashMap<User, Use>, mut user: User, used: Use) {
    if uses.len() >= MAX_USERS && !uses.contains_key(&user) {
        (user.client, user.subject) = (Arc::default(), Arc::default());
    }
    let known = uses.entry(user).or_insert(Use { count: 0, ..used });
    known.first = known.first.min(used.first);
    known.last = known.last.max(used.last);
    known.count = known.count.saturating_add(used.count);
}

impl Store {
    /// The deny-list in memory: what `Services::revocations` takes.
    #[must_use]
    pub fn deny_list(&self) -> &Arc<DenyList> {
        &self.denied
    }

    /// Adds an entry to the deny-list; in force when this returns. An entry for the same is never weakened: it lasts as long
    /// as the longer of both, and covers what either does. Answers the entry as it now is.
    ///
    /// # Errors
    /// The list is full, or the database cannot be written.
    pub fn revoke(&self, revocation: Revocation) -> std::result::Result<Revocation, StoreError> {
        self.change(move |connection| add(connection, revocation))?.ok_or(StoreError::TooManyRevocations)
    }

    /// Removes an entry; `false` when there is none.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn lift(&self, kind: Revoked, issuer: &str, value: &str) -> std::result::Result<bool, StoreError> {
        let (issuer, value) = (issuer.to_owned(), value.to_owned());
        self.change(move |connection| remove(connection, kind, &issuer, &value))
    }

    /// The newest entries, newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn revocations(&self, limit: usize) -> std::result::Result<Vec<Revocation>, StoreError> {
        self.ask(move |worker| {
            let mut statement = worker.connection.prepare_cached(
                "SELECT kind, issuer, value, issued_before, until, reason, created, made_by
                 FROM revocations ORDER BY id DESC LIMIT ?1",
            )?;
            statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], revocation)?.collect()
        })
    }

    /// What one security event says, all or nothing, in force when this returns; `false` when it was taken in before.
    ///
    /// # Errors
    /// The list is full, or the database cannot be written: the event counts as not taken in.
    pub fn take_event(
        &self,
        issuer: &str,
        id: &str,
        at: Timestamp,
        revoke: Vec<Revocation>,
        lift: Vec<(Revoked, Arc<str>, Arc<str>)>,
    ) -> std::result::Result<bool, StoreError> {
        let (issuer, id) = (issuer.to_owned(), id.to_owned());
        let taken = self.change(move |connection| {
            connection
                .prepare_cached(
                    "DELETE FROM security_events WHERE rowid <= (SELECT max(rowid) FROM security_events) - ?1",
                )?
                .execute([MAX_EVENTS])?;
            // What does not fit must leave nothing behind.
            if count(connection)?.saturating_add(revoke.len()) > MAX_REVOCATIONS {
                return Ok(None);
            }
            let fresh = connection
                .prepare_cached("INSERT OR IGNORE INTO security_events (issuer, id, time) VALUES (?1, ?2, ?3)")?
                .execute(params![issuer, id, int(at)])?;
            if fresh == 1 {
                for revocation in revoke {
                    add(connection, revocation)?;
                }
                for (kind, issuer, value) in lift {
                    remove(connection, kind, &issuer, &value)?;
                }
            }
            Ok(Some(fresh == 1))
        })?;
        taken.ok_or(StoreError::TooManyRevocations)
    }

    /// Who showed tokens of retired issuers, the latest first, up to this moment.
    ///
    /// # Errors
    /// The database cannot be read or written.
    pub fn retired_uses(&self) -> std::result::Result<Vec<RetiredUse>, StoreError> {
        let denied = Arc::clone(&self.denied);
        self.ask(move |worker| {
            denied.write_uses(&mut worker.connection)?;
            let mut statement = worker.connection.prepare_cached(
                "SELECT issuer, client, subject, verified, first, last, count FROM retired_uses ORDER BY last DESC",
            )?;
            let rows = statement.query_map([], |row| {
                Ok(RetiredUse {
                    issuer: row.get(0)?,
                    client: row.get(1)?,
                    subject: row.get(2)?,
                    verified: row.get(3)?,
                    first: moment(row, 4)?,
                    last: moment(row, 5)?,
                    count: u64::try_from(row.get::<_, i64>(6)?).unwrap_or(0),
                })
            })?;
            rows.collect()
        })
    }
}

/// `None` when the list is full.
fn add(connection: &Connection, mut revocation: Revocation) -> Result<Option<Revocation>> {
    let Revocation { kind, issuer, value, .. } = &revocation;
    let before: Option<(Option<i64>, Option<i64>)> = connection
        .prepare_cached(
            "SELECT issued_before, until FROM revocations WHERE kind = ?1 AND issuer = ?2 AND value = ?3",
        )?
        .query_row(params![kind.as_str(), &**issuer, &**value], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((issued_before, until)) = before {
        // Nothing means all, or without end: the widest.
        let widest = |old: Option<i64>, new: Option<Timestamp>| Some(time(old?).max(new?));
        revocation.issued_before = widest(issued_before, revocation.issued_before);
        revocation.until = widest(until, revocation.until);
    } else if count(connection)? >= MAX_REVOCATIONS {
        return Ok(None);
    }
    // A new row in the place of the old one: whoever reads what is new finds it.
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO revocations (kind, issuer, value, issued_before, until, reason, created, made_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            revocation.kind.as_str(),
            &*revocation.issuer,
            &*revocation.value,
            revocation.issued_before.map(int),
            revocation.until.map(int),
            revocation.reason,
            int(revocation.created),
            revocation.by,
        ])?;
    Ok(Some(revocation))
}

fn remove(connection: &Connection, kind: Revoked, issuer: &str, value: &str) -> Result<bool> {
    let removed = connection
        .prepare_cached("DELETE FROM revocations WHERE kind = ?1 AND issuer = ?2 AND value = ?3")?
        .execute(params![kind.as_str(), issuer, value])?;
    Ok(removed > 0)
}

/// Removes entries that have ended; whether there were some.
pub(crate) fn remove_ended(connection: &Connection, now: Timestamp) -> Result<bool> {
    Ok(connection.prepare_cached("DELETE FROM revocations WHERE until <= ?1")?.execute([int(now)])? > 0)
}

fn count(connection: &Connection) -> Result<usize> {
    let count: i64 =
        connection.prepare_cached("SELECT count(*) FROM revocations")?.query_row([], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

fn insert_uses(connection: &mut Connection, uses: &HashMap<User, Use>) -> Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    {
        let mut statement = transaction.prepare_cached(
            "INSERT INTO retired_uses (issuer, client, subject, verified, first, last, count)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT DO UPDATE SET
               first = min(first, excluded.first), last = max(last, excluded.last), count = count + excluded.count",
        )?;
        for (user, used) in uses {
            statement.execute(params![
                &*user.issuer,
                &*user.client,
                &*user.subject,
                user.verified,
                int(used.first),
                int(used.last),
                i64::try_from(used.count).unwrap_or(i64::MAX),
            ])?;
        }
        transaction
            .prepare_cached(
                "DELETE FROM retired_uses WHERE rowid NOT IN (SELECT rowid FROM retired_uses ORDER BY last DESC LIMIT ?1)",
            )?
            .execute([i64::try_from(MAX_USERS).unwrap_or(i64::MAX)])?;
    }
    transaction.commit()
}

fn revocation(row: &Row<'_>) -> Result<Revocation> {
    let text = |index| row.get::<_, String>(index).map(Arc::<str>::from);
    let kind: String = row.get(0)?;
    let kind = Revoked::named(&kind).ok_or_else(|| {
        let error = format!("`{kind}` is no kind of revocation");
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into())
    })?;
    Ok(Revocation {
        kind,
        issuer: text(1)?,
        value: text(2)?,
        issued_before: row.get::<_, Option<i64>>(3)?.map(time),
        until: row.get::<_, Option<i64>>(4)?.map(time),
        reason: row.get(5)?,
        created: moment(row, 6)?,
        by: row.get(7)?,
    })
}

fn int(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn time(micros: i64) -> Timestamp {
    Timestamp(u64::try_from(micros).unwrap_or(0))
}

fn moment(row: &Row<'_>, index: usize) -> Result<Timestamp> {
    row.get(index).map(time)
}

/// What a token is revoked by that is known as text: its digest.
#[must_use]
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix(DIGEST)
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests;
