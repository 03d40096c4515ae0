//! The sample bank over real sockets: its exploits, its ordinary use, and its documents.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

mod documents;
mod errands;
mod exploits;
mod oidc;
mod ordinary;
mod running;
