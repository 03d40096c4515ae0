//! The fast way tells exactly what the plain one does: on captured query strings, legitimate and hostile, and on
//! mutations of them.

use std::{ops::ControlFlow, path::Path};

use bartizan_pattern::body::{
    BodyLimits, Buffers, Content,
    decode::DecodeLimits,
    json::{PathStyle, Walker},
    read,
};
use bartizan_waf::engine::{Context, Inspection, Program, RequestHead, Worker};

use crate::setup::{load, suite};

/// How many values of each file are looked at: a few seconds' worth.
const SAMPLE: usize = 150;

#[test]
fn both_ways_tell_the_same_of_payloads() {
    let Some(suite) = suite() else { return };
    let rules = load(&suite);
    let (plain, fast) = (Program::plain(rules.clone()), Program::new(rules));
    let (mut plain_worker, mut fast_worker) = (Worker::new(), Worker::new());
    let payloads = suite.with_file_name("payloads");
    let mut looked = 0usize;
    for file in ["modsec-learn-legitimate.json.gz", "modsec-learn-malicious.json.gz"] {
        for (number, text) in strings(&payloads.join(file)).iter().enumerate() {
            for value in [text.clone(), mutated(text, number)] {
                let told = |program, worker: &mut Worker| tell(&inspect(program, worker, &value));
                let (one, other) = (told(&plain, &mut plain_worker), told(&fast, &mut fast_worker));
                assert_eq!(one, other, "{}", value.escape_ascii());
                looked += 1;
            }
        }
    }
    println!("{looked} requests");
    assert!(looked > 0);
}

/// Values of every kind that is proved harmless, and their neighbours: the same worker sees them again and again, as
/// arguments, in JSON, as cookie and as header, among values that match.
#[test]
fn both_ways_tell_the_same_of_short_values() {
    let Some(suite) = suite() else { return };
    let rules = load(&suite);
    let (plain, fast) = (Program::plain(rules.clone()), Program::new(rules));
    let (mut plain_worker, mut fast_worker) = (Worker::new(), Worker::new());
    for number in 0..150 {
        let mut values: Vec<Vec<u8>> = Vec::new();
        for (at, value) in SHORT.iter().enumerate().skip(number % 7).step_by(5) {
            values.push(if number % 2 == 0 {
                value.as_bytes().to_vec()
            } else {
                mutated(value.as_bytes(), number * 64 + at)
            });
        }
        let told = |program, worker: &mut Worker| tell(&inspect_values(program, worker, &values));
        let (one, other) = (told(&plain, &mut plain_worker), told(&fast, &mut fast_worker));
        let shown: Vec<_> = values.iter().map(|value| value.escape_ascii().to_string()).collect();
        assert_eq!(one, other, "{shown:?}");
    }
}

const SHORT: [&str; 40] = [
    "a",
    "7",
    "true",
    "in stock",
    "red-shoes_38",
    "SELECT",
    "sleep(5)",
    "/etc/passwd",
    "ETC/PASSWD",
    "../..",
    "cmd.exe",
    "<script>",
    "a=b",
    "x' or 1=1",
    "union select",
    "$(id)",
    "`id`",
    "8f14e45fceea167a5a36dedd4bea2543",
    "2026-03-14T10:00:00Z",
    "anna@example.com",
    "ZXZhbChhKQ==",
    "%3cscript%3e",
    "a%00b",
    "\u{e4}\u{f6}",
    "${jndi:ldap}",
    "php://input",
    "phpinfo()",
    "O:8:\"a\"",
    "{{7*7}}",
    "1;ls",
    "| cat",
    "wget x",
    "ping -c 1 x",
    "nc -e",
    "@@version",
    "http://127.0.0.1/",
    "file:///x",
    "java.lang.Runtime",
    "a\r\nSet-Cookie: x",
    ".git/config",
];

fn inspect_values(program: &std::sync::Arc<Program>, worker: &mut Worker, values: &[Vec<u8>]) -> Inspection {
    let context = Context { unique_id: "test".into(), now: 0, collections: None };
    let mut inspection = Inspection::new(program.clone(), context);
    let query: Vec<u8> = values.iter().flat_map(|value| [b"&f=", value.as_slice()].concat()).collect();
    let target = [b"/items?", query.as_slice()].concat();
    let items: Vec<String> =
        values.iter().map(|value| serde_json::to_string(&String::from_utf8_lossy(value)).unwrap()).collect();
    let body = format!("{{\"items\":[{}]}}", items.join(","));
    let first = values.first().map(Vec::as_slice).unwrap_or_default();
    let second = values.get(1).map(Vec::as_slice).unwrap_or_default();
    let cookie = [b"s=", first, b"; t=", second].concat();
    let headers: [(&[u8], &[u8]); 6] = [
        (b"Host", b"shop.example"),
        (b"user-agent", second),
        (b"REFERER", first),
        (b"Content-Type", b"application/json"),
        (b"Cookie", &cookie),
        (b"X-Note", first),
    ];
    let address = "192.0.2.1:80".parse().unwrap();
    let head = RequestHead {
        method: b"POST",
        target: &target,
        version: b"HTTP/1.1",
        headers: &headers,
        client: address,
        server: address,
        proved: &[],
    };
    inspection.request_head(&head, worker);
    inspection.request_body(body.as_bytes(), false, worker);
    inspection.finish(worker);
    inspection
}

/// Every n-th string of a compressed JSON document.
fn strings(path: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let limits = BodyLimits {
        bytes: 64 << 20,
        decode: DecodeLimits { output_bytes: 64 << 20, ..DecodeLimits::default() },
        ..BodyLimits::default()
    };
    let mut buffers = Buffers::new();
    let reading = read(Some(b"application/json"), Some(b"gzip"), &bytes, &limits, &mut buffers);
    let Content::Json(tape) = reading.content() else { panic!("{:?}", reading.reason()) };
    let mut all = Vec::new();
    let _: ControlFlow<()> = Walker::new().walk(tape, PathStyle::DOTTED, |_, value| {
        if !value.kind().is_container() {
            all.push(value.decoded().into_owned());
        }
        ControlFlow::Continue(())
    });
    let step = (all.len() / SAMPLE).max(1);
    all.into_iter().step_by(step).collect()
}

/// The text with a few bytes changed, doubled or escaped; the same for the same number.
fn mutated(text: &[u8], number: usize) -> Vec<u8> {
    let mut state = number as u64 + 1;
    let mut next = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound.max(1)
    };
    let mut out = text.to_vec();
    for _ in 0..4 {
        let at = next(out.len());
        match next(5) {
            0 => out.insert(at, b"'\"/*%\0\\<;\xe2"[next(10)]),
            1 if !out.is_empty() => out[at] ^= 0x20,
            2 if !out.is_empty() => {
                let escaped = format!("%{:02x}", out[at]);
                out.splice(at..=at, escaped.bytes());
            }
            3 => {
                let end = (at + next(12)).min(out.len());
                let part = out[at..end].to_vec();
                out.splice(at..at, part);
            }
            _ => out.truncate(at.max(1)),
        }
    }
    out
}

fn inspect(program: &std::sync::Arc<Program>, worker: &mut Worker, query: &[u8]) -> Inspection {
    let context = Context { unique_id: "test".into(), now: 0, collections: None };
    let mut inspection = Inspection::new(program.clone(), context);
    let target = [b"/search?", query].concat();
    let address = "192.0.2.1:80".parse().unwrap();
    let headers: [(&[u8], &[u8]); 4] = [
        (b"Host", b"shop.example"),
        (b"User-Agent", b"Mozilla/5.0"),
        (b"Content-Type", b"application/x-www-form-urlencoded"),
        (b"Cookie", b"theme=dark; last=1%202"),
    ];
    let head = RequestHead {
        method: b"POST",
        target: &target,
        version: b"HTTP/1.1",
        headers: &headers,
        client: address,
        server: address,
        proved: &[],
    };
    inspection.request_head(&head, worker);
    inspection.request_body(query, false, worker);
    inspection.response_head(200, b"HTTP/1.1", &[(b"Content-Type", b"text/html")], worker);
    inspection.response_body(query, false, worker);
    inspection.finish(worker);
    inspection
}

fn tell(inspection: &Inspection) -> String {
    let variables: Vec<_> = inspection.tx().iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
    format!("{:#?} {:?} {variables:?}", inspection.findings(), inspection.would_interrupt())
}
