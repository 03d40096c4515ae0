//! The running gateway between real clients and real upstreams, none of them ours.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests assert, and wait"
)]

mod access;
mod addresses;
mod applications;
mod attrition;
mod backends;
mod bounds;
mod cases;
mod configuration;
mod connections;
mod contracts;
mod credentials;
mod demo;
mod doctor;
mod drills;
mod explaining;
mod faults;
mod firewall;
mod first_hour;
mod floods;
mod grpc;
mod http;
mod http2;
mod issuers;
mod life;
mod nginx;
mod operations;
mod operators;
mod ownership;
mod peers_tls;
mod possession;
mod protection;
mod readers;
mod reloads;
mod responses;
mod rules;
mod rules_bombs;
mod rules_update;
mod sample;
mod semantics;
mod simulate;
mod streaming;
mod suites;
mod support;
mod tls;
mod websocket;
mod wire;
