//! Macros to text.

use super::values::View;
use crate::lang::{Part, Text};

/// How long an expanded text may become, bytes: macros of long values would multiply them.
const MAX_EXPANDED: usize = 64 * 1024;

impl View<'_, '_> {
    /// The text with every macro replaced by the first value of its variable, or by nothing.
    pub(super) fn expand(self, text: &Text) -> Vec<u8> {
        let mut expanded = Vec::new();
        for part in text.parts() {
            match part {
                Part::Literal(literal) => expanded.extend_from_slice(literal),
                Part::Macro { variable, key } => {
                    expanded.extend_from_slice(&self.first(*variable, key.as_deref()));
                }
            }
        }
        expanded.truncate(MAX_EXPANDED);
        expanded
    }
}
