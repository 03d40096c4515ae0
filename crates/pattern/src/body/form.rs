//! `application/x-www-form-urlencoded` bodies and query strings: pairs as slices of the original bytes.
//!
//! Decoding happens when it is asked for, so that a detector with a decoder of its own starts from the same slices.

use std::{borrow::Cow, fmt, ops::Range};

/// What one form may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormLimits {
    /// What stands between pairs; `&` everywhere but in the oldest software.
    pub separator: u8,
    /// Pairs, empty ones included.
    pub pairs: u32,
    /// Bytes of one pair as it is written.
    pub pair_bytes: u32,
}

impl Default for FormLimits {
    /// Pairs between `&`; at most 1,000 of them, as the recommended ModSecurity configuration has it, and 1 MiB each.
    fn default() -> Self {
        FormLimits { separator: b'&', pairs: 1000, pair_bytes: 1 << 20 }
    }
}

/// Why a form is not read to its end, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormError {
    /// The offset of the pair that is over the limit.
    pub offset: usize,
    /// Which limit.
    pub problem: FormProblem,
}

/// Which limit a form is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormProblem {
    /// There are too many pairs.
    TooManyPairs,
    /// A pair is too long.
    PairTooLong,
    /// The form has 4 GiB or more, which spans cannot say.
    FormTooLong,
}

impl FormProblem {
    /// A stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            FormProblem::TooManyPairs => "form.too_many_pairs",
            FormProblem::PairTooLong => "form.pair_too_long",
            FormProblem::FormTooLong => "form.form_too_long",
        }
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.problem {
            FormProblem::TooManyPairs => "there are too many pairs",
            FormProblem::PairTooLong => "the pair is too long",
            FormProblem::FormTooLong => "the form is too long",
        };
        write!(f, "the form is not read beyond byte {}: {text}", self.offset)
    }
}

impl std::error::Error for FormError {}

#[derive(Clone, Copy, Debug)]
struct Record {
    start: u32,
    /// The end of the name: of the pair, where there is no `=`.
    name_end: u32,
    end: u32,
    marks: u8,
}

/// A `%` or `+` is in the name, or in the value: they have to be decoded.
const ENCODED_NAME: u8 = 1;
const ENCODED_VALUE: u8 = 2;
const INVALID_ESCAPE: u8 = 4;

/// The storage of one form, used again for the next.
#[derive(Debug, Default)]
pub struct FormBuffer {
    pairs: Vec<Record>,
    length: usize,
}

impl FormBuffer {
    /// An empty one; it allocates when it is first used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The form that was read last, over the same bytes again; after an error, the pairs before it.
    #[must_use]
    pub fn form<'a>(&'a self, bytes: &'a [u8]) -> Form<'a> {
        let pairs = if bytes.len() == self.length { self.pairs.as_slice() } else { &[] };
        Form { bytes, pairs }
    }

    /// Gives memory back, keeping room for so many pairs.
    pub fn shrink(&mut self, pairs: usize) {
        self.pairs.clear();
        self.pairs.shrink_to(pairs);
        self.length = 0;
    }
}

/// The pairs of a form in their order. A copy costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Form<'a> {
    bytes: &'a [u8],
    pairs: &'a [Record],
}

impl<'a> Form<'a> {
    /// Cuts a body or a query into pairs. Every byte sequence is a form; escapes that are none are kept as they are and
    /// marked ([`Form::has_invalid_escape`]).
    ///
    /// # Errors
    /// A limit; the pairs before it are in [`FormBuffer::form`].
    pub fn parse(
        bytes: &'a [u8],
        limits: &FormLimits,
        buffer: &'a mut FormBuffer,
    ) -> Result<Form<'a>, FormError> {
        buffer.pairs.clear();
        buffer.length = bytes.len();
        let length = u32::try_from(bytes.len())
            .map_err(|_| FormError { offset: 0, problem: FormProblem::FormTooLong })?;
        let mut start = 0;
        while start < length {
            let rest = bytes.get(start as usize..).unwrap_or_default();
            // Shorter than the whole, whose length is a `u32`.
            let pair_bytes = memchr::memchr(limits.separator, rest).unwrap_or(rest.len());
            let pair = rest.get(..pair_bytes).unwrap_or_default();
            let problem = match () {
                () if buffer.pairs.len() >= limits.pairs as usize => Some(FormProblem::TooManyPairs),
                () if pair_bytes > limits.pair_bytes as usize => Some(FormProblem::PairTooLong),
                () => None,
            };
            if let Some(problem) = problem {
                return Err(FormError { offset: start as usize, problem });
            }
            let end = start.saturating_add(u32::try_from(pair_bytes).unwrap_or(u32::MAX));
            buffer.pairs.push(record(pair, start, end));
            start = end.saturating_add(1);
        }
        Ok(buffer.form(bytes))
    }

    /// The pairs, empty ones (between two separators) included.
    pub fn pairs(self) -> impl ExactSizeIterator<Item = Pair<'a>> + Clone {
        self.pairs.iter().map(move |record| Pair { bytes: self.bytes, record: *record })
    }

    /// How many pairs there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.pairs.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.pairs.is_empty()
    }

    /// Whether a `%` anywhere is not followed by two hexadecimal digits.
    #[must_use]
    pub fn has_invalid_escape(self) -> bool {
        self.pairs.iter().any(|record| record.marks & INVALID_ESCAPE != 0)
    }

    /// The bytes that all spans are of.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }
}

/// One pair from its bytes, which stand at `start..end`.
fn record(pair: &[u8], start: u32, end: u32) -> Record {
    let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
    let (name, value) = pair.split_at_checked(equals).unwrap_or((pair, b""));
    let marks = scan(name).map_or(0, |invalid| ENCODED_NAME | invalid)
        | scan(value).map_or(0, |invalid| ENCODED_VALUE | invalid);
    Record { start, name_end: start + u32::try_from(equals).unwrap_or_default(), end, marks }
}

/// Whether there is anything to decode, and whether an escape in it is none.
fn scan(text: &[u8]) -> Option<u8> {
    let first = memchr::memchr2(b'%', b'+', text)?;
    let mut marks = 0;
    for at in memchr::memchr_iter(b'%', text.get(first..).unwrap_or_default()) {
        if escape(text, first + at).is_none() {
            marks = INVALID_ESCAPE;
            break;
        }
    }
    Some(marks)
}

/// The byte that `%xx` at `at` stands for.
fn escape(text: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    u8::try_from(digit(at + 1)? << 4 | digit(at + 2)?).ok()
}

/// Undoes `%xx` and `+`; escapes that are none stay as they are.
#[must_use]
pub fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr2(b'%', b'+', text) else { return Cow::Borrowed(text) };
    let mut out = Vec::with_capacity(text.len());
    out.extend_from_slice(text.get(..first).unwrap_or_default());
    let mut at = first;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'+' => out.push(b' '),
            b'%' => match escape(text, at) {
                Some(decoded) => {
                    out.push(decoded);
                    at += 2;
                }
                None => out.push(byte),
            },
            _ => out.push(byte),
        }
        at += 1;
    }
    Cow::Owned(out)
}

/// One pair of a form.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    bytes: &'a [u8],
    record: Record,
}

impl<'a> Pair<'a> {
    /// Where the name stands.
    #[must_use]
    pub fn name_span(self) -> Range<usize> {
        self.record.start as usize..self.record.name_end as usize
    }

    /// Where the value stands; empty at the end where there is no `=`.
    #[must_use]
    pub fn value_span(self) -> Range<usize> {
        let start = self.record.name_end + u32::from(self.has_equals());
        start as usize..self.record.end as usize
    }

    /// Whether there is an `=`.
    #[must_use]
    pub fn has_equals(self) -> bool {
        self.record.name_end < self.record.end
    }

    /// Whether there is nothing at all, as between two separators.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.record.start == self.record.end
    }

    /// The name as it is written.
    #[must_use]
    pub fn raw_name(self) -> &'a [u8] {
        self.bytes.get(self.name_span()).unwrap_or_default()
    }

    /// The value as it is written.
    #[must_use]
    pub fn raw_value(self) -> &'a [u8] {
        self.bytes.get(self.value_span()).unwrap_or_default()
    }

    /// The name with `%xx` and `+` undone; borrowed where there are none.
    #[must_use]
    pub fn name(self) -> Cow<'a, [u8]> {
        if self.record.marks & ENCODED_NAME == 0 { self.raw_name().into() } else { decode(self.raw_name()) }
    }

    /// The value with `%xx` and `+` undone; borrowed where there are none.
    #[must_use]
    pub fn value(self) -> Cow<'a, [u8]> {
        if self.record.marks & ENCODED_VALUE == 0 {
            self.raw_value().into()
        } else {
            decode(self.raw_value())
        }
    }

    /// Whether a `%` is not followed by two hexadecimal digits.
    #[must_use]
    pub fn has_invalid_escape(self) -> bool {
        self.record.marks & INVALID_ESCAPE != 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let mut buffer = FormBuffer::new();
        let form = Form::parse(text.as_bytes(), &FormLimits::default(), &mut buffer).unwrap();
        let text = |bytes: Cow<'_, [u8]>| String::from_utf8_lossy(&bytes).into_owned();
        form.pairs().map(|pair| (text(pair.name()), text(pair.value()))).collect()
    }

    #[test]
    fn pairs_are_cut_and_decoded() {
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(
            pairs("a=1&b=&c&=d&&e=f=g&h+i=%4a%2B+%e2%82%ac&"),
            owned(&[("a", "1"), ("b", ""), ("c", ""), ("", "d"), ("", ""), ("e", "f=g"), ("h i", "J+ €"),])
        );
        assert_eq!(pairs(""), owned(&[]));
    }

    #[test]
    fn spans_are_of_the_original() {
        let text = b"ab=c%64&e&=";
        let mut buffer = FormBuffer::new();
        let form = Form::parse(text, &FormLimits::default(), &mut buffer).unwrap();
        let spans: Vec<_> = form.pairs().map(|pair| (pair.name_span(), pair.value_span())).collect();
        assert_eq!(spans, [(0..2, 3..7), (8..9, 9..9), (10..10, 11..11)]);
        let marks: Vec<_> = form.pairs().map(|pair| (pair.has_equals(), pair.is_empty())).collect();
        assert_eq!(marks, [(true, false), (false, false), (true, false)]);
        assert!(matches!(form.pairs().next().unwrap().name(), Cow::Borrowed(b"ab")));
    }

    #[test]
    fn an_escape_that_is_none_is_marked_and_kept() {
        for (text, value) in
            [("a=%", "%"), ("a=%4", "%4"), ("a=%zz", "%zz"), ("a=%%41", "%A"), ("a=%u0041", "%u0041")]
        {
            let mut buffer = FormBuffer::new();
            let form = Form::parse(text.as_bytes(), &FormLimits::default(), &mut buffer).unwrap();
            assert!(form.has_invalid_escape(), "{text}");
            assert_eq!(form.pairs().next().unwrap().value().as_ref(), value.as_bytes());
        }
    }

    #[test]
    fn limits_are_exact_and_keep_what_came_before() {
        let limits = FormLimits { separator: b';', pairs: 2, pair_bytes: 5 };
        let mut buffer = FormBuffer::new();
        assert_eq!(Form::parse(b"a=1&b;c=234", &limits, &mut buffer).unwrap().len(), 2);
        let error = Form::parse(b"a;b;c", &limits, &mut buffer).unwrap_err();
        assert_eq!(error, FormError { offset: 4, problem: FormProblem::TooManyPairs });
        assert_eq!(buffer.form(b"a;b;c").len(), 2);
        let error = Form::parse(b"a;b=3456", &limits, &mut buffer).unwrap_err();
        assert_eq!(error, FormError { offset: 2, problem: FormProblem::PairTooLong });
        assert!(Form::parse(b";;;", &limits, &mut buffer).is_err(), "empty pairs count");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_encoded_comes_back(pairs in prop::collection::vec(("\\PC{0,8}", "\\PC{0,8}"), 0..8)) {
            let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
            let text: Vec<_> = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
            let text = text.join("&");
            let mut buffer = FormBuffer::new();
            let form = Form::parse(text.as_bytes(), &FormLimits::default(), &mut buffer).unwrap();
            prop_assert_eq!(form.len(), pairs.len());
            for (ours, (name, value)) in form.pairs().zip(&pairs) {
                let (our_name, our_value) = (ours.name(), ours.value());
                prop_assert_eq!(our_name.as_ref(), name.as_bytes());
                prop_assert_eq!(our_value.as_ref(), value.as_bytes());
            }
        }

        #[test]
        fn pairs_and_separators_are_all_of_the_bytes(text in "[a&=%+1]{0,30}") {
            let mut buffer = FormBuffer::new();
            let form = Form::parse(text.as_bytes(), &FormLimits::default(), &mut buffer).unwrap();
            let joined: Vec<_> = form.pairs().map(|pair| {
                let equals = if pair.has_equals() { "=" } else { "" };
                [std::str::from_utf8(pair.raw_name()).unwrap(), equals, std::str::from_utf8(pair.raw_value()).unwrap()].concat()
            }).collect();
            prop_assert_eq!(joined.join("&"), text.strip_suffix('&').unwrap_or(&text));
        }
    }
}
