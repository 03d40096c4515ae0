//! The examples and defaults that a document writes, held against its own schemas.

use std::collections::HashSet;

use bartizan_model::{Diagnostics, diagnostic::Place};
use bartizan_pattern::body::json::JsonLimits;
use serde_json::Value;

use crate::{
    check::{library, of_side, with_json},
    convert::moved,
    documents::{Document, Documents, Site},
    form::{Description, MediaRange, OpenApi, SchemaRef},
    pointer,
    schema::{Library, Schema, View, Violation},
    shape::Direction,
};

/// Schemas inside one another that are looked at.
const DEEP: usize = 64;

/// An example or default that does not fit its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// `example` or `default`.
    pub kind: &'static str,
    /// Its JSON pointer in its file.
    pub pointer: String,
    /// Where it is written.
    pub place: Option<Place>,
    /// What does not fit, never what was written.
    pub why: Vec<String>,
}

/// Every example and default that does not fit, and how many there are in all.
///
/// What stands under a media type that is not JSON as a text is not looked at, nor is what lies in other files.
///
/// # Errors
/// The schemas cannot be compiled.
pub fn examples(documents: &Documents, contract: &Description) -> Result<(Vec<Example>, usize), Diagnostics> {
    let own = library(contract, None)?;
    let side = |direction| {
        let values = of_side(&contract.schemas, direction);
        values.map(|values| library(contract, Some(values))).transpose()
    };
    let libraries =
        Libraries { own, requests: side(Direction::Request)?, responses: side(Direction::Response)? };
    let mut look = Look { documents, libraries, seen: HashSet::new(), found: Vec::new(), count: 0 };
    for made in contract.schemas.documents() {
        let Some(document) = documents.list().iter().find(|document| document.uri == made.uri) else {
            continue;
        };
        for root in &made.roots {
            look.root(document, root);
        }
    }
    let Look { mut found, count, .. } = look;
    found.sort_by_key(|example| {
        example.place.as_ref().map(|place| (place.file.clone(), place.line, place.column))
    });
    Ok((found, count))
}

/// Schemas as both sides read them.
struct Libraries {
    own: Library,
    requests: Option<Library>,
    responses: Option<Library>,
}

struct Look<'d> {
    documents: &'d Documents,
    libraries: Libraries,
    /// The schemas that were looked at, by file and pointer.
    seen: HashSet<(usize, String)>,
    found: Vec<Example>,
    count: usize,
}

impl<'d> Look<'d> {
    /// A schema that is no part of another, and what stands beside it.
    fn root(&mut self, document: &'d Document, root: &str) {
        let Some(site) = document.find(root) else { return };
        if let Some(above) = root.strip_suffix("/schema").and_then(|above| document.find(above)) {
            let media = above.pointer.rsplit('/').next().map(pointer::token).unwrap_or_default();
            // Bodies of other media types are written as text.
            let as_text = media.contains('/') && !MediaRange::parse(&media).is_json();
            for site in self.beside(&above) {
                let text = site.node.as_str().is_some() && site.node.scalar().is_some();
                if !(as_text && text) {
                    self.one(&above, &site, "example", root);
                }
            }
        }
        self.schema(&site, 0);
    }

    /// The examples of a parameter, media type or header.
    fn beside(&self, above: &Site<'d>) -> Vec<Site<'d>> {
        let mut all: Vec<Site<'d>> = above.get("example").into_iter().collect();
        for (name, site) in above.get("examples").iter().flat_map(Site::named) {
            // In 2.0 each is the body itself, by its media type.
            if above.document.openapi == OpenApi::V2 {
                all.extend(MediaRange::parse(name).is_json().then_some(site));
                continue;
            }
            let Ok(site) = self.documents.follow(site) else { continue };
            all.extend(site.get("value").or_else(|| site.get("dataValue")));
        }
        all
    }

    /// A schema with all that is inside it.
    fn schema(&mut self, site: &Site<'d>, depth: usize) {
        if depth > DEEP || !site.is_map() || !self.seen.insert((site.document.index, site.pointer.clone())) {
            return;
        }
        let at = moved(site);
        // An example that stands beside a `schema` is the other's.
        if site.get("schema").is_none() && site.get("content").is_none() {
            let given = [("example", "example"), ("x-example", "example"), ("default", "default")];
            for (key, kind) in given {
                if let Some(example) = site.get(key) {
                    self.one(site, &example, kind, &at);
                }
            }
            for example in site.get("examples").iter().flat_map(Site::items) {
                self.one(site, &example, "example", &at);
            }
        }
        for (key, below) in site.named() {
            match key {
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
                    below.named().for_each(|(_, site)| self.schema(&site, depth + 1));
                }
                "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
                    below.items().for_each(|site| self.schema(&site, depth + 1));
                }
                "items"
                | "additionalProperties"
                | "not"
                | "contains"
                | "propertyNames"
                | "additionalItems"
                | "unevaluatedItems"
                | "unevaluatedProperties"
                | "if"
                | "then"
                | "else" => {
                    self.schema(&below, depth + 1);
                }
                _ => {}
            }
        }
    }

    /// Holds one value against the schema at a pointer.
    fn one(&mut self, of: &Site<'d>, example: &Site<'d>, kind: &'static str, at: &str) {
        // What refers to another schema says nothing beside that in 3.0; the other has examples of its own.
        if of.node.get("$ref").is_some() && kind == "example" {
            return;
        }
        self.count += 1;
        let at = SchemaRef { document: of.document.uri.clone(), pointer: at.into() };
        let value = example.node.to_json();
        let Libraries { own, requests, responses } = &self.libraries;
        let (requests, responses) = (requests.as_ref().unwrap_or(own), responses.as_ref().unwrap_or(own));
        // What a schema of its own gives may be of either side: one suffices.
        let pointer = &of.pointer;
        let sides = match () {
            () if pointer.contains("/requestBody/") || pointer.contains("/parameters/") => vec![requests],
            () if pointer.contains("/responses/") => vec![responses],
            () => vec![requests, responses],
        };
        let mut why: Option<Vec<Violation>> = None;
        for library in sides {
            let Ok(schema) = library.compile(&at.uri()) else { return };
            let found = violations(&schema, &value);
            if found.is_empty() {
                return;
            }
            why = why.filter(|why| why.len() <= found.len()).or(Some(found));
        }
        let why = why.unwrap_or_default();
        let told = why.iter().take(3).map(|violation| {
            format!("{}: `{}` expects {}", violation.pointer, violation.keyword, violation.expectation)
        });
        let why = told.collect();
        self.found.push(Example { kind, pointer: example.pointer.clone(), place: example.place(), why });
    }
}

fn violations(schema: &Schema, value: &Value) -> Vec<Violation> {
    let text = value.to_string();
    let limits = JsonLimits { nodes: 1 << 20, ..JsonLimits::default() };
    with_json(text.as_bytes(), &limits, |root| schema.violations(View::Tape(root))).unwrap_or_default()
}
