//! Regular expressions: `@rx` and `@rxGlobal`.

mod native;
mod pcre;

use regex::bytes::{Regex, RegexBuilder};

use self::native::Native;
pub(super) use self::pcre::translate;
use super::{GROUPS, OperatorContext};

/// What one compiled expression may take: twice what the largest of the Core Rule Set takes.
const PROGRAM_BYTES: usize = 8 << 20;
/// What the lazily built automaton of one expression may take per thread that runs it.
const AUTOMATON_BYTES: usize = 1 << 20;

/// One regular expression over bytes. It sees the value as one line (`.` is any byte, `^` and `$` are its ends) and
/// knows no letters beyond ASCII, as `ModSecurity` 2 and the Core Rule Set have it.
#[derive(Debug)]
pub(super) enum Pattern {
    Regex(Box<Regex>),
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
            None => Ok(Self::Regex(Box::new(build(&translate(&plain)?)?))),
        }
    }

    /// The translated expression, unless it is an equivalent.
    pub(super) fn expression(&self) -> Option<&str> {
        match self {
            Self::Regex(regex) => Some(regex.as_str()),
            Self::Native(_) => None,
        }
    }

    #[inline(never)]
    pub(super) fn matches(&self, value: &[u8], context: &mut OperatorContext) -> bool {
        match self {
            Self::Native(native) => native.matches(value, context),
            Self::Regex(regex) => {
                let Some(found) = regex.find(value) else { return false };
                context.captured(found.start(), found.end());
                if context.capturing && regex.captures_len() > 1 {
                    groups(regex, value, found.start(), 0, context);
                }
                true
            }
        }
    }

    /// Gathers the groups of every match, one after the other, until all [`GROUPS`] places are taken.
    #[inline(never)]
    pub(super) fn matches_all(&self, value: &[u8], context: &mut OperatorContext) -> bool {
        let Self::Regex(regex) = self else { return self.matches(value, context) };
        if !context.capturing {
            return self.matches(value, context);
        }
        let mut place = 0;
        let mut from = 0;
        while place < GROUPS && from <= value.len() {
            let Some(found) = regex.find_at(value, from) else { break };
            let empty = found.start() == found.end();
            if place == 0 {
                context.found(found.start(), found.end());
            }
            // An empty match counts only where it is the first.
            if !empty || place == 0 {
                place = groups(regex, value, found.start(), place, context);
            }
            from = found.end() + usize::from(empty);
        }
        place > 0
    }

    /// The first match at or after `from`.
    pub(super) fn find_at(&self, value: &[u8], from: usize) -> Option<(usize, usize)> {
        match self {
            Self::Regex(regex) => {
                let found = regex.find_at(value, from)?;
                Some((found.start(), found.end()))
            }
            Self::Native(_) => None,
        }
    }
}

/// Notes the groups of the match that begins at `start`, the first of them in `place`; gives the place after them.
fn groups(regex: &Regex, value: &[u8], start: usize, place: usize, context: &mut OperatorContext) -> usize {
    let Some(captures) = regex.captures_at(value, start) else { return place };
    for (index, group) in captures.iter().enumerate().take(GROUPS) {
        context.set_group(place + index, group.map(|group| (group.start(), group.end())));
    }
    place + captures.len()
}

/// Compiles a translated expression within the limits above.
pub(super) fn build(expression: &str) -> Result<Regex, String> {
    RegexBuilder::new(expression)
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(PROGRAM_BYTES)
        .dfa_size_limit(AUTOMATON_BYTES)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => {
                format!("the expression takes more than {limit} bytes compiled: use smaller repetitions")
            }
            error => {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                format!("no regular expression: {reason}")
            }
        })
}
