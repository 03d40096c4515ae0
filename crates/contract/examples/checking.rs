//! What checking traffic by a contract costs: `cargo run --release -p bartizan-contract --example checking [-- NAME]`.
//!
//! Microseconds of one core, the best of many rounds: of the parse alone, and of everything that is done beside it. The
//! 2 KB request is an order with nested objects, lists, formats, patterns and a `discriminator`; the 100 KB responses are a
//! page of such orders, the same with a member in each that nobody promised, and a table of short members. With NAME only
//! what begins so is measured.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a measurement"
)]

use std::{fmt::Write as _, hint::black_box};

use bartizan_contract::{
    Description,
    check::{Checks, RequestHead, compile},
    shape::Direction,
    yaml::Budget,
};
use bartizan_pattern::body::{BodyLimits, Buffers, read};
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// The allocator of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONTRACT: &str = include_str!("orders.yaml");
const JSON: &[u8] = b"application/json";

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    let (contract, _) =
        Description::read_one(CONTRACT.as_bytes(), "orders.yaml", Budget::CONTRACT).expect("it can be read");
    let checks = compile(&contract).expect("it can be compiled");
    if "request".starts_with(&only) {
        request(&checks);
    }
    if "response".starts_with(&only) {
        response(&checks);
    }
}

/// One order after another is sent.
fn request(checks: &Checks) {
    let body = order(7, 6);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("idempotency-key", HeaderValue::from_static("1f0a7c52-1d6b-4b7e-9b3f-6a4f3d2c1b0a"));
    headers.insert("x-channel", HeaderValue::from_static("web"));
    let head = RequestHead {
        path: "/shops/3d6f4e9a-5b1c-4c8e-8f7a-2b9d0e1f3a4c/orders",
        query: Some("currency=EUR&dry_run=false&priority=3&tag=gift&tag=fragile"),
        headers: &headers,
    };
    let check = checks.operation("POST /shops/{shop}/orders").unwrap();
    let limits = BodyLimits::default();
    let mut buffers = Buffers::default();
    let parse = best(|| {
        black_box(read(Some(JSON), None, black_box(body.as_bytes()), &limits, &mut buffers));
    });
    let reading = read(Some(JSON), None, body.as_bytes(), &limits, &mut buffers);
    let of_head = best(|| {
        let found = check.head(checks, black_box(&head));
        assert!(found.violations.is_empty() && found.undeclared.is_empty(), "{found:?}");
    });
    let of_body = best(|| {
        let choice = check.media(&headers).unwrap();
        let found = checks.body(&choice, black_box(&reading), Direction::Request);
        assert!(found.violations.is_empty() && found.members.is_empty(), "{found:?}");
        black_box(found);
    });
    println!(
        "request, JSON of {} bytes: parse {parse:.2} us; beside it {:.2} us: parameters {of_head:.2}, body {of_body:.2}",
        body.len(),
        of_head + of_body
    );
}

/// Pages are answered.
fn response(checks: &Checks) {
    let page = |item: &dyn Fn(usize) -> String| {
        let mut body = String::from("{\"items\":[");
        let mut number = 0;
        while body.len() < 100_000 {
            if number > 0 {
                body.push(',');
            }
            body.push_str(&item(number));
            number += 1;
        }
        body.push_str("],\"next\":\"cursor-2\"}");
        (body, number)
    };
    let (orders, count) = page(&|number| order(number, 4));
    judge(checks, "orders", &orders, "GET /shops/{shop}/orders", 0);
    let excess = orders.replace("{\"reference\"", "{\"margin\":17.5,\"reference\"");
    judge(checks, "orders with a member too many", &excess, "GET /shops/{shop}/orders", count);
    let (rows, _) = page(&|number| {
        format!(
            "{{\"id\":{number},\"sku\":\"AB-{number:05}\",\"stock\":{},\"price\":{}.5,\"active\":true,\"bin\":\"C{}\",\"unit\":\"kg\",\"note\":null}}",
            number * 3,
            number % 90,
            number % 7
        )
    });
    judge(checks, "rows", &rows, "GET /shops/{shop}/stock", 0);
}

fn judge(checks: &Checks, name: &str, body: &str, label: &str, members: usize) {
    let headers =
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let check = checks.operation(label).unwrap();
    let limits = BodyLimits::default();
    let mut buffers = Buffers::default();
    let parse = best(|| {
        black_box(read(Some(JSON), None, black_box(body.as_bytes()), &limits, &mut buffers));
    });
    let reading = read(Some(JSON), None, body.as_bytes(), &limits, &mut buffers);
    let beside = best(|| {
        let found = check.response_head(checks, StatusCode::OK, black_box(&headers));
        let choice = found.media.unwrap();
        let found = checks.body(&choice, black_box(&reading), Direction::Response);
        assert!(found.violations.is_empty() && found.members.len() == members, "{found:?}");
        black_box(found);
    });
    println!("response, {name}, JSON of {} bytes: parse {parse:.1} us; beside it {beside:.1} us", body.len());
}

/// An order with so many lines.
fn order(number: usize, lines: usize) -> String {
    let id = |salt: usize| format!("{:08x}-1d6b-4b7e-9b3f-{:012x}", number * 31 + salt, number * 97 + salt);
    let mut text = format!(
        concat!(
            "{{\"reference\":\"ORD-{number:06}\",\"placed_at\":\"2026-03-{day:02}T09:{minute:02}:30Z\",\"gift\":false,",
            "\"customer\":{{\"id\":\"{customer}\",\"email\":\"ada.{number}@example.com\",\"name\":\"Ada Example {number}\",",
            "\"phone\":\"+4930{number:07}\",\"locale\":\"de-DE\"}},",
            "\"billing\":{{\"street\":\"Long Street {number}\",\"city\":\"Berlin\",\"postcode\":\"10{number:03}\",\"country\":\"DE\"}},",
            "\"shipping\":{{\"street\":\"Harbour Road {number}, third floor, at the back\",\"city\":\"Hamburg\",\"postcode\":\"20{number:03}\",\"country\":\"DE\"}},",
            "\"payment\":{{\"kind\":\"card\",\"token\":\"tok_{number:020}\",\"brand\":\"visa\",\"expires\":\"2029-11\"}},",
            "\"lines\":["
        ),
        number = number,
        day = number % 27 + 1,
        minute = number % 60,
        customer = id(1),
    );
    for line in 0..lines {
        let _ = write!(
            text,
            concat!(
                "{}{{\"id\":\"{}\",\"sku\":\"AB-{:05}-X{line}\",\"title\":\"A thing of some use, number {line}\",",
                "\"quantity\":{},\"price\":{{\"amount\":{}.{:02},\"currency\":\"EUR\"}},\"tax_rate\":0.19,",
                "\"tags\":[\"new\",\"blue\",\"sale\"],\"weight_grams\":{}}}"
            ),
            if line > 0 { "," } else { "" },
            id(line + 10),
            number * 7 + line,
            line + 1,
            line * 10 + 9,
            number % 100,
            120 + line * 35,
            line = line
        );
    }
    let _ = write!(
        text,
        "],\"total\":{{\"amount\":{}.50,\"currency\":\"EUR\"}},\"discounts\":[{{\"code\":\"SPRING{}\",\"percent\":10}}],\"note\":\"Please ring twice; the bell of {} is the upper one, and leave it with the neighbours if nobody opens.\"}}",
        number + 100,
        number % 10,
        number
    );
    text
}

/// Microseconds of one run, in the best of many rounds.
fn best(mut run: impl FnMut()) -> f64 {
    let mut rounds = 20;
    let took = |rounds: u32, run: &mut dyn FnMut()| {
        let before = processor_time();
        (0..rounds).for_each(|_| run());
        (processor_time() - before) / f64::from(rounds)
    };
    // Rounds of about a millisecond.
    let first = took(rounds, &mut run);
    rounds = ((1_000.0 / first.max(0.05)) as u32).clamp(1, 20_000);
    (0..300).map(|_| took(rounds, &mut run)).fold(f64::INFINITY, f64::min)
}

/// Microseconds that this thread ran so far, whoever else uses the machine.
fn processor_time() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}
