//! Operators that match what is malformed: bytes out of range, URL encoding, UTF-8.

use memchr::memchr;

use super::{OperatorContext, number};
use crate::transform::ByteSet;

/// The bytes that `@validateByteRange` allows.
#[derive(Clone, Debug)]
pub struct ByteRange([bool; 256]);

impl ByteRange {
    /// `32-36,38-126`; as in `ModSecurity`, a part without digits is 0.
    pub(super) fn compile(argument: &[u8]) -> Result<Self, String> {
        let mut allowed = [false; 256];
        for part in argument.split(|byte| *byte == b',').filter(|part| !part.trim_ascii().is_empty()) {
            let (first, last) = match memchr(b'-', part) {
                Some(dash) => part.split_at_checked(dash).unwrap_or_default(),
                None => (part, part),
            };
            let last = last.strip_prefix(b"-").unwrap_or(last);
            let (first, last) = (number(first), number(last));
            let range = usize::try_from(first).ok().zip(usize::try_from(last).ok());
            let range = range.and_then(|(first, last)| allowed.get_mut(first..=last.max(first)));
            let Some(range) = range.filter(|_| first <= last) else {
                let part = String::from_utf8_lossy(part).into_owned();
                return Err(format!("`{part}` is no range of bytes: write `FIRST-LAST` between 0 and 255"));
            };
            range.fill(true);
        }
        Ok(Self(allowed))
    }

    /// Whether `byte` is allowed.
    #[must_use]
    pub fn allows(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).copied().unwrap_or_default()
    }

    /// The kinds of bytes of which one is not allowed.
    pub(super) fn refused(&self) -> ByteSet {
        let refused = (0..=u8::MAX).filter(|byte| !self.allows(*byte));
        refused.fold(ByteSet::default(), |kinds, byte| kinds.with(ByteSet::of(&[byte])))
    }

    #[inline(never)]
    pub(super) fn matches(&self, value: &[u8], context: &mut OperatorContext) -> bool {
        let outside = value.iter().position(|byte| !self.allows(*byte));
        if let Some(at) = outside {
            context.found(at, at + 1);
        }
        outside.is_some()
    }
}

/// A `%` that two hexadecimal digits do not follow.
#[inline(never)]
pub(super) fn url_encoding(value: &[u8], context: &mut OperatorContext) -> bool {
    let mut rest = value;
    while let Some(at) = memchr(b'%', rest) {
        let escape = rest.get(at..).unwrap_or_default();
        match escape {
            [_, high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest = tail,
            _ => {
                let start = value.len() - escape.len();
                context.found(start, (start + 3).min(value.len()));
                return true;
            }
        }
    }
    false
}

/// Bytes that are no UTF-8 (RFC 3629): also overlong forms, surrogates and what is above U+10FFFF.
#[inline(never)]
pub(super) fn utf8(value: &[u8], context: &mut OperatorContext) -> bool {
    let Err(error) = std::str::from_utf8(value) else { return false };
    let start = error.valid_up_to();
    context.found(start, start + error.error_len().unwrap_or(value.len() - start));
    true
}
