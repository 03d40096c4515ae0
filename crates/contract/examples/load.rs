//! Reads contracts and says what that costs: `cargo run --release -p bartizan-contract --example load -- FILE..`.
//!
//! Without a file it makes a contract of 10,000 operations and finds each of them again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "an example may end early")]

use std::{fmt::Write as _, hint::black_box, time::Instant};

use bartizan_contract::{Description, yaml::Budget};
use bartizan_pattern::template::PathRouter;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn main() {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        return many();
    }
    for file in files {
        let bytes = std::fs::read(&file).expect("the file can be read");
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let start = Instant::now();
        let (description, warnings) =
            Description::read_one(&bytes, &file, Budget::CONTRACT).expect("the contract can be read");
        let took = start.elapsed();
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        println!(
            "{file}: {} operations, {} warnings, {:.1} ms, {:.1} MiB kept, {:.1} MiB at most",
            description.operations.len(),
            warnings.0.len(),
            took.as_secs_f64() * 1e3,
            mib(MEMORY.current_usage().saturating_sub(before)),
            mib(MEMORY.peak_usage().saturating_sub(before)),
        );
    }
}

/// 10,000 operations: 2,500 resources of 100 services with four operations each.
fn many() {
    let mut text = String::from("openapi: 3.0.0\ninfo: {title: Many, version: '1'}\npaths:\n");
    for at in 0..2_500 {
        let (service, resource) = (at % 100, at / 100);
        let _ = write!(
            text,
            "  /service{service}/resource{resource}:\n    get: {{}}\n    post: {{}}\n  /service{service}/resource{resource}/{{id}}:\n    get: {{}}\n    delete: {{}}\n"
        );
    }
    let start = Instant::now();
    let (description, _) = Description::read_one(text.as_bytes(), "many.yaml", Budget::CONTRACT).unwrap();
    println!(
        "{} operations read in {:.1} ms",
        description.operations.len(),
        start.elapsed().as_secs_f64() * 1e3
    );
    let mut router = PathRouter::new();
    for (at, operation) in description.operations.iter().enumerate() {
        router.get_or_insert_with(&operation.template, || at);
    }
    let paths: Vec<String> =
        description.operations.iter().map(|o| o.template.as_str().replace("{id}", "7f3a9c1e")).collect();
    let rounds = 100;
    let start = Instant::now();
    let mut found = 0;
    for _ in 0..rounds {
        for path in &paths {
            found += usize::from(black_box(router.find(black_box(path))).is_some());
        }
    }
    let each = start.elapsed().as_secs_f64() * 1e9 / (rounds * paths.len()) as f64;
    assert_eq!(found, rounds * paths.len());
    println!("{} paths found {rounds} times, {each:.0} ns each", paths.len());
}
