//! One schema with all that is in it.

use serde_json::{Map, Value, json};

use super::{
    Converter, is_wrapped,
    keywords::{self, Shape},
    patterns::{self, Rewrite},
};
use crate::{
    documents::Site,
    form::{Dialect, OpenApi},
    pointer,
    tree::Value as Tree,
};

/// A walk over one schema.
pub(super) struct Walk<'c, 'a> {
    pub(super) to: &'c mut Converter<'a>,
    pub(super) root: &'c Site<'a>,
    pub(super) openapi: OpenApi,
    /// Inside a schema with an `$id`, references mean something else; how many of them.
    identities: usize,
}

/// A schema while it is made.
#[derive(Default)]
pub(super) struct Frame<'a> {
    pub(super) map: Map<String, Value>,
    /// What else must hold, and where that was written: it goes behind what the document lists in `allOf`.
    pub(super) also: Vec<(Value, Site<'a>)>,
    /// Properties that call themselves required.
    required: Vec<&'a str>,
}

/// Where the walk is.
#[derive(Clone)]
pub(super) struct At<'a> {
    /// What is looked at, at the pointer that the document has it.
    pub(super) site: Site<'a>,
    /// Where it stands in the normal form.
    pub(super) out: String,
    pub(super) dialect: Dialect,
    /// An item of `allOf`: it builds on what it refers to.
    pub(super) builds: bool,
}

/// The keyword that may make a bound exclusive.
fn exclusive(bound: &str) -> &'static str {
    match bound {
        "minimum" => "exclusiveMinimum",
        "maximum" => "exclusiveMaximum",
        _ => "",
    }
}

impl<'a> At<'a> {
    fn below(&self, site: Site<'a>, keyword: &str) -> At<'a> {
        let mut out = self.out.clone();
        pointer::push_token(&mut out, keyword);
        At { site, out, dialect: self.dialect, builds: false }
    }
}

impl<'c, 'a> Walk<'c, 'a> {
    pub(super) fn new(to: &'c mut Converter<'a>, root: &'c Site<'a>) -> Self {
        Walk { openapi: root.document.openapi, to, root, identities: 0 }
    }

    pub(super) fn run(mut self, is_parameter: bool, dialect: Dialect) -> Value {
        let at = At { site: self.root.clone(), out: super::moved(self.root), dialect, builds: false };
        self.schema(at, is_parameter)
    }

    /// Whether schemas are those of OpenAPI, not of JSON Schema.
    pub(super) fn is_older(&self) -> bool {
        self.openapi <= OpenApi::V3_0
    }

    fn schema(&mut self, mut at: At<'a>, is_parameter: bool) -> Value {
        let site = at.site.clone();
        if let Some(flag) = site.node.as_bool() {
            return Value::Bool(flag);
        }
        if !site.is_map() {
            let message = format!("a schema is a map of keywords, found {}", site.node.kind());
            self.to.report.error(&site, message, "write `{}` for whatever may be there");
            return Value::Bool(true);
        }
        self.visit(&at);
        let wrapped = is_wrapped(site.node, self.openapi);
        if wrapped {
            at.out.push_str("/anyOf/1");
        }
        let mut frame = Frame::default();
        let stated = site.text("$schema").filter(|_| !self.is_older());
        if let Some(dialect) = stated.and_then(Dialect::of) {
            at.dialect = dialect;
        }
        let identity = !self.is_older() && site.text("$id").is_some();
        self.identities += usize::from(identity);
        for (keyword, value) in site.named() {
            if keyword.starts_with("x-") || is_parameter && matches!(keyword, "required" | "name" | "in") {
                continue;
            }
            let beside = self.is_older() && keyword != "$ref" && site.text("$ref").is_some();
            if beside && !keywords::describes(keyword) {
                let message =
                    format!("`{keyword}` beside `$ref` means nothing in OpenAPI 3.0 and 2.0 and is left out");
                let help = "combine the two: `allOf: [{ $ref: .. }, { .. }]`";
                self.to.report.warn_alike(&format!("beside {keyword}"), &value, message, help);
                continue;
            }
            self.keyword(&at, keyword, value, &mut frame);
        }
        self.finish_types(&at, wrapped, &mut frame);
        if self.to.has_rules(at.dialect) && self.identities == 0 {
            self.discriminate(&at, &mut frame);
        }
        self.identities -= usize::from(identity);
        let mut map = self.close(&at, frame);
        if !wrapped {
            return Value::Object(map);
        }
        // What is said of the value, whatever it is, stays on the outside.
        let mut outside = Map::new();
        for keyword in ["readOnly", "writeOnly", "deprecated", "default", "xml"] {
            if let Some(value) = map.shift_remove(keyword) {
                outside.insert(keyword.to_owned(), value);
            }
        }
        outside.insert("anyOf".to_owned(), json!([{ "type": "null" }, map]));
        Value::Object(outside)
    }

    /// Puts together what was collected.
    fn close(&mut self, at: &At<'a>, frame: Frame<'a>) -> Map<String, Value> {
        let Frame { mut map, also, required } = frame;
        if !required.is_empty() {
            let list = map.entry("required").or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                for name in required {
                    if !list.iter().any(|known| *known == *name) {
                        list.push(Value::from(name));
                    }
                }
            }
        }
        if !also.is_empty() {
            let list = map.entry("allOf").or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                for (value, site) in also {
                    self.note(&format!("{}/allOf/{}", at.out, list.len()), &site);
                    list.push(value);
                }
            }
        }
        map
    }

    /// Notes that a schema is converted, and where it stands.
    fn visit(&mut self, at: &At<'a>) {
        if let Some(part) = self.to.parts.get_mut(at.site.document.index) {
            part.visited.insert(pointer::hash(&at.site.pointer));
            part.places.push((pointer::hash(&at.out), at.site.span));
        }
    }

    /// Notes where a keyword stands.
    pub(super) fn note(&mut self, out: &str, site: &Site<'a>) {
        if let Some(part) = self.to.parts.get_mut(site.document.index) {
            part.places.push((pointer::hash(out), site.span));
        }
    }

    fn keyword(&mut self, at: &At<'a>, keyword: &str, site: Site<'a>, frame: &mut Frame<'a>) {
        let Some(shape) = keywords::shape(keyword) else { return self.unknown(keyword, &site) };
        if self.is_older() && keywords::is_newer(keyword) {
            let message = format!(
                "`{keyword}` is not part of OpenAPI 3.0 and 2.0; it is enforced as JSON Schema has it"
            );
            let help = "write `openapi: 3.1.0` if this is meant";
            self.to.report.warn_alike(&format!("newer {keyword}"), &site, message, help);
        }
        let below = at.below(site.clone(), keyword);
        let value = match shape {
            Shape::Annotation | Shape::Elsewhere => return,
            Shape::Identity if self.is_older() => return,
            Shape::Schema => self.schema(below, false),
            Shape::Schemas => match self.schemas(&below, keyword == "allOf") {
                Some(list) => list,
                None => return,
            },
            Shape::Named => self.members(&below, keyword, frame),
            Shape::Items => return self.items(&below, &mut frame.map),
            Shape::Dependencies => return self.dependencies(&below, &mut frame.map),
            // Said by the exclusive bound.
            Shape::Number if at.dialect != Dialect::Draft4 && at.site.flag(exclusive(keyword)) => return,
            // Negative counts and fractions are told by whoever compiles the schema.
            Shape::Count | Shape::Number => match self.number(&site, keyword) {
                Some(number) => number,
                None => return,
            },
            Shape::Exclusive => return self.exclusive(at, keyword, &site, &mut frame.map),
            Shape::Pattern => return self.pattern(&below, frame),
            Shape::Required => match self.required(&site) {
                Some(list) => list,
                None => return,
            },
            Shape::Type => match self.types(&site, &mut frame.map) {
                Some(types) => types,
                None => return,
            },
            Shape::Enum => self.values(at, &site),
            Shape::Flag => match site.node.as_bool() {
                Some(flag) => Value::Bool(flag),
                None => {
                    let message = format!("`{keyword}` is `true` or `false`, found {}", site.node.kind());
                    return self.to.report.error(&site, message, "write `true` or `false`");
                }
            },
            Shape::Text => match site.node.as_str() {
                Some(text) => Value::from(text),
                None => {
                    let message = format!("`{keyword}` is a text, found {}", site.node.kind());
                    return self.to.report.error(&site, message, "write a text");
                }
            },
            Shape::Value | Shape::Identity => site.node.to_json(),
            Shape::Reference => match site.node.as_str() {
                Some(text) => Value::from(self.reference(at, text, &site)),
                None => {
                    return self.to.report.error(
                        &site,
                        "`$ref` is a text",
                        "write `$ref: '#/components/schemas/Name'`",
                    );
                }
            },
        };
        frame.map.entry(keyword.to_owned()).or_insert(value);
    }

    fn unknown(&mut self, keyword: &str, site: &Site<'a>) {
        if let Some(near) = keywords::near(keyword) {
            let message = format!("`{keyword}` is no keyword and checks nothing");
            let help = format!("did you mean `{near}`?");
            self.to.report.warn_alike(&format!("unknown {keyword}"), site, message, help);
        }
    }

    fn schemas(&mut self, at: &At<'a>, builds: bool) -> Option<Value> {
        if !matches!(at.site.node.value, Tree::List(_)) {
            let message = format!("this is a list of schemas, found {}", at.site.node.kind());
            self.to.report.error(&at.site, message, "write a list: `[{ .. }, { .. }]`");
            return None;
        }
        let items: Vec<_> = at.site.items().collect();
        if items.is_empty() {
            self.to.report.warn(&at.site, "the list of schemas is empty and checks nothing", "remove it");
            return None;
        }
        let list = items.into_iter().enumerate().map(|(index, site)| {
            let below = At { builds, ..at.below(site, &index.to_string()) };
            self.schema(below, false)
        });
        Some(list.collect())
    }

    /// Schemas by name. Properties that call themselves required, as in draft 3, are required.
    fn members(&mut self, at: &At<'a>, keyword: &str, frame: &mut Frame<'a>) -> Value {
        if !at.site.is_map() && !at.site.node.is_null() {
            let message = format!("`{keyword}` is a map of schemas, found {}", at.site.node.kind());
            self.to.report.error(&at.site, message, "write `name: { .. }`");
        }
        let mut members = Map::new();
        for (name, site) in at.site.named() {
            if keyword == "properties" && site.flag("required") {
                let message = format!("`{name}` calls itself required; it is required");
                let help = "list it in `required` of the object that has it";
                self.to.report.warn_alike("required flag", &site, message, help);
                frame.required.push(name);
            }
            if keyword == "patternProperties" && patterns::rewrite(name) != Rewrite::Linear {
                let message =
                    format!("the pattern `{name}` looks around or back, which takes more than linear time");
                self.to.report.error(&site, message, "write it without");
                continue;
            }
            let value = match site.node.is_null() {
                true => Value::Bool(true),
                false => self.schema(at.below(site, name), false),
            };
            members.insert(name.to_owned(), value);
        }
        Value::Object(members)
    }

    fn items(&mut self, at: &At<'a>, map: &mut Map<String, Value>) {
        if matches!(at.site.node.value, Tree::List(_)) {
            let tuple = at.dialect < Dialect::Draft2020;
            let keyword = if tuple { "items" } else { "prefixItems" };
            if !tuple {
                let message =
                    "`items` is a list of schemas, which is `prefixItems` since 2020-12; it is read as that";
                self.to.report.warn_alike("items list", &at.site, message, "write `prefixItems`");
            }
            let parent = at.out.strip_suffix("/items").unwrap_or(&at.out);
            let below = At { out: format!("{parent}/{keyword}"), ..at.clone() };
            if let Some(list) = self.schemas(&below, false) {
                map.insert(keyword.to_owned(), list);
            }
            return;
        }
        let value = self.schema(at.clone(), false);
        map.insert("items".to_owned(), value);
    }

    fn dependencies(&mut self, at: &At<'a>, map: &mut Map<String, Value>) {
        if at.dialect < Dialect::Draft2019 {
            let mut members = Map::new();
            for (name, site) in at.site.named() {
                let value = match site.node.value {
                    Tree::List(_) => site.node.to_json(),
                    _ => self.schema(at.below(site, name), false),
                };
                members.insert(name.to_owned(), value);
            }
            map.insert("dependencies".to_owned(), members.into());
            return;
        }
        let parent = at.out.strip_suffix("/dependencies").unwrap_or(&at.out).to_owned();
        for (name, site) in at.site.named() {
            let (keyword, value) = match site.node.value {
                Tree::List(_) => ("dependentRequired", site.node.to_json()),
                _ => {
                    let below =
                        At { out: format!("{parent}/dependentSchemas"), ..at.clone() }.below(site, name);
                    ("dependentSchemas", self.schema(below, false))
                }
            };
            let members = map.entry(keyword).or_insert_with(|| json!({}));
            if let Some(members) = members.as_object_mut() {
                members.insert(name.to_owned(), value);
            }
        }
    }

    /// A `$ref` as the normal form has it.
    fn reference(&mut self, at: &At<'a>, text: &str, site: &Site<'a>) -> String {
        if self.identities > 0 {
            return text.to_owned();
        }
        match self.to.documents.target(site.document, text) {
            Ok(target) => self.to.refer(site.document.index, target, at.builds, at.dialect),
            Err(broken) => {
                let (file, fragment) = text.split_once('#').unwrap_or((text, ""));
                let anchored = !fragment.is_empty() && !fragment.starts_with('/');
                let elsewhere = self.to.documents.has_id(file)
                    || file.contains("json-schema.org/")
                    || anchored && (file.is_empty() || pointer::join(&site.document.uri, file).is_some());
                if self.is_older() || !elsewhere {
                    self.to.report.error(site, broken.message, broken.help);
                }
                text.to_owned()
            }
        }
    }
}
