//! The store: one SQLite connection on one thread, asked through a bounded queue.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bartizan_model::{
    Clock as _, Event, EventId, Timestamp,
    services::{ApiKeyRecord, EventStore},
};
use ipnet::IpNet;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::{
    Ban, BanList, ClientIndex, DenyList, FactorIndex, KeyIndex, MAX_BANS, StoreError, StoredFactor,
    StoredKey, Usage, UsageIndex,
    bans::normal,
    clients, revocations, schema,
    sql::{self, Change, EventFilter, Revisions},
    system::SystemClock,
};

/// How often the file is asked whether another process has changed it; a change is in force within a second.
const POLL: Duration = Duration::from_millis(300);
/// How often times of last use are written and ended bans are removed.
const SWEEP: Duration = Duration::from_secs(5);
/// How long a statement waits for another process's lock.
const BUSY: Duration = Duration::from_secs(5);
/// Questions that may wait for the thread; more make their askers wait.
const JOBS: usize = 256;
/// Recent events kept by default: about 100 MB of disk.
const EVENTS: usize = 100_000;

/// Recent events, API keys, bans and the log of changes.
///
/// Calls wait for the disk: from asynchronous code use a blocking task. What is in memory never waits.
pub struct Store {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
    keys: Arc<KeyIndex>,
    bans: Arc<BanList>,
    usage: Arc<UsageIndex>,
    factors: Arc<FactorIndex>,
    pub(crate) clients: Arc<ClientIndex>,
    pub(crate) denied: Arc<DenyList>,
}

type Job = Box<dyn FnOnce(&mut Worker) + Send>;

impl Store {
    /// Opens or creates the database, readable by its owner only, and keeps the newest 100,000 events.
    ///
    /// # Errors
    /// The file cannot be used; a damaged one is named and left as it is.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Store::open_with(path, EVENTS)
    }

    /// [`Store::open`] with another cap on events.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(path: &Path, events: usize) -> Result<Self, StoreError> {
        make_private(path).map_err(|error| StoreError::File(path.to_owned(), error))?;
        let connection = Connection::open(path).map_err(|error| describe(path, error))?;
        Store::start(connection, path, events)
    }

    /// A store that ends with the process.
    ///
    /// # Errors
    /// The system refuses memory or a thread.
    pub fn memory() -> Result<Self, StoreError> {
        let path = Path::new(":memory:");
        let connection = Connection::open_in_memory().map_err(|error| describe(path, error))?;
        // Without a disk behind it, less history is worth its memory: about 10 MB.
        Store::start(connection, path, EVENTS / 10)
    }

    fn start(mut connection: Connection, path: &Path, cap: usize) -> Result<Self, StoreError> {
        prepare(&mut connection)
            .map_err(|error| describe(path, error))?
            .map_err(|_| StoreError::Newer(path.to_owned()))?;
        let keys = Arc::new(KeyIndex::default());
        let bans = Arc::new(BanList::default());
        let usage = Arc::new(UsageIndex::default());
        let factors = Arc::new(FactorIndex::default());
        let clients = Arc::new(ClientIndex::default());
        let denied = Arc::new(DenyList::default());
        let mut worker = Worker {
            connection,
            keys: Arc::clone(&keys),
            bans: Arc::clone(&bans),
            usage: Arc::clone(&usage),
            factors: Arc::clone(&factors),
            clients: Arc::clone(&clients),
            clients_revision: None,
            denied: Arc::clone(&denied),
            revisions: None,
            data_version: 0,
            events: None,
            cap,
        };
        worker.reload().map_err(|error| describe(path, error))?;
        let (jobs, receiver) = sync_channel(JOBS);
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || worker.run(&receiver))
            .map_err(|error| StoreError::File(path.to_owned(), error))?;
        Ok(Store {
            jobs: Some(jobs),
            thread: Some(thread),
            path: path.to_owned(),
            keys,
            bans,
            usage,
            factors,
            clients,
            denied,
        })
    }

    /// The API keys in memory: what `Services::api_keys` takes.
    #[must_use]
    pub fn key_index(&self) -> &Arc<KeyIndex> {
        &self.keys
    }

    /// What counts uses of roles, scopes and keys: what `Services::usage` takes.
    #[must_use]
    pub fn usage_index(&self) -> &Arc<UsageIndex> {
        &self.usage
    }

    /// What roles, scopes and keys were used for.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn usage(&self) -> Result<Vec<Usage>, StoreError> {
        self.ask(|worker| crate::usage::read(&worker.connection))
    }

    /// The bans in memory.
    #[must_use]
    pub fn ban_list(&self) -> &Arc<BanList> {
        &self.bans
    }

    /// The second factors in memory, sealed: [`FactorIndex::opened_by`] makes what `Services::factors` takes.
    #[must_use]
    pub fn factor_index(&self) -> &Arc<FactorIndex> {
        &self.factors
    }

    /// The JSON of one recent event.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn event(&self, id: EventId) -> Result<Option<String>, StoreError> {
        self.ask(move |worker| sql::event(&worker.connection, id))
    }

    /// The JSON of recent events, newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn events(&self, filter: EventFilter) -> Result<Vec<String>, StoreError> {
        self.ask(move |worker| sql::events(&worker.connection, &filter))
    }

    /// The newest changes that operators made, newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn changes(&self, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.ask(move |worker| sql::changes(&worker.connection, limit))
    }

    /// Logs a change that no running gateway publishes as an event (one made by the command line).
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn log_change(&self, code: &str, actor: &str, detail: &str) -> Result<(), StoreError> {
        let (code, actor, detail) = (code.to_owned(), actor.to_owned(), detail.to_owned());
        self.ask(move |worker| sql::insert_change(&worker.connection, now(), &code, &actor, &detail))
    }

    /// All API keys, oldest first, with their last uses up to this moment.
    ///
    /// # Errors
    /// The database cannot be read or written.
    pub fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        self.ask(|worker| worker.write_uses().and_then(|()| sql::keys(&worker.connection)))
    }

    /// Adds a key; in force when this returns.
    ///
    /// # Errors
    /// A key with this id or hash exists, or the database cannot be written.
    pub fn add_key(&self, key: ApiKeyRecord) -> Result<(), StoreError> {
        let id = key.id.to_string();
        if self.change(move |connection| sql::insert_key(connection, &key))? {
            Ok(())
        } else {
            Err(StoreError::KeyExists(id))
        }
    }

    /// Adds `successor` with the owner and scopes of the key `id`, which then ends at `old_expires` or when it would
    /// have ended anyway, whatever is earlier. Answers the old key as it now is.
    ///
    /// # Errors
    /// The key is unknown, has ended or was rotated before; or the database cannot be written.
    pub fn rotate_key(
        &self,
        id: &str,
        successor: impl FnOnce(&ApiKeyRecord) -> ApiKeyRecord + Send + 'static,
        old_expires: Timestamp,
    ) -> Result<StoredKey, StoreError> {
        let wanted = id.to_owned();
        self.change(move |connection| {
            let Some(old) = sql::key(connection, &wanted)? else {
                return Ok(Err(StoreError::UnknownKey(wanted)));
            };
            let ended = old.record.expires.is_some_and(|at| at <= now());
            if ended || old.record.revoked.is_some() || old.record.successor.is_some() {
                return Ok(Err(StoreError::KeyEnded(wanted)));
            }
            let new = successor(&old.record);
            if !sql::insert_key(connection, &new)? {
                return Ok(Err(StoreError::KeyExists(new.id.to_string())));
            }
            sql::succeed_key(connection, &wanted, &new.id, old_expires)?;
            Ok(sql::key(connection, &wanted)?.ok_or(StoreError::UnknownKey(wanted)))
        })?
    }

    /// Ends a key; in force when this returns. A key that is revoked already stays as it is.
    ///
    /// # Errors
    /// The key is unknown, or the database cannot be written.
    pub fn revoke_key(&self, id: &str, at: Timestamp) -> Result<StoredKey, StoreError> {
        let wanted = id.to_owned();
        self.change(move |connection| {
            let Some(key) = sql::key(connection, &wanted)? else {
                return Ok(Err(StoreError::UnknownKey(wanted)));
            };
            if key.record.revoked.is_none() {
                sql::revoke_key(connection, &wanted, at)?;
            }
            Ok(sql::key(connection, &wanted)?.ok_or(StoreError::UnknownKey(wanted)))
        })?
    }

    /// All second factors, by owner.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn factors(&self) -> Result<Vec<StoredFactor>, StoreError> {
        self.ask(|worker| {
            worker.write_factor_uses()?;
            sql::factors(&worker.connection)
        })
    }

    /// Adds an owner's second factor; in force when this returns.
    ///
    /// # Errors
    /// The owner has one already, or the database cannot be written.
    pub fn add_factor(&self, factor: StoredFactor) -> Result<(), StoreError> {
        let owner = factor.owner.to_string();
        if self.change(move |connection| sql::insert_factor(connection, &factor))? {
            Ok(())
        } else {
            Err(StoreError::FactorExists(owner))
        }
    }

    /// Removes an owner's second factor; in force when this returns.
    ///
    /// # Errors
    /// The owner has none, or the database cannot be written.
    pub fn remove_factor(&self, owner: &str) -> Result<(), StoreError> {
        let wanted = owner.to_owned();
        if self.change(move |connection| sql::delete_factor(connection, &wanted))? {
            Ok(())
        } else {
            Err(StoreError::UnknownFactor(owner.to_owned()))
        }
    }

    /// All bans, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn bans(&self) -> Result<Vec<Ban>, StoreError> {
        self.ask(|worker| sql::bans(&worker.connection))
    }

    /// Adds or replaces a ban; in force when this returns. Host bits of the target are cleared.
    ///
    /// # Errors
    /// The list is full, or the database cannot be written.
    pub fn ban(&self, mut ban: Ban) -> Result<Ban, StoreError> {
        ban.target = normal(ban.target);
        let stored = ban.clone();
        let fits = self.change(move |connection| {
            sql::delete_ended_bans(connection, now())?;
            let fits = sql::count_bans(connection)? < MAX_BANS;
            if fits {
                sql::insert_ban(connection, &ban)?;
            }
            Ok(fits)
        })?;
        if fits { Ok(stored) } else { Err(StoreError::TooManyBans) }
    }

    /// Removes the ban of exactly this target; `false` when there is none.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn unban(&self, target: IpNet) -> Result<bool, StoreError> {
        let target = normal(target).to_string();
        self.change(move |connection| sql::delete_ban(connection, &target))
    }

    /// Writes what is only in memory (times of last use) and folds the write-ahead log into the file: the last thing
    /// before the process ends, since other owners of the store may keep it from being dropped.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn settle(&self) -> Result<(), StoreError> {
        self.ask(|worker| {
            worker.write_uses()?;
            worker.write_factor_uses()?;
            worker.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        })
    }

    /// Runs `change` in a transaction, and puts what it changed in force.
    pub(crate) fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(move |worker| {
            let transaction = worker.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let answer = change(&transaction)?;
            transaction.commit()?;
            worker.reload()?;
            Ok(answer)
        })
    }

    pub(crate) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Worker) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = sync_channel(1);
        let job: Job = Box::new(move |worker| drop(reply.send(question(worker))));
        self.jobs.as_ref().ok_or(StoreError::Closed)?.send(job).map_err(|_| StoreError::Closed)?;
        answer.recv().map_err(|_| StoreError::Closed)?.map_err(|error| describe(&self.path, error))
    }
}

impl EventStore for Store {
    fn insert(&self, batch: Vec<(Arc<Event>, String)>) -> Result<(), String> {
        self.ask(move |worker| worker.insert(&batch)).map_err(|error| error.to_string())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread owns.
pub(crate) struct Worker {
    pub(crate) connection: Connection,
    keys: Arc<KeyIndex>,
    bans: Arc<BanList>,
    usage: Arc<UsageIndex>,
    factors: Arc<FactorIndex>,
    denied: Arc<DenyList>,
    /// As last loaded.
    revisions: Option<Revisions>,
    clients: Arc<ClientIndex>,
    clients_revision: Option<i64>,
    data_version: i64,
    /// Events in the table, once counted.
    events: Option<usize>,
    cap: usize,
}

impl Worker {
    fn run(mut self, jobs: &Receiver<Job>) {
        let mut failing = false;
        let (mut polled, mut swept) = (Instant::now(), Instant::now());
        loop {
            match jobs.recv_timeout(POLL.saturating_sub(polled.elapsed())) {
                Ok(job) => job(&mut self),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if polled.elapsed() < POLL {
                continue;
            }
            polled = Instant::now();
            // Codes that were taken must stay taken, also after a crash: they are written at once.
            let mut outcome = self.poll().and_then(|()| self.write_factor_uses());
            if swept.elapsed() >= SWEEP {
                swept = Instant::now();
                outcome = outcome.and_then(|()| self.sweep());
            }
            match outcome {
                Ok(()) => failing = false,
                Err(error) if !std::mem::replace(&mut failing, true) => tracing::error!(
                    "the database cannot be read or written, changes of keys, bans and second factors are not noticed: {error}"
                ),
                Err(_) => {}
            }
        }
        if let Err(error) = self.write_uses().and_then(|()| self.write_factor_uses()) {
            tracing::warn!("the last uses of API keys and second factors were not written: {error}");
        }
    }

    /// Notices what other processes changed.
    fn poll(&mut self) -> rusqlite::Result<()> {
        let version = sql::data_version(&self.connection)?;
        if version != self.data_version {
            self.reload()?;
            self.data_version = version;
        }
        Ok(())
    }

    fn reload(&mut self) -> rusqlite::Result<()> {
        let found = sql::revisions(&self.connection)?;
        let known = self.revisions;
        if known.is_none_or(|known| known.keys != found.keys) {
            self.keys.replace(sql::keys(&self.connection)?);
        }
        if known.is_none_or(|known| known.bans != found.bans) {
            self.bans.replace(sql::bans(&self.connection)?);
        }
        if known.is_none_or(|known| known.factors != found.factors) {
            self.factors.replace(sql::factors(&self.connection)?);
        }
        self.denied.refresh(&self.connection)?;
        self.revisions = Some(found);
        let revision = clients::revision(&self.connection)?;
        if self.clients_revision.replace(revision) != Some(revision) {
            self.clients.replace(clients::load(&self.connection)?);
        }
        Ok(())
    }

    fn sweep(&mut self) -> rusqlite::Result<()> {
        self.write_uses()?;
        if !self.denied.is_empty() && revocations::remove_ended(&self.connection, now())? {
            self.reload()?;
        }
        if !self.bans.is_empty() && sql::delete_ended_bans(&self.connection, now())? > 0 {
            self.reload()?;
        }
        Ok(())
    }

    fn write_uses(&mut self) -> rusqlite::Result<()> {
        self.denied.write_uses(&mut self.connection)?;
        let used = self.usage.take();
        if !used.is_empty() {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            crate::usage::write(&transaction, &used)?;
            transaction.commit()?;
        }
        let uses = self.keys.unwritten();
        let clients = self.clients.unwritten();
        if uses.is_empty() && clients.is_empty() {
            return Ok(());
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        sql::note_uses(&transaction, &uses)?;
        clients::note_uses(&transaction, &clients)?;
        transaction.commit()?;
        self.clients.written(&clients);
        self.keys.written(&uses);
        Ok(())
    }

    fn write_factor_uses(&mut self) -> rusqlite::Result<()> {
        let uses = self.factors.unwritten();
        if uses.is_empty() {
            return Ok(());
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        sql::note_factor_uses(&transaction, &uses)?;
        transaction.commit()?;
        self.factors.written(&uses);
        Ok(())
    }

    fn insert(&mut self, batch: &[(Arc<Event>, String)]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let inserted = sql::insert_events(&transaction, batch)?;
        // A twentieth more than the cap is let stand, so that not every batch pays for a removal.
        let count = match self.events {
            Some(count) if count + inserted <= self.cap + self.cap / 20 => count + inserted,
            _ => sql::prune_events(&transaction, self.cap)?,
        };
        transaction.commit()?;
        self.events = Some(count);
        Ok(())
    }
}

/// The JSON of one event from a database that another process may be writing; the file is opened read-only.
///
/// # Errors
/// The database cannot be read.
pub fn read_event(path: &Path, id: EventId) -> Result<Option<String>, StoreError> {
    sql::event(&for_reading(path)?, id).map_err(|error| describe(path, error))
}

/// The JSON of the newest `limit` events that are refusals or failures, newest first, from a database that a gateway may be
/// writing.
///
/// # Errors
/// The database cannot be read.
pub fn read_refusals(path: &Path, limit: usize) -> Result<Vec<String>, StoreError> {
    sql::refusals(&for_reading(path)?, limit).map_err(|error| describe(path, error))
}

/// The newest events as JSON texts, the newest first; not those that a running gateway is still writing.
///
/// # Errors
/// The database cannot be read.
pub fn read_events(path: &Path, limit: usize) -> Result<Vec<String>, StoreError> {
    let filter = EventFilter { limit, ..EventFilter::default() };
    sql::events(&for_reading(path)?, &filter).map_err(|error| describe(path, error))
}

fn for_reading(path: &Path) -> Result<Connection, StoreError> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(|error| describe(path, error))?;
    connection.busy_timeout(BUSY).map_err(|error| describe(path, error))?;
    Ok(connection)
}

fn prepare(connection: &mut Connection) -> rusqlite::Result<Result<(), schema::TooNew>> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update_and_check(None, "journal_size_limit", 16 * 1024 * 1024, |_| Ok(()))?;
    schema::migrate(connection)
}

/// Creates the file with mode 0600, or narrows it to that; SQLite gives its `-wal` and `-shm` the same mode.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
        let file = options.mode(0o600).open(path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
        }
    }
    #[cfg(not(unix))]
    options.open(path)?;
    Ok(())
}

fn describe(path: &Path, error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => StoreError::Corrupt(path.to_owned()),
        _ => StoreError::Sqlite(path.to_owned(), error),
    }
}

fn now() -> Timestamp {
    SystemClock::default().now()
}

#[cfg(test)]
mod tests;
