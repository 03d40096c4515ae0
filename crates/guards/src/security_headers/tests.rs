//! Unit tests of `security_headers`.
