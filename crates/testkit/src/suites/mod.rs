//! Foreign suites over real sockets: run against a gateway in front of a recording upstream, scored.

pub mod http1;
pub mod judge;
pub mod path_bypass;
