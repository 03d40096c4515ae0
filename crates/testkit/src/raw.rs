//! Raw HTTP/1 bytes in, raw bytes out: no client library tidies anything.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// Response bytes read at most.
const MAX_RESPONSE: usize = 16 << 20;

/// Sends the bytes on a fresh connection and returns what came back until the peer closed, a whole response with a
/// `Content-Length` (or none at all) was read, or the time was over. Failures to connect or write read as no answer.
#[must_use]
pub fn raw_request(address: SocketAddr, bytes: &[u8], timeout: Duration) -> Vec<u8> {
    let deadline = Instant::now() + timeout;
    let mut answer = Vec::new();
    let Ok(mut stream) = TcpStream::connect_timeout(&address, timeout) else { return answer };
    let _ = stream.set_nodelay(true);
    let _ = stream.set_write_timeout(Some(timeout));
    // A refusal may arrive, and the connection close, before everything is written: what came back still counts.
    let _ = stream.write_all(bytes);
    let mut buffer = vec![0; 64 << 10];
    while answer.len() < MAX_RESPONSE && !is_whole(&answer) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            break;
        }
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    answer
}

/// A response, taken apart leniently.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The status code; 0 when no response came.
    pub status: u16,
    /// Names in lower case with their values.
    pub headers: Vec<(String, String)>,
    /// Everything after the head, chunked framing removed where it is whole.
    pub body: Vec<u8>,
    /// Whether the body was complete by its own framing.
    pub whole: bool,
}

impl Reply {
    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `null` when it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Takes the final response of an answer apart, skipping interim ones (1xx).
#[must_use]
pub fn reply(answer: &[u8]) -> Reply {
    let mut rest = answer;
    loop {
        let Some(end) = find(rest, b"\r\n\r\n") else { return Reply::default() };
        let (head, body) = rest.split_at_checked(end + 4).unwrap_or((rest, &[]));
        let head = String::from_utf8_lossy(head).into_owned();
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        if (100..200).contains(&status) && status != 101 {
            rest = body;
            continue;
        }
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut reply = Reply { status, headers, body: body.to_vec(), whole: true };
        let chunked = reply.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"));
        let length = reply.header("content-length").and_then(|v| v.parse::<usize>().ok());
        if chunked {
            let (body, whole) = unchunk(body);
            reply.body = body;
            reply.whole = whole;
        } else if let Some(length) = length {
            reply.whole = body.len() >= length;
            reply.body.truncate(length);
        }
        return reply;
    }
}

/// Whether an answer holds a whole final response, by its own framing.
#[must_use]
pub fn is_whole(answer: &[u8]) -> bool {
    let reply = reply(answer);
    let framed = reply.header("content-length").is_some() || reply.header("transfer-encoding").is_some();
    reply.status >= 200 && reply.whole && (framed || matches!(reply.status, 204 | 304))
}

/// A chunked body decoded as far as it goes, and whether the last chunk was there.
fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    loop {
        let Some(line_end) = find(rest, b"\r\n") else { return (out, false) };
        let (line, after) = rest.split_at_checked(line_end).unwrap_or((rest, &[]));
        let digits = line.split(|&b| b == b';').next().unwrap_or_default();
        let size = std::str::from_utf8(digits).ok().and_then(|d| usize::from_str_radix(d.trim(), 16).ok());
        let (Some(size), Some(after)) = (size, after.get(2..)) else { return (out, false) };
        if size == 0 {
            return (out, after.starts_with(b"\r\n") || find(after, b"\r\n\r\n").is_some());
        }
        let (Some(chunk), Some(next)) = (after.get(..size), after.get(size + 2..)) else {
            out.extend_from_slice(after);
            return (out, false);
        };
        out.extend_from_slice(chunk);
        rest = next;
    }
}

/// The position of `needle` in `bytes`.
#[must_use]
pub fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn interim_responses_are_skipped_and_chunks_joined() {
        let reply = reply(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
        );
        assert_eq!((reply.status, reply.text().as_str(), reply.whole), (200, "abcde", true));
    }

    #[test]
    fn a_truncated_body_is_told() {
        assert!(!reply(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc").whole);
        assert!(!reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc").whole);
    }
}
