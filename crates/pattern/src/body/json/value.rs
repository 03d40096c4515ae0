//! One value of a tape: its span, its text, and what is inside it.

use std::{borrow::Cow, iter::FusedIterator, ops::Range};

use super::{Kind, Node, Tape, scan};

/// A value (or a key, which is a string) of a [`Tape`]. A copy costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    pub(super) tape: Tape<'a>,
    pub(super) node: Node,
    pub(super) index: u32,
}

impl<'a> Value<'a> {
    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.node.kind()
    }

    /// Its number in the tape ([`Tape::value`]): what is known about a value can be kept under it.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    /// The number behind it and all that is inside it.
    #[must_use]
    pub fn next_index(self) -> u32 {
        self.node.next
    }

    /// Where it stands, quotes and brackets included.
    #[must_use]
    pub fn span(self) -> Range<usize> {
        self.node.start as usize..self.node.end as usize
    }

    /// Where its text stands: without the quotes of a string.
    #[must_use]
    pub fn text_span(self) -> Range<usize> {
        match self.kind() {
            Kind::String => self.node.start as usize + 1..(self.node.end as usize).saturating_sub(1),
            _ => self.span(),
        }
    }

    /// As it is written, quotes and brackets included.
    #[must_use]
    pub fn source(self) -> &'a [u8] {
        self.tape.bytes.get(self.span()).unwrap_or_default()
    }

    /// Its text as it is written: what stands between the quotes of a string, and any other value whole.
    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        self.tape.bytes.get(self.text_span()).unwrap_or_default()
    }

    /// Whether its text is written with escapes.
    #[must_use]
    pub fn is_escaped(self) -> bool {
        self.node.is_escaped()
    }

    /// Its text: of a string what its escapes mean, and any other value as it is written. Always valid UTF-8; borrowed
    /// where nothing is escaped.
    #[must_use]
    pub fn decoded(self) -> Cow<'a, [u8]> {
        if !self.is_escaped() {
            return Cow::Borrowed(self.raw());
        }
        let mut text = Vec::with_capacity(self.raw().len());
        scan::unescape(self.raw(), &mut text);
        Cow::Owned(text)
    }

    /// The same, written behind what `out` has.
    pub fn decode_into(self, out: &mut Vec<u8>) {
        if self.is_escaped() { scan::unescape(self.raw(), out) } else { out.extend_from_slice(self.raw()) }
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        if self.kind() != Kind::String {
            return None;
        }
        if !self.is_escaped() {
            return self.tape.text.get(self.text_span()).map(Cow::Borrowed);
        }
        Some(Cow::Owned(String::from_utf8(self.decoded().into_owned()).unwrap_or_default()))
    }

    /// A number as it is written; no reader's precision has touched it.
    #[must_use]
    pub fn as_number(self) -> Option<&'a str> {
        match self.kind() {
            Kind::Number => self.tape.text.get(self.text_span()),
            _ => None,
        }
    }

    /// `true` or `false`.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        match self.kind() {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// Items of an array, entries of an object; 0 for anything else.
    #[must_use]
    pub fn len(self) -> usize {
        self.node.count() as usize
    }

    /// Whether nothing is inside.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether it is an object with a key that comes twice.
    #[must_use]
    pub fn has_duplicate_keys(self) -> bool {
        self.node.has_duplicate()
    }

    /// The items of an array; nothing for anything else.
    #[must_use]
    pub fn items(self) -> Items<'a> {
        let left = if self.kind() == Kind::Array { self.node.count() } else { 0 };
        Items { tape: self.tape, next: self.index + 1, left }
    }

    /// The entries of an object in the order of the text, those whose key comes twice included; nothing for anything
    /// else.
    #[must_use]
    pub fn entries(self) -> Entries<'a> {
        let left = if self.kind() == Kind::Object { self.node.count() } else { 0 };
        Entries { tape: self.tape, next: self.index + 1, left }
    }

    /// The value of the last entry with this key, which is the one that most readers use; looks at every key.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        let same = |name: Value<'_>| match name.is_escaped() {
            true => name.decoded() == key.as_bytes(),
            false => name.raw() == key.as_bytes(),
        };
        self.entries().filter(|(name, _)| same(*name)).last().map(|(_, value)| value)
    }

    /// The item with this number of an array; walks over those before it.
    #[must_use]
    pub fn item(self, number: usize) -> Option<Value<'a>> {
        self.items().nth(number)
    }
}

/// The items of an array.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    tape: Tape<'a>,
    next: u32,
    left: u32,
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.left = self.left.checked_sub(1)?;
        let value = self.tape.value(self.next)?;
        self.next = value.node.next;
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Items<'_> {}
impl FusedIterator for Items<'_> {}

/// The entries of an object: keys and values.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    tape: Tape<'a>,
    next: u32,
    left: u32,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Value<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let key = self.tape.value(self.next)?;
        let value = self.tape.value(key.node.next)?;
        self.next = value.node.next;
        Some((key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Entries<'_> {}
impl FusedIterator for Entries<'_> {}
