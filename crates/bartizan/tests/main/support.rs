//! Starting peers and reading what they print.

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use bartizan_testkit::{Gateway, Process, free_port, program, python, skipped, test_env};
use serde_json::Value;

const START: Duration = Duration::from_secs(30);

/// The shipped binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_bartizan");

/// A policy with one API before this upstream; `more` is put below it, indented by four.
pub fn policy(upstream: &str, more: &str) -> String {
    format!(
        "listeners: [{{ address: $LISTEN }}]\nadmin: {{ address: $ADMIN }}\napis:\n  - name: shop\n    upstream: {upstream}\n\
         {more}"
    )
}

/// A gateway before this upstream, with nothing configured.
pub fn before(upstream: &str) -> Gateway {
    Gateway::before(BINARY, upstream, &[]).unwrap()
}

/// A gateway with this policy.
pub fn with(text: &str) -> Gateway {
    Gateway::with_config(BINARY, text, |_| Ok(())).unwrap()
}

/// A file of the fixtures folder.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A server that runs.
pub struct Peer {
    _process: Process,
    pub port: u16,
}

impl Peer {
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A Node application of the fixtures; `None`, and a loud line, where Node or its packages are absent.
    pub fn node(file: &str) -> Option<Self> {
        Self::start(file, node(file)?)
    }

    /// A Python application of the fixtures; `None`, and a loud line, where the environment is absent.
    pub fn python(file: &str) -> Option<Self> {
        Self::start(file, python_script(file)?)
    }

    fn start(name: &str, mut command: Command) -> Option<Self> {
        let port = free_port();
        let mut process = Process::start(name, command.arg(port.to_string())).unwrap();
        process.wait_for_port(port, START).unwrap();
        Some(Peer { _process: process, port })
    }
}

/// A Node script of the fixtures, ready for arguments.
pub fn node(file: &str) -> Option<Command> {
    let modules = test_env().join("node/node_modules");
    let (Some(node), true) = (program("node"), modules.is_dir()) else {
        skipped(&format!("{file}: node or its packages are absent; `cargo xtask test` installs them"));
        return None;
    };
    let mut command = Command::new(node);
    command.arg(fixture(file)).env("NODE_PATH", modules);
    Some(command)
}

/// A Python script of the fixtures, ready for arguments.
pub fn python_script(file: &str) -> Option<Command> {
    let Some(python) = python() else {
        skipped(&format!("{file}: the Python packages are absent; `cargo xtask test` installs them"));
        return None;
    };
    let mut command = Command::new(python);
    command
        .arg(fixture(file))
        .env("PYTHONUNBUFFERED", "1")
        .env_remove("http_proxy")
        .env_remove("https_proxy");
    Some(command)
}

/// An installed program; `None`, and a loud line, where it is absent.
pub fn installed(name: &str) -> Option<Command> {
    let found = program(name);
    if found.is_none() {
        skipped(&format!("`{name}` is not installed; `cargo xtask test` installs it"));
    }
    found.map(Command::new)
}

/// Runs a command to its end and returns what it printed; its errors fail the test.
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {}{text}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The last line that a command printed, as JSON.
pub fn json(command: &mut Command) -> Value {
    let text = output(command);
    serde_json::from_str(text.trim().lines().last().unwrap_or_default()).expect(&text)
}

/// What curl printed with these arguments; `None`, and a loud line, where it is absent.
pub fn curl(arguments: &[&str]) -> Option<String> {
    let mut curl = installed("curl")?;
    curl.args(["--silent", "--show-error", "--max-time", "30", "--noproxy", "*"]).args(arguments);
    Some(output(&mut curl))
}

/// The newest event of these, once it is stored.
pub fn event(gateway: &Gateway, is_it: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let answer = gateway.ask("GET", "/v1/events?limit=50", None).unwrap().json();
        if let Some(found) = answer["events"].as_array().unwrap().iter().find(|event| is_it(event)) {
            return found.clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "no such event: {answer}");
        thread::sleep(Duration::from_millis(50));
    }
}
