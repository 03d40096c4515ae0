//! A YAML or JSON document as a tree whose every key and value knows its place in the source.

use std::borrow::Cow;

use bartizan_model::{Diagnostic, diagnostic::Place};

/// Where a key or value begins. Lines and columns count from 1; line 0 means that the place is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The index of the source in whatever list the reader keeps.
    pub source: u16,
    /// From 1; 0 when unknown.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

impl Span {
    /// The place in `file`, unless unknown.
    #[must_use]
    pub fn place(self, file: &str) -> Option<Place> {
        (self.line > 0).then(|| Place { file: file.to_owned(), line: self.line, column: self.column })
    }
}

/// One value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub span: Span,
    /// Which block wrote it, as numbered by the reader; 0 unless somebody marked it.
    pub origin: u32,
    /// The value.
    pub value: Value,
}

/// The kinds of values.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A scalar with its text; `quoted` ones are always text, others follow the YAML 1.2 core schema.
    Scalar {
        /// The text after escapes.
        text: String,
        /// Written with quotes or as a block.
        quoted: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A map with distinct keys, in source order.
    Map(Vec<Entry>),
}

/// One entry of a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key begins.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

/// A scalar as the YAML 1.2 core schema types it (section 10.3.2).
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A whole number that only fits without a sign.
    Unsigned(u64),
    /// Another number.
    Float(f64),
    /// Anything else.
    Text(&'a str),
}

impl Node {
    /// A text value without a place.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Node { span: Span::default(), origin: 0, value: Value::Scalar { text: text.into(), quoted: true } }
    }

    /// An empty map at the start of a source.
    #[must_use]
    pub fn empty_map(source: u16) -> Self {
        Node { span: Span { source, line: 1, column: 1 }, origin: 0, value: Value::Map(Vec::new()) }
    }

    /// The scalar with its type, if it is one.
    #[must_use]
    pub fn scalar(&self) -> Option<Scalar<'_>> {
        match &self.value {
            Value::Scalar { text, quoted: true } => Some(Scalar::Text(text)),
            Value::Scalar { text, quoted: false } => Some(resolve(text)),
            _ => None,
        }
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.scalar() == Some(Scalar::Null)
    }

    /// The text of a scalar that is not null.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// The value as a boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.scalar() {
            Some(Scalar::Bool(value)) => Some(value),
            _ => None,
        }
    }

    /// The entries of a map; nothing of any other kind.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The entries of a map, taken out of it.
    pub(crate) fn into_entries(self) -> Vec<Entry> {
        match self.value {
            Value::Map(entries) => entries,
            _ => Vec::new(),
        }
    }

    /// The items of a list; nothing of any other kind.
    #[must_use]
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of a key.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// Removes a key and answers its entry.
    pub fn take(&mut self, key: &str) -> Option<Entry> {
        match &mut self.value {
            Value::Map(entries) => {
                let index = entries.iter().position(|entry| entry.key == key)?;
                Some(entries.remove(index))
            }
            _ => None,
        }
    }

    /// `a map`, `a list`, .. for error texts.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.scalar() {
            None if matches!(self.value, Value::List(_)) => "a list",
            None => "a map",
            Some(Scalar::Null) => "nothing",
            Some(Scalar::Bool(_)) => "a boolean",
            Some(Scalar::Integer(_) | Scalar::Unsigned(_) | Scalar::Float(_)) => "a number",
            Some(Scalar::Text(_)) => "text",
        }
    }

    /// Marks this node and everything below as written by block `origin`.
    pub fn mark(&mut self, origin: u32) {
        self.origin = origin;
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.mark(origin)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| entry.value.mark(origin)),
            Value::Scalar { .. } => {}
        }
    }

    /// The value as JSON, without places.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::List(items) => serde_json::Value::Array(items.iter().map(Node::to_json).collect()),
            Value::Map(entries) => serde_json::Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect(),
            ),
            Value::Scalar { .. } => match self.scalar() {
                None | Some(Scalar::Null) => serde_json::Value::Null,
                Some(Scalar::Bool(value)) => value.into(),
                Some(Scalar::Integer(value)) => value.into(),
                Some(Scalar::Unsigned(value)) => value.into(),
                Some(Scalar::Float(value)) => value.into(),
                Some(Scalar::Text(text)) => text.into(),
            },
        }
    }

    /// What a plain scalar of this text is as JSON.
    pub(crate) fn plain(text: &str) -> serde_json::Value {
        Node {
            span: Span::default(),
            origin: 0,
            value: Value::Scalar { text: text.to_owned(), quoted: false },
        }
        .to_json()
    }

    /// From JSON, without places. Duplicate keys must have been refused before.
    #[must_use]
    pub fn from_json(json: &serde_json::Value, source: u16) -> Self {
        let span = Span { source, line: 0, column: 0 };
        let value = match json {
            serde_json::Value::Null => Value::Scalar { text: String::new(), quoted: false },
            serde_json::Value::Bool(value) => Value::Scalar { text: value.to_string(), quoted: false },
            serde_json::Value::Number(value) => Value::Scalar { text: value.to_string(), quoted: false },
            serde_json::Value::String(text) => Value::Scalar { text: text.clone(), quoted: true },
            serde_json::Value::Array(items) => {
                Value::List(items.iter().map(|item| Node::from_json(item, source)).collect())
            }
            serde_json::Value::Object(entries) => Value::Map(
                entries
                    .iter()
                    .map(|(key, value)| Entry {
                        key: key.clone(),
                        key_span: span,
                        value: Node::from_json(value, source),
                    })
                    .collect(),
            ),
        };
        Node { span, origin: 0, value }
    }

    /// How many values are in it, itself included.
    #[must_use]
    pub fn size(&self) -> usize {
        1 + match &self.value {
            Value::Scalar { .. } => 0,
            Value::List(items) => items.iter().map(Node::size).sum(),
            Value::Map(entries) => entries.iter().map(|entry| entry.value.size()).sum(),
        }
    }

    /// The place of a path such as `deny[3].name`: the deepest value on it that exists (the key of a map's entry where the
    /// path ends at an entry whose value is not a scalar).
    #[must_use]
    pub fn locate(&self, path: &str) -> Span {
        self.follow(path, self.span).1
    }

    /// The deepest value on a path such as `deny[3].name`; the node itself when not even the first step exists.
    #[must_use]
    pub fn nearest(&self, path: &str) -> &Node {
        self.follow(path, self.span).0
    }

    fn follow(&self, path: &str, here: Span) -> (&Node, Span) {
        let path = path.strip_prefix('.').unwrap_or(path);
        if path.is_empty() {
            return (self, here);
        }
        if let Some(rest) = path.strip_prefix('[')
            && let Some((index, rest)) = rest.split_once(']')
            && let Some(item) = index.parse::<usize>().ok().and_then(|index| self.items().get(index))
        {
            return item.follow(rest, item.span);
        }
        let ends = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
        let entry = self
            .entries()
            .iter()
            .filter_map(|entry| Some((entry, path.strip_prefix(entry.key.as_str())?)))
            .filter(|(_, rest)| ends(rest))
            .max_by_key(|(entry, _)| entry.key.len());
        match entry {
            Some((entry, rest)) => {
                let scalar = matches!(entry.value.value, Value::Scalar { .. });
                let place = if scalar && !entry.value.is_null() { entry.value.span } else { entry.key_span };
                entry.value.follow(rest, place)
            }
            None => (self, here),
        }
    }
}

/// Types a plain scalar by the YAML 1.2 core schema.
fn resolve(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Scalar::Text(text);
    }
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok();
    if let Some(value) = text.strip_prefix("0x").and_then(|digits| radix(digits, 16)) {
        return Scalar::Unsigned(value);
    }
    if let Some(value) = text.strip_prefix("0o").and_then(|digits| radix(digits, 8)) {
        return Scalar::Unsigned(value);
    }
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        if let Ok(value) = text.parse::<i64>() {
            return Scalar::Integer(value);
        }
        if let Ok(value) = text.parse::<u64>() {
            return Scalar::Unsigned(value);
        }
    }
    let float = unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    match text.parse::<f64>() {
        Ok(value) if float && value.is_finite() => Scalar::Float(value),
        _ => Scalar::Text(text),
    }
}

/// An error about a node, at its place in `file`.
#[must_use]
pub fn error_at(span: Span, file: &str, path: &str, message: impl Into<Cow<'static, str>>) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(path, message.into());
    diagnostic.place = span.place(file);
    diagnostic
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests assert"
    )]
    use super::*;

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        assert_eq!(resolve("~"), Scalar::Null);
        assert_eq!(resolve("yes"), Scalar::Text("yes"));
        assert_eq!(resolve("true"), Scalar::Bool(true));
        assert_eq!(resolve("0x1F"), Scalar::Unsigned(31));
        assert_eq!(resolve("-7"), Scalar::Integer(-7));
        assert_eq!(resolve("1e3"), Scalar::Float(1000.0));
        assert_eq!(resolve("5s"), Scalar::Text("5s"));
        assert_eq!(resolve("1.2.3.4"), Scalar::Text("1.2.3.4"));
        assert_eq!(resolve("18446744073709551615"), Scalar::Unsigned(u64::MAX));
    }
}
