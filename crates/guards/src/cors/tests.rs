//! Unit tests of `cors`.
