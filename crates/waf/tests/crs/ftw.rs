//! Test files of go-ftw: what a test sends, what the reflecting backend answers, what is expected of the rules.

use std::{path::Path, sync::Arc};

use bartizan_pattern::http1::{HeadBounds, Progress, Scanner};
use bartizan_waf::engine::{Context, Inspection, Program, RequestHead, Worker};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use indexmap::IndexMap;
use regex::bytes::Regex;
use serde::Deserialize;

/// The same rules to be walked both ways.
pub struct Engines {
    pub plain: (Arc<Program>, Worker),
    pub fast: (Arc<Program>, Worker),
}

/// One test with its stages.
pub struct Case {
    pub rule: u64,
    pub test: u64,
    stages: Vec<Stage>,
}

/// How a test ended.
pub enum Outcome {
    Passed,
    Failed(String),
}

#[derive(Deserialize)]
struct Document {
    rule_id: u64,
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    test_id: u64,
    stages: Vec<Stage>,
}

#[derive(Deserialize)]
struct Stage {
    input: Input,
    output: Output,
}

#[derive(Deserialize)]
struct Input {
    method: Option<String>,
    uri: Option<String>,
    version: Option<String>,
    #[serde(default)]
    headers: IndexMap<String, String>,
    data: Option<String>,
    encoded_request: Option<String>,
    #[serde(default = "yes")]
    autocomplete_headers: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct Output {
    #[serde(default)]
    log: Log,
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    expect_error: Option<bool>,
}

#[derive(Default, Deserialize)]
struct Log {
    #[serde(default)]
    expect_ids: Vec<u64>,
    #[serde(default)]
    no_expect_ids: Vec<u64>,
    match_regex: Option<String>,
    no_match_regex: Option<String>,
}

/// The tests of a file.
pub fn read(text: &str, file: &Path) -> Vec<Case> {
    if text.lines().all(|line| line.trim().is_empty() || line.starts_with(['#', '-'])) {
        return Vec::new();
    }
    let document: Document =
        serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let rule = document.rule_id;
    document.tests.into_iter().map(|test| Case { rule, test: test.test_id, stages: test.stages }).collect()
}

impl Case {
    pub fn name(&self) -> String {
        format!("{}-{}", self.rule, self.test)
    }

    pub fn run(&self, engines: &mut Engines) -> Outcome {
        for stage in &self.stages {
            if let Outcome::Failed(why) = stage.run(engines) {
                return Outcome::Failed(why);
            }
        }
        Outcome::Passed
    }
}

impl Stage {
    fn run(&self, engines: &mut Engines) -> Outcome {
        let raw = self.input.raw();
        let expected = &self.output.log;
        let log_is_expected = !expected.expect_ids.is_empty()
            || !expected.no_expect_ids.is_empty()
            || expected.match_regex.is_some()
            || expected.no_match_regex.is_some();
        // What the strict reading of HTTP/1 refuses never reaches a rule: a refusal is what the test then asks for.
        let wants = matches!(self.output.status, Some(400..=499)) || self.output.expect_error == Some(true);
        if wants && is_refused(&raw) {
            return Outcome::Passed;
        }
        if !log_is_expected {
            if !wants {
                return Outcome::Passed;
            }
            return Outcome::Failed(format!(
                "status {:?} is expected, nothing is refused",
                self.output.status
            ));
        }
        let Some(request) = Request::read(&raw) else {
            return Outcome::Failed("no request".to_owned());
        };
        let inspection = request.inspect(&mut engines.plain);
        let fast = request.inspect(&mut engines.fast);
        let tell = |inspection: &Inspection| {
            let variables: Vec<_> = inspection.tx().iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
            format!("{:#?} {variables:?}", inspection.findings())
        };
        let (plain, fast) = (tell(&inspection), tell(&fast));
        if plain != fast {
            let line = plain.lines().zip(fast.lines()).find(|(plain, fast)| plain != fast);
            return Outcome::Failed(format!("the two ways differ: {line:?}"));
        }
        let told: Vec<_> = inspection.findings().iter().filter(|finding| finding.log).collect();
        let ids: Vec<u64> = told.iter().map(|finding| finding.rule).collect();
        let missing: Vec<_> = expected.expect_ids.iter().filter(|id| !ids.contains(id)).collect();
        let wrong: Vec<_> = expected.no_expect_ids.iter().filter(|id| ids.contains(id)).collect();
        let mut log: Vec<u8> = Vec::new();
        for finding in &told {
            let (msg, data) = (finding.msg.escape_ascii(), finding.logdata.escape_ascii());
            log.extend(format!("[id \"{}\"] [msg \"{msg}\"] [data \"{data}\"]\n", finding.rule).bytes());
        }
        if let Some(error) = inspection.body_error() {
            log.extend(error.bytes());
        }
        let searches = |pattern: &Option<String>| {
            pattern.as_ref().map(|pattern| Regex::new(pattern).unwrap().is_match(&log))
        };
        if missing.is_empty()
            && wrong.is_empty()
            && searches(&expected.match_regex) != Some(false)
            && searches(&expected.no_match_regex) != Some(true)
        {
            return Outcome::Passed;
        }
        Outcome::Failed(format!(
            "missing {missing:?}, wrong {wrong:?}, told {ids:?}; {}",
            String::from_utf8_lossy(&raw.iter().flat_map(|byte| byte.escape_ascii()).collect::<Vec<u8>>())
        ))
    }
}

impl Input {
    /// The bytes that the test sends, made as go-ftw makes them.
    fn raw(&self) -> Vec<u8> {
        if let Some(encoded) = &self.encoded_request {
            let compact: String = encoded.split_whitespace().collect();
            return STANDARD.decode(compact).unwrap();
        }
        let mut headers: Vec<(String, String)> =
            self.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut data = self.data.clone().unwrap_or_default().into_bytes();
        let has = |headers: &[(String, String)], name: &str| {
            headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
        };
        let method = self.method.as_deref().unwrap_or("GET");
        if !data.is_empty() && self.autocomplete_headers {
            if !has(&headers, "content-type") {
                headers.push(("Content-Type".into(), "application/x-www-form-urlencoded".into()));
            }
            data = encode(&headers, data);
        }
        let multipart = headers.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("content-type") && value.starts_with("multipart/form-data;")
        });
        if multipart {
            data = data
                .iter()
                .flat_map(|byte| if *byte == b'\n' { &b"\r\n"[..] } else { std::slice::from_ref(byte) })
                .copied()
                .collect();
        }
        if self.autocomplete_headers {
            if !has(&headers, "connection") {
                headers.push(("Connection".into(), "close".into()));
            }
            let has_body = ["POST", "PUT", "PATCH", "DELETE"].iter().any(|known| method.contains(known));
            if (!data.is_empty() || has_body) && !has(&headers, "content-length") {
                headers.push(("Content-Length".into(), data.len().to_string()));
            }
        }
        let uri = self.uri.as_deref().unwrap_or("/");
        let version = self.version.as_deref().unwrap_or("HTTP/1.1");
        let mut raw = format!("{method} {uri} {version}\r\n").into_bytes();
        for (name, value) in headers {
            raw.extend(format!("{name}: {value}\r\n").bytes());
        }
        raw.extend(b"\r\n");
        raw.extend(data);
        raw
    }
}

/// Encodes a form that is not encoded yet.
fn encode(headers: &[(String, String)], data: Vec<u8>) -> Vec<u8> {
    let is_form = headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("content-type") && value == "application/x-www-form-urlencoded"
    });
    // What decoding changes, or cannot decode, is taken to be encoded already.
    if !is_form || data.contains(&b'%') || data.contains(&b'+') {
        return data;
    }
    let escape = |text: &[u8]| -> Vec<u8> {
        text.iter()
            .flat_map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => vec![*byte],
                b' ' => vec![b'+'],
                _ => format!("%{byte:02X}").into_bytes(),
            })
            .collect()
    };
    let pairs: Vec<Vec<u8>> = data
        .split(|byte| *byte == b'&')
        .map(|pair| match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => [escape(&pair[..at]), b"=".to_vec(), escape(&pair[at + 1..])].concat(),
            None => escape(pair),
        })
        .collect();
    pairs.join(&b'&')
}

/// Whether the gateway's reader of HTTP/1 refuses these bytes.
fn is_refused(raw: &[u8]) -> bool {
    let bounds = HeadBounds { target_bytes: 1 << 20, header_count: 1000, header_bytes: 1 << 20 };
    let mut scanner = Scanner::new(bounds);
    let mut rest = raw;
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
        let mut lines =
            raw[..end].split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let line = lines.next()?;
        let first = line.iter().position(|byte| *byte == b' ')?;
        let last = line.iter().rposition(|byte| *byte == b' ')?;
        let (method, version) = (&line[..first], &line[last + 1..]);
        let target = line.get(first + 1..last).unwrap_or_default();
        let mut headers: Vec<_> = lines
            .filter_map(|line| {
                let colon = line.iter().position(|byte| *byte == b':')?;
                Some((&line[..colon], line[colon + 1..].trim_ascii()))
            })
            .collect();
        let chunked = headers.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case(b"transfer-encoding")
                && value.to_ascii_lowercase().ends_with(b"chunked")
        });
        let rest = &raw[end + 4..];
        if chunked {
            // RFC 9112 section 6.3: what is forwarded has no `Content-Length`.
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-length"));
        }
        let body = if chunked { dechunk(rest).unwrap_or_else(|| rest.to_vec()) } else { rest.to_vec() };
        Some(Request { method, target, version, headers, body })
    }

    fn inspect(&self, (program, worker): &mut (Arc<Program>, Worker)) -> Inspection {
        let context = Context { unique_id: "test".into(), now: 1_700_000_000_000, collections: None };
        let mut inspection = Inspection::new(program.clone(), context);
        let address = "127.0.0.1:80".parse().unwrap();
        let head = RequestHead {
            method: self.method,
            target: self.target,
            version: self.version,
            headers: &self.headers,
            client: address,
            server: address,
        };
        inspection.request_head(&head, worker);
        inspection.request_body(&self.body, false, worker);
        let answer = Answer::to(self);
        let headers: Vec<_> = answer.headers.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        inspection.response_head(answer.status, b"HTTP/1.1", &headers, worker);
        inspection.response_body(&answer.body, false, worker);
        inspection.finish(worker);
        inspection
    }
}

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

/// What the backend answers: `/reflect` does as the request's body says, everything else is empty.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
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
    fn to(request: &Request<'_>) -> Self {
        let nothing = Answer { status: 200, headers: Vec::new(), body: Vec::new() };
        if !request.target.starts_with(b"/reflect") {
            return nothing;
        }
        let Ok(reflection) = serde_json::from_slice::<Reflection>(&request.body) else { return nothing };
        let body = if reflection.encoded_body.is_empty() {
            reflection.body.into_bytes()
        } else {
            STANDARD.decode(&reflection.encoded_body).unwrap()
        };
        let mut headers: Vec<(String, String)> = reflection.headers.into_iter().collect();
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            headers.push(("Content-Type".into(), "text/plain; charset=utf-8".into()));
        }
        Answer { status: reflection.status.unwrap_or(200), headers, body }
    }
}
