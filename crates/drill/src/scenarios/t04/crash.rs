//! The end of a gateway that nobody asked for: in the middle of requests, and with a core dump allowed.

use std::{io::Write, net::TcpStream, thread, time::Duration};

use anyhow::{Result, ensure};
use rlimit::Resource;
use rustix::process::Signal;

use super::{Planted, bytes_of, places::At, site::Site};
use crate::Stage;

/// A process that is killed is gone within this; a core dump takes its time.
const END: Duration = Duration::from_secs(30);

/// Requests that are held open.
const OPEN: usize = 24;

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
    thread::sleep(Duration::from_millis(100));
    let signal = if level == "debug" { Signal::KILL } else { Signal::ABORT };
    site.gateway.process.signal(signal)?;
    ensure!(site.gateway.process.wait(END).is_some_and(|status| !status.success()), "it did not end");
    Ok(())
}
