//! What rules weigh: `cargo run --release -p bartizan-waf --example memory -- FOLDER LEVEL`, one object of JSON. Every byte that is
//! allocated is counted: those of the loaded rules, which all workers share, and those of one worker that has seen traffic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement"
)]

#[path = "engine/rules.rs"]
mod rules;

use std::{io::Read as _, time::Instant};

use bartizan_waf::engine::Worker;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use peak_alloc::PeakAlloc;
use rules::Request;
use serde_json::json;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("the folder of the rule set");
    let level = arguments.next().expect("the level").parse().expect("a level");
    // Requests, one in base64 on each line.
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let requests: Vec<Vec<u8>> = text.lines().map(|line| STANDARD.decode(line).expect("base64")).collect();
    let before = ALLOCATED.current_usage();
    let began = Instant::now();
    let program = rules::load(&folder, level);
    let load_ms = began.elapsed().as_secs_f64() * 1e3;
    let (shared, peak) = (ALLOCATED.current_usage() - before, ALLOCATED.peak_usage() - before);
    let mut worker = Worker::new();
    let mut largest = 0;
    ALLOCATED.reset_peak_usage();
    for raw in &requests {
        let request = Request::read(raw);
        drop(request.inspect(&program, &mut worker));
        largest = largest.max(ALLOCATED.current_usage() - before - shared);
    }
    let under_way = ALLOCATED.peak_usage() - before - shared;
    let told = json!({
        "load_ms": load_ms,
        "shared_mb": mb(shared),
        "loading_peak_mb": mb(peak),
        "requests": requests.len(),
        "worker_mb": mb(largest),
        "worker_peak_mb": mb(under_way),
    });
    println!("{told}");
}

fn mb(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
