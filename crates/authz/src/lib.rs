//! Who may do what: role tables, Cedar policies and ownership predicates. Pure: no file, no socket, no clock.

pub mod ownership;
