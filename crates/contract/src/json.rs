//! JSON to a tree: fast, with budgets and without duplicate keys; places of values are not known.

use std::{collections::HashSet, fmt};

use bartizan_model::{Diagnostic, diagnostic::Place};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::{
    tree::{Entry, Node, Span, Value},
    yaml::Budget,
};

/// Reads one JSON document.
pub(crate) fn parse(text: &str, file: &str, budget: Budget) -> Result<Node, Box<Diagnostic>> {
    if text.len() > budget.bytes {
        let error = Diagnostic::error("", format!("`{file}` is larger than {} bytes", budget.bytes));
        return Err(Box::new(error.help("split the document or remove what is not needed")));
    }
    let mut left = budget.nodes;
    let mut json = serde_json::Deserializer::from_str(text);
    let seed = TreeSeed { left: &mut left, depth: budget.depth };
    let result = seed.deserialize(&mut json).and_then(|node| json.end().map(|()| node));
    result.map_err(|error| {
        let number = |n: usize| u32::try_from(n.max(1)).unwrap_or(u32::MAX);
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or_default();
        let place =
            Place { file: file.to_owned(), line: number(error.line()), column: number(error.column()) };
        Box::new(
            Diagnostic::error("", format!("not valid JSON: {text}"))
                .help("check quotes, commas and brackets at this place")
                .at(place),
        )
    })
}

struct TreeSeed<'b> {
    left: &'b mut usize,
    depth: usize,
}

impl TreeSeed<'_> {
    fn scalar<E: de::Error>(self, text: String, quoted: bool) -> Result<Node, E> {
        self.node(Value::Scalar { text, quoted })
    }

    fn node<E: de::Error>(self, value: Value) -> Result<Node, E> {
        *self.left = self.left.checked_sub(1).ok_or_else(|| E::custom("the document has too many values"))?;
        Ok(Node { span: Span::default(), origin: 0, value })
    }

    fn deeper<E: de::Error>(&mut self) -> Result<TreeSeed<'_>, E> {
        let depth =
            self.depth.checked_sub(1).ok_or_else(|| E::custom("the document is nested too deeply"))?;
        Ok(TreeSeed { left: self.left, depth })
    }
}

impl<'de> DeserializeSeed<'de> for TreeSeed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TreeSeed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        self.scalar(String::new(), false)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        self.scalar(value.to_string(), false)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        self.scalar(value.to_string(), false)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        self.scalar(value.to_string(), false)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        self.scalar(value.to_string(), false)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Node, E> {
        self.scalar(text.to_owned(), true)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.deeper()?)? {
            items.push(item);
        }
        self.node(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Node, A::Error> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(de::Error::custom(format!("`{key}` is written twice")));
            }
            let value = map.next_value_seed(self.deeper()?)?;
            entries.push(Entry { key, key_span: Span::default(), value });
        }
        self.node(Value::Map(entries))
    }
}
