//! The normal form of a path: no repeated slashes, no `.`, no `..` that can be resolved.

use memchr::{memchr, memchr_iter};

/// Normalises `input`; with `win` a backslash is a slash. The meaning, odd corners included, is that of
/// `normalize_path_inplace` in `ModSecurity`: a segment that merely ends in `..` counts as a back reference too.
#[inline(never)]
pub(super) fn normalise(input: &[u8], out: &mut Vec<u8>, win: bool) -> bool {
    // Only an empty segment, one that ends in a dot, and a backslash are ever changed.
    let settled = |slash: usize| {
        slash
            .checked_sub(1)
            .and_then(|before| input.get(before))
            .is_none_or(|byte| !matches!(byte, b'/' | b'.'))
    };
    if !input.ends_with(b".")
        && memchr_iter(b'/', input).all(settled)
        && !(win && memchr(b'\\', input).is_some())
    {
        return false;
    }
    resolve(input, out, win)
}

/// Takes the path apart.
pub(super) fn resolve(input: &[u8], out: &mut Vec<u8>, win: bool) -> bool {
    let slash = |byte: u8| byte == b'/' || win && byte == b'\\';
    let at = |index: usize| input.get(index).map_or(0, |byte| if slash(*byte) { b'/' } else { *byte });
    let (Some(first), Some(last)) = (input.first(), input.last()) else { return false };
    let end = input.len() - 1;
    let relative = !slash(*first);
    let trailing = slash(*last);
    let mut at_root = false;
    let mut done = false;
    let mut src = 0;
    out.clear();
    while !done && src <= end {
        done = src == end;
        if done || at(src + 1) == b'/' && at(src) != b'/' {
            match segment_end(at(src), out, relative, done, &mut at_root) {
                Next::Copy => {}
                Next::Stop => continue,
                Next::Skip => src += 1,
            }
        }
        if at(src) == b'/' {
            while src < end && at(src + 1) == b'/' {
                src += 1;
            }
            if relative && out.is_empty() {
                src += 1;
                continue;
            }
        }
        out.push(at(src));
        src += 1;
    }
    if !trailing && out.last() == Some(&b'/') {
        out.pop();
    }
    out.as_slice() != input
}

/// What becomes of the last byte of a segment.
enum Next {
    /// It is copied.
    Copy,
    /// The value ends with it, and it is not copied.
    Stop,
    /// It is dropped, and the slash after it comes next.
    Skip,
}

/// Resolves the segment that ends with `byte`, of which the bytes before it are in `out` already.
fn segment_end(byte: u8, out: &mut Vec<u8>, relative: bool, done: bool, at_root: &mut bool) -> Next {
    if byte != b'.' {
        if !out.is_empty() {
            *at_root = false;
        }
        return Next::Copy;
    }
    match out.last() {
        Some(b'.') => {
            if relative && (*at_root || out.len() <= 2) {
                *at_root = true;
                return Next::Copy;
            }
            let mut parent = out.len().saturating_sub(3);
            while parent > 0 && out.get(parent) != Some(&b'/') {
                parent -= 1;
            }
            if parent == 0 {
                *at_root = true;
                // The slash of the root stays where an absolute path ends in a back reference.
                out.truncate(usize::from(!relative && done));
            } else {
                out.truncate(parent);
            }
        }
        None => {}
        Some(b'/') if !done => {
            out.pop();
        }
        Some(b'/') => {}
        Some(_) => return Next::Copy,
    }
    if done { Next::Stop } else { Next::Skip }
}
