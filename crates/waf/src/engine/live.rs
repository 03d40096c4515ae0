//! What changes while rules are looked at.

use std::sync::Arc;

use super::{
    finding::{Finding, Interruption},
    inspection::Context,
};
use crate::{
    lang::{AllowScope, AuditMode, EngineMode, Phase, Processor, RuleSet, Target, Which},
    variables::{CollectionKey, StoredVariable, Tx, Variable},
};

/// How many values of a chain `MATCHED_VARS` keeps: a rule on them costs their number.
const MAX_MATCHED: usize = 1024;

/// A value that matched.
#[derive(Clone, Debug, Default)]
pub(super) struct Matched {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
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
    /// The rule that is looked at, by index.
    pub(super) rule: Option<usize>,
    pub(super) highest_severity: Option<u8>,
    pub(super) engine: EngineMode,
    pub(super) audit: AuditMode,
    pub(super) controls: Controls,
    pub(super) allowed: Option<(AllowScope, Phase)>,
    pub(super) removed: Removed,
    pub(super) findings: Vec<Finding>,
    pub(super) interruption: Option<Interruption>,
    /// What would have ended the exchange first, if the engine did more than detect.
    pub(super) would_interrupt: Option<Interruption>,
    /// What the current rule added to scores.
    pub(super) score: i64,
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
    pub(super) parse_xml_into_args: bool,
}

/// Rules and variables that `ctl` took away.
#[derive(Debug, Default)]
pub(super) struct Removed {
    /// By rule index; empty where none is.
    rules: Vec<bool>,
    targets: Vec<(usize, Target)>,
}

impl Removed {
    pub(super) fn rule(&mut self, set: &RuleSet, which: &Which) {
        self.rules.resize(set.rules.len(), false);
        for (gone, rule) in self.rules.iter_mut().zip(&set.rules) {
            *gone |= means(which, rule);
        }
    }

    pub(super) fn target(&mut self, set: &RuleSet, which: &Which, target: &Target) {
        let meant = set.rules.iter().enumerate().filter(|(_, rule)| means(which, rule));
        let new: Vec<_> = meant
            .map(|(index, _)| (index, target.clone()))
            .filter(|entry| !self.targets.contains(entry))
            .collect();
        self.targets.extend(new);
    }

    pub(super) fn has(&self, rule: usize) -> bool {
        self.rules.get(rule) == Some(&true)
    }

    pub(super) fn excludes(&self, rule: usize, variable: Variable, name: &[u8]) -> bool {
        let mut targets = self.targets.iter().filter(|(index, _)| *index == rule);
        targets.any(|(_, target)| target.variable == variable && target.selector.selects(name))
    }
}

fn means(which: &Which, rule: &crate::lang::Rule) -> bool {
    match which {
        Which::Ids(ids) => ids.contains(rule.id),
        Which::Tag(label) => rule.tags.iter().any(|tag| label.is(&tag.source())),
        Which::Msg(label) => rule.msg.as_ref().is_some_and(|msg| label.is(&msg.source())),
    }
}

impl Live {
    pub(super) fn new(set: &RuleSet, context: Context) -> Self {
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
                parse_xml_into_args: settings.parse_xml_into_args,
            },
            allowed: None,
            removed: Removed::default(),
            findings: Vec::new(),
            interruption: None,
            would_interrupt: None,
            score: 0,
        }
    }

    pub(super) fn matches(&mut self, name: Vec<u8>, value: &[u8]) {
        self.matched = Matched { name, value: value.to_vec() };
        if self.matched_all.len() < MAX_MATCHED {
            self.matched_all.push(self.matched.clone());
        }
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
