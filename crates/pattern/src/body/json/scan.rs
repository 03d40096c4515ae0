//! Strings and numbers: where they end, and whether they are written as RFC 8259 sections 6 and 7 say.

use super::{JsonError, JsonProblem};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// A string that begins behind its opening quote at `start`: the offset of its closing quote, and whether it has escapes.
pub(super) fn string(bytes: &[u8], start: usize) -> Result<(usize, bool), JsonError> {
    let mut at = plain_end(bytes, start);
    let mut escaped = false;
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok((at, escaped)),
            Some(b'\\') => {
                escaped = true;
                at = plain_end(bytes, escape(bytes, at)?);
            }
            Some(_) => return Err(JsonError { offset: at, problem: JsonProblem::ControlInString }),
            None => return Err(JsonError { offset: bytes.len(), problem: JsonProblem::UnexpectedEnd }),
        }
    }
}

/// The first quote, backslash or control character from `at` on, eight bytes at a time.
#[inline]
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        // A borrow can only mark a byte above one that is marked rightly, so the lowest mark is always right.
        let quote = zeros(word ^ (ONES * b'"' as u64));
        let backslash = zeros(word ^ (ONES * b'\\' as u64));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let marks = quote | backslash | control;
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
        at += 1;
    }
    at
}

/// The high bit of each byte that is zero (and perhaps of bytes above one).
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

/// The escape whose backslash is at `at`: the offset behind it. Both halves of a surrogate pair are one escape.
fn escape(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    let error = |problem| Err(JsonError { offset: at, problem });
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match hex4(bytes, at + 2)? {
            0xd800..0xdc00 => {
                let paired = bytes.get(at + 6..at + 8) == Some(b"\\u".as_slice());
                match if paired { hex4(bytes, at + 8)? } else { 0 } {
                    0xdc00..0xe000 => Ok(at + 12),
                    _ => error(JsonProblem::LoneSurrogate),
                }
            }
            0xdc00..0xe000 => error(JsonProblem::LoneSurrogate),
            _ => Ok(at + 6),
        },
        Some(_) => error(JsonProblem::InvalidEscape),
        None => Err(JsonError { offset: bytes.len(), problem: JsonProblem::UnexpectedEnd }),
    }
}

/// Four hexadecimal digits at `at`.
fn hex4(bytes: &[u8], at: usize) -> Result<u32, JsonError> {
    let mut code = 0;
    for offset in at..at + 4 {
        let Some(&byte) = bytes.get(offset) else {
            return Err(JsonError { offset: bytes.len(), problem: JsonProblem::UnexpectedEnd });
        };
        let Some(digit) = char::from(byte).to_digit(16) else {
            return Err(JsonError { offset, problem: JsonProblem::InvalidEscape });
        };
        code = code << 4 | digit;
    }
    Ok(code)
}

/// A number that begins at `start`: the offset behind it.
pub(super) fn number(bytes: &[u8], start: usize) -> Result<usize, JsonError> {
    let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
    at = match bytes.get(at) {
        Some(b'0') => at + 1,
        _ => digits(bytes, at)?,
    };
    if matches!(bytes.get(at), Some(b'0'..=b'9')) {
        return Err(JsonError { offset: at, problem: JsonProblem::InvalidNumber });
    }
    if bytes.get(at) == Some(&b'.') {
        at = digits(bytes, at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
        at = digits(bytes, at)?;
    }
    Ok(at)
}

/// At least one digit from `at` on: the offset behind the last.
#[inline]
fn digits(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    let mut end = at;
    while matches!(bytes.get(end), Some(b'0'..=b'9')) {
        end += 1;
    }
    match bytes.get(at) {
        None => Err(JsonError { offset: at, problem: JsonProblem::UnexpectedEnd }),
        Some(_) if end == at => Err(JsonError { offset: at, problem: JsonProblem::InvalidNumber }),
        Some(_) => Ok(end),
    }
}

/// Writes the text of a string whose escapes [`string`] has checked; `raw` is what stands between the quotes.
pub(super) fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let (character, bytes) = decoded(escape);
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = escape.get(bytes..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// The character of the escape that begins `escape`, and how many bytes it takes.
fn decoded(escape: &[u8]) -> (char, usize) {
    let unit = |at| hex4(escape, at).unwrap_or(0xfffd);
    match escape.get(1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => match unit(2) {
            high @ 0xd800..0xdc00 => {
                let code = 0x10000 + ((high - 0xd800) << 10) + (unit(8).wrapping_sub(0xdc00) & 0x3ff);
                (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
            }
            code => (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
        },
        Some(&byte) => (char::from(byte), 2),
        None => (char::REPLACEMENT_CHARACTER, 1),
    }
}
