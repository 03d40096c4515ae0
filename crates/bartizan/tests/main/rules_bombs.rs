//! Bodies that are small to send and dear to read, against the rules of a running gateway: each ends in a verdict, soon,
//! and leaves no memory behind.

use std::{
    fs,
    io::Write as _,
    time::{Duration, Instant},
};

use bartizan_testkit::{Gateway, RawUpstream, raw_request, reply};
use flate2::{Compression, write::GzEncoder};

use crate::support::{BINARY, policy};

/// An answer is there within this, on a machine that does much else: the work itself is some milliseconds.
const SOON: Duration = Duration::from_secs(10);

/// What the process may keep of all of them, bytes.
const MAX_KEPT: u64 = 96 << 20;

/// 64 MiB of zeros in brotli.
const BROTLI: &str = "cbffff3ff82700e2b14020f7fe8fffff7ff04f00c4611180eefd1fffffffe09f0088c30200ddfb3ffeffffc13f01\
                      10870500baf77ffcffff837f02200e0b0074effff8ffff07ff04401c1600e8defff1ffff0ffe0980382c00d0bdffcb\
                      ffff3ffc1300715800a07bff07";

/// Rules that look at every value of every body.
const RULES: &str = "SecRule ARGS|ARGS_NAMES|XML:/*|XML://@* \"@rx (?i)union\\s+select\" \"id:100,phase:2,deny,status:403,log,t:none,t:urlDecodeUni,t:htmlEntityDecode\"\n\
    SecRule ARGS \"@detectSQLi\" \"id:101,phase:2,pass,log,t:none,t:utf8toUnicode,t:urlDecodeUni\"\n\
    SecRule ARGS \"@detectXSS\" \"id:102,phase:2,pass,log,t:none,t:jsDecode\"\n";

/// A body, what it says that it is, and the status that it ends with.
struct Bomb {
    name: &'static str,
    content_type: &'static str,
    coding: &'static str,
    body: Vec<u8>,
    status: u16,
}

fn bombs() -> Vec<Bomb> {
    let json = |name, body: String, status| Bomb {
        name,
        content_type: "application/json",
        coding: "",
        body: body.into_bytes(),
        status,
    };
    let coded =
        |name, coding, body, status| Bomb { name, content_type: "application/json", coding, body, status };
    let keys: String = (0..100_000).map(|key| format!("\"k{key}\":1,")).collect();
    let entities: String = (1..10)
        .map(|level| format!("<!ENTITY l{level} \"{}\">", format!("&l{};", level - 1).repeat(10)))
        .collect();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&vec![b'0'; 64 << 20]).unwrap();
    let mut zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (23 - 10) << 3];
    zstd.extend([2, 0, 0x10, 0].repeat(8192));
    let brotli: Vec<u8> = BROTLI.bytes().filter(u8::is_ascii_hexdigit).collect();
    let brotli: Vec<u8> = brotli
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    vec![
        json("100,000 arrays deep", "[".repeat(100_000) + &"]".repeat(100_000), 400),
        json("100,000 objects deep", "{\"a\":".repeat(100_000) + "1" + &"}".repeat(100_000), 400),
        json("100,000 keys", format!("{{{keys}\"last\":1}}"), 400),
        json("escaped quotes", format!("{{\"a\":\"{}\"}}", "\\\"".repeat(60_000)), 200),
        json("quotes of SQL", format!("{{\"a\":\"{}\"}}", "'".repeat(120_000)), 200),
        json("comments", format!("{{\"a\":\"{}\"}}", "/*".repeat(60_000)), 200),
        json("angle brackets", format!("{{\"a\":\"{}\"}}", "<a ".repeat(40_000)), 200),
        json("percent signs", format!("{{\"a\":\"{}\"}}", "%u0".repeat(40_000)), 200),
        Bomb {
            name: "a billion laughs",
            content_type: "text/xml",
            coding: "",
            body: format!("<?xml version=\"1.0\"?><!DOCTYPE l [<!ENTITY l0 \"ha\">{entities}]><l>&l9;</l>")
                .into_bytes(),
            status: 400,
        },
        Bomb {
            name: "100,000 elements deep",
            content_type: "text/xml",
            coding: "",
            body: "<a>".repeat(100_000).into_bytes(),
            status: 400,
        },
        Bomb {
            name: "100,000 pairs",
            content_type: "application/x-www-form-urlencoded",
            coding: "",
            body: "a=1&".repeat(100_000).into_bytes(),
            status: 400,
        },
        coded("gzip, 64 MiB", "gzip", gzip.finish().unwrap(), 413),
        coded("zstd, 1 GiB", "zstd", zstd, 413),
        coded("brotli, 64 MiB", "br", brotli, 413),
    ]
}

#[test]
fn bombs_end_in_a_verdict_soon_and_leave_no_memory_behind() {
    let upstream = RawUpstream::echo().unwrap();
    let guards = "    guards:\n      request_limits: { max_body: 4MiB }\n      waf: { rules: [\"file:own.conf\"], max_body: 2MiB }\n";
    let gateway = Gateway::with_config(BINARY, &policy(&upstream.url(), guards), |dir| {
        fs::write(dir.join("own.conf"), RULES)?;
        Ok(())
    })
    .unwrap();
    let before = gateway.resident().unwrap();
    for round in 0..3 {
        for bomb in bombs() {
            let coding = match bomb.coding {
                "" => String::new(),
                coding => format!("Content-Encoding: {coding}\r\n"),
            };
            let head = format!(
                "POST /bomb HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nContent-Type: {}\r\n{coding}Content-Length: {}\r\n\r\n",
                bomb.content_type,
                bomb.body.len()
            );
            let began = Instant::now();
            let answer = reply(&raw_request(gateway.address, &[head.as_bytes(), &bomb.body].concat(), SOON));
            assert_eq!(
                answer.status,
                bomb.status,
                "{}: {}",
                bomb.name,
                String::from_utf8_lossy(&answer.body)
            );
            assert!(began.elapsed() < SOON, "{}, round {round}", bomb.name);
        }
    }
    let kept = gateway.resident().unwrap().saturating_sub(before);
    assert!(kept < MAX_KEPT, "{} MB", kept >> 20);
    // It serves as before.
    assert_eq!(gateway.get("/", &[]).status, 200);
}
