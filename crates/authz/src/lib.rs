//! Who may do what: role tables, Cedar policies and ownership predicates, and where an address is. Pure: no file, no socket,
//! no clock.

pub mod actions;
pub mod cedar;
pub mod geo;
mod names;
pub mod ownership;
pub mod rego;
pub mod roles;
pub mod zone;

pub use actions::{Action, ActionId, Actions};
pub use cedar::{Facts, Judged, Policies, PolicyInfo};
pub use geo::Geo;
pub use rego::Rego;
pub use roles::{RoleId, RoleTable, Roles};
pub use zone::Zone;
