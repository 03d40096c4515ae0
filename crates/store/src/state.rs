//! The state directory: the admin token, the installation's key, where the admin API listens, and the database.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use bartizan_model::{Redacted, TokenKey, services::Random as _};
use serde::{Deserialize, Serialize};

use crate::{
    Sealer, Store, StoreError,
    system::{SipKeyedHash, SystemRandom},
};

/// Everything that outlives a policy, opened.
pub struct State {
    /// The directory; `None` when it cannot be written, and nothing outlives the process.
    pub directory: Option<StateDirectory>,
    /// Events, keys and bans.
    pub store: Arc<Store>,
    /// The admin API's bearer token.
    pub token: Arc<Redacted<String>>,
    /// Turns secrets into tokens.
    pub tokens: TokenKey,
    /// Seals what the database must not hold in clear.
    pub sealer: Arc<Sealer>,
    /// What does not work, for the operator: told at start.
    pub degraded: Vec<String>,
}

impl State {
    /// Opens the directory and the database. A directory that cannot be written is not fatal: keys and bans are then
    /// empty and end with the process, which `degraded` says.
    ///
    /// # Errors
    /// The directory is usable but the database is not, or another gateway uses it.
    pub fn open(directory: &Path, database: Option<&Path>) -> Result<Self, StoreError> {
        match StateDirectory::open(directory) {
            Ok(mut state) => {
                state.claim()?;
                let store = match database {
                    Some(path) => Store::open(path)?,
                    None => Store::memory()?,
                };
                let (token, tokens) = (state.token(), state.token_key());
                Ok(State {
                    sealer: Arc::new(state.sealer()?),
                    directory: Some(state),
                    store: Arc::new(store),
                    token,
                    tokens,
                    degraded: Vec::new(),
                })
            }
            Err(error) => {
                let mut key = [0; 32];
                SystemRandom.fill(&mut key);
                let warning = format!(
                    "{error}: running without state: API keys and bans are empty, events are kept in memory only, \
                     commands cannot reach the admin API; make the directory writable or choose another `storage`"
                );
                Ok(State {
                    sealer: Arc::new(Sealer::new(&key).map_err(|_| StoreError::CannotSeal)?),
                    directory: None,
                    store: Arc::new(Store::memory()?),
                    token: Arc::new(Redacted::new(random_token())),
                    tokens: TokenKey::new(Arc::new(SipKeyedHash::new(&key))),
                    degraded: vec![warning],
                })
            }
        }
    }
}

/// A directory of mode 0700 with the installation's secrets.
pub struct StateDirectory {
    path: PathBuf,
    token: Arc<Redacted<String>>,
    key: Redacted<[u8; 32]>,
    /// Locked while a gateway uses the directory.
    claim: Option<fs::File>,
}

/// Where a running gateway's admin API listens and what it stores in: how the command line finds both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminAddress {
    /// The address that it is bound to.
    pub address: SocketAddr,
    /// The gateway's process.
    pub pid: u32,
    /// Its database, as an absolute path; `None` when it keeps everything in memory.
    pub database: Option<PathBuf>,
}

impl StateDirectory {
    /// Opens the directory; makes it, the admin token and the installation's key where they are missing.
    ///
    /// # Errors
    /// It cannot be created or written, or a secret in it is damaged.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let fail = |error| StoreError::File(path.to_owned(), error);
        make_directory(path).map_err(fail)?;
        let token = keep_secret(&path.join(TOKEN), random_token)?;
        let key = keep_secret(&path.join(KEY), random_token)?;
        let key = unhex(&key).ok_or_else(|| damaged(&path.join(KEY)))?;
        if unhex(&token).is_none() {
            return Err(damaged(&path.join(TOKEN)));
        }
        Ok(StateDirectory {
            path: path.to_owned(),
            token: Arc::new(Redacted::new(token)),
            key: Redacted::new(key),
            claim: None,
        })
    }

    /// Keeps other gateways off the directory until `release`, or the end of the process however it comes. A file system
    /// that knows no locks keeps nobody off.
    ///
    /// # Errors
    /// Another gateway uses it.
    fn claim(&mut self) -> Result<(), StoreError> {
        let path = self.path.join(LOCK);
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let file = options.open(&path).map_err(|error| StoreError::File(path, error))?;
        if let Err(fs::TryLockError::WouldBlock) = file.try_lock() {
            let process = Self::admin_address(&self.path).map(|admin| admin.pid);
            return Err(StoreError::InUse(self.path.clone(), process));
        }
        self.claim = Some(file);
        Ok(())
    }

    /// Lets a successor use the directory: the rest of a drain needs it no longer.
    pub fn release(&mut self) {
        self.claim = None;
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The admin API's bearer token: 256 random bits as 64 hexadecimal digits, made once.
    #[must_use]
    pub fn token(&self) -> Arc<Redacted<String>> {
        Arc::clone(&self.token)
    }

    /// The installation's keyed hash: equal secrets are equal tokens across restarts.
    #[must_use]
    pub fn token_key(&self) -> TokenKey {
        TokenKey::new(Arc::new(SipKeyedHash::new(self.key.expose())))
    }

    /// Seals secrets by the installation's key.
    ///
    /// # Errors
    /// The cryptography library refuses.
    pub fn sealer(&self) -> Result<Sealer, StoreError> {
        Sealer::new(self.key.expose()).map_err(|_| StoreError::CannotSeal)
    }

    /// Notes where this process's admin API listens, and its database.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn announce(&self, address: SocketAddr, database: Option<&Path>) -> Result<(), StoreError> {
        let path = self.path.join(ADMIN);
        let database = database.map(|file| std::path::absolute(file).unwrap_or_else(|_| file.to_owned()));
        let admin = AdminAddress { address, pid: std::process::id(), database };
        let text = serde_json::to_vec(&admin).unwrap_or_default();
        write_private(&path, &text).map_err(|error| StoreError::File(path, error))
    }

    /// Forgets where the admin API listened, unless another process has taken over.
    pub fn withdraw(&self) {
        if Self::admin_address(&self.path).is_some_and(|admin| admin.pid == std::process::id()) {
            let _ = fs::remove_file(self.path.join(ADMIN));
        }
    }

    /// Where the gateway that uses the directory `path` says that it listens.
    #[must_use]
    pub fn admin_address(path: &Path) -> Option<AdminAddress> {
        serde_json::from_str(&read_bounded(&path.join(ADMIN)).ok()?).ok()
    }

    /// The admin token of the directory `path`, which is not created.
    ///
    /// # Errors
    /// There is none, or this user may not read it.
    pub fn admin_token(path: &Path) -> Result<Redacted<String>, StoreError> {
        let file = path.join(TOKEN);
        match read_bounded(&file) {
            Ok(text) => Ok(Redacted::new(text.trim().to_owned())),
            Err(error) => Err(StoreError::File(file, error)),
        }
    }
}

const TOKEN: &str = "admin.token";
const ADMIN: &str = "admin.json";
const KEY: &str = "installation.key";
const LOCK: &str = "gateway.lock";

/// None of the directory's small files is longer.
const MAX_FILE: u64 = 4 * 1024;

fn random_token() -> String {
    let mut bytes = [0; 32];
    SystemRandom.fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the secret, or makes it. When two processes make it at once, the first file wins for both.
fn keep_secret(path: &Path, make: impl FnOnce() -> String) -> Result<String, StoreError> {
    let fail = |error| StoreError::File(path.to_owned(), error);
    match read_bounded(path) {
        Ok(text) => {
            narrow(path).map_err(fail)?;
            return Ok(text.trim().to_owned());
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fail(error)),
    }
    let text = make();
    let draft = draft_of(path);
    write_new(&draft, format!("{text}\n").as_bytes()).map_err(fail)?;
    let linked = fs::hard_link(&draft, path);
    let _ = fs::remove_file(&draft);
    match linked {
        Ok(()) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(read_bounded(path).map_err(fail)?.trim().to_owned())
        }
        Err(error) => Err(fail(error)),
    }
}

/// Replaces a file's content at once, mode 0600.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = draft_of(path);
    write_new(&draft, content)?;
    fs::rename(&draft, path)
}

fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    PathBuf::from(name)
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}

/// Creates the directory with mode 0700. One that exists keeps its mode: what is secret in it is 0600.
fn make_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
}

fn narrow(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, slot) in bytes.iter_mut().enumerate() {
        *slot = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

fn damaged(path: &Path) -> StoreError {
    StoreError::File(
        path.to_owned(),
        io::Error::new(
            io::ErrorKind::InvalidData,
            "expected 64 hexadecimal digits; remove the file to have a new one made",
        ),
    )
}

#[cfg(test)]
mod tests;
