//! API contracts: OpenAPI documents to operations.

mod demand;
pub mod form;
mod json;
mod openapi;
#[allow(dead_code, reason = "the reader that makes the normal form uses it")]
mod pointer;
#[allow(dead_code, reason = "the reader that makes the normal form uses it")]
mod schemas;
pub mod tree;
pub mod yaml;

pub use openapi::{Contract, ContractOperation};
