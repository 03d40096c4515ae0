//! Reads a case file.

use std::{net::IpAddr, time::Duration};

use bartizan_model::{Period, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;

/// The parts of a file that have a meaning, each with its line.
pub struct Case {
    pub parts: Vec<(usize, Part)>,
}

pub enum Part {
    Keys(Value),
    Revoked(Value),
    Introspection(Value),
    Decisions(Value),
    Clients(Value),
    Policy(Value),
    Request(Box<Request>),
    Expect(Vec<Expectation>),
}

pub struct Request {
    pub repeat: usize,
    pub wait: Duration,
    pub from: IpAddr,
    pub upstream: Response,
    pub head: Head,
    /// The file with the client's certificate.
    pub certificate: Option<String>,
}

#[derive(Clone)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

pub struct Head {
    pub method: Method,
    pub scheme: Scheme,
    pub host: String,
    pub port: Option<u16>,
    pub path: String,
    pub query: Option<String>,
    pub headers: HeaderMap,
    pub content_length: u64,
    pub body: Vec<u8>,
}

pub enum Expectation {
    Status(u16),
    Verdict(String),
    Reason(String),
    Finding(String),
    NoFinding,
    Header(String, String),
    NoHeader(String),
    NoUpstreamHeader(String),
    Principal(String),
    NoPrincipal,
    Body(String),
}

/// What stands between blocks and belongs to the next request.
struct Pending {
    repeat: usize,
    wait: Duration,
    from: IpAddr,
    upstream: Response,
    certificate: Option<String>,
}

impl Default for Pending {
    fn default() -> Self {
        let json = HeaderValue::from_static("application/json");
        Pending {
            repeat: 1,
            wait: Duration::ZERO,
            from: IpAddr::from([198, 51, 100, 1]),
            upstream: Response {
                status: StatusCode::OK,
                headers: HeaderMap::from_iter([(http::header::CONTENT_TYPE, json)]),
                body: Vec::new(),
            },
            certificate: None,
        }
    }
}

impl Case {
    pub fn parse(text: &str) -> Result<Case, String> {
        let mut parts = Vec::new();
        let mut pending = Pending::default();
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        while let Some((number, line)) = lines.next() {
            let Some(language) = line.strip_prefix("```") else {
                prose(line, &mut pending).map_err(|e| format!("line {number}: {e}"))?;
                continue;
            };
            let mut block = String::new();
            loop {
                let (_, line) = lines.next().ok_or(format!("line {number}: a block without an end"))?;
                if line == "```" {
                    break;
                }
                block.push_str(line);
                block.push('\n');
            }
            let part = match language {
                "yaml" => Ok(Some(Part::Policy(yaml(&block).map_err(|e| format!("line {number}: {e}"))?))),
                "keys" => Ok(Some(Part::Keys(yaml(&block).map_err(|e| format!("line {number}: {e}"))?))),
                "revoked" => {
                    Ok(Some(Part::Revoked(yaml(&block).map_err(|e| format!("line {number}: {e}"))?)))
                }
                "introspection" => {
                    Ok(Some(Part::Introspection(yaml(&block).map_err(|e| format!("line {number}: {e}"))?)))
                }
                "decisions" => {
                    Ok(Some(Part::Decisions(yaml(&block).map_err(|e| format!("line {number}: {e}"))?)))
                }
                "clients" => {
                    Ok(Some(Part::Clients(yaml(&block).map_err(|e| format!("line {number}: {e}"))?)))
                }
                "upstream" => response(&block).map(|response| {
                    pending.upstream = response;
                    None
                }),
                "http" => head(&block).map(|head| {
                    let Pending { repeat, wait, from, upstream, certificate } = std::mem::take(&mut pending);
                    let request = Request { repeat, wait, from, upstream, head, certificate };
                    Some(Part::Request(Box::new(request)))
                }),
                "expect" => {
                    block.lines().map(expectation).collect::<Result<_, _>>().map(|e| Some(Part::Expect(e)))
                }
                other => Err(format!("`{other}` is not a kind of block")),
            };
            parts.extend(part.map_err(|e| format!("line {number}: {e}"))?.map(|part| (number, part)));
        }
        if !parts.iter().any(|(_, part)| matches!(part, Part::Expect(_))) {
            return Err("it expects nothing".to_owned());
        }
        Ok(Case { parts })
    }
}

fn yaml(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

fn prose(line: &str, pending: &mut Pending) -> Result<(), String> {
    if let Some(count) = line.strip_prefix("repeat: ") {
        pending.repeat = count.parse().map_err(|_| format!("`{count}` is not a count"))?;
    } else if let Some(time) = line.strip_prefix("wait: ") {
        pending.wait = time.parse::<Period>()?.0;
    } else if let Some(file) = line.strip_prefix("certificate: ") {
        pending.certificate = Some(file.to_owned());
    } else if let Some(address) = line.strip_prefix("from: ") {
        pending.from = address.parse().map_err(|_| format!("`{address}` is not an address"))?;
    }
    Ok(())
}

fn fields<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(format!("`{line}` is not a header field"))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| format!("`{line}`: {e}"))?;
        headers.append(name, HeaderValue::from_str(value.trim()).map_err(|e| format!("`{line}`: {e}"))?);
    }
    Ok(headers)
}

fn response(block: &str) -> Result<Response, String> {
    let mut lines = block.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers = fields(&mut lines)?;
    let body = lines.collect::<Vec<_>>().join("\n").into_bytes();
    Ok(Response { status: status.ok_or("no status line")?, headers, body })
}

fn head(block: &str) -> Result<Head, String> {
    let mut lines = block.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target)) = (first.next(), first.next()) else {
        return Err("no request line".to_owned());
    };
    let mut headers = fields(&mut lines)?;
    let body = lines.collect::<Vec<_>>().join("\n").into_bytes();
    let (scheme, authority, target) = match target.strip_prefix("https://") {
        Some(rest) => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            (Scheme::Https, Some(authority.to_owned()), format!("/{path}"))
        }
        None => (Scheme::Http, None, target.to_owned()),
    };
    let host = headers.remove(http::header::HOST).and_then(|h| h.to_str().map(str::to_owned).ok());
    let authority = authority.or(host).ok_or("no host")?.to_ascii_lowercase();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host.to_owned(), port.parse().ok()),
        _ => (authority, None),
    };
    let declared = headers.get(http::header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target, None),
    };
    Ok(Head {
        method: Method::from_bytes(method.as_bytes()).map_err(|e| format!("`{method}`: {e}"))?,
        scheme,
        host,
        port,
        path,
        query,
        headers,
        content_length: declared.unwrap_or(body.len() as u64),
        body,
    })
}

fn expectation(line: &str) -> Result<Expectation, String> {
    let pair = |text: &str| text.split_once(": ").map(|(a, b)| (a.to_owned(), b.to_owned()));
    let wrong = || format!("`{line}` is not an expectation");
    if line == "no finding" {
        return Ok(Expectation::NoFinding);
    }
    if line == "no principal" {
        return Ok(Expectation::NoPrincipal);
    }
    if let Some(name) = line.strip_prefix("no upstream header ") {
        return Ok(Expectation::NoUpstreamHeader(name.to_owned()));
    }
    if let Some(name) = line.strip_prefix("no header ") {
        return Ok(Expectation::NoHeader(name.to_owned()));
    }
    if let Some(rest) = line.strip_prefix("header ") {
        return pair(rest).map(|(name, value)| Expectation::Header(name, value)).ok_or_else(wrong);
    }
    let (key, value) = pair(line).ok_or_else(wrong)?;
    Ok(match key.as_str() {
        "status" => Expectation::Status(value.parse().map_err(|_| wrong())?),
        "verdict" => Expectation::Verdict(value),
        "reason" => Expectation::Reason(value),
        "finding" => Expectation::Finding(value),
        "principal" => Expectation::Principal(value),
        "body" => Expectation::Body(value),
        _ => return Err(wrong()),
    })
}
