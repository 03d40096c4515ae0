//! One file per command.

pub mod ban;
pub mod explain;
pub mod keys;
pub mod mode;
pub mod run;
pub mod why;
