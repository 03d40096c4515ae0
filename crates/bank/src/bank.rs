//! The bank: its database, its issuer and what it remembers.

use std::{sync::Arc, time::Duration};

use bartizan_model::{Clock, Timestamp};
use parking_lot::Mutex;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::{Semaphore, watch};

use crate::{
    Flaw, Flaws,
    authorize::Code,
    deliver,
    issuer::Issuer,
    refusal::{Answer, Refusal},
    sessions::{Counter, Expiring},
    token::Family,
};

/// Failed sign-ins of one user name within [`LOGIN_WINDOW`].
const LOGIN_FAILURES: u64 = 5;
const LOGIN_WINDOW: Duration = Duration::from_secs(300);

/// Prices that one person reads within a minute: a person browses, a scraper takes the catalogue.
const PRICES_PER_MINUTE: u64 = 200;

/// Who is signed in.
#[derive(Clone, Debug)]
pub struct Session {
    pub person: i64,
    pub read_only: bool,
    /// When, in seconds.
    pub since: u64,
    /// Whether a browser may show it as its cookie. Sessions of programs cannot: a token narrowed to reading would grow.
    pub cookie: bool,
}

/// What every request shares.
pub struct Bank {
    pub flaws: Flaws,
    pub seed: u64,
    pub clock: Arc<dyn Clock>,
    pub issuer: Mutex<Issuer>,
    pub sessions: Mutex<Expiring<String, Session>>,
    /// Codes of the authorization endpoint, by their SHA-256.
    pub codes: Mutex<Expiring<String, Code>>,
    /// Sign-ins of programs, by the first half of their refresh tokens.
    pub families: Mutex<Expiring<String, Family>>,
    pub login_failures: Mutex<Counter<String>>,
    pub reset_failures: Mutex<Counter<String>>,
    pub reset_tokens: Mutex<Expiring<String, i64>>,
    pub used_codes: Mutex<Expiring<(i64, u64), ()>>,
    pub prices_read: Mutex<Counter<i64>>,
    /// A turn for each delivery that is under way.
    pub deliveries: Arc<Semaphore>,
    /// Where reports are written, one folder of a number each.
    pub reports: TempDir,
    /// True from the moment that the bank closes: streams end.
    pub closing: watch::Receiver<bool>,
    /// Known to nobody outside; what BANK-06 and BANK-11 give away.
    pub secret: String,
    db: Mutex<Connection>,
}

/// How axum hands it around.
pub type Shared = Arc<Bank>;

impl Bank {
    pub fn new(
        db: Connection,
        flaws: Flaws,
        seed: u64,
        issuer: Issuer,
        clock: Arc<dyn Clock>,
        closing: watch::Receiver<bool>,
    ) -> Result<Self, Refusal> {
        Ok(Bank {
            flaws,
            seed,
            clock,
            issuer: Mutex::new(issuer),
            sessions: Mutex::default(),
            codes: Mutex::default(),
            families: Mutex::default(),
            login_failures: Mutex::new(Counter::new(LOGIN_FAILURES, LOGIN_WINDOW)),
            reset_failures: Mutex::new(Counter::new(LOGIN_FAILURES, LOGIN_WINDOW)),
            reset_tokens: Mutex::default(),
            used_codes: Mutex::default(),
            prices_read: Mutex::new(Counter::new(PRICES_PER_MINUTE, Duration::from_secs(60))),
            deliveries: deliver::turns(),
            reports: tempfile::Builder::new()
                .prefix("sample-bank-")
                .tempdir()
                .map_err(|error| Refusal::internal(&error))?,
            closing,
            secret: crate::password::random_text()?,
            db: Mutex::new(db),
        })
    }

    pub fn has(&self, flaw: Flaw) -> bool {
        self.flaws.has(flaw)
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Asks the database. Queries are short: the lock is held for no longer than one.
    pub fn sql<T>(&self, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Answer<T> {
        Ok(ask(&self.db.lock())?)
    }

    /// Changes the database, all or nothing.
    pub fn change<T>(&self, change: impl FnOnce(&Connection) -> Answer<T>) -> Answer<T> {
        let mut db = self.db.lock();
        let transaction = db.transaction()?;
        let answer = change(&transaction)?;
        transaction.commit()?;
        Ok(answer)
    }
}
