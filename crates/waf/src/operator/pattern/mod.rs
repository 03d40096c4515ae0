//! Regular expressions: `@rx` and `@rxGlobal`.

mod expression;
mod native;
mod pcre;

use self::native::Native;
pub(super) use self::{
    expression::{Automata, Expression},
    pcre::translate,
};
use super::{GROUPS, OperatorContext};

/// One regular expression over bytes. It sees the value as one line (`.` is any byte, `^` and `$` are its ends) and
/// knows no letters beyond ASCII, as `ModSecurity` 2 and the Core Rule Set have it.
#[derive(Debug)]
pub(super) enum Pattern {
    Expression(Box<Expression>),
    Native(Native),
}

impl Pattern {
    /// Compiles an expression in the syntax of PCRE.
    ///
    /// # Errors
    /// What is no expression, or one that cannot run in linear time (look-around, back references, possessive
    /// quantifiers), unless it is one that has an equivalent in this crate.
    pub(super) fn compile(argument: &[u8]) -> Result<Self, String> {
        let plain = native::plain(argument);
        match Native::of(&plain) {
            Some(native) => Ok(Self::Native(native)),
            None => Ok(Self::Expression(Box::new(Expression::compile(&translate(&plain)?)?))),
        }
    }

    /// The translated expression, unless it is an equivalent.
    pub(super) const fn expression(&self) -> Option<&str> {
        match self {
            Self::Expression(expression) => Some(expression.text()),
            Self::Native(_) => None,
        }
    }

    #[inline(never)]
    pub(super) fn matches(&self, value: &[u8], context: &mut OperatorContext) -> bool {
        match self {
            Self::Native(native) => native.matches(value, context),
            Self::Expression(expression) => {
                let Some((start, end)) = expression.find(value, 0, &mut context.automata) else {
                    return false;
                };
                context.captured(start, end);
                if context.capturing && expression.groups() > 1 {
                    capture(expression, value, start, 0, context);
                }
                true
            }
        }
    }

    /// Gathers the groups of every match, one after the other, until all [`GROUPS`] places are taken.
    #[inline(never)]
    pub(super) fn matches_all(&self, value: &[u8], context: &mut OperatorContext) -> bool {
        let Self::Expression(expression) = self else { return self.matches(value, context) };
        if !context.capturing {
            return self.matches(value, context);
        }
        let mut place = 0;
        let mut from = 0;
        while place < GROUPS {
            let Some((start, end)) = expression.find(value, from, &mut context.automata) else { break };
            if place == 0 {
                context.found(start, end);
            }
            // An empty match counts only where it is the first.
            if start < end || place == 0 {
                capture(expression, value, start, place, context);
                place += expression.groups();
            }
            from = end + usize::from(start == end);
        }
        place > 0
    }

    /// The first match at or after `from`.
    pub(super) fn find_at(
        &self,
        value: &[u8],
        from: usize,
        context: &mut OperatorContext,
    ) -> Option<(usize, usize)> {
        match self {
            Self::Expression(expression) => expression.find(value, from, &mut context.automata),
            Self::Native(_) => None,
        }
    }
}

/// Notes the groups of the match that begins at `start`, the first of them in `place`.
fn capture(expression: &Expression, value: &[u8], start: usize, place: usize, context: &mut OperatorContext) {
    let mut automata = std::mem::take(&mut context.automata);
    expression.capture(value, start, &mut automata, |index, group| context.set_group(place + index, group));
    context.automata = automata;
}
