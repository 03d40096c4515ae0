//! Rules made ready to run.

use std::sync::Arc;

use super::{
    fast::{Plan, Prelude},
    inspection::{Context, Inspection},
    live::Live,
};
use crate::{
    lang::{Phase, RuleSet},
    operator::OperatorContext,
};

/// Rules with the plan by which they are walked. Shared by all inspections; replaced whole.
#[derive(Debug)]
pub struct Program {
    pub(super) rules: RuleSet,
    pub(super) plan: Option<Plan>,
    pub(super) prelude: Option<Prelude>,
}

impl Program {
    /// Rules that are walked the fast way: values are scanned once for all rules, and only rules that may match are
    /// looked at.
    #[must_use]
    pub fn new(rules: RuleSet) -> Arc<Self> {
        let prelude = Prelude::new(&rules);
        let plan = Some(Plan::new(&rules, &prelude.tx));
        let program = Arc::new(Program { rules, plan, prelude: Some(prelude) });
        Self::build(&program);
        program
    }

    /// Builds what requests will be scanned by, by way of an empty one: the first true one is not to wait for it.
    fn build(program: &Arc<Self>) {
        let context = Context { unique_id: "".into(), now: 0, collections: None };
        let mut inspection = Inspection::new(program.clone(), context);
        let mut worker = Worker::new();
        for phase in Phase::ALL {
            inspection.phase(phase, &mut worker);
            // What an empty request is refused for is nothing here.
            inspection.live.interruption = None;
        }
    }

    /// Rules that are looked at one by one, value by value: slow and obvious, what [`Program::new`] is measured
    /// against.
    #[must_use]
    pub fn plain(rules: RuleSet) -> Arc<Self> {
        Arc::new(Program { rules, plan: None, prelude: None })
    }

    /// The state in which an inspection begins.
    pub(super) fn begin(&self, context: Context) -> Live {
        let mut live = Live::new(&self.rules, context);
        if let Some(prelude) = &self.prelude {
            prelude.begin(&mut live);
        }
        live
    }

    /// With which station a phase begins.
    pub(super) fn start(&self, phase: Phase) -> usize {
        match &self.prelude {
            Some(prelude) if phase == Phase::RequestHeaders => prelude.stations,
            _ => 0,
        }
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
