//! Transformations that undo an encoding of transport: URL, HTML entities, base 64, hexadecimal.

use memchr::{memchr, memchr2};

/// The value of two characters read as hexadecimal digits. What is no digit gives the byte that it gives in
/// `ModSecurity`: the arithmetic of letters, modulo 256.
pub(super) fn two_digits(high: u8, low: u8) -> u8 {
    let digit = |character: u8| {
        if character >= b'A' {
            (character & 0xDF).wrapping_sub(b'A').wrapping_add(10)
        } else {
            character.wrapping_sub(b'0')
        }
    };
    digit(high).wrapping_mul(16).wrapping_add(digit(low))
}

/// The low byte of a four-digit escape; full-width ASCII (U+FF01 to U+FF5E) becomes ASCII.
pub(super) fn low_byte([first, second, third, fourth]: [u8; 4]) -> u8 {
    let byte = two_digits(third, fourth);
    let full_width = first.eq_ignore_ascii_case(&b'f') && second.eq_ignore_ascii_case(&b'f');
    if full_width && (0x01..0x5F).contains(&byte) { byte + 0x20 } else { byte }
}

/// `%41`, `+` and, where `unicode` is set, `%u0041`.
#[inline(never)]
pub(super) fn url(input: &[u8], out: &mut Vec<u8>, unicode: bool) -> bool {
    let Some(mut at) = memchr2(b'%', b'+', input) else { return false };
    let mut rest = input;
    out.clear();
    loop {
        let (same, escape) = rest.split_at_checked(at).unwrap_or_default();
        out.extend_from_slice(same);
        rest = match escape {
            [] => break,
            [b'+', tail @ ..] => {
                out.push(b' ');
                tail
            }
            [b'%', b'u' | b'U', a, b, c, d, tail @ ..]
                if unicode && [a, b, c, d].iter().all(|x| x.is_ascii_hexdigit()) =>
            {
                out.push(low_byte([*a, *b, *c, *d]));
                tail
            }
            [b'%', u @ (b'u' | b'U'), tail @ ..] if unicode => {
                out.extend_from_slice(&[b'%', *u]);
                tail
            }
            [b'%', a, b, tail @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                out.push(two_digits(*a, *b));
                tail
            }
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
        };
        at = memchr2(b'%', b'+', rest).unwrap_or(rest.len());
    }
    out.as_slice() != input
}

/// Numeric entities, and the five names that `ModSecurity` knows.
#[inline(never)]
pub(super) fn html_entities(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(mut at) = memchr(b'&', input) else { return false };
    let mut rest = input;
    out.clear();
    loop {
        let (same, entity) = rest.split_at_checked(at).unwrap_or_default();
        out.extend_from_slice(same);
        if entity.is_empty() {
            break;
        }
        let length = match decode_entity(entity) {
            Ok((byte, length)) => {
                out.push(byte);
                length + usize::from(entity.get(length) == Some(&b';'))
            }
            Err(length) => {
                out.extend_from_slice(entity.get(..length).unwrap_or(entity));
                length
            }
        };
        rest = entity.get(length..).unwrap_or_default();
        at = memchr(b'&', rest).unwrap_or(rest.len());
    }
    out.as_slice() != input
}

/// The byte of the entity at the beginning of `text` and its length without the semicolon, or how much of the text
/// is copied because it is none.
fn decode_entity(text: &[u8]) -> Result<(u8, usize), usize> {
    let run = |from: usize, wanted: fn(&u8) -> bool| {
        let tail = text.get(from..).unwrap_or_default();
        let length = tail.iter().take_while(|byte| wanted(byte)).count();
        tail.get(..length).unwrap_or_default()
    };
    let (digits, base, prefix) = match text {
        [_, b'#', b'x' | b'X', ..] => (run(3, u8::is_ascii_hexdigit), 16, 3),
        [_, b'#', ..] => (run(2, u8::is_ascii_digit), 10, 2),
        _ => {
            let name = run(1, u8::is_ascii_alphanumeric);
            let named = |candidate: &[u8]| name.eq_ignore_ascii_case(candidate);
            let byte = match () {
                () if named(b"quot") => b'"',
                () if named(b"amp") => b'&',
                () if named(b"lt") => b'<',
                () if named(b"gt") => b'>',
                () if named(b"nbsp") => 0xA0,
                () => return Err(1 + name.len()),
            };
            return Ok((byte, 1 + name.len()));
        }
    };
    if digits.is_empty() {
        return Err(prefix);
    }
    // As `strtol` has it: what is too large is the largest number, of which the low byte counts.
    let number = digits.iter().fold(0_i64, |number, digit| {
        let digit = (char::from(*digit)).to_digit(base).unwrap_or_default();
        number.saturating_mul(i64::from(base)).saturating_add(i64::from(digit))
    });
    let [.., byte] = number.to_be_bytes();
    Ok((byte, prefix + digits.len()))
}

/// The bits of each letter of base 64, in the forms of RFC 4648, sections 4 and 5; 64 for what is no letter.
const BASE64_BITS: [u8; 256] = base64_table();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "INVARIANT: the index is below 256, evaluated at compile time"
)]
const fn base64_table() -> [u8; 256] {
    let mut bits = [64; 256];
    let mut index = 0;
    while index < 256 {
        let byte = index as u8;
        bits[index] = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => 64,
        };
        index += 1;
    }
    bits
}

/// The bits of a letter of base 64 as strict decoding reads it (RFC 4648 section 4); `None` for what is none.
pub(crate) fn base64_bits(byte: u8) -> Option<u8> {
    let bits = BASE64_BITS.get(usize::from(byte)).copied().filter(|bits| *bits < 64);
    bits.filter(|_| !matches!(byte, b'-' | b'_'))
}

/// Base 64. Strictly: up to the first byte that is neither a letter of it nor a line break. Forgiving: what is no
/// letter of it is skipped.
#[inline(never)]
pub(super) fn base64(input: &[u8], out: &mut Vec<u8>, forgiving: bool) -> bool {
    out.clear();
    let mut bits = 0_u32;
    let mut letters = 0;
    for &byte in input {
        let value = BASE64_BITS.get(usize::from(byte)).copied().unwrap_or(64);
        if value == 64 || !forgiving && matches!(byte, b'-' | b'_') {
            if forgiving || matches!(byte, b'\r' | b'\n') {
                continue;
            }
            break;
        }
        bits = bits << 6 | u32::from(value);
        letters += 1;
        if letters == 4 {
            let [_, group @ ..] = bits.to_be_bytes();
            out.extend_from_slice(&group);
            bits = 0;
            letters = 0;
        }
    }
    let [_, first, second, _] = (bits << (6 * (4 - letters))).to_be_bytes();
    match letters {
        2 => out.push(first),
        3 => out.extend_from_slice(&[first, second]),
        _ => {}
    }
    out.as_slice() != input
}

/// Pairs of hexadecimal digits.
#[inline(never)]
pub(super) fn hex(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    out.extend(input.chunks_exact(2).map(|pair| match *pair {
        [high, low] => two_digits(high, low),
        _ => 0,
    }));
    out.as_slice() != input
}

/// `0x` and the pairs of digits after it to bytes; where no pair follows, the text stays.
#[inline(never)]
pub(super) fn sql_hex(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut rest = input;
    while let [byte, tail @ ..] = rest {
        rest = match rest {
            [b'0', b'x' | b'X', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                let mut digits = rest.get(2..).unwrap_or_default();
                while let [high, low, after @ ..] = digits
                    && high.is_ascii_hexdigit()
                    && low.is_ascii_hexdigit()
                {
                    out.push(two_digits(*high, *low));
                    digits = after;
                }
                digits
            }
            _ => {
                out.push(*byte);
                tail
            }
        };
    }
    out.as_slice() != input
}
