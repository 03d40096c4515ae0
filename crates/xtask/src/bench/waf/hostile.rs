//! What hostile bodies cost: texts that are made to keep rules busy, by the byte beside harmless ones, and bombs through the
//! running gateway.

use std::{io::Write as _, path::Path, time::Duration};

use anyhow::{Context, Result};
use bartizan_testkit::{process::loopback, raw_request, reply};
use flate2::{Compression, write::GzEncoder};
use serde::Serialize;
use serde_json::json;

use super::{
    engine::Engine,
    requests::{Shape, post},
    servers::{Lab, Server},
};
use crate::bench::{Output, median, proc, table};

/// Bytes of each text.
const TEXT: usize = 32 << 10;

/// Each text is inspected for about so long, microseconds.
const BUDGET: f64 = 200_000.0;

/// Every bomb is sent so many times; the median counts.
const ROUNDS: usize = 7;

/// An answer to a bomb is waited for this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pieces that texts are made of, each by repetition: what rules, detectors and decoders begin at and never end.
const PIECES: &[&str] = &[
    "'",
    "''",
    "\"",
    "`",
    "/*",
    "*/",
    "--",
    "#",
    "(",
    ")",
    "((1",
    "<",
    "<a ",
    "<!--",
    "&lt;",
    "&#",
    "%25",
    "%u00",
    "\\",
    "\\u003c",
    "\\x",
    ";",
    "|",
    "&&",
    "$(",
    "${",
    "{{",
    "[",
    "../",
    "..\\",
    "=",
    "a=",
    "0x41",
    "1 or ",
    "' or '",
    "or 1=1 ",
    "union ",
    "union select ",
    "select from ",
    "a ",
    "1 ",
    "aA1 ",
    "@@",
    "javascript:",
    "data:text",
    "on",
    "onx=",
    "style=",
    "http://",
    "file:",
    "php:",
    "<?",
    "echo ",
    "cat ",
    "system(",
    "eval(",
    "/etc/",
    "c:\\",
    "cn=",
    "(|(",
    "\u{e9}",
    "\u{20ac}",
    "\u{ff1c}",
    "\t",
    "\n",
    "{\"a\":",
    "Content-Type: ",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "AAAAAAAA",
    "12345678",
    "x'y\"z<w>&v;",
];

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Nanoseconds for one byte of harmless JSON of 32 KB.
    benign_ns_per_byte: f64,
    /// The dearest first.
    texts: Vec<Text>,
    bombs: Vec<Bomb>,
}

/// One text.
#[derive(Debug, Serialize)]
struct Text {
    of: String,
    microseconds: f64,
    ns_per_byte: f64,
    times_benign: f64,
    /// How many rules told something.
    matched: usize,
}

/// One bomb.
#[derive(Debug, Serialize)]
struct Bomb {
    name: String,
    bytes: usize,
    milliseconds: f64,
    status: u16,
}

/// Measures texts in process, and bombs through the gateway, at level 1.
///
/// # Errors
/// Something does not start.
pub fn measure(lab: &Lab, rules: &Path, shapes: &[Shape]) -> Result<Report> {
    let mut engine = Engine::start(rules, 1)?;
    let benign = shapes.last().context("no shape")?;
    let (microseconds, _) = cost(&mut engine, &benign.bytes)?;
    let benign_ns_per_byte = microseconds * 1e3 / benign.bytes.len() as f64;
    let mut texts = Vec::new();
    for piece in PIECES {
        let text = piece.repeat(TEXT / piece.len());
        let request = post("application/json", "", json!({ "text": text }).to_string().as_bytes());
        let (microseconds, matched) = cost(&mut engine, &request)?;
        let ns_per_byte = microseconds * 1e3 / TEXT as f64;
        texts.push(Text {
            of: piece.escape_debug().to_string(),
            microseconds,
            ns_per_byte,
            times_benign: ns_per_byte / benign_ns_per_byte,
            matched,
        });
    }
    texts.sort_by(|a, b| b.microseconds.total_cmp(&a.microseconds));
    let gateway = lab.gateway(Some(1))?;
    let bombs = bombs().into_iter().map(|(name, request)| explode(&gateway, name, &request));
    Ok(Report { benign_ns_per_byte, texts, bombs: bombs.collect::<Result<_>>()? })
}

/// Microseconds for one inspection, and how many rules told something.
fn cost(engine: &mut Engine, request: &[u8]) -> Result<(f64, usize)> {
    let few = engine.inspect(request, 10)?;
    let rounds = (BUDGET / few.microseconds.max(50.0)).clamp(10.0, 4000.0) as usize;
    let told = engine.inspect(request, rounds)?;
    Ok((told.microseconds, told.matched.len()))
}

fn explode(gateway: &Server, name: &str, request: &[u8]) -> Result<Bomb> {
    let mut samples = Vec::new();
    let mut status = 0;
    for _ in 0..ROUNDS {
        let before = proc::run_nanoseconds(gateway.process.id())?;
        status = reply(&raw_request(loopback(gateway.port), request, PATIENCE)).status;
        samples.push((proc::run_nanoseconds(gateway.process.id())? - before) as f64 / 1e6);
    }
    anyhow::ensure!(status != 0, "{name}: the gateway does not answer: {}", gateway.process.log());
    Ok(Bomb { name: name.to_owned(), bytes: request.len(), milliseconds: median(samples), status })
}

fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let json = |body: String| post("application/json", "", body.as_bytes());
    let keys: String = (0..100_000).map(|key| format!("\"k{key}\":1,")).collect();
    let short: String = (0..12_000).map(|key| format!("\"{key:x}\":1,")).collect();
    let entities: String = (1..10)
        .map(|level| format!("<!ENTITY l{level} \"{}\">", format!("&l{};", level - 1).repeat(10)))
        .collect();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![b'0'; 64 << 20];
    let gzip = gzip.write_all(&zeros).and_then(|()| gzip.finish()).unwrap_or_default();
    let mut zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (23 - 10) << 3];
    zstd.extend([2, 0, 0x10, 0].repeat(8192));
    let brotli: Vec<u8> = BROTLI
        .as_bytes()
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    vec![
        ("JSON, 60,000 arrays deep", json("[".repeat(60_000) + &"]".repeat(60_000))),
        (
            "JSON, 100,000 arrays deep (longer than it may be)",
            json("[".repeat(100_000) + &"]".repeat(100_000)),
        ),
        ("JSON, 12,000 keys", json(format!("{{{short}\"last\":1}}"))),
        ("JSON, 100,000 keys (longer than it may be)", json(format!("{{{keys}\"last\":1}}"))),
        ("JSON, 120 KB of quotes", json(format!("{{\"a\":\"{}\"}}", "'".repeat(120_000)))),
        ("JSON, 120 KB of escaped quotes", json(format!("{{\"a\":\"{}\"}}", "\\\"".repeat(60_000)))),
        (
            "form, 30,000 pairs",
            post("application/x-www-form-urlencoded", "", "a=1&".repeat(30_000).as_bytes()),
        ),
        (
            "XML, a billion laughs",
            post(
                "text/xml",
                "",
                format!("<?xml version=\"1.0\"?><!DOCTYPE l [<!ENTITY l0 \"ha\">{entities}]><l>&l9;</l>")
                    .as_bytes(),
            ),
        ),
        ("XML, 40,000 elements deep", post("text/xml", "", "<a>".repeat(40_000).as_bytes())),
        ("gzip, 64 MiB", post("application/json", "gzip", &gzip)),
        ("zstd, 1 GiB", post("application/json", "zstd", &zstd)),
        ("brotli, 64 MiB", post("application/json", "br", &brotli)),
    ]
}

/// 64 MiB of zeros in brotli.
const BROTLI: &str = "cbffff3ff82700e2b14020f7fe8fffff7ff04f00c4611180eefd1fffffffe09f0088c30200ddfb3ffeffffc13f01\
                      10870500baf77ffcffff837f02200e0b0074effff8ffff07ff04401c1600e8defff1ffff0ffe0980382c00d0bdffcb\
                      ffff3ffc1300715800a07bff07";

impl Report {
    /// Prints it.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn print(&self, output: Output) -> Result<()> {
        if output == Output::Json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        println!(
            "texts of 32 KB in one value, the dearest of {}; harmless JSON costs {:.1} ns a byte\n",
            self.texts.len(),
            self.benign_ns_per_byte
        );
        let rows = self.texts.iter().take(12).map(|text| {
            vec![
                format!("`{}`", text.of),
                format!("{:.0}", text.microseconds),
                format!("{:.0}", text.ns_per_byte),
                format!("{:.1}", text.times_benign),
                text.matched.to_string(),
            ]
        });
        table(output, &["text of", "microseconds", "ns a byte", "x harmless", "rules"], rows.collect());
        println!("\nbombs through the gateway, medians of {ROUNDS}\n");
        let rows = self.bombs.iter().map(|bomb| {
            vec![
                bomb.name.clone(),
                bomb.bytes.to_string(),
                format!("{:.1}", bomb.milliseconds),
                bomb.status.to_string(),
            ]
        });
        table(output, &["bomb", "bytes", "CPU ms", "answered"], rows.collect());
        Ok(())
    }
}
