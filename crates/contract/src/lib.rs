//! API contracts: OpenAPI documents to operations.

mod demand;
mod json;
mod openapi;
pub mod tree;
pub mod yaml;

pub use openapi::{Contract, ContractOperation};
