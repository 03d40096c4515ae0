//! Why a body goes no further.

use std::fmt;

use crate::record::BodyFault;

/// Why a body could not be passed on. The text goes nowhere but to the tracing of the HTTP library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// The client's body was cut.
    Client(BodyFault),
    /// The upstream's body ended before it was whole, or stalled.
    Upstream,
    /// The stream was ended by an operator's decision.
    Ended,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyError::Client(BodyFault::TooLarge) => "the request body is larger than allowed",
            BodyError::Client(BodyFault::TooSlow) => "the request body is slower than allowed",
            BodyError::Client(BodyFault::TooLong) => "the exchange took longer than allowed",
            BodyError::Client(BodyFault::Broken) => "the request body is broken",
            BodyError::Upstream => "the response body is not whole",
            BodyError::Ended => "the stream was ended by policy",
        })
    }
}

impl std::error::Error for BodyError {}

/// Why a body could not be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldError {
    /// It was cut.
    Body(BodyError),
    /// The budget for held bodies is spent.
    Budget,
}
