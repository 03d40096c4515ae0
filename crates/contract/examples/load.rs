//! Reads and compiles contracts and says what that costs: `cargo run --release -p bartizan-contract --example load -- FILE..`.
//!
//! Every byte that is allocated is counted. Without a file it makes a contract of 10,000 operations and finds each of them
//! again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "an example may end early")]

use std::{fmt::Write as _, hint::black_box, time::Instant};

use bartizan_contract::{Description, check::compile, yaml::Budget};
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
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let start = Instant::now();
        let checks = compile(&description).expect("the contract can be compiled");
        println!(
            "  compiled in {:.1} ms, {:.1} MiB kept, {:.1} MiB at most",
            start.elapsed().as_secs_f64() * 1e3,
            mib(MEMORY.current_usage().saturating_sub(before)),
            mib(MEMORY.peak_usage().saturating_sub(before)),
        );
        drop(checks);
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
    let before = MEMORY.current_usage();
    let start = Instant::now();
    let checks = compile(&description).unwrap();
    println!(
        "  compiled in {:.1} ms, {:.1} MiB kept",
        start.elapsed().as_secs_f64() * 1e3,
        MEMORY.current_usage().saturating_sub(before) as f64 / f64::from(1 << 20)
    );
    // As a gateway finds them: the path first, then the method, then what is checked.
    let mut router = PathRouter::new();
    for operation in &description.operations {
        let methods: &mut Vec<_> = router.get_or_insert_with(&operation.template, Vec::new).unwrap();
        methods.push((operation.method.clone(), operation.spec.label.clone()));
    }
    let asked: Vec<_> = description
        .operations
        .iter()
        .map(|operation| (operation.method.clone(), operation.template.as_str().replace("{id}", "7f3a9c1e")))
        .collect();
    let find = |(method, path): &(_, String)| {
        let methods = router.find(black_box(path)).map(|(methods, _)| methods);
        methods.and_then(|all| all.iter().find(|(own, _)| own == method)).map(|(_, label)| label)
    };
    let matched = each(&asked, |request| find(request).is_some());
    let checked = each(&asked, |request| {
        find(request).is_some_and(|label| black_box(checks.operation(label)).is_some())
    });
    println!(
        "{} requests: {matched:.0} ns each to find the operation, {checked:.0} with what is checked",
        asked.len()
    );
}

/// Nanoseconds for one request, in the best of many rounds over all of them.
fn each<T>(asked: &[T], found: impl Fn(&T) -> bool) -> f64 {
    let round = || {
        let start = Instant::now();
        let all = asked.iter().filter(|request| found(request)).count();
        assert_eq!(all, asked.len(), "every operation is found");
        start.elapsed().as_secs_f64() * 1e9 / asked.len() as f64
    };
    (0..100).map(|_| round()).fold(f64::INFINITY, f64::min)
}
