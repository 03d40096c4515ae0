//! The variables that rules name, and the collections that live longer than an inspection.

mod name;
mod stored;
mod tx;

pub use name::Variable;
pub use stored::{CollectionKey, Collections, MemoryCollections, StoredChange, StoredVariable};
pub(crate) use tx::Slots;
pub use tx::Tx;
