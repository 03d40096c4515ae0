//! What transformations, operators and detectors cost, in nanoseconds for a byte or a value:
//! `cargo test --release -p bartizan-waf --test figures -- --ignored --nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::{hint::black_box, time::Instant};

use bartizan_waf::{
    files::MemoryFiles,
    inject,
    operator::{Operator, OperatorContext},
    transform::{ByteSet, Transformation},
};

/// Values as requests have them every day.
const BENIGN: [&str; 12] = [
    "john.smith@example.com",
    "2026-03-14T10:20:30Z",
    "550e8400-e29b-41d4-a716-446655440000",
    "12345",
    "the quick brown fox jumps over the lazy dog",
    "true",
    "en-US",
    "/api/v1/users/42",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Grüße aus München",
    "price ascending",
    "size=38&wide=1",
];

const HOSTILE: [&str; 6] = [
    "1' OR '1'='1' -- ",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "&lt;img src=x onerror=&#x61;lert(1)&gt;",
    "../../../../etc/passwd",
    "\\u003cscript\\x3e /* c */ UNION/**/SELECT",
    "; cat /e\"t\"c/pa''sswd",
];

/// Nanoseconds for each value, the best of five rounds.
fn time(values: &[&str], mut work: impl FnMut(&[u8])) -> f64 {
    const ROUNDS: usize = 2000;
    let best = (0..5).map(|_| {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            for value in values {
                work(black_box(value.as_bytes()));
            }
        }
        start.elapsed()
    });
    best.min().unwrap().as_secs_f64() * 1e9 / (ROUNDS * values.len()) as f64
}

#[test]
#[ignore = "a measurement"]
fn figures() {
    let bytes =
        |values: &[&str]| values.iter().map(|value| value.len()).sum::<usize>() as f64 / values.len() as f64;
    println!(
        "ns per value: benign ({:.0} bytes each), hostile ({:.0} bytes each)",
        bytes(&BENIGN),
        bytes(&HOSTILE)
    );
    let both = |name: &str, work: &mut dyn FnMut(&[u8])| {
        let (benign, hostile) = (time(&BENIGN, &mut *work), time(&HOSTILE, &mut *work));
        println!("{name:<24}{benign:8.1}{hostile:8.1}");
    };
    both("kinds of bytes", &mut |value| {
        black_box(ByteSet::of(value));
    });
    let mut out = Vec::new();
    for transformation in Transformation::ALL {
        both(transformation.name(), &mut |value| {
            black_box(transformation.apply(value, &mut out));
        });
    }
    both("harmless", &mut |value| {
        black_box(inject::harmless(value));
    });
    both("detectSQLi", &mut |value| {
        black_box(inject::sqli(value));
    });
    both("detectXSS", &mut |value| {
        black_box(inject::xss(value));
    });
    let files = MemoryFiles::default();
    let mut context = OperatorContext::default();
    for (name, argument) in [
        ("rx", r"(?i)\b(?:select|union)\b.{0,40}\bfrom\b"),
        ("pm", "script alert onerror passwd union select"),
        ("ipMatch", "10.0.0.0/8,192.168.0.0/16"),
        ("contains", "etc"),
        ("within", "GET POST PUT"),
        ("validateByteRange", "9,10,13,32-126,128-255"),
        ("validateUtf8Encoding", ""),
        ("validateUrlEncoding", ""),
    ] {
        let operator = Operator::compile(name, argument, &files).unwrap();
        both(name, &mut |value| {
            black_box(operator.matches(value, &mut context));
        });
    }
}
