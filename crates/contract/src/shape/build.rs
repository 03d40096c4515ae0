//! Schemas to shapes: what applies at one place is gathered, and the places below are gathered again.

use std::collections::{BTreeMap, HashMap, HashSet};

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::{MAX_SHAPES, Proof, Rest, Shape, ShapeId, Shapes, Types, Xml};
use crate::form::{SchemaRef, Schemas};

/// References and applicators inside one another at one place.
const MAX_DEPTH: usize = 64;
/// Bytes that the pattern of a `patternProperties` may take.
const PATTERN_BYTES: usize = 1 << 20;

/// One schema at a place, and whether it applies whatever the value is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Source {
    at: SchemaRef,
    certain: bool,
}

/// Builds the shapes of a contract, each combination of schemas once.
pub struct Builder<'s> {
    schemas: &'s Schemas,
    shapes: Vec<Shape>,
    known: HashMap<Vec<Source>, ShapeId>,
    open: Vec<(ShapeId, Vec<Source>)>,
}

/// What the schemas at one place say together.
#[derive(Default)]
struct Gathered {
    named: BTreeMap<Box<str>, Vec<Source>>,
    patterns: BTreeMap<Box<str>, Vec<Source>>,
    required: BTreeMap<Box<str>, Source>,
    rest: Vec<Source>,
    names_members: bool,
    declares_rest: bool,
    first_items: Vec<Vec<Source>>,
    items: Vec<Source>,
    read_only: Side,
    write_only: Side,
    proof: Option<Proof>,
    binary: bool,
    xml: Option<Box<Xml>>,
    content: Vec<Source>,
    /// Something applies that is not understood here: nothing counts as undeclared.
    unknown: bool,
    seen: HashSet<Source>,
}

/// Whether all that applies, or something that applies always, says so.
#[derive(Default)]
struct Side {
    always: bool,
    said: bool,
    unsaid: bool,
}

impl<'s> Builder<'s> {
    /// A builder of shapes of these schemas.
    #[must_use]
    pub fn new(schemas: &'s Schemas) -> Self {
        Builder { schemas, shapes: Vec::new(), known: HashMap::new(), open: Vec::new() }
    }

    /// The shape of what a schema describes.
    pub fn shape(&mut self, at: &SchemaRef) -> ShapeId {
        let id = self.of(vec![Source { at: at.clone(), certain: true }]);
        while let Some((id, sources)) = self.open.pop() {
            let shape = self.build(&sources);
            if let Some(place) = self.shapes.get_mut(id.0 as usize) {
                *place = shape;
            }
        }
        id
    }

    /// The types that a shape leaves.
    pub(crate) fn types_of(&self, of: ShapeId) -> Types {
        self.shapes.get(of.0 as usize).map_or(Types::ALL, |shape| shape.types)
    }

    /// Whether a shape names members.
    pub(crate) fn names_members(&self, of: ShapeId) -> bool {
        self.shapes.get(of.0 as usize).is_some_and(|shape| !shape.named.is_empty())
    }

    /// Whether a shape is that of a server-sent event: it names `data`, a text, and nothing that is no field of one.
    pub(crate) fn is_event(&self, of: ShapeId) -> bool {
        self.shapes.get(of.0 as usize).is_some_and(|shape| {
            let is_field = |name: &str| matches!(name, "data" | "event" | "id" | "retry");
            let is_text = |data: &ShapeId| self.types_of(*data).has(Types::STRING);
            shape.named.get("data").is_some_and(is_text) && shape.named.keys().all(|name| is_field(name))
        })
    }

    /// All shapes that were asked for.
    #[must_use]
    pub fn finish(mut self) -> Shapes {
        self.shapes.shrink_to_fit();
        Shapes { shapes: self.shapes }
    }

    fn of(&mut self, mut sources: Vec<Source>) -> ShapeId {
        sources.sort();
        sources.dedup();
        if let Some(id) = self.known.get(&sources) {
            return *id;
        }
        // Beyond the cap all further places are free: the first shape would be another.
        let full = self.shapes.len() >= MAX_SHAPES;
        let id = ShapeId(u32::try_from(self.shapes.len().min(MAX_SHAPES)).unwrap_or(u32::MAX));
        if full {
            return id;
        }
        self.shapes.push(Shape::default());
        self.known.insert(sources.clone(), id);
        self.open.push((id, sources));
        id
    }

    fn build(&mut self, sources: &[Source]) -> Shape {
        let mut all = Gathered::default();
        let mut types = Types::ALL;
        for source in sources {
            self.gather(source, true, &mut all, 0);
            if source.certain {
                types = types.and(self.types(&source.at, 0));
            }
        }
        if !sources.iter().any(|source| source.certain) {
            types = sources.iter().fold(Types::NONE, |set, source| set.or(self.types(&source.at, 0)));
        }
        let rest = match (all.unknown, all.declares_rest, all.names_members) {
            (true, ..) => Rest::Free,
            (_, true, _) => {
                Rest::Declared((!all.rest.is_empty()).then(|| self.of(std::mem::take(&mut all.rest))))
            }
            (_, _, true) => Rest::Undeclared,
            _ => Rest::Free,
        };
        let patterns = all.patterns.into_iter().filter_map(|(pattern, sources)| {
            let regex = RegexBuilder::new(&pattern).size_limit(PATTERN_BYTES).build().ok()?;
            Some((regex, self.of(sources)))
        });
        let patterns: Vec<(Regex, ShapeId)> = patterns.collect();
        // What has to be there is named by that. No schema is at this place: it may be anything.
        for (name, source) in all.required.into_iter().filter(|_| rest == Rest::Undeclared) {
            if !patterns.iter().any(|(pattern, _)| pattern.is_match(&name)) {
                all.named.entry(name).or_insert_with(|| vec![source]);
            }
        }
        Shape {
            types,
            patterns,
            named: all.named.into_iter().map(|(name, sources)| (name, self.of(sources))).collect(),
            rest,
            first_items: all.first_items.into_iter().map(|sources| self.of(sources)).collect(),
            items: (!all.items.is_empty()).then(|| self.of(all.items)),
            read_only: all.read_only.holds(),
            write_only: all.write_only.holds(),
            proof: all.proof,
            binary: all.binary,
            xml: all.xml,
            content: (!all.content.is_empty()).then(|| self.of(all.content)),
        }
    }

    /// Adds what one schema says, and what applies through it. `head` is set for the schema of the place itself and what
    /// it refers to: what stands in alternatives says nothing about the whole.
    fn gather(&self, source: &Source, head: bool, all: &mut Gathered, depth: usize) {
        if depth > MAX_DEPTH || !all.seen.insert(source.clone()) {
            return;
        }
        let Some(Value::Object(schema)) = self.schemas.get(&source.at) else { return };
        let below = |token: &str| source.at.below(token);
        self.gather_members(source, schema, all);
        self.gather_items(source, schema, all);
        if source.certain && all.proof.is_none() {
            all.proof = Proof::of_schema(schema);
        }
        let flag = |name: &str| schema.get(name).and_then(Value::as_bool) == Some(true);
        if head {
            all.read_only.add(flag("readOnly"), source.certain);
            all.write_only.add(flag("writeOnly"), source.certain);
        }
        let format = schema.get("format").and_then(Value::as_str);
        let encoded = schema.contains_key("contentEncoding");
        all.binary |= format == Some("binary") || schema.contains_key("contentMediaType") && !encoded;
        if all.xml.is_none()
            && let Some(xml) = schema.get("xml").and_then(Value::as_object)
        {
            let text = |key: &str| xml.get(key).and_then(Value::as_str).map(Box::from);
            let node = xml.get("nodeType").and_then(Value::as_str);
            all.xml = Some(Box::new(Xml {
                name: text("name"),
                namespace: text("namespace"),
                attribute: xml.get("attribute") == Some(&Value::Bool(true)) || node == Some("attribute"),
                text: matches!(node, Some("text" | "cdata")),
                wrapped: xml.get("wrapped") == Some(&Value::Bool(true)) || node == Some("element"),
            }));
        }
        if crate::schema::describes_json(schema) {
            all.content.push(Source { at: below("contentSchema"), certain: source.certain });
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            match self.schemas.target(&source.at, reference) {
                Some(at) => self.gather(&Source { at, certain: source.certain }, head, all, depth + 1),
                None => all.unknown = true,
            }
        }
        all.unknown |= schema.contains_key("$dynamicRef") || schema.contains_key("$recursiveRef");
        let list = |keyword: &str| schema.get(keyword).and_then(Value::as_array).map_or(0, Vec::len);
        for number in 0..list("allOf") {
            let at = below("allOf").below(&number.to_string());
            self.gather(&Source { at, certain: source.certain }, head, all, depth + 1);
        }
        for keyword in ["anyOf", "oneOf"] {
            // One alternative is none.
            let certain = source.certain && list(keyword) == 1;
            for number in 0..list(keyword) {
                let at = below(keyword).below(&number.to_string());
                self.gather(&Source { at, certain }, false, all, depth + 1);
            }
        }
        for keyword in ["if", "then", "else"] {
            if schema.contains_key(keyword) {
                self.gather(&Source { at: below(keyword), certain: false }, false, all, depth + 1);
            }
        }
        if let Some(dependent) = schema.get("dependentSchemas").and_then(Value::as_object) {
            for name in dependent.keys() {
                let at = below("dependentSchemas").below(name);
                self.gather(&Source { at, certain: false }, false, all, depth + 1);
            }
        }
    }

    fn gather_members(&self, source: &Source, schema: &Map<String, Value>, all: &mut Gathered) {
        let certain = source.certain;
        for (keyword, patterns) in [("properties", false), ("patternProperties", true)] {
            let Some(members) = schema.get(keyword).and_then(Value::as_object) else { continue };
            let at = source.at.below(keyword);
            all.names_members |= !members.is_empty();
            for name in members.keys() {
                let known = if patterns { &mut all.patterns } else { &mut all.named };
                let sources = known.entry(name.as_str().into()).or_default();
                sources.push(Source { at: at.below(name), certain });
            }
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let source = Source { at: source.at.below("required"), certain };
            all.required.extend(name.as_str().map(|name| (name.into(), source)));
        }
        for keyword in ["additionalProperties", "unevaluatedProperties"] {
            match schema.get(keyword) {
                None | Some(Value::Bool(false)) => {}
                Some(Value::Bool(true)) => all.declares_rest = true,
                Some(_) => {
                    all.declares_rest = true;
                    all.rest.push(Source { at: source.at.below(keyword), certain });
                }
            }
        }
    }

    fn gather_items(&self, source: &Source, schema: &Map<String, Value>, all: &mut Gathered) {
        let certain = source.certain;
        let mut first = |keyword: &str, count: usize| {
            if all.first_items.len() < count {
                all.first_items.resize_with(count, Vec::new);
            }
            for (number, sources) in all.first_items.iter_mut().take(count).enumerate() {
                let at = source.at.below(keyword).below(&number.to_string());
                sources.push(Source { at, certain });
            }
        };
        if let Some(items) = schema.get("prefixItems").and_then(Value::as_array) {
            first("prefixItems", items.len());
        }
        let mut rest = "items";
        if let Some(items) = schema.get("items").and_then(Value::as_array) {
            first("items", items.len());
            rest = "additionalItems";
        }
        for keyword in [rest, "unevaluatedItems"] {
            if schema.get(keyword).is_some_and(Value::is_object) {
                all.items.push(Source { at: source.at.below(keyword), certain });
            }
        }
    }

    /// The types that a schema leaves.
    fn types(&self, at: &SchemaRef, depth: usize) -> Types {
        let schema = match self.schemas.get(at) {
            Some(Value::Object(schema)) if depth <= MAX_DEPTH => schema,
            Some(Value::Bool(false)) => return Types::NONE,
            _ => return Types::ALL,
        };
        let mut types = match schema.get("type") {
            Some(Value::String(name)) => Types::named(name),
            Some(Value::Array(names)) => names
                .iter()
                .filter_map(Value::as_str)
                .fold(Types::NONE, |set, name| set.or(Types::named(name))),
            _ => Types::ALL,
        };
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            types = types.and(values.iter().fold(Types::NONE, |set, value| set.or(of_value(value))));
        }
        if let Some(value) = schema.get("const") {
            types = types.and(of_value(value));
        }
        if let Some(target) =
            schema.get("$ref").and_then(Value::as_str).and_then(|to| self.schemas.target(at, to))
        {
            types = types.and(self.types(&target, depth + 1));
        }
        let list = |keyword: &str| schema.get(keyword).and_then(Value::as_array).map_or(0, Vec::len);
        for number in 0..list("allOf") {
            types = types.and(self.types(&at.below("allOf").below(&number.to_string()), depth + 8));
        }
        for keyword in ["anyOf", "oneOf"] {
            let count = list(keyword);
            if count > 0 {
                let any = (0..count).fold(Types::NONE, |set, number| {
                    set.or(self.types(&at.below(keyword).below(&number.to_string()), depth + 8))
                });
                types = types.and(any);
            }
        }
        types
    }
}

fn of_value(value: &Value) -> Types {
    match value {
        Value::Null => Types::NULL,
        Value::Bool(_) => Types::BOOLEAN,
        Value::Number(number) if number.is_f64() => Types::NUMBER,
        Value::Number(_) => Types::INTEGER,
        Value::String(_) => Types::STRING,
        Value::Array(_) => Types::ARRAY,
        Value::Object(_) => Types::OBJECT,
    }
}

impl Side {
    fn add(&mut self, said: bool, certain: bool) {
        self.always |= said && certain;
        self.said |= said;
        self.unsaid |= !said && !certain;
    }

    fn holds(&self) -> bool {
        self.always || self.said && !self.unsaid
    }
}
