//! XML to the value that a schema describes, by the annotations of its members (OpenAPI 3.1 section 4.8.26).

use std::borrow::Cow;

use bartizan_pattern::body::xml::{Xml, XmlKind, XmlNode};

use super::{
    Checks, Part, Typed, Violation,
    coerce::{coerce, types},
    parameter::add,
};
use crate::{
    shape::{Shape, ShapeId, Types},
    value::Built,
};

/// Elements inside one another that are read: the parser's own bound is higher.
pub(super) const MAX_DEPTH: usize = 64;

impl Checks {
    /// The value that a document is.
    pub(super) fn xml<'b>(&self, typed: &Typed, xml: Xml<'b>, all: &mut Vec<Violation>) -> Option<Built<'b>> {
        let root = xml.root()?;
        let wanted = self.shapes.get(typed.shape).and_then(|shape| shape.xml.as_ref());
        if let Some(name) = wanted.and_then(|xml| xml.name.as_deref())
            && root.local_name() != name.as_bytes()
        {
            let name = crate::schema::short(name, 64);
            all.push(Violation::new(Part::Body, "", "xml", format!("the element `{name}`")));
        }
        Some(self.element(Some(typed.shape), root, 0))
    }

    fn element<'b>(&self, shape: Option<ShapeId>, node: XmlNode<'b>, depth: usize) -> Built<'b> {
        if self.is_list(shape) {
            let item = shape.and_then(|shape| self.shapes.item(shape, 0));
            return Built::List(elements(node).map(|child| self.element(item, child, depth + 1)).collect());
        }
        if !self.is_structured(shape, node) || depth >= MAX_DEPTH {
            return self.xml_text(shape, text_of(node));
        }
        let mut entries = Vec::new();
        let text = shape.and_then(|shape| self.text_member(self.shapes.get(shape)?));
        if let Some((name, member)) = text {
            add(&mut entries, Cow::Owned(name), self.xml_text(Some(member), text_of(node)), false);
        }
        for attribute in node.attributes().filter(|attribute| !is_of_xml(attribute.name())) {
            let (name, member) = self.member(shape, attribute.local_name(), true);
            let text = match attribute.text() {
                Cow::Borrowed(text) => std::str::from_utf8(text).ok().map(Cow::Borrowed),
                Cow::Owned(text) => String::from_utf8(text).ok().map(Cow::Owned),
            };
            add(&mut entries, name, self.xml_text(member, text.unwrap_or_default()), false);
        }
        for child in elements(node) {
            let (name, member) = self.member(shape, child.local_name(), false);
            let of = member.and_then(|member| self.shapes.get(member));
            let is_list = self.is_list(member);
            let wrapped = of.and_then(|shape| shape.xml.as_ref()).is_some_and(|xml| xml.wrapped);
            match (is_list, wrapped) {
                (true, true) | (false, _) => {
                    let value = self.element(member, child, depth + 1);
                    add(&mut entries, name, value, false);
                }
                (true, false) => {
                    let item = member.and_then(|member| self.shapes.item(member, 0));
                    let value = self.element(item, child, depth + 1);
                    add(&mut entries, name, value, true);
                }
            }
        }
        Built::Map(entries)
    }

    /// Whether an element is an object, not a text.
    pub(super) fn is_structured(&self, shape: Option<ShapeId>, node: XmlNode<'_>) -> bool {
        let types = types(&self.shapes, shape);
        let has_children = || elements(node).next().is_some() || node.attributes().next().is_some();
        // `<a>7</a>` may be a number as well, `<a/>` only a text.
        let may_be_text = || match text_of(node).trim() {
            "" => types.has(Types::STRING),
            _ => !types.without(Types::OBJECT.or(Types::ARRAY).or(Types::NULL)).is_empty(),
        };
        types.has(Types::OBJECT) && (has_children() || !may_be_text())
    }

    /// The member that is the text of its object's element.
    pub(super) fn text_member(&self, of: &Shape) -> Option<(String, ShapeId)> {
        let is_text = |id: ShapeId| {
            self.shapes.get(id).and_then(|shape| shape.xml.as_ref()).is_some_and(|xml| xml.text)
        };
        of.names().find(|(_, id)| is_text(*id)).map(|(name, id)| (name.to_owned(), id))
    }

    fn xml_text<'b>(&self, shape: Option<ShapeId>, text: Cow<'b, str>) -> Built<'b> {
        let types = types(&self.shapes, shape);
        // Where no text may be, the space around a value is layout.
        let trimmed = if types.has(Types::STRING) { text } else { Cow::Owned(text.trim().to_owned()) };
        coerce(&self.shapes, shape, trimmed)
    }

    /// The member that an element or attribute of this name is.
    pub(super) fn member<'b>(
        &self,
        shape: Option<ShapeId>,
        name: &'b [u8],
        attribute: bool,
    ) -> (Cow<'b, str>, Option<ShapeId>) {
        let text = std::str::from_utf8(name).unwrap_or_default();
        let Some((id, shape)) = shape.and_then(|id| Some((id, self.shapes.get(id)?))) else {
            return (Cow::Borrowed(text), None);
        };
        let found = shape.names().find(|(member, id)| {
            let xml = self.shapes.get(*id).and_then(|shape| shape.xml.as_ref());
            let of_item = || {
                let item = self.shapes.item(*id, 0).and_then(|item| self.shapes.get(item))?;
                item.xml.as_ref()?.name.as_deref()
            };
            let wrapped = xml.is_some_and(|xml| xml.wrapped);
            let own = xml.and_then(|xml| xml.name.as_deref());
            let written = if wrapped { own } else { of_item().or(own) };
            xml.is_some_and(|xml| xml.attribute) == attribute && written.unwrap_or(member) == text
        });
        match found {
            Some((member, id)) => (Cow::Owned(member.to_owned()), Some(id)),
            None => (Cow::Borrowed(text), self.shapes.member(id, text)),
        }
    }
}

pub(super) fn elements(node: XmlNode<'_>) -> impl Iterator<Item = XmlNode<'_>> {
    node.children().filter(|child| child.kind() == XmlKind::Element)
}

fn text_of(node: XmlNode<'_>) -> Cow<'_, str> {
    let mut text = Vec::new();
    for child in node.children() {
        if matches!(child.kind(), XmlKind::Text | XmlKind::CData) {
            child.text_into(&mut text);
        }
    }
    Cow::Owned(String::from_utf8(text).unwrap_or_default())
}

/// `xmlns`, `xmlns:a`, `xml:lang` and `xsi:type` are of XML itself.
pub(super) fn is_of_xml(name: &[u8]) -> bool {
    name == b"xmlns" || name.starts_with(b"xmlns:") || name.starts_with(b"xml:") || name.starts_with(b"xsi:")
}
