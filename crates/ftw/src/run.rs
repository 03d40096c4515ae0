//! One request in process: read as a lenient server reads it, answered as the reflecting backend answers.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bartizan_pattern::http1::{HeadBounds, Progress, Scanner};
use bartizan_waf::engine::{Context, Inspection, Program, RequestHead, Worker};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use indexmap::IndexMap;
use serde::Deserialize;

use crate::{Observed, Stage};

/// Where every request in process comes from and goes to: rules that look at addresses find loopback, as over sockets.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);

/// When every request in process arrives, milliseconds since 1970: the same in each run.
const NOW: u64 = 1_700_000_000_000;

impl Stage {
    /// Runs it in process, and judges.
    ///
    /// # Errors
    /// What came otherwise, in one line.
    pub fn run(&self, program: &Arc<Program>, worker: &mut Worker) -> Result<(), String> {
        let mut observed = Observed::default();
        if self.expected.wants_refusal() && is_refused(&self.request) {
            observed.refused = true;
        } else if self.expected.asks_rules() {
            let inspection = inspect(&self.request, program, worker);
            observed = Observed::of(&inspection.ok_or("the bytes are no request")?);
        }
        self.expected.judge(&observed)
    }
}

/// Runs a request and the response that it asks for through the rules. `None` where the bytes are no request at all.
#[must_use]
pub fn inspect(request: &[u8], program: &Arc<Program>, worker: &mut Worker) -> Option<Inspection> {
    let request = Request::read(request)?;
    let context = Context { unique_id: "test".into(), now: NOW, collections: None };
    let mut inspection = Inspection::new(Arc::clone(program), context);
    let head = RequestHead {
        method: request.method,
        target: request.target,
        version: request.version,
        headers: &request.headers,
        client: ADDRESS,
        server: ADDRESS,
        proved: &[],
    };
    inspection.request_head(&head, worker);
    inspection.request_body(&request.body, false, worker);
    let answer = Answer::to(request.target, &request.body);
    let headers: Vec<_> = answer.headers.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    inspection.response_head(answer.status, b"HTTP/1.1", &headers, worker);
    inspection.response_body(&answer.body, false, worker);
    inspection.finish(worker);
    Some(inspection)
}

/// Whether the gateway's reader of HTTP/1 refuses these bytes before any rule sees them.
#[must_use]
pub fn is_refused(request: &[u8]) -> bool {
    let bounds = HeadBounds { target_bytes: 1 << 20, header_count: 1000, header_bytes: 1 << 20 };
    let mut scanner = Scanner::new(bounds);
    let mut rest = request;
    loop {
        match scanner.scan(rest) {
            Progress::Refuse(_) => return true,
            Progress::NeedMore => return false,
            Progress::Head { bytes } | Progress::Body { bytes } => {
                rest = rest.get(bytes..).unwrap_or_default();
                if rest.is_empty() || bytes == 0 {
                    return false;
                }
            }
        }
    }
}

/// A request as a lenient server reads it.
struct Request<'r> {
    method: &'r [u8],
    target: &'r [u8],
    version: &'r [u8],
    headers: Vec<(&'r [u8], &'r [u8])>,
    body: Vec<u8>,
}

impl<'r> Request<'r> {
    fn read(raw: &'r [u8]) -> Option<Self> {
        let end = raw.windows(4).position(|four| four == b"\r\n\r\n")?;
        let (head, rest) = (raw.get(..end)?, raw.get(end + 4..)?);
        let mut lines =
            head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let line = lines.next()?;
        let first = line.iter().position(|byte| *byte == b' ')?;
        let last = line.iter().rposition(|byte| *byte == b' ')?;
        let (method, version) = (line.get(..first)?, line.get(last + 1..)?);
        let target = line.get(first + 1..last).unwrap_or_default();
        let mut headers: Vec<_> = lines
            .filter_map(|line| {
                let colon = line.iter().position(|byte| *byte == b':')?;
                Some((line.get(..colon)?, line.get(colon + 1..)?.trim_ascii()))
            })
            .collect();
        let chunked = headers.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case(b"transfer-encoding")
                && value.to_ascii_lowercase().ends_with(b"chunked")
        });
        if chunked {
            // RFC 9112 section 6.3: what is forwarded has no `Content-Length`.
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-length"));
        }
        let body = if chunked { dechunk(rest).unwrap_or_else(|| rest.to_vec()) } else { rest.to_vec() };
        Some(Request { method, target, version, headers, body })
    }
}

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..end)?).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        rest = rest.get(end + 2..)?;
        if size == 0 {
            return Some(body);
        }
        body.extend(rest.get(..size)?);
        rest = rest.get(size.checked_add(2)?..)?;
    }
}

/// What the backend of the tests answers: `/reflect` does as the request's body says, everything else is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reflection {
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    headers: IndexMap<String, String>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    encoded_body: String,
}

impl Answer {
    /// The answer to a request.
    #[must_use]
    pub fn to(target: &[u8], body: &[u8]) -> Self {
        Self::reflected(target, body).unwrap_or(Answer { status: 200, headers: Vec::new(), body: Vec::new() })
    }

    fn reflected(target: &[u8], body: &[u8]) -> Option<Self> {
        if !target.starts_with(b"/reflect") {
            return None;
        }
        let reflection: Reflection = serde_json::from_slice(body).ok()?;
        let body = if reflection.encoded_body.is_empty() {
            reflection.body.into_bytes()
        } else {
            STANDARD.decode(&reflection.encoded_body).ok()?
        };
        let mut headers: Vec<(String, String)> = reflection.headers.into_iter().collect();
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            headers.push(("Content-Type".into(), "text/plain; charset=utf-8".into()));
        }
        Some(Answer { status: reflection.status.unwrap_or(200), headers, body })
    }

    /// The answer as an HTTP/1.1 response that ends with its connection.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} Reflected\r\n", self.status).into_bytes();
        let framing = ["content-length", "transfer-encoding", "connection"];
        for (name, value) in &self.headers {
            if !framing.iter().any(|known| name.eq_ignore_ascii_case(known)) {
                bytes.extend(format!("{name}: {value}\r\n").bytes());
            }
        }
        bytes.extend(format!("Content-Length: {}\r\nConnection: close\r\n\r\n", self.body.len()).bytes());
        bytes.extend(&self.body);
        bytes
    }
}
