//! HTTP/1.1 as the drills speak it: whole requests written, whole responses read, nothing tidied.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use bartizan_testkit::{
    Reply,
    raw::{is_whole, raw_request, reply},
};

use crate::Stage;

/// A response larger than this is not waited for.
const MAX_RESPONSE: usize = 4 << 20;

/// A response takes no longer than this.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A request as bytes: with a token where there is one, and with a JSON body where there is one.
#[must_use]
pub fn request(method: &str, target: &str, host: &str, token: Option<&str>, body: Option<&str>) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
    if let Some(token) = token {
        text.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    if let Some(body) = body {
        text.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body.unwrap_or_default());
    text.into_bytes()
}

/// A request over HTTP/2 with prior knowledge (RFC 9113 section 3.3): preface, settings, headers, body, farewell.
#[must_use]
pub fn http2_request(method: &str, host: &str, path: &str, credential: &str, body: Option<&str>) -> Vec<u8> {
    let fields = [
        (":method", method),
        (":scheme", "http"),
        (":authority", host),
        (":path", path),
        ("authorization", credential),
    ];
    // RFC 7541 section 6.2.2: literal fields without indexing, names as text, no Huffman code; none reaches 127 bytes.
    let block: Vec<u8> = fields
        .iter()
        .flat_map(|(name, value)| {
            let short = |text: &str| u8::try_from(text.len()).unwrap_or_default();
            [&[0, short(name)], name.as_bytes(), &[short(value)], value.as_bytes()].concat()
        })
        .collect();
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
        [length.get(1..).unwrap_or_default(), &[kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    // END_HEADERS, and END_STREAM where no body follows.
    bytes.extend(frame(1, if body.is_some() { 4 } else { 5 }, 1, &block));
    if let Some(body) = body {
        bytes.extend(frame(0, 1, 1, body.as_bytes()));
    }
    // A GOAWAY ends the connection once the answer is there.
    bytes.extend(frame(7, 0, 0, &[0; 8]));
    bytes
}

/// Writes a request and reads what comes back; a reply without a status, or not whole, where no whole one came.
pub fn ask(stream: &mut (impl Read + Write), bytes: &[u8]) -> Reply {
    // A refusal may come before everything is written: what came back counts.
    let _ = stream.write_all(bytes).and_then(|()| stream.flush());
    answer(stream)
}

/// Reads a response.
pub fn answer(stream: &mut impl Read) -> Reply {
    let end = Instant::now() + PATIENCE;
    let mut answer = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    while !is_whole(&answer) && answer.len() < MAX_RESPONSE && Instant::now() < end {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => answer.extend_from_slice(buffer.get(..read).unwrap_or_default()),
        }
    }
    let whole = is_whole(&answer);
    let mut reply = reply(&answer);
    // A response without a length is as long as its connection: nobody knows whether that was all.
    reply.whole &= whole;
    reply
}

/// One request on a connection of its own, in clear.
///
/// # Errors
/// The stage's bounds are used up.
pub fn ask_plain(stage: &Stage, address: SocketAddr, bytes: &[u8]) -> Result<Reply> {
    stage.spend()?;
    Ok(reply(&raw_request(address, bytes, PATIENCE)))
}

/// Demands a status.
///
/// # Errors
/// It is another.
pub fn expect(reply: &Reply, status: u16, what: &str) -> Result<()> {
    ensure!(reply.status == status, "{what} was answered with {} instead of {status}", reply.status);
    Ok(())
}
