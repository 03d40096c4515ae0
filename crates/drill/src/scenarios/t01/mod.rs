//! T-01: tokens of customers and staff at the resources of administrators, and customers who make themselves administrators.

mod site;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bartizan_bank::{CONTRACT, Staff};
use serde_json::Value;

use crate::{
    Bounds, Criterion, Figures, Rule, Scenario, Stage,
    bank::Bank,
    client::{ask_plain, request},
};
use site::{Learned, Site};

/// The roles of the sample bank, as a roles file of `access`.
pub const ROLES: &str = include_str!("roles.yaml");

/// The policies of the sample bank, as a file of `access`.
pub const POLICIES: &str = include_str!("bank.cedar");

/// The scenario.
pub static SCENARIO: Scenario = Scenario {
    actors: "eight customers, a clerk and a doctor of the bank, each with a token of their own; an administrator; customers \
             who go about their business",
    traffic: "every administrative operation with every token; before that, each asks the bank to make it an administrator by \
              a field of its own record",
    truth: "an operation counts as taken when the bank answers it; the contract says which are administrative",
    bounds: Bounds { requests: 4_000, seconds: 300 },
    proofs: &[
        Criterion { key: "taken", text: "administrative operations that succeed", rule: Rule::AtLeast(10.0) },
        Criterion {
            key: "promoted",
            text: "callers who made themselves administrators",
            rule: Rule::AtLeast(5.0),
        },
    ],
    criteria: &[
        Criterion {
            key: "attacks",
            text: "requests at administrative operations",
            rule: Rule::AtLeast(30.0),
        },
        Criterion {
            key: "refused",
            text: "of those, answered with 403, in percent",
            rule: Rule::Exactly(100.0),
        },
        Criterion {
            key: "promoted",
            text: "callers who made themselves administrators",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "explained",
            text: "refusals whose event names what decided",
            rule: Rule::AtLeast(30.0),
        },
        Criterion {
            key: "administrator",
            text: "administrative operations that the administrator still has",
            rule: Rule::AtLeast(1.0),
        },
        Criterion {
            key: "learned_roles",
            text: "roles in the policy that was learned from use",
            rule: Rule::AtLeast(1.0),
        },
        Criterion {
            key: "flagged",
            text: "attacks that the learned policy alone flags, in percent",
            rule: Rule::Exactly(100.0),
        },
        Criterion {
            key: "legitimate_requests",
            text: "requests of people meanwhile",
            rule: Rule::AtLeast(40.0),
        },
        Criterion {
            key: "legitimate_percent",
            text: "of those, answered as they should be, in percent",
            rule: Rule::Exactly(100.0),
        },
    ],
    without,
    with,
};

/// Customers whose ids are not divisible by four: those need a code.
const CUSTOMERS: [i64; 8] = [1, 2, 3, 5, 6, 7, 9, 10];

/// Somebody with a token.
pub struct Caller {
    token: String,
}

/// The administrative operations of the contract as requests.
fn operations() -> Result<Vec<(String, String, Option<&'static str>)>> {
    let contract: Value = serde_json::from_str(CONTRACT)?;
    let mut found = Vec::new();
    for (path, item) in contract.get("paths").and_then(Value::as_object).context("no paths")? {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let tags = operation.get("tags").and_then(Value::as_array);
            if tags.is_some_and(|tags| tags.iter().any(|tag| tag == "admin")) {
                let body = (method == "put").then_some("{\"role\":\"clerk\"}");
                found.push((method.to_ascii_uppercase(), path.replace("{id}", "17"), body));
            }
        }
    }
    ensure!(!found.is_empty(), "the contract has no administrative operation");
    Ok(found)
}

/// Signs everybody in, directly at the bank.
fn callers(stage: &Stage, bank: &Bank) -> Result<Vec<Caller>> {
    let staff = [Staff::Clerk.id(), Staff::Doctor.id()];
    CUSTOMERS.into_iter().chain(staff).map(|id| Ok(Caller { token: bank.token(stage, id)? })).collect()
}

fn without(stage: &Stage) -> Result<Figures> {
    let bank = Bank::start_vulnerable(stage)?;
    let mut figures = Figures::default();
    let callers = callers(stage, &bank)?;
    for caller in &callers {
        promote(stage, bank.address, caller, &mut figures)?;
    }
    for (method, path, body) in operations()? {
        for caller in &callers {
            let asked = request(&method, &path, "bank.test", Some(&caller.token), body);
            let status = ask_plain(stage, bank.address, &asked)?.status;
            let taken = (200..300).contains(&status);
            figures.attack(!taken);
            figures.taken += u64::from(taken);
            figures.add("taken", u64::from(taken));
        }
    }
    Ok(figures)
}

/// A customer asks to become an administrator.
fn promote(
    stage: &Stage,
    address: std::net::SocketAddr,
    caller: &Caller,
    figures: &mut Figures,
) -> Result<u16> {
    let body = Some("{\"role\":\"admin\"}");
    let asked = request("PATCH", "/v1/customers/me", "bank.test", Some(&caller.token), body);
    let reply = ask_plain(stage, address, &asked)?;
    let promoted = reply.json().get("role").and_then(Value::as_str) == Some("admin");
    figures.add("promoted", u64::from(promoted));
    Ok(reply.status)
}

fn with(stage: &Stage) -> Result<Figures> {
    let mut figures = Figures::default();
    for key in ["promoted", "explained", "administrator"] {
        figures.count(key, 0);
    }
    let bank = Bank::start_vulnerable(stage)?;
    let callers = callers(stage, &bank)?;
    let administrator = Caller { token: bank.token(stage, Staff::Admin.id())? };
    let operations = operations()?;

    // What people do is learned first, where only tokens are demanded.
    let learning = Site::start(stage, &bank, "learning", &Learned::Nothing)?;
    let least = if stage.options.short { 2 } else { 6 };
    business(stage, &learning, &callers, least, &mut figures)?;
    let roles = learning.learned(stage)?;
    figures.count("learned_roles", roles.lines().filter(|line| line.starts_with("  \"")).count() as u64);
    drop(learning);

    let site = Site::start(stage, &bank, "enforcing", &Learned::Written)?;
    let begun = Instant::now();
    let mut refused = 0_u64;
    for caller in &callers {
        let status = promote(stage, site.address(), caller, &mut figures)?;
        ensure!(status == 403, "a caller who assigns itself a role was answered with {status}");
    }
    for (method, path, body) in &operations {
        for caller in &callers {
            let asked = request(method, path, "bank.test", Some(&caller.token), *body);
            let status = ask_plain(stage, site.address(), &asked)?.status;
            let stopped = status == 403;
            figures.attack(stopped);
            figures.taken += u64::from((200..300).contains(&status));
            refused += u64::from(stopped);
            if stopped && figures.first_finding.is_none() {
                figures.first_finding = Some(begun.elapsed());
            }
        }
    }
    let attacks = figures.attacks;
    figures.count("attacks", attacks);
    figures.values.insert("refused", percent(refused, attacks));
    business(stage, &site, &callers, least, &mut figures)?;
    for (method, path, body) in operations.iter().filter(|(method, ..)| method == "GET") {
        let asked = request(method, path, "bank.test", Some(&administrator.token), *body);
        figures.add("administrator", u64::from(ask_plain(stage, site.address(), &asked)?.status == 200));
    }
    figures.count("explained", site.explained(stage)?);
    site.keep(stage, "enforcing")?;
    drop(site);

    let alone = Site::start(stage, &bank, "learned", &Learned::Alone(roles))?;
    for (method, path, body) in &operations {
        for caller in &callers {
            let asked = request(method, path, "bank.test", Some(&caller.token), *body);
            ask_plain(stage, alone.address(), &asked)?;
        }
    }
    let flagged = alone.flagged(stage)?;
    figures.values.insert("flagged", percent(flagged.min(attacks), attacks));
    let legitimate = &figures.legitimate;
    let (sent, succeeded) = (legitimate.requests, legitimate.succeeded);
    figures.count("legitimate_requests", sent);
    figures.values.insert("legitimate_percent", percent(succeeded, sent));
    Ok(figures)
}

/// What customers do every day.
const PAGES: [&str; 6] = [
    "/v1/accounts",
    "/v1/transfers?limit=5",
    "/v1/customers/me",
    "/v1/payees",
    "/v1/cards",
    "/v1/prices?limit=5",
];

fn business(
    stage: &Stage,
    site: &Site,
    callers: &[Caller],
    rounds: usize,
    figures: &mut Figures,
) -> Result<()> {
    for page in PAGES.iter().cycle().take(PAGES.len() * rounds) {
        for caller in callers {
            let asked = request("GET", page, "bank.test", Some(&caller.token), None);
            let begun = Instant::now();
            let reply = ask_plain(stage, site.address(), &asked)?;
            figures.legitimate.requests += 1;
            if reply.status == 200 {
                figures.legitimate.succeeded += 1;
                let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                figures.legitimate.micros.push(micros);
            } else {
                figures
                    .legitimate
                    .miss(format!("a person's request, GET {page}, was answered with {}", reply.status));
            }
        }
    }
    Ok(())
}

fn percent(part: u64, whole: u64) -> f64 {
    let count = |number: u64| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    if whole == 0 { 0.0 } else { count(part) * 100.0 / count(whole) }
}

/// How long uses take to be written, with a margin.
const WRITTEN: Duration = Duration::from_secs(20);
