//! Bodies without what has no business in them: XML and parts, everything else byte for byte as it came.

#[cfg(test)]
mod tests;

use std::ops::Range;

use bartizan_pattern::body::{
    Content, Reading,
    json::{Tape, TapeBuffer},
    media_type::BodyKind,
    multipart::Multipart,
    xml::{Xml, XmlKind, XmlNode},
};

use super::{
    Checks, MediaCheck, MediaChoice,
    coerce::types,
    response::{limits, without_members},
    xml,
};
use crate::{
    pointer::{push_token, step},
    shape::{self, Direction, Noticed, ShapeId, Types, Walk},
};

/// Pointers that are told.
const POINTERS: usize = 32;

/// Something in an XML document that has no business there.
pub(super) struct Excess {
    pub(super) noticed: Noticed,
    /// Its JSON pointer; empty behind the first 32.
    pub(super) pointer: String,
    span: Range<usize>,
}

/// A walk over a document with its shape.
struct Look {
    at: String,
    direction: Direction,
    found: Vec<Excess>,
}

impl Look {
    fn tell(&mut self, node: XmlNode<'_>, name: &str, noticed: Noticed) {
        let pointer = match self.found.len() < POINTERS {
            true => format!("{}{}", self.at, step(&crate::schema::short(name, 64))),
            false => String::new(),
        };
        self.found.push(Excess { noticed, pointer, span: node.span() });
    }

    /// Runs what looks at the place below.
    fn below(&mut self, token: &str, look: impl FnOnce(&mut Self)) {
        let length = self.at.len();
        push_token(&mut self.at, &crate::schema::short(token, 64));
        look(self);
        self.at.truncate(length);
    }
}

impl Checks {
    /// A body without the members for which `cut` says so.
    ///
    /// # Errors
    /// It cannot be done, and why.
    pub fn without(
        &self,
        choice: &MediaChoice,
        reading: &Reading<'_>,
        direction: Direction,
        cut: &dyn Fn(Noticed) -> bool,
    ) -> Result<Vec<u8>, &'static str> {
        let media = choice.media.as_deref().ok_or("nothing describes the body")?;
        let parsed = match reading {
            Reading::Parsed(parsed) => parsed,
            Reading::Unreadable(unread) if choice.kind() == BodyKind::Other => {
                return self.without_sniffed(media, unread.bytes, direction, cut);
            }
            Reading::Unreadable(_) => return Err("the body cannot be read to its end"),
        };
        match parsed.content {
            Content::Xml(_) if parsed.flags.transcoded => {
                Err("the document is in a charset other than UTF-8")
            }
            Content::Xml(xml) => {
                let shape = media.typed.as_ref().map(|typed| typed.shape);
                let found = self.excess(shape, xml, direction);
                let spans = found.into_iter().filter(|excess| cut(excess.noticed)).map(|excess| excess.span);
                // What stands in front of the text is a byte order mark.
                let mark = parsed.bytes.len() - xml.source().len();
                let mut left = parsed.bytes.get(..mark).unwrap_or_default().to_vec();
                left.extend(without_spans(xml.source(), spans.map(|span| with_space(xml.source(), span))));
                Ok(left)
            }
            Content::Multipart(parts) => self.without_parts(media, parts, direction, cut),
            Content::Text(text) if !parsed.flags.transcoded => {
                self.without_sniffed(media, text, direction, cut)
            }
            _ => Err("members of such a body cannot be taken out"),
        }
    }

    /// JSON by another name, which a range let in.
    fn without_sniffed(
        &self,
        media: &MediaCheck,
        bytes: &[u8],
        direction: Direction,
        cut: &dyn Fn(Noticed) -> bool,
    ) -> Result<Vec<u8>, &'static str> {
        let typed = media.typed.as_ref().filter(|_| media.range.is_range());
        let edited = typed.and_then(|typed| self.part_without(typed.shape, bytes, direction, cut));
        edited.ok_or("members of such a body cannot be taken out")
    }

    /// What has no business in a document, in its order.
    pub(super) fn excess(&self, shape: Option<ShapeId>, xml: Xml<'_>, direction: Direction) -> Vec<Excess> {
        let mut look = Look { at: String::new(), direction, found: Vec::new() };
        if let Some(root) = xml.root() {
            self.look_at(shape, root, 0, &mut look);
        }
        look.found
    }

    fn look_at(&self, id: Option<ShapeId>, node: XmlNode<'_>, depth: usize, look: &mut Look) {
        let Some((id, shape)) = id.and_then(|id| Some((id, self.shapes.get(id)?))) else { return };
        let foreign = |node: &XmlNode<'_>| !xml::is_of_xml(node.name());
        let written = |node: XmlNode<'_>| String::from_utf8_lossy(node.local_name()).into_owned();
        if self.is_list(Some(id)) {
            for attribute in node.attributes().filter(foreign) {
                look.tell(attribute, &written(attribute), Noticed::Undeclared);
            }
            for (number, child) in xml::elements(node).enumerate() {
                let item = self.shapes.item(id, number);
                look.below(&number.to_string(), |look| self.look_at(item, child, depth + 1, look));
            }
            return;
        }
        if !self.is_structured(Some(id), node) || depth >= xml::MAX_DEPTH {
            // A text has nothing inside.
            for inside in node.attributes().filter(foreign).chain(xml::elements(node)) {
                look.tell(inside, &written(inside), Noticed::Undeclared);
            }
            return;
        }
        let texts = || node.children().filter(|child| matches!(child.kind(), XmlKind::Text | XmlKind::CData));
        if !shape.is_open() && self.text_member(shape).is_none() {
            for text in texts().filter(|text| !text.text().trim_ascii().is_empty()) {
                look.tell(text, "#text", Noticed::Undeclared);
            }
        }
        let mut counts: Vec<(String, usize)> = Vec::new();
        let children = xml::elements(node).map(|child| (child, false));
        for (child, is_attribute) in
            node.attributes().filter(foreign).map(|node| (node, true)).chain(children)
        {
            let (name, member) = self.member(Some(id), child.local_name(), is_attribute);
            let noticed = match member {
                Some(member) => self.shapes.get(member).and_then(|shape| shape.side(look.direction)),
                None => (shape.member(&name) == shape::Member::Undeclared).then_some(Noticed::Undeclared),
            };
            if let Some(noticed) = noticed {
                look.tell(child, &name, noticed);
                continue;
            }
            if is_attribute {
                continue;
            }
            let wrapped = member.and_then(|member| self.shapes.get(member)?.xml.as_ref());
            if !self.is_list(member) || wrapped.is_some_and(|xml| xml.wrapped) {
                look.below(&name, |look| self.look_at(member, child, depth + 1, look));
                continue;
            }
            let number = match counts.iter_mut().find(|(known, _)| *known == *name) {
                Some((_, count)) => {
                    *count += 1;
                    *count
                }
                None => {
                    counts.push((name.clone().into_owned(), 0));
                    0
                }
            };
            let item = member.and_then(|member| self.shapes.item(member, number));
            look.below(&name, |look| {
                look.below(&number.to_string(), |look| self.look_at(item, child, depth + 1, look));
            });
        }
    }

    /// A body without parts, and without members of the JSON documents that parts are.
    fn without_parts(
        &self,
        media: &MediaCheck,
        parts: Multipart<'_>,
        direction: Direction,
        cut: &dyn Fn(Noticed) -> bool,
    ) -> Result<Vec<u8>, &'static str> {
        if !parts.is_strict() || !parts.is_complete() {
            return Err("the parts are irregular, so that readers may see others");
        }
        let id = media.typed.as_ref().map(|typed| typed.shape).ok_or("no schema describes the parts")?;
        let shape = self.shapes.get(id).ok_or("no schema describes the parts")?;
        if types(&self.shapes, Some(id)) == Types::ARRAY {
            return Err("the parts have no names");
        }
        let bytes = parts.bytes();
        let mut left: Vec<u8> = Vec::with_capacity(bytes.len());
        // What is in front of the first part is its delimiter; a part that goes takes its own along.
        let (mut at, mut kept) = (0, 0);
        for part in parts.parts() {
            let name = part.name().ok_or("a part has no name")?;
            let name = std::str::from_utf8(&name).map_err(|_| "the name of a part is no UTF-8")?;
            let (delimiter, span, data) = (bytes.get(at..part.span().start), part.span(), part.data_span());
            at = data.end;
            let member = match shape.member(name) {
                shape::Member::Undeclared if cut(Noticed::Undeclared) => continue,
                shape::Member::Named(member) => Some(member),
                _ => None,
            };
            let side = member.and_then(|member| self.shapes.get(member)?.side(direction));
            if side.is_some_and(cut) {
                continue;
            }
            // Only the first that stays has no line end in front of its boundary.
            let delimiter = delimiter.unwrap_or_default();
            left.extend_from_slice(if kept == 0 { delimiter.trim_ascii_start() } else { delimiter });
            kept += 1;
            let inside = member.map(|member| {
                if self.is_list(Some(member)) { self.shapes.item(member, 0) } else { Some(member) }
            });
            let edited =
                inside.flatten().and_then(|member| self.part_without(member, part.data(), direction, cut));
            let Some(edited) = edited else {
                left.extend_from_slice(bytes.get(span).unwrap_or_default());
                continue;
            };
            if part.header("content-length").is_some() || part.header("content-transfer-encoding").is_some() {
                return Err("a part states the length or the encoding of what is in it");
            }
            left.extend_from_slice(bytes.get(span.start..data.start).unwrap_or_default());
            left.extend_from_slice(&edited);
        }
        if kept == 0 {
            return Err("nothing would be left");
        }
        left.extend_from_slice(bytes.get(at..).unwrap_or_default());
        Ok(left)
    }

    /// The JSON document that a part is, without members; none where it is none or nothing goes.
    fn part_without(
        &self,
        shape: ShapeId,
        data: &[u8],
        direction: Direction,
        cut: &dyn Fn(Noticed) -> bool,
    ) -> Option<Vec<u8>> {
        let mut buffer = TapeBuffer::new();
        let tape = Tape::parse(data, &limits(direction), &mut buffer).ok()?;
        let mut walk = Walk::default();
        walk.json(&self.shapes, shape, tape.root()?, direction);
        let keys = walk.noticed.into_iter().filter(|(_, noticed)| cut(*noticed)).map(|(key, _)| key);
        let keys: Vec<u32> = keys.collect();
        (!keys.is_empty()).then(|| without_members(tape, &keys))
    }
}

/// An attribute with the space in front of it: nothing else has any.
fn with_space(text: &[u8], span: Range<usize>) -> Range<usize> {
    let before = text.get(..span.start).unwrap_or_default();
    let is_attribute =
        before.last().is_some_and(u8::is_ascii_whitespace) && text.get(span.start) != Some(&b'<');
    if is_attribute { before.trim_ascii_end().len()..span.end } else { span }
}

/// A text without these pieces, which come in its order.
fn without_spans(text: &[u8], spans: impl Iterator<Item = Range<usize>>) -> Vec<u8> {
    let mut left = Vec::with_capacity(text.len());
    let mut at = 0;
    for span in spans {
        left.extend_from_slice(text.get(at..span.start).unwrap_or_default());
        at = at.max(span.end);
    }
    left.extend_from_slice(text.get(at..).unwrap_or_default());
    left
}
