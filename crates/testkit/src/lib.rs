//! For tests and drills: child processes, scripted upstreams, certificates, tokens and the runners of the foreign suites.
//!
//! Everything binds to loopback, has a deadline, and ends with the value that holds it. Nothing of this carries
//! traffic.

#![allow(clippy::disallowed_methods, reason = "threads and the system clock are fine where nobody is served")]

pub mod ca;
pub mod gateway;
pub mod places;
pub mod process;
pub mod provider;
pub mod raw;
pub mod suites;
pub mod token;
pub mod upstream;

pub use ca::Ca;
pub use gateway::Gateway;
pub use places::{program, python, suites_dir, test_env, workspace_root};
pub use process::{Process, free_port};
pub use provider::Provider;
pub use raw::{Reply, raw_request, reply};
pub use token::Signer;
pub use upstream::{RawUpstream, Recorded, Step};

/// Says loudly that a test did not run, and why: `SKIPPED: ..` on standard error.
pub fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}
