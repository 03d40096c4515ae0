//! The public suites of attacks and conformance requests, through the scanner alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::path::PathBuf;

use base64::prelude::*;

use super::*;
use crate::path::{PathRules, canonical};

const BOUNDS: HeadBounds = HeadBounds { target_bytes: 8192, header_count: 100, header_bytes: 65536 };

/// Requests that bind origin servers only: their answer needs to know which methods and versions the resource has.
const ORIGIN_ONLY: [(&str, &str); 3] = [
    ("COMP-UNKNOWN-METHOD", "methods are extensible: whether one is known is for the operation to say"),
    ("COMP-405-ALLOW", "whether DELETE is allowed is for the operation to say"),
    ("COMP-UPGRADE-INVALID-VER", "the WebSocket version is negotiated with the server behind"),
];

/// What becomes of all bytes of a connection.
#[derive(Debug, PartialEq)]
enum End {
    Refused(String),
    /// Valid requests, and whether the last one is whole.
    Passed {
        requests: usize,
        whole: bool,
    },
}

fn run(mut bytes: &[u8]) -> End {
    let mut scanner = Scanner::new(BOUNDS);
    let mut requests = 0;
    loop {
        match scanner.scan(bytes) {
            Progress::NeedMore => {
                let whole = bytes.is_empty() && scanner.is_idle();
                return End::Passed { requests, whole };
            }
            Progress::Refuse(refusal) => return End::Refused(refusal.code().to_owned()),
            Progress::Head { bytes: length } => {
                requests += 1;
                if let Err(refusal) = path_of(&bytes[..length]) {
                    return End::Refused(refusal);
                }
                bytes = &bytes[length..];
            }
            Progress::Body { bytes: length } => bytes = &bytes[length..],
        }
    }
}

/// Reads the path as the gateway does.
fn path_of(head: &[u8]) -> Result<(), String> {
    let head = std::str::from_utf8(head.trim_ascii_start())
        .map_or_else(|_| String::from_utf8_lossy(head), Into::into);
    let target = head.split(' ').nth(1).unwrap();
    let path = target.split('?').next().unwrap();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
    if path == "*" {
        return Ok(());
    }
    canonical(path, PathRules::default()).map(drop).map_err(|refusal| refusal.code().to_owned())
}

#[test]
fn every_expectation_of_the_suite_is_met() {
    let root = std::env::var_os("BARTIZAN_SUITES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/suites")),
        PathBuf::from,
    );
    let Ok(text) = std::fs::read_to_string(root.join("http1/requests.jsonl")) else {
        eprintln!("SKIPPED: http1 suite not found");
        return;
    };
    let mut exceptions = Vec::new();
    let (mut cases, mut safe_passed) = (0, Vec::new());
    for line in text.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let id = case["id"].as_str().unwrap();
        let request = BASE64_STANDARD.decode(case["request_b64"].as_str().unwrap()).unwrap();
        let end = run(&request);
        cases += 1;
        let met = match case["expect"].as_str().unwrap() {
            "accept" => end == End::Passed { requests: 1, whole: true },
            "reject" => !matches!(end, End::Passed { requests: 1.., whole: true }),
            "safe" => {
                if !matches!(end, End::Refused(_)) {
                    safe_passed.push(format!("{id}: {end:?}"));
                }
                // One request that ends with the bytes: the body was read one way, by its `Content-Length`.
                matches!(end, End::Refused(_) | End::Passed { requests: 1, .. })
            }
            "either" => true,
            other => panic!("{id}: unknown expectation {other}"),
        };
        if !met {
            exceptions.push((id.to_owned(), format!("{end:?}")));
        }
    }
    println!("{cases} cases, {} exceptions:", exceptions.len());
    for (id, end) in &exceptions {
        let reason =
            ORIGIN_ONLY.iter().find(|(known, _)| known == id).map_or("NOT EXPECTED", |(_, reason)| reason);
        println!("  {id}: {end} ({reason})");
    }
    println!("{} mutations pass as one request: {}", safe_passed.len(), safe_passed.join(", "));
    assert!(cases >= 1360);
    let mut found: Vec<&str> = exceptions.iter().map(|(id, _)| id.as_str()).collect();
    let mut known: Vec<&str> = ORIGIN_ONLY.iter().map(|(id, _)| *id).collect();
    found.sort_unstable();
    known.sort_unstable();
    assert_eq!(found, known);
}
