//! JSON Schema, drafts 4, 6, 7, 2019-09 and 2020-12: compiled once, applied to values where they stand in the request.
//!
//! `jsonschema` reads the tape of [`bartizan_pattern`] itself: nothing is copied, and numbers stay the text that they are.
//! Patterns run in linear time; one that looks around is an error. Formats are asserted. Nothing is ever fetched.

mod content;
mod number;
#[cfg(test)]
mod suite_tests;
mod tell;
#[cfg(test)]
mod tests;
mod view;

use std::{collections::HashMap, fmt};

use jsonschema::{
    PatternCache, PatternOptions, Registry, ValidationOptions, Validator,
    json::{Array as _, Node as _, Object as _},
};
use serde_json::{Value, json};

pub(crate) use content::describes_json;
pub use jsonschema::Draft;
pub use number::Number;
pub(crate) use tell::short;
pub use view::{View, Views};

/// Violations that are told of one value: whoever mends these will see the next.
pub const VIOLATIONS: usize = 32;
/// Values of a document in which violations are looked for one by one.
const LISTED_NODES: usize = 4096;
/// Arrays and objects inside one another, likewise: each alternative is tried at each level, so that schemas that refer to
/// themselves cost a multiple more with every level. Whether a value fits is decided once for each value instead.
const LISTED_DEPTH: usize = 6;
/// Bytes that a compiled pattern may take.
const PATTERN_BYTES: usize = 4 << 20;

/// `byte` of OpenAPI 2.0 and 3.0: base64 with its padding, in one line (RFC 4648 section 4).
fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    text.len().is_multiple_of(4)
        && padding <= 2
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// Documents under absolute URIs, and what schemas in them refer to.
pub struct Library {
    registry: Registry<'static>,
    drafts: HashMap<Box<str>, Draft>,
    patterns: PatternCache,
    formats: bool,
    wanted: content::Wanted,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library").finish_non_exhaustive()
    }
}

/// Why a schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    /// What is wrong.
    pub message: String,
    /// Where, as URI and JSON pointer, as far as that is known.
    pub place: String,
}

/// One schema, compiled.
pub struct Schema {
    validator: Validator<Views>,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").finish_non_exhaustive()
    }
}

/// Where a value does not fit its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The value, as a JSON pointer (RFC 6901) from the value that was looked at; empty for that one itself.
    pub pointer: String,
    /// The keyword of the schema that it violates.
    pub keyword: String,
    /// What the schema expects, in words; never what was sent.
    pub expectation: String,
    /// The keyword's place in the contract: a URI whose fragment is a JSON pointer.
    pub place: String,
}

impl Library {
    /// Documents by their absolute URIs, each with the draft that its schemas are of unless they say so themselves.
    ///
    /// # Errors
    /// A URI is no URI, or a document refers to one that is not among them.
    pub fn new<'d>(
        documents: impl IntoIterator<Item = (&'d str, Value, Draft)>,
    ) -> Result<Self, SchemaError> {
        let mut drafts = HashMap::new();
        let resources = documents.into_iter().map(|(uri, mut document, draft)| {
            content::place(&mut document, uri);
            drafts.insert(uri.into(), draft);
            (uri, draft.create_resource(document))
        });
        let builder = referencing::SPECIFICATIONS.extend(resources).map_err(|error| unresolved(&error))?;
        let registry = builder.retriever(Nothing).prepare().map_err(|error| unresolved(&error))?;
        Ok(Library {
            registry,
            drafts,
            patterns: PatternCache::new(),
            formats: true,
            wanted: content::Wanted::default(),
        })
    }

    /// Leaves formats what the specification calls them: annotations. For suites that test just that.
    #[must_use]
    pub fn without_formats(mut self) -> Self {
        self.formats = false;
        self
    }

    /// Compiles the schema at an absolute URI, whose fragment is a JSON pointer or an anchor.
    ///
    /// # Errors
    /// There is none, it or one that it refers to is no schema, or a pattern of theirs needs more than linear time.
    pub fn compile(&self, uri: &str) -> Result<Schema, SchemaError> {
        self.build(uri, false)
    }

    /// The same, with `contentSchema` asserted in the schema itself, not in contents of contents.
    ///
    /// # Errors
    /// As [`Library::compile`], also of the schemas of contents.
    pub fn compile_with_contents(&self, uri: &str) -> Result<Schema, SchemaError> {
        let schema = self.build(uri, true)?;
        for (uri, place) in self.wanted.take() {
            let _ = place.set(self.build(&uri, false)?);
        }
        Ok(schema)
    }

    fn build(&self, uri: &str, contents: bool) -> Result<Schema, SchemaError> {
        let (document, fragment) = uri.split_once('#').unwrap_or((uri, ""));
        let draft = self.drafts.get(document).copied().unwrap_or(Draft::Draft202012);
        let mut options: ValidationOptions<'_, _, Views> = ValidationOptions::default()
            .with_draft(draft)
            .with_registry(&self.registry)
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES))
            .with_pattern_cache(self.patterns.clone())
            .should_validate_formats(self.formats)
            .with_format("byte", is_base64)
            .offline();
        if contents {
            let wanted = self.wanted.clone();
            options = options
                .with_keyword(content::KEYWORD, move |schema: &_, _: &_, _| Ok(wanted.keyword(schema)));
        }
        // A document as a whole is compiled as itself: what refers to the outermost schema (2019-09, section 8.2.4.2.2) would
        // find that which leads to it.
        let whole = fragment.is_empty().then(|| self.document(document)).flatten();
        let built = match &whole {
            Some(contents) => options.with_base_uri(document).build(contents),
            None => options.build(&json!({ "$ref": uri })),
        };
        let validator = built.map_err(|error| SchemaError {
            message: short(&error.to_string(), 300),
            place: error
                .absolute_keyword_location()
                .map_or_else(|| format!("{uri}, at {}", error.schema_path()), ToString::to_string),
        })?;
        Ok(Schema { validator })
    }
}

impl Library {
    /// The document of this URI.
    fn document(&self, uri: &str) -> Option<Value> {
        let resolver = self.registry.resolver(referencing::uri::from_str(uri).ok()?);
        resolver.lookup("").ok().map(|resolved| resolved.contents().clone())
    }
}

fn unresolved(error: &jsonschema::ReferencingError) -> SchemaError {
    SchemaError { message: short(&error.to_string(), 300), place: String::new() }
}

/// Fetches nothing.
struct Nothing;

impl jsonschema::Retrieve for Nothing {
    fn retrieve(
        &self,
        uri: &jsonschema::Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("`{uri}` is not part of the contract; references are resolved in its files only").into())
    }
}

impl Schema {
    /// Whether a value fits. The fast way, which needs no memory.
    #[must_use]
    pub fn fits(&self, value: View<'_>) -> bool {
        self.validator.is_valid(value)
    }

    /// Where a value does not fit: at most [`VIOLATIONS`], nothing where it does.
    #[must_use]
    pub fn violations(&self, value: View<'_>) -> Vec<Violation> {
        if self.fits(value) {
            return Vec::new();
        }
        let small = match value {
            View::Tape(value) => (value.next_index() - value.index()) as usize <= LISTED_NODES,
            View::Built(_) | View::Name(_) => true,
        };
        let listed = small && depth_within(value, LISTED_DEPTH);
        if !listed {
            return vec![Violation {
                pointer: String::new(),
                keyword: "schema".to_owned(),
                expectation:
                    "what its schema describes; it is too large or too deep to say where it does not"
                        .to_owned(),
                place: String::new(),
            }];
        }
        let all: Vec<_> = self.validator.iter_errors(value).take(VIOLATIONS).collect();
        all.iter()
            .map(|error| Violation {
                pointer: short(error.instance_path().as_str(), 512),
                keyword: short(error.kind().keyword(), 64),
                expectation: tell::expectation(error),
                place: error
                    .absolute_keyword_location()
                    .map_or_else(|| error.schema_path().as_str().to_owned(), ToString::to_string),
            })
            .collect()
    }
}

/// Whether no more arrays and objects than this are inside one another.
fn depth_within(value: View<'_>, depth: usize) -> bool {
    let (array, object) = (value.as_array(), value.as_object());
    if array.is_none() && object.is_none() {
        return true;
    }
    let Some(left) = depth.checked_sub(1) else { return false };
    array.is_none_or(|array| array.elements().all(|item| depth_within(item, left)))
        && object.is_none_or(|object| object.members().all(|(_, item)| depth_within(item, left)))
}
