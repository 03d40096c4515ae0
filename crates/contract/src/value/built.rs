//! Values that are no JSON text: put together from the texts of parameters, forms and XML.

use std::borrow::Cow;

use bartizan_pattern::body::json::{Kind, Value};

/// A value as a schema sees it. Texts borrow from the request where nothing had to be decoded.
#[derive(Clone, Debug, PartialEq)]
pub enum Built<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as it is written, in the syntax of JSON.
    Number(Cow<'a, str>),
    /// A text.
    Text(Cow<'a, str>),
    /// Bytes that are no text, so many of them: what a schema of binary content describes.
    Binary(usize),
    /// A list.
    List(Vec<Built<'a>>),
    /// Names and values. A name never comes twice.
    Map(Vec<(Cow<'a, str>, Built<'a>)>),
}

impl Built<'_> {
    /// The same as a value of a document, for JSON texts inside forms.
    #[must_use]
    pub fn of_json(value: Value<'_>) -> Built<'static> {
        match value.kind() {
            Kind::Null => Built::Null,
            Kind::True | Kind::False => Built::Bool(value.as_bool() == Some(true)),
            Kind::Number => Built::Number(Cow::Owned(value.as_number().unwrap_or("0").to_owned())),
            Kind::String => Built::Text(Cow::Owned(value.as_str().unwrap_or_default().into_owned())),
            Kind::Array => Built::List(value.items().map(Built::of_json).collect()),
            Kind::Object => {
                let entry = |(key, value): (Value<'_>, Value<'_>)| {
                    (Cow::Owned(key.as_str().unwrap_or_default().into_owned()), Built::of_json(value))
                };
                Built::Map(value.entries().map(entry).collect())
            }
        }
    }

    /// The entry of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Built::Map(entries) => entries.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }
}
