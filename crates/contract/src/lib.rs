//! API contracts: OpenAPI documents to one normal form, and values judged by it.

pub mod cases;
pub mod check;
pub mod compare;
mod convert;
mod demand;
mod documents;
pub mod form;
mod json;
pub mod lint;
mod pointer;
mod read;
mod report;
pub mod schema;
mod schemas;
pub mod shape;
pub mod tree;
pub mod value;
pub mod yaml;

pub use documents::{ContractFiles, Documents, OneFile};
pub use form::Description;
