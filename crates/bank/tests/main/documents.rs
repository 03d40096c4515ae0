//! What is written of the bank agrees with what it does.

use bartizan_bank::{CONTRACT, Flaw, Flaws, Staff};
use bartizan_contract::{Description, yaml::Budget};
use serde_json::Value;

use crate::running::Running;

#[test]
fn the_contract_loads_and_each_of_its_operations_exists() {
    let (contract, warnings) = Description::read_one(CONTRACT.as_bytes(), "openapi.json", Budget::CONTRACT)
        .unwrap_or_else(|errors| panic!("{errors:?}"));
    assert!(warnings.0.is_empty(), "{warnings:?}");
    assert!(contract.operations.len() > 35);
    let bank = Running::fixed();
    assert_eq!(bank.get("/openapi.json", &[]).text(), CONTRACT);
    let token = bank.token(1);
    for operation in &contract.operations {
        let path = operation.template.to_string();
        let target = path.replace("{id}", "1").replace("{month}", "2026-01").replace("{name}", "absent");
        if target == "/v1/events" || target == "/v1/logout" {
            continue;
        }
        let reply = bank.ask(operation.method.as_str(), &target, &[&token, "Content-Length: 0"], None);
        let exists = reply.status != 405 && !reply.text().contains("no such operation");
        assert!(exists && reply.status < 500, "{} {path}: {}", operation.method, reply.status);
    }
}

/// The fields of the fixed bank's answers are those of the contract, no more and no fewer.
#[test]
fn answers_have_the_documented_fields() {
    let contract: Value = serde_json::from_str(CONTRACT).unwrap();
    let bank = Running::fixed();
    let staff = bank.token(Staff::Admin.id());
    let token = bank.token(1);
    let mut compared = 0;
    for (path, operations) in contract["paths"].as_object().unwrap() {
        let schema = &operations["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        let named = [schema, &schema["items"]].into_iter().find_map(|schema| schema["$ref"].as_str());
        let Some(name) = named.and_then(|named| named.rsplit('/').next()) else { continue };
        let caller = if path.starts_with("/v1/customers") { &staff } else { &token };
        // Nobody begins with a document.
        if path == "/v1/documents" {
            continue;
        }
        let reply = bank.get(&path.replace("{id}", "1").replace("{month}", "2026-01"), &[caller]);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        let answer = reply.json();
        let one = answer.get(0).unwrap_or(&answer).as_object().unwrap();
        let documented = contract["components"]["schemas"][name]["properties"].as_object().unwrap();
        assert_eq!(one.keys().collect::<Vec<_>>(), documented.keys().collect::<Vec<_>>(), "{path}");
        compared += 1;
    }
    assert!(compared >= 14, "{compared}");
}

#[test]
fn nothing_planted_is_in_the_contract() {
    assert!(!CONTRACT.contains("/v0") && !CONTRACT.contains("/debug"));
}

#[test]
fn the_document_tells_each_flaw() {
    let text = include_str!("../../../../docs/sample-bank.md");
    for flaw in Flaw::ALL {
        let heading = format!("### {}: {} ({})", flaw.number(), flaw.title(), flaw.owasp());
        assert!(text.contains(&heading), "docs/sample-bank.md lacks `{heading}`");
    }
    let told = text.lines().filter(|line| line.starts_with("### BANK-")).count();
    assert_eq!(told, Flaw::ALL.len());
}

#[test]
fn flaws_are_one_switch() {
    for flaw in Flaw::ALL {
        assert!(Flaws::all().has(flaw) && !Flaws::none().has(flaw));
        assert!(Flaws::none().with(flaw).has(flaw));
    }
    assert_eq!(Flaw::ALL.map(|flaw| flaw as usize), std::array::from_fn(|at| at));
}
