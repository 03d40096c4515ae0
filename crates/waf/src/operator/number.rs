//! Numeric comparisons: `@eq`, `@ge`, `@gt`, `@le`, `@lt`.

/// A comparison of two whole numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Relation {
    /// `@eq`
    Equal,
    /// `@ge`
    AtLeast,
    /// `@gt`
    Above,
    /// `@le`
    AtMost,
    /// `@lt`
    Below,
}

impl Relation {
    /// The relation of an operator's name.
    pub(super) fn by_name(name: &str) -> Option<Self> {
        let is = |candidate: &str| name.eq_ignore_ascii_case(candidate);
        Some(match () {
            () if is("eq") => Self::Equal,
            () if is("ge") => Self::AtLeast,
            () if is("gt") => Self::Above,
            () if is("le") => Self::AtMost,
            () if is("lt") => Self::Below,
            () => return None,
        })
    }

    /// Whether `left` stands in this relation to `right`.
    #[must_use]
    pub const fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::AtLeast => left >= right,
            Self::Above => left > right,
            Self::AtMost => left <= right,
            Self::Below => left < right,
        }
    }
}

/// The number that a text begins with, as C's `atoll` reads it: white space, a sign, digits; 0 where there are none,
/// the nearest limit where they are too many.
#[must_use]
pub fn number(text: &[u8]) -> i64 {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    let text = text.get(blanks..).unwrap_or_default();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit()).map(|digit| i64::from(digit - b'0'));
    if negative {
        digits.fold(0_i64, |number, digit| number.saturating_mul(10).saturating_sub(digit))
    } else {
        digits.fold(0_i64, |number, digit| number.saturating_mul(10).saturating_add(digit))
    }
}
