//! Transformations that undo backslash escapes: CSS, JavaScript, ANSI C.

use memchr::memchr;

use super::{
    decode::{low_byte, two_digits},
    text::is_space,
};

/// Runs `decode` at each backslash; it writes what the escape means and gives what follows it.
fn at_backslashes(input: &[u8], out: &mut Vec<u8>, decode: fn(&[u8], &mut Vec<u8>) -> usize) -> bool {
    let Some(mut at) = memchr(b'\\', input) else { return false };
    let mut rest = input;
    out.clear();
    loop {
        let (same, escape) = rest.split_at_checked(at).unwrap_or_default();
        out.extend_from_slice(same);
        let [_, after @ ..] = escape else { break };
        let length = decode(after, out);
        rest = after.get(length..).unwrap_or_default();
        at = memchr(b'\\', rest).unwrap_or(rest.len());
    }
    out.as_slice() != input
}

/// The character that a letter escapes in C and JavaScript.
const fn letter(byte: u8) -> Option<u8> {
    Some(match byte {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0C,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0B,
        _ => return None,
    })
}

/// Up to three octal digits, and how many there are.
fn octal(text: &[u8]) -> (u32, usize) {
    let digits = text.iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7'));
    digits.fold((0, 0), |(number, count), digit| (number * 8 + u32::from(digit - b'0'), count + 1))
}

fn low(number: u32) -> u8 {
    let [.., byte] = number.to_be_bytes();
    byte
}

/// Escapes of JavaScript. A byte that needs no escape loses its backslash; a backslash at the end stays.
#[inline(never)]
pub(super) fn javascript(input: &[u8], out: &mut Vec<u8>) -> bool {
    at_backslashes(input, out, |after, out| match after {
        [b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => {
            out.push(low_byte([*a, *b, *c, *d]));
            5
        }
        [b'x', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
            out.push(two_digits(*a, *b));
            3
        }
        [b'0'..=b'7', ..] => {
            let (number, count) = octal(after);
            // Three digits beyond `\377` would be more than a byte: the third stays.
            let (number, count) = if number > 0o377 { (number / 8, count - 1) } else { (number, count) };
            out.push(low(number));
            count
        }
        [byte, ..] => {
            out.push(letter(*byte).unwrap_or(*byte));
            1
        }
        [] => {
            out.push(b'\\');
            0
        }
    })
}

/// Escapes of ANSI C. As in `ModSecurity`, of an octal number above `\377` the low byte counts.
#[inline(never)]
pub(super) fn ansi_c(input: &[u8], out: &mut Vec<u8>) -> bool {
    at_backslashes(input, out, |after, out| match after {
        [b'x' | b'X', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
            out.push(two_digits(*a, *b));
            3
        }
        [b'0'..=b'7', ..] => {
            let (number, count) = octal(after);
            out.push(low(number));
            count
        }
        [byte, ..] => {
            out.push(letter(*byte).unwrap_or(*byte));
            1
        }
        [] => {
            out.push(b'\\');
            0
        }
    })
}

/// Escapes of CSS: one to six hexadecimal digits, of which the last two count, and one blank after them; a line feed
/// is dropped; anything else, and nothing at the end, loses its backslash.
#[inline(never)]
pub(super) fn css(input: &[u8], out: &mut Vec<u8>) -> bool {
    at_backslashes(input, out, |after, out| {
        let count = after.iter().take(6).take_while(|byte| byte.is_ascii_hexdigit()).count();
        let digits = after.get(..count).unwrap_or_default();
        match (digits, after) {
            ([], []) => return 0,
            ([], [b'\n', ..]) => return 1,
            ([], [byte, ..]) => {
                out.push(*byte);
                return 1;
            }
            ([digit], _) => out.push(two_digits(b'0', *digit)),
            // Full-width ASCII is told by four digits, with zeros before them.
            ([a, b, c, d] | [b'0', a, b, c, d] | [b'0', b'0', a, b, c, d], _) => {
                out.push(low_byte([*a, *b, *c, *d]));
            }
            ([.., high, low], _) => out.push(two_digits(*high, *low)),
        }
        count + usize::from(after.get(count).is_some_and(|byte| is_space(*byte)))
    })
}
