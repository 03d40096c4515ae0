//! Rules made ready to run.

use std::sync::Arc;

use super::{
    fast::{Bounds, Plan, Prelude},
    inspection::{Context, Inspection},
    live::Live,
    tuning::Tuning,
};
use crate::{
    lang::{Phase, RuleSet, Target},
    operator::OperatorContext,
    variables::Variable,
};

/// Rules with the plan by which they are walked. Shared by all inspections; replaced whole.
#[derive(Debug)]
pub struct Program {
    pub(super) rules: Arc<RuleSet>,
    pub(super) plan: Option<Arc<Plan>>,
    pub(super) prelude: Option<Prelude>,
    /// Some rule looks at a body as text.
    pub(super) sees_text: bool,
    /// What may be known of values.
    pub(super) bounds: Arc<Bounds>,
    tuning: Arc<Tuning>,
}

impl Program {
    /// Rules that are walked the fast way: values are scanned once for all rules, and only rules that may match are
    /// looked at.
    #[must_use]
    pub fn new(rules: RuleSet) -> Arc<Self> {
        let prelude = Prelude::new(&rules, &Arc::default());
        let plan = Some(Arc::new(Plan::new(&rules)));
        let sees_text = sees_text(&rules);
        let (rules, prelude) = (Arc::new(rules), Some(prelude));
        let program = Arc::new(Program {
            rules,
            plan,
            prelude,
            sees_text,
            bounds: Arc::default(),
            tuning: Arc::default(),
        });
        Self::build(&program);
        program
    }

    /// The same rules, tuned: rules, patterns and scanners are shared with this program.
    #[must_use]
    pub fn tuned(&self, tuning: Tuning) -> Arc<Self> {
        let tuning = Arc::new(tuning);
        let program = Arc::new(Program {
            rules: Arc::clone(&self.rules),
            plan: self.plan.clone(),
            prelude: self.prelude.is_some().then(|| Prelude::new(&self.rules, &tuning)),
            sees_text: self.sees_text,
            bounds: self.plan.as_ref().map(|plan| plan.bounds(&tuning.bounds)).unwrap_or_default(),
            tuning,
        });
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
        let sees_text = sees_text(&rules);
        Arc::new(Program {
            rules: Arc::new(rules),
            plan: None,
            prelude: None,
            sees_text,
            bounds: Arc::default(),
            tuning: Arc::default(),
        })
    }

    /// The state in which an inspection begins.
    pub(super) fn begin(&self, context: Context) -> Live {
        let mut live = Live::new(&self.rules, context, Arc::clone(&self.tuning));
        match &self.prelude {
            Some(prelude) => prelude.begin(&mut live),
            None => self.tuning.given.iter().for_each(|(name, value)| live.tx.set(name, value)),
        }
        self.tuning.begin(&mut live, self.rules.rules.len());
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

    /// Whether both have the same rules in memory, however they are tuned.
    #[must_use]
    pub fn shares_rules(&self, other: &Program) -> bool {
        Arc::ptr_eq(&self.rules, &other.rules)
    }
}

/// Whether a rule that runs once a body is known looks at it as text.
fn sees_text(rules: &RuleSet) -> bool {
    let is_text = |target: &Target| matches!(target.variable, Variable::RequestBody | Variable::FullRequest);
    let behind = rules.rules.iter().filter(|rule| rule.phase != Phase::RequestHeaders);
    let mut conditions = behind.flat_map(|rule| &rule.links).filter_map(|link| link.condition.as_ref());
    conditions.any(|condition| condition.targets.included.iter().any(is_text))
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
