//! Unit tests of `ip_access`.
