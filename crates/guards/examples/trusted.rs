//! What looking for attacks costs alone, and behind a contract whose proofs it believes:
//! `cargo run --release -p bartizan-guards --example trusted -- CONTRACT CRS TRAFFIC`, with an OpenAPI document, the folder of
//! the Core Rule Set and requests as `bartizan simulate` writes them. Microseconds of one core for a request, the best of
//! several rounds in turn (`ROUNDS`, `WAY` for one of the four alone). What the rules say of each request has to be the same
//! both ways.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement that nobody serves"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{path::PathBuf, sync::Arc};

use bartizan_contract::{Description, yaml::Budget};
use bartizan_guards::{HeldBody, contract::Contract, waf::Waf};
use bartizan_model::{Guard, Mode, Transaction};
use bartizan_pattern::template::PathRouter;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

/// The allocator of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Request {
    method: Method,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Bytes,
    operation: Arc<str>,
}

/// Which guards look.
#[derive(Clone, Copy, PartialEq)]
struct Way {
    contract: bool,
    rules: bool,
    trusting: bool,
}

struct Guards {
    contract: Contract,
    alone: Waf,
    trusting: Waf,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [contract, crs, traffic] = arguments.as_slice() else { panic!("CONTRACT CRS TRAFFIC") };
    let bytes = std::fs::read(contract).expect("the contract can be read");
    let (description, _) = Description::read_one(&bytes, contract, Budget::CONTRACT).expect("a contract");
    let requests = requests(&description, &std::fs::read_to_string(traffic).expect("traffic"));
    let began = std::time::Instant::now();
    let guards = Guards::new(&description, crs);
    let bytes: Vec<usize> = requests.iter().map(|r| r.body.len()).filter(|bytes| *bytes > 0).collect();
    println!(
        "{} requests of {}, {} with a body of {} bytes on average; guards made in {:.0?}",
        requests.len(),
        requests.iter().map(|request| &request.operation).collect::<std::collections::BTreeSet<_>>().len(),
        bytes.len(),
        bytes.iter().sum::<usize>() / bytes.len().max(1),
        began.elapsed(),
    );
    let (mut differ, mut told, mut refused) = (0, 0, 0);
    for request in &requests {
        let rules = |trusting| guards.look(request, Way { contract: true, rules: true, trusting }, true);
        let [plain, spared] = [false, true].map(rules);
        differ += usize::from(plain.0 != spared.0);
        told += usize::from(!plain.0.is_empty());
        refused += usize::from(spared.1);
    }
    println!("rules told something of {told}, the contract refused {refused}, told differently: {differ}");
    let ways = [
        ("rules alone", Way { contract: false, rules: true, trusting: false }),
        ("contract alone", Way { contract: true, rules: false, trusting: false }),
        ("both, proofs not believed", Way { contract: true, rules: true, trusting: false }),
        ("both, proofs believed", Way { contract: true, rules: true, trusting: true }),
    ];
    // For a profiler.
    let only: Option<usize> = std::env::var("WAY").ok().map(|way| way.parse().expect("0 to 3"));
    for (name, subset) in [("all", 2), ("with a body", 1), ("without", 0)] {
        let chosen: Vec<&Request> =
            requests.iter().filter(|r| subset == 2 || usize::from(!r.body.is_empty()) == subset).collect();
        let mut best = [f64::MAX; 4];
        for _ in 0..rounds() {
            for (number, ((_, way), best)) in ways.iter().zip(&mut best).enumerate() {
                if only.is_some_and(|only| only != number) {
                    continue;
                }
                let began = processor_time();
                for request in &chosen {
                    guards.look(request, *way, false);
                }
                *best = best.min((processor_time() - began) / chosen.len() as f64);
            }
        }
        println!("{name}, {} requests:", chosen.len());
        for ((name, _), cost) in ways.iter().zip(best).filter(|(_, cost)| *cost < f64::MAX && *cost > 0.0) {
            println!("  {name:<28}{cost:>8.2} us  {:>6.1} %", cost / best[0] * 100.0);
        }
    }
}

fn rounds() -> usize {
    std::env::var("ROUNDS").map_or(7, |rounds| rounds.parse().expect("a number"))
}

impl Guards {
    fn new(description: &Description, crs: &str) -> Self {
        let spec = support::spec(description).expect("a contract that compiles");
        let files = support::TestFiles { directory: Some(PathBuf::from(crs)), ..Default::default() };
        let rules = |trusting: bool| -> Waf {
            let config = json!({ "crs": "file:.", "trust_contract": trusting, "unknown_type": "allow" });
            support::compile_for(config, &spec, &files).unwrap_or_else(|problems| panic!("{problems}"))
        };
        let contract = support::compile_for(json!({}), &spec, &files);
        let contract = contract.unwrap_or_else(|problems| panic!("{problems}"));
        Guards { contract, alone: rules(false), trusting: rules(true) }
    }

    /// What rules told of a request, and whether the contract refused it.
    fn look(&self, request: &Request, way: Way, telling: bool) -> (Vec<String>, bool) {
        let mut transaction: Transaction = support::transaction();
        transaction.guard_mode = Mode::Monitor;
        transaction.operation = Arc::clone(&request.operation);
        transaction.request.method = request.method.clone();
        transaction.request.path.clone_from(&request.path);
        transaction.request.query.clone_from(&request.query);
        transaction.request.headers = request.headers.clone();
        transaction.request.content_length = Some(request.body.len() as u64);
        let rules = if way.trusting { &self.trusting } else { &self.alone };
        let mut refused = false;
        if way.contract {
            let outcome = support::now(self.contract.request_headers(&mut transaction));
            refused |= support::code(&outcome).is_some();
        }
        if way.rules {
            support::now(rules.request_headers(&mut transaction));
        }
        let held = HeldBody::new(request.body.clone(), true).described(&request.headers);
        if way.contract && self.contract.needs_body(&transaction).is_some() {
            refused |= support::code(&self.contract.request_body(&mut transaction, &held)).is_some();
        }
        if way.rules {
            rules.request_body(&mut transaction, &held);
            rules.settle(&mut transaction);
        }
        if !telling {
            return (Vec::new(), refused);
        }
        let of_rules = transaction.findings.iter().filter(|finding| finding.guard == Waf::ID);
        (of_rules.map(|finding| finding.detail.to_string()).collect(), refused)
    }
}

fn requests(description: &Description, traffic: &str) -> Vec<Request> {
    let mut router = PathRouter::new();
    for operation in &description.operations {
        router.get_or_insert_with(&operation.template, || operation.template.as_str().to_owned());
    }
    let mut requests = Vec::new();
    for line in traffic.lines() {
        let told: Value = serde_json::from_str(line).expect("a request a line");
        let target = told["target"].as_str().unwrap();
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let Some((template, _)) = router.find(path) else { continue };
        let pairs = told["headers"].as_array().unwrap();
        let headers = pairs.iter().filter_map(|pair| {
            let name = HeaderName::try_from(pair[0].as_str()?).ok()?;
            Some((name, HeaderValue::from_str(pair[1].as_str()?).ok()?))
        });
        let method = told["method"].as_str().unwrap();
        requests.push(Request {
            method: method.parse().unwrap(),
            path: path.to_owned(),
            query: query.map(str::to_owned),
            headers: headers.collect(),
            body: Bytes::from(told["body"].as_str().unwrap_or_default().to_owned()),
            operation: format!("{method} {template}").into(),
        });
    }
    requests
}

/// Microseconds that this thread ran so far, whoever else uses the machine.
fn processor_time() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}
