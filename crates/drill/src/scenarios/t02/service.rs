//! A search service before the bank: it takes its question from bodies of every type, and asks the bank with it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Result;
use bartizan_testkit::raw::raw_request;
use memchr::memmem::find;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

use super::bodies::{GZIP_HEAD, GZIP_TAIL};
use crate::{client::PATIENCE, server::Server};

/// The service.
pub struct Service {
    server: Server,
    asked: Arc<AtomicU64>,
}

impl Service {
    pub fn start(bank: SocketAddr) -> Result<Self> {
        let asked = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&asked);
        let server = Server::start(move |mut client, _| {
            let Some((head, body)) = read_request(&mut client) else { return };
            counted.fetch_add(1, Ordering::SeqCst);
            let answer = match question(&head, body) {
                Some(question) => raw_request(bank, &forwarded(&head, &question), PATIENCE),
                None => {
                    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
                }
            };
            let _ = client.write_all(&answer);
        })?;
        Ok(Service { server, asked })
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Requests that arrived.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

/// The bank's own search, in the caller's name.
fn forwarded(head: &str, question: &str) -> Vec<u8> {
    let token = field(head, "authorization").unwrap_or_default();
    let question = utf8_percent_encode(question, NON_ALPHANUMERIC);
    format!(
        "GET /v1/search?q={question} HTTP/1.1\r\nHost: bank.test\r\nAuthorization: {token}\r\nConnection: close\r\n\r\n"
    )
    .into_bytes()
}

/// What is asked for.
fn question(head: &str, body: Vec<u8>) -> Option<String> {
    let body = match field(head, "content-encoding") {
        Some(coding) if coding.eq_ignore_ascii_case("gzip") => {
            body.get(GZIP_HEAD..body.len().checked_sub(GZIP_TAIL)?)?.to_vec()
        }
        _ => body,
    };
    let text = String::from_utf8(body).ok()?;
    let kind = field(head, "content-type")?.to_ascii_lowercase();
    if kind.contains("json") {
        return named(&serde_json::from_str(&text).ok()?).map(str::to_owned);
    }
    if kind.contains("xml") {
        let (_, rest) = text.split_once("<q>")?;
        return Some(characters(rest.split_once("</q>")?.0));
    }
    if kind.contains("multipart") {
        let (_, rest) = text.split_once("name=\"q\"\r\n\r\n")?;
        return Some(rest.split_once("\r\n--frontier")?.0.to_owned());
    }
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    text.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (decoded(name) == "q").then(|| decoded(value))
    })
}

/// The text of the first `q` anywhere in a document.
fn named(value: &Value) -> Option<&str> {
    match value {
        Value::Object(entries) => {
            entries.get("q").and_then(Value::as_str).or_else(|| entries.values().find_map(named))
        }
        Value::Array(items) => items.iter().find_map(named),
        _ => None,
    }
}

/// Text of XML with its references undone.
fn characters(text: &str) -> String {
    if let Some(inside) = text.strip_prefix("<![CDATA[") {
        return inside.trim_end_matches("]]>").to_owned();
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let Some((name, behind)) = after.split_once(';') else { break };
        match (name, name.strip_prefix("#x")) {
            (_, Some(digits)) => out.extend(u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)),
            ("apos", _) => out.push('\''),
            ("lt", _) => out.push('<'),
            ("gt", _) => out.push('>'),
            _ => out.push('&'),
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(known, _)| known.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Head and body of a request with a `Content-Length`.
fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
            let length = field(&head, "content-length").and_then(|digits| digits.parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                return Some((head, bytes.get(end + 4..end + 4 + length)?.to_vec()));
            }
        }
        match stream.read(&mut buffer) {
            Ok(read @ 1..) => bytes.extend_from_slice(buffer.get(..read)?),
            _ => return None,
        }
    }
}
