//! Values as predicates compare them: by kind, never by a number's rounded value.

use std::borrow::Cow;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Truth,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datum<'v> {
    /// Text, as it is behind all encodings.
    Text(Cow<'v, str>),
    /// A number, as JSON writes it.
    Number(Cow<'v, str>),
    /// `true` or `false`.
    Truth(bool),
}

impl Datum<'_> {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Datum::Text(_) => Kind::Text,
            Datum::Number(_) => Kind::Number,
            Datum::Truth(_) => Kind::Truth,
        }
    }

    /// Whether two values are the same; `None` where they cannot be compared.
    ///
    /// Texts are equal byte by byte. Numbers are equal as numbers, of any size (`1`, `1.0`, `10e-1`). A whole number and a
    /// text are equal where the text is that number as it is usually written (`42` and `"42"`, not `"042"` or `"42.0"`),
    /// and different where it is another one or none: databases count, tokens spell. Nothing else can be compared.
    #[must_use]
    pub fn same(&self, other: &Datum<'_>) -> Option<bool> {
        match (self, other) {
            (Datum::Text(a), Datum::Text(b)) => Some(a == b),
            (Datum::Truth(a), Datum::Truth(b)) => Some(a == b),
            (Datum::Number(a), Datum::Number(b)) => Some(a == b || decimal(a)? == decimal(b)?),
            (Datum::Number(number), Datum::Text(text)) | (Datum::Text(text), Datum::Number(number)) => {
                is_whole(number).then(|| number == text)
            }
            _ => None,
        }
    }
}

/// Whether a JSON number is a whole one without an exponent; `-0` is not.
fn is_whole(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && number != "-0"
}

/// A number as its sign, its digits without zeros at either end, and the power of ten behind the last digit. `None` for
/// exponents that no identifier has.
fn decimal(number: &str) -> Option<(bool, String, i64)> {
    let (negative, rest) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => {
            let (mantissa, exponent) = rest.split_at_checked(at)?;
            let exponent = exponent.get(1..)?;
            (mantissa, exponent.strip_prefix('+').unwrap_or(exponent).parse::<i32>().ok()?)
        }
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut power = i64::from(exponent) - i64::try_from(fraction.len()).ok()?;
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let trimmed = digits.trim_end_matches('0');
    if trimmed.is_empty() {
        return Some((false, String::new(), 0));
    }
    power += i64::try_from(digits.len() - trimmed.len()).ok()?;
    Some((negative, trimmed.to_owned(), power))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> Option<bool> {
        let datum = |text: &str| match text {
            "true" | "false" => Datum::Truth(text == "true"),
            _ if text.starts_with('"') => Datum::Text(text.trim_matches('"').to_owned().into()),
            _ => Datum::Number(text.to_owned().into()),
        };
        assert_eq!(datum(a).same(&datum(b)), datum(b).same(&datum(a)), "{a} {b}");
        datum(a).same(&datum(b))
    }

    #[test]
    fn values_are_compared_by_kind() {
        for (a, b, equal) in [
            ("\"a\"", "\"a\"", Some(true)),
            ("\"a\"", "\"A\"", Some(false)),
            ("42", "\"42\"", Some(true)),
            ("42", "\"042\"", Some(false)),
            ("42", "\"alice\"", Some(false)),
            ("42.0", "\"42\"", None),
            ("-0", "\"0\"", None),
            ("1", "1.0", Some(true)),
            ("10e-1", "1", Some(true)),
            ("100", "1e2", Some(true)),
            ("0", "-0", Some(true)),
            ("-1", "1", Some(false)),
            ("9007199254740993", "9007199254740992", Some(false)),
            ("1e99999999999", "1", None),
            ("true", "true", Some(true)),
            ("true", "\"true\"", None),
            ("true", "1", None),
        ] {
            assert_eq!(same(a, b), equal, "{a} and {b}");
        }
    }
}
