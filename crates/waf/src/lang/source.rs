//! Text to statements: continued lines joined, comments left out, words unquoted, every byte knowing its line.

use std::sync::Arc;

use bartizan_model::{Diagnostic, diagnostic};

/// Where something stands in the rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// From 1.
    pub line: u32,
    /// From 1, in bytes.
    pub column: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What is wrong with a word, by offset in it; a [`Word`] turns it into a diagnostic with a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Bytes from the start of the word.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Fault {
    /// A fault at the start.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Fault { offset: 0, message: message.into(), help: help.into() }
    }

    /// Moves it to `offset`.
    #[must_use]
    pub fn at(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }
}

/// A piece of a statement without its quotes, which knows where each of its bytes stood.
#[derive(Clone, Debug, Default)]
pub struct Word {
    /// The text.
    pub text: String,
    /// Whether it was quoted.
    pub quoted: bool,
    /// Where runs of the text begin: offset, line, column.
    marks: Vec<(usize, u32, u32)>,
}

impl Word {
    fn push(&mut self, character: char, line: u32, column: u32) {
        let follows = self.marks.last().is_some_and(|&(offset, l, c)| {
            l == line && u32::try_from(self.text.len() - offset).is_ok_and(|distance| c + distance == column)
        });
        if !follows {
            self.marks.push((self.text.len(), line, column));
        }
        self.text.push(character);
    }

    /// Where the byte at `offset` stood.
    #[must_use]
    pub fn place(&self, file: &Arc<str>, offset: usize) -> Place {
        let before = self.marks.iter().take_while(|(start, ..)| *start <= offset);
        let (start, line, column) = before.last().or(self.marks.first()).copied().unwrap_or((0, 1, 1));
        let distance = u32::try_from(offset.saturating_sub(start)).unwrap_or(u32::MAX);
        Place { file: file.clone(), line, column: column.saturating_add(distance) }
    }

    /// A fault of this word as a diagnostic.
    #[must_use]
    pub fn diagnostic(&self, file: &Arc<str>, fault: Fault) -> Diagnostic {
        diagnose(&self.place(file, fault.offset), fault)
    }
}

/// A fault at a place.
#[must_use]
pub fn diagnose(place: &Place, fault: Fault) -> Diagnostic {
    Diagnostic::error("", fault.message).help(fault.help).at(diagnostic::Place {
        file: place.file.to_string(),
        line: place.line,
        column: place.column,
    })
}

/// One directive with its arguments.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The first word names the directive.
    pub words: Vec<Word>,
    /// The first line.
    pub line: u32,
}

/// A character of a statement with its line and column.
type Letter = (char, u32, u32);

/// Splits a file into statements. A backslash at the end of a line continues it, and the next line's indentation does
/// not count; a line that begins with `#` is a comment and ends with its line; in double quotes `\"` is a quote, in
/// single quotes `\'`, and every other backslash stands for itself.
#[must_use]
pub fn statements(file: &Arc<str>, text: &str) -> (Vec<Statement>, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let mut faults = Vec::new();
    let mut lines = text.split('\n').map(|line| line.trim_end_matches('\r')).zip(1u32..);
    while let Some((first, number)) = lines.next() {
        let start = first.trim_start();
        if start.is_empty() || start.starts_with('#') {
            continue;
        }
        let mut letters = Vec::new();
        let mut line = Some((first, number));
        while let Some((content, number)) = line {
            let (content, continued) = match content.trim_end().strip_suffix('\\') {
                Some(content) => (content, true),
                None => (content.trim_end(), false),
            };
            let indent = content.len() - content.trim_start().len();
            let position = |at: usize| u32::try_from(at + 1).unwrap_or(u32::MAX);
            letters.extend(
                content
                    .char_indices()
                    .skip_while(|(at, _)| *at < indent)
                    .map(|(at, c)| (c, number, position(at))),
            );
            line = if continued { lines.next() } else { None };
        }
        let (words, fault) = words(&letters);
        if let Some(((_, line, column), fault)) = fault {
            faults.push(diagnose(&Place { file: file.clone(), line, column }, fault));
        } else if !words.is_empty() {
            found.push(Statement { words, line: number });
        }
    }
    (found, faults)
}

fn words(letters: &[Letter]) -> (Vec<Word>, Option<(Letter, Fault)>) {
    let mut words = Vec::new();
    let mut rest = letters;
    loop {
        while let [(space, ..), tail @ ..] = rest
            && space.is_whitespace()
        {
            rest = tail;
        }
        let word = match rest {
            [] => return (words, None),
            [opening @ (quote @ ('"' | '\''), ..), tail @ ..] => quoted(*opening, *quote, tail),
            _ => Ok(bare(rest)),
        };
        match word {
            Ok((word, tail)) => {
                words.push(word);
                rest = tail;
            }
            Err(fault) => return (words, Some(fault)),
        }
    }
}

fn quoted(opening: Letter, quote: char, letters: &[Letter]) -> Result<(Word, &[Letter]), (Letter, Fault)> {
    let mut word = Word { quoted: true, marks: vec![(0, opening.1, opening.2 + 1)], ..Word::default() };
    let mut rest = letters;
    loop {
        match rest {
            [('\\', ..), (escaped, line, column), tail @ ..] if *escaped == quote => {
                word.push(quote, *line, *column);
                rest = tail;
            }
            [(closing, ..), tail @ ..] if *closing == quote => {
                return match tail {
                    [(next, line, column), ..] if !next.is_whitespace() => Err((
                        (*next, *line, *column),
                        Fault::new(
                            "text follows a closing quote",
                            format!("put a space between arguments, and write a quote inside as `\\{quote}`"),
                        ),
                    )),
                    _ => Ok((word, tail)),
                };
            }
            [(character, line, column), tail @ ..] => {
                word.push(*character, *line, *column);
                rest = tail;
            }
            [] => {
                return Err((
                    opening,
                    Fault::new(
                        "a quote is never closed",
                        "close it, or end each continued line with a backslash",
                    ),
                ));
            }
        }
    }
}

/// A word without quotes around it. A quote behind a colon, as in `ARGS:'/a b/'`, is kept with all that it encloses.
fn bare(letters: &[Letter]) -> (Word, &[Letter]) {
    let mut word = Word::default();
    let mut open = None;
    let mut before = ' ';
    let mut rest = letters;
    while let [(character, line, column), tail @ ..] = rest {
        match open {
            None if character.is_whitespace() => break,
            None if matches!(character, '"' | '\'') && before == ':' => open = Some(*character),
            Some(quote) if quote == *character && before != '\\' => open = None,
            _ => {}
        }
        word.push(*character, *line, *column);
        before = *character;
        rest = tail;
    }
    (word, rest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests assert")]
    use super::*;

    fn read(text: &str) -> (Vec<Statement>, Vec<Diagnostic>) {
        statements(&Arc::from("a.conf"), text)
    }

    #[test]
    fn words_know_their_places() {
        let (found, faults) =
            read("# a\n\nSecRule ARGS \"@rx a\\\"b\\d\" \\\r\n    \"id:1,\\\n    deny\"\nSecMarker X");
        assert!(faults.is_empty());
        assert_eq!(found.len(), 2);
        let words: Vec<&str> = found[0].words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(words, ["SecRule", "ARGS", "@rx a\"b\\d", "id:1,deny"]);
        let file = Arc::from("a.conf");
        let place = found[0].words[3].place(&file, 6);
        assert_eq!((place.line, place.column), (5, 6));
        assert_eq!(found[1].line, 6);
        let place = found[0].words[2].place(&file, 7);
        assert_eq!((place.line, place.column), (3, 23));
    }

    #[test]
    fn broken_quotes_are_faults_with_places() {
        let (found, faults) = read("SecRule ARGS \"@rx a\nSecMarker \"X\"Y\nSecMarker Z");
        assert_eq!(found.len(), 1);
        assert_eq!(faults.len(), 2);
        assert_eq!(faults[0].place.as_ref().unwrap().line, 1);
        assert_eq!(faults[1].place.as_ref().unwrap().column, 14);
    }

    #[test]
    fn quotes_behind_a_colon_stay() {
        let (found, _) = read("SecRule ARGS:'/a b/'|!ARGS:\"c d\" x");
        assert_eq!(found[0].words[1].text, "ARGS:'/a b/'|!ARGS:\"c d\"");
    }
}
