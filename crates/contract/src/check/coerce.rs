//! Texts of parameters to the values that a schema describes: `7` is a number where the schema wants one.

use std::borrow::Cow;

use crate::{
    shape::{ShapeId, Shapes, Types},
    value::Built,
};

/// The value that a text stands for, by the types that the shape leaves. A text that stands for none of them stays one, and
/// does not fit.
pub(super) fn coerce<'t>(shapes: &Shapes, shape: Option<ShapeId>, text: Cow<'t, str>) -> Built<'t> {
    let types = types(shapes, shape);
    let numeric = match (types.has(Types::INTEGER), types.has(Types::NUMBER)) {
        (_, true) => is_number(&text),
        (true, _) => is_integer(&text),
        _ => false,
    };
    if numeric {
        return Built::Number(text);
    }
    match &*text {
        "true" if types.has(Types::BOOLEAN) => Built::Bool(true),
        "false" if types.has(Types::BOOLEAN) => Built::Bool(false),
        "" | "null" if types.has(Types::NULL) && !types.has(Types::STRING) => Built::Null,
        _ => Built::Text(text),
    }
}

pub(super) fn types(shapes: &Shapes, shape: Option<ShapeId>) -> Types {
    shape.and_then(|shape| shapes.get(shape)).map_or(Types::ALL, |shape| shape.types)
}

/// `-?(0|[1-9][0-9]*)`: what JSON writes (RFC 8259 section 6), without a fraction.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits.len() == 1 || !digits.starts_with('0'))
        && digits.len() <= LONGEST
}

/// Characters of a number: no reader needs more.
const LONGEST: usize = 256;

/// A number as JSON writes it.
fn is_number(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= LONGEST
        && is_integer(whole)
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
        // Beyond what a double holds one reader has infinity, and the next an error.
        && text.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_json_writes_them() {
        for text in ["0", "-1", "10", "1.5", "-0.1e-3", "1E+5"] {
            assert!(is_number(text), "{text}");
        }
        for text in [
            "", "-", "01", "+1", "1.", ".5", "1e", "0x10", " 1", "1 ", "٣", "NaN", "Infinity", "1_000",
            "1e309", "-1e999",
        ] {
            assert!(!is_number(text), "{text}");
        }
        assert!(is_integer("42") && !is_integer("1.0") && !is_integer("1e2"));
    }
}
