//! What inspecting a request costs: `cargo run --release -p bartizan-waf --example cost -- FOLDER [LEVEL [NAME]]`, where
//! FOLDER has `crs-setup.conf.example` and `rules` of the Core Rule Set. Microseconds of one core, the best of several
//! rounds: of one request again and again, and of requests whose every value is new. `--adversarial` in place of NAME
//! measures texts made to be costly, per byte.
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

/// The allocator of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    let read = began.elapsed();
    let fast = Program::new(rules.clone());
    println!("load: {:?}, of which reading {read:?}", began.elapsed());
    if only.as_deref() == Some("--adversarial") {
        adversarial(&fast);
        return;
    }
    let plain = Program::plain(rules);
    for workload in workloads() {
        if only.as_ref().is_some_and(|only| !workload.name.starts_with(only.as_str())) {
            continue;
        }
        let rounds = if workload.body { 40 } else { 400 };
        let fresh: Vec<Request> = (1..=rounds).map(|number| workload.request(number)).collect();
        let same = vec![workload.request(0); rounds as usize];
        let (again, told) = measure(&fast, &same);
        let (new, _) = measure(&fast, &fresh);
        let (slow, plainly) = measure(&plain, &same[..10]);
        assert_eq!(told, plainly);
        println!(
            "{}: {again:.1} us again, {new:.1} us new (plain {slow:.0} us), rules told: {told:?}",
            workload.name
        );
    }
}

struct Workload {
    name: &'static str,
    body: bool,
    text: String,
}

#[derive(Clone)]
struct Request {
    target: String,
    body: String,
    cookie: String,
}

impl Workload {
    /// The same for 0; another text of the same shape for each other number.
    fn request(&self, number: u64) -> Request {
        let text = varied(&self.text, number);
        let cookie = varied("8f14e45fceea167a5a36dedd4bea2543", number);
        Request {
            target: if self.body { "/api/orders".to_owned() } else { text.clone() },
            body: if self.body { text } else { String::new() },
            cookie: format!("session={cookie}; theme=dark"),
        }
    }
}

/// The text with other digits, and other letters in its values, which stand behind `=`, `/` or `:`.
fn varied(text: &str, number: u64) -> String {
    if number == 0 {
        return text.to_owned();
    }
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let (mut is_value, mut escaped) = (!text.contains(['=', ':']), 0);
    let vary = |letter: char| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let any = |from: u8, of: u64| char::from(from + u8::try_from((state >> 33) % of).unwrap());
        match letter {
            '=' | ':' => is_value = true,
            '&' | ',' | '{' => is_value = false,
            '%' => escaped = 3,
            _ => {}
        }
        escaped = i32::max(0, escaped - 1);
        match letter {
            _ if !is_value || escaped > 0 => letter,
            '0'..='9' => any(b'1', 9),
            // Literals stay what they are.
            't' | 'r' | 'u' | 'e' if text.starts_with('{') => letter,
            'a'..='z' => any(b'a', 26),
            'A'..='Z' => any(b'A', 26),
            _ => letter,
        }
    };
    text.chars().map(vary).collect()
}

fn workloads() -> Vec<Workload> {
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
        Workload { name: "small GET", body: false, text: "/api/items/42?page=2".to_owned() },
        Workload { name: "realistic GET (27 values)", body: false, text: realistic },
        Workload { name: "2 KB JSON", body: true, text: json(2 << 10) },
        Workload { name: "32 KB JSON", body: true, text: json(32 << 10) },
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

/// Microseconds per request, the best of several rounds, and the rules that the last one told of.
fn measure(program: &Arc<Program>, requests: &[Request]) -> (f64, Vec<u64>) {
    let mut worker = Worker::new();
    let mut best = f64::MAX;
    let mut told = Vec::new();
    for _ in 0..rounds() {
        let began = processor_time();
        for request in requests {
            told = rules_told(&inspect(program, request, &mut worker));
        }
        best = best.min((processor_time() - began) / requests.len() as f64);
    }
    (best, told)
}

/// How often the same requests are measured.
fn rounds() -> usize {
    std::env::var("ROUNDS").map_or(20, |rounds| rounds.parse().expect("a number"))
}

fn rules_told(inspection: &Inspection) -> Vec<u64> {
    inspection.findings().iter().map(|finding| finding.rule).collect()
}

fn inspect(program: &Arc<Program>, request: &Request, worker: &mut Worker) -> Inspection {
    let length = request.body.len().to_string();
    let mut headers: Vec<(&[u8], &[u8])> = vec![
        (b"Host", b"shop.example"),
        (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        (b"Accept", b"application/json, text/plain, */*"),
        (b"Accept-Language", b"de,en;q=0.5"),
        (b"Accept-Encoding", b"gzip, deflate, br"),
        (b"Connection", b"keep-alive"),
        (b"Cookie", request.cookie.as_bytes()),
    ];
    if !request.body.is_empty() {
        headers.push((
            b"Content-Type",
            if request.body.starts_with('{') {
                b"application/json"
            } else {
                b"application/x-www-form-urlencoded"
            },
        ));
        headers.push((b"Content-Length", length.as_bytes()));
    }
    let address = "192.0.2.1:443".parse().unwrap();
    let head = RequestHead {
        method: if request.body.is_empty() { b"GET" } else { b"POST" },
        target: request.target.as_bytes(),
        version: b"HTTP/1.1",
        headers: &headers,
        client: address,
        server: address,
        proved: &[],
    };
    let context = Context { unique_id: "a1b2".into(), now: 1_700_000_000_000, collections: None };
    let mut inspection = Inspection::new(program.clone(), context);
    inspection.request_head(&head, worker);
    inspection.request_body(request.body.as_bytes(), false, worker);
    inspection.finish(worker);
    inspection
}

/// Microseconds that this thread ran so far, whoever else uses the machine.
fn processor_time() -> f64 {
    // Under a profiler that has no such clock nothing is timed.
    if std::env::var_os("UNTIMED").is_some() {
        return 0.0;
    }
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// Texts of 32 KB that are to cost as much as can be, as one value and as many.
fn adversarial(program: &Arc<Program>) {
    const BYTES: usize = 32 << 10;
    let benign = workloads().pop().unwrap().request(0);
    let (cost, _) = measure(program, std::slice::from_ref(&benign));
    let per_byte = cost / benign.body.len() as f64;
    println!("benign: {:.1} ns per byte", per_byte * 1e3);
    let (mut worst, mut dearest): (f64, f64) = (0.0, 0.0);
    let pieces = PIECES.iter().map(|piece| (piece.to_string(), piece.repeat(BYTES / piece.len())));
    let mixed = (1..=MIXTURES).map(|seed| mixture(seed, BYTES));
    for (name, text) in pieces.chain(mixed) {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let many: String = (0..900)
            .map(|number| {
                format!(
                    "{}a{number}={}",
                    if number > 0 { "&" } else { "" },
                    &escaped[..(BYTES / 900) / 3 * 3]
                )
            })
            .collect();
        for (kind, body) in [
            ("one JSON value", format!("{{\"a\":\"{quoted}\"}}")),
            ("one value of a form", format!("a={escaped}")),
            ("900 values of a form", many),
        ] {
            let request = Request { body, ..benign.clone() };
            let (cost, told) = measure(program, std::slice::from_ref(&request));
            let ratio = cost / request.body.len() as f64 / per_byte;
            let units = inspect(program, &request, &mut Worker::new()).work().done() as f64;
            (worst, dearest) = (worst.max(ratio), dearest.max(cost * 1e3 / units));
            println!(
                "{:>6.2} times: {kind} of `{}`, {} rules told, {:.1} million units of work, {:.2} ns each",
                ratio,
                name.escape_debug(),
                told.len(),
                units / 1e6,
                cost * 1e3 / units
            );
        }
    }
    println!("worst: {worst:.1} times the benign cost per byte, {dearest:.2} ns for a unit of work");
}

/// How many mixtures of pieces there are.
const MIXTURES: u64 = 40;

/// A text of some pieces in random order, the same for the same number.
fn mixture(seed: u64, bytes: usize) -> (String, String) {
    let mut state = seed;
    let mut next = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    let count = 2 + next(11);
    let pieces: Vec<&str> = (0..count).map(|_| PIECES[next(PIECES.len())]).collect();
    let mut text = String::new();
    while text.len() < bytes {
        text.push_str(pieces[next(count)]);
        if next(8) == 0 {
            text.push(char::from(b'a' + u8::try_from(next(26)).unwrap()));
        }
    }
    text.truncate(bytes);
    (format!("mixture {seed}: {}", pieces.join("|")), text)
}

/// What texts are made of: quotes, comments, keywords, brackets, escapes, near misses of expressions.
const PIECES: [&str; 44] = [
    "'",
    "\"",
    "\\",
    "(",
    "/*",
    "--",
    "#",
    "<",
    "<a ",
    "=",
    "1=1 ",
    "' or '1'='1",
    "union select ",
    "select/**/",
    "@@version",
    "`",
    "$(",
    "../",
    "%25",
    "&#x3c;",
    "\\u003c",
    "0x41",
    "eval(",
    "a b ",
    "; ",
    "| ",
    "&&",
    "${",
    "{{",
    "<?",
    "cat ",
    "/etc/",
    "javascript:",
    "onx=",
    "or 1=1 ",
    "x'y\"z<w>&v;",
    "c:\\",
    "(|(",
    "http://",
    "system(",
    "\n",
    "e",
    "o'",
    "[",
];
