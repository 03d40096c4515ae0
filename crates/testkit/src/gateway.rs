//! A running gateway: the shipped binary with a configuration of its own.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    process::{Process, free_port, loopback},
    raw::{Reply, raw_request, reply},
};

/// A gateway must be ready within this.
const START: Duration = Duration::from_secs(20);

/// Answers of the gateway are waited for this long.
const ANSWER: Duration = Duration::from_secs(10);

/// The gateway. Dropping it ends the process and removes its state.
pub struct Gateway {
    /// The process.
    pub process: Process,
    /// The folder with `bartizan.yaml` and `var/`.
    pub dir: TempDir,
    /// The first listener.
    pub address: SocketAddr,
    /// The admin API.
    pub admin: SocketAddr,
}

impl Gateway {
    /// Starts `binary run --upstream URL` with more arguments.
    ///
    /// # Errors
    /// It was not ready in time; with what it wrote.
    pub fn before(binary: &str, upstream: &str, more: &[&str]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (address, admin) = (loopback(free_port()), loopback(free_port()));
        let mut command = Command::new(binary);
        command
            .current_dir(dir.path())
            .args(["run", "--upstream", upstream, "--listen", &address.to_string()])
            .args(["--admin", &admin.to_string(), "--state"])
            .arg(dir.path().join("var"))
            .args(more);
        Self::start(command, dir, address, admin)
    }

    /// Starts `binary run --config FILE`. In the text, `$LISTEN`, `$ADMIN` and `$DIR` stand for the addresses and the
    /// folder that were chosen; `prepare` may put more files into the folder first.
    ///
    /// # Errors
    /// It was not ready in time; with what it wrote.
    pub fn with_config(binary: &str, text: &str, prepare: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        Self::with_arguments(binary, text, &[], prepare)
    }

    /// As [`Gateway::with_config`], with more arguments.
    ///
    /// # Errors
    /// It was not ready in time; with what it wrote.
    pub fn with_arguments(
        binary: &str,
        text: &str,
        more: &[&str],
        prepare: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (address, admin) = (loopback(free_port()), loopback(free_port()));
        prepare(dir.path())?;
        let text = text
            .replace("$LISTEN", &address.to_string())
            .replace("$ADMIN", &admin.to_string())
            .replace("$DIR", &dir.path().display().to_string());
        let file = dir.path().join("bartizan.yaml");
        fs::write(&file, text)?;
        let mut command = Command::new(binary);
        command.current_dir(dir.path()).args(["run", "--config"]).arg(file).args(more);
        Self::start(command, dir, address, admin)
    }

    fn start(mut command: Command, dir: TempDir, address: SocketAddr, admin: SocketAddr) -> Result<Self> {
        let mut process = Process::start("bartizan", command.env("NO_COLOR", "1"))?;
        let ask = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        process.wait_until(START, || {
            reply(&raw_request(admin, ask, Duration::from_millis(500))).status == 200
        })?;
        // Commands find the gateway once it has said where it listens.
        let log = process.shared_log();
        process.wait_until(START, || log().contains("admin API on"))?;
        Ok(Gateway { process, dir, address, admin })
    }

    /// Sends raw bytes to the listener and takes the answer apart.
    #[must_use]
    pub fn raw(&self, bytes: &[u8]) -> Reply {
        reply(&raw_request(self.address, bytes, ANSWER))
    }

    /// Sends a GET with these header lines (each without its line break).
    #[must_use]
    pub fn get(&self, target: &str, headers: &[&str]) -> Reply {
        let mut text = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n");
        for line in headers {
            text.push_str(line);
            text.push_str("\r\n");
        }
        self.raw((text + "\r\n").as_bytes())
    }

    /// The admin API's bearer token.
    ///
    /// # Errors
    /// No file below the state folder holds one.
    pub fn token(&self) -> Result<String> {
        let text = fs::read_to_string(self.state().join("admin.token")).context("no admin token")?;
        Ok(text.trim().to_owned())
    }

    /// Its state folder.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("var")
    }

    /// Asks the admin API, with the bearer token.
    ///
    /// # Errors
    /// There is no token.
    pub fn ask(&self, method: &str, target: &str, body: Option<&Value>) -> Result<Reply> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.admin,
            self.token()?,
            body.len(),
        );
        Ok(reply(&raw_request(self.admin, request.as_bytes(), ANSWER)))
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// The process is gone.
    pub fn resident(&self) -> Result<u64> {
        resident(self.process.id())
    }
}

/// Resident memory of a process in bytes, from `/proc/PID/status`.
///
/// # Errors
/// The process is gone.
pub fn resident(id: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
    Ok(kib * 1024)
}

/// Runs the binary to its end; its exit status and everything that it wrote.
///
/// # Errors
/// It did not start, or did not end in time.
pub fn run_to_end(binary: &str, dir: &Path, arguments: &[&str]) -> Result<(ExitStatus, String)> {
    let mut command = Command::new(binary);
    let mut process =
        Process::start("bartizan", command.current_dir(dir).args(arguments).env("NO_COLOR", "1"))?;
    let status = process
        .wait(START)
        .with_context(|| format!("`bartizan {}` did not end:\n{}", arguments.join(" "), process.log()))?;
    Ok((status, process.log()))
}
