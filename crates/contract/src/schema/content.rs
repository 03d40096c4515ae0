//! `contentSchema`, asserted: what a text that is a JSON document holds (JSON Schema Validation section 8.5).
//!
//! The specification leaves the contents of texts to applications. In events they are where everything is, and OpenAPI 3.2
//! (section 4.14.5) describes them so.

use std::sync::{Arc, Mutex, OnceLock};

use bartizan_pattern::body::json::{JsonLimits, Tape, TapeBuffer};
use jsonschema::{Keyword, ValidationError, json::Node as _};
use serde_json::{Map, Value};

use super::{Schema, View, Views};

/// The keyword.
pub(super) const KEYWORD: &str = "contentSchema";
/// Where a schema is told the URI of its `contentSchema`: a keyword does not know where it stands.
const URI: &str = "x-content-uri";
/// Values inside one another that are looked through.
const MAX_DEPTH: usize = 256;

/// Whether a schema's texts are JSON documents by a schema of their own.
pub(crate) fn describes_json(schema: &Map<String, Value>) -> bool {
    let media = schema.get("contentMediaType").and_then(Value::as_str);
    let is_json = media.is_some_and(|media| crate::form::MediaRange::parse(media).is_json());
    is_json && schema.contains_key(KEYWORD) && !schema.contains_key("contentEncoding")
}

/// Tells every schema of a document the URI of its `contentSchema`.
pub(super) fn place(document: &mut Value, uri: &str) {
    if has_contents(document, 0) {
        let base = format!("{}#", uri.split('#').next().unwrap_or_default());
        walk(document, &base, 0);
    }
}

fn has_contents(value: &Value, depth: usize) -> bool {
    depth <= MAX_DEPTH
        && match value {
            Value::Object(map) => {
                map.contains_key(KEYWORD) || map.values().any(|value| has_contents(value, depth + 1))
            }
            Value::Array(items) => items.iter().any(|item| has_contents(item, depth + 1)),
            _ => false,
        }
}

fn walk(value: &mut Value, at: &str, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut().filter(|(key, _)| !matches!(key.as_str(), "enum" | "const")) {
                let step = crate::pointer::step(key);
                walk(value, &format!("{at}{}", crate::pointer::encode_fragment(&step)), depth + 1);
            }
            if describes_json(map) {
                map.insert(URI.to_owned(), Value::String(format!("{at}/{KEYWORD}")));
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter_mut().enumerate() {
                walk(item, &format!("{at}/{number}"), depth + 1);
            }
        }
        _ => {}
    }
}

/// Schemas of contents that others wait for: each is compiled once the schema around it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted(Arc<Mutex<Vec<Want>>>);

/// One of them.
pub(super) type Want = (String, Arc<OnceLock<Schema>>);

impl Wanted {
    /// Those that were asked for since the last time.
    pub(super) fn take(&self) -> Vec<Want> {
        self.0.lock().map(|mut wanted| std::mem::take(&mut *wanted)).unwrap_or_default()
    }

    /// The keyword in one schema.
    pub(super) fn keyword(&self, schema: &Map<String, Value>) -> Box<dyn for<'i> Keyword<'i, Views>> {
        let uri = schema.get(URI).and_then(Value::as_str);
        let of = uri.and_then(|uri| {
            let place = Arc::new(OnceLock::new());
            self.0.lock().ok()?.push((uri.to_owned(), Arc::clone(&place)));
            Some(place)
        });
        Box::new(Content(of))
    }
}

/// Checks the contents of a text; anything where nothing describes them as JSON.
struct Content(Option<Arc<OnceLock<Schema>>>);

impl<'i> Keyword<'i, Views> for Content {
    fn validate(&self, instance: View<'i>) -> Result<(), ValidationError<'i>> {
        match self.is_valid(instance) {
            true => Ok(()),
            false => Err(ValidationError::custom("a JSON document that `contentSchema` describes")),
        }
    }

    fn is_valid(&self, instance: View<'i>) -> bool {
        let Some(schema) = self.0.as_ref().and_then(|place| place.get()) else { return true };
        let Some(text) = instance.as_string() else { return true };
        let mut buffer = TapeBuffer::new();
        let read = Tape::parse(text.as_bytes(), &JsonLimits::default(), &mut buffer);
        read.ok().and_then(Tape::root).is_some_and(|root| schema.fits(View::Tape(root)))
    }
}
