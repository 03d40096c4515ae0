//! Every guard, one module each, and the registry of them.
//!
//! A guard is read top-down: `mod.rs` (what it does and when it refuses), `config.rs` (the manual of its settings),
//! `reason.rs` (every refusal with its stable code). [`registry`] is the one table that the pipeline, the policy
//! compiler and the documents are derived from.

pub mod access;
pub mod body;
mod call_out;
mod client_print;
pub mod contract;
pub mod cors;
mod digest;
pub mod docs;
pub mod identity;
pub mod ip_access;
pub mod ownership;
pub mod rate_limit;
pub mod registry;
mod remembered;
pub mod request_limits;
pub mod response_contract;
pub mod security_headers;
pub mod session;
pub mod step_up;
pub mod waf;

#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

pub use body::{BodyPath, Field, FieldValue, HeldBody};
pub use registry::{Clearance, GuardInfo, Guards, REGISTRY, Sections};
