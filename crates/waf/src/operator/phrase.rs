//! Lists of phrases, all searched at once: `@pm` and `@pmFromFile`.

use std::sync::{Arc, OnceLock};

use aho_corasick::{AhoCorasick, BuildError, MatchKind};

use super::OperatorContext;
use crate::files::Files;

/// Phrases that match in any ASCII case, anywhere in a value.
#[derive(Debug)]
pub(super) struct Phrases {
    list: Vec<Box<[u8]>>,
    /// Built when a value is first tested, which in most lists never happens.
    automaton: OnceLock<Option<AhoCorasick>>,
}

/// Up to this many bytes of phrases, there is an automaton for certain.
const CERTAIN_BYTES: usize = 8 << 20;

impl Phrases {
    /// Phrases between blanks, with bytes as `|41 42|` (the notation of Snort).
    pub(super) fn inline(argument: &[u8]) -> Result<Self, String> {
        let text = unescape(argument)?;
        let phrases = text.split(u8::is_ascii_whitespace).filter(|phrase| !phrase.is_empty());
        Self::new(phrases.map(Box::from).collect())
    }

    /// One phrase per line, blanks at its ends included; an empty line, and one that begins with `#`, is none.
    pub(super) fn from_files(argument: &[u8], files: &dyn Files) -> Result<Self, String> {
        let mut phrases = Vec::new();
        for (_, content) in read(argument, files)? {
            let lines = content.split(|byte| *byte == b'\n');
            let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
            phrases.extend(lines.filter(|line| !matches!(line.trim_ascii(), [] | [b'#', ..])).map(Box::from));
        }
        Self::new(phrases)
    }

    fn new(list: Vec<Box<[u8]>>) -> Result<Self, String> {
        let automaton = OnceLock::new();
        if list.iter().map(|phrase| phrase.len() + 1).sum::<usize>() > CERTAIN_BYTES {
            let built = build(&list).map_err(|error| format!("too many phrases: {error}"))?;
            let _ = automaton.set(Some(built));
        }
        Ok(Self { list, automaton })
    }

    pub(super) fn list(&self) -> &[Box<[u8]>] {
        &self.list
    }

    #[inline(never)]
    pub(super) fn matches(&self, value: &[u8], context: &mut OperatorContext) -> bool {
        let Some(automaton) = self.automaton.get_or_init(|| build(&self.list).ok()) else {
            // Phrases that cannot be searched for are in every value: nothing slips through.
            context.captured(0, value.len());
            return true;
        };
        let Some(found) = automaton.find(value) else { return false };
        context.captured(found.start(), found.end());
        true
    }
}

/// The files that an argument names: name and content of each.
type Contents = Vec<(String, Arc<[u8]>)>;

fn build(list: &[Box<[u8]>]) -> Result<AhoCorasick, BuildError> {
    AhoCorasick::builder().ascii_case_insensitive(true).match_kind(MatchKind::Standard).build(list)
}

/// Reads the files that an argument names.
pub(super) fn read(argument: &[u8], files: &dyn Files) -> Result<Contents, String> {
    let names = String::from_utf8_lossy(argument);
    let contents: Contents = names
        .split_ascii_whitespace()
        .map(|name| match files.read(name) {
            // Editors put a byte order mark in front; it is no part of the first line.
            Ok(content) => match content.strip_prefix(b"\xef\xbb\xbf") {
                Some(unmarked) => Ok((name.to_owned(), Arc::from(unmarked))),
                None => Ok((name.to_owned(), content)),
            },
            Err(error) => Err(format!("cannot read `{name}`: {error}")),
        })
        .collect::<Result<_, _>>()?;
    if contents.is_empty() {
        return Err("it needs the name of a file".to_owned());
    }
    Ok(contents)
}

/// `a|20 2F|b` to `a /b`; `\\\\`, `\\|`, `\\:`, `\\;` and `\\"` are the byte after the backslash.
fn unescape(argument: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(argument.len());
    let mut hexadecimal = false;
    let mut high: Option<u8> = None;
    let mut bytes = argument.iter().copied();
    while let Some(byte) = bytes.next() {
        match (hexadecimal, byte) {
            (_, b'|') => {
                if high.take().is_some() {
                    return Err("bytes between `|` are pairs of hexadecimal digits".to_owned());
                }
                hexadecimal = !hexadecimal;
            }
            (false, b'\\') => match bytes.next() {
                Some(next @ (b'|' | b'\\' | b':' | b';' | b'"')) => out.push(next),
                Some(next) => out.extend_from_slice(&[byte, next]),
                None => out.push(byte),
            },
            (false, _) => out.push(byte),
            (true, b' ') => {}
            (true, _) => {
                let digit = char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let digit = digit.ok_or("bytes between `|` are pairs of hexadecimal digits")?;
                match high.take() {
                    Some(first) => out.push(first << 4 | digit),
                    None => high = Some(digit),
                }
            }
        }
    }
    if hexadecimal {
        return Err("a `|` begins bytes that no second `|` ends".to_owned());
    }
    Ok(out)
}
