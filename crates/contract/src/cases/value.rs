//! Values that fit their schemas.

use std::cell::{Cell, RefCell};

use serde_json::{Map, Number, Value};

use super::{
    dice::Dice,
    place::{Place, Source},
};
use crate::{
    form::Schemas,
    shape::{Direction, Types},
};

/// Arrays and objects inside one another in which members that need not be there are made.
const DEEP: usize = 5;
/// Arrays and objects inside one another, at most: schemas that demand themselves have no value.
const DEEPEST: usize = 24;
/// Values of one example in which members that need not be there are made.
const LARGE: usize = 300;
/// Members and items beyond which nothing is made.
const MANY: usize = 3_000;
/// Numbers that are told apart as such by every reader.
const EXACT: f64 = 9_007_199_254_740_991.0;

/// How many of the members that need not be there are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// None.
    Required,
    /// All.
    All,
    /// Some of them.
    Some,
}

/// Makes values. The same maker makes the same value of the same schema.
pub(super) struct Maker<'s> {
    pub(super) schemas: &'s Schemas,
    pub(super) seed: u64,
    pub(super) direction: Direction,
    pub(super) fill: Fill,
    made: Cell<usize>,
    /// Members that have no value, by their pointers.
    pub(super) without: RefCell<Vec<String>>,
}

impl<'s> Maker<'s> {
    pub(super) fn new(schemas: &'s Schemas, seed: u64, direction: Direction, fill: Fill) -> Self {
        Maker { schemas, seed, direction, fill, made: Cell::new(0), without: RefCell::default() }
    }

    pub(super) fn place(&self, sources: &[Source], path: &str) -> Place<'s> {
        Place::of(self.schemas, sources, self.seed, path)
    }

    pub(super) fn dice(&self, path: &str) -> Dice {
        Dice::of(self.seed, path)
    }

    /// A value that should fit; whoever asks makes sure. `path` is its JSON pointer.
    pub(super) fn value(&self, sources: &[Source], path: &str, depth: usize) -> Option<Value> {
        let place = self.place(sources, path);
        self.made.set(self.made.get() + 1);
        if place.refused || depth > DEEPEST || self.made.get() > MANY {
            return None;
        }
        let mut dice = self.dice(path);
        let types = place.types();
        if let Some(listed) = place.listed() {
            let fitting: Vec<&&Value> = listed.iter().filter(|value| has(types, value)).collect();
            return fitting.get(dice.below(fitting.len())).map(|value| (**value).clone());
        }
        match kind(&place, types) {
            Types::OBJECT => self.object(&place, path, depth),
            Types::ARRAY => self.array(&place, path, depth),
            Types::STRING => place.text().text(0, None, &mut dice).map(Value::String),
            Types::INTEGER => number(&place, true, &mut dice),
            Types::NUMBER => number(&place, false, &mut dice),
            Types::BOOLEAN => Some(Value::Bool(dice.below(2) == 1)),
            Types::NULL => Some(Value::Null),
            _ => None,
        }
    }

    fn object(&self, place: &Place<'s>, path: &str, depth: usize) -> Option<Value> {
        let members = place.members();
        let required = place.required();
        let (least, most) = (place.count_at_least("minProperties"), place.count_at_most("maxProperties"));
        let room = most.unwrap_or(usize::MAX);
        let mut map = Map::new();
        for name in required.keys() {
            self.member(&mut map, place, &members, name, path, depth)?;
        }
        let small = depth < DEEP && self.made.get() < LARGE;
        for name in members.keys() {
            let wanted = match self.fill {
                Fill::Required => false,
                Fill::All => small,
                Fill::Some => small && self.dice(&format!("{path}/{name}?")).below(2) == 0,
            };
            if !(wanted || map.len() < least) || map.len() >= room || map.contains_key(name) {
                continue;
            }
            // Other members may have to be there with it; a member that has no value is left out.
            let before = map.clone();
            let with = place.dependents(name);
            let mut all = std::iter::once(name.as_str()).chain(with.iter().copied());
            let made = all.all(|name| self.member(&mut map, place, &members, name, path, depth).is_some());
            if !made && self.fill == Fill::All {
                self.without.borrow_mut().push(below(path, name));
            }
            if !made || map.len() > room {
                map = before;
            }
        }
        let open = self.fill != Fill::Required && members.is_empty() && small && required.is_empty();
        let wanted = least.max(usize::from(open)).min(room);
        if map.len() < wanted {
            self.others(&mut map, place, wanted, path, depth);
        }
        Some(Value::Object(map))
    }

    /// Adds a member, unless it is one that only the other side writes: then there is nothing to add.
    fn member(
        &self,
        map: &mut Map<String, Value>,
        place: &Place<'s>,
        members: &super::place::Members,
        name: &str,
        path: &str,
        depth: usize,
    ) -> Option<()> {
        if map.contains_key(name) {
            return Some(());
        }
        let mut sources = members.get(name).cloned().unwrap_or_default();
        let patterns = place.member_patterns();
        sources
            .extend(patterns.into_iter().filter(|(pattern, _)| pattern.fits(name)).map(|(_, source)| source));
        if sources.is_empty() {
            sources = place.other_members()?;
        }
        let path = below(path, name);
        if self.place(&sources, &path).is_other_sides(self.direction) {
            return Some(());
        }
        map.insert(name.to_owned(), self.value(&sources, &path, depth + 1)?);
        Some(())
    }

    /// Members without names of their own, until there are so many.
    fn others(
        &self,
        map: &mut Map<String, Value>,
        place: &Place<'s>,
        wanted: usize,
        path: &str,
        depth: usize,
    ) {
        let names = self.place(&place.member_names(), path);
        let patterns = place.member_patterns();
        for number in 0..wanted.saturating_mul(4).min(200) {
            if map.len() >= wanted {
                return;
            }
            let mut dice = self.dice(&format!("{path} name {number}"));
            let name = if names.has("pattern") || names.has("minLength") || names.has("maxLength") {
                names.text().text(0, None, &mut dice)
            } else if let Some(listed) = names.listed() {
                listed.get(number).and_then(|name| name.as_str()).map(str::to_owned)
            } else if let Some((pattern, _)) = patterns.first().filter(|_| place.other_members().is_none()) {
                pattern.example(&mut dice)
            } else {
                Some(format!("name{number}"))
            };
            let Some(name) = name else { return };
            if self.member(map, place, &super::place::Members::new(), &name, path, depth).is_none() {
                return;
            }
        }
    }

    fn array(&self, place: &Place<'s>, path: &str, depth: usize) -> Option<Value> {
        let (least, most) = (place.count_at_least("minItems"), place.count_at_most("maxItems"));
        let mut contained = place.contained();
        if let (Some(first), times @ 2..=MANY) = (contained.first(), place.count_at_least("minContains")) {
            contained = vec![first.clone(); times];
        }
        let mut wanted = match self.fill {
            Fill::Required => least,
            _ if depth >= DEEP => least,
            _ => least.max(1),
        };
        wanted = wanted.max(contained.len()).min(most.unwrap_or(usize::MAX));
        if wanted > MANY {
            return None;
        }
        let unique = place.flag("uniqueItems");
        let mut items: Vec<Value> = Vec::new();
        for number in 0..wanted {
            let Some(mut sources) = place.item(number) else { break };
            sources.extend(contained.get(number).cloned());
            // The path of the first item is that by which mutations find the same place again.
            let tries = (0..12).map(|again| match again {
                0 => format!("{path}/{number}"),
                again => format!("{path}/{number}~{again}"),
            });
            let made = tries
                .filter_map(|path| self.value(&sources, &path, depth + 1))
                .find(|item| !unique || !items.contains(item));
            match made {
                Some(item) => items.push(item),
                None if items.len() >= least => break,
                None => return None,
            }
        }
        (items.len() >= least).then_some(Value::Array(items))
    }
}

/// The pointer of a member.
pub(super) fn below(path: &str, name: &str) -> String {
    let mut path = path.to_owned();
    crate::pointer::push_token(&mut path, name);
    path
}

/// The type that a value is made of, of those that are left.
fn kind(place: &Place<'_>, types: Types) -> Types {
    let order = [
        (Types::OBJECT, ["properties", "required", "additionalProperties", "minProperties"]),
        (Types::ARRAY, ["items", "minItems", "prefixItems", "contains"]),
        (Types::STRING, ["pattern", "format", "minLength", "maxLength"]),
        (Types::NUMBER, ["minimum", "maximum", "exclusiveMinimum", "multipleOf"]),
    ];
    // Keywords say what is meant where several types are left.
    for (kind, keywords) in order {
        if types.has(kind) && keywords.iter().any(|keyword| place.has(keyword)) {
            return kind;
        }
    }
    let all = [
        Types::STRING,
        Types::NUMBER,
        Types::INTEGER,
        Types::OBJECT,
        Types::ARRAY,
        Types::BOOLEAN,
        Types::NULL,
    ];
    all.into_iter().find(|kind| types.has(*kind)).unwrap_or(Types::NONE)
}

/// Whether a value is of one of the types.
pub(super) fn has(types: Types, value: &Value) -> bool {
    types.has(match value {
        Value::Null => Types::NULL,
        Value::Bool(_) => Types::BOOLEAN,
        Value::Number(number) if is_whole(number) => Types::INTEGER,
        Value::Number(_) => Types::NUMBER,
        Value::String(_) => Types::STRING,
        Value::Array(_) => Types::ARRAY,
        Value::Object(_) => Types::OBJECT,
    })
}

fn is_whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// A number, whole where it can be, as JSON.
pub(super) fn number_of(value: f64) -> Option<Value> {
    if value.fract() == 0.0 && value.abs() <= EXACT {
        return Some(Value::from(value as i64));
    }
    Number::from_f64(value).map(Value::Number)
}

fn number(place: &Place<'_>, integer: bool, dice: &mut Dice) -> Option<Value> {
    let step = place.at_most("multipleOf").filter(|step| *step > 0.0).or(integer.then_some(1.0));
    let after = place.at_least("exclusiveMinimum");
    let before = place.at_most("exclusiveMaximum");
    let low = place.at_least("minimum").into_iter().chain(after).reduce(f64::max);
    let high = place.at_most("maximum").into_iter().chain(before).reduce(f64::min);
    let inside = |value: &f64| {
        low.is_none_or(|low| *value >= low)
            && high.is_none_or(|high| *value <= high)
            && after.is_none_or(|bound| *value > bound)
            && before.is_none_or(|bound| *value < bound)
    };
    let fit = |value: f64| match step {
        // By the whole number of steps in one, so that 57 steps of 0.01 are 0.57.
        Some(step) if step < 1.0 => (value / step).ceil() / (1.0 / step).round(),
        Some(step) => (value / step).ceil() * step,
        None => value,
    };
    let middle = match (low, high) {
        (Some(low), Some(high)) => Some(low + (high - low) / 2.0),
        _ => None,
    };
    let near = step.unwrap_or(0.5);
    let small = fit(dice.below(100) as f64);
    let all =
        [Some(small), low, low.map(|low| low + near), middle, high, high.map(|high| high - near), Some(0.0)];
    all.into_iter().flatten().map(fit).find(inside).and_then(number_of)
}
