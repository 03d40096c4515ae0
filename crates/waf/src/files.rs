//! Where rule files, included files and the data files of operators come from: the caller reads, this crate asks.

use std::{collections::BTreeMap, sync::Arc};

/// Gives the contents of files by name. This crate opens nothing itself.
pub trait Files {
    /// The whole content of `path`.
    ///
    /// A path is as written in the rules, made relative to the folder of the file that names it.
    ///
    /// # Errors
    /// What is wrong with the file, in one sentence without the path: `no such file`.
    fn read(&self, path: &str) -> Result<Arc<[u8]>, String>;

    /// The files that a pattern of `Include` names (`*`, `?` and `[..]` within one path segment), in byte order.
    ///
    /// # Errors
    /// What is wrong with the folder.
    fn glob(&self, pattern: &str) -> Result<Vec<String>, String>;
}

/// Files that are held in memory, by path: rules that a program brings along, and tests.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles(pub BTreeMap<String, Arc<[u8]>>);

impl MemoryFiles {
    /// Adds or replaces one file.
    pub fn insert(&mut self, path: impl Into<String>, content: impl Into<Arc<[u8]>>) {
        self.0.insert(path.into(), content.into());
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        self.0.get(path).cloned().ok_or_else(|| "no such file".to_owned())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        Ok(self.0.keys().filter(|path| matches(pattern.as_bytes(), path.as_bytes())).cloned().collect())
    }
}

/// Whether a shell pattern (`*`, `?`, `[a-z]`, `[!a]`) names `path`; none of them crosses a `/`. Linear in
/// pattern times path.
#[must_use]
pub fn matches(pattern: &[u8], path: &[u8]) -> bool {
    // The set of pattern positions that the path read so far may stand at.
    let mut at = vec![false; pattern.len() + 1];
    let mut next = at.clone();
    mark(pattern, &mut at, 0);
    for &byte in path {
        next.fill(false);
        for position in 0..pattern.len() {
            if at.get(position) != Some(&true) {
                continue;
            }
            let rest = pattern.get(position..).unwrap_or_default();
            match rest {
                [b'*', ..] if byte != b'/' => mark(pattern, &mut next, position),
                [b'?', ..] if byte != b'/' => mark(pattern, &mut next, position + 1),
                [b'[', ..] => match class(rest, byte) {
                    Some((true, length)) if byte != b'/' => mark(pattern, &mut next, position + length),
                    None if byte == b'[' => mark(pattern, &mut next, position + 1),
                    _ => {}
                },
                [literal, ..] if *literal == byte && byte != b'*' => mark(pattern, &mut next, position + 1),
                _ => {}
            }
        }
        std::mem::swap(&mut at, &mut next);
    }
    at.last() == Some(&true)
}

/// Marks a position, and those after it that need no byte.
fn mark(pattern: &[u8], at: &mut [bool], mut position: usize) {
    while let Some(place) = at.get_mut(position) {
        *place = true;
        if pattern.get(position) != Some(&b'*') {
            break;
        }
        position += 1;
    }
}

/// Whether `byte` is in the class that `rest` begins with, and the length of the class; `None` where the bracket is
/// never closed and so stands for itself.
fn class(rest: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(rest.get(1), Some(b'!' | b'^'));
    let first = if negated { 2 } else { 1 };
    let mut position = first;
    let mut found = false;
    loop {
        let low = *rest.get(position)?;
        if low == b']' && position > first {
            return Some((found != negated, position + 1));
        }
        match (rest.get(position + 1), rest.get(position + 2)) {
            (Some(b'-'), Some(&high)) if high != b']' => {
                found |= (low..=high).contains(&byte);
                position += 3;
            }
            _ => {
                found |= low == byte;
                position += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests assert")]
    use super::*;

    #[test]
    fn patterns_stay_within_a_segment() {
        for (pattern, path, expected) in [
            ("rules/*.conf", "rules/a.conf", true),
            ("rules/*.conf", "rules/a/b.conf", false),
            ("rules/*.conf", "rules/.conf", true),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[", "[", true),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxcxxb", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), path.as_bytes()), expected, "{pattern} {path}");
        }
    }
}
