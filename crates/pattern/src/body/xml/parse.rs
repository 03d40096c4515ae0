//! The one pass: a reader of markup, and around it what it leaves unchecked.

use std::borrow::Cow;

use quick_xml::{
    Reader,
    errors::{Error, IllFormedError},
    events::{BytesStart, Event},
};

use super::{
    XmlBuffer, XmlError, XmlKind, XmlLimits, XmlProblem,
    node::{self, Record},
};

/// Fills `buffer`. After an error it holds what came before.
pub(super) fn parse(bytes: &[u8], limits: &XmlLimits, buffer: &mut XmlBuffer) -> Result<(), XmlError> {
    buffer.nodes.clear();
    buffer.open.clear();
    buffer.length = bytes.len();
    let fail = |offset, problem| Err(XmlError { offset, problem });
    if u32::try_from(bytes.len()).is_err() {
        return fail(0, XmlProblem::DocumentTooLong);
    }
    let (text, rest) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            (std::str::from_utf8(valid).unwrap_or_default(), Some(XmlProblem::InvalidUtf8))
        }
    };
    if text.starts_with('\u{feff}') {
        // A second mark: the first is none of the text that is read here.
        return fail(0, XmlProblem::OutsideRoot);
    }
    // What stands before the first thing that is wrong is read, so that it can be looked at.
    let (text, rest) = match first_invalid(text) {
        Some(at) => (text.get(..at).unwrap_or_default(), Some(XmlProblem::InvalidCharacter)),
        None => (text, rest),
    };
    let mut parser = Parser { text, limits: *limits, buffer, in_root: false, had_root: false, joined: None };
    let result = parser.document();
    parser.cut_off();
    match (result, rest) {
        (Err(error), None) => Err(error),
        (Err(error), Some(_)) if error.offset < text.len() && !error.problem.is_end() => Err(error),
        (_, Some(problem)) => fail(text.len(), problem),
        (Ok(()), None) => Ok(()),
    }
}

/// The first character that XML does not allow.
fn first_invalid(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
    // Whole blocks first: without a way out of the loop, many bytes are compared at once.
    let block =
        bytes.chunks(256).position(|block| block.iter().fold(false, |any, byte| any | is_control(byte)));
    let control = block.and_then(|block| {
        let inner = bytes.get(block * 256..)?.iter().position(is_control)?;
        Some(block * 256 + inner)
    });
    let mut finder = memchr::memchr_iter(0xef, bytes);
    let noncharacter = finder.find(|at| {
        matches!(bytes.get(*at..).and_then(|rest| rest.first_chunk()), Some([0xef, 0xbf, 0xbe | 0xbf]))
    });
    control.into_iter().chain(noncharacter).min()
}

impl XmlProblem {
    /// Whether it says no more than that the text ends too early.
    fn is_end(self) -> bool {
        matches!(self, XmlProblem::Markup | XmlProblem::UnclosedElement | XmlProblem::NoRoot)
    }
}

struct Parser<'a> {
    text: &'a str,
    limits: XmlLimits,
    buffer: &'a mut XmlBuffer,
    in_root: bool,
    had_root: bool,
    /// The text node that a reference or more text right behind it belongs to.
    joined: Option<usize>,
}

impl Parser<'_> {
    fn document(&mut self) -> Result<(), XmlError> {
        let mut reader = Reader::from_str(self.text);
        let config = reader.config_mut();
        config.check_comments = true;
        loop {
            let start = position(&reader);
            let event = match reader.read_event() {
                Ok(event) => event,
                Err(error) => return fail(start.max(error_position(&reader)), problem(&error)),
            };
            let end = position(&reader);
            if !matches!(event, Event::Text(_) | Event::GeneralRef(_)) {
                self.joined = None;
            }
            match event {
                Event::Start(tag) => self.start(&tag, start, end, false)?,
                Event::Empty(tag) => self.start(&tag, start, end, true)?,
                Event::End(_) => self.end(start, end),
                Event::Text(_) => {
                    if memchr::memmem::find(self.bytes(start, end), b"]]>").is_some() {
                        return fail(start, XmlProblem::Markup);
                    }
                    self.text(start, end)?;
                }
                Event::GeneralRef(reference) => {
                    if node::referred(&reference).is_none() {
                        return fail(start, XmlProblem::Entity);
                    }
                    self.text(start, end)?;
                }
                Event::CData(_) if !self.in_root => return fail(start, XmlProblem::OutsideRoot),
                Event::CData(_) => self.inner(XmlKind::CData, start, end, "<![CDATA[".len(), "]]>".len())?,
                Event::Comment(_) => self.inner(XmlKind::Comment, start, end, "<!--".len(), "-->".len())?,
                Event::Decl(_) => self.declaration(start, end)?,
                Event::PI(instruction) => {
                    let target = instruction.target();
                    if !is_name(target) || target.eq_ignore_ascii_case("xml") {
                        return fail(start, XmlProblem::Declaration);
                    }
                    let behind = start + "<?".len() + target.len();
                    self.inner(XmlKind::Instruction, start, end, behind - start, "?>".len())?;
                    if let Some(record) = self.buffer.nodes.last_mut() {
                        record.name = (span(start + "<?".len()), span(behind));
                    }
                }
                Event::DocType(_) => return fail(start, XmlProblem::Dtd),
                Event::Eof if !self.buffer.open.is_empty() => return fail(end, XmlProblem::UnclosedElement),
                Event::Eof if !self.had_root => return fail(end, XmlProblem::NoRoot),
                Event::Eof => return Ok(()),
            }
        }
    }

    /// `<?xml version="1.0"`, then an encoding and `standalone` where they are given (section 2.8).
    fn declaration(&self, start: usize, end: usize) -> Result<(), XmlError> {
        let text = self.text.get(start..end).and_then(|text| text.strip_prefix("<?xml")?.strip_suffix("?>"));
        let Some(mut rest) = text.filter(|_| start == 0) else { return fail(start, XmlProblem::Declaration) };
        let mut given = [None; 3];
        for (slot, name) in given.iter_mut().zip(["version", "encoding", "standalone"]) {
            if let Some((value, behind)) = pseudo_attribute(rest, name) {
                *slot = Some(value);
                rest = behind;
            }
        }
        let [version, encoding, standalone] = given;
        let is_encoding = |name: &str| {
            name.starts_with(|first: char| first.is_ascii_alphabetic())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        match version {
            Some(version) if version != "1.0" => fail(start, XmlProblem::Version),
            Some(_)
                if rest.trim_matches(SPACE).is_empty()
                    && encoding.is_none_or(is_encoding)
                    && standalone.is_none_or(|value| matches!(value, "yes" | "no")) =>
            {
                Ok(())
            }
            _ => fail(start, XmlProblem::Declaration),
        }
    }

    /// A start tag, or an element without content.
    fn start(&mut self, tag: &BytesStart<'_>, start: usize, end: usize, empty: bool) -> Result<(), XmlError> {
        if !self.in_root && self.had_root {
            return fail(start, XmlProblem::OutsideRoot);
        }
        if self.buffer.open.len() >= self.limits.depth as usize {
            return fail(start, XmlProblem::TooDeep);
        }
        let name_start = start + 1;
        let name = tag.name();
        if !is_name(name.as_ref()) {
            return fail(start, XmlProblem::Name);
        }
        let index = self.buffer.nodes.len();
        self.push(Record {
            kind: XmlKind::Element,
            written_otherwise: false,
            start: span(start),
            end: span(end),
            name: (span(name_start), span(name_start + name.as_ref().len())),
            text: (span(end), span(end)),
            next: 0,
        })?;
        self.had_root = true;
        self.attributes(tag, start)?;
        let next = span(self.buffer.nodes.len());
        if let Some(record) = self.buffer.nodes.get_mut(index) {
            record.next = next;
        }
        if !empty {
            self.buffer.open.push(span(index));
        }
        self.in_root = !self.buffer.open.is_empty();
        Ok(())
    }

    fn attributes(&mut self, tag: &BytesStart<'_>, start: usize) -> Result<(), XmlError> {
        let first = self.buffer.nodes.len();
        let mut all = tag.attributes();
        for attribute in all.with_checks(false) {
            let attribute =
                attribute.map_err(|_| XmlError { offset: start, problem: XmlProblem::Attribute })?;
            let (name, value) = (attribute.key.as_ref(), &attribute.value);
            let offset = self.place(name).unwrap_or(start);
            let Some(value_start) = self.place(value) else { return fail(offset, XmlProblem::Attribute) };
            if !is_name(name) {
                return fail(offset, XmlProblem::Name);
            }
            let before = offset.checked_sub(1).and_then(|at| self.text.as_bytes().get(at));
            if !before.is_some_and(|byte| SPACE.contains(&char::from(*byte))) {
                return fail(offset, XmlProblem::Attribute);
            }
            if self.buffer.nodes.len() - first >= self.limits.attributes as usize {
                return fail(offset, XmlProblem::TooManyAttributes);
            }
            let value_end = value_start + value.len();
            self.check_value(value_start, value_end)?;
            let otherwise = self.is_written_otherwise(value_start, value_end)
                || memchr::memchr2(b'\t', b'\n', self.bytes(value_start, value_end)).is_some();
            self.push(Record {
                kind: XmlKind::Attribute,
                written_otherwise: otherwise,
                start: span(offset),
                end: span(value_end + 1),
                name: (span(offset), span(offset + name.len())),
                text: (span(value_start), span(value_end)),
                next: span(self.buffer.nodes.len()) + 1,
            })?;
        }
        let XmlBuffer { nodes, keys, .. } = &mut *self.buffer;
        let (text, nodes) = (self.text.as_bytes(), nodes.as_slice());
        let name = |index: u32| {
            let name = nodes.get(index as usize).map(|record| record.name).unwrap_or_default();
            Cow::Borrowed(text.get(name.0 as usize..name.1 as usize).unwrap_or_default())
        };
        let duplicate = keys.first_duplicate(nodes.len() - first, span(first)..span(nodes.len()), name);
        match duplicate.and_then(|index| nodes.get(index as usize)) {
            Some(record) => fail(record.start as usize, XmlProblem::DuplicateAttribute),
            None => Ok(()),
        }
    }

    /// No `<` and only known references are in a value (sections 3.1 and 4.1).
    fn check_value(&self, start: usize, end: usize) -> Result<(), XmlError> {
        let value = self.bytes(start, end);
        for at in memchr::memchr2_iter(b'<', b'&', value) {
            let behind = self.text.get(start + at + 1..end).unwrap_or_default();
            let reference = match value.get(at) {
                Some(b'&') => behind.find(';').and_then(|end| behind.get(..end)),
                _ => return fail(start + at, XmlProblem::Attribute),
            };
            if reference.and_then(node::referred).is_none() {
                return fail(start + at, XmlProblem::Entity);
            }
        }
        Ok(())
    }

    fn end(&mut self, start: usize, end: usize) {
        let next = span(self.buffer.nodes.len());
        if let Some(index) = self.buffer.open.pop()
            && let Some(record) = self.buffer.nodes.get_mut(index as usize)
        {
            record.end = span(end);
            record.text.1 = span(start);
            record.next = next;
        }
        self.in_root = !self.buffer.open.is_empty();
    }

    /// Text or a reference, which belong together.
    fn text(&mut self, start: usize, end: usize) -> Result<(), XmlError> {
        if start == end {
            return Ok(());
        }
        if !self.in_root {
            let blank =
                self.bytes(start, end).iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
            return if blank { Ok(()) } else { fail(start, XmlProblem::OutsideRoot) };
        }
        let otherwise = self.is_written_otherwise(start, end);
        if let Some(record) = self.joined.and_then(|index| self.buffer.nodes.get_mut(index)) {
            record.end = span(end);
            record.text.1 = span(end);
            record.written_otherwise |= otherwise;
            return Ok(());
        }
        self.joined = Some(self.buffer.nodes.len());
        self.inner(XmlKind::Text, start, end, 0, 0)
    }

    /// A node without anything inside, whose text is so many bytes from both ends.
    fn inner(
        &mut self,
        kind: XmlKind,
        start: usize,
        end: usize,
        before: usize,
        behind: usize,
    ) -> Result<(), XmlError> {
        let text = (start + before, end.saturating_sub(behind).max(start + before));
        self.push(Record {
            kind,
            written_otherwise: self.is_written_otherwise(text.0, text.1),
            start: span(start),
            end: span(end),
            name: (span(start), span(start)),
            text: (span(text.0), span(text.1)),
            next: span(self.buffer.nodes.len()) + 1,
        })
    }

    fn push(&mut self, record: Record) -> Result<(), XmlError> {
        if self.buffer.nodes.len() >= self.limits.nodes as usize {
            return fail(record.start as usize, XmlProblem::TooManyNodes);
        }
        self.buffer.nodes.push(record);
        Ok(())
    }

    /// Ends what is open where reading ended.
    fn cut_off(&mut self) {
        let (end, next) = (self.text.len(), span(self.buffer.nodes.len()));
        while let Some(index) = self.buffer.open.pop() {
            if let Some(record) = self.buffer.nodes.get_mut(index as usize) {
                record.end = span(end);
                record.text.1 = span(end);
                record.next = next;
            }
        }
        // An element whose attributes were cut off has not been opened.
        for record in self.buffer.nodes.iter_mut().filter(|record| record.next == 0) {
            record.next = next;
        }
    }

    fn is_written_otherwise(&self, start: usize, end: usize) -> bool {
        memchr::memchr2(b'&', b'\r', self.bytes(start, end)).is_some()
    }

    fn bytes(&self, start: usize, end: usize) -> &[u8] {
        self.text.as_bytes().get(start..end).unwrap_or_default()
    }

    /// Where a part of the text stands in it.
    fn place(&self, part: &str) -> Option<usize> {
        let at = (part.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        (at + part.len() <= self.text.len()).then_some(at)
    }
}

fn fail<T>(offset: usize, problem: XmlProblem) -> Result<T, XmlError> {
    Err(XmlError { offset, problem })
}

fn problem(error: &Error) -> XmlProblem {
    match error {
        Error::IllFormed(IllFormedError::UnmatchedEndTag(_) | IllFormedError::MismatchedEndTag { .. }) => {
            XmlProblem::EndTag
        }
        Error::IllFormed(IllFormedError::UnclosedReference) => XmlProblem::Entity,
        Error::IllFormed(IllFormedError::MissingEndTag(_)) => XmlProblem::UnclosedElement,
        _ => XmlProblem::Markup,
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

fn error_position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.error_position()).unwrap_or(usize::MAX)
}

/// White space of section 2.3.
const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// White space and `name="value"`: the value and what is behind it.
fn pseudo_attribute<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let rest = text.trim_start_matches(SPACE);
    let rest = if rest.len() < text.len() { rest.strip_prefix(name)? } else { return None };
    let value = rest.trim_start_matches(SPACE).strip_prefix('=')?.trim_start_matches(SPACE);
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    value.get(1..)?.split_once(quote)
}

/// `Name` of section 2.3.
fn is_name(name: &str) -> bool {
    if name.is_ascii() {
        let first = name.bytes().next();
        return first.is_some_and(|byte| starts_name(byte.into()))
            && name.bytes().all(|byte| continues_name(byte.into()));
    }
    name.starts_with(starts_name) && name.chars().all(continues_name)
}

/// `NameStartChar`.
fn starts_name(character: char) -> bool {
    matches!(character, 'a'..='z' | 'A'..='Z' | '_' | ':' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}')
        || matches!(character, '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}')
        || matches!(character, '\u{200c}' | '\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}')
        || matches!(character, '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}')
        || matches!(character, '\u{10000}'..='\u{effff}')
}

/// `NameChar`.
fn continues_name(character: char) -> bool {
    starts_name(character)
        || matches!(character, '0'..='9' | '-' | '.' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

/// An offset or count: both are below 2^32, which is checked at the start.
#[expect(
    clippy::cast_possible_truncation,
    reason = "INVARIANT: a document has fewer than 2^32 bytes and nodes"
)]
fn span(offset: usize) -> u32 {
    offset as u32
}
