//! What a text of which a bound is known can become by transformations, and whether a test may find something in that.

use bartizan_pattern::alphabet::Bound;
use regex_syntax::hir::{Hir, HirKind, Look};

use super::{atoms::of_bytes, scan::parse, set::Direct};
use crate::{
    operator::Trace,
    transform::{ByteSet, Transformation, base64_bits},
};

/// A set of bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Bytes([u64; 4]);

impl Bytes {
    fn of(bytes: impl IntoIterator<Item = u8>) -> Self {
        bytes.into_iter().fold(Bytes::default(), Bytes::with)
    }

    fn with(mut self, byte: u8) -> Self {
        if let Some(word) = self.0.get_mut(usize::from(byte / 64)) {
            *word |= 1 << (byte % 64);
        }
        self
    }

    fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte / 64)).is_some_and(|word| word >> (byte % 64) & 1 == 1)
    }

    fn iter(&self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(|byte| self.has(*byte))
    }
}

/// What is known of a text: its bytes and its length.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reach {
    bytes: Bytes,
    /// The most that it weighs: a byte of `bytes` weighs one, another one what `escaped` says.
    longest: usize,
    /// How many bytes were spent at least for a byte that is not among `bytes`; `None` where there is none.
    escaped: Option<usize>,
    /// The most letters and digits that it begins with, where it was not changed yet.
    start: usize,
    /// No two dashes stand side by side: it was not changed yet.
    dashes_apart: bool,
}

impl Reach {
    /// A text that nothing was done to.
    pub(super) fn of(bound: &Bound) -> Self {
        let length = |length: u32| match length {
            Bound::ENDLESS => usize::MAX,
            length => usize::try_from(length).unwrap_or(usize::MAX),
        };
        Reach {
            bytes: Bytes::of(bound.alphabet.bytes()),
            longest: length(bound.longest),
            escaped: None,
            start: length(bound.start),
            dashes_apart: bound.dashes_apart,
        }
    }

    /// A text of which nothing is known.
    pub(super) fn anything() -> Self {
        Reach {
            bytes: Bytes([u64::MAX; 4]),
            longest: usize::MAX,
            escaped: None,
            start: usize::MAX,
            dashes_apart: false,
        }
    }

    /// The kinds of bytes that it can have.
    pub(super) fn kinds(&self) -> ByteSet {
        match self.escaped {
            Some(_) => ByteSet::ANY,
            None => {
                self.bytes.iter().fold(ByteSet::default(), |kinds, byte| kinds.with(ByteSet::of(&[byte])))
            }
        }
    }

    /// What a step makes of it; `None` where nothing is known of that.
    pub(super) fn after(&self, step: Transformation) -> Option<Self> {
        use Transformation as T;
        if !step.may_change(&self.kinds()) {
            return Some(self.clone());
        }
        let changed = Reach { start: self.longest, dashes_apart: false, ..self.clone() };
        match step {
            _ if step.is_bounded_for(self.kinds()) => {
                Some(Reach { bytes: self.bytes_after_bounded(), ..changed })
            }
            // Each byte that was not there before stands for two or more.
            T::UrlDecode
            | T::UrlDecodeUni
            | T::JsDecode
            | T::CssDecode
            | T::EscapeSeqDecode
            | T::HtmlEntityDecode
            | T::SqlHexDecode => {
                Some(Reach { escaped: Some(2), bytes: self.bytes_after_bounded(), ..changed })
            }
            // It ends at the first byte that is no letter or digit of its own.
            T::Base64Decode if self.escaped.is_none() => Some(self.base64()),
            _ => None,
        }
    }

    /// See [`ByteSet::after_bounded`].
    fn bytes_after_bounded(&self) -> Bytes {
        let mut bytes = self.bytes.clone().with(b' ');
        for byte in self.bytes.iter() {
            bytes = bytes.with(byte.to_ascii_lowercase()).with(byte.to_ascii_uppercase());
        }
        if bytes.has(b'\\') { bytes.with(b'/') } else { bytes }
    }

    fn base64(&self) -> Self {
        // What is missing of a last group counts as zeros.
        let values: Vec<u8> = self.bytes.iter().filter_map(base64_bits).chain([0]).collect();
        let mut bytes = Bytes::default();
        for one in &values {
            for other in &values {
                bytes = bytes.with(one << 2 | other >> 4).with(one << 4 | other >> 2).with(one << 6 | other);
            }
        }
        let more =
            self.bytes.has(b'+') || self.bytes.has(b'/') || self.bytes.has(b'\n') || self.bytes.has(b'\r');
        let read = if more { self.longest } else { self.start.min(self.longest) };
        // Two letters make a byte, three make two, four make three.
        let longest = if read == usize::MAX { read } else { read / 4 * 3 + (read % 4).saturating_sub(1) };
        Reach { bytes, longest, escaped: None, start: longest, dashes_apart: false }
    }

    /// What a byte weighs; `None` where it cannot be there.
    fn weight(&self, byte: u8) -> Option<usize> {
        if self.bytes.has(byte) { Some(1) } else { self.escaped }
    }

    fn weigh(&self, text: &[u8]) -> Option<usize> {
        text.iter().try_fold(0usize, |all, byte| Some(all.saturating_add(self.weight(*byte)?)))
    }

    /// The least weight of a text in which the expression may be found; `None` where there is none. What stands around a
    /// place (`^`, `\b`) is taken to be so.
    fn least(&self, hir: &Hir) -> Option<usize> {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Some(0),
            HirKind::Literal(literal) => self.weigh(&literal.0),
            HirKind::Class(class) => {
                let Some(class) = of_bytes(class) else { return Some(1) };
                let bytes = class.ranges().iter().flat_map(|range| range.start()..=range.end());
                bytes.filter_map(|byte| self.weight(byte)).min()
            }
            HirKind::Repetition(repetition) if repetition.min == 0 => Some(0),
            HirKind::Repetition(repetition) => {
                let times = usize::try_from(repetition.min).unwrap_or(usize::MAX);
                self.least(&repetition.sub).map(|least| least.saturating_mul(times))
            }
            HirKind::Capture(capture) => self.least(&capture.sub),
            HirKind::Concat(parts) => {
                parts.iter().try_fold(0usize, |all, part| Some(all.saturating_add(self.least(part)?)))
            }
            HirKind::Alternation(parts) => parts.iter().filter_map(|part| self.least(part)).min(),
        }
    }
}

/// A test, as far as bytes tell what it may find.
#[derive(Debug)]
pub(super) enum Test {
    /// An expression; where it matches whole texts only, and few, with what stands in each place of these.
    Pattern(Box<Hir>, Option<Vec<Row>>),
    Phrases(Vec<Vec<u8>>),
    Never,
    /// A byte of some kinds.
    Kinds(ByteSet),
    /// The detector of SQL, which needs a byte of these kinds.
    Sqli(ByteSet),
    Bytes(Vec<u8>),
    Anything,
}

/// With these alone, and without a comment, no SQL is found; see [`crate::inject::harmless_sql`].
const NUMERIC: &[u8] = b"0123456789 .-:+%,;";

impl Test {
    pub(super) fn of(made: &Direct) -> Self {
        if made.negated {
            return Test::Anything;
        }
        if let Some(expression) = made.operator.expression() {
            return match parse(expression) {
                Some(hir) => Test::of_pattern(hir),
                None => Test::Anything,
            };
        }
        if let Some(phrases) = made.operator.phrases() {
            return Test::Phrases(phrases.iter().map(|phrase| phrase.to_vec()).collect());
        }
        match made.operator.trace() {
            Trace::Never => Test::Never,
            Trace::Kinds(kinds) if made.operator.is_sqli() => Test::Sqli(kinds),
            Trace::Kinds(kinds) => Test::Kinds(kinds),
            Trace::Bytes(bytes) => Test::Bytes(bytes.to_vec()),
            Trace::Unknown => Test::Anything,
        }
    }

    fn of_pattern(hir: Hir) -> Self {
        let rows = is_whole(&hir).then(|| rows(&hir)).flatten();
        Test::Pattern(Box::new(hir), rows)
    }

    /// Whether it may find something in a text that is reached. `whole` is the bound of the text, where nothing was done to it.
    pub(super) fn may_find(&self, reach: &Reach, whole: Option<&Bound>) -> bool {
        let within = |least: Option<usize>| least.is_some_and(|least| least <= reach.longest);
        match self {
            Test::Pattern(hir, rows) => match (rows, whole) {
                (Some(rows), Some(bound)) => rows.iter().any(|row| may_be(row, bound)),
                _ => within(reach.least(hir)),
            },
            Test::Phrases(phrases) => phrases.iter().any(|phrase| {
                let cased = [phrase.to_ascii_lowercase(), phrase.to_ascii_uppercase()];
                let least =
                    |byte: usize| cased.iter().filter_map(|phrase| reach.weight(*phrase.get(byte)?)).min();
                within((0..phrase.len()).try_fold(0usize, |all, byte| Some(all + least(byte)?)))
            }),
            Test::Never => false,
            Test::Kinds(kinds) => reach.longest > 0 && reach.kinds().any(*kinds),
            Test::Sqli(kinds) => {
                let numeric = reach.dashes_apart && reach.bytes.iter().all(|byte| NUMERIC.contains(&byte));
                !numeric && reach.longest > 0 && reach.kinds().any(*kinds)
            }
            Test::Bytes(bytes) => within(reach.weigh(bytes)),
            Test::Anything => true,
        }
    }
}

/// The bytes that may stand in each place of a text.
type Row = Vec<Bytes>;

/// How many rows an expression may have, and how long they may be.
const MAX_ROWS: usize = 256;
const MAX_ROW: usize = 64;

/// All rows of which an expression consists; `None` where they are many, or of no fixed length.
fn rows(hir: &Hir) -> Option<Vec<Row>> {
    let few = |rows: Vec<Row>| {
        (rows.len() <= MAX_ROWS && rows.iter().all(|row| row.len() <= MAX_ROW)).then_some(rows)
    };
    let behind = |all: Vec<Row>, next: &[Row]| {
        let pairs = all.iter().flat_map(|one| next.iter().map(|other| [&one[..], other].concat()));
        few(pairs.take(MAX_ROWS + 1).collect())
    };
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(vec![Vec::new()]),
        HirKind::Literal(literal) => few(vec![literal.0.iter().map(|byte| Bytes::of([*byte])).collect()]),
        HirKind::Class(class) => {
            let class = of_bytes(class)?;
            let bytes = class.ranges().iter().flat_map(|range| range.start()..=range.end());
            Some(vec![vec![Bytes::of(bytes)]])
        }
        HirKind::Repetition(repetition) => {
            let once = rows(&repetition.sub)?;
            let (least, most) = (repetition.min, repetition.max.filter(|most| *most <= 32)?);
            let (mut all, mut now) = (Vec::new(), vec![Vec::new()]);
            for times in 0..=most {
                if times >= least {
                    all.extend(now.iter().cloned());
                }
                now = behind(now, &once)?;
            }
            few(all)
        }
        HirKind::Capture(capture) => rows(&capture.sub),
        HirKind::Concat(parts) => {
            parts.iter().try_fold(vec![Vec::new()], |all, part| behind(all, &rows(part)?))
        }
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(rows(part)?);
            }
            few(all)
        }
    }
}

/// Whether a text of a row may be within a bound.
fn may_be(row: &Row, bound: &Bound) -> bool {
    let length = row.len() as u64;
    let fits = length >= u64::from(bound.shortest) && length <= u64::from(bound.longest);
    let has =
        |bytes: &Bytes, is: fn(&u8) -> bool| bytes.iter().any(|byte| bound.alphabet.has(byte) && is(&byte));
    let start = usize::try_from(bound.start).unwrap_or(usize::MAX);
    let begins = row.len() <= start
        || row.iter().take(start + 1).any(|bytes| has(bytes, |byte| !byte.is_ascii_alphanumeric()));
    fits && begins && row.iter().all(|bytes| has(bytes, |_| true))
}

/// Whether an expression is anchored at both ends.
fn is_whole(hir: &Hir) -> bool {
    let HirKind::Concat(parts) = hir.kind() else { return false };
    let ends = (parts.first().map(Hir::kind), parts.last().map(Hir::kind));
    matches!(ends, (Some(HirKind::Look(Look::Start)), Some(HirKind::Look(Look::End))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use bartizan_pattern::alphabet::Alphabet;

    use super::*;

    fn reach(alphabet: &str, longest: u32) -> Reach {
        Reach::of(&Bound::new(Alphabet::of(alphabet.as_bytes()).unwrap(), longest))
    }

    #[test]
    fn an_expression_has_a_least_text_in_an_alphabet() {
        for (expression, alphabet, expected) in [
            ("(?i)select", "selct", Some(6)),
            ("(?i)select", "SELCT", Some(6)),
            ("(?i)select", "selc", None),
            (r"\d+\s*--", "0123456789-", Some(3)),
            (r"\d+\s+--", "0123456789-", None),
            ("a|bcd|'", "bcd", Some(3)),
            ("[^0-9]", "0123456789", None),
            ("(?:ab){3}x?", "ab", Some(6)),
            ("^$", "", Some(0)),
            (r"\bor\b", "0123", None),
            (".", "a", Some(1)),
            (r"[\x80-\xff]", "abc", None),
        ] {
            assert_eq!(reach(alphabet, 100).least(&parse(expression).unwrap()), expected, "{expression}");
        }
    }

    #[test]
    fn transformations_make_of_a_text_what_they_can() {
        use Transformation as T;
        let digits = reach("0123456789-", 8);
        assert_eq!(digits.after(T::Lowercase), Some(digits.clone()), "nothing to change");
        let spaced = reach("aB ", 8).after(T::CmdLine).unwrap();
        assert_eq!(spaced.bytes, Bytes::of(*b"aAbB "));
        // Of digits, these bytes are no letters that a word of a program needs.
        let decoded = digits.after(T::Base64Decode).unwrap();
        assert_eq!((decoded.longest, decoded.bytes.has(b'e'), decoded.bytes.has(b'm')), (6, false, true));
        let escaped = reach("%0123456789", 9).after(T::UrlDecodeUni).unwrap();
        assert_eq!(
            escaped.least(&parse("eval").unwrap()),
            Some(8),
            "each of its letters was two bytes at least"
        );
        assert_eq!(escaped.after(T::Base64Decode), None);
        assert_eq!(digits.after(T::Md5), None);
    }

    #[test]
    fn texts_that_are_listed_are_held_against_all_of_the_bound() {
        let date = Bound {
            shortest: 10,
            start: 4,
            dashes_apart: true,
            ..Bound::new(Alphabet::of(b"0123456789-").unwrap(), 10)
        };
        let test = |expression: &str| Test::of_pattern(parse(expression).unwrap());
        assert!(!test("^(?:x)?(?:2147483.47|-0{5}23456)$").may_find(&Reach::of(&date), Some(&date)));
        assert!(test("^(?:2147-.3-47)$").may_find(&Reach::of(&date), Some(&date)));
        assert!(test("2147483647").may_find(&Reach::of(&date), Some(&date)), "it may stand anywhere");
    }
}
