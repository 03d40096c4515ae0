//! Macros to text.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::values::View;
use crate::{
    lang::{Part, Text},
    variables::Variable,
};

/// How long an expanded text may become, bytes: macros of long values would multiply them.
const MAX_EXPANDED: usize = 64 * 1024;

/// How long an expanded text usually is, bytes.
const USUAL: usize = 64;

impl<'l> View<'_, 'l> {
    /// The text with every macro replaced by the first value of its variable, or by nothing.
    pub(super) fn expand<'t>(self, text: &'t Text) -> Cow<'t, [u8]>
    where
        'l: 't,
    {
        match text.parts() {
            [] => return Cow::Borrowed(b""),
            [Part::Literal(literal)] => return Cow::Borrowed(literal),
            [Part::Macro { variable: Variable::Tx, key }] => {
                let value = key.as_deref().and_then(|key| self.live.tx.get(key)).unwrap_or_default();
                return Cow::Borrowed(value.get(..MAX_EXPANDED).unwrap_or(value));
            }
            _ => {}
        }
        Cow::Owned(self.expand_short(text).into_vec())
    }

    /// The same, on the stack where it is as short as most are.
    pub(super) fn expand_short(self, text: &Text) -> SmallVec<[u8; USUAL]> {
        let mut expanded = SmallVec::new();
        for part in text.parts() {
            match part {
                Part::Literal(literal) => expanded.extend_from_slice(literal),
                Part::Macro { variable: Variable::Tx, key } => {
                    let value = key.as_deref().and_then(|key| self.live.tx.get(key));
                    expanded.extend_from_slice(value.unwrap_or_default());
                }
                Part::Macro { variable, key } => {
                    expanded.extend_from_slice(&self.first(*variable, key.as_deref()));
                }
            }
        }
        expanded.truncate(MAX_EXPANDED);
        expanded
    }
}
