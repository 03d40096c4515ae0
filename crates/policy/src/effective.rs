//! What each operation ends up with, for people (`check --effective`) and programs.

use serde::Serialize;

/// The effective policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Effective {
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
