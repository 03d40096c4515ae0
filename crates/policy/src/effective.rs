//! What each operation ends up with, for people (`check --effective`) and programs.

use std::collections::BTreeMap;

use bartizan_contract::tree::{Node, Value};
use serde::Serialize;

/// The effective policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Effective {
    /// What is written outside `apis`, by its path: `issuers.corp.algorithms`; and the defaults that `init` writes out.
    pub settings: BTreeMap<String, serde_json::Value>,
    /// The APIs, in document order.
    pub apis: Vec<EffectiveApi>,
}

/// One API.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EffectiveApi {
    /// Its name.
    pub name: String,
    /// Hosts that it serves; empty for any.
    pub hosts: Vec<String>,
    /// Its path prefix; empty for all paths.
    pub base_path: String,
    /// Its backends as URLs.
    pub backends: Vec<String>,
    /// What happens to unknown operations: `deny`, `monitor` or `allow`.
    pub unknown_operations: &'static str,
    /// The largest request body in bytes.
    pub max_body: u64,
    /// What else is written for the API as a whole, by its path: `upstream.balance`.
    pub settings: BTreeMap<String, serde_json::Value>,
    /// The operations, the unknown ones last.
    pub operations: Vec<EffectiveOperation>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EffectiveOperation {
    /// Its label: `GET /accounts/{id}`, `POST /login`, or `unknown`.
    pub label: String,
    /// Whether the contract or a block names it.
    pub known: bool,
    /// The blocks that apply, the least specific first.
    pub blocks: Vec<String>,
    /// Its guards in the order of the pipeline.
    pub guards: Vec<EffectiveGuard>,
}

/// One guard of an operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EffectiveGuard {
    /// The guard's id.
    pub guard: &'static str,
    /// Its mode.
    pub mode: &'static str,
    /// Its merged configuration.
    pub config: serde_json::Value,
}

/// What a map of the merged document says, flat, without the entries `told` in another way.
pub(crate) fn written(node: &Node, told: &[&str]) -> BTreeMap<String, serde_json::Value> {
    let mut flat = BTreeMap::new();
    for entry in node.entries().iter().filter(|entry| !told.contains(&entry.key.as_str())) {
        flatten(&entry.value, entry.key.clone(), &mut flat);
    }
    flat
}

/// Items of lists go by what tells them apart, so that one more does not change the others.
fn flatten(node: &Node, path: String, flat: &mut BTreeMap<String, serde_json::Value>) {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            for entry in entries {
                flatten(&entry.value, format!("{path}.{}", entry.key), flat);
            }
        }
        Value::List(items) if items.iter().any(|item| matches!(item.value, Value::Map(_))) => {
            for (index, item) in items.iter().enumerate() {
                let name = ["name", "address"].iter().find_map(|key| item.get(key)?.as_str());
                let path = name.map_or_else(|| format!("{path}[{index}]"), |name| format!("{path}.{name}"));
                flatten(item, path, flat);
            }
        }
        _ => {
            flat.insert(path, node.to_json());
        }
    }
}
