//! Decisions of the guard.
