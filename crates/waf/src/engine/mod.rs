//! The evaluation of rules against one exchange.
//!
//! An [`Inspection`] is fed in the order of the phases and answers after each whether the exchange may go on. The walk
//! is rule by rule, value by value: every rule is looked at as it is written.

mod body;
mod effects;
mod exchange;
mod expand;
mod fast;
mod finding;
mod inspection;
mod live;
mod plain;
mod program;
mod request;
mod response;
mod tuning;
mod values;
mod walk;
mod xml;

pub use exchange::{Place, Proved, ProvedBody, RequestHead};
pub use finding::{Finding, Interruption, Match, Stop};
pub use inspection::{Context, Inspection, Spared};
pub use program::{Program, Worker};
pub use tuning::{Part, Side, Tuning};

#[cfg(test)]
mod tests;
