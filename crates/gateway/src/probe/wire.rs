//! One probe on its way: bytes into a stream inside the process, and the answer out of it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bartizan_model::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::mark::{Mark, Observed};
use crate::{connection::Connection, gateway::Gateway, serve::serve_within};

/// What one direction holds: the largest head of a policy is bounded by 1 MiB, that of a probe by far less.
const ROOM: usize = 64 * 1024;

/// What is read of an answer.
const MAX_ANSWER: usize = 64 * 1024;

/// The port of a probe's address; nothing looks at it.
const PORT: u16 = 1;

/// A request that is about to be sent.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub method: Method,
    pub host: String,
    /// The canonical path, with the API's base path.
    pub path: String,
    pub query: Option<String>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub content_length: Option<u64>,
    pub peer: IpAddr,
    /// The place of the limit that is spent.
    pub spent: Option<usize>,
    pub reply: HeaderMap,
}

impl Request {
    /// For people: no field is told, since some hold what looks like a credential.
    pub fn told(&self) -> String {
        let query = if self.query.is_some() { "?.." } else { "" };
        format!("{} {}{query} from {}", self.method, self.path, self.peer)
    }

    /// As it stands on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(self.method.as_str().as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(self.path.as_bytes());
        if let Some(query) = &self.query {
            bytes.push(b'?');
            bytes.extend_from_slice(query.as_bytes());
        }
        bytes.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        bytes.extend_from_slice(self.host.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        if let Some(length) = self.content_length {
            bytes.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    /// 0 when nothing came.
    pub status: u16,
    pub headers: HeaderMap,
    /// Whether it is the echo's.
    pub echoed: bool,
    /// The fields that an upstream would have got, when it came to the echo.
    pub forwarded: Vec<HeaderName>,
    /// What the gateway decided.
    pub observed: Option<Observed>,
}

impl Answer {
    /// For people.
    pub fn told(&self) -> String {
        let reason = self.observed.as_ref().and_then(|observed| observed.ending?.reason);
        match (self.status, self.echoed, reason) {
            (0, ..) => "no answer".to_owned(),
            (status, true, _) => format!("{status} from the echo: an upstream would have got it"),
            (status, false, Some(reason)) => format!("{status}, {reason}"),
            (status, false, None) => format!("{status} from the gateway"),
        }
    }

    /// Who ended the exchange, and with which reason.
    pub fn ended(&self) -> Option<(&'static str, Option<&'static str>)> {
        let ending = self.observed.as_ref()?.ending?;
        Some((ending.by?, ending.reason))
    }
}

/// Sends `bytes` as if they came from `peer`, through everything that an accepted connection goes through. An `unfinished`
/// request has a body that is announced and not sent.
pub(super) async fn send(
    gateway: &Arc<Gateway>,
    mark: &Arc<Mark>,
    peer: IpAddr,
    scheme: Scheme,
    bytes: &[u8],
    unfinished: bool,
    patience: Duration,
) -> Answer {
    let (mut ours, theirs) = tokio::io::duplex(ROOM);
    let connection = Connection::within(SocketAddr::new(peer, PORT), scheme, Arc::clone(mark));
    let received = {
        let serving = serve_within(gateway, connection, theirs);
        let asking = async {
            // A refusal may come before everything is written.
            let _ = ours.write_all(bytes).await;
            if unfinished {
                // The body that was announced never comes: nobody shall wait for it.
                let _ = ours.shutdown().await;
            }
            read(&mut ours, bytes.starts_with(b"HEAD ")).await
        };
        tokio::pin!(serving, asking);
        let both = async {
            tokio::select! {
                biased;
                received = asking.as_mut() => received,
                // What was written before the end can still be read.
                () = serving.as_mut() => asking.await,
            }
        };
        tokio::time::timeout(patience, both).await.unwrap_or_default()
    };
    // The serving side is gone, and with it the exchange's record: all is noted.
    let (status, headers) = parse(&received).unwrap_or_default();
    Answer { status, headers, echoed: mark.reached(), forwarded: mark.forwarded(), observed: mark.take() }
}

/// Reads to the end of the answer's head and of the body that it announces; the answer to `HEAD` has none.
async fn read(stream: &mut DuplexStream, bodyless: bool) -> Vec<u8> {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while received.len() < MAX_ANSWER && !is_whole(&received, bodyless) {
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => received.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            _ => break,
        }
    }
    received
}

fn is_whole(received: &[u8], bodyless: bool) -> bool {
    let Some(end) = head_end(received) else { return false };
    if bodyless {
        return true;
    }
    let length = parse(received).and_then(|(_, headers)| {
        headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse::<usize>().ok()
    });
    received.len() >= end.saturating_add(length.unwrap_or(0))
}

fn head_end(received: &[u8]) -> Option<usize> {
    received.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Status and fields of a response's head.
fn parse(received: &[u8]) -> Option<(u16, HeaderMap)> {
    let head = std::str::from_utf8(received.get(..head_end(received)?)?).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value.trim())) {
            headers.append(name, value);
        }
    }
    Some((status, headers))
}
