//! A client that sends the same request a counted number of times over a few keep-alive connections.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use bartizan_testkit::process::loopback;

/// Connections that are written to before any of them is read: the server has always something to do.
pub const CONNECTIONS: usize = 8;

/// An answer is waited for this long; the slowest engines take a fifth of a second for the largest request.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest head of an answer, bytes.
const MAX_HEAD: usize = 16 << 10;

/// Connections to one server.
pub struct Client {
    streams: Vec<TcpStream>,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// The server does not accept.
    pub fn new(port: u16) -> Result<Self> {
        let streams = (0..CONNECTIONS)
            .map(|_| {
                let stream = TcpStream::connect(loopback(port))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                Ok(stream)
            })
            .collect::<Result<_>>()?;
        Ok(Client { streams, buffer: vec![0; 64 << 10] })
    }

    /// Sends the request `count` times, each answered before its connection is used again.
    ///
    /// # Errors
    /// A connection broke, or an answer was not 200: what is measured is harmless traffic.
    pub fn send(&mut self, request: &[u8], count: usize) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let batch = left.min(CONNECTIONS);
            for stream in self.streams.iter_mut().take(batch) {
                stream.write_all(request)?;
            }
            for stream in self.streams.iter_mut().take(batch) {
                answer(stream, &mut self.buffer)?;
            }
            left -= batch;
        }
        Ok(())
    }
}

/// Reads one answer to its end.
fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<()> {
    let mut read = 0;
    let (head, body) = loop {
        let rest = buffer.get_mut(read..).context("an answer that is too long")?;
        let more = stream.read(rest).context("no answer")?;
        anyhow::ensure!(more > 0, "the connection ended before its answer");
        read += more;
        let seen = buffer.get(..read).unwrap_or_default();
        if let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
            break (seen.get(..end).unwrap_or_default(), read - end - 4);
        }
        anyhow::ensure!(read < MAX_HEAD, "the head of an answer is too long");
    };
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") {
        bail!("harmless traffic was answered by `{}`", head.lines().next().unwrap_or_default());
    }
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .context("an answer without a length")?
        .trim()
        .parse()?;
    let mut left = length.checked_sub(body).context("more than one answer")?;
    while left > 0 {
        let size = left.min(buffer.len());
        let more = stream.read(buffer.get_mut(..size).unwrap_or_default())?;
        anyhow::ensure!(more > 0, "the connection ended within its answer");
        left -= more;
    }
    Ok(())
}
