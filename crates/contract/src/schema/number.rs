//! Numbers as they are written: compared and counted by their decimal digits, without a reader's precision.

use std::borrow::Cow;

use jsonschema::json::JsonNumber;

/// A JSON number (RFC 8259 section 6) as text.
#[derive(Clone, Copy, Debug)]
pub struct Number<'a>(pub &'a str);

/// A number taken apart: the value is `digits` * 10^`exponent`, without zeros at either end of the digits.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    fn of(text: &str) -> Self {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: Vec<u8> =
            whole.bytes().chain(fraction.bytes()).skip_while(|byte| *byte == b'0').collect();
        // An exponent that no machine holds: such numbers differ from all others, and from one another by their digits.
        let beyond = if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 };
        let mut exponent: i64 = exponent.parse().unwrap_or(beyond);
        exponent = exponent.saturating_sub(i64::try_from(fraction.len()).unwrap_or(0));
        while digits.last() == Some(&b'0') {
            digits.pop();
            exponent = exponent.saturating_add(1);
        }
        match digits.is_empty() {
            true => Decimal { negative: false, digits, exponent: 0 },
            false => Decimal { negative, digits, exponent },
        }
    }
}

impl Number<'_> {
    /// Whether it has no fraction, however it is written: `1.0` and `1e2` have none.
    #[must_use]
    pub fn is_whole(self) -> bool {
        let plain = |byte: u8| byte.is_ascii_digit() || byte == b'-';
        self.0.bytes().all(plain) || Decimal::of(self.0).exponent >= 0
    }

    /// The same bytes for equal numbers, and others for others.
    pub fn canonical(self, out: &mut Vec<u8>) {
        let Decimal { negative, digits, exponent } = Decimal::of(self.0);
        out.push(if negative { b'-' } else { b'+' });
        out.extend_from_slice(&digits);
        out.push(b'e');
        out.extend_from_slice(&exponent.to_le_bytes());
    }
}

impl JsonNumber for Number<'_> {
    fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    fn as_f64(&self) -> Option<f64> {
        let near = self.0.parse().ok().filter(|number: &f64| number.is_finite())?;
        // A whole number that no integer holds is compared as this: one below the least `int64` is not to become equal to it.
        let whole = self.0.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if !whole || self.as_u64().is_some() || self.as_i64().is_some() || format!("{near:.0}") == self.0 {
            return Some(near);
        }
        Some(if near < 0.0 { near.next_down() } else { near.next_up() }).filter(|number| number.is_finite())
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.0)
    }

    fn to_number(&self) -> Cow<'_, serde_json::Number> {
        let near = self.as_f64().unwrap_or(f64::MAX);
        let number = match (self.as_u64(), self.as_i64()) {
            (Some(number), _) => Some(number.into()),
            (_, Some(number)) => Some(number.into()),
            _ => serde_json::Number::from_f64(near),
        };
        Cow::Owned(number.unwrap_or_else(|| 0.into()))
    }

    fn is_integer(&self) -> bool {
        self.is_whole()
    }

    fn is_written_as_integer(&self) -> bool {
        !self.0.contains(['.', 'e', 'E'])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        Number(text).canonical(&mut out);
        out
    }

    #[test]
    fn equal_numbers_are_equal_however_they_are_written() {
        for (left, right) in
            [("1", "1.0"), ("100", "1e2"), ("0.001", "1E-3"), ("-0", "0"), ("0e9", "0.0"), ("1e+1", "10")]
        {
            assert_eq!(canonical(left), canonical(right), "{left} {right}");
        }
        for (left, right) in [
            ("1", "-1"),
            ("9007199254740993", "9007199254740992"),
            ("1e400", "1e401"),
            ("0.1", "0.10000000000000001"),
            ("1e99999999999999999999", "1"),
        ] {
            assert_ne!(canonical(left), canonical(right), "{left} {right}");
        }
    }

    #[test]
    fn a_number_is_whole_by_its_digits() {
        for text in ["1", "-7", "1.0", "1e2", "1.50e1", "1e400", "0.0", "123456789012345678901234567890"] {
            assert!(Number(text).is_integer(), "{text}");
        }
        for text in ["1.5", "1e-1", "9007199254740993.5", "1e-400"] {
            assert!(!Number(text).is_integer(), "{text}");
        }
        assert!(!Number("1.0").is_written_as_integer());
        assert_eq!(Number("1e309").as_f64(), None);
    }
}
