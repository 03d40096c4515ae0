//! Characters above ASCII to `%uHHHH`, as `ModSecurity` reads UTF-8.

use super::digest::hex_digits;

/// Each well-formed sequence to `%u` and at least four hexadecimal digits. As in `ModSecurity`: a first byte that
/// its sequence does not follow is dropped, as is NUL; an overlong form or a surrogate is told by the first byte
/// after it; continuation bytes alone, and bytes from 0xF8 on, stay.
#[inline(never)]
pub(super) fn to_unicode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(first) = input.iter().position(|byte| matches!(byte, 0 | 0x80..)) else { return false };
    let (same, mut rest) = input.split_at_checked(first).unwrap_or_default();
    out.clear();
    out.extend_from_slice(same);
    while let [byte, tail @ ..] = rest {
        let byte = *byte;
        let (length, bits) = match byte {
            0 => (0, 0),
            0x01..=0x7F => {
                out.push(byte);
                (0, 0)
            }
            0xC0..=0xDF => (2, byte & 0x1F),
            0xE0..=0xEF => (3, byte & 0x0F),
            0xF0..=0xF7 => {
                if byte >= 0xF5 {
                    out.push(byte);
                }
                (4, byte & 0x07)
            }
            0x80..=0xBF | 0xF8.. => {
                out.push(byte);
                (0, 0)
            }
        };
        rest = tail;
        let Some(continuation) = (length > 0).then(|| tail.get(..length - 1)).flatten() else { continue };
        if continuation.iter().any(|byte| byte & 0xC0 != 0x80) {
            continue;
        }
        let character =
            continuation.iter().fold(u32::from(bits), |all, byte| all << 6 | u32::from(byte & 0x3F));
        push_hexadecimal(character, out);
        let overlong = matches!((length, character), (4, ..=0xFFFF) | (3, ..=0x7FF) | (2, ..=0x7F));
        if (0xD800..=0xDFFF).contains(&character) {
            out.push(byte);
        }
        if overlong {
            out.push(byte);
        }
        rest = tail.get(length - 1..).unwrap_or_default();
    }
    out.as_slice() != input
}

fn push_hexadecimal(character: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"%u");
    let [_, plane, high, low] = character.to_be_bytes();
    match hex_digits(plane) {
        [b'0', b'0'] => {}
        [b'0', digit] => out.push(digit),
        digits => out.extend_from_slice(&digits),
    }
    out.extend_from_slice(&hex_digits(high));
    out.extend_from_slice(&hex_digits(low));
}
