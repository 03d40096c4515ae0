//! From the syntax of PCRE to that of this crate's engine, for texts of bytes.
//!
//! Where the two read a pattern differently, PCRE's reading is spelt out: `\x{HH}` is a byte, `\<` a literal, `\v` a
//! class, a `{` that begins no repetition and a `[` or `&&` within a class are themselves, and each byte of a
//! letter beyond ASCII stands alone. What cannot run in linear time is refused.

use std::fmt::Write as _;

/// Vertical white space, what `\v` and `\R` stand for.
const VERTICAL: &str = r"\n\x0B\x0C\r\x85";
/// Horizontal white space, what `\h` stands for.
const HORIZONTAL: &str = r"\t\x20\xA0";

/// An expression of PCRE as one that the engine reads, in ASCII alone.
///
/// # Errors
/// A construct that no linear-time engine has, or that a text of bytes cannot have.
pub(in crate::operator) fn translate(pattern: &[u8]) -> Result<String, String> {
    let mut reader = Reader { rest: pattern, out: String::with_capacity(pattern.len() + 16) };
    reader.expression()?;
    Ok(reader.out)
}

struct Reader<'a> {
    rest: &'a [u8],
    out: String,
}

/// What an escape or a member of a class is.
enum Item {
    /// One byte.
    Byte(u8),
    /// A class, as text that may stand within brackets.
    Class(&'static str),
    /// What is no byte: an assertion, or nothing.
    Other(&'static str),
}

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take(&mut self, prefix: &[u8]) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes the text before `end`, and `end`.
    fn until(&mut self, end: u8, what: &str) -> Result<&[u8], String> {
        let at = memchr::memchr(end, self.rest).ok_or_else(|| format!("{what} is never closed"))?;
        let (text, rest) = self.rest.split_at_checked(at).unwrap_or_default();
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(text)
    }

    fn byte(&mut self, byte: u8) {
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'_' | b'/' | b'<' | b'>' | b'=' | b'!' | b',' | b':' | b';' | b'@' | b'%')
        {
            self.out.push(char::from(byte));
        } else {
            // INVARIANT: writing to memory does not fail.
            let _ = write!(self.out, "\\x{byte:02X}");
        }
    }

    fn expression(&mut self) -> Result<(), String> {
        while let Some(byte) = self.next() {
            match byte {
                b'\\' if self.take(b"Q") => self.quoted(),
                b'\\' => match self.escape(false)? {
                    Item::Byte(byte) => self.byte(byte),
                    Item::Class(members) => self.class_of(members),
                    Item::Other(text) => self.out.push_str(text),
                },
                b'[' => self.class()?,
                b'(' => self.group()?,
                b'{' => match repetition(self.rest) {
                    Some(length) => {
                        let (counts, rest) = self.rest.split_at_checked(length).unwrap_or_default();
                        self.out.push('{');
                        self.out.extend(counts.iter().map(|byte| char::from(*byte)));
                        self.rest = rest;
                        self.not_possessive()?;
                    }
                    None => self.byte(b'{'),
                },
                b'*' | b'+' | b'?' => {
                    self.out.push(char::from(byte));
                    self.not_possessive()?;
                }
                b'^' | b'$' | b'.' | b'|' | b')' | b' ' | b'#' | b'\n' => self.out.push(char::from(byte)),
                _ => self.byte(byte),
            }
        }
        Ok(())
    }

    fn class_of(&mut self, members: &str) {
        self.out.push('[');
        self.out.push_str(members);
        self.out.push(']');
    }

    /// Takes the `?` of a lazy quantifier; refuses the `+` of a possessive one.
    fn not_possessive(&mut self) -> Result<(), String> {
        if self.take(b"?") {
            self.out.push('?');
        }
        if self.rest.first() == Some(&b'+') {
            return Err(
                "a possessive quantifier (`++`, `*+`) cannot run in linear time: write it without the last \
                        `+`, and look at what else it then matches"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// The text up to `\E`, literally.
    fn quoted(&mut self) {
        while let Some(byte) = self.next() {
            if byte == b'\\' && self.take(b"E") {
                return;
            }
            self.byte(byte);
        }
    }

    /// What follows an opening parenthesis.
    fn group(&mut self) -> Result<(), String> {
        const LOOK: &str = "look-around (`(?=`, `(?!`, `(?<=`, `(?<!`) cannot run in linear time; split the rule, or \
                            match what is unwanted by a chained rule";
        if self.take(b"*") {
            return Err(
                "verbs of backtracking (`(*..)`) have no meaning in linear time; remove them".to_owned()
            );
        }
        if !self.take(b"?") {
            self.out.push('(');
            return Ok(());
        }
        if self.take(b"#") {
            self.until(b')', "a comment `(?#`")?;
            return Ok(());
        }
        if [b"=".as_slice(), b"!", b"<=", b"<!"].iter().any(|look| self.rest.starts_with(look)) {
            return Err(LOOK.to_owned());
        }
        let close = if self.take(b"P<") || self.take(b"<") {
            Some(b'>')
        } else if self.take(b"'") {
            Some(b'\'')
        } else {
            None
        };
        if let Some(close) = close {
            let name = self.until(close, "the name of a group")?;
            let name = String::from_utf8_lossy(name).into_owned();
            let _ = write!(self.out, "(?P<{name}>");
            return Ok(());
        }
        self.out.push_str("(?");
        while let Some(byte) = self.next() {
            match byte {
                b'i' | b'm' | b's' | b'x' | b'U' | b'-' => self.out.push(char::from(byte)),
                b':' | b')' => {
                    self.out.push(char::from(byte));
                    return Ok(());
                }
                _ => break,
            }
        }
        Err("atomic groups, recursion, conditions and back references cannot run in linear time; write plain groups and repetitions".to_owned())
    }

    /// What follows a backslash.
    fn escape(&mut self, in_class: bool) -> Result<Item, String> {
        let Some(byte) = self.next() else { return Err("it ends in a backslash".to_owned()) };
        Ok(match byte {
            b'x' => Item::Byte(self.hexadecimal()?),
            b'0' => Item::Byte(self.octal(0)?),
            b'1'..=b'7' if in_class => Item::Byte(self.octal(byte - b'0')?),
            b'1'..=b'9' | b'g' | b'k' => {
                return Err("a back reference cannot run in linear time; write what it may repeat, or compare by a chained rule".to_owned());
            }
            b'o' if self.take(b"{") => {
                let digits = self.until(b'}', "`\\o{`")?;
                Item::Byte(digits_to_byte(digits, 8)?)
            }
            b'c' => {
                let control = self.next().ok_or("`\\c` names no character")?;
                Item::Byte(control.to_ascii_uppercase() ^ 0x40)
            }
            b'a' => Item::Byte(0x07),
            b'e' => Item::Byte(0x1B),
            b'f' => Item::Byte(0x0C),
            b'n' => Item::Byte(b'\n'),
            b'r' => Item::Byte(b'\r'),
            b't' => Item::Byte(b'\t'),
            b'b' if in_class => Item::Byte(0x08),
            b'd' => Item::Class(r"\d"),
            b'D' => Item::Class(r"\D"),
            b's' => Item::Class(r"\s"),
            b'S' => Item::Class(r"\S"),
            b'w' => Item::Class(r"\w"),
            b'W' => Item::Class(r"\W"),
            b'v' => Item::Class(VERTICAL),
            b'V' => Item::Class(r"[^\n\x0B\x0C\r\x85]"),
            b'h' => Item::Class(HORIZONTAL),
            b'H' => Item::Class(r"[^\t\x20\xA0]"),
            b'N' => Item::Class(r"[^\n]"),
            b'C' => Item::Class(r"\x00-\xFF"),
            b'E' => Item::Other(""),
            b'R' if !in_class => Item::Other(r"(?:\r\n|[\n\x0B\x0C\r\x85])"),
            b'b' => Item::Other(r"\b"),
            b'B' if !in_class => Item::Other(r"\B"),
            b'A' if !in_class => Item::Other(r"\A"),
            b'z' if !in_class => Item::Other(r"\z"),
            b'Z' if !in_class => Item::Other(r"(?:\n?\z)"),
            b'p' | b'P' | b'X' | b'G' | b'K' | b'L' | b'l' | b'U' | b'u' => {
                return Err(format!("`\\{}` has no meaning for bytes in linear time", char::from(byte)));
            }
            _ => Item::Byte(byte),
        })
    }

    /// The digits of `\x`: two at most, or any number in braces.
    fn hexadecimal(&mut self) -> Result<u8, String> {
        if self.take(b"{") {
            let digits = self.until(b'}', "`\\x{`")?;
            return digits_to_byte(digits, 16);
        }
        let length = self.rest.iter().take(2).take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (digits, rest) = self.rest.split_at_checked(length).unwrap_or_default();
        self.rest = rest;
        digits_to_byte(digits, 16)
    }

    /// At most two octal digits after a first one.
    fn octal(&mut self, first: u8) -> Result<u8, String> {
        let mut number = u32::from(first);
        for _ in 0..2 {
            let Some(digit) = self.rest.first().filter(|byte| matches!(byte, b'0'..=b'7')) else { break };
            number = number * 8 + u32::from(digit - b'0');
            self.next();
        }
        u8::try_from(number).map_err(|_| beyond_a_byte())
    }

    /// What follows an opening bracket.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.take(b"^") {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            if !first && self.take(b"]") {
                self.out.push(']');
                return Ok(());
            }
            first = false;
            let Item::Byte(low) = self.member()? else { continue };
            self.byte(low);
            // A dash between two bytes is a range; anywhere else it is itself.
            if matches!(self.rest, [b'-', next, ..] if *next != b']') {
                let before = self.rest;
                self.take(b"-");
                let length = self.out.len();
                match self.member()? {
                    Item::Byte(high) => {
                        self.out.push('-');
                        self.byte(high);
                    }
                    _ => {
                        self.out.truncate(length);
                        self.rest = before;
                    }
                }
            }
        }
    }

    /// One member of a class; classes are written, a byte is left to the caller.
    fn member(&mut self) -> Result<Item, String> {
        let Some(byte) = self.next() else { return Err("a `[` is never closed".to_owned()) };
        let item = match byte {
            b'\\' => self.escape(true)?,
            b'[' => match posix_class(self.rest) {
                Some(length) => {
                    let (name, rest) = self.rest.split_at_checked(length).unwrap_or_default();
                    self.out.push('[');
                    self.out.extend(name.iter().map(|byte| char::from(*byte)));
                    self.rest = rest;
                    Item::Other("")
                }
                None => Item::Byte(byte),
            },
            _ => Item::Byte(byte),
        };
        if let Item::Class(members) = item {
            self.out.push_str(members);
        }
        Ok(item)
    }
}

/// The length of `:alpha:]` at the beginning of `rest`.
fn posix_class(rest: &[u8]) -> Option<usize> {
    let name = rest.strip_prefix(b":")?;
    let letters = name.iter().take_while(|byte| byte.is_ascii_lowercase() || **byte == b'^').count();
    name.get(letters..)?.starts_with(b":]").then_some(letters + 3)
}

/// The length of `3}`, `3,}` or `3,5}` at the beginning of `rest`.
fn repetition(rest: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        rest.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut length = digits(0);
    if length == 0 {
        return None;
    }
    if rest.get(length) == Some(&b',') {
        length += 1;
        length += digits(length);
    }
    (rest.get(length) == Some(&b'}')).then_some(length + 1)
}

fn digits_to_byte(digits: &[u8], base: u32) -> Result<u8, String> {
    let digit = |byte: &u8| char::from(*byte).to_digit(base);
    digits
        .iter()
        .try_fold(0_u32, |number, byte| number.checked_mul(base)?.checked_add(digit(byte)?))
        .and_then(|number| u8::try_from(number).ok())
        .ok_or_else(beyond_a_byte)
}

fn beyond_a_byte() -> String {
    "a number of a character is above 255: values are bytes, write its bytes in UTF-8".to_owned()
}
