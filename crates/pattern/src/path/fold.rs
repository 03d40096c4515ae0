//! The folded form of a canonical path: everything that a lenient server would not tell apart made equal.

use std::borrow::Cow;

use super::{digit, is_pchar, push_escape};

/// The form that the patterns of a policy are matched against, so that no lenient upstream is reached around a rule.
///
/// `path` is canonical. Letters become lower case, escapes of characters that a segment may hold raw are decoded,
/// `;parameters` and the dots and spaces at the end of each segment are dropped, as are segments that are then empty
/// and the slash at the end. Other escapes keep upper-case digits. Nothing is allocated when nothing changes; the time
/// is linear.
#[must_use]
pub fn folded(path: &str) -> Cow<'_, str> {
    if is_folded(path.as_bytes()) {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len());
    for segment in path.split('/') {
        let start = out.len();
        out.push('/');
        fold_segment(segment, &mut out);
        if out.len() == start + 1 {
            out.truncate(start);
        }
    }
    if out.is_empty() {
        out.push('/');
    }
    Cow::Owned(out)
}

/// Whether nothing would change.
fn is_folded(path: &[u8]) -> bool {
    if path.first() != Some(&b'/') {
        return false;
    }
    if path.len() == 1 {
        return true;
    }
    let mut before = 0;
    for byte in path {
        match byte {
            b'A'..=b'Z' | b'%' | b';' => return false,
            b'/' if matches!(before, b'.' | b'/') => return false,
            _ => before = *byte,
        }
    }
    !matches!(before, b'.' | b'/')
}

/// Appends the folded form of one segment.
pub(crate) fn fold_segment(segment: &str, out: &mut String) {
    let start = out.len();
    let name = segment.split_once(';').map_or(segment, |(name, _)| name);
    let name = name.split_once("%3B").map_or(name, |(name, _)| name);
    let mut rest = name.as_bytes();
    // Where the folded text ends once dots and spaces are dropped.
    let mut end = start;
    while let Some((&byte, after)) = rest.split_first() {
        let Some((decoded, after)) = next_escape(rest) else {
            rest = after;
            out.push(char::from(byte.to_ascii_lowercase()));
            if byte != b'.' {
                end = out.len();
            }
            continue;
        };
        rest = after;
        if decoded >= 0x80 {
            rest = fold_character(decoded, rest, out);
        } else if is_pchar(decoded) {
            out.push(char::from(decoded.to_ascii_lowercase()));
        } else {
            push_escape(out, decoded);
        }
        if !matches!(decoded, b' ' | b'.') {
            end = out.len();
        }
    }
    out.truncate(end);
}

/// The byte of the escape at the front, and what follows it.
fn next_escape(rest: &[u8]) -> Option<(u8, &[u8])> {
    let (b'%', digits) = rest.split_first()? else { return None };
    let ([high, low], after) = digits.split_first_chunk()?;
    Some((digit(*high)? << 4 | digit(*low)?, after))
}

/// Appends one encoded non-ASCII character in lower case and returns what follows it. Bytes that are no UTF-8, which a
/// canonical path does not hold, stay as they are.
fn fold_character<'a>(first: u8, rest: &'a [u8], out: &mut String) -> &'a [u8] {
    let mut buffer = [first, 0, 0, 0];
    let mut after = rest;
    for length in 1..=4 {
        if let Some(character) = buffer.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok()) {
            let mut encoded = [0; 4];
            for lower in character.chars().flat_map(char::to_lowercase) {
                for byte in lower.encode_utf8(&mut encoded).bytes() {
                    push_escape(out, byte);
                }
            }
            return after;
        }
        let (Some(slot), Some((byte, beyond))) = (buffer.get_mut(length), next_escape(after)) else { break };
        (*slot, after) = (byte, beyond);
    }
    push_escape(out, first);
    rest
}
