//! What a text can hold once it fits its schema: the proof by which detectors know what they need not look for.

use bartizan_pattern::alphabet::{Alphabet, Bound};
use regex_syntax::{
    ParserBuilder,
    hir::{Class, Hir, HirKind, Look},
};
use serde_json::Value;

/// Why a value is known to be harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProofClass {
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// `null`.
    Null,
    /// A UUID (RFC 9562).
    Uuid,
    /// A date (RFC 3339 full-date).
    Date,
    /// A time of a date (RFC 3339 date-time).
    DateTime,
    /// An address (`ipv4`, `ipv6`).
    Address,
    /// One of the values that the contract lists.
    Enum,
    /// A text of a pattern that is anchored at both ends.
    Pattern,
}

impl ProofClass {
    /// Its name, for explanations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ProofClass::Integer => "integer",
            ProofClass::Number => "number",
            ProofClass::Boolean => "boolean",
            ProofClass::Null => "null",
            ProofClass::Uuid => "uuid",
            ProofClass::Date => "date",
            ProofClass::DateTime => "date-time",
            ProofClass::Address => "address",
            ProofClass::Enum => "enum",
            ProofClass::Pattern => "pattern",
        }
    }
}

/// What is proved of a value that fits: its text, behind all decoding, keeps to the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Proof {
    /// Why.
    pub class: ProofClass,
    /// What its text can be.
    pub bound: Bound,
}

const BOOLEAN: Bound = bound("truefals", 5);
const NULL: Bound = bound("nul", 4);
const UUID: Bound = formed(bound("0123456789abcdefABCDEF-", 36), 36, 8);
const DATE: Bound = formed(bound("0123456789-", 10), 10, 4);
const DATE_TIME: Bound = formed(bound("0123456789-:.+TtZz ", Bound::ENDLESS), 20, 4);
/// A time of UTC, as most are.
const DATE_TIME_UTC: Bound = formed(bound("0123456789-:.TtZz", 30), 20, 4);
const ADDRESS: Bound = bound("0123456789abcdefABCDEF:.", 45);
/// An address of four numbers, as most are.
const ADDRESS_V4: Bound = formed(bound("0123456789.", 15), 7, 3);
/// What numbers can be: of few digits, of digits, any.
pub(super) const NUMBERS: [Bound; 3] = [
    Bound { dashes_apart: true, ..bound("0123456789-.", 9) },
    Bound { dashes_apart: true, ..bound("0123456789-.", 40) },
    bound("0123456789+-.eE", Bound::ENDLESS),
];

impl Proof {
    /// What a format, or the syntax of JSON, proves of a value; of numbers [`Proof::of_number`] does.
    #[must_use]
    pub fn of_class(class: ProofClass) -> Option<Self> {
        let bound = match class {
            ProofClass::Boolean => BOOLEAN,
            ProofClass::Null => NULL,
            ProofClass::Uuid => UUID,
            ProofClass::Date => DATE,
            ProofClass::DateTime => DATE_TIME,
            ProofClass::Address => ADDRESS,
            ProofClass::Integer | ProofClass::Number | ProofClass::Enum | ProofClass::Pattern => return None,
        };
        Some(Proof { class, bound })
    }

    /// The same of a text that was seen: the plainer it is, the more is proved; `None` where it does not keep to the bound.
    #[must_use]
    pub fn of_text(self, text: &[u8]) -> Option<Self> {
        let plain = self.plain().filter(|bound| bound.covers(text));
        let bound = plain.or(self.bound.covers(text).then_some(self.bound))?;
        Some(Proof { bound, ..self })
    }

    /// What most texts of the class are.
    pub(super) fn plain(&self) -> Option<Bound> {
        match self.class {
            ProofClass::DateTime => Some(DATE_TIME_UTC),
            ProofClass::Address => Some(ADDRESS_V4),
            _ => None,
        }
    }

    /// What is proved of a number as JSON writes it: the shorter and the plainer, the more.
    #[must_use]
    pub fn of_number(text: &[u8]) -> Option<Self> {
        let whole = text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
        let class = if whole { ProofClass::Integer } else { ProofClass::Number };
        let bound = NUMBERS.into_iter().find(|bound| bound.covers(text))?;
        Some(Proof { class, bound })
    }

    /// What one schema proves of texts that fit it: by `const`, `enum`, `format` or `pattern`.
    ///
    /// Nothing is proved of texts that can hold `%`: whoever decodes them once more reads something else.
    pub(crate) fn of_schema(schema: &serde_json::Map<String, Value>) -> Option<Self> {
        let mut proof = Self::stated_by(schema).filter(|proof| !proof.bound.alphabet.has(b'%'))?;
        // Characters, of which each is a byte here.
        let most = schema.get("maxLength").and_then(Value::as_u64).and_then(|most| u32::try_from(most).ok());
        proof.bound.longest = proof.bound.longest.min(most.unwrap_or(Bound::ENDLESS));
        proof.bound.start = proof.bound.start.min(proof.bound.longest);
        Some(proof)
    }

    fn stated_by(schema: &serde_json::Map<String, Value>) -> Option<Self> {
        let listed = |values: &[Value]| {
            let texts = values.iter().filter_map(Value::as_str).map(str::as_bytes);
            let alphabet =
                texts.clone().try_fold(Alphabet::default(), |all, one| Some(all.or(Alphabet::of(one)?)))?;
            let longest = texts.map(length).max().unwrap_or_default();
            Some(Proof { class: ProofClass::Enum, bound: Bound::new(alphabet, longest) })
        };
        if let Some(value) = schema.get("const") {
            return listed(std::slice::from_ref(value));
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return listed(values);
        }
        let class = match schema.get("format").and_then(Value::as_str) {
            Some("uuid") => Some(ProofClass::Uuid),
            Some("date") => Some(ProofClass::Date),
            Some("date-time") => Some(ProofClass::DateTime),
            Some("ipv4" | "ipv6") => Some(ProofClass::Address),
            _ => None,
        };
        if let Some(class) = class {
            return Self::of_class(class);
        }
        let pattern = schema.get("pattern").and_then(Value::as_str)?;
        Some(Proof { class: ProofClass::Pattern, bound: of_pattern(pattern)? })
    }
}

/// Texts of these characters. Of characters beyond ASCII nothing would be proved.
const fn bound(characters: &str, longest: u32) -> Bound {
    match Alphabet::of(characters.as_bytes()) {
        Some(alphabet) => Bound::new(alphabet, longest),
        None => Bound::new(Alphabet::NONE, longest),
    }
}

/// The same in a form that has a shortest length and a longest beginning of letters and digits, and no two dashes in a row.
const fn formed(bound: Bound, shortest: u32, start: u32) -> Bound {
    Bound { shortest, start, dashes_apart: true, ..bound }
}

fn length(text: &[u8]) -> u32 {
    u32::try_from(text.len()).unwrap_or(Bound::ENDLESS)
}

/// Every character that a text can have which a pattern matches, where it is anchored at both ends and all are ASCII.
///
/// Patterns are of ECMA 262; where the syntax that is parsed here means something else (`(?`, classes with `[`, `&` or `~`
/// inside), nothing is proved. Whoever uses a proof holds the text against its alphabet, too.
fn of_pattern(pattern: &str) -> Option<Bound> {
    let mut inside = false;
    let mut escaped = false;
    for byte in pattern.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'[' | b'&' | b'~' if inside => return None,
            b'[' => inside = true,
            b']' => inside = false,
            _ => {}
        }
    }
    if pattern.contains("(?") {
        return None;
    }
    let hir = ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).ok()?;
    let HirKind::Concat(pieces) = hir.kind() else { return None };
    let ends = [pieces.first()?, pieces.last()?].map(|piece| piece.kind().clone());
    let anchored = matches!(ends, [HirKind::Look(Look::Start), HirKind::Look(Look::End)]);
    let mut alphabet = Alphabet::default();
    let longest = hir.properties().maximum_len().and_then(|length| u32::try_from(length).ok());
    let bound = |alphabet| Bound::new(alphabet, longest.unwrap_or(Bound::ENDLESS));
    (anchored && collect(&hir, &mut alphabet)).then(|| bound(alphabet))
}

/// Adds all characters of a pattern; `false` where one is not ASCII.
fn collect(hir: &Hir, set: &mut Alphabet) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => {
            let all = literal.0.iter().try_fold(*set, |set, byte| set.with(*byte));
            all.is_some_and(|all| {
                *set = all;
                true
            })
        }
        HirKind::Class(Class::Unicode(class)) => class.ranges().iter().all(|range| {
            let ends = (u8::try_from(range.start()), u8::try_from(range.end()));
            matches!(ends, (Ok(first), Ok(last)) if last.is_ascii() && {
                *set = set.or(Alphabet::range(first, last));
                true
            })
        }),
        HirKind::Class(Class::Bytes(class)) => class.ranges().iter().all(|range| {
            range.end().is_ascii() && {
                *set = set.or(Alphabet::range(range.start(), range.end()));
                true
            }
        }),
        HirKind::Repetition(repetition) => collect(&repetition.sub, set),
        HirKind::Capture(capture) => collect(&capture.sub, set),
        HirKind::Concat(all) | HirKind::Alternation(all) => all.iter().all(|one| collect(one, set)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchored_patterns_have_an_alphabet() {
        let of = |pattern| of_pattern(pattern);
        let bound =
            |text: &str, longest| Alphabet::of(text.as_bytes()).map(|alphabet| Bound::new(alphabet, longest));
        assert_eq!(of(r"^[a-z]{2,5}-\d+$"), bound("abcdefghijklmnopqrstuvwxyz-0123456789", Bound::ENDLESS));
        assert_eq!(of(r"^\\d$"), bound(r"\d", 2));
        assert_eq!(of("^(ab|c)$"), bound("abc", 2));
        assert_eq!(of("^[A-Z]{3}$").map(|bound| bound.alphabet.has(b'\'')), Some(false));
        for pattern in [
            "[a-z]+", "^[a-z]+", "a$", "^a|b$", "^.*$", r"^\S+$", "^[^a]$", "^[a&&b]$", "^(?i)a$", "^ä$",
            "(^a$)", "^[[a]]]$",
        ] {
            assert_eq!(of(pattern), None, "{pattern}");
        }
    }
}
