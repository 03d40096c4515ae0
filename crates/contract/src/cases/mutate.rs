//! Values at the bounds of what fits, and beyond them: one change of a value that fits, each with what should be said of it.

use serde_json::{Map, Value};

use super::{
    place::{Place, Source},
    text::knows_format,
    value::{Maker, below, has, number_of},
};
use crate::shape::{Direction, Types};

/// Arrays and objects inside one another in which changes are made.
const DEEP: usize = 6;
/// Values of a list that are tried.
const LISTED: usize = 12;
/// The longest text that is made to be too long.
const LONG: usize = 20_000;
/// Most items that are made to be too many.
const MANY: usize = 1_000;
/// A name that nobody gave to a member.
pub(super) const NOBODYS: &str = "zz_not_in_the_contract";

/// One change.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// The value, whole.
    pub(super) value: Value,
    /// Where.
    pub(super) pointer: String,
    /// The keyword that is met or violated.
    pub(super) rule: &'static str,
    /// Whether it should still fit.
    pub(super) fits: bool,
    /// Whether that is so whatever alternatives there are; else the schema itself has to say.
    pub(super) certain: bool,
}

/// How values are written where they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surface {
    /// With their types.
    Json,
    /// As texts: `7` may be a number and a text.
    Text,
}

/// All changes of a value that a maker made of these schemas.
pub(super) fn changes(maker: &Maker<'_>, sources: &[Source], value: &Value, surface: Surface) -> Vec<Change> {
    let mut walk = Walk { maker, whole: value, surface, found: Vec::new() };
    walk.value(sources, value, "", 0, true);
    walk.found
}

struct Walk<'w, 's> {
    maker: &'w Maker<'s>,
    whole: &'w Value,
    surface: Surface,
    found: Vec<Change>,
}

/// Where a change is made.
struct At<'a> {
    pointer: &'a str,
    /// Not even a name that is given elsewhere could be meant.
    plain: bool,
}

impl<'s> Walk<'_, 's> {
    fn value(&mut self, sources: &[Source], value: &Value, pointer: &str, depth: usize, plain: bool) {
        if depth > DEEP {
            return;
        }
        let place = self.maker.place(sources, pointer);
        let alternatives = ["anyOf", "oneOf", "if", "not", "dependentSchemas", "$dynamicRef", "dependencies"];
        let plain = plain && !alternatives.iter().any(|keyword| place.has(keyword));
        let at = At { pointer, plain };
        self.kind(&place, value, &at);
        match value {
            Value::Object(members) => self.object(&place, members, &at, depth),
            Value::Array(items) => self.array(&place, items, &at, depth),
            Value::String(_) => self.text(&place, &at),
            Value::Number(_) => self.number(&place, &at),
            Value::Bool(_) | Value::Null => {}
        }
    }

    /// Another value at this place.
    fn put(&mut self, at: &At<'_>, rule: &'static str, value: Value, fits: bool, certain: bool) {
        let mut whole = self.whole.clone();
        if let Some(place) = whole.pointer_mut(at.pointer) {
            *place = value;
            let pointer = at.pointer.to_owned();
            self.found.push(Change { value: whole, pointer, rule, fits, certain });
        }
    }

    /// Values of another type, and values that are not listed.
    fn kind(&mut self, place: &Place<'s>, value: &Value, at: &At<'_>) {
        if let Some(listed) = place.listed() {
            let types = place.types();
            for other in listed.iter().filter(|other| **other != value && has(types, other)).take(LISTED) {
                self.put(at, "enum", (*other).clone(), true, false);
            }
            let certain = place.certain("enum") || place.certain("const");
            let other = match value {
                Value::String(_) => Value::from("zz-not-listed"),
                Value::Number(_) => Value::from(987_654_321),
                _ => return,
            };
            if !listed.contains(&&other) {
                self.put(at, "enum", other, false, certain && place.types() != Types::ALL);
            }
        }
        let types = place.certain_types();
        if types == Types::ALL {
            return;
        }
        if self.surface == Surface::Text {
            // As text everything is a text; only what wants none can be told from it.
            let scalar = !value.is_array() && !value.is_object();
            if scalar && !types.has(Types::STRING) && !types.has(Types::ARRAY) && !types.has(Types::OBJECT) {
                self.put(at, "type", Value::from("zz"), false, true);
                if types.has(Types::INTEGER) && !types.has(Types::NUMBER) {
                    self.put(at, "type", Value::from("1.5"), false, true);
                }
            }
            return;
        }
        let others = [
            (Types::STRING, Value::from("zz")),
            (Types::INTEGER, Value::from(7)),
            (Types::NUMBER, Value::from(7.5)),
            (Types::BOOLEAN, Value::Bool(true)),
            (Types::OBJECT, Value::Object(Map::new())),
            (Types::ARRAY, Value::Array(Vec::new())),
        ];
        if let Some((_, other)) = others.into_iter().find(|(kind, _)| !types.has(*kind)) {
            self.put(at, "type", other, false, true);
        }
        if !types.has(Types::NULL) {
            self.put(at, "type", Value::Null, false, true);
        }
        if types.has(Types::INTEGER) && !types.has(Types::NUMBER) {
            self.put(at, "type", Value::from(1.5), false, true);
        }
    }

    fn text(&mut self, place: &Place<'s>, at: &At<'_>) {
        if place.listed().is_some() {
            return;
        }
        let rules = place.text();
        let mut dice = self.maker.dice(at.pointer);
        let plain =
            rules.patterns.is_empty() && rules.format.as_deref().is_none_or(|name| !knows_format(name));
        let of = |length: usize| Value::from("m".repeat(length));
        if place.has("minLength") && rules.min > 0 {
            if let Some(text) = rules.text(rules.min, Some(rules.min), &mut dice) {
                self.put(at, "minLength", Value::from(text), true, false);
            }
            // An empty text has no form in some places: it is not written there.
            let certain = place.certain("minLength");
            self.put(at, "minLength", of(rules.min - 1), false, certain);
        }
        if let Some(max) = rules.max.filter(|max| *max < LONG) {
            if let Some(text) = rules.text(max, Some(max), &mut dice) {
                self.put(at, "maxLength", Value::from(text), true, false);
            }
            let binary = place.format() == Some("binary") || place.has("contentMediaType");
            if plain && max > 0 && !binary {
                // Characters are counted, not bytes.
                self.put(at, "maxLength", Value::from("\u{e9}".repeat(max)), true, false);
            }
            self.put(at, "maxLength", of(max + 1), false, place.certain("maxLength"));
        }
        if let Some(text) = rules.off_pattern() {
            self.put(at, "pattern", Value::from(text), false, place.certain("pattern"));
        }
        if let Some(text) = rules.off_format() {
            self.put(at, "format", Value::from(text), false, place.certain("format"));
        }
    }

    fn number(&mut self, place: &Place<'s>, at: &At<'_>) {
        if place.listed().is_some() {
            return;
        }
        let whole = !place.types().has(Types::NUMBER);
        let step = if whole { 1.0 } else { 0.5 };
        let bounds = [
            ("minimum", place.at_least("minimum"), -step, true),
            ("maximum", place.at_most("maximum"), step, true),
            ("exclusiveMinimum", place.at_least("exclusiveMinimum"), -step, false),
            ("exclusiveMaximum", place.at_most("exclusiveMaximum"), step, false),
        ];
        for (rule, bound, outwards, included) in bounds {
            let Some(bound) = bound else { continue };
            let certain = place.certain(rule);
            let (inside, outside) = match included {
                true => (bound, bound + outwards),
                false => (bound - outwards, bound),
            };
            // Beyond 2^53 a step is smaller than what a double can say.
            if bound.abs() > 9.0e15 {
                let beyond = if outwards < 0.0 { "-1e30" } else { "1e30" };
                self.put(at, rule, serde_json::from_str(beyond).unwrap_or_default(), false, certain);
                continue;
            }
            if let Some(value) = number_of(inside) {
                self.put(at, rule, value, true, false);
            }
            if let Some(value) = number_of(outside) {
                self.put(at, rule, value, false, certain);
            }
        }
        if let Some(step) = place.at_most("multipleOf").filter(|step| *step > 1.0)
            && let Some(value) = number_of(step * 3.0 + 1.0)
        {
            self.put(at, "multipleOf", value, false, place.certain("multipleOf") && step.fract() == 0.0);
        }
    }

    fn array(&mut self, place: &Place<'s>, items: &[Value], at: &At<'_>, depth: usize) {
        let (least, most) = (place.count_at_least("minItems"), place.count_at_most("maxItems"));
        if least > 0 && items.len() >= least {
            let fewer = items.get(..least - 1).unwrap_or_default().to_vec();
            let certain = place.certain("minItems") && (self.surface == Surface::Json || !fewer.is_empty());
            self.put(at, "minItems", Value::Array(fewer), false, certain);
        }
        if let Some(most) = most.filter(|most| *most < MANY)
            && let Some(first) = items.first()
        {
            let more = |count: usize| Value::Array(vec![first.clone(); count]);
            if most > 0 && !place.flag("uniqueItems") {
                self.put(at, "maxItems", more(most), true, false);
            }
            self.put(at, "maxItems", more(most + 1), false, place.certain("maxItems"));
        }
        if place.flag("uniqueItems")
            && let Some(first) = items.first()
        {
            let twice = Value::Array(vec![first.clone(), first.clone()]);
            self.put(at, "uniqueItems", twice, false, place.certain("uniqueItems"));
        }
        if let (Some(first), Some(sources)) = (items.first(), place.item(0)) {
            self.value(&sources, first, &format!("{}/0", at.pointer), depth + 1, at.plain);
        }
    }

    fn object(&mut self, place: &Place<'s>, members: &Map<String, Value>, at: &At<'_>, depth: usize) {
        let known = place.members();
        let direction = self.maker.direction;
        for (name, certain) in place.required() {
            if !members.contains_key(name) {
                continue;
            }
            let mut fewer = members.clone();
            fewer.shift_remove(name);
            self.put(at, "required", Value::Object(fewer), false, certain);
        }
        let describes_rest = ["additionalProperties", "unevaluatedProperties", "patternProperties"];
        if place.closes() {
            let more = with(members, NOBODYS, Value::from("zz"));
            self.put(at, "additionalProperties", more, false, true);
        } else if at.plain && !known.is_empty() && !describes_rest.iter().any(|keyword| place.has(keyword)) {
            self.put(at, "undeclared", with(members, NOBODYS, Value::from("zz")), false, true);
        }
        if let Some(most) = place.count_at_most("maxProperties").filter(|most| *most < MANY) {
            let mut more = members.clone();
            let missing = (most + 1).saturating_sub(members.len());
            more.extend((0..missing).map(|number| (format!("zz{number}"), Value::from("zz"))));
            self.put(at, "maxProperties", Value::Object(more), false, place.certain("maxProperties"));
        }
        for (name, sources) in known {
            let pointer = below(at.pointer, &name);
            let own = self.maker.place(&sources, &pointer);
            if own.is_other_sides(direction) {
                let rule = if direction == Direction::Request { "readOnly" } else { "writeOnly" };
                let made = self.maker.value(&sources, &pointer, depth + 1);
                if let Some(value) = made.filter(|_| at.plain && own.certain(rule)) {
                    self.put(at, rule, with(members, &name, value), false, true);
                }
            } else if let Some(value) = members.get(&name) {
                self.value(&sources, value, &pointer, depth + 1, at.plain);
            }
        }
        // Members without a name of their own: one stands for all.
        if let Some((name, value)) = members.iter().find(|(name, _)| !place.members().contains_key(*name))
            && let Some(sources) = place.other_members().filter(|sources| !sources.is_empty())
        {
            self.value(&sources, value, &below(at.pointer, name), depth + 1, at.plain);
        }
    }
}

fn with(members: &Map<String, Value>, name: &str, value: Value) -> Value {
    let mut more = members.clone();
    more.insert(name.to_owned(), value);
    Value::Object(more)
}
