//! The tables, and how an older file becomes a current one.

use rusqlite::Connection;

/// One step per version: `user_version` counts the steps that a file has taken. Steps are only ever added.
const STEPS: &[&str] = &["
    CREATE TABLE events (
        id TEXT PRIMARY KEY,
        time INTEGER NOT NULL,
        kind TEXT NOT NULL,
        api TEXT NOT NULL,
        verdict TEXT NOT NULL,
        reason TEXT,
        client TEXT,
        json TEXT NOT NULL
    );

    CREATE TABLE api_keys (
        id TEXT PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
        owner TEXT NOT NULL,
        scopes TEXT NOT NULL,
        created INTEGER NOT NULL,
        expires INTEGER,
        revoked INTEGER,
        successor TEXT,
        last_used INTEGER
    );

    CREATE TABLE bans (
        target TEXT PRIMARY KEY,
        reason TEXT NOT NULL,
        until INTEGER,
        created INTEGER NOT NULL,
        made_by TEXT NOT NULL
    );

    CREATE TABLE changes (
        id INTEGER PRIMARY KEY,
        time INTEGER NOT NULL,
        code TEXT NOT NULL,
        actor TEXT NOT NULL,
        detail TEXT NOT NULL
    );

    -- What a running gateway compares when another process has written: events and times of last use count in none.
    CREATE TABLE revisions (subject TEXT PRIMARY KEY, revision INTEGER NOT NULL);
    INSERT INTO revisions VALUES ('keys', 0), ('bans', 0);

    CREATE TRIGGER keys_inserted AFTER INSERT ON api_keys BEGIN
        UPDATE revisions SET revision = revision + 1 WHERE subject = 'keys';
    END;
    CREATE TRIGGER keys_updated AFTER UPDATE OF hash, owner, scopes, expires, revoked, successor ON api_keys BEGIN
        UPDATE revisions SET revision = revision + 1 WHERE subject = 'keys';
    END;
    CREATE TRIGGER keys_deleted AFTER DELETE ON api_keys BEGIN
        UPDATE revisions SET revision = revision + 1 WHERE subject = 'keys';
    END;
    CREATE TRIGGER bans_inserted AFTER INSERT ON bans BEGIN
        UPDATE revisions SET revision = revision + 1 WHERE subject = 'bans';
    END;
    CREATE TRIGGER bans_updated AFTER UPDATE ON bans BEGIN
        UPDATE revisions SET revision = revision + 1 WHERE subject = 'bans';
    END;
    CREATE TRIGGER bans_deleted AFTER DELETE ON bans BEGIN
        UPDATE revisions SET revision = revision + 1 WHERE subject = 'bans';
    END;
", "
    -- Roles, tenant, attributes and limit of a key, as one JSON object.
    ALTER TABLE api_keys ADD COLUMN traits TEXT NOT NULL DEFAULT '{}';

    -- Second factors; what the app knows is sealed by the installation's key.
    CREATE TABLE factors (
        owner TEXT PRIMARY KEY,
        hash TEXT NOT NULL,
        sealed BLOB NOT NULL,
        created INTEGER NOT NULL,
        last_step INTEGER NOT NULL DEFAULT 0,
        last_used INTEGER
    );
    INSERT INTO revisions VALUES ('factors', 0);
    CREATE TRIGGER factors_inserted AFTER INSERT ON factors BEGIN
        UPDATE revisions SET revision = revision + 1 WHERE subject = 'factors';
    END;
    CREATE TRIGGER factors_updated AFTER UPDATE OF hash, sealed ON factors BEGIN
        UPDATE revisions SET revision = revision + 1 WHERE subject = 'factors';
    END;
    CREATE TRIGGER factors_deleted AFTER DELETE ON factors BEGIN
        UPDATE revisions SET revision = revision + 1 WHERE subject = 'factors';
    END;
", "
    CREATE TABLE client_keys (
        id TEXT PRIMARY KEY,
        client TEXT NOT NULL,
        algorithm TEXT NOT NULL,
        public_key TEXT NOT NULL,
        created INTEGER NOT NULL,
        expires INTEGER,
        revoked INTEGER,
        successor TEXT,
        last_used INTEGER
    );

    INSERT INTO revisions VALUES ('clients', 0);
    CREATE TRIGGER clients_inserted AFTER INSERT ON client_keys BEGIN
        UPDATE revisions SET revision = revision + 1 WHERE subject = 'clients';
    END;
    CREATE TRIGGER clients_updated AFTER UPDATE OF client, algorithm, public_key, expires, revoked, successor ON client_keys BEGIN
        UPDATE revisions SET revision = revision + 1 WHERE subject = 'clients';
    END;
    CREATE TRIGGER clients_deleted AFTER DELETE ON client_keys BEGIN
        UPDATE revisions SET revision = revision + 1 WHERE subject = 'clients';
    END;
", "
    -- What was revoked before its end. Rows are only added and removed: a changed one is a new one.
    CREATE TABLE revocations (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        issuer TEXT NOT NULL,
        value TEXT NOT NULL,
        issued_before INTEGER,
        until INTEGER,
        reason TEXT NOT NULL,
        created INTEGER NOT NULL,
        made_by TEXT NOT NULL,
        UNIQUE (kind, issuer, value)
    );
    INSERT INTO revisions VALUES ('revocations_removed', 0);
    CREATE TRIGGER revocations_deleted AFTER DELETE ON revocations BEGIN
        UPDATE revisions SET revision = revision + 1 WHERE subject = 'revocations_removed';
    END;

    -- Who showed tokens of retired issuers.
    CREATE TABLE retired_uses (
        issuer TEXT NOT NULL,
        client TEXT NOT NULL,
        subject TEXT NOT NULL,
        verified INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (issuer, client, subject, verified)
    );

    -- Security events that were taken in.
    CREATE TABLE security_events (issuer TEXT NOT NULL, id TEXT NOT NULL, time INTEGER NOT NULL, UNIQUE (issuer, id));
", "
    -- What roles, scopes and keys were used for.
    CREATE TABLE access_usage (
        of TEXT NOT NULL,
        name TEXT NOT NULL,
        api TEXT NOT NULL,
        operation TEXT NOT NULL,
        count INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        PRIMARY KEY (of, name, api, operation)
    );
"];

/// The file was written by a later version.
pub(crate) struct TooNew;

/// Takes the steps that the file has not taken, in one transaction, so that two processes that start at once do not
/// both take them.
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<Result<(), TooNew>> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let taken: usize =
        transaction.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))?.try_into().unwrap_or(0);
    if taken > STEPS.len() {
        return Ok(Err(TooNew));
    }
    for step in STEPS.iter().skip(taken) {
        transaction.execute_batch(step)?;
    }
    if taken < STEPS.len() {
        transaction.pragma_update(None, "user_version", i64::try_from(STEPS.len()).unwrap_or(i64::MAX))?;
    }
    transaction.commit()?;
    Ok(Ok(()))
}
