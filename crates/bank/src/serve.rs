//! Starting and ending the bank.

use std::{
    future::{Future, IntoFuture as _},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bartizan_model::Clock;
use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::{net::TcpListener, sync::watch};

use crate::{Flaws, bank::Bank, issuer::Issuer, routes::routes, seed};

/// How long open exchanges may take to end.
const DRAIN: Duration = Duration::from_secs(2);

/// How a bank is made.
#[derive(Clone)]
pub struct Config {
    /// What is wrong with it.
    pub flaws: Flaws,
    /// The same seed makes the same people and things.
    pub seed: u64,
    /// An SQLite file; without one, memory.
    pub database: Option<PathBuf>,
    /// The issuer's name, which its discovery document is below; without one, the address that the bank listens on.
    pub issuer: Option<String>,
    /// The time, for tokens, codes and limits.
    pub clock: Arc<dyn Clock>,
}

/// Why a bank does not run.
#[derive(Debug, thiserror::Error)]
pub enum BankError {
    /// It has flaws that run commands: nobody else may reach it.
    #[error("the sample bank answers on loopback only: `{0}` is not a loopback address")]
    NotLoopback(SocketAddr),
    /// The file was made with another seed or other flaws.
    #[error(
        "the database was made with another seed, other flaws or another version: remove it or name another file"
    )]
    OtherBank,
    /// SQLite failed.
    #[error("the database cannot be used: {0}")]
    Database(#[from] rusqlite::Error),
    /// The socket failed.
    #[error("cannot listen: {0}")]
    Io(#[from] std::io::Error),
    /// No keys, no random bytes or no folder for reports.
    #[error("the bank cannot begin: no key, random bytes or temporary folder")]
    Begin,
}

/// A bank that has its data and its socket, and answers nobody yet.
pub struct Opened {
    listener: TcpListener,
    bank: Bank,
    close: watch::Sender<bool>,
}

/// Opens the database, or fills a new one, and makes the bank.
///
/// # Errors
/// The listener is not on loopback, or the database, the keys or the folder for reports failed.
pub fn prepare(listener: TcpListener, config: Config) -> Result<Opened, BankError> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        return Err(BankError::NotLoopback(address));
    }
    let db = open(&config)?;
    let name = config.issuer.unwrap_or_else(|| format!("http://{address}"));
    let issuer = Issuer::new(name).map_err(|_| BankError::Begin)?;
    let (close, closing) = watch::channel(false);
    let bank = Bank::new(db, config.flaws, config.seed, issuer, config.clock, closing)
        .map_err(|_| BankError::Begin)?;
    Ok(Opened { listener, bank, close })
}

impl Opened {
    /// Serves until `shutdown` ends. Streams are closed then, and other exchanges get two seconds.
    ///
    /// # Errors
    /// The socket failed.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), BankError> {
        let Opened { listener, bank, close } = self;
        let mut closed = close.subscribe();
        let serving = axum::serve(listener, routes(&Arc::new(bank))).with_graceful_shutdown(async move {
            // An error means that the sender is gone, and with it the bank.
            let _ = closed.wait_for(|closing| *closing).await;
        });
        let ending = async move {
            shutdown.await;
            close.send_replace(true);
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            ended = serving.into_future() => Ok(ended?),
            () = ending => Ok(()),
        }
    }
}

/// Opens the bank and serves it until `shutdown` ends: [`prepare`], then [`Opened::serve`].
///
/// # Errors
/// The listener is not on loopback, or the database, the keys or the socket failed.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), BankError> {
    prepare(listener, config)?.serve(shutdown).await
}

/// Opens the database, and fills it where it is new.
fn open(config: &Config) -> Result<Connection, BankError> {
    let mut db = match &config.database {
        Some(file) => Connection::open(file)?,
        None => Connection::open_in_memory()?,
    };
    db.set_prepared_statement_cache_capacity(64);
    db.execute_batch("PRAGMA synchronous = OFF; CREATE TABLE IF NOT EXISTS bank(seed TEXT, flaws INTEGER);")?;
    let version: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let kept: Option<(String, u32)> =
        db.query_row("SELECT seed, flaws FROM bank", [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let ours = (config.seed.to_string(), config.flaws.bits());
    match kept {
        Some(kept) if kept == ours && version == seed::VERSION => {}
        Some(_) => return Err(BankError::OtherBank),
        None => {
            seed::fill(&mut db, config.seed, config.flaws)?;
            db.pragma_update(None, "user_version", seed::VERSION)?;
            db.execute("INSERT INTO bank VALUES(?1, ?2)", params![ours.0, ours.1])?;
        }
    }
    Ok(db)
}
