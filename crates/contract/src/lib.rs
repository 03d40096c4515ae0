//! API contracts: OpenAPI documents to operations.

mod demand;
pub mod form;
mod json;
mod openapi;
#[allow(dead_code, reason = "the reader that makes the normal form uses it")]
mod pointer;
pub mod schema;
#[allow(dead_code, reason = "the reader that makes the normal form uses it")]
mod schemas;
pub mod shape;
pub mod tree;
pub mod value;
pub mod yaml;

pub use openapi::{Contract, ContractOperation};
