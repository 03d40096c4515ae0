//! How the values of parameters are written (OpenAPI 3.1 section 4.8.12.2): delimiters first, escapes after, each once.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::coerce::{coerce, types};
use crate::{
    form::Style,
    shape::{ShapeId, Shapes, Types},
    value::Built,
};

/// How escapes are undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escapes {
    /// `%20` (RFC 3986).
    Percent,
    /// `%20` and `+` (queries and forms).
    Form,
    /// Nothing is escaped (header fields).
    None,
}

impl Escapes {
    /// The text without its escapes; `None` where they are malformed, or mean no UTF-8.
    pub(super) fn undo(self, text: &str) -> Option<Cow<'_, str>> {
        if self == Escapes::None {
            return Some(Cow::Borrowed(text));
        }
        let spaced = match self {
            Escapes::Form if text.contains('+') => Cow::Owned(text.replace('+', " ")),
            _ => Cow::Borrowed(text),
        };
        if !spaced.contains('%') {
            return Some(match spaced {
                Cow::Owned(spaced) => Cow::Owned(spaced),
                Cow::Borrowed(_) => Cow::Borrowed(text),
            });
        }
        let mut rest = spaced.as_bytes();
        while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
            let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
            if !hex(rest.get(at + 1)) || !hex(rest.get(at + 2)) {
                return None;
            }
            rest = rest.get(at + 3..).unwrap_or_default();
        }
        percent_decode_str(&spaced).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned()))
    }
}

/// A malformed escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadEscape;

/// How the whole of a parameter's text is taken apart.
pub(super) struct Reader<'s> {
    pub shapes: &'s Shapes,
    pub shape: Option<ShapeId>,
    pub style: Style,
    pub explode: bool,
    pub escapes: Escapes,
}

impl Reader<'_> {
    fn types(&self) -> Types {
        types(self.shapes, self.shape)
    }

    /// Whether the schema wants an object and no text.
    pub(super) fn wants_object(&self) -> bool {
        let types = self.types();
        types.has(Types::OBJECT) && !types.has(Types::STRING)
    }

    /// Whether the schema wants a list, perhaps beside others.
    pub(super) fn wants_list(&self) -> bool {
        self.types().has(Types::ARRAY) && self.types() != Types::ALL
    }

    /// The values that texts may stand for, the likeliest first; there is always one. More than one text comes of
    /// parameters that are written once for each item.
    pub(super) fn values<'t>(&self, name: &str, texts: &[&'t str]) -> Result<Vec<Built<'t>>, BadEscape> {
        let mut values = Vec::with_capacity(2);
        if self.wants_list() {
            values.push(self.list(name, texts)?);
        } else if self.wants_object()
            && let [text] = texts
        {
            values.push(self.object(name, text)?);
        }
        if let [text] = texts {
            let scalar = self.types().without(Types::ARRAY.or(Types::OBJECT));
            if !scalar.is_empty() || values.is_empty() {
                let text = self.escapes.undo(self.bare(name, text)).ok_or(BadEscape)?;
                let value = coerce(self.shapes, self.shape, text.clone());
                // `7` may be meant as a text, too.
                let as_text = !matches!(value, Built::Text(_)) && scalar.has(Types::STRING);
                values.push(value);
                values.extend(as_text.then_some(Built::Text(text)));
            }
        }
        if values.is_empty() {
            values.push(self.list(name, texts)?);
        }
        Ok(values)
    }

    /// The text behind what the style puts before it.
    fn bare<'t>(&self, name: &str, text: &'t str) -> &'t str {
        match self.style {
            Style::Label => text.strip_prefix('.').unwrap_or(text),
            Style::Matrix => text
                .strip_prefix(';')
                .and_then(|rest| rest.strip_prefix(name))
                .map_or(text, |rest| rest.strip_prefix('=').unwrap_or(rest)),
            _ => text,
        }
    }

    /// The pieces of one text.
    fn pieces<'t>(&self, name: &str, text: &'t str) -> Vec<&'t str> {
        let bare = self.bare(name, text);
        if bare.is_empty() {
            return Vec::new();
        }
        match (self.style, self.explode) {
            (Style::Label, true) => bare.split('.').collect(),
            (Style::Matrix, true) => {
                let prefix = format!("{name}=");
                let all = text.strip_prefix(';').unwrap_or(text).split(';');
                all.map(|piece| piece.strip_prefix(&*prefix).unwrap_or(piece)).collect()
            }
            (Style::SpaceDelimited, false) => split(bare, &["%20", "+", " "]),
            (Style::PipeDelimited, false) => split(bare, &["%7C", "%7c", "|"]),
            (Style::TabDelimited, false) => split(bare, &["%09", "\t"]),
            (Style::Form | Style::Cookie | Style::SpaceDelimited | Style::PipeDelimited, true) => vec![bare],
            _ => bare
                .split(',')
                .map(|piece| if self.escapes == Escapes::None { piece.trim() } else { piece })
                .collect(),
        }
    }

    fn list<'t>(&self, name: &str, texts: &[&'t str]) -> Result<Built<'t>, BadEscape> {
        let mut items = Vec::new();
        for text in texts {
            let mut pieces = self.pieces(name, text);
            let of_text = self
                .shape
                .and_then(|shape| self.shapes.item(shape, 0))
                .is_some_and(|item| types(self.shapes, Some(item)).has(Types::STRING));
            // `ids=` is one empty text, or no number at all.
            if pieces.is_empty() && (of_text || texts.len() > 1) {
                pieces.push("");
            }
            for piece in pieces {
                let item = self.shape.and_then(|shape| self.shapes.item(shape, items.len()));
                let text = self.escapes.undo(piece).ok_or(BadEscape)?;
                items.push(coerce(self.shapes, item, text));
            }
        }
        Ok(Built::List(items))
    }

    fn object<'t>(&self, name: &str, text: &'t str) -> Result<Built<'t>, BadEscape> {
        let pieces = self.pieces(name, text);
        let mut entries = Vec::new();
        if self.explode {
            for piece in pieces {
                let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
                self.entry(&mut entries, key, value)?;
            }
        } else {
            for pair in pieces.chunks(2) {
                let key = pair.first().copied().unwrap_or_default();
                self.entry(&mut entries, key, pair.get(1).copied().unwrap_or_default())?;
            }
        }
        Ok(Built::Map(entries))
    }

    /// Adds one member. A name that comes twice makes a list, which fits only where one is wanted.
    pub(super) fn entry<'t>(
        &self,
        entries: &mut Vec<(Cow<'t, str>, Built<'t>)>,
        key: &'t str,
        value: &'t str,
    ) -> Result<(), BadEscape> {
        let key = self.escapes.undo(key).ok_or(BadEscape)?;
        let member = self.shape.and_then(|shape| self.shapes.member(shape, &key));
        let text = self.escapes.undo(value).ok_or(BadEscape)?;
        let wants_list = {
            let types = types(self.shapes, member);
            types.has(Types::ARRAY) && !types.has(Types::STRING)
        };
        let item = member.filter(|_| wants_list).and_then(|member| self.shapes.item(member, 0));
        let value = coerce(self.shapes, if wants_list { item } else { member }, text);
        add(entries, key, value, wants_list);
        Ok(())
    }
}

/// Adds a member to an object; the second of a name makes a list of both.
pub(super) fn add<'t>(
    entries: &mut Vec<(Cow<'t, str>, Built<'t>)>,
    key: Cow<'t, str>,
    value: Built<'t>,
    list: bool,
) {
    match entries.iter_mut().find(|(known, _)| *known == key) {
        Some((_, Built::List(items))) => items.push(value),
        Some((_, known)) => {
            let first = std::mem::replace(known, Built::Null);
            *known = Built::List(vec![first, value]);
        }
        None if list => entries.push((key, Built::List(vec![value]))),
        None => entries.push((key, value)),
    }
}

/// The pieces between any of some delimiters.
fn split<'t>(text: &'t str, delimiters: &[&str]) -> Vec<&'t str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    loop {
        let found = delimiters.iter().filter_map(|mark| rest.find(mark).map(|at| (at, mark.len()))).min();
        let Some((at, length)) = found else { break };
        pieces.push(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + length..).unwrap_or_default();
    }
    pieces.push(rest);
    pieces
}
