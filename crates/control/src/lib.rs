//! The control plane: the admin API over a running gateway, and what it shares with the command line.
//!
//! [`serve`] answers on a listener that is bound to loopback by default. What it does to the gateway goes through
//! [`Operations`]; what it keeps goes to the store; each change is published as an event.

mod access;
mod api;
pub mod bans;
pub mod factors;
pub mod keys;
mod operations;
mod refusal;
pub mod revocations;
mod server;

pub use operations::{BackendStatus, ListenerStatus, MonitorUntil, Operations, ReloadReport, StatusReport};
pub use server::{Admin, serve};
