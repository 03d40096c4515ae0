//! How commands find a gateway's state and talk to its admin API.

use std::{
    fmt,
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use bartizan_contract::yaml;
use bartizan_model::Redacted;
use bartizan_policy::Loaded;
use bartizan_store::{StateDirectory, Store, StoreError};
use serde_json::Value;

use crate::commands::{check::load, run::CONFIG};

/// For a connection to be made: the gateway is on this machine or near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// For an answer; the admin API itself gives up after 60 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(65);
/// Bytes of an answer that are read: a thousand large events are less.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// The database's name where nothing says another.
const DATABASE: &str = "bartizan.db";

/// Where a gateway keeps its state.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// The gateway's state directory.
    #[arg(long, value_name = "DIR", conflicts_with = "config", global = true)]
    pub state: Option<PathBuf>,
    /// The gateway's configuration; its `storage` says where the state is.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

/// How a command answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Why the admin API could not be asked, or what it answered.
#[derive(Debug)]
pub enum AdminError {
    /// No gateway runs on this state directory.
    NotRunning(PathBuf),
    /// The token is missing or unreadable.
    Token(StoreError),
    /// The connection failed.
    Connection(SocketAddr, io::Error),
    /// The answer is not HTTP.
    Garbled(SocketAddr),
    /// The admin API refused: status and detail.
    Refused(u16, String),
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminError::NotRunning(directory) => write!(
                f,
                "no gateway runs on the state directory `{}`; name another one by `--state` or `--config`",
                directory.display()
            ),
            AdminError::Token(error) => write!(f, "the admin token: {error}; run this as the gateway's user"),
            AdminError::Connection(address, error) => {
                write!(f, "the admin API at `{address}` does not answer: {error}; is the gateway running?")
            }
            AdminError::Garbled(address) => write!(f, "what answers at `{address}` is not the admin API"),
            AdminError::Refused(status, detail) => write!(f, "{detail} (status {status})"),
        }
    }
}

impl std::error::Error for AdminError {}

impl Place {
    /// The state directory.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        let database = self.configured();
        database.parent().map_or_else(|| PathBuf::from("var"), Path::to_owned)
    }

    /// The database, as far as flags and files tell: `bartizan.db` in the state directory, or what the configuration says.
    fn configured(&self) -> PathBuf {
        match (&self.state, &self.config) {
            (Some(state), _) => state.join(DATABASE),
            (None, Some(config)) => database_of(config),
            // As `run` without flags; a gateway that runs by `--upstream` keeps its state here.
            (None, None) if !Path::new("var").exists() && Path::new(CONFIG).exists() => {
                database_of(Path::new(CONFIG))
            }
            (None, None) => Path::new("var").join(DATABASE),
        }
    }

    /// The policy that `--config` names, else the one that lies here; `None` where it does not compile.
    #[must_use]
    pub fn configuration(&self) -> Option<Loaded> {
        let file = match (&self.config, &self.state) {
            (Some(config), _) => config.clone(),
            // The state directory lies beside the configuration, unless that says otherwise.
            (None, Some(state)) => state.parent().unwrap_or(Path::new("")).join(CONFIG),
            (None, None) => PathBuf::from(CONFIG),
        };
        load(&file, None).ok()
    }

    /// The database: the one that a running gateway names, else the configured one. `None` when the running gateway has
    /// none.
    #[must_use]
    pub fn database(&self) -> Option<PathBuf> {
        match StateDirectory::admin_address(&self.directory()) {
            Some(admin) => admin.database,
            None => Some(self.configured()),
        }
    }

    /// As `store`, of a directory that has one: a wrong directory is not taken for an empty one.
    ///
    /// # Errors
    /// The text for the user.
    pub fn existing_store(&self) -> Result<Store, String> {
        match self.database() {
            Some(database) if !database.exists() => Err(format!(
                "there is no database `{}`: no gateway has kept its state there; name another place by `--state` or \
                 `--config`",
                database.display()
            )),
            _ => self.store(),
        }
    }

    /// Opens the database for a change, which a running gateway notices within a second.
    ///
    /// # Errors
    /// The text for the user.
    pub fn store(&self) -> Result<Store, String> {
        let database = self.database().ok_or_else(|| {
            "the running gateway keeps its state in memory; give it a `storage`, or use its admin API"
                .to_owned()
        })?;
        StateDirectory::open(&self.directory()).map_err(|error| error.to_string())?;
        Store::open(&database).map_err(|error| error.to_string())
    }

    /// A client of the admin API of the gateway that runs on this state directory.
    ///
    /// # Errors
    /// None runs, or its token cannot be read.
    pub fn admin(&self) -> Result<AdminClient, AdminError> {
        let directory = self.directory();
        let Some(admin) = StateDirectory::admin_address(&directory) else {
            return Err(AdminError::NotRunning(directory));
        };
        let token = StateDirectory::admin_token(&directory).map_err(AdminError::Token)?;
        Ok(AdminClient { address: reachable(admin.address), token })
    }
}

/// Where a configuration keeps its state. One that does not compile here (its secrets may be known to the gateway alone)
/// is asked for its `storage` only.
fn database_of(config: &Path) -> PathBuf {
    let beside = config.parent().unwrap_or(Path::new(""));
    if let Ok(loaded) = load(config, None) {
        let state = loaded.snapshot.state;
        return state.database.unwrap_or_else(|| state.directory.join(DATABASE));
    }
    let text = std::fs::read_to_string(config).unwrap_or_default();
    let written = yaml::parse(&text, "", 0, yaml::Budget::POLICY).ok().and_then(|tree| {
        let storage = tree.get("storage")?.as_str()?.strip_prefix("sqlite:")?;
        Some(beside.join(storage))
    });
    written.unwrap_or_else(|| beside.join("var").join(DATABASE))
}

/// One request at a time to one admin API, with its token.
pub struct AdminClient {
    address: SocketAddr,
    token: Redacted<String>,
}

impl AdminClient {
    /// Sends a request and answers the JSON of a 2xx response.
    ///
    /// # Errors
    /// The connection fails, or the admin API refuses.
    pub fn ask(&self, method: &str, target: &str, body: Option<&Value>) -> Result<Value, AdminError> {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.send(method, target, "application/json", body.as_bytes())
    }

    /// As [`AdminClient::ask`], with any body.
    ///
    /// # Errors
    /// The connection fails, or the admin API refuses.
    pub fn send(&self, method: &str, target: &str, kind: &str, body: &[u8]) -> Result<Value, AdminError> {
        let (status, body) = self.exchange(method, target, kind, body)?;
        let body: Value = serde_json::from_slice(&body).map_err(|_| AdminError::Garbled(self.address))?;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let detail = body.get("detail").and_then(Value::as_str).unwrap_or("the admin API refused");
        Err(AdminError::Refused(status, detail.to_owned()))
    }

    fn exchange(
        &self,
        method: &str,
        target: &str,
        kind: &str,
        body: &[u8],
    ) -> Result<(u16, Vec<u8>), AdminError> {
        let fail = |error| AdminError::Connection(self.address, error);
        let mut stream = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT).map_err(fail)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(fail)?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT)).map_err(fail)?;
        // HTTP/1.0: the answer is never chunked and ends with the connection.
        let request = format!(
            "{method} {target} HTTP/1.0\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n",
            self.address,
            self.token.expose(),
            body.len()
        );
        stream.write_all(request.as_bytes()).and_then(|()| stream.write_all(body)).map_err(fail)?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer).map_err(fail)?;
        split(&answer).ok_or(AdminError::Garbled(self.address))
    }
}

/// Status and body of a whole HTTP/1 response.
fn split(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?;
    let mut words = head.lines().next()?.split(' ');
    if !words.next()?.starts_with("HTTP/1.") {
        return None;
    }
    let status = words.next()?.parse().ok()?;
    Some((status, answer.get(end + 4..)?.to_vec()))
}

/// An unspecified address is everywhere, so also on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Prints a line to standard output; a reader that has left is no error.
pub fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints a remark to standard error.
pub fn remark(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints an error and answers exit code 1.
pub fn fail(error: &dyn fmt::Display) -> std::process::ExitCode {
    remark(&format!("error: {error}"));
    std::process::ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn an_answer_is_status_and_body() {
        let (status, body) = split(b"HTTP/1.0 404 Not Found\r\nA: b\r\n\r\n{}").unwrap();
        assert_eq!((status, body.as_slice()), (404, b"{}".as_slice()));
        assert!(split(b"SSH-2.0-OpenSSH\r\n\r\n").is_none());
        assert!(split(b"HTTP/1.1 200").is_none());
    }

    #[test]
    fn a_gateway_bound_everywhere_is_asked_on_loopback() {
        assert_eq!(reachable("0.0.0.0:9440".parse().unwrap()), "127.0.0.1:9440".parse().unwrap());
        assert_eq!(reachable("[::]:9440".parse().unwrap()), "[::1]:9440".parse().unwrap());
        assert_eq!(reachable("192.0.2.1:9440".parse().unwrap()), "192.0.2.1:9440".parse().unwrap());
    }
}
