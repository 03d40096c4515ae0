//! A raw TCP upstream: records every byte that reaches it, and misbehaves by script.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{process::loopback, raw::find};

/// A connection is watched this long; a hanging script ends with it.
const LIFE: Duration = Duration::from_secs(60);

/// Body bytes that an echo repeats.
const ECHO_BODY: usize = 16 << 10;

/// One step of what the upstream does after a request's head (and body, as far as it was announced) arrived.
#[derive(Clone, Debug)]
pub enum Step {
    /// Answers 200 with a JSON description of the request, and keeps the connection.
    Echo,
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Waits.
    Wait(Duration),
    /// Sends these bytes one by one with a pause between two.
    Trickle(Vec<u8>, Duration),
    /// Closes the connection.
    Close,
    /// Says nothing until the peer leaves or a minute is over.
    Hang,
}

/// One request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Which connection, from 0.
    pub connection: usize,
    /// The request line and fields, with the empty line.
    pub head: Vec<u8>,
    /// The body as framed on the wire.
    pub body: Vec<u8>,
}

impl Recorded {
    /// The head as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.head).into_owned()
    }

    /// The request target.
    #[must_use]
    pub fn target(&self) -> String {
        self.text().split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// All values of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Vec<String> {
        fields(&self.text())
            .into_iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }
}

#[derive(Default)]
struct Record {
    requests: Vec<Recorded>,
    connections: Vec<Vec<u8>>,
}

/// The upstream. Its threads end with their connections; the listener ends with the process.
pub struct RawUpstream {
    /// Where it listens.
    pub address: SocketAddr,
    record: Arc<Mutex<Record>>,
    script: Arc<Mutex<Vec<Step>>>,
}

impl RawUpstream {
    /// An upstream that answers every request with an echo.
    ///
    /// # Errors
    /// No loopback port could be bound.
    pub fn echo() -> std::io::Result<Self> {
        Self::scripted(vec![Step::Echo])
    }

    /// An upstream that runs the script for every request.
    ///
    /// # Errors
    /// No loopback port could be bound.
    pub fn scripted(script: Vec<Step>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(loopback(0))?;
        let address = listener.local_addr()?;
        let record = Arc::new(Mutex::new(Record::default()));
        let script = Arc::new(Mutex::new(script));
        let (shared, current) = (Arc::clone(&record), Arc::clone(&script));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let number = {
                    let mut record = lock(&shared);
                    record.connections.push(Vec::new());
                    record.connections.len() - 1
                };
                let (record, script) = (Arc::clone(&shared), Arc::clone(&current));
                thread::spawn(move || serve(stream, number, &record, &script));
            }
        });
        Ok(RawUpstream { address, record, script })
    }

    /// Runs this script for every request from now on.
    pub fn answer(&self, script: Vec<Step>) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = script;
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.record).requests.clone()
    }

    /// Every byte of every connection so far.
    #[must_use]
    pub fn connections(&self) -> Vec<Vec<u8>> {
        lock(&self.record).connections.clone()
    }

    /// Forgets what was recorded; numbers of open connections stay.
    pub fn clear(&self) {
        let mut record = lock(&self.record);
        record.requests.clear();
        record.connections.iter_mut().for_each(Vec::clear);
    }

    /// Waits until at least `count` requests arrived; whether they did.
    #[must_use]
    pub fn wait_for(&self, count: usize, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while lock(&self.record).requests.len() < count {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: TcpStream, number: usize, record: &Mutex<Record>, script: &Mutex<Vec<Step>>) {
    let _ = stream.set_nodelay(true);
    let _ = stream.set_read_timeout(Some(LIFE));
    let mut pending = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        while let Some((head, body, used)) = next_request(&pending) {
            pending.drain(..used);
            let request = Recorded { connection: number, head, body };
            lock(record).requests.push(request.clone());
            let script = script.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if !run(&mut stream, &script, &request) {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => {
                let bytes = buffer.get(..read).unwrap_or_default();
                pending.extend_from_slice(bytes);
                if let Some(connection) = lock(record).connections.get_mut(number) {
                    connection.extend_from_slice(bytes);
                }
            }
            _ => return,
        }
    }
}

/// Runs the script; whether the connection stays open.
fn run(stream: &mut TcpStream, script: &[Step], request: &Recorded) -> bool {
    for step in script {
        let fine = match step {
            Step::Echo => stream.write_all(&echo(request)).is_ok(),
            Step::Send(bytes) => stream.write_all(bytes).is_ok(),
            Step::Wait(time) => {
                thread::sleep(*time);
                true
            }
            Step::Trickle(bytes, pause) => bytes.iter().all(|byte| {
                thread::sleep(*pause);
                stream.write_all(&[*byte]).is_ok()
            }),
            Step::Close => false,
            Step::Hang => {
                let mut sink = [0; 1024];
                while matches!(stream.read(&mut sink), Ok(read) if read > 0) {}
                false
            }
        };
        if !fine {
            return false;
        }
    }
    true
}

/// The first complete request: head, body, bytes used. Lenient: whoever judges the bytes looks at them raw.
fn next_request(bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>, usize)> {
    let end = find(bytes, b"\r\n\r\n")? + 4;
    let head = bytes.get(..end)?.to_vec();
    let rest = bytes.get(end..)?;
    let text = String::from_utf8_lossy(&head).into_owned();
    let fields = fields(&text);
    let value =
        |name: &str| fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
    let body = if value("transfer-encoding").is_some() {
        if rest.starts_with(b"0\r\n\r\n") {
            5
        } else {
            find(rest, b"\r\n0\r\n").and_then(|at| {
                let trailers = rest.get(at + 5..)?;
                if trailers.starts_with(b"\r\n") {
                    Some(at + 7)
                } else {
                    Some(at + 5 + find(trailers, b"\r\n\r\n")? + 4)
                }
            })?
        }
    } else {
        value("content-length").and_then(|v| v.parse().ok()).unwrap_or(0)
    };
    Some((head, rest.get(..body)?.to_vec(), end + body))
}

fn fields(head: &str) -> Vec<(String, String)> {
    head.split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

fn echo(request: &Recorded) -> Vec<u8> {
    let text = request.text();
    let mut words = text.split("\r\n").next().unwrap_or_default().split(' ');
    let shown = request.body.get(..ECHO_BODY).unwrap_or(&request.body);
    let body = json!({
        "method": words.next(),
        "target": words.next(),
        "headers": fields(&text),
        "body": String::from_utf8_lossy(shown),
        "body_bytes": request.body.len(),
    })
    .to_string();
    let length = body.len();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    // A response to HEAD announces the length and sends nothing.
    if text.starts_with("HEAD ") { head.into_bytes() } else { (head + &body).into_bytes() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests assert")]
    use super::*;
    use crate::raw::{raw_request, reply};

    #[test]
    fn every_byte_is_recorded_and_echoed() {
        let upstream = RawUpstream::echo().unwrap();
        let request = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
        let answer = reply(&raw_request(upstream.address, request, Duration::from_secs(5)));
        assert_eq!((answer.status, answer.json()["body"].as_str()), (200, Some("hi")));
        assert_eq!(upstream.connections(), [request.to_vec()]);
        assert_eq!(upstream.requests()[0].target(), "/a");
    }

    #[test]
    fn chunked_bodies_with_trailers_are_framed() {
        let bytes = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n\r\nGET";
        let (_, body, used) = next_request(bytes).unwrap();
        assert_eq!(body, b"2\r\nhi\r\n0\r\nX: y\r\n\r\n");
        assert_eq!(&bytes[used..], b"GET");
    }
}
