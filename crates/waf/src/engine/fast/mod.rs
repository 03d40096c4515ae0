//! The fast way through a phase: every distinct form of every value is scanned once, by one automaton, for the pieces of
//! text that the patterns and phrases of all rules ask for, and only those whose pieces are there are searched. A rule
//! whose test found nothing anywhere is not looked at.
//!
//! What a scan proves is only that a rule cannot match. A rule that may match, or whose condition is not one that can be
//! scanned for, is looked at as it is written.

mod atoms;
mod bits;
mod evaluate;
mod gather;
mod memo;
mod needs;
mod plan;
mod prelude;
mod proved;
mod quick;
mod reach;
mod scan;
mod set;
mod shape;

pub(super) use evaluate::holds;
pub(super) use gather::{Candidates, Scratch};
pub(super) use plan::Plan;
pub(super) use prelude::Prelude;
pub(super) use proved::Bounds;
