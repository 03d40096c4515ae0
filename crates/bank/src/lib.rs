//! The sample bank: a realistic HTTP API with planted flaws, each with a number, for demos, drills and tests.
//!
//! It answers on loopback only. [`Flaws`] is the one switch: the fixed bank has none of them, so that what is found in it
//! is a false finding. `docs/sample-bank.md` has each flaw with its exploit. Start reading at `routes.rs`.

mod accounts;
mod admin;
mod authorize;
mod bank;
mod caller;
mod cards;
mod clients;
mod customers;
mod debug;
mod deliver;
mod documents;
mod edge;
mod fetch;
mod flaws;
mod health;
mod input;
mod issuer;
mod legacy;
mod login;
mod media;
mod notes;
mod password;
mod payees;
mod prices;
mod quotes;
mod refusal;
mod reports;
mod reset;
mod routes;
mod search;
mod seed;
mod serve;
mod sessions;
mod sql;
mod template;
mod token;
mod transfers;
mod webhooks;

pub use flaws::{Flaw, Flaws};
pub use password::totp;
pub use seed::{CUSTOMERS, Credentials, PRICES, Staff, credentials};
pub use serve::{BankError, Config, Opened, prepare, serve};

/// The OpenAPI 3.1 document of the bank, as it is served at `/openapi.json`. It does not name what is planted beside the
/// documented API: `/debug` and `/v0`.
pub const CONTRACT: &str = include_str!("../openapi.json");
