//! The upstream's side of TLS: ends it, records what was said inside, and passes it on in clear to the bank.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use bartizan_testkit::{ca::Leaf, raw::find};
use rustix::event::{PollFd, PollFlags, poll};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::{
    server::{SILENCE, Server, Sockets},
    tls,
};

/// Bytes kept of what was said inside TLS; what comes after is counted, and not kept.
const KEPT: usize = 8 << 20;

/// A read that finds only part of a TLS record waits this long for the rest.
const PIECE: Duration = Duration::from_millis(1);

/// The server.
pub struct Terminator {
    server: Server,
    record: Arc<Record>,
}

#[derive(Default)]
struct Record {
    inside: Mutex<Vec<u8>>,
    bytes: AtomicU64,
    connections: AtomicU64,
}

impl Terminator {
    /// Serves under this certificate, before this server.
    ///
    /// # Errors
    /// The certificate is no good, or no port could be bound.
    pub fn start(leaf: &Leaf, target: SocketAddr) -> Result<Self> {
        let config = tls::server(leaf)?;
        let record = Arc::new(Record::default());
        let shared = Arc::clone(&record);
        let server = Server::start(move |tcp, sockets| {
            shared.connections.fetch_add(1, Ordering::Relaxed);
            // A connection that ends with an error has ended, which is all there is to know.
            let _ = serve(tcp, sockets, &config, target, &shared);
        })?;
        Ok(Terminator { server, record })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Connections so far, whether or not TLS was agreed on.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.record.connections.load(Ordering::Relaxed)
    }

    /// Bytes that were said inside TLS so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.record.bytes.load(Ordering::Relaxed)
    }

    /// Whether this was said inside TLS.
    #[must_use]
    pub fn heard(&self, what: &str) -> bool {
        let inside = self.record.inside.lock().unwrap_or_else(PoisonError::into_inner);
        find(&inside, what.as_bytes()).is_some()
    }
}

/// An upstream that does not speak TLS as it should: it answers whatever is said to it in one way, and keeps that.
pub struct Stubborn {
    server: Server,
    heard: Arc<Mutex<Vec<u8>>>,
}

/// HTTP in clear, where TLS should be.
pub const IN_CLEAR: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

/// A ServerHello of TLS 1.1 (RFC 4346 section 7.4.1.3): record, message, version, random, no session, a suite.
#[must_use]
pub fn hello_of_tls_1_1() -> Vec<u8> {
    let mut bytes = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    bytes.extend_from_slice(&[0x5C; 32]);
    bytes.extend_from_slice(&[0, 0xC0, 0x13, 0]);
    bytes
}

impl Stubborn {
    /// Serves on a free port with this one answer.
    ///
    /// # Errors
    /// No port could be bound.
    pub fn start(answer: Vec<u8>) -> io::Result<Self> {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&heard);
        let server = Server::start(move |mut tcp, _| {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = tcp.read(&mut buffer) {
                let mut heard = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if heard.len() < KEPT {
                    heard.extend_from_slice(buffer.get(..read).unwrap_or_default());
                }
                drop(heard);
                let _ = tcp.write_all(&answer);
            }
        })?;
        Ok(Stubborn { server, heard })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Everything that was said to it.
    #[must_use]
    pub fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(
    tcp: TcpStream,
    sockets: &Sockets,
    config: &Arc<ServerConfig>,
    target: SocketAddr,
    record: &Record,
) -> io::Result<()> {
    let mut target = TcpStream::connect_timeout(&target, SILENCE)?;
    let _open = sockets.hold(&target)?;
    let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    let mut tls = StreamOwned::new(connection, tcp);
    tls.sock.set_read_timeout(Some(PIECE))?;
    let mut buffer = vec![0; 16 << 10];
    loop {
        let (client, server) = readable(&tls.sock, &target)?;
        if client {
            match tls.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => {
                    let bytes = buffer.get(..read).unwrap_or_default();
                    record.bytes.fetch_add(read as u64, Ordering::Relaxed);
                    let mut inside = record.inside.lock().unwrap_or_else(PoisonError::into_inner);
                    if inside.len() < KEPT {
                        inside.extend_from_slice(bytes);
                    }
                    drop(inside);
                    target.write_all(bytes)?;
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => {
                    // The alert that tells the peer why.
                    let _ = tls.conn.write_tls(&mut tls.sock);
                    return Err(error);
                }
            }
        }
        if server {
            let read = target.read(&mut buffer)?;
            if read == 0 {
                tls.conn.send_close_notify();
                return tls.flush();
            }
            tls.write_all(buffer.get(..read).unwrap_or_default())?;
            tls.flush()?;
        }
    }
}

/// Waits until one of two sockets has something to read or has ended.
fn readable(one: &TcpStream, other: &TcpStream) -> io::Result<(bool, bool)> {
    let mut sockets = [PollFd::new(one, PollFlags::IN), PollFd::new(other, PollFlags::IN)];
    let patience = rustix::event::Timespec { tv_sec: 30, tv_nsec: 0 };
    if poll(&mut sockets, Some(&patience))? == 0 {
        return Err(ErrorKind::TimedOut.into());
    }
    let mut ready = sockets.iter().map(|socket| !socket.revents().is_empty());
    Ok((ready.next().unwrap_or(false), ready.next().unwrap_or(false)))
}
