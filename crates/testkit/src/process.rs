//! Child processes that end with the value that holds them.

use std::{
    io::{BufRead, BufReader, Read},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Output kept per child; a child that writes more loses the rest.
const MAX_LOG: usize = 4 << 20;

/// The time that a child has between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(3);

/// The time that the last of its output has to be read once it has ended; what it started may hold its output open.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A running child. Dropping it sends SIGTERM, and SIGKILL three seconds later.
pub struct Process {
    name: String,
    child: Child,
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a child with its output captured.
    ///
    /// # Errors
    /// The program could not be started.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{name}`"))?;
        let log = Arc::new(Mutex::new(String::new()));
        let out = child.stdout.take().map(|out| capture(out, Arc::clone(&log)));
        let err = child.stderr.take().map(|err| capture(err, Arc::clone(&log)));
        let readers = out.into_iter().chain(err).collect();
        Ok(Process { name: name.to_owned(), child, log, readers })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far, both streams.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it has written so far, for conditions of [`Process::wait_until`].
    pub fn shared_log(&self) -> impl Fn() -> String + use<> {
        let log = Arc::clone(&self.log);
        move || log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// The child ended, or the time is over; with what it wrote.
    pub fn wait_until(&mut self, within: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + within;
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                thread::sleep(Duration::from_millis(50));
                bail!("`{}` ended with {status} before it was ready:\n{}", self.name, self.log());
            }
            if Instant::now() > deadline {
                bail!("`{}` was not ready within {within:?}:\n{}", self.name, self.log());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits until it accepts connections on a loopback port.
    ///
    /// # Errors
    /// As [`Process::wait_until`].
    pub fn wait_for_port(&mut self, port: u16, within: Duration) -> Result<()> {
        self.wait_until(within, || accepts(port))
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// The child is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id())?;
        let pid = Pid::from_raw(id).context("no process id")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal `{}`", self.name))
    }

    /// Waits for its end; `None` when it still runs after `within`.
    pub fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    let last = Instant::now() + LAST_WORDS;
                    while !self.readers.iter().all(JoinHandle::is_finished) && Instant::now() < last {
                        thread::sleep(Duration::from_millis(1));
                    }
                    return Some(status);
                }
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                _ => return None,
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.signal(Signal::TERM);
            if self.wait(GRACE).is_none() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
    }
}

fn capture(stream: impl Read + Send + 'static, log: Arc<Mutex<String>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            if log.len() < MAX_LOG {
                log.push_str(&String::from_utf8_lossy(&line));
            }
            line.clear();
        }
    })
}

/// Whether something accepts connections on a loopback port.
#[must_use]
pub fn accepts(port: u16) -> bool {
    TcpStream::connect_timeout(&loopback(port), Duration::from_millis(200)).is_ok()
}

/// `127.0.0.1` with this port.
#[must_use]
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A loopback port that nothing listens on, below the range from which the kernel takes ports of outgoing connections.
/// Tests run as processes of their own: the search starts at a place that depends on the process id.
#[must_use]
pub fn free_port() -> u16 {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(7_919);
    loop {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let Ok(port) = u16::try_from(FIRST + offset) else { continue };
        if TcpListener::bind(loopback(port)).is_ok() {
            return port;
        }
    }
}
