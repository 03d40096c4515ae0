//! Unit tests of `rate_limit`.
