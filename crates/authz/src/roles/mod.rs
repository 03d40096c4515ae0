//! Roles: a file that says which role may do what, compiled to a table that is asked in nanoseconds.

mod document;
mod grant;
mod table;
#[cfg(test)]
mod tests;

pub use document::{RoleEntry, Roles};
pub use grant::Scope;
pub use table::{Grant, MAX_ROLES, RoleId, RoleTable};

/// The role of every caller who presents no credential.
pub const ANONYMOUS: &str = "anonymous";

/// The role of every caller who was identified.
pub const AUTHENTICATED: &str = "authenticated";
