//! Texts to tokens of SQL, byte for byte as libinjection cuts them.

use memchr::{memchr, memmem};

use super::words;

/// What a token is, by the letter that it has in a fingerprint.
pub(super) mod kind {
    pub const NONE: u8 = 0;
    pub const KEYWORD: u8 = b'k';
    pub const UNION: u8 = b'U';
    pub const GROUP: u8 = b'B';
    pub const EXPRESSION: u8 = b'E';
    pub const TYPE: u8 = b't';
    pub const FUNCTION: u8 = b'f';
    pub const WORD: u8 = b'n';
    pub const NUMBER: u8 = b'1';
    pub const VARIABLE: u8 = b'v';
    pub const STRING: u8 = b's';
    pub const OPERATOR: u8 = b'o';
    pub const LOGIC: u8 = b'&';
    pub const COMMENT: u8 = b'c';
    pub const COLLATE: u8 = b'A';
    pub const OPEN: u8 = b'(';
    pub const CLOSE: u8 = b')';
    pub const OPEN_BRACE: u8 = b'{';
    pub const CLOSE_BRACE: u8 = b'}';
    pub const DOT: u8 = b'.';
    pub const COMMA: u8 = b',';
    pub const COLON: u8 = b':';
    pub const SEMICOLON: u8 = b';';
    pub const TSQL: u8 = b'T';
    pub const UNKNOWN: u8 = b'?';
    pub const EVIL: u8 = b'X';
    pub const BACKSLASH: u8 = b'\\';
}

/// How many bytes of its text a token keeps.
const KEPT: usize = 31;

/// One token with the beginning of its text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Token<'a> {
    pub kind: u8,
    /// The quotation mark that opened it, 0 where it was only supposed.
    pub open: u8,
    /// The quotation mark that closed it, 0 where none did.
    pub close: u8,
    /// How many `@` stand before the name of a variable.
    at_signs: u8,
    /// Whether a keyword of several words begins with it.
    pub begins: bool,
    /// Whether several words were merged into it.
    merged: bool,
    /// At most the first 31 bytes; of several words that were merged, the keyword that they are.
    pub text: &'a [u8],
    /// Where the text begins and ends in the input.
    span: (usize, usize),
}

impl<'a> Token<'a> {
    fn new(kind: u8, text: &'a [u8], start: usize) -> Self {
        let span = (start, start + text.len());
        Self { kind, text: text.get(..KEPT).unwrap_or(text), span, ..Self::default() }
    }

    pub(super) const fn is(&self, word: &[u8]) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }

    pub(super) fn first(&self) -> u8 {
        self.text.first().copied().unwrap_or_default()
    }

    /// The letter of the token and its text in `input`, as libinjection writes them.
    pub(super) fn describe(&self, input: &[u8]) -> Vec<u8> {
        let mut line = vec![self.kind, b' '];
        line.extend(std::iter::repeat_n(b'@', usize::from(self.at_signs)));
        let quoted = matches!(self.kind, kind::STRING | kind::VARIABLE);
        line.extend(Some(self.open).filter(|mark| quoted && *mark != 0));
        // Words that were merged, in the case in which they are written, and with one space.
        let mut rest = input.get(self.span.0..self.span.1).unwrap_or_default();
        for (index, word) in self.text.split(|byte| self.merged && *byte == b' ').enumerate() {
            if index > 0 {
                line.push(b' ');
            }
            let same = |window: &[u8]| window.eq_ignore_ascii_case(word);
            let at = rest.windows(word.len().max(1)).position(same).unwrap_or_default();
            line.extend_from_slice(rest.get(at..at + word.len()).unwrap_or(word));
            rest = rest.get(at + word.len()..).unwrap_or_default();
        }
        line.extend(Some(self.close).filter(|mark| quoted && *mark != 0));
        line
    }

    /// Both texts with a space between, if the tables have that.
    pub(super) fn merge(&self, other: &Self) -> Option<Self> {
        let length = self.text.len() + 1 + other.text.len();
        if !self.begins || length > KEPT {
            return None;
        }
        let mut words = [0; KEPT];
        for (place, byte) in words.iter_mut().zip(self.text.iter().chain(b" ").chain(other.text)) {
            *place = *byte;
        }
        let found = words::look_up(words.get(..length)?).filter(|found| found.listed)?;
        let span = (self.span.0, other.span.1);
        Some(Self { kind: found.kind, begins: found.begins, text: found.word, merged: true, span, ..*self })
    }
}

/// In which quotation marks a text is supposed to begin, and how comments are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mode {
    /// 0 for none.
    pub quote: u8,
    pub mysql: bool,
}

/// Cuts one text.
pub(super) struct Tokenizer<'a> {
    input: &'a [u8],
    mode: Mode,
    at: usize,
    /// Where the run of bytes of words ends that was last looked at, so that no byte is looked at twice.
    word_end: usize,
    /// How many tokens there were.
    pub count: usize,
    /// Whether there was a comment that MySQL reads otherwise.
    pub ambiguous: bool,
}

/// What a byte is to the tokenizer, in bits.
const CLASSES: [u8; 256] = classes();
/// White space.
const WHITE: u8 = 1;
/// What ends a word.
const ENDS_WORD: u8 = 2;
/// What ends the name of a variable.
const ENDS_VARIABLE: u8 = 4;
/// What a keyword may end at within a word.
const SPLITS_WORD: u8 = 8;

#[expect(clippy::indexing_slicing, reason = "INVARIANT: the index is below 256, evaluated at compile time")]
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut index = 0;
    while index < 256 {
        let byte = index as u8;
        classes[index] = match byte {
            0 | b'\t'..=b'\r' | b' ' => WHITE | ENDS_WORD | ENDS_VARIABLE,
            0xA0 => WHITE | ENDS_WORD,
            b'!'..=b'#' | b'%'..=b'-' | b'/' | b':'..=b'@' | b'\\' | b'^' | b'|' | b'~' => {
                ENDS_WORD | ENDS_VARIABLE
            }
            b'[' | b']' | b'{' | b'}' => ENDS_WORD,
            b'`' => ENDS_VARIABLE | SPLITS_WORD,
            b'.' => SPLITS_WORD,
            _ => 0,
        };
        index += 1;
    }
    classes
}

fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or_default()
}

fn is_white(byte: u8) -> bool {
    class(byte) & WHITE != 0
}

impl<'a> Tokenizer<'a> {
    pub(super) const fn new(input: &'a [u8], mode: Mode) -> Self {
        Self { input, mode, at: 0, word_end: 0, count: 0, ambiguous: false }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.input.get(at).copied()
    }

    fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        self.input.get(start..end.min(self.input.len())).unwrap_or_default()
    }

    fn rest(&self, start: usize) -> &'a [u8] {
        self.input.get(start..).unwrap_or_default()
    }

    /// Where the run of bytes of a kind ends that begins at `start`. As in libinjection, a NUL is of every kind.
    fn run(&self, start: usize, of: fn(u8) -> bool) -> usize {
        start + self.rest(start).iter().take_while(|byte| **byte == 0 || of(**byte)).count()
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        if self.at == 0 && self.mode.quote != 0 && !self.input.is_empty() {
            self.count += 1;
            return Some(self.string(0, self.mode.quote, 0));
        }
        while let Some(byte) = self.byte(self.at) {
            let token = self.token(byte);
            if token.kind != kind::NONE {
                self.count += 1;
                return Some(token);
            }
        }
        None
    }

    fn token(&mut self, byte: u8) -> Token<'a> {
        let at = self.at;
        match byte {
            0..=b' ' | 0x7F | 0xA0 => self.take(1, kind::NONE),
            b'!' | b'&' | b'*' | b':' | b'<' | b'=' | b'>' | b'|' => self.operator(),
            b'"' | b'\'' => self.string(at + 1, byte, byte),
            b'#' => {
                self.ambiguous = true;
                if self.mode.mysql { self.line_comment() } else { self.take(1, kind::OPERATOR) }
            }
            b'$' => self.money(),
            b'%' | b'+' | b'^' | b'~' => self.take(1, kind::OPERATOR),
            b'(' | b')' | b',' | b';' | b'{' | b'}' => self.take(1, byte),
            b'-' => self.dash(),
            b'.' | b'0'..=b'9' => self.number(),
            b'/' if self.byte(at + 1) == Some(b'*') => self.comment(),
            b'/' => self.take(1, kind::OPERATOR),
            b'?' | b']' => self.take(1, kind::UNKNOWN),
            b'@' => self.variable(),
            b'B' | b'b' => self.digits_in_quotes(|byte| matches!(byte, b'0' | b'1')),
            b'X' | b'x' => self.digits_in_quotes(|byte| byte.is_ascii_hexdigit()),
            b'E' | b'e' => self.escape_string(),
            b'N' | b'n' if self.byte(at + 1) == Some(b'\'') && at + 2 < self.input.len() => {
                self.escape_string()
            }
            b'N' | b'n' => self.oracle_string(at + 1),
            b'Q' | b'q' => self.oracle_string(at),
            b'U' | b'u' => self.unicode_string(),
            b'[' => {
                let length = memchr(b']', self.rest(at)).map_or(self.input.len() - at, |end| end + 1);
                self.take(length, kind::WORD)
            }
            b'\\' if self.byte(at + 1) == Some(b'N') => self.take(2, kind::NUMBER),
            b'\\' => self.take(1, kind::BACKSLASH),
            b'`' => self.backticks(at),
            _ => self.word(),
        }
    }

    /// A token of the next `length` bytes.
    fn take(&mut self, length: usize, kind: u8) -> Token<'a> {
        let start = self.at;
        self.at = start + length;
        if kind == kind::NONE {
            return Token::default();
        }
        Token::new(kind, self.slice(start, start + length), start)
    }

    fn operator(&mut self) -> Token<'a> {
        let two = self.slice(self.at, self.at + 2);
        if two.len() < 2 {
            return self.take(1, kind::OPERATOR);
        }
        if self.rest(self.at).starts_with(b"<=>") {
            return self.take(3, kind::OPERATOR);
        }
        match words::look_up(two).map(|found| found.kind) {
            Some(kind::LOGIC) => self.take(2, kind::LOGIC),
            Some(kind) if kind != kind::WORD => self.take(2, kind::OPERATOR),
            _ if two.first() == Some(&b':') => self.take(1, kind::COLON),
            _ => self.take(1, kind::OPERATOR),
        }
    }

    fn dash(&mut self) -> Token<'a> {
        if self.byte(self.at + 1) != Some(b'-') {
            return self.take(1, kind::OPERATOR);
        }
        if self.byte(self.at + 2).is_none_or(is_white) {
            return self.line_comment();
        }
        // A comment in ANSI SQL, two signs in MySQL.
        self.ambiguous = true;
        if self.mode.mysql { self.take(1, kind::OPERATOR) } else { self.line_comment() }
    }

    /// Up to the line feed, which belongs to no token.
    fn line_comment(&mut self) -> Token<'a> {
        let rest = self.rest(self.at);
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        let token = self.take(length, kind::COMMENT);
        self.at = (self.at + 1).min(self.input.len());
        token
    }

    /// `/* */`; one that is for MySQL alone, or has another within, is never innocent.
    fn comment(&mut self) -> Token<'a> {
        let rest = self.rest(self.at);
        let body = self.rest(self.at + 2);
        let end = memmem::find(body, b"*/");
        // libinjection looks one byte too far for a comment within.
        let nested =
            end.is_some_and(|end| memmem::find(body.get(..=end).unwrap_or_default(), b"/*").is_some());
        let evil = nested || rest.starts_with(b"/*!");
        let length = end.map_or(rest.len(), |end| end + 4);
        self.take(length, if evil { kind::EVIL } else { kind::COMMENT })
    }

    /// A string whose content begins at `start`, up to the first `quote` that is neither doubled nor after an odd
    /// number of backslashes.
    fn string(&mut self, start: usize, quote: u8, open: u8) -> Token<'a> {
        let content = self.rest(start);
        let mut from = 0;
        let mut end = None;
        while let Some(found) = content.get(from..).and_then(|rest| memchr(quote, rest)) {
            let at = from + found;
            let before = content.get(..at).unwrap_or_default();
            let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
            if backslashes % 2 == 1 {
                from = at + 1;
            } else if content.get(at + 1) == Some(&quote) {
                from = at + 2;
            } else {
                end = Some(at);
                break;
            }
        }
        let length = end.unwrap_or(content.len());
        let mut token = Token::new(kind::STRING, content.get(..length).unwrap_or_default(), start);
        token.open = open;
        token.close = if end.is_some() { quote } else { 0 };
        self.at = (start + length + 1).min(self.input.len());
        token
    }

    /// `e'..'`, and `n'..'`.
    fn escape_string(&mut self) -> Token<'a> {
        if self.at + 2 >= self.input.len() || self.byte(self.at + 1) != Some(b'\'') {
            return self.word();
        }
        self.string(self.at + 2, b'\'', b'\'')
    }

    /// `u&'..'`
    fn unicode_string(&mut self) -> Token<'a> {
        if self.byte(self.at + 1) != Some(b'&') || self.byte(self.at + 2) != Some(b'\'') {
            return self.word();
        }
        let mut token = self.string(self.at + 3, b'\'', b'u');
        if token.close != 0 {
            token.close = b'u';
        }
        token
    }

    /// `q'(..)'` of Oracle, whose `q` is at `start`.
    fn oracle_string(&mut self, start: usize) -> Token<'a> {
        let delimiter = match self.slice(start, start + 3) {
            [b'q' | b'Q', b'\'', delimiter @ 0x21..=0x7F] => *delimiter,
            _ => return self.word(),
        };
        let close = match delimiter {
            b'(' => b')',
            b'[' => b']',
            b'{' => b'}',
            b'<' => b'>',
            other => other,
        };
        let content = self.rest(start + 3);
        let end = memmem::find(content, &[close, b'\'']);
        let mut token = Token::new(
            kind::STRING,
            content.get(..end.unwrap_or(content.len())).unwrap_or_default(),
            start + 3,
        );
        token.open = b'q';
        token.close = if end.is_some() { b'q' } else { 0 };
        self.at = end.map_or(self.input.len(), |end| start + 3 + end + 2);
        token
    }

    /// `b'01'`, `x'1F'`
    fn digits_in_quotes(&mut self, digit: fn(u8) -> bool) -> Token<'a> {
        if self.at + 2 < self.input.len() && self.byte(self.at + 1) == Some(b'\'') {
            let end = self.run(self.at + 2, digit);
            if self.byte(end) == Some(b'\'') {
                return self.take(end + 1 - self.at, kind::NUMBER);
            }
        }
        self.word()
    }

    fn word(&mut self) -> Token<'a> {
        let start = self.at;
        if start >= self.word_end {
            let rest = self.rest(start);
            self.word_end =
                start + rest.iter().position(|byte| class(*byte) & ENDS_WORD != 0).unwrap_or(rest.len());
        }
        let word = self.slice(start, self.word_end);
        // A keyword before a dot or a backtick is a token of its own.
        for (length, byte) in word.iter().enumerate().take(KEPT + 1) {
            if class(*byte) & SPLITS_WORD != 0
                && let Some(found) = words::look_up(word.get(..length).unwrap_or_default())
                && found.kind != kind::WORD
            {
                return Token { begins: found.begins, ..self.take(length, found.kind) };
            }
        }
        let token = self.take(word.len(), kind::WORD);
        match words::look_up(word) {
            Some(found) => Token { kind: found.kind, begins: found.begins, ..token },
            None => token,
        }
    }

    /// A name in backticks.
    fn backticks(&mut self, at: usize) -> Token<'a> {
        let mut token = self.string(at + 1, b'`', b'`');
        let found = words::look_up(token.text);
        token.begins = found.is_some_and(|found| found.begins);
        let function = found.is_some_and(|found| found.kind == kind::FUNCTION);
        token.kind = if function { kind::FUNCTION } else { kind::WORD };
        token
    }

    /// `@name`, `@@name`, also in quotation marks.
    fn variable(&mut self) -> Token<'a> {
        let at_signs = if self.byte(self.at + 1) == Some(b'@') { 2 } else { 1 };
        let start = self.at + usize::from(at_signs);
        let mut token = match self.byte(start) {
            Some(b'`') => self.backticks(start),
            Some(quote @ (b'\'' | b'"')) => self.string(start + 1, quote, quote),
            _ => {
                let rest = self.rest(start);
                let length =
                    rest.iter().position(|byte| class(*byte) & ENDS_VARIABLE != 0).unwrap_or(rest.len());
                self.at = start;
                self.take(length, kind::VARIABLE)
            }
        };
        token.kind = kind::VARIABLE;
        token.at_signs = at_signs;
        token
    }

    /// Sums, and the strings of PostgreSQL: `$$..$$`, `$tag$..$tag$`.
    fn money(&mut self) -> Token<'a> {
        let start = self.at;
        let Some(next) = self.byte(start + 1) else { return self.take(1, kind::WORD) };
        let end = self.run(start + 1, |byte| matches!(byte, b'0'..=b'9' | b'.' | b','));
        if end > start + 1 {
            if end == start + 2 && next == b'.' {
                return self.word();
            }
            return self.take(end - start, kind::NUMBER);
        }
        if next == b'$' {
            return self.dollar_string(start + 2, b"$$");
        }
        let end = self.run(start + 1, |byte| byte.is_ascii_alphabetic());
        if end > start + 1 && self.byte(end) == Some(b'$') {
            return self.dollar_string(end + 1, self.slice(start, end + 1));
        }
        self.take(1, kind::WORD)
    }

    fn dollar_string(&mut self, start: usize, tag: &[u8]) -> Token<'a> {
        let content = self.rest(start);
        let end = memmem::find(content, tag);
        let mut token =
            Token::new(kind::STRING, content.get(..end.unwrap_or(content.len())).unwrap_or_default(), start);
        token.open = b'$';
        token.close = if end.is_some() { b'$' } else { 0 };
        self.at = end.map_or(self.input.len(), |end| start + end + tag.len());
        token
    }

    fn number(&mut self) -> Token<'a> {
        let start = self.at;
        if self.byte(start) == Some(b'0') {
            let end = match self.byte(start + 1) {
                Some(b'x' | b'X') => Some(self.run(start + 2, |byte| byte.is_ascii_hexdigit())),
                Some(b'b' | b'B') => Some(self.run(start + 2, |byte| matches!(byte, b'0' | b'1'))),
                _ => None,
            };
            if let Some(end) = end {
                let kind = if end == start + 2 { kind::WORD } else { kind::NUMBER };
                return self.take(end - start, kind);
            }
        }
        let digits =
            |from: usize| from + self.rest(from).iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut end = digits(start);
        if self.byte(end) == Some(b'.') {
            end = digits(end + 1);
            if end - start == 1 {
                return self.take(1, kind::DOT);
            }
        }
        let mut kind = kind::NUMBER;
        if matches!(self.byte(end), Some(b'e' | b'E')) {
            end += 1;
            if matches!(self.byte(end), Some(b'+' | b'-')) {
                end += 1;
            }
            let exponent = digits(end);
            if exponent == end {
                kind = kind::WORD;
            }
            end = exponent;
        }
        // The suffixes of Oracle, also where a `UNION` follows at once.
        if matches!(self.byte(end), Some(b'd' | b'D' | b'f' | b'F'))
            && self.byte(end + 1).is_none_or(|byte| is_white(byte) || matches!(byte, b';' | b'u' | b'U'))
        {
            end += 1;
        }
        self.take(end - start, kind)
    }
}
