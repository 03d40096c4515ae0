//! Places in bodies, written the same for every type: `user.name`, `items[0].sku`, `meta["odd.name"]`.

use std::{borrow::Cow, fmt, str::FromStr};

use bartizan_pattern::body::{
    Content, Reading,
    form::Form,
    json::{Kind, Tape, Value},
    multipart::Multipart,
    xml::{Xml, XmlKind, XmlNode},
};

use super::HeldBody;

/// Steps of one path: what nests deeper is no field that a policy names.
const MAX_STEPS: usize = 32;

/// A place in a body.
///
/// In JSON each step is a key, or `[0]` an item. In a form or multipart body the path as a whole is the name, with dots
/// (`user.name`) or brackets (`user[name]`). In XML the steps are elements below the root, and the last may be `@name`, an
/// attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BodyPath {
    text: Box<str>,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Key(Box<str>),
    Item(usize),
}

/// What stands at a place.
#[derive(Clone, Debug)]
pub enum Field<'a> {
    /// Nothing.
    Absent,
    /// One value.
    One(FieldValue<'a>),
    /// More than one: a key or a name that comes twice. Readers disagree on which of them counts, so nothing may be
    /// decided by any.
    Twice,
    /// Not known: the body was not held whole, or cannot be read as what it says it is, or its type has no fields.
    Unknown,
}

/// One value.
#[derive(Clone, Debug)]
pub enum FieldValue<'a> {
    /// A text. Values of forms, multipart bodies and XML are all texts.
    Text(Cow<'a, str>),
    /// A number, as it is written.
    Number(&'a str),
    /// A truth value.
    Bool(bool),
    /// `null`.
    Null,
    /// An array or object.
    Structure(Value<'a>),
    /// A text of a form that is not UTF-8.
    Bytes(Cow<'a, [u8]>),
}

impl FieldValue<'_> {
    /// The value as bytes, for comparing and counting: of a text what it says, of anything else as it is written.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            FieldValue::Text(text) => text.as_bytes(),
            FieldValue::Number(number) => number.as_bytes(),
            FieldValue::Bool(true) => b"true",
            FieldValue::Bool(false) => b"false",
            FieldValue::Null => b"null",
            FieldValue::Structure(value) => value.source(),
            FieldValue::Bytes(bytes) => bytes,
        }
    }
}

impl FromStr for BodyPath {
    type Err = String;

    /// Reads what stands behind `request.body.`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!(
                "`{}` is no path in a body: {what}; write one such as `user.name` or `items[0].sku`",
                text.escape_debug()
            )
        };
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() || steps.is_empty() {
            if steps.len() >= MAX_STEPS {
                return Err(wrong("it has too many steps"));
            }
            if let Some(inside) = rest.strip_prefix("[\"") {
                let (name, after) = inside.split_once("\"]").ok_or_else(|| wrong("`[\"` is not closed"))?;
                steps.push(Step::Key(name.into()));
                rest = after;
            } else if let Some(inside) = rest.strip_prefix('[') {
                let (number, after) = inside.split_once(']').ok_or_else(|| wrong("`[` is not closed"))?;
                let number = number.parse().map_err(|_| wrong("between `[` and `]` stands a number"))?;
                steps.push(Step::Item(number));
                rest = after;
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let (name, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                if name.is_empty() {
                    return Err(wrong("a name is empty"));
                }
                steps.push(Step::Key(name.into()));
                rest = after;
            }
            if let Some(after) = rest.strip_prefix('.') {
                if after.is_empty() || after.starts_with('[') {
                    return Err(wrong("a name is empty"));
                }
                rest = after;
            } else if !rest.is_empty() && !rest.starts_with('[') {
                return Err(wrong("a step ends with `.` or `[`"));
            }
        }
        Ok(BodyPath { text: text.into(), steps })
    }
}

impl fmt::Display for BodyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl BodyPath {
    /// Finds it in a body.
    pub(super) fn find<'a>(&self, body: &'a HeldBody) -> Field<'a> {
        if !body.whole {
            return Field::Unknown;
        }
        let parsed = match body.reading() {
            Reading::Parsed(parsed) => parsed,
            Reading::Unreadable(_) if body.bytes.is_empty() => return Field::Absent,
            Reading::Unreadable(_) => return Field::Unknown,
        };
        match parsed.content {
            Content::Empty => Field::Absent,
            Content::Json(tape) => self.in_json(tape),
            Content::Form(form) => self.in_form(form),
            Content::Multipart(parts) => self.in_parts(parts),
            Content::Xml(xml) => self.in_xml(xml),
            Content::Opaque | Content::Text(_) => Field::Unknown,
        }
    }

    /// Finds it in a JSON document.
    #[must_use]
    pub fn in_json<'a>(&self, tape: Tape<'a>) -> Field<'a> {
        let Some(mut value) = tape.root() else { return Field::Absent };
        for step in &self.steps {
            let next = match step {
                Step::Item(number) => value.item(*number),
                Step::Key(name) => {
                    let mut named = value.entries().filter(|(key, _)| *key.decoded() == *name.as_bytes());
                    let first = named.next();
                    if named.next().is_some() {
                        return Field::Twice;
                    }
                    first.map(|(_, value)| value)
                }
            };
            match next {
                Some(next) => value = next,
                None => return Field::Absent,
            }
        }
        Field::One(of_json(value))
    }

    /// Names that forms give this place.
    fn names(&self) -> [String; 2] {
        let (mut dotted, mut bracketed) = (String::new(), String::new());
        for (index, step) in self.steps.iter().enumerate() {
            let name = match step {
                Step::Key(name) => name.to_string(),
                Step::Item(number) => number.to_string(),
            };
            if index == 0 {
                dotted.push_str(&name);
                bracketed.push_str(&name);
            } else {
                dotted.push('.');
                dotted.push_str(&name);
                bracketed.push('[');
                bracketed.push_str(&name);
                bracketed.push(']');
            }
        }
        [dotted, bracketed]
    }

    fn in_form<'a>(&self, form: Form<'a>) -> Field<'a> {
        let names = self.names();
        let mut named = form
            .pairs()
            .filter(|pair| names.iter().any(|name| *pair.name() == *name.as_bytes()))
            .map(|p| p.value());
        one(named.next(), named.next())
    }

    fn in_parts<'a>(&self, parts: Multipart<'a>) -> Field<'a> {
        let names = self.names();
        let is_named = |name: Option<Cow<'_, [u8]>>| {
            name.is_some_and(|found| names.iter().any(|name| *found == *name.as_bytes()))
        };
        let mut named =
            parts.parts().filter(|part| is_named(part.name())).map(|part| Cow::Borrowed(part.data()));
        one(named.next(), named.next())
    }

    fn in_xml<'a>(&self, xml: Xml<'a>) -> Field<'a> {
        let Some(mut node) = xml.root() else { return Field::Absent };
        for (index, step) in self.steps.iter().enumerate() {
            let is_last = index + 1 == self.steps.len();
            let name = match step {
                Step::Key(name) => name.as_bytes(),
                Step::Item(_) => return Field::Absent,
            };
            if let Some(attribute) = name.strip_prefix(b"@").filter(|_| is_last) {
                let mut named =
                    node.attributes().filter(|found| found.name() == attribute).map(XmlNode::text);
                return one(named.next(), named.next());
            }
            let mut named = node
                .children()
                .filter(|child| child.kind() == XmlKind::Element && child.local_name() == name);
            match (named.next(), named.next()) {
                (Some(found), None) => node = found,
                (None, _) => return Field::Absent,
                (Some(_), Some(_)) => return Field::Twice,
            }
        }
        let mut text = Vec::new();
        for child in node.children() {
            match child.kind() {
                XmlKind::Text | XmlKind::CData => child.text_into(&mut text),
                _ => {}
            }
        }
        one(Some(Cow::Owned(text)), None)
    }
}

fn of_json(value: Value<'_>) -> FieldValue<'_> {
    match value.kind() {
        Kind::Null => FieldValue::Null,
        Kind::True | Kind::False => FieldValue::Bool(value.as_bool().unwrap_or_default()),
        Kind::Number => FieldValue::Number(value.as_number().unwrap_or_default()),
        Kind::String => FieldValue::Text(value.as_str().unwrap_or_default()),
        _ => FieldValue::Structure(value),
    }
}

fn one<'a>(first: Option<Cow<'a, [u8]>>, second: Option<Cow<'a, [u8]>>) -> Field<'a> {
    match (first, second) {
        (None, _) => Field::Absent,
        (Some(_), Some(_)) => Field::Twice,
        (Some(Cow::Borrowed(bytes)), None) => Field::One(match std::str::from_utf8(bytes) {
            Ok(text) => FieldValue::Text(Cow::Borrowed(text)),
            Err(_) => FieldValue::Bytes(Cow::Borrowed(bytes)),
        }),
        (Some(Cow::Owned(bytes)), None) => Field::One(match String::from_utf8(bytes) {
            Ok(text) => FieldValue::Text(Cow::Owned(text)),
            Err(error) => FieldValue::Bytes(Cow::Owned(error.into_bytes())),
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, header};

    use super::*;

    fn look(content_type: &'static str, body: &'static str, path: &str) -> String {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        let held = HeldBody::new(Bytes::from_static(body.as_bytes()), true).described(&headers);
        match held.field(&path.parse().unwrap()) {
            Field::One(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
            Field::Absent => "-".into(),
            Field::Twice => "twice".into(),
            Field::Unknown => "unknown".into(),
        }
    }

    #[test]
    fn a_path_names_the_same_place_in_every_type() {
        let json = "application/json";
        for (kind, body, path, found) in [
            (json, r#"{"user":{"name":"a\u006e"}}"#, "user.name", "an"),
            (json, r#"{"items":[{"sku":7},{"sku":8}]}"#, "items[1].sku", "8"),
            (json, r#"{"a.b":true}"#, r#"["a.b"]"#, "true"),
            (json, r#"{"a":{"b":null}}"#, "a.b", "null"),
            (json, r#"{"a":1,"\u0061":2}"#, "a", "twice"),
            (json, r#"{"a":[1]}"#, "a", "[1]"),
            (json, r#"{"a":1}"#, "b", "-"),
            (json, r#"{"a":"#, "a", "unknown"),
            ("application/x-www-form-urlencoded", "user=x&user.name=a+b", "user.name", "a b"),
            ("application/x-www-form-urlencoded", "user[name]=c", "user.name", "c"),
            ("application/x-www-form-urlencoded", "a=1&%61=2", "a", "twice"),
            ("application/xml", "<x><user><name>d</name></user></x>", "user.name", "d"),
            ("application/xml", "<x><user id='e'/></x>", "user.@id", "e"),
            ("application/xml", "<x><a>1</a><a>2</a></x>", "a", "twice"),
            (
                "multipart/form-data; boundary=b",
                "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nf\r\n--b--\r\n",
                "a",
                "f",
            ),
            ("text/plain", "a=1", "a", "unknown"),
            ("text/plain", "", "a", "-"),
        ] {
            assert_eq!(look(kind, body, path), found, "{kind} {body} {path}");
        }
    }

    #[test]
    fn paths_that_name_nothing_are_refused() {
        for path in ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "a[\"b", "a[0]b", "a.[0]"] {
            assert!(path.parse::<BodyPath>().is_err(), "{path}");
        }
        for path in ["a", "a.b", "a[0]", "a[0][1].b", "[0]", "[\"a.b\"].c", "a-b_c"] {
            assert_eq!(path.parse::<BodyPath>().unwrap().to_string(), path);
        }
        assert!("a.".repeat(40).parse::<BodyPath>().is_err());
    }
}
