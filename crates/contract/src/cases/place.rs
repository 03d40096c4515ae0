//! What schemas say together at one place of a value, with one of the alternatives chosen.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::{Map, Value};

use super::{
    dice::Dice,
    text::{Pattern, TextRules},
};
use crate::{
    form::{SchemaRef, Schemas},
    shape::{Direction, Types},
};

/// References and applicators inside one another at one place.
const MAX_DEPTH: usize = 48;

/// A schema that applies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source {
    pub(super) at: SchemaRef,
    /// Whatever the value is; else because an alternative was chosen.
    pub(super) certain: bool,
}

/// One schema of a place, references followed.
#[derive(Debug)]
struct Part<'s> {
    at: SchemaRef,
    schema: &'s Map<String, Value>,
    certain: bool,
}

/// All that applies at one place.
#[derive(Debug, Default)]
pub(super) struct Place<'s> {
    parts: Vec<Part<'s>>,
    /// Nothing can be here.
    pub(super) refused: bool,
}

/// Members by name: the schemas of each.
pub(super) type Members = BTreeMap<String, Vec<Source>>;

impl<'s> Place<'s> {
    /// Gathers what applies. Which alternative that is follows from the seed and the place alone.
    pub(super) fn of(schemas: &'s Schemas, sources: &[Source], seed: u64, path: &str) -> Self {
        let mut place = Place::default();
        let mut seen = HashSet::new();
        for source in sources {
            place.gather(schemas, source, &Choice { seed, path }, &mut seen, 0);
        }
        place
    }

    fn gather(
        &mut self,
        schemas: &'s Schemas,
        source: &Source,
        choice: &Choice<'_>,
        seen: &mut HashSet<SchemaRef>,
        depth: usize,
    ) {
        if depth > MAX_DEPTH || !seen.insert(source.at.clone()) {
            return;
        }
        let schema = match schemas.get(&source.at) {
            Some(Value::Object(schema)) => schema,
            Some(Value::Bool(false)) => {
                self.refused = true;
                return;
            }
            _ => return,
        };
        self.parts.push(Part { at: source.at.clone(), schema, certain: source.certain });
        let mut go = |at: SchemaRef, certain: bool| {
            self.gather(schemas, &Source { at, certain }, choice, seen, depth + 1);
        };
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|to| schemas.target(&source.at, to));
        if let Some(at) = target {
            go(at, source.certain);
        }
        let count = |keyword: &str| schema.get(keyword).and_then(Value::as_array).map_or(0, Vec::len);
        // Of rules (`if`, `then`) side by side one is chosen: those of a `discriminator` exclude one another.
        let list = schema.get("allOf").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let rules: Vec<usize> = (0..list.len()).filter(|at| list.get(*at).is_some_and(is_rule)).collect();
        let chosen = choice.of(&source.at, "rule", rules.len() + 1).and_then(|at| rules.get(at).copied());
        for number in 0..list.len() {
            let at = source.at.below("allOf").below(&number.to_string());
            if Some(number) == chosen {
                go(at.below("if"), false);
                go(at.below("then"), false);
            } else if !rules.contains(&number) {
                go(at, source.certain);
            }
        }
        if is_rule_map(schema) && choice.of(&source.at, "own rule", 2) == Some(0) {
            go(source.at.below("if"), false);
            go(source.at.below("then"), false);
        }
        for keyword in ["anyOf", "oneOf"] {
            let all = count(keyword);
            if let Some(number) = choice.of(&source.at, keyword, all) {
                let certain = source.certain && all == 1;
                go(source.at.below(keyword).below(&number.to_string()), certain);
            }
        }
    }

    /// The values of a keyword, with whether each applies for certain.
    fn all<'p>(&'p self, keyword: &'p str) -> impl Iterator<Item = (&'s Value, &'p Part<'s>)> {
        self.parts.iter().filter_map(move |part| Some((part.schema.get(keyword)?, part)))
    }

    /// Whether a keyword is among those that apply.
    pub(super) fn has(&self, keyword: &str) -> bool {
        self.all(keyword).next().is_some()
    }

    /// Whether all that states this keyword applies for certain.
    pub(super) fn certain(&self, keyword: &str) -> bool {
        self.all(keyword).any(|(_, part)| part.certain)
    }

    /// Whether a flag is set by any of them.
    pub(super) fn flag(&self, keyword: &str) -> bool {
        self.all(keyword).any(|(value, _)| value == &Value::Bool(true))
    }

    /// A member that only the other side may write.
    pub(super) fn is_other_sides(&self, direction: Direction) -> bool {
        self.flag(match direction {
            Direction::Request => "readOnly",
            Direction::Response => "writeOnly",
        })
    }

    /// The types that are left.
    pub(super) fn types(&self) -> Types {
        let excluded = self.all("not").filter_map(|(value, _)| {
            let alone = value.as_object().filter(|not| not.len() == 1)?;
            Some(Types::named(alone.get("type")?.as_str()?))
        });
        excluded.fold(self.types_of(|_| true), Types::without)
    }

    /// The types that are left whatever is chosen.
    pub(super) fn certain_types(&self) -> Types {
        self.types_of(|part| part.certain)
    }

    fn types_of(&self, counts: impl Fn(&Part<'s>) -> bool) -> Types {
        let stated = self.all("type").filter(|(_, part)| counts(part)).map(|(value, _)| value);
        stated.fold(Types::ALL, |types, value| {
            let own = match value {
                Value::String(name) => Types::named(name),
                Value::Array(names) => names
                    .iter()
                    .filter_map(Value::as_str)
                    .fold(Types::NONE, |all, name| all.or(Types::named(name))),
                _ => Types::ALL,
            };
            types.and(own)
        })
    }

    /// The values that are listed, where they are: those in every list.
    pub(super) fn listed(&self) -> Option<Vec<&'s Value>> {
        let mut found: Option<Vec<&'s Value>> = None;
        let constants = self.all("const").map(|(value, _)| std::slice::from_ref(value));
        let lists = self.all("enum").filter_map(|(value, _)| value.as_array().map(Vec::as_slice));
        for list in constants.chain(lists) {
            found = Some(match found {
                None => list.iter().collect(),
                Some(known) => known.into_iter().filter(|value| list.contains(value)).collect(),
            });
        }
        found
    }

    /// The largest of a lower bound.
    pub(super) fn at_least(&self, keyword: &str) -> Option<f64> {
        self.all(keyword).filter_map(|(value, _)| value.as_f64()).reduce(f64::max)
    }

    /// The smallest of an upper bound.
    pub(super) fn at_most(&self, keyword: &str) -> Option<f64> {
        self.all(keyword).filter_map(|(value, _)| value.as_f64()).reduce(f64::min)
    }

    /// A lower bound of a number of things.
    pub(super) fn count_at_least(&self, keyword: &str) -> usize {
        self.at_least(keyword).map_or(0, |count| count.max(0.0) as usize)
    }

    /// An upper bound of a number of things.
    pub(super) fn count_at_most(&self, keyword: &str) -> Option<usize> {
        self.at_most(keyword).map(|count| count.max(0.0) as usize)
    }

    /// What is said of a text.
    pub(super) fn text(&self) -> TextRules {
        TextRules {
            min: self.count_at_least("minLength"),
            max: self.count_at_most("maxLength"),
            patterns: self.all("pattern").filter_map(|(value, _)| Pattern::read(value.as_str()?)).collect(),
            format: self.format().map(str::to_owned),
        }
    }

    /// The format, where one is stated.
    pub(super) fn format(&self) -> Option<&'s str> {
        self.all("format").find_map(|(value, _)| value.as_str())
    }

    /// The schemas of the members that have a name.
    pub(super) fn members(&self) -> Members {
        let mut members = Members::new();
        for part in &self.parts {
            let Some(properties) = part.schema.get("properties").and_then(Value::as_object) else { continue };
            let at = part.at.below("properties");
            for name in properties.keys() {
                let sources = members.entry(name.clone()).or_default();
                sources.push(Source { at: at.below(name), certain: part.certain });
            }
        }
        members
    }

    /// The schemas of members without a name of their own, where something describes them; `None` where they are refused.
    pub(super) fn other_members(&self) -> Option<Vec<Source>> {
        let mut sources = Vec::new();
        for keyword in ["additionalProperties", "unevaluatedProperties"] {
            for (value, part) in self.all(keyword) {
                match value {
                    Value::Bool(false) => return None,
                    Value::Object(_) => {
                        sources.push(Source { at: part.at.below(keyword), certain: part.certain });
                    }
                    _ => {}
                }
            }
        }
        Some(sources)
    }

    /// Whether members that nothing names are refused by a schema itself, whatever is chosen.
    pub(super) fn closes(&self) -> bool {
        self.parts.len() == 1
            && self
                .all("additionalProperties")
                .any(|(value, part)| part.certain && value == &Value::Bool(false))
    }

    /// Patterns of the names of members.
    pub(super) fn member_patterns(&self) -> Vec<(Pattern, Source)> {
        let mut found = Vec::new();
        for (value, part) in self.all("patternProperties") {
            for pattern in value.as_object().into_iter().flat_map(Map::keys) {
                let at = part.at.below("patternProperties").below(pattern);
                found.extend(Pattern::read(pattern).map(|read| (read, Source { at, certain: part.certain })));
            }
        }
        found
    }

    /// What the names of members have to be.
    pub(super) fn member_names(&self) -> Vec<Source> {
        let sources = self
            .all("propertyNames")
            .map(|(_, part)| Source { at: part.at.below("propertyNames"), certain: part.certain });
        sources.collect()
    }

    /// Members that must be there, each with whether that is certain.
    pub(super) fn required(&self) -> BTreeMap<&'s str, bool> {
        let mut names = BTreeMap::new();
        for (value, part) in self.all("required") {
            for name in value.as_array().into_iter().flatten().filter_map(Value::as_str) {
                *names.entry(name).or_insert(false) |= part.certain;
            }
        }
        names
    }

    /// Members that must be there where another is.
    pub(super) fn dependents(&self, name: &str) -> BTreeSet<&'s str> {
        let lists = ["dependentRequired", "dependencies"].into_iter().flat_map(|keyword| self.all(keyword));
        lists
            .filter_map(|(value, _)| value.get(name)?.as_array())
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    /// The schemas of an item; `None` where there can be none.
    pub(super) fn item(&self, number: usize) -> Option<Vec<Source>> {
        let mut sources = Vec::new();
        for part in &self.parts {
            let listed =
                |keyword: &str| part.schema.get(keyword).and_then(Value::as_array).map_or(0, Vec::len);
            let (first, rest) = match part.schema.get("items") {
                Some(Value::Array(_)) => ("items", "additionalItems"),
                _ => ("prefixItems", "items"),
            };
            let source = |at| Source { at, certain: part.certain };
            if number < listed(first) {
                sources.push(source(part.at.below(first).below(&number.to_string())));
                continue;
            }
            match part.schema.get(rest) {
                Some(Value::Bool(false)) => return None,
                Some(Value::Object(_)) => sources.push(source(part.at.below(rest))),
                _ => {}
            }
        }
        Some(sources)
    }

    /// Schemas of which one item at least has to be.
    pub(super) fn contained(&self) -> Vec<Source> {
        let sources =
            self.all("contains").map(|(_, part)| Source { at: part.at.below("contains"), certain: false });
        sources.collect()
    }

    /// How XML writes it: a member of `xml`.
    pub(super) fn xml(&self, key: &str) -> Option<&'s Value> {
        self.all("xml").find_map(|(value, _)| value.get(key))
    }
}

fn is_rule(schema: &Value) -> bool {
    schema.as_object().is_some_and(is_rule_map)
}

fn is_rule_map(schema: &Map<String, Value>) -> bool {
    schema.contains_key("if") && schema.contains_key("then")
}

/// Chooses the same at the same place.
struct Choice<'p> {
    seed: u64,
    path: &'p str,
}

impl Choice<'_> {
    /// One of so many; `None` where there is none.
    fn of(&self, at: &SchemaRef, keyword: &str, count: usize) -> Option<usize> {
        if count < 2 {
            return count.checked_sub(1);
        }
        Some(Dice::of(self.seed, &format!("{at} {keyword} {}", self.path)).below(count))
    }
}
