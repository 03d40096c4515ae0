//! The exclusions of an API: what one guard no longer looks at, for all operations or for one, with a reason and an end.

use bartizan_contract::tree::{Node, Value};
use bartizan_model::Diagnostic;

use super::{Compiler, api::WrittenBlock, guards::SectionSet};
use crate::routing::Block;

/// The guard that takes exclusions.
const TAKES: &str = "waf";

/// Origins of blocks that only exclusions name, behind those of all that are written.
const FIRST_ORIGIN: u32 = 1 << 20;

/// One entry.
pub(super) struct Exclusion {
    /// What the guard reads of it.
    node: Node,
    /// The label of the operation that it is for.
    operation: Option<String>,
    path: String,
}

impl Compiler<'_> {
    /// The exclusions of an API, and blocks for operations that nothing else names.
    pub(super) fn exclusions(
        &mut self,
        node: &Node,
        path: &str,
        blocks: &mut Vec<(u32, WrittenBlock)>,
    ) -> Vec<Exclusion> {
        let Some(list) = node.get("exclusions") else { return Vec::new() };
        if !matches!(list.value, Value::List(_)) && !list.is_null() {
            let wrong = format!("expected a list of exclusions, found {}", list.kind());
            self.error(
                &format!("{path}.exclusions"),
                wrong,
                "write `- { guard: waf, rule: 942100, operation: POST /notes, reason: \"..\" }`",
            );
        }
        let mut exclusions = Vec::new();
        for (index, item) in list.items().iter().enumerate() {
            let at = format!("{path}.exclusions[{index}]");
            let mut node = item.clone();
            match node.take("guard").as_ref().and_then(|entry| entry.value.as_str()) {
                Some(TAKES) => {}
                Some(other) => {
                    self.error(
                        &format!("{at}.guard"),
                        format!("`{other}` takes no exclusions"),
                        format!("write `guard: {TAKES}`"),
                    );
                    continue;
                }
                None => {
                    self.error(&at, "`guard` is missing here", format!("write `guard: {TAKES}`"));
                    continue;
                }
            }
            let operation = match node.take("operation") {
                None => None,
                Some(entry) => {
                    let text = entry.value.as_str().unwrap_or_default();
                    match Block::parse(text) {
                        Ok(block) => Some(block),
                        Err(why) => {
                            self.error_text(&format!("{at}.operation"), &why);
                            continue;
                        }
                    }
                }
            };
            let operation = operation.map(|block| {
                let label = block.label.clone();
                if !blocks.iter().any(|(_, written)| written.block.label == label) {
                    let origin = FIRST_ORIGIN + u32::try_from(index).unwrap_or_default();
                    blocks.push((origin, WrittenBlock::silent(block, at.clone())));
                }
                label
            });
            exclusions.push(Exclusion { node, operation, path: at });
        }
        exclusions
    }

    /// Exclusions that leave nothing out: the guard is not mounted where they hold.
    pub(super) fn warn_of_idle_exclusions(&mut self, idle: &[String]) {
        for path in idle {
            let mut diagnostic = Diagnostic::warning(
                path.clone(),
                format!(
                    "the exclusion leaves nothing out: `{TAKES}` is mounted on no operation that it is for"
                ),
            )
            .help(format!("mount `{TAKES}` there, or remove the exclusion"));
            diagnostic.place = self.sources.place(self.tree.locate(path));
            self.report.push(diagnostic);
        }
    }
}

/// The exclusions of an API while its operations are compiled.
pub(super) struct Exclusions {
    list: Vec<Exclusion>,
    used: std::cell::RefCell<Vec<bool>>,
}

impl Exclusions {
    pub(super) fn new(list: Vec<Exclusion>) -> Self {
        let used = vec![false; list.len()].into();
        Exclusions { list, used }
    }

    /// Adds those that hold for an operation with these blocks to its guard.
    pub(super) fn apply(&self, chosen: &[&WrittenBlock], sections: &mut SectionSet) {
        for (exclusion, used) in self.list.iter().zip(self.used.borrow_mut().iter_mut()) {
            let holds = exclusion
                .operation
                .as_ref()
                .is_none_or(|label| chosen.iter().any(|written| written.block.label == *label));
            if holds {
                *used |= sections.append(TAKES, "exclusions", exclusion.node.clone());
            }
        }
    }

    /// The paths of those that were added nowhere.
    pub(super) fn idle(&self) -> Vec<String> {
        let used = self.used.borrow();
        let unused = self.list.iter().zip(used.iter()).filter(|(_, used)| !**used);
        unused.map(|(exclusion, _)| exclusion.path.clone()).collect()
    }
}
