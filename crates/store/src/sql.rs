//! The statements: each function is one question or one change, on a connection that its caller owns.

use std::{collections::BTreeMap, sync::Arc};

use bartizan_model::{
    Event, EventId, EventKind, Timestamp,
    services::{ApiKeyRecord, KeyLimit},
};
use rusqlite::{Connection, OptionalExtension as _, Result, Row, Transaction, params};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Ban, StoredFactor, StoredKey, bans::as_text};

/// Which recent events.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of this API only.
    pub api: Option<String>,
    /// With this verdict only.
    pub verdict: Option<String>,
    /// At most so many, newest first.
    pub limit: usize,
}

/// One change that an operator made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// When. In JSON as RFC 3339 text.
    #[serde(serialize_with = "as_text")]
    pub time: Timestamp,
    /// Stable code, such as `ban.added`.
    pub code: String,
    /// Who.
    pub actor: String,
    /// What.
    pub detail: String,
}

/// Changes kept: some years of an eager operator.
const MAX_CHANGES: i64 = 10_000;

pub(crate) fn insert_events(transaction: &Transaction<'_>, batch: &[(Arc<Event>, String)]) -> Result<usize> {
    let mut statement = transaction.prepare_cached(
        "INSERT OR IGNORE INTO events (id, time, kind, api, verdict, reason, client, json)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let mut inserted = 0;
    for (event, json) in batch {
        let (kind, api, verdict, reason) = match &event.kind {
            EventKind::Exchange(x) => ("exchange", &*x.api, x.verdict.as_str(), x.reason),
            EventKind::Connection { code, .. } => ("connection", "", "deny", Some(*code)),
            EventKind::Control { code, actor, detail } => {
                insert_change(transaction, event.time, code, actor, detail)?;
                ("control", "", "", Some(*code))
            }
        };
        let client = event.client.map(|ip| ip.to_string());
        inserted += statement.execute(params![
            event.id.to_string(),
            int(event.time),
            kind,
            api,
            verdict,
            reason,
            client,
            json
        ])?;
    }
    Ok(inserted)
}

/// Removes the oldest events beyond `keep`; answers how many are left.
pub(crate) fn prune_events(connection: &Connection, keep: usize) -> Result<usize> {
    let count: i64 = connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0))?;
    let excess = count.saturating_sub(i64::try_from(keep).unwrap_or(i64::MAX));
    if excess <= 0 {
        return Ok(usize::try_from(count).unwrap_or(0));
    }
    let removed = connection
        .execute("DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT ?1)", [excess])?;
    Ok(usize::try_from(count).unwrap_or(0).saturating_sub(removed))
}

pub(crate) fn event(connection: &Connection, id: EventId) -> Result<Option<String>> {
    connection
        .query_row("SELECT json FROM events WHERE id = ?1", [id.to_string()], |row| row.get(0))
        .optional()
}

pub(crate) fn events(connection: &Connection, filter: &EventFilter) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT json FROM events WHERE (?1 IS NULL OR api = ?1) AND (?2 IS NULL OR verdict = ?2)
         ORDER BY id DESC LIMIT ?3",
    )?;
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    statement.query_map(params![filter.api, filter.verdict, limit], |row| row.get(0))?.collect()
}

/// What was refused, throttled, challenged or failed, newest first. Ids tell milliseconds apart, times microseconds.
pub(crate) fn refusals(connection: &Connection, limit: usize) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT json FROM (
           SELECT json, time FROM events WHERE verdict IN ('deny', 'challenge', 'throttle', 'error')
           ORDER BY id DESC LIMIT ?1 + 1000)
         ORDER BY time DESC LIMIT ?1",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statement.query_map([limit], |row| row.get(0))?.collect()
}

pub(crate) fn insert_change(
    connection: &Connection,
    time: Timestamp,
    code: &str,
    actor: &str,
    detail: &str,
) -> Result<()> {
    connection
        .prepare_cached("INSERT INTO changes (time, code, actor, detail) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![int(time), code, actor, detail])?;
    connection
        .prepare_cached("DELETE FROM changes WHERE id <= (SELECT max(id) FROM changes) - ?1")?
        .execute([MAX_CHANGES])?;
    Ok(())
}

pub(crate) fn changes(connection: &Connection, limit: usize) -> Result<Vec<Change>> {
    let mut statement = connection
        .prepare_cached("SELECT time, code, actor, detail FROM changes ORDER BY id DESC LIMIT ?1")?;
    let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
        Ok(Change { time: moment(row, 0)?, code: row.get(1)?, actor: row.get(2)?, detail: row.get(3)? })
    })?;
    rows.collect()
}

pub(crate) fn keys(connection: &Connection) -> Result<Vec<StoredKey>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, hash, owner, scopes, created, expires, revoked, successor, last_used, traits
         FROM api_keys ORDER BY created, id",
    )?;
    statement.query_map([], read_key)?.collect()
}

pub(crate) fn key(connection: &Connection, id: &str) -> Result<Option<StoredKey>> {
    connection
        .query_row(
            "SELECT id, hash, owner, scopes, created, expires, revoked, successor, last_used, traits
             FROM api_keys WHERE id = ?1",
            [id],
            read_key,
        )
        .optional()
}

/// What of a key stands in one column: it is read and written whole.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Traits {
    roles: Vec<Arc<str>>,
    tenant: Option<Arc<str>>,
    attributes: BTreeMap<Arc<str>, serde_json::Value>,
    limit: Option<KeyLimit>,
}

fn read_key(row: &Row<'_>) -> Result<StoredKey> {
    let text = |index| row.get::<_, String>(index).map(Arc::<str>::from);
    let Traits { roles, tenant, attributes, limit } = json(row, 9)?;
    let record = ApiKeyRecord {
        id: text(0)?,
        hash: row.get(1)?,
        owner: text(2)?,
        scopes: json(row, 3)?,
        created: moment(row, 4)?,
        expires: some_moment(row, 5)?,
        revoked: some_moment(row, 6)?,
        successor: row.get::<_, Option<String>>(7)?.map(Arc::from),
        roles,
        tenant,
        attributes,
        limit,
    };
    Ok(StoredKey { record, last_used: some_moment(row, 8)? })
}

fn json<T: DeserializeOwned>(row: &Row<'_>, index: usize) -> Result<T> {
    let text: String = row.get(index)?;
    serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// Answers `false` when the id or hash exists.
pub(crate) fn insert_key(connection: &Connection, key: &ApiKeyRecord) -> Result<bool> {
    let scopes = serde_json::to_string(&key.scopes).unwrap_or_else(|_| "[]".to_owned());
    let traits = Traits {
        roles: key.roles.clone(),
        tenant: key.tenant.clone(),
        attributes: key.attributes.clone(),
        limit: key.limit,
    };
    let traits = serde_json::to_string(&traits).unwrap_or_else(|_| "{}".to_owned());
    let inserted = connection.execute(
        "INSERT OR IGNORE INTO api_keys (id, hash, owner, scopes, created, expires, traits)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![&*key.id, key.hash, &*key.owner, scopes, int(key.created), key.expires.map(int), traits],
    )?;
    Ok(inserted == 1)
}

pub(crate) fn succeed_key(
    connection: &Connection,
    id: &str,
    successor: &str,
    expires: Timestamp,
) -> Result<()> {
    connection.execute(
        "UPDATE api_keys SET successor = ?2, expires = min(coalesce(expires, ?3), ?3) WHERE id = ?1",
        params![id, successor, int(expires)],
    )?;
    Ok(())
}

pub(crate) fn revoke_key(connection: &Connection, id: &str, at: Timestamp) -> Result<()> {
    connection.execute("UPDATE api_keys SET revoked = ?2 WHERE id = ?1", params![id, int(at)])?;
    Ok(())
}

pub(crate) fn note_uses(transaction: &Transaction<'_>, uses: &[(Arc<str>, Timestamp)]) -> Result<()> {
    let mut statement = transaction
        .prepare_cached("UPDATE api_keys SET last_used = max(coalesce(last_used, 0), ?2) WHERE id = ?1")?;
    for (id, at) in uses {
        statement.execute(params![&**id, int(*at)])?;
    }
    Ok(())
}

pub(crate) fn factors(connection: &Connection) -> Result<Vec<StoredFactor>> {
    let mut statement = connection.prepare_cached(
        "SELECT owner, hash, sealed, created, last_step, last_used FROM factors ORDER BY owner",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(StoredFactor {
            owner: row.get::<_, String>(0)?.into(),
            hash: json(row, 1)?,
            sealed: row.get::<_, Vec<u8>>(2)?.into(),
            created: moment(row, 3)?,
            last_step: u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
            last_used: some_moment(row, 5)?,
        })
    })?;
    rows.collect()
}

/// Answers `false` when the owner has a factor.
pub(crate) fn insert_factor(connection: &Connection, factor: &StoredFactor) -> Result<bool> {
    let hash = serde_json::to_string(&factor.hash).unwrap_or_default();
    let inserted = connection.execute(
        "INSERT OR IGNORE INTO factors (owner, hash, sealed, created) VALUES (?1, ?2, ?3, ?4)",
        params![&*factor.owner, hash, &*factor.sealed, int(factor.created)],
    )?;
    Ok(inserted == 1)
}

pub(crate) fn delete_factor(connection: &Connection, owner: &str) -> Result<bool> {
    Ok(connection.execute("DELETE FROM factors WHERE owner = ?1", [owner])? > 0)
}

pub(crate) fn note_factor_uses(
    transaction: &Transaction<'_>,
    uses: &[(Arc<str>, u64, Timestamp)],
) -> Result<()> {
    let mut statement = transaction.prepare_cached(
        "UPDATE factors SET last_step = max(last_step, ?2), last_used = max(coalesce(last_used, 0), ?3)
         WHERE owner = ?1",
    )?;
    for (owner, step, at) in uses {
        statement.execute(params![&**owner, i64::try_from(*step).unwrap_or(i64::MAX), int(*at)])?;
    }
    Ok(())
}

pub(crate) fn bans(connection: &Connection) -> Result<Vec<Ban>> {
    let mut statement = connection.prepare_cached(
        "SELECT target, reason, until, created, made_by FROM bans ORDER BY created, target",
    )?;
    let rows = statement.query_map([], |row| {
        let target: String = row.get(0)?;
        let target = target.parse().map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
        })?;
        Ok(Ban {
            target,
            reason: row.get(1)?,
            until: some_moment(row, 2)?,
            created: moment(row, 3)?,
            by: row.get(4)?,
        })
    })?;
    rows.collect()
}

pub(crate) fn count_bans(connection: &Connection) -> Result<usize> {
    let count: i64 = connection.query_row("SELECT count(*) FROM bans", [], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

pub(crate) fn insert_ban(connection: &Connection, ban: &Ban) -> Result<()> {
    connection.execute(
        "INSERT OR REPLACE INTO bans (target, reason, until, created, made_by) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![ban.target.to_string(), ban.reason, ban.until.map(int), int(ban.created), ban.by],
    )?;
    Ok(())
}

pub(crate) fn delete_ban(connection: &Connection, target: &str) -> Result<bool> {
    Ok(connection.execute("DELETE FROM bans WHERE target = ?1", [target])? > 0)
}

pub(crate) fn delete_ended_bans(connection: &Connection, now: Timestamp) -> Result<usize> {
    connection.execute("DELETE FROM bans WHERE until <= ?1", [int(now)])
}

/// How often each subject was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Revisions {
    pub(crate) keys: i64,
    pub(crate) bans: i64,
    pub(crate) factors: i64,
}

pub(crate) fn revisions(connection: &Connection) -> Result<Revisions> {
    let mut statement = connection.prepare_cached("SELECT revision FROM revisions WHERE subject = ?1")?;
    let mut of = |subject: &str| statement.query_row([subject], |row| row.get(0));
    Ok(Revisions { keys: of("keys")?, bans: of("bans")?, factors: of("factors")? })
}

pub(crate) fn data_version(connection: &Connection) -> Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

pub(crate) fn int(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

pub(crate) fn moment(row: &Row<'_>, index: usize) -> Result<Timestamp> {
    Ok(Timestamp(u64::try_from(row.get::<_, i64>(index)?).unwrap_or(0)))
}

pub(crate) fn some_moment(row: &Row<'_>, index: usize) -> Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(index)?.map(|micros| Timestamp(u64::try_from(micros).unwrap_or(0))))
}
