//! What a text must have for a test to find something in it. Most values are proved harmless by it: short ones, and
//! those of letters and digits alone, are never scanned.

use regex_syntax::hir::{Hir, HirKind};
use smallvec::SmallVec;

use super::atoms::of_bytes;
use crate::transform::{ByteSet, Letters};

/// How many sets are kept of a test: the strictest ones.
const MAX_SETS: usize = 12;
/// How many are looked at while an expression is read: alternatives multiply them.
const MAX_READ: usize = 32;
/// How many phrases, less those that others imply, are looked at one by one.
const MAX_PHRASES: usize = 48;

/// Conditions without which a test finds nothing, in terms of the kinds of bytes or of letters.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    /// Bytes.
    length: usize,
    /// Of each of these sets the text must have something.
    all: SmallVec<[Letters; 4]>,
    /// The text must have all of at least one of these, where there are any.
    any: SmallVec<[Letters; 4]>,
}

/// In which terms needs are put: what is told of a byte.
pub(super) type Terms = fn(u8) -> Letters;

/// In terms of the kinds of bytes.
pub(super) fn by_kinds(byte: u8) -> Letters {
    ByteSet::of(&[byte]).into()
}

/// In terms of letters in either case, and of kinds where a byte is none.
pub(super) fn by_letters(byte: u8) -> Letters {
    Letters::telling(byte)
}

impl Needs {
    /// What no text has.
    pub(super) fn impossible() -> Self {
        Needs { length: usize::MAX, ..Needs::default() }
    }

    /// What a match of the expression needs.
    pub(super) fn of_pattern(hir: &Hir, terms: Terms) -> Self {
        let length = hir.properties().minimum_len().unwrap_or_default();
        let mut all = sets(hir, terms);
        all.truncate(MAX_SETS);
        Needs { length, all: all.into(), any: SmallVec::new() }
    }

    /// What a match of one of the phrases, in any case, needs.
    pub(super) fn of_phrases(phrases: &[Box<[u8]>], terms: Terms) -> Self {
        let mut any: Vec<Letters> = Vec::new();
        for phrase in phrases {
            let small = phrase.iter().map(u8::to_ascii_lowercase);
            let all = small.fold(Letters::default(), |all, byte| all.with(terms(byte)));
            if any.iter().any(|known| known.within(all)) {
                continue;
            }
            any.retain(|known| !all.within(*known));
            any.push(all);
        }
        if any.len() > MAX_PHRASES {
            any.clear();
        }
        let length = phrases.iter().map(|phrase| phrase.len()).min().unwrap_or_default();
        Needs { length, all: SmallVec::new(), any: any.into() }
    }

    /// What a text that has one of these kinds of bytes needs.
    pub(super) fn of_kinds(kinds: ByteSet) -> Self {
        Needs { length: 1, all: [kinds.into()].into_iter().collect(), any: SmallVec::new() }
    }

    /// What a text that has all of these bytes needs.
    pub(super) fn of_bytes(bytes: &[u8], terms: Terms) -> Self {
        let all = strictest(bytes.iter().map(|byte| terms(*byte)).collect());
        Needs { length: bytes.len(), all: all.into(), any: SmallVec::new() }
    }

    /// Whether a text of at most `length` bytes that has only these may be one in which the test finds something.
    pub(super) fn allow(&self, has: Letters, length: usize) -> bool {
        length >= self.length
            && self.all.iter().all(|set| set.any(has))
            && (self.any.is_empty() || self.any.iter().any(|set| set.within(in_small(has))))
    }
}

/// With small letters where there are capitals: phrases are found in either case.
fn in_small(has: Letters) -> Letters {
    if has.kinds().any(ByteSet::UPPER) { has.with(ByteSet::LOWER.into()) } else { has }
}

/// Sets of which every match has something each, the strictest first. None of them contains another.
fn sets(hir: &Hir, terms: Terms) -> Vec<Letters> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Vec::new(),
        HirKind::Literal(literal) => strictest(literal.0.iter().map(|byte| terms(*byte)).collect()),
        HirKind::Class(class) => {
            let Some(class) = of_bytes(class) else { return Vec::new() };
            let bytes = class.ranges().iter().flat_map(|range| range.start()..=range.end());
            vec![bytes.fold(Letters::default(), |all, byte| all.with(terms(byte)))]
        }
        HirKind::Repetition(repetition) if repetition.min == 0 => Vec::new(),
        HirKind::Repetition(repetition) => sets(&repetition.sub, terms),
        HirKind::Capture(capture) => sets(&capture.sub, terms),
        HirKind::Concat(parts) => strictest(parts.iter().flat_map(|part| sets(part, terms)).collect()),
        HirKind::Alternation(parts) => {
            let mut parts = parts.iter().map(|part| sets(part, terms));
            let mut either = parts.next().unwrap_or_default();
            for part in parts {
                if either.is_empty() {
                    break;
                }
                let both = either.iter().flat_map(|one| part.iter().map(|other| one.with(*other)));
                either = strictest(both.collect());
            }
            either
        }
    }
}

/// Without the sets that contain another, the smallest first.
fn strictest(mut all: Vec<Letters>) -> Vec<Letters> {
    all.sort_by_key(|set| set.len());
    let mut kept: Vec<Letters> = Vec::new();
    for set in all {
        if kept.len() < MAX_READ && !kept.iter().any(|known| known.within(set)) {
            kept.push(set);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;
    use crate::engine::fast::scan::parse;

    fn allows(expression: &str, text: &str, terms: Terms) -> bool {
        Needs::of_pattern(&parse(expression).unwrap(), terms).allow(Letters::of(text.as_bytes()), text.len())
    }

    #[test]
    fn what_lacks_a_kind_or_a_length_is_refused() {
        for (expression, text, kinds, letters) in [
            ("(?i)select", "abc", false, false),
            ("(?i)select", "abcdef", true, false),
            ("(?i)select", "TELCES", true, true),
            ("(?i)select", "123456", false, false),
            ("(?i)(?:select|union)x", "unionx", true, true),
            ("(?i)(?:select|union)x", "ununux", true, false),
            (r"\d+\s*--", "12 34", false, false),
            (r"\d+\s*--", "1-2-3", true, true),
            (r"a(?:\(|<x)b", "aaaa", false, false),
            (r"a(?:\(|<x)b", "a(b", true, true),
            (r"a(?:\(|<x)b", "a<xb", true, true),
            (r"a(?:\(|<x)?b", "ab", true, true),
            (r"a(?:\(|<x){1,2}b", "ab", false, false),
            (r"a;", "a,", true, false),
            (r"[^a-z]x", "0x", true, true),
            (r"[^a-z]x", "ax", false, true),
            (r"\bx\b", "", false, false),
            ("^.*$", "", true, true),
        ] {
            assert_eq!(allows(expression, text, by_kinds), kinds, "{expression} in {text}");
            assert_eq!(allows(expression, text, by_letters), letters, "{expression} in {text}, by letters");
        }
    }

    #[test]
    fn phrases_need_all_of_one() {
        let list: Vec<Box<[u8]>> =
            ["etc/passwd", "a/b", "x=1"].iter().map(|text| text.as_bytes().into()).collect();
        for (text, kinds, letters) in [
            ("ETC/B", true, false),
            ("B/A", true, true),
            ("a/", false, false),
            ("abcd", false, false),
            ("X=100", true, true),
            ("x=y", false, false),
        ] {
            let has = Letters::of(text.as_bytes());
            for (terms, expected) in [(by_kinds as Terms, kinds), (by_letters as Terms, letters)] {
                assert_eq!(Needs::of_phrases(&list, terms).allow(has, text.len()), expected, "{text}");
            }
        }
    }
}
