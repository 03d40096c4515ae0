//! `Content-Disposition` of a part (RFC 7578 section 4.2, RFC 2183): its name and its file name.

use super::{MultipartFlag, MultipartFlags, part::Text};

/// What the field of one part says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Disposition {
    pub(super) name: Option<Text>,
    pub(super) filename: Option<Text>,
    /// The value of `filename*`, as it is written.
    pub(super) extended: Option<Text>,
    pub(super) flags: MultipartFlags,
    /// It is well formed, and says nothing twice and nothing that forms do not say.
    pub(super) valid: bool,
}

/// Reads the field value, which stands at `base` of the body, as far as it is clear what is meant. In a form, the type is
/// `form-data`.
pub(super) fn read(value: &[u8], base: u32, form: bool) -> Disposition {
    let mut reader = Reader { value, base, at: 0, found: Disposition::default() };
    reader.found.valid = reader.all(form).unwrap_or(false) && reader.found.valid_file(value);
    reader.found
}

impl Disposition {
    /// Crude readers look for `filename=` itself.
    fn valid_file(&self, value: &[u8]) -> bool {
        self.filename.is_none() || memchr::memmem::find(value, b"filename=").is_some()
    }
}

struct Reader<'a> {
    value: &'a [u8],
    base: u32,
    at: usize,
    found: Disposition,
}

impl Reader<'_> {
    /// The type and all parameters; none where it cannot be said how to go on.
    fn all(&mut self, form: bool) -> Option<bool> {
        let start = self.at;
        self.skip_while(is_token);
        let kind = self.value.get(start..self.at)?;
        let mut valid = if form { kind == b"form-data" } else { !kind.is_empty() };
        loop {
            self.skip_while(is_space);
            match self.peek() {
                None => return Some(valid),
                Some(b';') => self.at += 1,
                Some(_) => {
                    self.note_stray_quote();
                    return None;
                }
            }
            self.skip_while(is_space);
            if self.peek().is_none() {
                return Some(valid);
            }
            valid &= self.parameter(form)?;
        }
    }

    /// One parameter: whether it is one that a form may have, for the first time.
    fn parameter(&mut self, form: bool) -> Option<bool> {
        let start = self.at;
        self.skip_while(|byte| byte != b'=' && byte != b';' && !is_space(byte));
        let name = self.value.get(start..self.at).filter(|name| !name.is_empty())?;
        self.skip_while(is_space);
        if self.peek()? != b'=' {
            return None;
        }
        self.at += 1;
        self.skip_while(is_space);
        let (text, closed) = self.text()?;
        let lower = name.iter().all(|byte| !byte.is_ascii_uppercase());
        let fresh = |slot: &mut Option<Text>| {
            let fresh = slot.is_none();
            slot.get_or_insert(text);
            fresh
        };
        let known = if name.eq_ignore_ascii_case(b"name") {
            self.note_apostrophe(text);
            fresh(&mut self.found.name)
        } else if name.eq_ignore_ascii_case(b"filename") {
            self.note_apostrophe(text);
            fresh(&mut self.found.filename)
        } else if name.eq_ignore_ascii_case(b"filename*") {
            self.found.flags.set(MultipartFlag::ExtendedFilename);
            fresh(&mut self.found.extended) && !form
        } else {
            !form
        };
        if !closed { None } else { Some(known && lower) }
    }

    /// A value, in quotes or not; and whether its quotes end.
    fn text(&mut self) -> Option<(Text, bool)> {
        let quote = self.peek()?;
        if quote != b'"' && quote != b'\'' {
            let start = self.at;
            self.skip_while(|byte| is_token(byte) && byte != b'"' || byte == b'\'');
            return Some((self.span(start, self.at, false), true));
        }
        if quote == b'\'' {
            self.found.flags.set(MultipartFlag::InvalidQuoting);
        }
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.peek() {
                None => return Some((self.span(start, self.at, escaped), false)),
                Some(byte) if byte == quote => break,
                // Only these are escapes: Internet Explorer sent whole Windows paths.
                Some(b'\\') if matches!(self.value.get(self.at + 1), Some(&next) if next == quote || next == b'\\') =>
                {
                    escaped = true;
                    self.at += 2;
                }
                Some(_) => self.at += 1,
            }
        }
        let text = self.span(start, self.at, escaped);
        self.at += 1;
        Some((text, true))
    }

    /// In double quotes an apostrophe is a character like others.
    fn note_apostrophe(&mut self, text: Text) {
        let before = (text.start.saturating_sub(self.base) as usize).checked_sub(1);
        if before.and_then(|at| self.value.get(at)) == Some(&b'"') {
            return;
        }
        let range =
            text.start.saturating_sub(self.base) as usize..text.end.saturating_sub(self.base) as usize;
        if self.value.get(range).is_some_and(|text| text.contains(&b'\'')) {
            self.found.flags.set(MultipartFlag::InvalidQuoting);
        }
    }

    /// A quote right before what should be a semicolon ended a value too early.
    fn note_stray_quote(&mut self) {
        let before = self.at.checked_sub(1).and_then(|at| self.value.get(at));
        if matches!(before, Some(b'"' | b'\'')) {
            self.found.flags.set(MultipartFlag::InvalidQuoting);
        }
    }

    fn span(&self, start: usize, end: usize, escaped: bool) -> Text {
        let offset = |at: usize| self.base.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
        Text { start: offset(start), end: offset(end), escaped }
    }

    fn peek(&self) -> Option<u8> {
        self.value.get(self.at).copied()
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
    }
}

/// White space, with the line ends of a folded field and the vertical tabs that some fold with.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// A token of RFC 2045 section 5.1. Bytes beyond ASCII are none.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte)
}
