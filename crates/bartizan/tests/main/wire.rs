//! Bytes on the wire: an HTTP/2 client that sends any frame, TLS under it where asked, and upstreams for large bodies.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bartizan_testkit::process::loopback;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

/// The client connection preface.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header block for `localhost`, without indexing.
pub fn block(method: &str, path: &str) -> Vec<u8> {
    let mut block = vec![0x86];
    for (index, value) in [(2, method), (4, path), (1, "localhost")] {
        block.extend([index, u8::try_from(value.len()).unwrap()]);
        block.extend(value.as_bytes());
    }
    block
}

trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// A frame that came back.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// An HTTP/2 connection without manners.
pub struct H2 {
    wire: Box<dyn Wire>,
    socket: TcpStream,
    pending: Vec<u8>,
    /// The peer has closed the connection.
    pub closed: bool,
}

impl H2 {
    /// In cleartext; nothing is sent.
    pub fn plain(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        let wire = Box::new(socket.try_clone().unwrap());
        H2 { wire, socket, pending: Vec::new(), closed: false }
    }

    /// Over TLS with ALPN `h2`; `ca` is a PEM file. The handshake is done, nothing else is sent.
    pub fn tls(address: SocketAddr, ca: &Path) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut stream = StreamOwned::new(client(ca, b"h2"), socket.try_clone().unwrap());
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        H2 { wire: Box::new(stream), socket, pending: Vec::new(), closed: false }
    }

    /// Sends; whether the peer still took it.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.wire.write_all(bytes).and_then(|()| self.wire.flush()).is_ok()
    }

    /// Preface and settings: no dynamic table, so that each header block can be read by itself.
    pub fn greet(&mut self) {
        assert!(self.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0])].concat()));
    }

    /// A request without a body.
    pub fn get(&mut self, stream: u32, path: &str) -> bool {
        self.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block("GET", path)))
    }

    /// The next frame; `None` when the connection ends or the time is over.
    pub fn next(&mut self, within: Duration) -> Option<Frame> {
        let deadline = Instant::now() + within;
        let mut buffer = vec![0; 64 << 10];
        loop {
            if let Some(&[a, b, c, kind, flags, s0, s1, s2, s3]) = self.pending.first_chunk() {
                let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
                if self.pending.len() >= 9 + length {
                    let payload = self.pending[9..9 + length].to_vec();
                    self.pending.drain(..9 + length);
                    return Some(Frame {
                        kind,
                        flags,
                        stream: u32::from_be_bytes([s0, s1, s2, s3]),
                        payload,
                    });
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.socket.set_read_timeout(Some(left)).unwrap();
            match self.wire.read(&mut buffer) {
                Ok(0) => {
                    self.closed = true;
                    return None;
                }
                Ok(read) => self.pending.extend_from_slice(&buffer[..read]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => {
                    self.closed = true;
                    return None;
                }
            }
        }
    }

    /// All frames until the connection ends, the time is over, or `enough` says so.
    pub fn until(&mut self, within: Duration, enough: impl Fn(&Frame) -> bool) -> Vec<Frame> {
        let deadline = Instant::now() + within;
        let mut frames = Vec::new();
        while let Some(frame) = self.next(deadline.saturating_duration_since(Instant::now())) {
            let last = enough(&frame);
            frames.push(frame);
            if last {
                break;
            }
        }
        frames
    }

    /// Waits for the end of a stream: its frames, and whether it ended whole (`END_STREAM`, not `RST_STREAM`).
    pub fn response(&mut self, stream: u32, within: Duration) -> (Vec<Frame>, bool) {
        let ends = move |f: &Frame| {
            f.stream == stream && (f.kind == RST_STREAM || f.kind <= HEADERS && f.flags & END_STREAM != 0)
        };
        let frames = self.until(within, ends);
        let whole = frames.last().is_some_and(|f| ends(f) && f.kind != RST_STREAM);
        (frames.into_iter().filter(|f| f.stream == stream).collect(), whole)
    }
}

/// The `:status` of a response whose first header field is an indexed or a literal one of the static table.
pub fn status(frames: &[Frame]) -> u16 {
    let Some(head) = frames.iter().find(|f| f.kind == HEADERS) else { return 0 };
    // An update of the table's size may come first.
    let sized = head.payload.iter().take_while(|byte| **byte & 0xe0 == 0x20).count();
    match head.payload[sized..] {
        [first @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(first - 0x88)],
        // A literal with the name of index 8, its value as Huffman code of three digits or as text.
        [0x48 | 0x08, 0x03, a, b, c, ..] => [a, b, c].iter().fold(0, |n, d| n * 10 + u16::from(d - b'0')),
        [0x48 | 0x08, 0x82, a, b, ..] => huffman_digits(u32::from_be_bytes([a, b, 0, 0])),
        [0x48 | 0x08, 0x83, a, b, c, ..] => huffman_digits(u32::from_be_bytes([a, b, c, 0])),
        _ => 1,
    }
}

/// Three digits at the front of a Huffman code (RFC 7541 appendix B): `0` to `2` have five bits, the others six.
fn huffman_digits(bits: u32) -> u16 {
    let (mut value, mut at) = (0, 0);
    for _ in 0..3 {
        let five = bits << at >> 27;
        let digit = if five < 3 {
            at += 5;
            five
        } else {
            let six = bits << at >> 26;
            at += 6;
            six - 0x19 + 3
        };
        value = value * 10 + digit;
    }
    u16::try_from(value).unwrap()
}

/// A TLS client that trusts this CA and offers one protocol.
pub fn client(ca: &Path, alpn: &[u8]) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap()
}

/// An upstream for large bodies: `GET /N` is answered with N bytes, a body is swallowed and its length told.
pub struct Bulk(pub SocketAddr);

impl Bulk {
    pub fn start() -> Self {
        let listener = TcpListener::bind(loopback(0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || while serve(&stream).is_some() {});
            }
        });
        Bulk(address)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.0)
    }
}

/// One exchange; `None` ends the connection.
fn serve(mut stream: &TcpStream) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        (stream.read(&mut byte).ok()? > 0).then(|| head.push(byte[0]))?;
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let mut buffer = vec![0; 256 << 10];
    let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).and_then(|v| v.parse().ok());
    let mut swallowed = 0_u64;
    if head.contains("transfer-encoding: chunked") {
        let mut tail = Vec::new();
        while !tail.ends_with(b"\r\n0\r\n\r\n") {
            let read = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
            swallowed += u64::try_from(read).ok()?;
            tail.extend_from_slice(&buffer[read.saturating_sub(16)..read]);
            tail.drain(..tail.len().saturating_sub(16));
        }
    }
    while swallowed < length.unwrap_or(0) {
        let read = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
        swallowed += u64::try_from(read).ok()?;
    }
    let wanted = head.split(' ').nth(1)?.trim_start_matches('/').parse::<u64>().unwrap_or(0);
    if wanted == 0 {
        let told = swallowed.to_string();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{told}", told.len());
        return stream.write_all(answer.as_bytes()).ok();
    }
    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {wanted}\r\n\r\n").as_bytes()).ok()?;
    let mut left = wanted;
    while left > 0 {
        let count = usize::try_from(left.min(buffer.len() as u64)).ok()?;
        stream.write_all(&buffer[..count]).ok()?;
        left -= count as u64;
    }
    Some(())
}
