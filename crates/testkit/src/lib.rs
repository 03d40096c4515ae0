//! Developer helpers for tests: echo upstream, fake clock, child processes.
