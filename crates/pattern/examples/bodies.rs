//! What reading bodies costs: bytes per second of usual ones, and milliseconds of those that are made to cost.
//!
//! Run it optimized: `cargo run --release -p bartizan-pattern --example bodies [NAME]`, where only what has `NAME` in
//! its name is measured.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for developers")]

use std::{fmt::Write as _, hint::black_box, io::Write as _, time::Instant};

use bartizan_pattern::body::{
    BodyLimits, Buffers,
    json::{JsonLimits, Tape, TapeBuffer},
    read,
};
use flate2::{Compression, write::GzEncoder};

/// The fastest of many runs, in seconds.
fn fastest(runs: usize, mut run: impl FnMut()) -> f64 {
    (0..runs).fold(f64::INFINITY, |best, _| {
        let start = Instant::now();
        run();
        best.min(start.elapsed().as_secs_f64())
    })
}

/// Whether this is to be measured.
fn wanted(name: &str) -> bool {
    std::env::args().nth(1).is_none_or(|part| name.contains(&part))
}

fn usual(name: &str, content_type: &str, body: &[u8]) {
    if !wanted(name) {
        return;
    }
    let limits = BodyLimits { bytes: usize::MAX, ..BodyLimits::default() };
    let mut buffers = Buffers::new();
    let seconds = fastest(200, || {
        black_box(read(Some(content_type.as_bytes()), None, black_box(body), &limits, &mut buffers));
    });
    let reading = read(Some(content_type.as_bytes()), None, body, &limits, &mut buffers);
    let outcome = reading.reason().map_or("read", |reason| reason.code());
    let (micros, rate) = (seconds * 1e6, body.len() as f64 / seconds / 1e6);
    println!("{name:<34} {:>9} bytes {micros:>10.1} us {rate:>8.0} MB/s  {outcome}", body.len());
}

fn hostile(name: &str, content_type: &str, coding: &str, body: &[u8]) {
    if !wanted(name) {
        return;
    }
    let limits = BodyLimits::default();
    let mut buffers = Buffers::new();
    // Each run begins without memory: the first body of a worker is the dearest.
    let seconds = fastest(5, || {
        buffers = Buffers::new();
        black_box(read(
            Some(content_type.as_bytes()),
            Some(coding.as_bytes()),
            black_box(body),
            &limits,
            &mut buffers,
        ));
    });
    let reading = read(Some(content_type.as_bytes()), Some(coding.as_bytes()), body, &limits, &mut buffers);
    let outcome = reading.reason().map_or("read", |reason| reason.code());
    println!("{name:<34} {:>9} bytes {:>10.2} ms  {outcome}", body.len(), seconds * 1e3);
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..text.len()).step_by(2).filter_map(digit).collect()
}

fn orders(count: usize) -> String {
    let mut out = String::from("{\"orders\":[");
    for number in 0..count {
        let comma = if number == 0 { "" } else { "," };
        write!(
            out,
            "{comma}{{\"id\":{number},\"customer\":\"c-{:05}\",\"email\":\"user{number}@example.com\",\"paid\":true,\
             \"amount\":{}.{:02},\"note\":\"Leave the parcel with the neighbour, please\",\"items\":[{{\"sku\":\"A-{}\",\
             \"quantity\":{},\"tags\":[\"new\",\"fragile\"]}}],\"coupon\":null}}",
            number * 7 % 99_999,
            number % 900,
            number % 100,
            number % 77,
            number % 9
        )
        .unwrap();
    }
    out + "]}"
}

fn main() {
    let (small, large) = (orders(8), orders(2000));
    usual("JSON, 2 KB", "application/json", small.as_bytes());
    usual("JSON, 32 KB", "application/json", orders(125).as_bytes());
    usual("JSON, 500 KB", "application/json", large.as_bytes());
    let pretty =
        serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&large).unwrap()).unwrap();
    usual("JSON, 500 KB, indented", "application/json", pretty.as_bytes());
    let texts = format!("[{}\"\"]", format!("\"{}\",", "a sentence of plain words. ".repeat(40)).repeat(400));
    usual("JSON, long strings", "application/json", texts.as_bytes());
    let foreign = format!("[{}\"\"]", "\"Grüße, łódź, 東京都千代田区\",".repeat(10_000));
    usual("JSON, not ASCII", "application/json", foreign.as_bytes());
    if wanted("(serde_json::Value, the 500 KB)") {
        let seconds = fastest(50, || {
            black_box(serde_json::from_slice::<serde_json::Value>(black_box(large.as_bytes())).unwrap());
        });
        println!(
            "{:<34} {:>9} bytes {:>10.1} us {:>8.0} MB/s",
            "(serde_json::Value, the 500 KB)",
            large.len(),
            seconds * 1e6,
            large.len() as f64 / seconds / 1e6
        );
    }
    usual(
        "form, 100 pairs",
        "application/x-www-form-urlencoded",
        "name=some+value%20here&".repeat(100).as_bytes(),
    );
    let part = "--x\r\nContent-Disposition: form-data; name=\"field\"\r\n\r\nsome value\r\n";
    usual(
        "multipart, 100 fields",
        "multipart/form-data; boundary=x",
        (part.repeat(100) + "--x--\r\n").as_bytes(),
    );
    let file = format!(
        "--x\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n{}\r\n--x--\r\n",
        "line of a file\n".repeat(60_000)
    );
    usual("multipart, a file", "multipart/form-data; boundary=x", file.as_bytes());
    let xml = format!(
        "<orders>{}</orders>",
        "<order id=\"17\"><sku>A-1</sku><note>fine &amp; dandy</note></order>".repeat(1000)
    );
    usual("XML, 65 KB", "application/xml", xml.as_bytes());

    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let json = "application/json";
    let form = "application/x-www-form-urlencoded";
    println!();
    hostile("JSON, 100,000 arrays deep", json, "", "[".repeat(100_000).as_bytes());
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    hostile("JSON, 10,000 arrays deep", json, "", deep.as_bytes());
    hostile("JSON, 1e309", json, "", b"[1e309]");
    hostile("JSON, a number of 400 digits", json, "", format!("[{}]", "1".repeat(400)).as_bytes());
    let twice: String = (0..9_999).map(|number| format!("\"key{number}\":1,")).collect();
    hostile("JSON, the last of 10,000 keys twice", json, "", format!("{{{twice}\"key0\":1}}").as_bytes());
    let half = "a".repeat(1 << 19);
    let broken = [b"[\"", half.as_bytes(), b"\xff", half.as_bytes(), b"\"]"].concat();
    hostile("JSON, 1 MiB with one bad byte", json, "", &broken);
    hostile("JSON, gzip, 1 GiB of spaces", json, "gzip", &gzip(&vec![b' '; 1 << 30]));
    let keys: String = (0..100_000).map(|number| format!("\"key{number}\":1,")).collect();
    hostile("JSON, 100,000 keys", json, "", format!("{{{keys}\"last\":1}}").as_bytes());
    hostile("JSON, 1 MiB of quotes", json, "", format!("[{}\"\"]", "\"\",".repeat(349_000)).as_bytes());
    hostile("JSON, 1 MiB of escaped quotes", json, "", format!("\"{}\"", "\\\"".repeat(524_000)).as_bytes());
    hostile(
        "JSON, 1 MiB of small objects",
        json,
        "",
        format!("[{}0]", "{\"\":0,\"a\":0},".repeat(80_000)).as_bytes(),
    );
    hostile(
        "XML, 1 MiB of elements",
        "text/xml",
        "",
        format!("<a>{}</a>", "<b/>".repeat(262_000)).as_bytes(),
    );
    let many: String = (0..100_000).map(|number| format!("a{number}='' ")).collect();
    hostile("XML, 100,000 attributes", "text/xml", "", format!("<a {many}/>").as_bytes());
    hostile("XML, 100,000 elements deep", "text/xml", "", "<a>".repeat(100_000).as_bytes());
    let laughs: String = (1..30)
        .map(|level| format!("<!ENTITY l{level} \"{}\">", format!("&l{};", level - 1).repeat(10)))
        .collect();
    hostile(
        "XML, a billion laughs",
        "text/xml",
        "",
        format!("<!DOCTYPE l [{laughs}]><l>&l29;</l>").as_bytes(),
    );
    hostile("gzip, 1 GiB of zeros", "text/plain", "gzip", &gzip(&vec![0; 1 << 30]));
    hostile("gzip in gzip", "text/plain", "gzip, gzip", &gzip(&gzip(&vec![0; 1 << 28])));
    hostile("gzip, 32 empty members", "text/plain", "gzip", &gzip(b"").repeat(32));
    // Eight blocks of deflate that stand for nothing, with code tables that take long to build.
    let tables = unhex(
        "04e00182244992244922b1a87964f5ecddff9f0b80003c409024499224492416358fac9ebdfbff73011080070892244992\
         2489c4a2e691d5b377ff7f2e0002f0004192244992249158d43cb27af6eeffcf0540001e20489224499224128b9a4756cf\
         defdffb90008c003044992244992446251f3c8ead9bbff3f1700017880204992244992482c6a1e593d7bf7ffe70220000f\
         102449922449128945cd23ab67effeff5c00",
    );
    let head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".as_slice();
    hostile("gzip, 1 MiB of code tables", "text/plain", "gzip", &[head, &tables.repeat(6355)].concat());
    // 64 MiB of zeros, as the reference encoder writes them.
    let brotli = unhex(
        "cbffff3ff82700e2b14020f7fe8fffff7ff04f00c4611180eefd1fffffffe09f0088c30200ddfb3ffeffffc13f0110870500baf77ffcffff83\
         7f02200e0b0074effff8ffff07ff04401c1600e8defff1ffff0ffe0980382c00d0bdffcbffff3ffc1300715800a07bff07",
    );
    hostile("brotli, 64 MiB of zeros", "text/plain", "br", &brotli);
    let mut zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (23 - 10) << 3];
    zstd.extend([2, 0, 0x10, 0].repeat(8192));
    hostile("zstd, 1 GiB of zeros", "text/plain", "zstd", &zstd);
    let mut tiny = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0];
    tiny.extend([0x0a, 0, 0, b'x'].repeat(1 << 18));
    hostile("zstd, 1 MiB of one-byte blocks", "text/plain", "zstd", &tiny);
    hostile("form, 100,000 pairs", form, "", "a=1&".repeat(100_000).as_bytes());
    hostile("form, 1 MiB of percent signs", form, "", "%".repeat(1 << 20).as_bytes());
    hostile(
        "multipart, 100,000 parts",
        "multipart/form-data; boundary=x",
        "",
        part.repeat(100_000).get(..4 << 20).unwrap().as_bytes(),
    );
    let dashes = format!("--x\r\n\r\n{}\r\n--x--\r\n", "\n--".repeat(349_000));
    hostile("multipart, 1 MiB of dashes", "multipart/mixed; boundary=x", "", dashes.as_bytes());
    let almost = format!("--x\r\n\r\n{}\r\n--x--\r\n", "--x".repeat(349_000));
    hostile("multipart, 1 MiB of boundaries", "multipart/mixed; boundary=x", "", almost.as_bytes());
    hostile("UTF-16, 1 MiB", "text/plain; charset=utf-16le", "", &[0x3c, 0].repeat(1 << 19));

    // Without limits but depth: the work itself stays linear.
    let limits = JsonLimits { depth: u32::MAX, nodes: u32::MAX, keys: u32::MAX, ..JsonLimits::default() };
    let mut tape = TapeBuffer::new();
    for (name, body) in [
        ("100,000 arrays deep, unlimited", "[".repeat(100_000) + &"]".repeat(100_000)),
        ("100,000 keys, unlimited", format!("{{{keys}\"last\":1}}")),
    ] {
        let seconds = fastest(5, || {
            tape = TapeBuffer::new();
            black_box(Tape::parse(body.as_bytes(), &limits, &mut tape).unwrap());
        });
        println!("{name:<34} {:>9} bytes {:>10.2} ms", body.len(), seconds * 1e3);
    }
}
