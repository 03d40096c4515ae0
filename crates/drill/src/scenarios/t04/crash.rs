//! The end of a gateway that nobody asked for: in the middle of requests, and with a core dump allowed.

use std::{fs, io::Write, net::TcpStream, thread, time::Duration};

use anyhow::{Result, ensure};
use memchr::memmem;
use rlimit::Resource;
use rustix::process::Signal;

use super::{Planted, bytes_of, places::At, site::Site};
use crate::{Stage, bank::Bank, client::ask, search::contents};

/// A process that is killed is gone within this; a core dump takes its time.
const END: Duration = Duration::from_secs(30);

/// Requests that are held open.
const OPEN: usize = 24;

/// What was sent has been read by then.
const HOLD: Duration = Duration::from_millis(300);

/// Starts something that may write a core dump, as far as this machine lets it.
pub fn with_core_dumps<T>(start: impl FnOnce() -> Result<T>) -> Result<T> {
    let (soft, hard) = Resource::CORE.get()?;
    Resource::CORE.set(hard, hard)?;
    let started = start();
    Resource::CORE.set(soft, hard)?;
    started
}

/// Ends the gateway while it holds secrets: by SIGKILL at debug level, by SIGABRT at trace level.
pub fn crash(stage: &Stage, site: &mut Site, planted: &Planted, level: &str) -> Result<()> {
    let mut open = Vec::new();
    let requests = planted.each().filter(|(place, _)| matches!(place.at, At::Field(_) | At::Content(..)));
    for (place, secret) in requests.take(OPEN) {
        stage.spend()?;
        let bytes = bytes_of(place, secret, "mirror.test");
        // All but the last byte: the gateway has it, and waits.
        let most = bytes.get(..bytes.len().saturating_sub(1)).unwrap_or_default();
        let mut stream = TcpStream::connect(site.gateway.address)?;
        stream.write_all(most)?;
        open.push(stream);
    }
    thread::sleep(HOLD);
    let signal = if level == "debug" { Signal::KILL } else { Signal::ABORT };
    site.gateway.process.signal(signal)?;
    ensure!(site.gateway.process.wait(END).is_some_and(|status| !status.success()), "it did not end");
    Ok(())
}

/// What another process leaves that holds a secret and is ended the same way: whether this machine writes core dumps at
/// all where the drill can look at them.
pub fn of_another(stage: &Stage, secret: &str) -> Result<String> {
    let mut bank = with_core_dumps(|| Bank::start(stage))?;
    let mut stream = TcpStream::connect(bank.address)?;
    // A whole request first: from then on the connection is listened to.
    ask(&mut stream, b"GET /healthz HTTP/1.1\r\nHost: bank.test\r\n\r\n");
    stream.write_all(format!("GET / HTTP/1.1\r\nX-Token: {secret}").as_bytes())?;
    thread::sleep(HOLD);
    bank.process_mut().signal(Signal::ABORT)?;
    ensure!(bank.process_mut().wait(END).is_some(), "it did not end");
    let mut left = fs::read_dir(stage.folder("bank")?)?.flatten();
    let Some(core) = left.find(|entry| entry.file_name().to_string_lossy().starts_with("core")) else {
        return Ok("this machine writes no core dumps where the drill could look at them".to_owned());
    };
    let dump = contents(&core.path())?;
    let there = if memmem::find(&dump, secret.as_bytes()).is_some() { "with" } else { "without" };
    Ok(format!(
        "a process that allows it left {} MiB of core dump, {there} the secret in it",
        dump.len() >> 20
    ))
}
