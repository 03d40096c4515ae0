//! At rest: resident memory, memory per idle keep-alive connection, start to first byte.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bartizan_testkit::process::loopback;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde::Serialize;

use super::{
    Profile, median,
    peers::{Lab, Proxy},
    proc,
};

/// Starts that are timed.
const STARTS: usize = 5;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A proxy at rest.
#[derive(Clone, Debug, Serialize)]
pub struct Idle {
    proxy: String,
    tls: bool,
    resident_mb: f64,
    connections: usize,
    kb_per_connection: f64,
    start_to_first_byte_ms: Option<f64>,
}

/// The columns of [`Idle::row`].
pub const HEAD: [&str; 6] =
    ["proxy", "TLS", "idle RSS MB", "idle connections", "kB per connection", "start to first byte ms"];

impl Idle {
    /// One line of the table.
    #[must_use]
    pub fn row(&self) -> Vec<String> {
        vec![
            self.proxy.clone(),
            if self.tls { "yes" } else { "no" }.to_owned(),
            format!("{:.1}", self.resident_mb),
            self.connections.to_string(),
            format!("{:.2}", self.kb_per_connection),
            self.start_to_first_byte_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0}")),
        ]
    }
}

/// Measures Bartizan and nginx, plain and TLS.
///
/// # Errors
/// A proxy did not start or refused a connection.
pub fn measure(lab: &Lab, connections: usize) -> Result<Vec<Idle>> {
    let mut found = Vec::new();
    for profile in [Profile::Plain, Profile::Tls] {
        let start = median((0..STARTS).map(|_| first_byte(lab)).collect::<Result<_>>()?);
        let bartizan = lab.bartizan(profile)?;
        let timed = (profile == Profile::Plain).then_some(start);
        found.push(one(lab, bartizan, profile, connections, timed)?);
        if let Some(nginx) = lab.peer("nginx", profile)? {
            found.push(one(lab, nginx, profile, connections, None)?);
        }
    }
    Ok(found)
}

/// Milliseconds from starting the process to the first byte of an answer through it.
fn first_byte(lab: &Lab) -> Result<f64> {
    let begin = Instant::now();
    let proxy = lab.bartizan(Profile::Plain)?;
    let mut stream = TcpStream::connect(loopback(proxy.port))?;
    stream.write_all(REQUEST)?;
    stream.read_exact(&mut [0])?;
    Ok(begin.elapsed().as_secs_f64() * 1_000.0)
}

fn one(lab: &Lab, proxy: Proxy, profile: Profile, count: usize, start: Option<f64>) -> Result<Idle> {
    let tls = profile == Profile::Tls;
    // One exchange first, so that what is made once is not charged to the connections.
    drop(open(lab, proxy.port, tls, 1)?);
    thread::sleep(Duration::from_millis(500));
    let before = proc::resident_mb(proxy.process.id())?;
    let held = open(lab, proxy.port, tls, count)?;
    thread::sleep(Duration::from_secs(1));
    let after = proc::resident_mb(proxy.process.id())?;
    drop(held);
    let counted = f64::from(u32::try_from(count)?);
    Ok(Idle {
        proxy: proxy.name,
        tls,
        resident_mb: before,
        connections: count,
        kb_per_connection: (after - before) * 1024.0 / counted,
        start_to_first_byte_ms: start,
    })
}

enum Held {
    Plain { _stream: TcpStream },
    Tls { _stream: Box<StreamOwned<ClientConnection, TcpStream>> },
}

/// Opens connections, one exchange on each, and leaves them idle.
fn open(lab: &Lab, port: u16, tls: bool, count: usize) -> Result<Vec<Held>> {
    let config = if tls { Some(client(lab)?) } else { None };
    (0..count)
        .map(|number| {
            let mut stream =
                TcpStream::connect(loopback(port)).with_context(|| format!("connection {number}"))?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            let Some(config) = &config else {
                exchange(&mut stream)?;
                return Ok(Held::Plain { _stream: stream });
            };
            let session = ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost")?)?;
            let mut stream = StreamOwned::new(session, stream);
            exchange(&mut stream)?;
            Ok(Held::Tls { _stream: Box::new(stream) })
        })
        .collect()
}

fn exchange(stream: &mut (impl Read + Write)) -> Result<()> {
    stream.write_all(REQUEST)?;
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer)?;
    anyhow::ensure!(
        buffer.get(..read).is_some_and(|b| b.starts_with(b"HTTP/1.1 200")),
        "no 200 was answered"
    );
    Ok(())
}

fn client(lab: &Lab) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&fs::read(&lab.ca)?)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
