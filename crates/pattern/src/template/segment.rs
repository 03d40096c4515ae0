//! One segment of a template or pattern, and its comparison with a segment of a path.

use std::{borrow::Cow, ops::Range};

use smallvec::SmallVec;

use crate::path::{is_pchar, push_escape};

/// Where the parameters lie; eight fit without an allocation.
pub(super) type Ranges = SmallVec<[Range<usize>; 8]>;

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// Text in the form of [`comparable`].
    Literal(Box<str>),
    /// Text around one parameter or more.
    Partial(Partial),
    /// One parameter: any text but none.
    Any,
}

/// `first {} rest[0] {} rest[1] ..`: a parameter before each member of `rest`. Only the last one may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Partial {
    first: Box<str>,
    rest: Vec<Box<str>>,
}

/// The segments of a template without its first slash; braces keep a slash together, so that it can be reported.
pub(super) fn split(path: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0usize;
    path.split(move |character| {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == '/' && depth == 0
    })
}

impl Segment {
    /// Reads one segment and appends the names of its parameters.
    pub(super) fn parse(text: &str, names: &mut Vec<Box<str>>) -> Result<Self, String> {
        let mut literals: Vec<Box<str>> = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err(format!("`{{` of the segment `{text}` has no `}}`"));
            };
            if name.is_empty() || name.contains(['{', '/']) {
                return Err(format!("`{{{name}}}` is no parameter: write a name between braces"));
            }
            if literal.is_empty() && !literals.is_empty() {
                return Err(format!("nothing parts `{{{name}}}` from the parameter before it"));
            }
            literals.push(literal_text(literal)?);
            names.push(name.into());
            rest = after;
        }
        let last = literal_text(rest)?;
        if literals.is_empty() {
            return match &*last {
                "." | ".." => Err(format!("`{last}` is a dot segment, which no canonical path holds")),
                _ => Ok(Segment::Literal(last)),
            };
        }
        literals.push(last);
        let first = literals.remove(0);
        if first.is_empty() && literals.len() == 1 && literals.iter().all(|text| text.is_empty()) {
            return Ok(Segment::Any);
        }
        Ok(Segment::Partial(Partial { first, rest: literals }))
    }

    /// Whether `segment` (in whatever equivalent encoding) matches.
    pub(super) fn matches(&self, segment: &str) -> bool {
        match self {
            Segment::Literal(literal) => **literal == *comparable(segment),
            Segment::Partial(partial) => partial.find(segment, 0).is_some(),
            Segment::Any => !segment.is_empty(),
        }
    }

    /// Whether one segment can match both. For two partial ones only what is outside the parameters is compared, so
    /// that the answer may be yes where it is no.
    pub(super) fn overlaps(&self, other: &Segment) -> bool {
        match (self, other) {
            (Segment::Literal(text), segment) | (segment, Segment::Literal(text)) => segment.matches(text),
            (Segment::Any, _) | (_, Segment::Any) => true,
            (Segment::Partial(a), Segment::Partial(b)) => {
                let (a_last, b_last) = (a.last(), b.last());
                (a.first.starts_with(&*b.first) || b.first.starts_with(&*a.first))
                    && (a_last.ends_with(b_last) || b_last.ends_with(a_last))
            }
        }
    }
}

impl Partial {
    /// Bytes of literal text: the more, the more concrete.
    pub(super) fn literal_bytes(&self) -> usize {
        self.literals().map(str::len).sum()
    }

    fn last(&self) -> &str {
        self.rest.last().map_or("", AsRef::as_ref)
    }

    /// The text before, between and behind the parameters.
    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.first).chain(&self.rest).map(AsRef::as_ref)
    }

    /// The same with each literal changed by `change`.
    pub(super) fn map(&self, change: impl Fn(&str) -> String) -> Partial {
        Partial {
            first: change(&self.first).into(),
            rest: self.rest.iter().map(|text| change(text).into()).collect(),
        }
    }

    /// Where the parameters of `segment` lie, counted from `base`, each as short as the text after it allows.
    ///
    /// A literal is sought from the left once and never again further on: where the first find leads nowhere, no later
    /// one does, since what follows may begin anywhere behind it. So the time is linear in the segment.
    pub(super) fn find(&self, segment: &str, base: usize) -> Option<Ranges> {
        let bytes = segment.as_bytes();
        let mut at = starts_with(bytes, &self.first)?;
        let end = ends_with(bytes, self.last())?;
        let mut ranges = Ranges::new();
        let (_, inner) = self.rest.split_last()?;
        for literal in inner {
            let start = at;
            at += unit(bytes.get(at..)?)?.1;
            let after = loop {
                if let Some(length) = starts_with(bytes.get(at..)?, literal) {
                    break at + length;
                }
                at += unit(bytes.get(at..)?)?.1;
            };
            ranges.push(base + start..base + at);
            at = after;
        }
        if at >= end {
            return None;
        }
        ranges.push(base + at..base + end);
        Some(ranges)
    }
}

/// Literal text of a template in the form of [`comparable`].
fn literal_text(text: &str) -> Result<Box<str>, String> {
    if let Some(found) = text.chars().find(|c| matches!(c, '}' | '?' | '#' | '\\') || c.is_control()) {
        return Err(format!("`{}` cannot stand in a path", found.escape_default()));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let literal = if byte == b'%' {
            let Some((code, length)) = unit_of_escape(after) else {
                return Err(format!("`{text}` holds a `%` without two hexadecimal digits: write `%25`"));
            };
            rest = after.get(length..).unwrap_or_default();
            code
        } else {
            byte
        };
        if is_pchar(literal) || literal == b';' && byte == b';' {
            out.push(char::from(literal));
        } else {
            push_escape(&mut out, literal);
        }
    }
    Ok(out.into())
}

/// A segment of a canonical path with the escapes of those characters decoded that could stand raw: `%40` is `@`.
/// Allocates only where there is one.
pub(super) fn comparable(segment: &str) -> Cow<'_, str> {
    if memchr::memchr(b'%', segment.as_bytes()).is_none() {
        return Cow::Borrowed(segment);
    }
    let mut out = String::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((code, length)) = unit(rest) {
        match u8::try_from(code) {
            Ok(byte) if byte.is_ascii() => out.push(char::from(byte)),
            _ => push_escape(&mut out, (code & 0xFF) as u8),
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Cow::Owned(out)
}

/// The first character and its length in bytes. Raw ones and the escapes of characters that could stand raw are below
/// 0x100, other escapes have that bit.
fn unit(bytes: &[u8]) -> Option<(u16, usize)> {
    let (&first, after) = bytes.split_first()?;
    if first != b'%' {
        return Some((u16::from(first), 1));
    }
    Some(match unit_of_escape(after) {
        Some((byte, length)) if is_pchar(byte) => (u16::from(byte), length + 1),
        Some((byte, length)) => (0x100 | u16::from(byte), length + 1),
        None => (u16::from(first), 1),
    })
}

/// The value of two hexadecimal digits and their length.
fn unit_of_escape(digits: &[u8]) -> Option<(u8, usize)> {
    let digits = std::str::from_utf8(digits.get(..2)?).ok()?;
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    Some((u8::from_str_radix(digits, 16).ok()?, 2))
}

/// How many bytes of `bytes` the literal takes at the front.
fn starts_with(bytes: &[u8], literal: &str) -> Option<usize> {
    let (mut at, mut rest) = (0, literal.as_bytes());
    while let Some((wanted, length)) = unit(rest) {
        let (found, taken) = unit(bytes.get(at..)?)?;
        if found != wanted {
            return None;
        }
        at += taken;
        rest = rest.get(length..)?;
    }
    Some(at)
}

/// Where the literal at the end of `bytes` begins.
fn ends_with(bytes: &[u8], literal: &str) -> Option<usize> {
    let mut units = 0usize;
    let mut rest = literal.as_bytes();
    while let Some((_, length)) = unit(rest) {
        units += 1;
        rest = rest.get(length..)?;
    }
    let mut at = bytes.len();
    for _ in 0..units {
        // In a canonical path every `%` begins an escape, so one three bytes before the end is its last character.
        at = match at.checked_sub(3) {
            Some(escape) if bytes.get(escape) == Some(&b'%') => escape,
            _ => at.checked_sub(1)?,
        };
    }
    (starts_with(bytes.get(at..)?, literal)? == bytes.len() - at).then_some(at)
}
