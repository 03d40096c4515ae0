//! Transformations that drop, replace or fold bytes: case, white space, NUL, comments, what a shell ignores.
//!
//! None is inlined where they are chosen from: what calls one of them would carry the frame of all.

use memchr::{memchr, memchr2, memmem};

/// White space as C's `isspace` has it in the C locale.
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Every byte through `change`.
#[inline(never)]
pub(super) fn map(input: &[u8], out: &mut Vec<u8>, change: impl Fn(u8) -> u8) -> bool {
    let Some(first) = input.iter().position(|byte| change(*byte) != *byte) else { return false };
    let (same, rest) = input.split_at_checked(first).unwrap_or_default();
    out.clear();
    out.extend_from_slice(same);
    out.extend(rest.iter().map(|byte| change(*byte)));
    true
}

/// Without NUL bytes.
#[inline(never)]
pub(super) fn remove_nulls(input: &[u8], out: &mut Vec<u8>) -> bool {
    memchr(0, input).is_some() && remove(input, out, |byte| byte == 0)
}

/// With spaces for NUL bytes.
#[inline(never)]
pub(super) fn replace_nulls(input: &[u8], out: &mut Vec<u8>) -> bool {
    memchr(0, input).is_some() && map(input, out, |byte| if byte == 0 { b' ' } else { byte })
}

/// Without the bytes that `unwanted` names.
#[inline(never)]
pub(super) fn remove(input: &[u8], out: &mut Vec<u8>, unwanted: impl Fn(u8) -> bool) -> bool {
    let Some(first) = input.iter().position(|byte| unwanted(*byte)) else { return false };
    let (same, rest) = input.split_at_checked(first).unwrap_or_default();
    out.clear();
    out.extend_from_slice(same);
    out.extend(rest.iter().copied().filter(|byte| !unwanted(*byte)));
    true
}

/// The first byte that `changes` names, given the byte after it: what comes before stays as it is.
fn first_change(input: &[u8], changes: impl Fn(u8, u8) -> bool) -> Option<(&[u8], &[u8])> {
    let next = input.iter().skip(1).chain(std::iter::once(&b'x'));
    let first = input.iter().zip(next).position(|(byte, next)| changes(*byte, *next))?;
    input.split_at_checked(first)
}

/// Runs of white space to one space.
#[inline(never)]
pub(super) fn compress_whitespace(input: &[u8], out: &mut Vec<u8>) -> bool {
    let change = first_change(input, |byte, next| is_space(byte) && (byte != b' ' || is_space(next)));
    let Some((same, rest)) = change else { return false };
    out.clear();
    out.extend_from_slice(same);
    let mut blank = false;
    for &byte in rest {
        let space = is_space(byte);
        if !space {
            out.push(byte);
        } else if !blank {
            out.push(b' ');
        }
        blank = space;
    }
    out.as_slice() != input
}

/// Without white space at the chosen ends.
#[inline(never)]
pub(super) fn trim(input: &[u8], out: &mut Vec<u8>, left: bool, right: bool) -> bool {
    let mut rest = input;
    while let [first, tail @ ..] = rest
        && left
        && is_space(*first)
    {
        rest = tail;
    }
    while let [head @ .., last] = rest
        && right
        && is_space(*last)
    {
        rest = head;
    }
    if rest.len() == input.len() {
        return false;
    }
    out.clear();
    out.extend_from_slice(rest);
    true
}

/// What a shell reads: without quotes, carets and backslashes, with separators folded.
#[inline(never)]
pub(super) fn command_line(input: &[u8], out: &mut Vec<u8>) -> bool {
    let change = first_change(input, |byte, next| match byte {
        b' ' => matches!(
            next,
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' | b'/' | b'(' | b'"' | b'\'' | b'\\' | b'^'
        ),
        b'"' | b'\'' | b'\\' | b'^' | b',' | b';' | b'\t' | b'\r' | b'\n' => true,
        _ => byte.is_ascii_uppercase(),
    });
    let Some((same, rest)) = change else { return false };
    out.clear();
    out.extend_from_slice(same);
    let mut space = false;
    for &byte in rest {
        match byte {
            b'"' | b'\'' | b'\\' | b'^' => {}
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                if !space {
                    out.push(b' ');
                }
                space = true;
            }
            b'/' | b'(' => {
                if space {
                    out.pop();
                }
                space = false;
                out.push(byte);
            }
            _ => {
                out.push(byte.to_ascii_lowercase());
                space = false;
            }
        }
    }
    out.as_slice() != input
}

/// Without comments, and without what follows `--` or `#` outside one. As in `ModSecurity`, the byte after a closed
/// comment is taken as it is, which is a NUL at the end of the value, and an open comment leaves a space.
#[inline(never)]
pub(super) fn remove_comments(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut rest = input;
    loop {
        match rest {
            [] => break,
            [b'/', b'*', tail @ ..] | [b'<', b'!', b'-', b'-', tail @ ..] => {
                let Some(after) = comment_end(tail) else {
                    out.push(b' ');
                    break;
                };
                out.push(after.first().copied().unwrap_or(0));
                rest = after.get(1..).unwrap_or_default();
            }
            [b'-', b'-', ..] | [b'#', ..] => break,
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    out.as_slice() != input
}

/// What follows the first `*/` or `-->`.
fn comment_end(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let at = memchr2(b'*', b'-', rest)?;
        rest = rest.get(at..)?;
        match rest {
            [b'*', b'/', tail @ ..] | [b'-', b'-', b'>', tail @ ..] => return Some(tail),
            _ => rest = rest.get(1..)?,
        }
    }
}

/// Without the marks of comments. A mark that appears only once another is gone stays, as in `ModSecurity`.
#[inline(never)]
pub(super) fn remove_comment_marks(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut rest = input;
    loop {
        rest = match rest {
            [] => break,
            [b'/', b'*', tail @ ..]
            | [b'*', b'/', tail @ ..]
            | [b'<', b'!', b'-', b'-', tail @ ..]
            | [b'-', b'-', b'>', tail @ ..]
            | [b'-', b'-', tail @ ..]
            | [b'#', tail @ ..] => tail,
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
        };
    }
    out.len() != input.len()
}

/// Each `/* */` to one space.
#[inline(never)]
pub(super) fn replace_comments(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut rest = input;
    let mut changed = false;
    while let Some(start) = memmem::find(rest, b"/*") {
        if !changed {
            out.clear();
            changed = true;
        }
        out.extend_from_slice(rest.get(..start).unwrap_or_default());
        out.push(b' ');
        let comment = rest.get(start + 2..).unwrap_or_default();
        rest = memmem::find(comment, b"*/").and_then(|end| comment.get(end + 2..)).unwrap_or_default();
    }
    if changed {
        out.extend_from_slice(rest);
    }
    changed
}

/// The name that PHP registers for an argument (`php_register_variable_ex`): leading spaces go, spaces and dots
/// become underscores, a bracket that is never closed too, and what follows the last index goes.
#[inline(never)]
pub(super) fn php_argument_name(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    if matches!(input, [b'[' | b'=', ..]) {
        return true;
    }
    let blanks = input.iter().take_while(|byte| **byte == b' ').count();
    let mut rest = input.get(blanks..).unwrap_or_default();
    while let [byte, tail @ ..] = rest {
        match byte {
            b'[' if memchr(b']', rest).is_some() => {
                php_indexes(rest, out);
                return out.as_slice() != input;
            }
            b'[' => {
                out.push(b'_');
                out.extend_from_slice(tail);
                return true;
            }
            b' ' | b'.' => out.push(b'_'),
            _ => out.push(*byte),
        }
        rest = tail;
    }
    out.as_slice() != input
}

/// `[a][b]` as far as it goes; `[ ]` is `[]`.
fn php_indexes(mut rest: &[u8], out: &mut Vec<u8>) {
    while let [b'[', ..] = rest {
        let Some(end) = memchr(b']', rest) else { return };
        match rest.get(..=end) {
            Some(b"[ ]") => out.extend_from_slice(b"[]"),
            index => out.extend_from_slice(index.unwrap_or_default()),
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
}
