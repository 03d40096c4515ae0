//! Schemas of every version to JSON Schema that can be compiled, each with its place.

mod discriminator;
mod keywords;
mod patterns;
mod schema;
mod values;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::{Map, Value, json};

use crate::{
    documents::{Documents, Site},
    form::{Dialect, OpenApi, SchemaDocument, SchemaRef, Schemas},
    pointer::{self, encode_fragment},
    report::Report,
    tree::{Node, Span},
};

/// The schemas of one file so far.
#[derive(Debug, Default)]
struct Part {
    value: Value,
    places: Vec<(u64, Span)>,
    roots: Vec<Box<str>>,
    /// The hashes of the pointers of all schemas that were converted.
    visited: HashSet<u64>,
}

/// A schema that waits to be converted.
#[derive(Debug)]
enum Task<'a> {
    /// A schema that an operation or `components` holds.
    Root(Site<'a>),
    /// A parameter that is its own schema (Swagger 2.0).
    Parameter(Site<'a>),
    /// The fields of a form (Swagger 2.0).
    Form { at: Site<'a>, value: Value },
}

/// Converts schemas, and whatever they refer to.
#[derive(Debug)]
pub(crate) struct Converter<'a> {
    documents: &'a Documents,
    report: &'a Report,
    parts: Vec<Part>,
    tasks: Vec<Task<'a>>,
    /// What `$ref`s lead to: most of it is converted with the schema that it is part of.
    targets: Vec<Site<'a>>,
    /// The schemas that build on one with a `discriminator`, by document and pointer of that one.
    families: HashMap<(usize, String), discriminator::Family<'a>>,
    /// The dialect of each document.
    dialects: Vec<Dialect>,
}

impl<'a> Converter<'a> {
    pub(crate) fn new(documents: &'a Documents, report: &'a Report) -> Self {
        let dialect = |document| {
            let top = documents.top(document);
            let stated = top.get("jsonSchemaDialect").filter(|_| document.openapi >= OpenApi::V3_1);
            let Some(stated) = stated else { return Dialect::default() };
            stated.node.as_str().and_then(Dialect::of).unwrap_or_else(|| {
                let message = "this dialect of JSON Schema is not known: 2020-12 is used";
                let help = "use draft 4, 6 or 7, 2019-09, 2020-12 or the base dialect of OpenAPI";
                report.warn(&stated, message, help);
                Dialect::default()
            })
        };
        let dialects: Vec<Dialect> = documents.list().iter().map(dialect).collect();
        Converter {
            documents,
            report,
            parts: documents.list().iter().map(|_| Part { value: json!({}), ..Part::default() }).collect(),
            tasks: Vec::new(),
            targets: Vec::new(),
            families: discriminator::families(documents),
            dialects,
        }
    }

    /// A schema that checks something.
    pub(crate) fn root(&mut self, site: Site<'a>) -> SchemaRef {
        let at = self.at(&site);
        self.tasks.push(Task::Root(site));
        at
    }

    /// A parameter that is its own schema.
    pub(crate) fn parameter(&mut self, site: Site<'a>) -> SchemaRef {
        let at = self.at(&site);
        self.tasks.push(Task::Parameter(site));
        at
    }

    /// The object that the form fields of an operation make.
    pub(crate) fn form(&mut self, operation: &Site<'a>, fields: &[(&'a str, Site<'a>)]) -> SchemaRef {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for (name, field) in fields {
            let reference = self.uri(operation.document.index, field);
            properties.insert((*name).to_owned(), json!({ "$ref": reference }));
            if field.flag("required") {
                required.push(Value::from(*name));
            }
            self.tasks.push(Task::Parameter(field.clone()));
        }
        let mut value = json!({ "type": "object", "properties": properties });
        if let Some(map) = value.as_object_mut().filter(|_| !required.is_empty()) {
            map.insert("required".to_owned(), required.into());
        }
        let at = Site { pointer: format!("{}/requestBody/schema", operation.pointer), ..operation.clone() };
        let reference = self.at(&at);
        self.tasks.push(Task::Form { at, value });
        reference
    }

    fn at(&self, site: &Site<'a>) -> SchemaRef {
        SchemaRef { document: Arc::clone(&site.document.uri), pointer: moved(site).into_boxed_str() }
    }

    /// How a document refers to a schema.
    fn uri(&self, from: usize, to: &Site<'a>) -> String {
        let pointer = moved(to);
        let fragment = encode_fragment(&pointer);
        if from == to.document.index {
            format!("#{fragment}")
        } else {
            format!("{}#{fragment}", to.document.uri)
        }
    }

    /// Whether a dialect can say what a `discriminator` means (`if`, `then`).
    fn has_rules(&self, dialect: Dialect) -> bool {
        dialect >= Dialect::Draft7
    }

    /// How a schema refers to another. `builds`: it adds to the other and is no use of it.
    fn refer(&mut self, from: usize, to: Site<'a>, builds: bool, dialect: Dialect) -> String {
        let key = (to.document.index, to.pointer.clone());
        let uri = if !builds && self.has_rules(dialect) && self.families.contains_key(&key) {
            let pointer = discriminator::subtypes(&to.pointer);
            self.uri(from, &Site { pointer, ..to.clone() })
        } else {
            self.uri(from, &to)
        };
        self.targets.push(to);
        uri
    }

    /// Converts what was asked for, and all that it refers to.
    pub(crate) fn finish(mut self) -> Schemas {
        for task in std::mem::take(&mut self.tasks) {
            match task {
                Task::Root(site) => self.convert(&site, false),
                Task::Parameter(site) => self.convert(&site, true),
                Task::Form { at, value } => self.insert(&at, value),
            }
        }
        self.convert_targets();
        for family in std::mem::take(&mut self.families).into_values() {
            let at = Site {
                pointer: discriminator::subtypes(&family.base.pointer),
                ..family.discriminator.clone()
            };
            let value = self.subtypes(&family);
            self.insert(&at, value);
        }
        self.convert_targets();
        let dialects = std::mem::take(&mut self.dialects);
        let documents =
            self.documents.list().iter().zip(self.parts).zip(dialects).map(|((document, part), dialect)| {
                let mut made = SchemaDocument::new(&document.uri, &document.file, dialect, part.value);
                made.roots = part.roots;
                made.with_places(part.places)
            });
        Schemas::new(documents.collect())
    }

    fn convert_targets(&mut self) {
        while let Some(site) = self.targets.pop() {
            self.convert(&site, false);
        }
    }

    /// Converts a schema, unless it was converted as part of another.
    fn convert(&mut self, site: &Site<'a>, is_parameter: bool) {
        let index = site.document.index;
        let hash = pointer::hash(&site.pointer);
        if self.parts.get(index).is_none_or(|part| part.visited.contains(&hash)) {
            return;
        }
        let dialect = self.dialects.get(index).copied().unwrap_or_default();
        let value = schema::Walk::new(self, site).run(is_parameter, dialect);
        self.insert(site, value);
    }

    fn insert(&mut self, site: &Site<'a>, value: Value) {
        let Some(part) = self.parts.get_mut(site.document.index) else { return };
        let mut above = pointer::ROOT_HASH;
        let inside = site.pointer.split('/').skip(1).any(|escaped| {
            let inside = part.visited.contains(&above);
            above = pointer::hash_on(pointer::hash_on(above, "/"), escaped);
            inside
        });
        let at = moved(site);
        if place(&mut part.value, &at, value, inside) {
            part.places.push((pointer::hash(&at), site.span));
            part.roots.push(at.into_boxed_str());
        } else {
            let message = "a reference leads to a part of a schema that is no schema itself";
            self.report.error(site, message, "refer to a schema, such as `#/components/schemas/Name`");
        }
    }
}

/// Puts a value at its pointer, objects on the way. What was put below it before stays; inside of a schema nothing is
/// replaced.
fn place(root: &mut Value, pointer: &str, value: Value, inside: bool) -> bool {
    let mut at = root;
    let mut is_new = false;
    for escaped in pointer.split('/').skip(1) {
        let token = pointer::token(escaped).into_owned();
        is_new = false;
        at = match at {
            Value::Object(map) => map.entry(token).or_insert_with(|| {
                is_new = true;
                json!({})
            }),
            Value::Array(items) => match token.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                Some(item) => item,
                None => return false,
            },
            _ => return false,
        };
    }
    if inside && !is_new {
        return false;
    }
    let before = std::mem::replace(at, value);
    if let (Value::Object(before), Value::Object(map)) = (before, at) {
        for (key, value) in before {
            map.entry(key).or_insert(value);
        }
    }
    true
}

/// Whether a schema is nullable and combined of others, so that it has to stand as one of two alternatives.
fn is_wrapped(node: &Node, openapi: OpenApi) -> bool {
    let nullable = |key| node.get(key).and_then(Node::as_bool) == Some(true);
    let nullable = nullable("nullable") || openapi == OpenApi::V2 && nullable("x-nullable");
    let combined = ["$ref", "allOf", "oneOf", "anyOf", "not"].iter().any(|key| node.get(key).is_some());
    nullable && combined
}

/// The pointer at which a value stands in the normal form.
pub(crate) fn moved(site: &Site<'_>) -> String {
    let mut out = String::with_capacity(site.pointer.len());
    let mut names = false;
    for (escaped, node) in site.document.steps(&site.pointer) {
        // A map of properties may have one that is called `nullable`.
        if !names && is_wrapped(node, site.document.openapi) {
            out.push_str("/anyOf/1");
        }
        names = matches!(escaped, "properties" | "schemas" | "definitions") && !names;
        out.push('/');
        out.push_str(escaped);
    }
    // A place that the loader makes itself is below none that moves.
    if out.len() < site.pointer.len() { site.pointer.clone() } else { out }
}
