//! One node of a document: its span, its name and its text.

use std::{borrow::Cow, ops::Range};

use super::Xml;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XmlKind {
    /// An element.
    Element,
    /// An attribute, with its value.
    Attribute,
    /// Text between markup, references included.
    Text,
    /// A CDATA section.
    CData,
    /// A comment.
    Comment,
    /// A processing instruction.
    Instruction,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) kind: XmlKind,
    /// References or characters that XML reads as others are in the text.
    pub(super) written_otherwise: bool,
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) name: (u32, u32),
    pub(super) text: (u32, u32),
    /// The number behind all that is inside.
    pub(super) next: u32,
}

/// A node of an [`Xml`] document. A copy costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct XmlNode<'a> {
    pub(super) xml: Xml<'a>,
    pub(super) record: Record,
    pub(super) index: u32,
}

impl<'a> XmlNode<'a> {
    /// What it is.
    #[must_use]
    pub fn kind(self) -> XmlKind {
        self.record.kind
    }

    /// Its number in the document ([`Xml::node`]).
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    /// The number behind it and all that is inside it.
    #[must_use]
    pub fn next_index(self) -> u32 {
        self.record.next
    }

    /// Where it stands, markup included.
    #[must_use]
    pub fn span(self) -> Range<usize> {
        self.record.start as usize..self.record.end as usize
    }

    /// Where its text stands: of an attribute the value without quotes, of a section or comment what is inside, of an
    /// element what is between its tags.
    #[must_use]
    pub fn text_span(self) -> Range<usize> {
        self.record.text.0 as usize..self.record.text.1 as usize
    }

    /// The name of an element or attribute with its prefix, or the target of an instruction; else empty.
    #[must_use]
    pub fn name(self) -> &'a [u8] {
        self.bytes(self.record.name)
    }

    /// The name without its prefix.
    #[must_use]
    pub fn local_name(self) -> &'a [u8] {
        let name = self.name();
        memchr::memrchr(b':', name).and_then(|at| name.get(at + 1..)).unwrap_or(name)
    }

    /// Its text as it is written.
    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        self.bytes(self.record.text)
    }

    /// Its text with references undone, line ends as XML reads them (section 2.11) and white space of attributes as
    /// spaces (section 3.3.3). Of an element, all text inside it.
    #[must_use]
    pub fn text(self) -> Cow<'a, [u8]> {
        if self.kind() != XmlKind::Element && !self.record.written_otherwise {
            return Cow::Borrowed(self.raw());
        }
        let mut out = Vec::new();
        self.text_into(&mut out);
        Cow::Owned(out)
    }

    /// The same, written behind what `out` has.
    pub fn text_into(self, out: &mut Vec<u8>) {
        match self.kind() {
            XmlKind::Element => {
                let inside = (self.index + 1..self.record.next).filter_map(|index| self.xml.node(index));
                for text in inside.filter(|node| matches!(node.kind(), XmlKind::Text | XmlKind::CData)) {
                    text.text_into(out);
                }
            }
            _ if !self.record.written_otherwise => out.extend_from_slice(self.raw()),
            kind => read_text(self.raw(), kind, out),
        }
    }

    /// The attributes of an element.
    pub fn attributes(self) -> impl Iterator<Item = XmlNode<'a>> {
        let xml = self.xml;
        let inside = (self.index + 1..self.record.next).map_while(move |index| xml.node(index));
        inside.take_while(|node| node.kind() == XmlKind::Attribute)
    }

    /// What is directly inside an element, attributes left out.
    #[must_use]
    pub fn children(self) -> XmlChildren<'a> {
        XmlChildren { xml: self.xml, next: self.index + 1, end: self.record.next }
    }

    fn bytes(self, (start, end): (u32, u32)) -> &'a [u8] {
        self.xml.text.get(start as usize..end as usize).unwrap_or_default()
    }
}

/// What is directly inside an element.
#[derive(Clone, Debug)]
pub struct XmlChildren<'a> {
    xml: Xml<'a>,
    next: u32,
    end: u32,
}

impl<'a> Iterator for XmlChildren<'a> {
    type Item = XmlNode<'a>;

    fn next(&mut self) -> Option<XmlNode<'a>> {
        while self.next < self.end {
            let node = self.xml.node(self.next)?;
            self.next = node.record.next;
            if node.kind() != XmlKind::Attribute {
                return Some(node);
            }
        }
        None
    }
}

/// Undoes references (which were checked) and line ends.
fn read_text(raw: &[u8], kind: XmlKind, out: &mut Vec<u8>) {
    let references = matches!(kind, XmlKind::Text | XmlKind::Attribute);
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        let behind = raw.get(at + 1..).unwrap_or_default();
        at += 1;
        match byte {
            b'&' if references => {
                let end = memchr::memchr(b';', behind).unwrap_or(behind.len());
                let reference = behind.get(..end).and_then(|name| std::str::from_utf8(name).ok());
                let character = reference.and_then(referred).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                at += end + 1;
            }
            b'\r' => {
                at += usize::from(behind.first() == Some(&b'\n'));
                out.push(if kind == XmlKind::Attribute { b' ' } else { b'\n' });
            }
            b'\n' | b'\t' if kind == XmlKind::Attribute => out.push(b' '),
            _ => out.push(byte),
        }
    }
}

/// The character that a reference (without its `&` and `;`) means.
pub(super) fn referred(reference: &str) -> Option<char> {
    let code = match reference.strip_prefix('#') {
        None => {
            return match reference {
                "amp" => Some('&'),
                "lt" => Some('<'),
                "gt" => Some('>'),
                "apos" => Some('\''),
                "quot" => Some('"'),
                _ => None,
            };
        }
        Some(number) => match number.strip_prefix('x') {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                u32::from_str_radix(digits, 16).ok()?
            }
            None if number.bytes().all(|byte| byte.is_ascii_digit()) => number.parse().ok()?,
            _ => return None,
        },
    };
    char::from_u32(code).filter(|character| is_character(*character))
}

/// `Char` of section 2.2.
pub(super) fn is_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}
