//! Developer commands of the workspace; `cargo xtask --help` lists them.

#![allow(clippy::disallowed_methods, reason = "threads and the system clock are fine where nobody is served")]

pub mod architecture;
pub mod bench;
pub mod lines;
pub mod spdx;
pub mod suite;
pub mod test;
