//! Pieces of text without which a test finds nothing. All pieces of all tests are searched at once by one automaton that
//! is built when rules are loaded, so that what most texts cost does not depend on what they say; a test is made only
//! of a text that has the pieces it asks for.

use std::borrow::Cow;

use ahash::AHashSet;
use regex_syntax::hir::{Class, ClassBytes, Hir, HirKind, Repetition};

/// How many clauses are kept of a test: those that the fewest texts fulfil.
pub(super) const MAX_CLAUSES: usize = 2;
/// The longest piece, bytes: of longer ones a part is searched.
const MAX_PIECE: usize = 5;
/// How many texts a part of an expression may stand for before they are no longer told one by one.
const MAX_TEXTS: usize = 3000;
/// The same for what is put together of several parts.
const MAX_CROSSED: usize = 64;
/// How many bytes a class may have to be taken byte by byte.
const MAX_CLASS: usize = 8;
/// The longest of these texts, bytes.
const MAX_LENGTH: usize = 24;
/// How often a clause may be fulfilled by chance, at each byte of common text, to be worth a search.
const MAX_CHANCE: f64 = 0.01;

/// Which bytes texts may have.
pub(super) type Alphabet = fn(u8) -> bool;

/// Pieces, in small letters, of which every text in which the test finds something has one. Without any there is no such
/// text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Clause {
    pub(super) pieces: Vec<Box<[u8]>>,
    /// How often one of them is found by chance, at each byte.
    chance: f64,
}

impl Clause {
    /// What a text needs to have one of these phrases, in any case.
    pub(super) fn of_phrases<'p>(phrases: impl IntoIterator<Item = &'p [u8]>) -> Option<Self> {
        Self::new(phrases.into_iter().map(<[u8]>::to_ascii_lowercase))
    }

    /// What a text needs to have one of these, in small letters; `None` where one is empty.
    fn new(texts: impl IntoIterator<Item = Vec<u8>>) -> Option<Self> {
        let mut pieces = AHashSet::new();
        for text in texts {
            pieces.insert(rarest(&text)?.to_vec());
        }
        // Where a piece is part of another, that one tells nothing.
        let is_lone = |piece: &&Vec<u8>| !parts(piece).any(|part| pieces.contains(part));
        let mut lone: Vec<Box<[u8]>> =
            pieces.iter().filter(is_lone).map(|piece| piece.as_slice().into()).collect();
        lone.sort_unstable();
        let chance = lone.iter().map(|piece| chance(piece)).sum();
        Some(Clause { pieces: lone, chance })
    }

    /// What every match of an expression needs, the rarest first, in texts of some bytes only.
    pub(super) fn of_expression(hir: &Hir, alphabet: Alphabet) -> Vec<Self> {
        let Known { texts, mut clauses } = read(hir, alphabet);
        clauses.extend(texts.and_then(Clause::new));
        clauses.retain(|clause| clause.chance <= MAX_CHANCE);
        clauses.sort_by(|one, other| one.chance.total_cmp(&other.chance));
        clauses.dedup();
        clauses.truncate(MAX_CLAUSES);
        clauses
    }
}

/// The proper parts of a piece.
fn parts(piece: &[u8]) -> impl Iterator<Item = &[u8]> {
    (1..piece.len()).flat_map(|length| piece.windows(length))
}

/// The part of a text that is found least often; `None` of an empty one.
fn rarest(text: &[u8]) -> Option<&[u8]> {
    if text.is_empty() {
        return None;
    }
    text.windows(text.len().min(MAX_PIECE)).min_by(|one, other| chance(one).total_cmp(&chance(other)))
}

/// How often a piece is found by chance.
fn chance(piece: &[u8]) -> f64 {
    piece.iter().map(|byte| frequency(*byte)).product()
}

/// How often a byte is met, roughly, in what people and programs write.
const fn frequency(byte: u8) -> f64 {
    match byte {
        b'e' => 0.09,
        b'a' | b'i' | b'n' | b'o' | b'r' | b's' | b't' => 0.06,
        b'c' | b'd' | b'h' | b'l' | b'm' | b'p' | b'u' => 0.03,
        b'a'..=b'z' => 0.02,
        b' ' => 0.1,
        b'0'..=b'9' => 0.04,
        b'-' | b'.' | b'/' | b'_' | b':' | b',' | b'=' | b'&' | b'%' | b'+' => 0.02,
        _ => 0.005,
    }
}

/// What is known of a part of an expression.
struct Known {
    /// All texts that it stands for, where they are few.
    texts: Option<Vec<Vec<u8>>>,
    /// What a text needs that has one of its matches.
    clauses: Vec<Clause>,
}

impl Known {
    const fn texts(texts: Vec<Vec<u8>>) -> Self {
        Known { texts: Some(texts), clauses: Vec::new() }
    }

    const fn nothing() -> Self {
        Known { texts: None, clauses: Vec::new() }
    }

    /// Nothing but the empty text.
    fn empty() -> Self {
        Known::texts(vec![Vec::new()])
    }

    fn is_impossible(&self) -> bool {
        self.texts.as_ref().is_some_and(Vec::is_empty)
    }

    /// The clause that the fewest texts fulfil.
    fn best(self) -> Option<Clause> {
        let mut clauses = self.clauses;
        clauses.extend(self.texts.and_then(Clause::new));
        clauses.into_iter().min_by(|one, other| one.chance.total_cmp(&other.chance))
    }
}

fn read(hir: &Hir, alphabet: Alphabet) -> Known {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Known::empty(),
        HirKind::Literal(literal) => match literal.0.iter().all(|byte| alphabet(*byte)) {
            true => Known::texts(vec![literal.0.to_ascii_lowercase()]),
            false => Known::texts(Vec::new()),
        },
        HirKind::Class(class) => {
            let Some(class) = of_bytes(class) else { return Known::nothing() };
            let bytes = class.ranges().iter().flat_map(|range| range.start()..=range.end());
            let mut texts = Vec::new();
            for byte in bytes.filter(|byte| alphabet(*byte)) {
                let text = vec![byte.to_ascii_lowercase()];
                if !texts.contains(&text) {
                    texts.push(text);
                }
                if texts.len() > MAX_CLASS {
                    return Known::nothing();
                }
            }
            Known::texts(texts)
        }
        HirKind::Repetition(repetition) => repeated(repetition, alphabet),
        HirKind::Capture(capture) => read(&capture.sub, alphabet),
        HirKind::Concat(parts) => in_a_row(parts.iter().map(|part| read(part, alphabet))),
        HirKind::Alternation(parts) => either(parts.iter().map(|part| read(part, alphabet)).collect()),
    }
}

/// A class as bytes: alternatives of single letters are read as a class of characters.
pub(super) fn of_bytes(class: &Class) -> Option<Cow<'_, ClassBytes>> {
    match class {
        Class::Bytes(class) => Some(Cow::Borrowed(class)),
        Class::Unicode(class) => class.to_byte_class().map(Cow::Owned),
    }
}

fn repeated(repetition: &Repetition, alphabet: Alphabet) -> Known {
    let once = read(&repetition.sub, alphabet);
    if once.is_impossible() {
        return if repetition.min == 0 { Known::empty() } else { once };
    }
    match (repetition.min, repetition.max) {
        (1, Some(1)) => once,
        (0, Some(1)) => match once.texts {
            Some(mut texts) if texts.len() < MAX_CROSSED => {
                texts.push(Vec::new());
                Known::texts(texts)
            }
            _ => Known::nothing(),
        },
        (0, _) => Known::nothing(),
        // What stands there several times stands there once.
        _ => {
            let mut clauses = once.clauses;
            clauses.extend(once.texts.and_then(Clause::new));
            Known { texts: None, clauses }
        }
    }
}

fn in_a_row(parts: impl Iterator<Item = Known>) -> Known {
    let mut clauses = Vec::new();
    // The texts of the parts that were read last, and whether these are all parts.
    let (mut run, mut is_whole) = (vec![Vec::new()], true);
    let mut impossible = false;
    for part in parts {
        impossible |= part.is_impossible();
        clauses.extend(part.clauses);
        let next = part.texts.as_ref().and_then(|texts| crossed(&run, texts));
        match next {
            Some(next) => run = next,
            None => {
                is_whole = false;
                let before = std::mem::replace(&mut run, part.texts.unwrap_or_else(|| vec![Vec::new()]));
                clauses.extend(Clause::new(before));
            }
        }
    }
    if impossible {
        Known::texts(Vec::new())
    } else if is_whole {
        Known { texts: Some(run), clauses }
    } else {
        clauses.extend(Clause::new(run));
        Known { texts: None, clauses }
    }
}

/// Each text followed by each other; `None` where that is too much.
fn crossed(texts: &[Vec<u8>], more: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    let longest = |texts: &[Vec<u8>]| texts.iter().map(Vec::len).max().unwrap_or_default();
    let count = texts.len() * more.len();
    let is_short = longest(texts) + longest(more) <= MAX_LENGTH;
    if !is_short || count > MAX_CROSSED && texts.len() > 1 && more.len() > 1 {
        return None;
    }
    Some(texts.iter().flat_map(|one| more.iter().map(|other| [one.as_slice(), other].concat())).collect())
}

fn either(mut parts: Vec<Known>) -> Known {
    parts.retain(|part| !part.is_impossible());
    let counts = parts.iter().map(|part| part.texts.as_ref().map(Vec::len));
    let count = counts.sum::<Option<usize>>();
    if count.is_some_and(|count| count <= MAX_TEXTS) {
        let mut texts: Vec<Vec<u8>> = parts.into_iter().filter_map(|part| part.texts).flatten().collect();
        texts.sort_unstable();
        texts.dedup();
        return Known::texts(texts);
    }
    let best: Option<Vec<Clause>> = parts.into_iter().map(Known::best).collect();
    let pieces = best.map(|clauses| clauses.into_iter().flat_map(|clause| clause.pieces));
    let clause = pieces.and_then(|pieces| Clause::new(pieces.map(<[u8]>::into_vec)));
    Known { texts: None, clauses: clause.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;
    use crate::engine::fast::scan::parse;

    fn clauses(expression: &str, alphabet: Alphabet) -> Vec<Vec<String>> {
        let told = |piece: &[u8]| piece.escape_ascii().to_string();
        let clauses = Clause::of_expression(&parse(expression).unwrap(), alphabet);
        clauses.iter().map(|clause| clause.pieces.iter().map(|piece| told(piece)).collect()).collect()
    }

    #[test]
    fn what_every_match_has_is_found() {
        for (expression, expected) in [
            ("(?i)union.*SELECT", vec![vec!["union"], vec!["selec"]]),
            (r"(?i)\b(?:sleep|benchmark)\s*\(", vec![vec!["hmark", "sleep"], vec!["("]]),
            (r"colou?r-", vec![vec!["lour-", "olor-"]]),
            (r"(?:foo)?barbar", vec![vec!["barba", "fooba"]]),
            (r"(?:foo|[a-z]+)", vec![]),
            (r"(?:foo+|x[a-z]*bar)", vec![vec!["bar", "fo"]]),
            (r"(?:\.git){2,}", vec![vec![".git"]]),
            (r"[a-z]+", vec![]),
            (r"x*", vec![]),
            (r"(?:a|b|)cdcd", vec![vec!["cdcd"]]),
        ] {
            assert_eq!(clauses(expression, |_| true), expected, "{expression}");
        }
    }

    #[test]
    fn fewer_bytes_ask_for_more() {
        let evasive = r#"c["'\\]*a(?:\$[a-z]*)?t[0-9]+"#;
        assert_eq!(clauses(evasive, |_| true), Vec::<Vec<String>>::new());
        let plain: Alphabet = |byte| byte.is_ascii_alphanumeric() || byte == b' ';
        assert_eq!(clauses(evasive, plain), [["cat"]]);
        // No text of these bytes alone matches.
        assert_eq!(clauses(r"a(?:\(|\$)b", plain), [Vec::<String>::new()]);
    }
}
