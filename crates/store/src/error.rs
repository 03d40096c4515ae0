//! What can go wrong with persistence, each with its remedy.

use std::{fmt, io, path::PathBuf};

/// Why the store refused.
#[derive(Debug)]
pub enum StoreError {
    /// The file is not a database, or is damaged. It is left as it is.
    Corrupt(PathBuf),
    /// The database was written by a later version.
    Newer(PathBuf),
    /// A file or directory could not be created, read or written.
    File(PathBuf, io::Error),
    /// Another gateway, the process of this id, uses the state directory.
    InUse(PathBuf, Option<u32>),
    /// SQLite refused, for instance because the disk is full or another process holds the lock.
    Sqlite(PathBuf, rusqlite::Error),
    /// No such key.
    UnknownKey(String),
    /// The key is revoked already, or was rotated.
    KeyEnded(String),
    /// A key with this id or hash exists.
    KeyExists(String),
    /// The owner has a second factor already.
    FactorExists(String),
    /// The owner has no second factor.
    UnknownFactor(String),
    /// A secret could not be sealed.
    CannotSeal,
    /// No such key of a client, and no client of that name.
    UnknownClientKey(String),
    /// The client's key is revoked already, or was rotated.
    ClientKeyEnded(String),
    /// A client's key with this id is enrolled.
    ClientKeyExists(String),
    /// No more keys of clients fit.
    TooManyClientKeys,
    /// The ban list is full.
    TooManyBans,
    /// The deny-list is full.
    TooManyRevocations,
    /// The store's thread has ended.
    Closed,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Corrupt(path) => write!(
                f,
                "the database `{0}` is damaged or not a database; it was left untouched: restore it from a backup, \
                 recover it with `sqlite3 {0} .recover`, or move it away to start with an empty one (API keys and bans \
                 are in it)",
                path.display()
            ),
            StoreError::Newer(path) => write!(
                f,
                "the database `{}` was written by a later version of bartizan: run that version, or choose another \
                 `storage`",
                path.display()
            ),
            StoreError::File(path, error) => write!(f, "cannot use `{}`: {error}", path.display()),
            StoreError::InUse(path, process) => {
                write!(f, "another gateway uses the state directory `{}`", path.display())?;
                if let Some(process) = process {
                    write!(f, " (process {process})")?;
                }
                f.write_str("; stop it, or give this one a directory of its own by `storage` or `--state`")
            }
            StoreError::Sqlite(path, error) => write!(f, "the database `{}`: {error}", path.display()),
            StoreError::UnknownClientKey(id) => {
                write!(
                    f,
                    "no client and no client's key is called `{id}`; `bartizan clients list` shows all of them"
                )
            }
            StoreError::ClientKeyEnded(id) => {
                write!(f, "the client's key `{id}` has ended or was rotated already; enroll a new one")
            }
            StoreError::ClientKeyExists(id) => {
                write!(f, "a client's key `{id}` is enrolled already; revoke it, or choose another `--id`")
            }
            StoreError::TooManyClientKeys => {
                write!(f, "no more than {} keys of clients are kept", crate::MAX_CLIENT_KEYS)
            }
            StoreError::UnknownKey(id) => {
                write!(f, "no API key has the id `{id}`; `bartizan keys list` shows all of them")
            }
            StoreError::KeyEnded(id) => {
                write!(f, "the API key `{id}` is revoked or rotated already; create a new one")
            }
            StoreError::KeyExists(id) => write!(f, "an API key `{id}` exists already"),
            StoreError::FactorExists(owner) => write!(
                f,
                "`{owner}` has a second factor already; `bartizan mfa revoke` ends it, then a new one can be enrolled"
            ),
            StoreError::UnknownFactor(owner) => {
                write!(f, "`{owner}` has no second factor; `bartizan mfa list` shows who has")
            }
            StoreError::CannotSeal => {
                f.write_str("the secret could not be sealed with the installation's key")
            }
            StoreError::TooManyBans => write!(
                f,
                "the ban list is full ({} entries); ban a network instead, or remove some",
                crate::MAX_BANS
            ),
            StoreError::TooManyRevocations => write!(
                f,
                "the deny-list is full ({} entries); revoke what an issuer issued before some time instead, or lift some",
                crate::MAX_REVOCATIONS
            ),
            StoreError::Closed => f.write_str("the store is closed"),
        }
    }
}

impl std::error::Error for StoreError {}
