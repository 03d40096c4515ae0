//! Schemas as one side sees them: what only the other side writes need not be there, although it is `required`
//! (OpenAPI 3.0.4 section 4.7.24.2.1: of a `readOnly` property, `required` takes effect on the response only).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{
    form::{SchemaRef, Schemas},
    shape::Direction,
};

/// References and `allOf` inside one another.
const MAX_DEPTH: usize = 16;

/// Each document of a contract for values that go this way; `None` where that makes no difference.
pub(crate) fn documents(schemas: &Schemas, direction: Direction) -> Option<Vec<Value>> {
    let flag = match direction {
        Direction::Request => "readOnly",
        Direction::Response => "writeOnly",
    };
    let mut changed = false;
    let documents = schemas.documents().iter().map(|document| {
        let mut found = Vec::new();
        let mut look = Look {
            schemas,
            document: SchemaRef { document: document.uri.clone(), pointer: "".into() },
            flag,
            found: &mut found,
        };
        look.value(&document.value, &mut Vec::new(), &BTreeSet::new());
        changed |= !found.is_empty();
        let mut value = document.value.clone();
        for (steps, names) in found {
            free(&mut value, &steps, &names);
        }
        value
    });
    let documents = documents.collect();
    changed.then_some(documents)
}

/// A step of a pointer.
#[derive(Clone, Copy, Debug)]
enum Step<'v> {
    Key(&'v str),
    Item(usize),
}

/// What is no longer required: where, and the names.
type Found<'v> = Vec<(Vec<Step<'v>>, BTreeSet<&'v str>)>;

struct Look<'l, 'v> {
    schemas: &'v Schemas,
    /// The document that is looked at.
    document: SchemaRef,
    flag: &'static str,
    found: &'l mut Found<'v>,
}

impl<'v> Look<'_, 'v> {
    /// `above`: names that a schema of which this is a part marks.
    fn value(&mut self, value: &'v Value, steps: &mut Vec<Step<'v>>, above: &BTreeSet<&'v str>) {
        match value {
            Value::Object(map) => {
                let demands = map.contains_key("required") || map.contains_key("allOf");
                let mut marked = if demands { above.clone() } else { BTreeSet::new() };
                if demands {
                    self.marked(&self.document.clone(), map, &mut marked, 0);
                }
                if let Some(Value::Array(required)) = map.get("required") {
                    let names = required.iter().filter_map(Value::as_str);
                    let names: BTreeSet<&str> = names.filter(|name| marked.contains(name)).collect();
                    if !names.is_empty() {
                        self.found.push((steps.clone(), names));
                    }
                }
                let none = BTreeSet::new();
                for (key, below) in map {
                    if matches!(key.as_str(), "enum" | "const" | "default") {
                        continue;
                    }
                    steps.push(Step::Key(key));
                    let inherited = if key == "allOf" { &marked } else { &none };
                    match below {
                        Value::Array(items) => self.items(items, steps, inherited),
                        below => self.value(below, steps, &none),
                    }
                    steps.pop();
                }
            }
            Value::Array(items) => self.items(items, steps, &BTreeSet::new()),
            _ => {}
        }
    }

    fn items(&mut self, items: &'v [Value], steps: &mut Vec<Step<'v>>, above: &BTreeSet<&'v str>) {
        for (number, item) in items.iter().enumerate() {
            steps.push(Step::Item(number));
            self.value(item, steps, above);
            steps.pop();
        }
    }

    /// Adds the members that a schema, and what it refers to or is combined of, marks.
    fn marked(
        &self,
        from: &SchemaRef,
        map: &'v Map<String, Value>,
        marked: &mut BTreeSet<&'v str>,
        depth: usize,
    ) {
        if depth > MAX_DEPTH {
            return;
        }
        for (name, member) in map.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if member.as_object().is_some_and(|member| self.is_marked(from, member, 0)) {
                marked.insert(name);
            }
        }
        for (at, part) in self.parts(from, map) {
            self.marked(&at, part, marked, depth + 1);
        }
    }

    fn is_marked(&self, from: &SchemaRef, map: &'v Map<String, Value>, depth: usize) -> bool {
        if depth > MAX_DEPTH {
            return false;
        }
        map.get(self.flag) == Some(&Value::Bool(true))
            || self.parts(from, map).any(|(at, part)| self.is_marked(&at, part, depth + 1))
    }

    /// What applies wherever a schema does: its `$ref` and `allOf`.
    fn parts(
        &self,
        from: &SchemaRef,
        map: &'v Map<String, Value>,
    ) -> impl Iterator<Item = (SchemaRef, &'v Map<String, Value>)> {
        let reference = map.get("$ref").and_then(Value::as_str);
        let target = reference.and_then(|to| self.schemas.target(from, to));
        let target = target.and_then(|at| Some((at.clone(), self.schemas.get(&at)?.as_object()?)));
        let all = map.get("allOf").and_then(Value::as_array).into_iter().flatten();
        let own = from.clone();
        target.into_iter().chain(all.filter_map(move |part| Some((own.clone(), part.as_object()?))))
    }
}

/// Takes names out of the `required` of the schema at some steps.
fn free(root: &mut Value, steps: &[Step<'_>], names: &BTreeSet<&str>) {
    let mut at = root;
    for step in steps {
        let below = match (step, at) {
            (Step::Key(key), Value::Object(map)) => map.get_mut(*key),
            (Step::Item(number), Value::Array(items)) => items.get_mut(*number),
            _ => None,
        };
        let Some(below) = below else { return };
        at = below;
    }
    if let Some(Value::Array(required)) = at.get_mut("required") {
        required.retain(|name| !name.as_str().is_some_and(|name| names.contains(name)));
    }
}
