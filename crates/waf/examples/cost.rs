//! What inspecting a request costs: `cargo run --release -p bartizan-waf --example cost -- FOLDER [LEVEL [NAME]]`, where FOLDER has
//! `crs-setup.conf.example` and `rules` of the Core Rule Set. Microseconds of one core, the best of several rounds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a measurement"
)]

use std::{fmt::Write as _, fs, path::Path, sync::Arc, time::Instant};

use bartizan_waf::{
    engine::{Context, Inspection, Program, RequestHead, Worker},
    files::{Files, matches},
    lang::Loader,
};

struct Folder(String);

impl Files for Folder {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        fs::read(Path::new(&self.0).join(path)).map(Into::into).map_err(|error| error.to_string())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let folder = Path::new(pattern).parent().unwrap();
        let mut found: Vec<String> = fs::read_dir(Path::new(&self.0).join(folder))
            .map_err(|error| error.to_string())?
            .map(|entry| folder.join(entry.unwrap().file_name()).to_string_lossy().into_owned())
            .filter(|name| matches(pattern.as_bytes(), name.as_bytes()))
            .collect();
        found.sort();
        Ok(found)
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("the folder of the rule set");
    let level = arguments.next().unwrap_or_else(|| "1".to_owned());
    let only = arguments.next();
    let began = Instant::now();
    let files = Folder(folder);
    let mut loader = Loader::new(&files);
    let setup = format!("SecAction \"id:9001,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level={level}\"");
    loader.include("crs-setup.conf.example").text("setup", &setup).include("rules/*.conf");
    let rules = loader.finish().unwrap_or_else(|errors| panic!("{errors}")).rules;
    let fast = Program::new(rules.clone());
    println!("load: {:?}", began.elapsed());
    let plain = Program::plain(rules);
    for (name, target, body) in workloads() {
        if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let (best, told) =
            measure(&fast, &target, &body, std::env::var("ROUNDS").map_or(2000, |r| r.parse().unwrap()));
        if std::env::var_os("FAST").is_some() {
            println!("{name}: {best:.1}");
            continue;
        }
        let (slow, plainly) = measure(&plain, &target, &body, 20);
        assert_eq!(told, plainly);
        println!("{name}: {best:.1} us (plain {slow:.0} us), rules told: {told:?}");
    }
}

fn workloads() -> Vec<(&'static str, String, String)> {
    let mut realistic = "/shop/search?".to_owned();
    for (number, value) in WORDS.iter().cycle().take(27).enumerate() {
        write!(realistic, "{}field{number}={}", if number > 0 { "&" } else { "" }, value.replace(' ', "+"))
            .unwrap();
    }
    let json = |bytes: usize| {
        let mut text = "{\"items\":[".to_owned();
        let mut number = 0usize;
        while text.len() < bytes {
            let comma = if number > 0 { "," } else { "" };
            let (a, b) = (WORDS[number % WORDS.len()], WORDS[(number * 7 + 3) % WORDS.len()]);
            write!(text, "{comma}{{\"id\":{number},\"name\":\"{a}\",\"note\":\"{b} {number}\",\"ok\":true}}")
                .unwrap();
            number += 1;
        }
        text + "]}"
    };
    vec![
        ("small GET", "/api/items/42?page=2".to_owned(), String::new()),
        ("realistic GET (27 values)", realistic, String::new()),
        ("2 KB JSON", "/api/orders".to_owned(), json(2 << 10)),
        ("32 KB JSON", "/api/orders".to_owned(), json(32 << 10)),
    ]
}

const WORDS: [&str; 13] = [
    "red shoes",
    "42",
    "Anna Berg",
    "2026-03-14",
    "anna.berg@example.com",
    "Lindenweg 12",
    "true",
    "in stock",
    "price ascending",
    "9f1c2a77-5d0e-4b7a-9c1d-3f6e8a2b4c5d",
    "size 38 wide fit",
    "de-DE",
    "a longer note that somebody typed about the delivery",
];

fn measure(program: &Arc<Program>, target: &str, body: &str, rounds: usize) -> (f64, Vec<u64>) {
    let length = body.len().to_string();
    let mut headers: Vec<(&[u8], &[u8])> = vec![
        (b"Host", b"shop.example"),
        (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        (b"Accept", b"application/json, text/plain, */*"),
        (b"Accept-Language", b"de,en;q=0.5"),
        (b"Accept-Encoding", b"gzip, deflate, br"),
        (b"Connection", b"keep-alive"),
        (b"Cookie", b"session=8f14e45fceea167a5a36dedd4bea2543; theme=dark"),
    ];
    if !body.is_empty() {
        headers.push((b"Content-Type", b"application/json"));
        headers.push((b"Content-Length", length.as_bytes()));
    }
    let address = "192.0.2.1:443".parse().unwrap();
    let head = RequestHead {
        method: if body.is_empty() { b"GET" } else { b"POST" },
        target: target.as_bytes(),
        version: b"HTTP/1.1",
        headers: &headers,
        client: address,
        server: address,
    };
    let mut worker = Worker::new();
    let mut best = f64::MAX;
    let mut told = Vec::new();
    for _ in 0..5 {
        let began = processor_time();
        for _ in 0..rounds {
            let context = Context { unique_id: "a1b2".into(), now: 1_700_000_000_000, collections: None };
            let mut inspection = Inspection::new(program.clone(), context);
            inspection.request_head(&head, &mut worker);
            inspection.request_body(body.as_bytes(), false, &mut worker);
            inspection.finish(&mut worker);
            told = inspection.findings().iter().map(|finding| finding.rule).collect();
        }
        best = best.min((processor_time() - began) / rounds as f64);
    }
    (best, told)
}

/// Microseconds that this thread ran so far, whoever else uses the machine.
fn processor_time() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e3
}
