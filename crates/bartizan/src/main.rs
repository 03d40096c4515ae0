//! Bartizan, the API protection platform: the one binary.
fn main() {}
