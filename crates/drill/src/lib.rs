//! The drills: attack scenarios of the mission, each run first without the gateway, where the attack succeeds, and then
//! with it, where it must not.
//!
//! Everything happens on loopback, with processes, ports and folders of the drill's own, bounded in requests and in time,
//! and ends with the value that holds it. A scenario is one file of `scenarios/`, always of the shape [`Scenario`]; read
//! `scenarios/t03.rs` first.

#![allow(clippy::disallowed_methods, reason = "threads and sleeps are fine where nobody is served")]

mod bank;
mod catalogue;
mod client;
mod hello;
mod judge;
mod people;
mod relay;
mod render;
mod report;
mod scenario;
mod scenarios;
mod search;
mod secrets;
mod server;
mod stage;
mod terminator;
mod tls;

pub use catalogue::{Drill, State, Unknown, all, find};
pub use judge::judge;
pub use render::{catalogue_table, drill_text, summary_text};
pub use report::{Judged, Outcome, Report, Series};
pub use scenario::{Bounds, Criterion, Figures, Legitimate, Rule, Scenario};
pub use scenarios::t01::{POLICIES as BANK_POLICIES, ROLES as BANK_ROLES};
pub use stage::{Cancel, Options, Stage};
