//! Rules made ready to run.

use std::sync::Arc;

use super::fast::Plan;
use crate::{lang::RuleSet, operator::OperatorContext};

/// Rules with the plan by which they are walked. Shared by all inspections; replaced whole.
#[derive(Debug)]
pub struct Program {
    pub(super) rules: RuleSet,
    pub(super) plan: Option<Plan>,
}

impl Program {
    /// Rules that are walked the fast way: values are scanned once for all rules, and only rules that may match are
    /// looked at.
    #[must_use]
    pub fn new(rules: RuleSet) -> Arc<Self> {
        let plan = Some(Plan::new(&rules));
        Arc::new(Program { rules, plan })
    }

    /// Rules that are looked at one by one, value by value: slow and obvious, what [`Program::new`] is measured
    /// against.
    #[must_use]
    pub fn plain(rules: RuleSet) -> Arc<Self> {
        Arc::new(Program { rules, plan: None })
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }
}

/// What one thread keeps from inspection to inspection: automata that are built while they run, and buffers. All of it
/// is bounded.
#[derive(Debug, Default)]
pub struct Worker {
    pub(super) operator: OperatorContext,
    pub(super) scratch: super::fast::Scratch,
}

impl Worker {
    /// Empty; it allocates when it is first used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}
