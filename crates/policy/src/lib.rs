//! The policy language: documents to diagnostics to snapshots.
//!
//! [`compile`] is the one road from a document to what decides: it reads the [`Source`], lays the environment over it,
//! replaces variables, reports everything that is wrong at once, and answers an immutable [`Snapshot`].

mod compile;
mod decode;
mod diff;
mod document;
pub mod effective;
mod load;
pub mod offline;
mod overlay;
pub mod places;
mod quickstart;
mod render;
pub mod routing;
mod schema;
pub mod snapshot;
pub mod source;
mod substitute;
mod suggest;

pub use diff::{Change, diff};
pub use effective::Effective;
pub use load::{CompileOptions, Loaded, Rejected, compile, load};
pub use places::Places;
pub use quickstart::QuickStart;
pub use render::render;
pub use schema::schema;
pub use snapshot::Snapshot;
pub use source::{Document, Source, Sources};
