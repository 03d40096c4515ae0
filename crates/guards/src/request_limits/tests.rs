//! Unit tests of `request_limits`.
