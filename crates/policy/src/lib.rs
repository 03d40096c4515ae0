//! The policy language: documents to diagnostics to snapshots.

pub mod routing;
pub mod snapshot;

pub use snapshot::Snapshot;
