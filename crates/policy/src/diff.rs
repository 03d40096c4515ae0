//! What changes for each operation from one policy to another.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::effective::{Effective, EffectiveApi, EffectiveGuard, EffectiveOperation};

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The API's name; absent where something outside the APIs changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// The operation's label; absent where the API itself changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// `added`, `removed` or `changed`.
    pub change: &'static str,
    /// What changes: a setting or a guard; absent where a whole API or operation comes or goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// After.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.change)?;
        for part in [&self.api, &self.operation].into_iter().flatten() {
            write!(f, " {part}")?;
        }
        match (&self.api, &self.what) {
            (Some(_), Some(what)) => write!(f, ": {what}")?,
            (None, Some(what)) => write!(f, " {what}")?,
            (_, None) => {}
        }
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "\n  - {old}\n  + {new}"),
            (Some(old), None) => write!(f, "\n  - {old}"),
            (None, Some(new)) => write!(f, "\n  + {new}"),
            (None, None) => Ok(()),
        }
    }
}

/// Every difference, in the order of the old policy and then of what is new.
#[must_use]
pub fn diff(old: &Effective, new: &Effective) -> Vec<Change> {
    let mut changes = Vec::new();
    changed_settings(None, &old.settings, &new.settings, &mut changes);
    for api in &old.apis {
        match new.apis.iter().find(|other| other.name == api.name) {
            Some(other) => changed_api(api, other, &mut changes),
            None => changes.push(whole(&api.name, None, "removed")),
        }
    }
    for api in new.apis.iter().filter(|api| !old.apis.iter().any(|other| other.name == api.name)) {
        changes.push(whole(&api.name, None, "added"));
    }
    changes
}

fn whole(api: &str, operation: Option<&str>, change: &'static str) -> Change {
    Change {
        api: Some(api.to_owned()),
        operation: operation.map(str::to_owned),
        change,
        what: None,
        old: None,
        new: None,
    }
}

/// Settings come and go by their path; a list of backends is told as a whole.
fn changed_settings(
    api: Option<&str>,
    old: &BTreeMap<String, Value>,
    new: &BTreeMap<String, Value>,
    changes: &mut Vec<Change>,
) {
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for path in paths.into_iter().filter(|path| !["upstream", "upstream.backends"].contains(&path.as_str())) {
        let (before, after) = (old.get(path), new.get(path));
        if before == after {
            continue;
        }
        changes.push(Change {
            api: api.map(str::to_owned),
            operation: None,
            change: match (before, after) {
                (None, _) => "added",
                (_, None) => "removed",
                _ => "changed",
            },
            what: Some(path.clone()),
            old: before.map(Value::to_string),
            new: after.map(Value::to_string),
        });
    }
}

fn changed_api(old: &EffectiveApi, new: &EffectiveApi, changes: &mut Vec<Change>) {
    let settings = [
        ("hosts", old.hosts.join(", "), new.hosts.join(", ")),
        ("base_path", old.base_path.clone(), new.base_path.clone()),
        ("backends", old.backends.join(", "), new.backends.join(", ")),
        ("unknown_operations", old.unknown_operations.to_owned(), new.unknown_operations.to_owned()),
        ("max_body", old.max_body.to_string(), new.max_body.to_string()),
    ];
    for (what, before, after) in settings.into_iter().filter(|(_, before, after)| before != after) {
        changes.push(Change {
            what: Some(what.to_owned()),
            old: Some(before),
            new: Some(after),
            ..whole(&old.name, None, "changed")
        });
    }
    changed_settings(Some(&old.name), &old.settings, &new.settings, changes);
    let same = |a: &EffectiveOperation, b: &EffectiveOperation| a.label == b.label && a.blocks == b.blocks;
    for operation in &old.operations {
        match new.operations.iter().find(|other| same(operation, other)) {
            Some(other) => changed_operation(&old.name, operation, other, changes),
            None => {
                // A changed set of blocks is a change of the operation as long as its label is there.
                match new.operations.iter().find(|other| other.label == operation.label) {
                    Some(other) if !old.operations.iter().any(|known| same(known, other)) => {
                        changed_operation(&old.name, operation, other, changes);
                    }
                    _ => changes.push(whole(&old.name, Some(&title(operation)), "removed")),
                }
            }
        }
    }
    for operation in new.operations.iter().filter(|one| !old.operations.iter().any(|other| same(other, one)))
    {
        match old.operations.iter().find(|other| other.label == operation.label) {
            None => changes.push(whole(&new.name, Some(&title(operation)), "added")),
            // What was told apart from an operation that goes on, such as unknown ones that an exclusion names.
            Some(before) if new.operations.iter().any(|other| same(before, other)) => {
                changed_operation(&new.name, before, operation, changes);
            }
            Some(_) => {}
        }
    }
}

fn title(operation: &EffectiveOperation) -> String {
    match operation.blocks.as_slice() {
        [] => operation.label.clone(),
        [one] if *one == operation.label => operation.label.clone(),
        blocks => format!("{} ({})", operation.label, blocks.join(" + ")),
    }
}

fn changed_operation(
    api: &str,
    old: &EffectiveOperation,
    new: &EffectiveOperation,
    changes: &mut Vec<Change>,
) {
    let find = |guards: &[EffectiveGuard], id: &str| guards.iter().find(|guard| guard.guard == id).cloned();
    let mut ids: Vec<&str> = old.guards.iter().chain(&new.guards).map(|guard| guard.guard).collect();
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        let (before, after) = (find(&old.guards, id), find(&new.guards, id));
        if before == after {
            continue;
        }
        let text =
            |guard: Option<EffectiveGuard>| guard.map(|guard| format!("{} {}", guard.mode, guard.config));
        let change = match (&before, &after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        changes.push(Change {
            what: Some(id.to_owned()),
            old: text(before),
            new: text(after),
            ..whole(api, Some(&title(new)), change)
        });
    }
}
