//! Transformations that replace a value as a whole: digests, its length, encodings.

use std::io::Write as _;

const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[inline(never)]
pub(super) fn md5(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    out.extend_from_slice(&md5::compute(input).0);
    out.as_slice() != input
}

#[inline(never)]
pub(super) fn sha1(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    out.extend_from_slice(&sha1_smol::Sha1::from(input).digest().bytes());
    out.as_slice() != input
}

#[inline(never)]
pub(super) fn length(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    // INVARIANT: writing to memory does not fail.
    let _ = write!(out, "{}", input.len());
    out.as_slice() != input
}

#[inline(never)]
pub(super) fn hex_encode(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    for byte in input {
        out.extend_from_slice(&hex_digits(*byte));
    }
    !input.is_empty()
}

/// The two small hexadecimal digits of a byte.
pub(super) fn hex_digits(byte: u8) -> [u8; 2] {
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or_default();
    [digit(byte >> 4), digit(byte & 15)]
}

#[inline(never)]
pub(super) fn url_encode(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    for &byte in input {
        match byte {
            b' ' => out.push(b'+'),
            b'*' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => out.push(byte),
            _ => {
                out.push(b'%');
                out.extend_from_slice(&hex_digits(byte));
            }
        }
    }
    out.as_slice() != input
}

#[inline(never)]
pub(super) fn base64_encode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let letter = |bits: u32| BASE64.get((bits & 63) as usize).copied().unwrap_or_default();
    out.clear();
    for group in input.chunks(3) {
        let bits = match *group {
            [a, b, c] => u32::from(a) << 16 | u32::from(b) << 8 | u32::from(c),
            [a, b] => u32::from(a) << 16 | u32::from(b) << 8,
            [a] => u32::from(a) << 16,
            _ => 0,
        };
        out.push(letter(bits >> 18));
        out.push(letter(bits >> 12));
        out.push(if group.len() > 1 { letter(bits >> 6) } else { b'=' });
        out.push(if group.len() > 2 { letter(bits) } else { b'=' });
    }
    !input.is_empty()
}
