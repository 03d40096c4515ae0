//! Persistence behind the traits of the model: recent events, API keys, second factors, bans and the log of changes in one SQLite
//! file, the state directory with its secrets, and the system's clock and random numbers.

mod bans;
mod changes;
mod clients;
mod error;
mod factors;
mod keys;
mod revocations;
mod schema;
mod seal;
mod sql;
mod sqlite;
mod state;
pub mod system;
mod usage;

pub use bans::{Ban, BanList, MAX_BANS};
pub use changes::Changes;
pub use clients::{ClientIndex, MAX_CLIENT_KEYS, StoredClientKey};
pub use error::StoreError;
pub use factors::{FactorIndex, OpenFactors, StoredFactor};
pub use keys::{KeyIndex, StoredKey};
pub use revocations::{DenyList, MAX_REVOCATIONS, RetiredUse, describe_revocation, is_digest};
pub use seal::Sealer;
pub use sql::{Change, EventFilter};
pub use sqlite::{Store, read_event, read_events, read_refusals};
pub use state::{AdminAddress, State, StateDirectory};
pub use usage::{Usage, UsageIndex};
