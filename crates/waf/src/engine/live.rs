//! What changes while rules are looked at.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{
    exchange::Exchange,
    finding::{Finding, Interruption, full_name},
    inspection::Context,
    tuning::{Part, Tuning},
};
use crate::{
    lang::{AllowScope, AuditMode, EngineMode, Phase, Processor, RuleSet, XmlIntoArgs},
    operator::Work,
    variables::{CollectionKey, StoredVariable, Tx, Variable},
};

/// How many values of a chain `MATCHED_VARS` keeps: a rule on them costs their number.
const MAX_MATCHED: usize = 1024;
/// How many bytes of a chain `MATCHED_VARS` keeps besides the first value: parts of a large body may match often.
const MAX_MATCHED_BYTES: usize = 4 << 20;

/// A value that matched.
#[derive(Clone, Debug, Default)]
pub(super) struct Matched {
    pub(super) variable: Option<Variable>,
    pub(super) part: SmallVec<[u8; 32]>,
    pub(super) value: SmallVec<[u8; 32]>,
}

impl Matched {
    /// `ARGS:id`; empty where nothing matched yet.
    pub(super) fn name(&self) -> Vec<u8> {
        self.variable.map(|variable| full_name(variable, &self.part)).unwrap_or_default()
    }
}

/// The state of one inspection.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) context: Context,
    pub(super) tx: Tx,
    pub(super) env: Tx,
    pub(super) opened: Vec<CollectionKey>,
    pub(super) session_id: Vec<u8>,
    pub(super) user_id: Vec<u8>,
    /// The value that matched last.
    pub(super) matched: Matched,
    /// All values that the current chain matched.
    pub(super) matched_all: Vec<Matched>,
    /// Whether they are kept: some part of the rule asks for them.
    keeps_all: bool,
    matched_bytes: usize,
    /// The rule that is looked at, by index.
    pub(super) rule: Option<usize>,
    pub(super) highest_severity: Option<u8>,
    pub(super) engine: EngineMode,
    pub(super) audit: AuditMode,
    pub(super) controls: Controls,
    pub(super) allowed: Option<(AllowScope, Phase)>,
    pub(super) removed: Removed,
    /// What the mount of the rules changes of them.
    pub(super) tuning: Arc<Tuning>,
    /// Nothing is stopped, whatever rules say.
    pub(super) only_detects: bool,
    pub(super) findings: Vec<Finding>,
    pub(super) interruption: Option<Interruption>,
    /// What would have ended the exchange first, if the engine did more than detect.
    pub(super) would_interrupt: Option<Interruption>,
    /// What the current rule added to scores.
    pub(super) score: i64,
    /// What was done so far, and what may be.
    pub(super) work: Work,
}

/// What `ctl` changed.
#[derive(Clone, Debug)]
pub(super) struct Controls {
    pub(super) request_body_access: bool,
    pub(super) request_body_limit: usize,
    pub(super) response_body_access: bool,
    pub(super) response_body_limit: usize,
    pub(super) request_processor: Option<Processor>,
    pub(super) response_processor: Option<Processor>,
    pub(super) force_request_body: bool,
    pub(super) force_response_body: bool,
    pub(super) xml_into_args: XmlIntoArgs,
}

/// Rules and variables that `ctl`, or the mount of the rules, took away.
#[derive(Clone, Debug, Default)]
pub(super) struct Removed {
    /// By rule index; empty where none is.
    rules: Vec<bool>,
    targets: Vec<(Arc<[usize]>, Part)>,
}

impl Removed {
    pub(super) fn rules(&mut self, gone: &[usize], all: usize) {
        self.rules.resize(all, false);
        for index in gone {
            if let Some(place) = self.rules.get_mut(*index) {
                *place = true;
            }
        }
    }

    pub(super) fn part(&mut self, rules: &Arc<[usize]>, part: &Part) {
        let known = self.targets.iter().any(|(of, known)| Arc::ptr_eq(of, rules) && known == part);
        if !known {
            self.targets.push((rules.clone(), part.clone()));
        }
    }

    fn has(&self, rule: usize) -> bool {
        self.rules.get(rule) == Some(&true)
    }

    fn excludes(&self, rule: usize, variable: Variable, name: &[u8], exchange: &Exchange) -> bool {
        self.targets.iter().any(|(rules, part)| {
            part.target.variable == variable
                && rules.binary_search(&rule).is_ok()
                && part.target.selector.selects(name)
                && part.is_alone(exchange)
        })
    }
}

impl Live {
    pub(super) fn new(set: &RuleSet, context: Context, tuning: Arc<Tuning>) -> Self {
        let settings = &set.settings;
        Live {
            context,
            tx: Tx::default(),
            env: Tx::default(),
            opened: Vec::new(),
            session_id: Vec::new(),
            user_id: Vec::new(),
            matched: Matched::default(),
            matched_all: Vec::new(),
            keeps_all: true,
            matched_bytes: 0,
            rule: None,
            highest_severity: None,
            engine: settings.engine,
            audit: settings.audit,
            controls: Controls {
                request_body_access: settings.request_body_access,
                request_body_limit: settings.request_body_limit,
                response_body_access: settings.response_body_access,
                response_body_limit: settings.response_body_limit,
                request_processor: None,
                response_processor: None,
                force_request_body: false,
                force_response_body: false,
                xml_into_args: settings.xml_into_args,
            },
            allowed: None,
            removed: Removed::default(),
            tuning,
            only_detects: false,
            findings: Vec::new(),
            interruption: None,
            would_interrupt: None,
            score: 0,
            work: Work::default(),
        }
    }

    pub(super) fn matches(&mut self, variable: Variable, part: &[u8], value: &[u8]) {
        let matched = || Matched {
            variable: Some(variable),
            part: SmallVec::from_slice(part),
            value: SmallVec::from_slice(value),
        };
        self.matched = matched();
        if !self.keeps_all {
            return;
        }
        let fits =
            self.matched_bytes + value.len() <= MAX_MATCHED_BYTES && self.matched_all.len() < MAX_MATCHED;
        if fits || self.matched_all.is_empty() {
            self.matched_bytes += value.len();
            self.matched_all.push(matched());
        }
    }

    /// Whether the rule is not looked at.
    pub(super) fn is_removed(&self, rule: usize) -> bool {
        self.removed.has(rule) || self.tuning.removed.has(rule)
    }

    /// Whether the rule does not look at this value.
    pub(super) fn excludes(&self, rule: usize, variable: Variable, name: &[u8], exchange: &Exchange) -> bool {
        self.removed.excludes(rule, variable, name, exchange)
            || self.tuning.removed.excludes(rule, variable, name, exchange)
    }

    /// Whether values of some variable are left out somewhere.
    pub(super) fn has_exclusions(&self) -> bool {
        !self.removed.targets.is_empty() || !self.tuning.removed.targets.is_empty()
    }

    /// A rule begins: nothing of it matched yet. `keeps_all` says that it may ask for all values that it matched.
    pub(super) fn begin(&mut self, rule: usize, keeps_all: bool) {
        self.rule = Some(rule);
        self.keeps_all = keeps_all;
        self.matched_all.clear();
        self.matched_bytes = 0;
        self.score = 0;
    }

    /// The open collection of that kind.
    pub(super) fn collection(&self, kind: Variable) -> Option<&CollectionKey> {
        self.opened.iter().rev().find(|key| key.kind == kind)
    }

    pub(super) fn stored(&self, kind: Variable) -> Vec<StoredVariable> {
        match (&self.context.collections, self.collection(kind)) {
            (Some(collections), Some(key)) => collections.read(key, self.context.now / 1000),
            _ => Vec::new(),
        }
    }

    pub(super) fn collections(&self) -> Option<Arc<dyn crate::variables::Collections>> {
        self.context.collections.clone()
    }
}
