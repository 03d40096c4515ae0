//! One exchange as a line of JSON.

use std::{borrow::Cow, io, net::SocketAddr};

use serde::Serialize;

use super::{Text, text};
use crate::simulate::Exchange;

#[derive(Serialize)]
struct Line<'a> {
    id: u64,
    at: String,
    connection: u64,
    peer: SocketAddr,
    tls: TlsOffer<'a>,
    method: &'a str,
    target: &'a str,
    version: &'static str,
    headers: Vec<(&'a str, Cow<'a, str>)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    status: u16,
    response_bytes: u64,
    latency_us: u64,
}

/// What the client hello offers, by the numbers of IANA's registries.
#[derive(Serialize)]
struct TlsOffer<'a> {
    versions: &'a [u16],
    alpn: &'a [&'a str],
    ciphers: &'a [u16],
    groups: &'a [u16],
}

/// Writes the line, without its end.
pub fn write(out: &mut Vec<u8>, exchange: &Exchange, host: &str) -> io::Result<()> {
    let request = &exchange.request;
    let tls = &request.connection.device.tls;
    let (body, body_base64) = match request.body.as_deref().map(text) {
        None => (None, None),
        Some(Text::Plain(text)) => (Some(text), None),
        Some(Text::Base64(text)) => (None, Some(text)),
    };
    let line = Line {
        id: exchange.id,
        at: exchange.at.to_string(),
        connection: exchange.connection,
        peer: request.connection.peer,
        tls: TlsOffer { versions: tls.versions, alpn: tls.alpn, ciphers: tls.ciphers, groups: tls.groups },
        method: request.method,
        target: &request.target,
        version: "HTTP/1.1",
        headers: request.headers(host),
        body,
        body_base64,
        status: exchange.answer.status,
        response_bytes: exchange.bytes,
        latency_us: u64::try_from(exchange.latency.as_micros()).unwrap_or(u64::MAX),
    };
    Ok(serde_json::to_writer(out, &line)?)
}
