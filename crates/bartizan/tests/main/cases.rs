//! The behaviour cases of `tests/cases`, over the wire: what a client and an upstream can see of them.
//!
//! Cases with a clock that stands still or moves, with keys that exist beforehand, or over `https` run in process only.

use std::{fs, path::Path};

use bartizan_testkit::{Gateway, RawUpstream, Reply, Step, raw_request, reply, workspace_root};

use crate::support::BINARY;

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

/// The fields of the limits depend on the clock; so do those that describe the moment.
const CLOCKED: &[&str] = &["ratelimit", "x-ratelimit", "retry-after", "strict-transport-security"];

#[test]
fn cases_hold_over_the_wire() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    let guards = [
        "contract",
        "cors",
        "identity",
        "ip_access",
        "ownership",
        "request_limits",
        "response_contract",
        "security_headers",
        "session",
        "step_up",
        "waf",
    ];
    for guard in guards {
        let folder = workspace_root().join("tests/cases").join(guard);
        let mut files: Vec<_> = fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "md")) {
            let text = fs::read_to_string(file).unwrap();
            let in_process = [
                "```keys",
                "```clients",
                "\ncertificate: ",
                "```revoked",
                "```introspection",
                "```decisions",
                "\nwait: ",
                "https://api",
            ]
            .iter()
            .any(|words| text.contains(words));
            // Its tokens are valid around the moment at which the clock of the cases stands.
            if !in_process && !file.ends_with("identity/claims.md") {
                checked += run(file, &text, &mut wrong);
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(checked > 50, "only {checked} expectations were checked");
}

/// Runs a file; how many expectations were checked.
fn run(file: &Path, text: &str, wrong: &mut Vec<String>) -> usize {
    let upstream = RawUpstream::echo().unwrap();
    let mut gateway = None;
    let (mut repeat, mut from) = (1, "198.51.100.1".to_owned());
    let mut script = ANSWER.as_bytes().to_vec();
    let (mut last, mut checked) = (Reply::default(), 0);
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(count) = line.strip_prefix("repeat: ") {
            repeat = count.parse().unwrap();
        } else if let Some(address) = line.strip_prefix("from: ") {
            address.clone_into(&mut from);
        }
        let Some(language) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        match language {
            "yaml" => {
                // The previous gateway ends first.
                drop(gateway.take());
                gateway = Some(start(file, &block.join("\n"), &upstream));
            }
            "upstream" => {
                let mut parts = block.splitn(2, |line| line.is_empty());
                let head = parts.next().unwrap_or_default().join("\r\n");
                let body = parts.next().unwrap_or_default().join("\n");
                script = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes();
            }
            "http" => {
                upstream.answer(vec![Step::Send(std::mem::replace(&mut script, ANSWER.as_bytes().to_vec()))]);
                let gateway = gateway.as_ref().expect("a policy stands before the first request");
                for _ in 0..std::mem::replace(&mut repeat, 1) {
                    upstream.clear();
                    let bytes = request(&block, &from);
                    last = reply(&raw_request(gateway.address, &bytes, std::time::Duration::from_secs(5)));
                }
                "198.51.100.1".clone_into(&mut from);
            }
            "expect" => {
                for expectation in block {
                    if let Some(fault) = check(expectation, &last, &upstream, &mut checked) {
                        wrong.push(format!("{}:{}: {expectation}: {fault}", file.display(), number + 1));
                    }
                }
            }
            _ => {}
        }
    }
    checked
}

fn start(file: &Path, policy: &str, upstream: &RawUpstream) -> Gateway {
    // An excerpt may leave the upstream out.
    let upstream_line = format!("    upstream: {}", upstream.url());
    let mut lines: Vec<&str> = Vec::new();
    for line in policy.lines() {
        lines.push(line);
        if lines.contains(&"apis:") && line.starts_with("  - name:") && !policy.contains("upstream:") {
            lines.push(&upstream_line);
        }
    }
    let policy = lines.join("\n");
    // Some cases trust the key pairs of standards, whose private halves everybody knows: a gateway that proves itself is
    // never ready with them.
    let text = format!(
        "listeners: [{{ address: $LISTEN }}]\nadmin: {{ address: $ADMIN, readiness_probes: false }}\ntrusted_proxies: [127.0.0.0/8]\n{}\n",
        policy.replace("http://upstream.test", &upstream.url())
    );
    let gateway = Gateway::with_config(BINARY, &text, |dir| Ok(copy(file.parent().unwrap(), dir)?));
    gateway.unwrap_or_else(|error| panic!("{}: {error:#}", file.display()))
}

/// The files beside a case, with their folders.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)?.flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The request as on the wire, from an address, its body as long as it says.
fn request(block: &[&str], from: &str) -> Vec<u8> {
    let (first, rest) = block.split_first().unwrap();
    let mut parts = rest.splitn(2, |line| line.is_empty());
    let fields = parts.next().unwrap_or_default();
    let body = parts.next().unwrap_or_default().join("\n");
    let mut head = format!("{first}\r\n");
    let mut length = None;
    for field in fields {
        if let Some(value) = field.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse::<usize>().ok();
        }
        head.push_str(field);
        head.push_str("\r\n");
    }
    // As the trusted proxy in front would append it, to the right of what the client wrote.
    head.push_str(&format!("X-Forwarded-For: {from}\r\n"));
    if length.is_none() && !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    let mut bytes = format!("{head}\r\n{body}").into_bytes();
    let missing = length.unwrap_or(0).saturating_sub(body.len()).min(32 << 20);
    bytes.resize(bytes.len() + missing, b' ');
    bytes
}

/// What is wrong, if anything. Verdicts, reasons and findings are not seen from outside.
/// A field without what only a gateway that listens somewhere can tell: where the metadata of the API is (RFC 9728).
fn told(value: &str) -> &str {
    value.split(", resource_metadata=").next().unwrap_or(value)
}

fn check(expectation: &str, reply: &Reply, upstream: &RawUpstream, checked: &mut usize) -> Option<String> {
    if let Some(status) = expectation.strip_prefix("status: ") {
        *checked += 1;
        return (reply.status.to_string() != status).then(|| format!("{}: {}", reply.status, reply.text()));
    }
    if let Some(text) = expectation.strip_prefix("body: ") {
        *checked += 1;
        return (reply.text().trim_end() != text).then(|| reply.text());
    }
    if let Some(name) = expectation.strip_prefix("no upstream header ") {
        *checked += 1;
        let Some(request) = upstream.requests().pop() else {
            return Some("nothing was forwarded".to_owned());
        };
        return (!request.header(name).is_empty()).then(|| request.text());
    }
    if let Some(name) = expectation.strip_prefix("no header ") {
        *checked += 1;
        return reply.header(name).map(str::to_owned);
    }
    let (name, value) = expectation.strip_prefix("header ")?.split_once(": ")?;
    if CLOCKED.iter().any(|clocked| name.starts_with(clocked)) {
        return None;
    }
    *checked += 1;
    let found: Vec<_> = reply.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| told(v)).collect();
    (found.join(", ") != value).then(|| found.join(", "))
}
