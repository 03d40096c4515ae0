//! The rule engine without a gateway: the programs `engine` and `memory` among the examples of `bartizan-waf`, and what
//! they tell.

use std::{
    io::{BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, bail};
use bartizan_testkit::workspace_root;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

use super::base64;
use crate::bench::target_dir;

/// What loading told.
#[derive(Clone, Debug, Deserialize)]
pub struct Loaded {
    /// How many rules there are.
    pub rules: usize,
}

/// What one request cost, and what came of it.
#[derive(Clone, Debug, Deserialize)]
pub struct Told {
    /// Processor time for one request.
    pub microseconds: f64,
    /// Rules that told something.
    pub matched: Vec<u64>,
    /// The status of a refusal.
    pub status: Option<u16>,
    /// Why the body could not be read.
    pub unreadable: Option<String>,
}

/// What rules weigh.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Memory {
    /// Wall clock of loading, milliseconds.
    pub load_ms: f64,
    /// What all workers share, MB of 2^20 bytes.
    pub shared_mb: f64,
    /// The most that was allocated while loading.
    pub loading_peak_mb: f64,
    /// The requests that the worker saw.
    pub requests: usize,
    /// What a worker keeps.
    pub worker_mb: f64,
    /// The most that a worker held while a request was under way.
    pub worker_peak_mb: f64,
}

/// The engine, waiting for requests.
pub struct Engine {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// What loading told.
    pub loaded: Loaded,
}

impl Engine {
    /// Loads the rules of a folder at a level.
    ///
    /// # Errors
    /// The program ends instead.
    pub fn start(folder: &Path, level: u8) -> Result<Self> {
        let mut child = Command::new(example("engine"))
            .arg(folder)
            .arg(level.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the rule engine")?;
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().context("no output")?);
        let loaded = answer(&mut output)?;
        Ok(Engine { child, input, output, loaded })
    }

    /// Lets it inspect a request so many times.
    ///
    /// # Errors
    /// It ended.
    pub fn inspect(&mut self, request: &[u8], rounds: usize) -> Result<Told> {
        let asked = json!({ "request": base64(request), "rounds": rounds });
        let input = self.input.as_mut().context("no input")?;
        writeln!(input, "{asked}")?;
        input.flush()?;
        answer(&mut self.output)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

fn answer<T: DeserializeOwned>(output: &mut impl std::io::BufRead) -> Result<T> {
    let mut line = String::new();
    output.read_line(&mut line)?;
    serde_json::from_str(&line).with_context(|| format!("the rule engine says `{}`", line.trim_end()))
}

/// Counts what rules and one worker allocate; the worker sees all of `requests`.
///
/// # Errors
/// The program fails.
pub fn memory(folder: &Path, level: u8, requests: &[Vec<u8>]) -> Result<Memory> {
    let mut child = Command::new(example("memory"))
        .arg(folder)
        .arg(level.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the count of memory")?;
    let mut input = child.stdin.take().context("no input")?;
    for request in requests {
        writeln!(input, "{}", base64(request))?;
    }
    drop(input);
    let output = child.wait_with_output()?;
    serde_json::from_slice(&output.stdout).context("the count of memory failed")
}

/// Builds the examples.
///
/// # Errors
/// They do not compile.
pub fn build() -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args([
        "build",
        "--release",
        "--package",
        "bartizan-waf",
        "--example",
        "engine",
        "--example",
        "memory",
    ]);
    if !cargo.current_dir(workspace_root()).status()?.success() {
        bail!("the release build of the rule engine failed");
    }
    Ok(())
}

fn example(name: &str) -> PathBuf {
    target_dir().join("release/examples").join(name)
}
