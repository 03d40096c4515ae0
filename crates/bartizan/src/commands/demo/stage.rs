//! The bank, the gateway before it, and the directory of both: put up at free addresses, taken down without a trace.

use std::{
    collections::BTreeMap,
    fs, io,
    net::{SocketAddr, TcpListener as StdListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bartizan_bank::{CONTRACT, Config as BankConfig, Flaws};
use bartizan_model::{Clock, services::EventStore};
use bartizan_policy::{CompileOptions, Snapshot, Source, compile, offline, render};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use super::Failure;
use crate::{
    commands::check::colour,
    running::{Setup, Started, start},
};

/// The policy of a demo without `--policy`.
pub const POLICY: &str = include_str!("policy.yaml");

/// The rules that it names.
const RULES: &str = include_str!("rules.conf");

/// Where the gateway listens where nobody says another address, and its admin API.
const LISTEN: &str = "127.0.0.1:8080";
const ADMIN: &str = "127.0.0.1:9440";
/// Any free port.
const FREE: &str = "127.0.0.1:0";

/// For the bank to fill its database: well below a second in a release build.
const BANK_BEGINS: Duration = Duration::from_secs(30);
/// For running exchanges when it ends, and for the bank after that.
const DRAIN: Duration = Duration::from_millis(400);

/// What the stage is made of.
pub struct Plan<'a> {
    /// `--seed`.
    pub seed: u64,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--policy`.
    pub policy: Option<&'a Path>,
    /// `--state`.
    pub state: Option<&'a Path>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Sees every event.
    pub witness: Arc<dyn EventStore>,
}

/// The bank and the gateway, running.
pub struct Stage {
    /// The gateway.
    pub gateway: Started,
    /// The bank's address.
    pub bank: SocketAddr,
    /// Where people and attackers connect.
    pub traffic: SocketAddr,
    /// Where anybody may call, where the policy has such a listener.
    pub open: Option<SocketAddr>,
    /// The policy's file.
    pub policy: PathBuf,
    /// The gateway's state.
    pub state: PathBuf,
    running_bank: Bank,
    directory: Directory,
}

impl Stage {
    /// Puts everything up.
    ///
    /// # Errors
    /// The policy cannot be used, a port is taken, or the bank cannot begin. Nothing is left behind then.
    pub async fn put_up(plan: Plan<'_>) -> Result<Stage, Failure> {
        let directory = Directory::open(plan.state)?;
        let state = directory.path();
        let bank = Bank::begin(plan.seed, Arc::clone(&plan.clock)).await?;
        let (listen, traffic) = (listener(plan.listen)?, bind(FREE)?);
        let admin = bind(ADMIN).or_else(|_| bind(FREE))?;
        let variables = BTreeMap::from([
            ("BANK".to_owned(), format!("http://{}", bank.address)),
            ("LISTEN".to_owned(), address(&listen)?.to_string()),
            ("TRAFFIC".to_owned(), address(&traffic)?.to_string()),
            ("ADMIN".to_owned(), address(&admin)?.to_string()),
            ("STATE".to_owned(), state.display().to_string()),
        ]);
        write(&state.join("bank.json"), CONTRACT)?;
        write(&state.join("rules.conf"), RULES)?;
        write(&state.join("roles.yaml"), bartizan_drill::BANK_ROLES)?;
        write(&state.join("bank.cedar"), bartizan_drill::BANK_POLICIES)?;
        let policy = match plan.policy {
            Some(file) => file.to_owned(),
            None => {
                let file = state.join("policy.yaml");
                // What an earlier demo's policy was changed to is not lost.
                let _ = fs::rename(&file, state.join("policy.yaml.before"));
                write(&file, &filled_in(POLICY, &variables))?;
                file
            }
        };
        let source = Source { variables, ..Source::file(&policy) };
        let looked = look(&source)?;
        let (open, proxied) = listeners(&looked)?;
        // A policy that does not use one of the addresses leaves it free.
        let used = [Some(proxied), open, Some(looked.admin.address)];
        let sockets = [listen, traffic, admin].into_iter();
        let sockets = sockets.filter(|socket| used.contains(&socket.local_addr().ok()));
        let setup = Setup {
            workers: Some(2),
            trace: true,
            sockets: sockets.collect(),
            witness: Some(plan.witness),
            ..Setup::new(source)
        };
        let gateway = start(setup).await.map_err(|text| Failure::config(&text))?;
        Ok(Stage {
            gateway,
            bank: bank.address,
            traffic: proxied,
            open,
            policy,
            state: state.to_owned(),
            running_bank: bank,
            directory,
        })
    }

    /// Takes everything down: what is kept is what `--state` named.
    pub async fn take_down(self) {
        self.gateway.stop(DRAIN, std::future::pending()).await;
        self.running_bank.end().await;
        self.directory.remove();
    }
}

/// The policy before anything listens, so that what is wrong with it opens nothing.
fn look(source: &Source) -> Result<Snapshot, Failure> {
    let services = offline::services();
    match compile(source, &CompileOptions::new(&services)) {
        Ok(loaded) => Ok(loaded.snapshot),
        Err(rejected) => Err(Failure::config(&render(&rejected.diagnostics, &rejected.sources, colour()))),
    }
}

/// The listener for anybody and the one for the demo's own people and attackers.
fn listeners(policy: &Snapshot) -> Result<(Option<SocketAddr>, SocketAddr), Failure> {
    if let Some(listener) = policy.listeners.iter().find(|listener| !listener.address.ip().is_loopback()) {
        return Err(Failure::config(&format!(
            "the policy listens on `{}`: the bank runs commands for whoever asks well, so that the demo answers on \
             loopback only; use `${{LISTEN}}`",
            listener.address
        )));
    }
    let proxied = policy.listeners.iter().find(|listener| {
        let (plain, ip) = (listener.tls.is_none(), listener.address.ip());
        listener.proxy_protocol
            && plain
            && listener.address.port() != 0
            && policy.trusted_proxies.contains(ip)
    });
    let Some(proxied) = proxied else {
        return Err(Failure::config(
            "the policy has no listener for the demo's people and attackers; add \
             `- { address: \"${TRAFFIC}\", proxy_protocol: true }` to `listeners`, and `trusted_proxies: [127.0.0.1]`",
        ));
    };
    let open = policy.listeners.iter().find(|listener| !listener.proxy_protocol && listener.tls.is_none());
    Ok((open.map(|listener| listener.address), proxied.address))
}

/// A policy with the demo's own variables replaced: other commands can read it. Values stand in double quotes or are
/// plain, so that they are escaped as JSON is.
fn filled_in(policy: &str, variables: &BTreeMap<String, String>) -> String {
    variables.iter().fold(policy.to_owned(), |text, (name, value)| {
        let escaped = serde_json::Value::String(value.clone()).to_string();
        let escaped = escaped.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
        text.replace(&format!("${{{name}}}"), escaped)
    })
}

/// The address that was asked for; without one, the usual one or, where that is taken, a free one.
fn listener(wanted: Option<SocketAddr>) -> Result<StdListener, Failure> {
    match wanted {
        None => bind(LISTEN).or_else(|_| bind(FREE)),
        Some(address) if !address.ip().is_loopback() => Err(Failure::config(&format!(
            "the demo answers on loopback only, not on `{address}`: the bank runs commands for whoever asks well; name \
             an address such as `127.0.0.1:8080` with `--listen`"
        ))),
        Some(address) => bind(&address.to_string()),
    }
}

fn bind(address: &str) -> Result<StdListener, Failure> {
    StdListener::bind(address).map_err(|error| {
        let help = if error.kind() == io::ErrorKind::AddrInUse {
            "another process listens there; stop it, name another address with `--listen`, or leave `--listen` out to \
             have a free one chosen"
        } else {
            "name another address with `--listen`"
        };
        Failure::config(&format!("cannot listen on `{address}`: {error}; {help}"))
    })
}

fn address(socket: &StdListener) -> Result<SocketAddr, Failure> {
    socket.local_addr().map_err(|error| Failure::other(&format!("cannot listen: {error}")))
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let told = |error| Failure::other(&format!("cannot write `{}`: {error}", file.display()));
    fs::write(file, text).map_err(told)
}

/// Where the state is.
enum Directory {
    /// Removed at the end, however it comes.
    Temporary(TempDir),
    /// Named by `--state`.
    Kept(PathBuf),
}

impl Directory {
    fn open(wanted: Option<&Path>) -> Result<Self, Failure> {
        match wanted {
            Some(path) => {
                let told = |error| Failure::other(&format!("cannot make `{}`: {error}", path.display()));
                fs::create_dir_all(path).map_err(told)?;
                refuse_used(path)?;
                std::path::absolute(path).map(Directory::Kept).map_err(told)
            }
            None => tempfile::Builder::new()
                .prefix("bartizan-")
                .rand_bytes(5)
                .tempdir()
                .map(Directory::Temporary)
                .map_err(|error| Failure::other(&format!(
                    "cannot make a temporary directory: {error}; set `TMPDIR` to a directory that can be written"
                ))),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Directory::Temporary(directory) => directory.path(),
            Directory::Kept(path) => path,
        }
    }

    fn remove(self) {
        if let Directory::Temporary(directory) = self {
            let _ = directory.close();
        }
    }
}

/// A directory that a gateway uses is not touched: it would reload what is written there.
fn refuse_used(directory: &Path) -> Result<(), Failure> {
    let lock = fs::File::open(directory.join("gateway.lock"));
    if lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock))) {
        return Err(Failure::config(&format!(
            "another gateway uses `{}`; name another directory with `--state`",
            directory.display()
        )));
    }
    Ok(())
}

/// The bank, running.
struct Bank {
    address: SocketAddr,
    task: JoinHandle<Result<(), bartizan_bank::BankError>>,
    stop: oneshot::Sender<()>,
}

impl Bank {
    async fn begin(seed: u64, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let told = |error: &dyn std::fmt::Display| Failure::other(&format!("the bank cannot begin: {error}"));
        let listener = TcpListener::bind(FREE).await.map_err(|error| told(&error))?;
        let address = listener.local_addr().map_err(|error| told(&error))?;
        let config = BankConfig { flaws: Flaws::all(), seed, database: None, issuer: None, clock };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(bartizan_bank::serve(listener, config, async move {
            let _ = stopped.await;
        }));
        let bank = Bank { address, task, stop };
        match timeout(BANK_BEGINS, answers(address)).await {
            Ok(Ok(())) => Ok(bank),
            _ if bank.task.is_finished() => match bank.task.await {
                Ok(Err(error)) => Err(told(&error)),
                _ => Err(told(&"it ended at once")),
            },
            Ok(Err(error)) => Err(told(&error)),
            Err(_) => Err(told(&"it does not answer")),
        }
    }

    async fn end(mut self) {
        let _ = self.stop.send(());
        if timeout(DRAIN, &mut self.task).await.is_err() {
            self.task.abort();
            let _ = self.task.await;
        }
    }
}

/// Waits for the first answer.
async fn answers(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: bank\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    if answer.starts_with(b"HTTP/1.1 200") { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests assert")]
    use super::*;

    #[test]
    fn the_demos_policy_compiles_wherever_its_places_are() {
        for (state, listen) in [("/tmp/a b #1/it's", "[::1]:8080"), (r#"/tmp/"c"\d"#, "127.0.0.1:8080")] {
            let value = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            let variables = BTreeMap::from([
                value("BANK", "http://127.0.0.1:3000"),
                value("LISTEN", listen),
                value("TRAFFIC", "127.0.0.1:8081"),
                value("ADMIN", "127.0.0.1:9440"),
                value("STATE", state),
            ]);
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("bank.json"), CONTRACT).unwrap();
            fs::write(dir.path().join("rules.conf"), RULES).unwrap();
            fs::write(dir.path().join("roles.yaml"), bartizan_drill::BANK_ROLES).unwrap();
            fs::write(dir.path().join("bank.cedar"), bartizan_drill::BANK_POLICIES).unwrap();
            // Compiling reads these files.
            let text = filled_in(&POLICY.replace("file:${STATE}/", "file:"), &variables);
            let source = Source { base: Some(dir.path().to_owned()), ..Source::inline("policy", text) };
            let policy = look(&source).unwrap_or_else(|failure| panic!("{}", failure.text));
            assert_eq!(policy.state.directory, Path::new(state));
            let (open, traffic) = listeners(&policy).unwrap_or_else(|failure| panic!("{}", failure.text));
            assert_eq!((open, traffic), (Some(listen.parse().unwrap()), "127.0.0.1:8081".parse().unwrap()));
            assert_eq!(policy.warnings.0.len(), 0, "{:?}", policy.warnings);
        }
    }
}
