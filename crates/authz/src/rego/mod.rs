//! Policies in Rego, beside those in Cedar: what callers may do as `allow`, what nobody may as `deny`.
//!
//! They need the feature `rego`. Without it nothing is read, and a policy that names such a file is refused.

#[cfg(not(feature = "rego"))]
mod absent;
#[cfg(feature = "rego")]
mod engine;
#[cfg(feature = "rego")]
mod input;
#[cfg(feature = "rego")]
mod rules;

use std::sync::Arc;

#[cfg(not(feature = "rego"))]
pub use absent::Rego;
#[cfg(feature = "rego")]
pub use engine::Rego;

/// What the rules say of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegoJudged {
    /// The definitions of `allow` that hold, each with its place.
    pub permits: Vec<Arc<str>>,
    /// The definitions of `deny` that hold, each with its place, and the first of its messages.
    pub forbids: Vec<Arc<str>>,
    /// Why the rules could not be evaluated; then nothing is permitted.
    pub error: Option<String>,
}
