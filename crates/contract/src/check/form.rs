//! Forms, in pairs and in parts, to the object that their schema describes (OpenAPI 3.1 section 4.8.15).

use std::borrow::Cow;

use bartizan_pattern::body::{form::Form, json::JsonLimits, media_type::MediaType, multipart::Multipart};

use super::json_text::with_json;
use super::{
    Checks, EncodingCheck, MediaCheck, Part, Violation,
    coerce::{coerce, types},
    parameter::{Escapes, Reader, add},
};
use crate::{
    form::{MediaRange, Style},
    shape::{ShapeId, Types},
    value::Built,
};

type Entries<'b> = Vec<(Cow<'b, str>, Built<'b>)>;

impl MediaCheck {
    fn encoding(&self, property: &str) -> Option<&EncodingCheck> {
        self.encodings.iter().find(|encoding| &*encoding.property == property)
    }

    fn shape(&self) -> Option<ShapeId> {
        self.typed.as_ref().map(|typed| typed.shape)
    }
}

fn undecodable(name: &str) -> Violation {
    Violation::new(Part::Body, "", "encoding", "text in percent-encoded UTF-8").at(format!("/{name}"))
}

impl Checks {
    /// The object that a form is.
    pub(super) fn form<'b>(&self, media: &MediaCheck, form: Form<'b>, all: &mut Vec<Violation>) -> Built<'b> {
        let mut entries: Entries<'b> = Vec::new();
        for pair in form.pairs().filter(|pair| !pair.is_empty()) {
            let texts = (std::str::from_utf8(pair.raw_name()), std::str::from_utf8(pair.raw_value()));
            let (Ok(raw_name), Ok(raw)) = texts else {
                all.push(undecodable(""));
                continue;
            };
            let (Some(name), Some(_)) = (Escapes::Form.undo(raw_name), Escapes::Form.undo(raw)) else {
                all.push(undecodable(""));
                continue;
            };
            let member = media.shape().and_then(|shape| self.shapes.member(shape, &name));
            let style = media.encoding(&name).and_then(|encoding| encoding.style);
            let (style, explode) = style.unwrap_or((Style::Form, true));
            let of_json = media.encoding(&name).map_or_else(
                || self.is_complex(member),
                |encoding| encoding.style.is_none() && (self.is_complex(member) || wants_json(encoding)),
            );
            if of_json {
                let text = Escapes::Form.undo(raw).unwrap_or_default();
                match with_json(text.as_bytes(), &JsonLimits::default(), Built::of_json) {
                    Ok(value) => add(&mut entries, name, value, self.is_list(member)),
                    Err(_) => add(&mut entries, name, Built::Text(text), false),
                }
                continue;
            }
            // All of such a list stands in one field: of a second one nobody knows whether it counts.
            if !explode && entries.iter().any(|(known, _)| *known == name) {
                let at = format!("/{}", crate::schema::short(&name, 64));
                all.push(Violation::new(Part::Body, "", "repeated", "one field").at(at));
                continue;
            }
            let reader =
                Reader { shapes: &self.shapes, shape: member, style, explode, escapes: Escapes::Form };
            let list = reader.wants_list();
            match reader.values(&name, &[raw]).ok().and_then(|values| values.into_iter().next()) {
                Some(Built::List(items)) if list => {
                    if items.is_empty() {
                        entries.push((name, Built::List(items)));
                        continue;
                    }
                    items.into_iter().for_each(|item| add(&mut entries, name.clone(), item, true));
                }
                Some(value) => add(&mut entries, name, value, list),
                None => all.push(undecodable(&name)),
            }
        }
        Built::Map(entries)
    }

    /// The object that parts are, or the list where they have no names.
    pub(super) fn multipart<'b>(
        &self,
        media: &MediaCheck,
        parts: Multipart<'b>,
        all: &mut Vec<Violation>,
    ) -> Built<'b> {
        let nameless = types(&self.shapes, media.shape()) == Types::ARRAY;
        let mut entries: Entries<'b> = Vec::new();
        let mut items = Vec::new();
        for (number, part) in parts.parts().enumerate() {
            let shape = media.shape();
            if nameless {
                let shape = shape.and_then(|shape| self.shapes.item(shape, number));
                items.push(self.part(None, shape, part.header("content-type"), part.data(), part.is_file()));
                continue;
            }
            let name = match part.name() {
                Some(Cow::Borrowed(name)) => std::str::from_utf8(name).ok().map(Cow::Borrowed),
                Some(Cow::Owned(name)) => String::from_utf8(name).ok().map(Cow::Owned),
                None => None,
            };
            let Some(name) = name else {
                all.push(Violation::new(Part::Body, "", "encoding", "a name for every part"));
                continue;
            };
            let encoding = media.encoding(&name);
            let stated = part.header("content-type");
            if let Some(encoding) = encoding.filter(|encoding| !encoding.content_types.is_empty())
                && !encoding.content_types.iter().any(|range| lies_in(range, stated))
            {
                let ranges: Vec<String> = encoding.content_types.iter().map(ToString::to_string).collect();
                let told = Violation::new(Part::Body, "", "media_type", ranges.join(", "));
                all.push(told.at(format!("/{}", crate::schema::short(&name, 64))));
            }
            let member = shape.and_then(|shape| self.shapes.member(shape, &name));
            let list = self.is_list(member);
            let item = if list { member.and_then(|member| self.shapes.item(member, 0)) } else { member };
            match self.part(encoding, item, stated, part.data(), part.is_file()) {
                // A list that is written as one JSON text.
                Built::List(whole) if list => {
                    whole.into_iter().for_each(|item| add(&mut entries, name.clone(), item, true));
                }
                value => add(&mut entries, name, value, list),
            }
        }
        if nameless { Built::List(items) } else { Built::Map(entries) }
    }

    pub(super) fn part<'b>(
        &self,
        encoding: Option<&EncodingCheck>,
        shape: Option<ShapeId>,
        stated: Option<&[u8]>,
        data: &'b [u8],
        file: bool,
    ) -> Built<'b> {
        let media = stated.and_then(|stated| MediaType::parse(stated).ok());
        let is_json = media
            .as_ref()
            .is_some_and(|media| media.kind() == bartizan_pattern::body::media_type::BodyKind::Json)
            || media.is_none() && (self.is_complex(shape) || encoding.is_some_and(wants_json));
        if is_json && let Ok(value) = with_json(data, &JsonLimits::default(), Built::of_json) {
            return value;
        }
        let binary = shape.and_then(|shape| self.shapes.get(shape)).is_some_and(|shape| shape.binary);
        match std::str::from_utf8(data) {
            Ok(text) if !binary && !file => coerce(&self.shapes, shape, Cow::Borrowed(text)),
            _ => Built::Binary(data.len()),
        }
    }

    /// Whether a schema wants an object, which forms write as JSON.
    fn is_complex(&self, shape: Option<ShapeId>) -> bool {
        let types = types(&self.shapes, shape);
        types.has(Types::OBJECT) && !types.has(Types::STRING) && !types.has(Types::ARRAY)
    }

    pub(super) fn is_list(&self, shape: Option<ShapeId>) -> bool {
        let types = types(&self.shapes, shape);
        types.has(Types::ARRAY) && types != Types::ALL
    }
}

fn wants_json(encoding: &EncodingCheck) -> bool {
    matches!(encoding.content_types.as_slice(), [one] if one.is_json())
}

/// Whether the type that a part states lies in a range. Without one it is text (RFC 7578 section 4.4).
fn lies_in(range: &MediaRange, stated: Option<&[u8]>) -> bool {
    match stated.map(MediaType::parse) {
        None => range.contains("text/plain"),
        Some(Ok(media)) => {
            range.contains(&format!("{}/{}", media.top(), media.subtype()).to_ascii_lowercase())
        }
        Some(Err(_)) => false,
    }
}
