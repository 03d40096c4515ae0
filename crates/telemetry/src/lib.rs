//! Events on their way out: the queue, the audit log, recent events, metrics, and an event told to a person.
//!
//! [`Telemetry::publish`] is the one way in. It never waits: metrics are counted on the spot, everything else goes to
//! bounded buffers, one per consumer, each with a thread of its own.

mod audit;
mod buffer;
mod explain;
mod metrics;
mod queue;

pub use audit::AuditConfig;
pub use explain::{Change, Look, explain_event, explain_list, explain_value, narrowest};
pub use metrics::Metrics;
pub use queue::{Config, StartError, Telemetry};

#[cfg(test)]
mod tests;
