//! One file per command.

pub mod access;
pub mod authz;
pub mod ban;
pub mod check;
pub mod clients;
pub mod contract;
pub mod demo;
pub mod diff;
pub mod doctor;
pub mod drill;
pub mod explain;
pub mod init;
pub mod issuers;
pub mod keys;
pub mod mfa;
pub mod minutes;
pub mod mode;
pub mod ownership;
pub mod revoke;
pub mod rules;
pub mod run;
pub mod sample;
pub mod schema;
pub mod simulate;
pub mod test;
pub mod why;
