//! The rule engine behind a pipe, for measurements: `engine FOLDER LEVEL` loads the Core Rule Set, and for each line of JSON
//! on standard input, `{"request":BASE64,"rounds":N}`, tells what inspecting that request cost.
//!
//! Costs are the thread's own processor time, whoever else uses the machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement"
)]

mod rules;

use std::{fs, io::BufRead as _};

use bartizan_waf::engine::Worker;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rules::Request;
use serde_json::{Value, json};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("the folder of the rule set");
    let level = arguments.next().expect("the level").parse().expect("a level");
    let began = processor_time();
    let program = rules::load(&folder, level);
    println!(
        "{}",
        json!({ "load_ms": (processor_time() - began) / 1e3, "rules": program.rules().rules.len() })
    );
    let mut worker = Worker::new();
    for line in std::io::stdin().lock().lines() {
        let asked: Value = serde_json::from_str(&line.unwrap()).expect("JSON");
        let raw = STANDARD.decode(asked["request"].as_str().expect("a request")).expect("base64");
        let rounds = asked["rounds"].as_u64().expect("rounds");
        let request = Request::read(&raw);
        let began = processor_time();
        for _ in 1..rounds {
            request.inspect(&program, &mut worker);
        }
        let inspection = request.inspect(&program, &mut worker);
        let microseconds = (processor_time() - began) / rounds as f64;
        let matched: Vec<u64> = inspection.findings().iter().map(|finding| finding.rule).collect();
        let status = inspection.interruption().map(|interruption| interruption.status);
        let told = json!({
            "microseconds": microseconds,
            "matched": matched,
            "status": status,
            "unreadable": inspection.body_error(),
        });
        println!("{told}");
    }
}

/// Microseconds that this thread ran so far.
fn processor_time() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e3
}
