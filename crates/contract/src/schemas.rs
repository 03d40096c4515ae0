//! The schemas of a contract: documents of JSON Schema, each under a URI of its own, that know where they were written.

use std::{fmt, sync::Arc};

use bartizan_model::diagnostic::Place;
use serde_json::Value;

use crate::{
    pointer::{decode_fragment, encode_fragment, join, push_token},
    tree::Span,
};

/// Every schema of a contract.
///
/// Each file of the contract is one document. A schema stands in it at the JSON Pointer at which the file has it, so that
/// `contract:///bank.yaml#/components/schemas/Money` is the schema that `bank.yaml` calls so. What is no schema is left out,
/// and lists that hold schemas outside of schemas (`parameters`) are objects with the numbers as keys, so that the pointers
/// hold. `$ref`s are kept; those between files lead from one document to another.
///
/// All are JSON Schema of the document's [`Dialect`], whatever they were written in: `nullable`, `exclusiveMinimum: true`,
/// `type: file` and their like are said as JSON Schema says them, and [the page on contracts](../../docs/contracts.md)
/// says how. Descriptions, examples and unknown keywords are left out; `discriminator`, `xml`, `readOnly`, `writeOnly`,
/// `deprecated`, `default` and `format` are kept.
///
/// Three kinds of schemas stand where no document has them: a nullable one that is combined of others stands below
/// `/anyOf/1`; the fields of a form of Swagger 2.0 are one object at `/requestBody/schema` of their operation; and what a
/// value of a schema with a `discriminator` may be, when it is the base of others, is below `/x-subtypes`.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    documents: Vec<SchemaDocument>,
}

/// The schemas of one file.
#[derive(Clone, Debug)]
pub struct SchemaDocument {
    /// `contract:///` and the path of the file below the folder of the contract, percent-encoded.
    pub uri: Arc<str>,
    /// The file, as the reader knows it.
    pub file: Arc<str>,
    /// What its schemas are written in, where they do not state a `$schema` of their own.
    pub dialect: Dialect,
    /// The schemas, each at its pointer.
    pub value: Value,
    /// The pointers of the schemas that operations or `components` hold: those that are not part of another.
    pub roots: Vec<Box<str>>,
    places: Places,
}

impl SchemaDocument {
    /// The schemas of a file whose places are not known.
    #[must_use]
    pub fn new(uri: &str, file: &str, dialect: Dialect, value: Value) -> Self {
        let (uri, file) = (Arc::from(uri), Arc::from(file));
        SchemaDocument { uri, file, dialect, value, roots: Vec::new(), places: Places::default() }
    }

    /// The same with its places, by the hashes of their pointers.
    pub(crate) fn with_places(mut self, places: impl IntoIterator<Item = (u64, Span)>) -> Self {
        self.places = Places::new(places);
        self
    }
}

/// A dialect of JSON Schema, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Dialect {
    /// Draft 4.
    Draft4,
    /// Draft 6.
    Draft6,
    /// Draft 7.
    Draft7,
    /// 2019-09.
    Draft2019,
    /// 2020-12; schemas of OpenAPI 2.0 and 3.0 are converted to it, those of 3.1 and 3.2 have it by default.
    #[default]
    Draft2020,
}

impl Dialect {
    /// The dialect of a meta-schema's URI; `None` where it is not known.
    #[must_use]
    pub fn of(uri: &str) -> Option<Self> {
        let uri = uri.strip_suffix('#').unwrap_or(uri);
        let rest = uri.strip_prefix("http://").or_else(|| uri.strip_prefix("https://"))?;
        match rest {
            "json-schema.org/draft-04/schema" => Some(Dialect::Draft4),
            "json-schema.org/draft-06/schema" => Some(Dialect::Draft6),
            "json-schema.org/draft-07/schema" => Some(Dialect::Draft7),
            "json-schema.org/draft/2019-09/schema" => Some(Dialect::Draft2019),
            "json-schema.org/draft/2020-12/schema" => Some(Dialect::Draft2020),
            // The base dialects of OpenAPI 3.1 and 3.2: 2020-12 with annotations.
            _ if rest.starts_with("spec.openapis.org/oas/3.") && rest.contains("/dialect/") => {
                Some(Dialect::Draft2020)
            }
            _ => None,
        }
    }

    /// The URI of its meta-schema.
    #[must_use]
    pub fn uri(self) -> &'static str {
        match self {
            Dialect::Draft4 => "http://json-schema.org/draft-04/schema#",
            Dialect::Draft6 => "http://json-schema.org/draft-06/schema#",
            Dialect::Draft7 => "http://json-schema.org/draft-07/schema#",
            Dialect::Draft2019 => "https://json-schema.org/draft/2019-09/schema",
            Dialect::Draft2020 => "https://json-schema.org/draft/2020-12/schema",
        }
    }
}

/// Where a schema is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaRef {
    /// The URI of its document, without a fragment.
    pub document: Arc<str>,
    /// The JSON Pointer to it (RFC 6901), not percent-encoded; empty for the whole document.
    pub pointer: Box<str>,
}

impl SchemaRef {
    /// The URI with the pointer as its fragment, percent-encoded (RFC 6901 section 6).
    #[must_use]
    pub fn uri(&self) -> String {
        format!("{}#{}", self.document, encode_fragment(&self.pointer))
    }

    /// The schema at one more step.
    #[must_use]
    pub fn below(&self, token: &str) -> SchemaRef {
        let mut pointer = self.pointer.to_string();
        push_token(&mut pointer, token);
        SchemaRef { document: Arc::clone(&self.document), pointer: pointer.into_boxed_str() }
    }
}

impl fmt::Display for SchemaRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.document, self.pointer)
    }
}

impl Schemas {
    /// Of these documents, that of the contract itself first.
    #[must_use]
    pub fn new(documents: Vec<SchemaDocument>) -> Self {
        Schemas { documents }
    }

    /// The documents, that of the contract itself first.
    #[must_use]
    pub fn documents(&self) -> &[SchemaDocument] {
        &self.documents
    }

    /// One document by its URI.
    #[must_use]
    pub fn document(&self, uri: &str) -> Option<&SchemaDocument> {
        self.documents.iter().find(|document| &*document.uri == uri)
    }

    /// A schema, `$ref`s not followed.
    #[must_use]
    pub fn get(&self, at: &SchemaRef) -> Option<&Value> {
        self.document(&at.document)?.value.pointer(&at.pointer)
    }

    /// What a `$ref` leads to from a schema, by its JSON Pointer; `None` for anchors and for URIs that no document of the
    /// contract has. One step only.
    #[must_use]
    pub fn target(&self, from: &SchemaRef, reference: &str) -> Option<SchemaRef> {
        let (file, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let document = match file {
            "" => Arc::clone(&from.document),
            _ => Arc::clone(&self.document(&join(&from.document, file)?)?.uri),
        };
        let pointer = decode_fragment(fragment)?;
        (pointer.is_empty() || pointer.starts_with('/'))
            .then(|| SchemaRef { document, pointer: pointer.into_boxed_str() })
    }

    /// A schema with `$ref` after `$ref` followed, as long as nothing stands beside them, at most 64 of them.
    #[must_use]
    pub fn resolve(&self, at: &SchemaRef) -> Option<(SchemaRef, &Value)> {
        let mut at = at.clone();
        for _ in 0..64 {
            let value = self.get(&at)?;
            match value.as_object() {
                Some(map) if map.len() == 1 => match map.get("$ref").and_then(Value::as_str) {
                    Some(reference) => at = self.target(&at, reference)?,
                    None => return Some((at, value)),
                },
                _ => return Some((at, value)),
            }
        }
        None
    }

    /// Where a schema, or a keyword of one, was written; the nearest place above it that is known.
    #[must_use]
    pub fn place(&self, at: &SchemaRef) -> Option<Place> {
        let document = self.document(&at.document)?;
        document.places.find(&at.pointer).and_then(|span| span.place(&document.file))
    }
}

/// The places of the pointers of a document, by a hash of the pointer: they are asked for when something is wrong, and
/// the pointers themselves would weigh more than the schemas.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Box<[(u64, u32, u32)]>);

impl Places {
    /// From pairs of [`pointer::hash`](crate::pointer::hash) and place.
    fn new(found: impl IntoIterator<Item = (u64, Span)>) -> Self {
        let mut places: Vec<(u64, u32, u32)> =
            found.into_iter().map(|(hash, span)| (hash, span.line, span.column)).collect();
        places.sort_unstable();
        places.dedup_by_key(|place| place.0);
        Places(places.into_boxed_slice())
    }

    /// The place of a pointer, or of the nearest one above it.
    fn find(&self, pointer: &str) -> Option<Span> {
        let mut pointer = pointer;
        loop {
            let hash = crate::pointer::hash(pointer);
            if let Ok(at) = self.0.binary_search_by_key(&hash, |place| place.0) {
                let (_, line, column) = *self.0.get(at)?;
                return Some(Span { source: 0, line, column });
            }
            pointer = pointer.rsplit_once('/')?.0;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use serde_json::json;

    use super::*;

    fn schemas() -> Schemas {
        let document = |uri: &str, file: &str, value: Value, places: &[(&str, u32)]| {
            let span = |line: u32| Span { source: 0, line, column: 3 };
            let places = places.iter().map(|(pointer, line)| (crate::pointer::hash(pointer), span(*line)));
            SchemaDocument::new(uri, file, Dialect::default(), value).with_places(places)
        };
        Schemas::new(vec![
            document(
                "contract:///api.yaml",
                "api.yaml",
                json!({"a": {"$ref": "sub/more%20x.yaml#/T~1x"}, "b": {"$ref": "#/a"}, "c": {"$ref": "#/c"}}),
                &[("", 1), ("/a", 2), ("/b", 7)],
            ),
            document(
                "contract:///sub/more%20x.yaml",
                "sub/more x.yaml",
                json!({"T/x": {"type": "integer", "maximum": 3}, "back": {"$ref": "../api.yaml#/b"}}),
                &[("/T~1x", 4), ("/T~1x/maximum", 5)],
            ),
        ])
    }

    #[test]
    fn references_lead_from_document_to_document() {
        let schemas = schemas();
        let b = SchemaRef { document: "contract:///api.yaml".into(), pointer: "/b".into() };
        let (at, value) = schemas.resolve(&b).unwrap();
        assert_eq!(at.uri(), "contract:///sub/more%20x.yaml#/T~1x");
        assert_eq!(value, &json!({"type": "integer", "maximum": 3}));
        let back = SchemaRef { document: Arc::clone(&at.document), pointer: "/back".into() };
        assert_eq!(schemas.resolve(&back).unwrap().0, at);
        assert!(
            schemas.resolve(&SchemaRef { pointer: "/c".into(), ..b.clone() }).is_none(),
            "it leads to itself"
        );
        assert!(schemas.target(&b, "https://example.com/x#/a").is_none());
        assert!(schemas.target(&b, "#anchor").is_none());
    }

    #[test]
    fn the_nearest_place_is_told() {
        let schemas = schemas();
        let at = |document: &str, pointer: &str| {
            let at = SchemaRef { document: document.into(), pointer: pointer.into() };
            schemas.place(&at).map(|place| place.to_string())
        };
        assert_eq!(at("contract:///api.yaml", "/a/$ref").as_deref(), Some("api.yaml:2:3"));
        let more = "contract:///sub/more%20x.yaml";
        assert_eq!(at(more, "/T~1x/maximum").as_deref(), Some("sub/more x.yaml:5:3"));
        assert_eq!(at(more, "/T~1x/type").as_deref(), Some("sub/more x.yaml:4:3"));
        assert_eq!(at(more, "/other"), None);
    }
}
