//! The policy language: documents to diagnostics to snapshots.

mod compile;
mod decode;
mod document;
pub mod effective;
mod load;
mod overlay;
pub mod routing;
pub mod snapshot;
pub mod source;
mod substitute;
mod suggest;

pub use effective::Effective;
pub use load::{CompileOptions, Loaded, Rejected, compile, load};
pub use snapshot::Snapshot;
pub use source::{Document, Source, Sources};
