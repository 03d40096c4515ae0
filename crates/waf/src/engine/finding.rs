//! What an inspection tells.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::{
    lang::{Phase, Place, Severity},
    transform::Transformation,
    variables::Variable,
};

/// A rule that matched and is to be told.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule's number.
    pub rule: u64,
    /// Where the rule stands.
    pub place: Place,
    /// When it matched.
    pub phase: Phase,
    /// What it tells; may hold parts of values, so it is to be redacted before it is shown.
    pub msg: Vec<u8>,
    /// What it tells about the value; to be redacted before it is shown.
    pub logdata: Vec<u8>,
    /// How bad it is.
    pub severity: Option<Severity>,
    /// Its labels.
    pub tags: Vec<String>,
    /// What it added to variables that are anomaly scores.
    pub score: i64,
    /// The values that matched, at most [`Finding::MAX_MATCHES`].
    pub matches: Vec<Match>,
    /// Whether it is told, or only counts for the audit log.
    pub log: bool,
    /// Whether the exchange belongs into the audit log.
    pub audit_log: bool,
    /// Whether the rule stops the exchange, or would if the engine did more than detect.
    pub stops: bool,
    /// Whether the rule only watches: its score counts nowhere, and it stops nothing.
    pub watched: bool,
}

impl Finding {
    /// How many values of one match are kept: enough to explain it.
    pub const MAX_MATCHES: usize = 8;
}

/// One value that matched.
#[derive(Clone, Debug)]
pub struct Match {
    /// Which variable.
    pub variable: Variable,
    /// Which part of it; empty for a variable without parts.
    pub name: SmallVec<[u8; 32]>,
    /// The value that the operator saw, at most [`Match::MAX_VALUE`] bytes around what matched.
    pub value: SmallVec<[u8; 32]>,
    /// Where in `value` the match lies, for operators that find a place.
    pub span: Option<(usize, usize)>,
    /// What was done with the value first.
    pub transformations: Arc<[Transformation]>,
}

impl Match {
    /// How much of a value is kept.
    pub const MAX_VALUE: usize = 512;

    /// Keeps the part of `value` around `span`.
    pub(super) fn new(
        variable: Variable,
        name: &[u8],
        value: &[u8],
        span: Option<(usize, usize)>,
        transformations: Arc<[Transformation]>,
    ) -> Self {
        let name = SmallVec::from_slice(name.get(..Self::MAX_VALUE).unwrap_or(name));
        let start = match span {
            Some((start, _)) if value.len() > Self::MAX_VALUE => start.saturating_sub(Self::MAX_VALUE / 4),
            _ => 0,
        };
        let end = value.len().min(start + Self::MAX_VALUE);
        let kept = SmallVec::from_slice(value.get(start..end).unwrap_or_default());
        let span = span.map(|(from, to)| (from.saturating_sub(start), to.min(end).saturating_sub(start)));
        Match { variable, name, value: kept, span, transformations }
    }

    /// `ARGS:id`.
    #[must_use]
    pub fn full_name(&self) -> Vec<u8> {
        full_name(self.variable, &self.name)
    }
}

/// `ARGS:id`, or `REQUEST_URI` for a variable without parts.
pub(super) fn full_name(variable: Variable, name: &[u8]) -> Vec<u8> {
    let mut full = variable.name().as_bytes().to_vec();
    if !name.is_empty() {
        full.push(b':');
        full.extend_from_slice(name);
    }
    full
}

/// What is done with the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Refused with the status.
    Deny,
    /// The connection is closed without an answer.
    Drop,
    /// Sent to this address, which rules may build from values of the request.
    Redirect(Vec<u8>),
}

/// The end of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interruption {
    /// Which rule.
    pub rule: u64,
    /// When.
    pub phase: Phase,
    /// How.
    pub stop: Stop,
    /// 100 to 599.
    pub status: u16,
}
