//! What a new version of a contract changes: for the clients that are there, and for security.

mod operations;
mod schemas;

use std::collections::HashSet;

use bartizan_model::diagnostic::Place;
use serde::Serialize;

use crate::form::Description;

/// Changes of one comparison, at most.
const MAX_CHANGES: usize = 20_000;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What changed, a stable id such as `operation-removed`.
    pub kind: &'static str,
    /// Whether a client of the old version may fail with the new one.
    pub breaking: bool,
    /// What it does to security.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security: Option<Effect>,
    /// The operation, as `METHOD /template`.
    pub operation: String,
    /// What changed, in words.
    pub message: String,
    /// Where the old version says so.
    pub old: Option<Place>,
    /// Where the new version says so.
    pub new: Option<Place>,
}

/// What a change does to security.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// More callers, more data in or more data out than before.
    Loosened,
    /// Fewer or less.
    Tightened,
}

/// Compares two versions of a contract. Operations are the same if their method is and their paths but for the names of
/// parameters. The changes stand in the order of the old version, those of new operations at the end.
#[must_use]
pub fn compare(old: &Description, new: &Description) -> Vec<Change> {
    let mut comparison = Comparison { old, new, changes: Vec::new(), said: HashSet::new() };
    operations::compare(&mut comparison);
    comparison.changes
}

/// A comparison that is under way.
struct Comparison<'a> {
    old: &'a Description,
    new: &'a Description,
    changes: Vec<Change>,
    /// Operations and messages: what two media types share changes once.
    said: HashSet<(String, String)>,
}

impl Comparison<'_> {
    fn push(&mut self, change: Change) {
        let said = (change.operation.clone(), change.message.clone());
        if self.changes.len() < MAX_CHANGES && self.said.insert(said) {
            self.changes.push(change);
        }
    }
}
