//! Two versions of one schema: which values the new one lets through that the old one did not, and the other way round.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value};

use super::{Change, Comparison, Effect};
use crate::form::{Operation, SchemaRef};

/// Schemas inside one another, at most.
const MAX_DEPTH: usize = 48;

/// Which way the values go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the client: what is refused now breaks it.
    Request,
    /// To the client: what it did not know breaks it.
    Response,
}

/// What happened to the values that a schema lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shift {
    Narrowed,
    Widened,
}

/// Compares the schemas of a value of an operation.
pub(super) fn compare(
    comparison: &mut Comparison<'_>,
    operation: &Operation,
    what: &str,
    (old, new): (&SchemaRef, &SchemaRef),
    direction: Direction,
) {
    let label = operation.spec.label.to_string();
    let mut walk = Walk { comparison, label, what, direction, seen: HashSet::new(), path: Vec::new() };
    walk.schemas(old, new, MAX_DEPTH);
}

struct Walk<'w, 'a> {
    comparison: &'w mut Comparison<'a>,
    label: String,
    what: &'w str,
    direction: Direction,
    seen: HashSet<(SchemaRef, SchemaRef)>,
    path: Vec<String>,
}

/// Keywords that bound from above, and from below.
const UPPER: [&str; 5] = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
const LOWER: [&str; 5] = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];

impl Walk<'_, '_> {
    fn say(
        &mut self,
        kind: &'static str,
        breaking: bool,
        security: Option<Effect>,
        text: String,
        at: (&SchemaRef, &SchemaRef),
    ) {
        let inside =
            if self.path.is_empty() { String::new() } else { format!(" at `{}`", self.path.join(".")) };
        let change = Change {
            kind,
            breaking,
            security,
            operation: self.label.clone(),
            message: format!("{}{inside}: {text}", self.what),
            old: self.comparison.old.schemas.place(at.0),
            new: self.comparison.new.schemas.place(at.1),
        };
        self.comparison.push(change);
    }

    fn shift(&mut self, shift: Shift, text: String, at: (&SchemaRef, &SchemaRef)) {
        let (kind, breaking, effect) = match (self.direction, shift) {
            (Direction::Request, Shift::Narrowed) => ("request-narrowed", true, Effect::Tightened),
            (Direction::Request, Shift::Widened) => ("request-widened", false, Effect::Loosened),
            (Direction::Response, Shift::Narrowed) => ("response-narrowed", false, Effect::Tightened),
            (Direction::Response, Shift::Widened) => ("response-widened", true, Effect::Loosened),
        };
        self.say(kind, breaking, Some(effect), text, at);
    }

    fn below(&mut self, name: &str, old: &SchemaRef, new: &SchemaRef, depth: usize) {
        self.path.push(name.to_owned());
        self.schemas(old, new, depth);
        self.path.pop();
    }

    fn schemas(&mut self, old: &SchemaRef, new: &SchemaRef, depth: usize) {
        let Some((old, before)) = self.comparison.old.schemas.resolve(old) else { return };
        let Some((new, after)) = self.comparison.new.schemas.resolve(new) else { return };
        if depth == 0 || !self.seen.insert((old.clone(), new.clone())) {
            return;
        }
        let at = (&old, &new);
        let empty = Map::new();
        let map = |value: &Value| -> Option<Map<String, Value>> {
            match value {
                Value::Bool(true) => Some(empty.clone()),
                Value::Object(map) => Some(map.clone()),
                _ => None,
            }
        };
        let (Some(before), Some(after)) = (map(before), map(after)) else {
            match (before, after) {
                (Value::Bool(false), Value::Bool(false)) => {}
                (Value::Bool(false), _) => self.shift(Shift::Widened, "it may be there now".to_owned(), at),
                _ => self.shift(Shift::Narrowed, "it may not be there any more".to_owned(), at),
            }
            return;
        };
        self.types(&before, &after, at);
        self.values(&before, &after, at);
        self.bounds(&before, &after, at);
        self.texts(&before, &after, at);
        self.properties(&before, &after, at, depth);
        if before.get("items").is_some() && after.get("items").is_some() {
            self.below("[]", &old.below("items"), &new.below("items"), depth - 1);
        }
        self.parts(&before, &after, at, depth);
    }

    fn types(
        &mut self,
        before: &Map<String, Value>,
        after: &Map<String, Value>,
        at: (&SchemaRef, &SchemaRef),
    ) {
        const ALL: [&str; 6] = ["array", "boolean", "null", "number", "object", "string"];
        let types = |map: &Map<String, Value>| -> BTreeSet<String> {
            let mut found: BTreeSet<String> = match map.get("type") {
                Some(Value::Array(list)) => {
                    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
                }
                Some(Value::String(one)) => BTreeSet::from([one.clone()]),
                _ => ALL.iter().map(|one| (*one).to_owned()).collect(),
            };
            // Whole numbers are numbers.
            if found.contains("number") {
                found.insert("integer".to_owned());
            }
            found
        };
        let (old, new) = (types(before), types(after));
        let list = |set: BTreeSet<&String>| {
            set.into_iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", ")
        };
        let gone: BTreeSet<_> = old.difference(&new).collect();
        if !gone.is_empty() {
            self.shift(Shift::Narrowed, format!("it is not {} any more", list(gone)), at);
        }
        let come: BTreeSet<_> = new.difference(&old).collect();
        if !come.is_empty() {
            self.shift(Shift::Widened, format!("it may be {}", list(come)), at);
        }
    }

    /// `enum` and `const`.
    fn values(
        &mut self,
        before: &Map<String, Value>,
        after: &Map<String, Value>,
        at: (&SchemaRef, &SchemaRef),
    ) {
        let listed = |map: &Map<String, Value>| match (map.get("enum"), map.get("const")) {
            (_, Some(one)) => Some(vec![one.clone()]),
            (Some(Value::Array(list)), None) => Some(list.clone()),
            _ => None,
        };
        let (old, new) = (listed(before), listed(after));
        match (old, new) {
            (None, Some(_)) => {
                self.shift(Shift::Narrowed, "only certain values are let through".to_owned(), at)
            }
            (Some(_), None) => self.shift(Shift::Widened, "any value is let through".to_owned(), at),
            (Some(old), Some(new)) => {
                for gone in old.iter().filter(|value| !new.contains(value)) {
                    self.shift(Shift::Narrowed, format!("the value `{}` is gone", plain(gone)), at);
                }
                for come in new.iter().filter(|value| !old.contains(value)) {
                    self.shift(Shift::Widened, format!("the value `{}` is new", plain(come)), at);
                }
            }
            (None, None) => {}
        }
    }

    fn bounds(
        &mut self,
        before: &Map<String, Value>,
        after: &Map<String, Value>,
        at: (&SchemaRef, &SchemaRef),
    ) {
        let of = |map: &Map<String, Value>, keyword: &str| map.get(keyword).and_then(Value::as_f64);
        for (keywords, sign) in [(UPPER, 1.0), (LOWER, -1.0)] {
            for keyword in keywords {
                let (old, new) = (of(before, keyword), of(after, keyword));
                let shift = match (old, new) {
                    (None, Some(_)) => Shift::Narrowed,
                    (Some(_), None) => Shift::Widened,
                    (Some(old), Some(new)) if new * sign < old * sign => Shift::Narrowed,
                    (Some(old), Some(new)) if new * sign > old * sign => Shift::Widened,
                    _ => continue,
                };
                let shown = |map: &Map<String, Value>| {
                    map.get(keyword).map_or_else(|| "none".to_owned(), Value::to_string)
                };
                let text = format!("`{keyword}` was {} and is {}", shown(before), shown(after));
                self.shift(shift, text, at);
            }
        }
        let unique = |map: &Map<String, Value>| map.get("uniqueItems") == Some(&Value::Bool(true));
        match (unique(before), unique(after)) {
            (false, true) => self.shift(Shift::Narrowed, "items must differ now".to_owned(), at),
            (true, false) => self.shift(Shift::Widened, "items may be the same now".to_owned(), at),
            _ => {}
        }
    }

    /// What cannot be compared but by its text.
    fn texts(
        &mut self,
        before: &Map<String, Value>,
        after: &Map<String, Value>,
        at: (&SchemaRef, &SchemaRef),
    ) {
        for keyword in ["pattern", "format", "multipleOf", "not", "propertyNames", "contains"] {
            match (before.get(keyword), after.get(keyword)) {
                (None, Some(_)) => self.shift(Shift::Narrowed, format!("`{keyword}` is new"), at),
                (Some(_), None) => self.shift(Shift::Widened, format!("`{keyword}` is gone"), at),
                (Some(old), Some(new)) if old != new => {
                    // Nobody knows which of the two lets more through: for a client either may.
                    let shift = match self.direction {
                        Direction::Request => Shift::Narrowed,
                        Direction::Response => Shift::Widened,
                    };
                    self.shift(shift, format!("`{keyword}` is another one"), at);
                }
                _ => {}
            }
        }
    }

    fn properties(
        &mut self,
        before: &Map<String, Value>,
        after: &Map<String, Value>,
        at: (&SchemaRef, &SchemaRef),
        depth: usize,
    ) {
        let names = |map: &Map<String, Value>, keyword: &str| -> BTreeSet<String> {
            match map.get(keyword) {
                Some(Value::Object(map)) => map.keys().cloned().collect(),
                Some(Value::Array(list)) => {
                    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
                }
                _ => BTreeSet::new(),
            }
        };
        let (old, new) = (names(before, "required"), names(after, "required"));
        for name in new.difference(&old) {
            self.shift(Shift::Narrowed, format!("`{name}` must be there now"), at);
        }
        for name in old.difference(&new) {
            self.shift(Shift::Widened, format!("`{name}` may be missing now"), at);
        }
        let (old, new) = (names(before, "properties"), names(after, "properties"));
        for name in old.difference(&new) {
            let effect = Some(Effect::Tightened);
            self.say("property-removed", true, effect, format!("the property `{name}` is gone"), at);
        }
        for name in new.difference(&old) {
            let hidden = match self.direction {
                Direction::Request => "readOnly",
                Direction::Response => "writeOnly",
            };
            let own = after.get("properties").and_then(|map| map.get(name));
            let is_hidden = own.and_then(|own| own.get(hidden)) == Some(&Value::Bool(true));
            let effect = (!is_hidden).then_some(Effect::Loosened);
            self.say("property-added", false, effect, format!("the property `{name}` is new"), at);
        }
        for name in old.intersection(&new) {
            let (one, other) = (at.0.below("properties").below(name), at.1.below("properties").below(name));
            self.hidden(name, &one, &other);
            self.below(name, &one, &other, depth - 1);
        }
        for keyword in ["additionalProperties", "unevaluatedProperties"] {
            let open =
                |map: &Map<String, Value>| map.get(keyword).is_none_or(|value| *value == Value::Bool(true));
            match (open(before), open(after)) {
                (true, true) => {}
                (true, false) => {
                    let text = format!("what is not declared is checked by `{keyword}` now");
                    self.shift(Shift::Narrowed, text, at);
                }
                (false, true) => {
                    self.shift(
                        Shift::Widened,
                        "properties that are not declared are let through".to_owned(),
                        at,
                    );
                }
                (false, false) => self.below("*", &at.0.below(keyword), &at.1.below(keyword), depth - 1),
            }
        }
    }

    /// `readOnly` of what is sent, `writeOnly` of what is answered.
    fn hidden(&mut self, name: &str, old: &SchemaRef, new: &SchemaRef) {
        let keyword = match self.direction {
            Direction::Request => "readOnly",
            Direction::Response => "writeOnly",
        };
        let is = |schemas: &crate::form::Schemas, at: &SchemaRef| {
            let own = schemas.get(at).and_then(|value| value.get(keyword)) == Some(&Value::Bool(true));
            let referred =
                schemas.resolve(at).and_then(|(_, value)| value.get(keyword)) == Some(&Value::Bool(true));
            own || referred
        };
        let (before, after) = (is(&self.comparison.old.schemas, old), is(&self.comparison.new.schemas, new));
        match (before, after) {
            (false, true) => {
                let text = format!("`{name}` is `{keyword}` now");
                self.say("property-removed", true, Some(Effect::Tightened), text, (old, new));
            }
            (true, false) => {
                let text = format!("`{name}` is not `{keyword}` any more");
                self.say("property-added", false, Some(Effect::Loosened), text, (old, new));
            }
            _ => {}
        }
    }

    /// `allOf`, `anyOf`, `oneOf`: parts are the same that refer to the same schema or are equal, then those that stand at
    /// the same place.
    fn parts(
        &mut self,
        before: &Map<String, Value>,
        after: &Map<String, Value>,
        at: (&SchemaRef, &SchemaRef),
        depth: usize,
    ) {
        for keyword in ["allOf", "anyOf", "oneOf"] {
            let list = |map: &Map<String, Value>| {
                map.get(keyword).and_then(Value::as_array).cloned().unwrap_or_default()
            };
            let (old, new) = (list(before), list(after));
            let mut left: Vec<usize> = (0..new.len()).collect();
            let mut pairs: Vec<(usize, usize)> = Vec::new();
            let mut gone: Vec<usize> = Vec::new();
            for (index, part) in old.iter().enumerate() {
                let found =
                    left.iter().position(|other| new.get(*other).is_some_and(|other| same(part, other)));
                match found {
                    Some(position) => pairs.push((index, left.remove(position))),
                    None => gone.push(index),
                }
            }
            // Inline parts have no names: what is left of both is paired in order.
            let unnamed = |list: &[Value], index: usize| {
                list.get(index).is_some_and(|part| part.get("$ref").is_none() && part.get("if").is_none())
            };
            gone.retain(|index| {
                let partner = left.iter().position(|other| unnamed(&old, *index) && unnamed(&new, *other));
                if let Some(position) = partner {
                    pairs.push((*index, left.remove(position)));
                }
                partner.is_none()
            });
            for (one, other) in pairs {
                let steps = |at: &SchemaRef, index: usize| at.below(keyword).below(&index.to_string());
                let (mut one, mut other) = (steps(at.0, one), steps(at.1, other));
                if self.comparison.old.schemas.get(&one).is_some_and(|part| part.get("if").is_some()) {
                    (one, other) = (one.below("then"), other.below("then"));
                }
                self.schemas(&one, &other, depth - 1);
            }
            let (more, less) = match keyword {
                "allOf" => (Shift::Narrowed, Shift::Widened),
                _ => (Shift::Widened, Shift::Narrowed),
            };
            // The kinds of a discriminator are told by the values of its property.
            let rule =
                |list: &[Value], index: &usize| list.get(*index).is_some_and(|part| part.get("if").is_some());
            for index in gone.iter().filter(|index| !rule(&old, index)) {
                let name = old.get(*index).map(described).unwrap_or_default();
                self.shift(less, format!("`{keyword}` has lost {name}"), at);
            }
            for index in left.iter().filter(|index| !rule(&new, index)) {
                let name = new.get(*index).map(described).unwrap_or_default();
                self.shift(more, format!("`{keyword}` has gained {name}"), at);
            }
        }
    }
}

/// Whether two parts are of the same name, or equal.
fn same(one: &Value, other: &Value) -> bool {
    let name = |value: &Value| {
        value
            .get("$ref")
            .and_then(Value::as_str)
            .map(|text| text.rsplit('/').next().unwrap_or_default().to_owned())
    };
    match (name(one), name(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one == other || one.get("if").is_some() && one.get("if") == other.get("if"),
        _ => false,
    }
}

fn described(part: &Value) -> String {
    match part.get("$ref").and_then(Value::as_str) {
        Some(text) => format!("`{}`", text.rsplit('/').next().unwrap_or_default()),
        None => "a schema".to_owned(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
