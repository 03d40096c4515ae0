//! Developer commands: architecture test, benchmarks, generated documents.
fn main() {}
