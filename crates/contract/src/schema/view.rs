//! What `jsonschema` sees of a value: a node of the tape, or a value put together from parameters. Nothing is copied.

use std::{borrow::Cow, collections::HashSet};

use bartizan_pattern::body::json::{self, Kind, Value};
use jsonschema::{
    JsonType,
    json::{Array, Json, Node, NodeIdentity, Object, cmp},
};

use super::number::Number;
use crate::value::Built;

/// The representation, as a type.
pub struct Views;

/// One value.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    /// A value of a JSON document, which is held as text.
    Tape(Value<'a>),
    /// A value put together.
    Built(&'a Built<'a>),
    /// The name of an entry.
    Name(&'a str),
}

impl Json for Views {
    type Node<'a> = View<'a>;
    type PreparedKey = Box<str>;
    type StringBuffer = ();

    /// A lookup walks over the entries as a pass over all of them does: one pass is never dearer than two lookups.
    const KEYS_PER_LOOKUP: usize = 64;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>((): &mut (), string: &str, f: impl FnOnce(View<'_>) -> T) -> T {
        f(View::Name(string))
    }
}

impl<'a> View<'a> {
    /// Appends the same bytes for equal values, and others for others (JSON Schema core section 4.2.2).
    fn canonical(self, out: &mut Vec<u8>) {
        let text = |out: &mut Vec<u8>, text: &str| {
            out.push(b'"');
            out.extend_from_slice(&text.len().to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        };
        match self.json_type() {
            JsonType::Null => out.push(b'n'),
            JsonType::Boolean => out.push(if self.as_boolean() == Some(true) { b't' } else { b'f' }),
            JsonType::Number | JsonType::Integer => {
                if let Some(number) = self.as_number() {
                    number.canonical(out);
                }
            }
            JsonType::String => text(out, &self.as_string().unwrap_or_default()),
            JsonType::Array => {
                out.push(b'[');
                if let Some(array) = self.as_array() {
                    array.elements().for_each(|item| item.canonical(out));
                }
                out.push(b']');
            }
            JsonType::Object => {
                let mut entries: Vec<Vec<u8>> = Vec::new();
                if let Some(object) = self.as_object() {
                    for (name, value) in object.members() {
                        let mut entry = Vec::new();
                        text(&mut entry, &name);
                        value.canonical(&mut entry);
                        entries.push(entry);
                    }
                }
                entries.sort_unstable();
                out.push(b'{');
                out.extend(entries.into_iter().flatten());
                out.push(b'}');
            }
        }
    }
}

impl<'a> Node<'a, Views> for View<'a> {
    type Object = Entries<'a>;
    type Array = Items<'a>;
    type Number = Number<'a>;

    fn as_object(&self) -> Option<Entries<'a>> {
        match *self {
            View::Tape(value) if value.kind() == Kind::Object => Some(Entries::Tape(value)),
            View::Built(Built::Map(entries)) => Some(Entries::Built(entries)),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<Items<'a>> {
        match *self {
            View::Tape(value) if value.kind() == Kind::Array => Some(Items::Tape(value)),
            View::Built(Built::List(items)) => Some(Items::Built(items)),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match *self {
            View::Tape(value) => value.as_str(),
            View::Built(Built::Text(text)) => Some(Cow::Borrowed(text)),
            View::Built(Built::Binary(_)) => Some(Cow::Borrowed("")),
            View::Name(name) => Some(Cow::Borrowed(name)),
            View::Built(_) => None,
        }
    }

    fn as_number(&self) -> Option<Number<'a>> {
        match *self {
            View::Tape(value) => value.as_number().map(Number),
            View::Built(Built::Number(text)) => Some(Number(text)),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        match *self {
            View::Tape(value) => value.as_bool(),
            View::Built(Built::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        self.json_type() == JsonType::Null
    }

    fn is_number(&self) -> bool {
        self.json_type() == JsonType::Number
    }

    fn json_type(&self) -> JsonType {
        match self {
            View::Tape(value) => match value.kind() {
                Kind::Null => JsonType::Null,
                Kind::True | Kind::False => JsonType::Boolean,
                Kind::Number => JsonType::Number,
                Kind::String => JsonType::String,
                Kind::Array => JsonType::Array,
                Kind::Object => JsonType::Object,
            },
            View::Built(built) => match built {
                Built::Null => JsonType::Null,
                Built::Bool(_) => JsonType::Boolean,
                Built::Number(_) => JsonType::Number,
                Built::Text(_) | Built::Binary(_) => JsonType::String,
                Built::List(_) => JsonType::Array,
                Built::Map(_) => JsonType::Object,
            },
            View::Name(_) => JsonType::String,
        }
    }

    /// Of binary content the length is its number of bytes: a contract that bounds a file bounds those.
    fn string_length(&self) -> Option<u64> {
        let count = match self {
            View::Built(Built::Binary(bytes)) => *bytes,
            View::Tape(value) if value.kind() == Kind::String && !value.is_escaped() => {
                characters(value.raw())
            }
            _ => characters(self.as_string()?.as_bytes()),
        };
        Some(count as u64)
    }

    fn equals_value(&self, expected: &serde_json::Value) -> bool {
        use serde_json::Value as Expected;
        match expected {
            Expected::Null => self.is_null(),
            Expected::Bool(expected) => self.as_boolean() == Some(*expected),
            Expected::Number(expected) => {
                self.as_number().is_some_and(|number| cmp::equal_numbers(&number, expected))
            }
            Expected::String(expected) => self.as_string().is_some_and(|text| text == expected.as_str()),
            Expected::Array(expected) => self.as_array().is_some_and(|items| {
                items.len() == expected.len()
                    && items.elements().zip(expected).all(|(item, expected)| item.equals_value(expected))
            }),
            Expected::Object(expected) => self.as_object().is_some_and(|entries| {
                entries.len() == expected.len()
                    && expected.iter().all(|(name, expected)| {
                        entries.named(name).is_some_and(|value| value.equals_value(expected))
                    })
            }),
        }
    }

    /// Errors never repeat what was sent: the kind stands for the value.
    fn to_value(&self) -> Cow<'a, serde_json::Value> {
        Cow::Owned(match self.json_type() {
            JsonType::Boolean => serde_json::Value::Bool(false),
            JsonType::Number | JsonType::Integer => serde_json::Value::Number(0.into()),
            JsonType::String => serde_json::Value::String(String::new()),
            JsonType::Array => serde_json::Value::Array(Vec::new()),
            JsonType::Object => serde_json::Value::Object(serde_json::Map::new()),
            JsonType::Null => serde_json::Value::Null,
        })
    }

    /// Values of a document begin at different bytes of it; values put together and names have addresses of their own.
    fn identity(&self) -> Option<NodeIdentity> {
        let address = match self {
            View::Tape(value) => value.source().as_ptr().addr(),
            View::Built(built) => std::ptr::from_ref::<Built<'_>>(*built).addr(),
            View::Name(name) => name.as_ptr().addr(),
        };
        Some(NodeIdentity::new(address))
    }
}

/// Characters of valid UTF-8: all bytes but those that continue one.
fn characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
}

/// An object's entries.
#[derive(Clone, Copy, Debug)]
pub enum Entries<'a> {
    /// Of a document.
    Tape(Value<'a>),
    /// Put together.
    Built(&'a [(Cow<'a, str>, Built<'a>)]),
}

impl<'a> Entries<'a> {
    fn named(&self, name: &str) -> Option<View<'a>> {
        match self {
            Entries::Tape(value) if value.has_duplicate_keys() => value.get(name).map(View::Tape),
            Entries::Tape(value) => {
                let same = |key: Value<'_>| match key.is_escaped() {
                    true => key.decoded() == name.as_bytes(),
                    false => key.raw() == name.as_bytes(),
                };
                value.entries().find(|(key, _)| same(*key)).map(|(_, value)| View::Tape(value))
            }
            Entries::Built(entries) => {
                entries.iter().find(|(key, _)| key == name).map(|(_, value)| View::Built(value))
            }
        }
    }
}

impl<'a> Object<'a, Views> for Entries<'a> {
    type Node = View<'a>;
    type MemberName = Cow<'a, str>;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        match self {
            Entries::Tape(value) => value.len(),
            Entries::Built(entries) => entries.len(),
        }
    }

    fn get(&self, key: &Box<str>) -> Option<View<'a>> {
        self.named(key)
    }

    fn members(&self) -> Members<'a> {
        match self {
            Entries::Tape(value) => Members::Tape(value.entries()),
            Entries::Built(entries) => Members::Built(entries.iter()),
        }
    }
}

/// Names and values of an object.
#[derive(Clone, Debug)]
pub enum Members<'a> {
    /// Of a document.
    Tape(json::Entries<'a>),
    /// Put together.
    Built(std::slice::Iter<'a, (Cow<'a, str>, Built<'a>)>),
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, View<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Members::Tape(entries) => {
                let (key, value) = entries.next()?;
                Some((key.as_str().unwrap_or_default(), View::Tape(value)))
            }
            Members::Built(entries) => {
                let (key, value) = entries.next()?;
                Some((Cow::Borrowed(key), View::Built(value)))
            }
        }
    }
}

/// Texts of an array that are compared one with another, which needs no memory.
const PAIRED: usize = 12;

/// An array's items.
#[derive(Clone, Copy, Debug)]
pub enum Items<'a> {
    /// Of a document.
    Tape(Value<'a>),
    /// Put together.
    Built(&'a [Built<'a>]),
}

impl<'a> Array<'a, Views> for Items<'a> {
    type Node = View<'a>;
    type ElementsIter = Elements<'a>;

    fn len(&self) -> usize {
        match self {
            Items::Tape(value) => value.len(),
            Items::Built(items) => items.len(),
        }
    }

    fn elements(&self) -> Elements<'a> {
        match self {
            Items::Tape(value) => Elements::Tape(value.items()),
            Items::Built(items) => Elements::Built(items.iter()),
        }
    }

    fn is_unique(&self) -> bool {
        let count = self.len();
        if count < 2 {
            return true;
        }
        if count <= PAIRED && self.elements().all(|item| item.json_type() == JsonType::String) {
            return self.elements().enumerate().all(|(at, item)| {
                let text = item.as_string();
                self.elements().take(at).all(|before| before.as_string() != text)
            });
        }
        let mut seen = HashSet::with_capacity(count);
        self.elements().all(|item| {
            let mut bytes = Vec::new();
            item.canonical(&mut bytes);
            seen.insert(bytes)
        })
    }
}

/// The items, one by one.
#[derive(Clone, Debug)]
pub enum Elements<'a> {
    /// Of a document.
    Tape(json::Items<'a>),
    /// Put together.
    Built(std::slice::Iter<'a, Built<'a>>),
}

impl<'a> Iterator for Elements<'a> {
    type Item = View<'a>;

    fn next(&mut self) -> Option<View<'a>> {
        match self {
            Elements::Tape(items) => items.next().map(View::Tape),
            Elements::Built(items) => items.next().map(View::Built),
        }
    }
}
