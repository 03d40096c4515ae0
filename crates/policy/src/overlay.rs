//! Laying one block over another: maps merge by key, lists of named things by name, everything else is replaced.

use bartizan_contract::tree::{Entry, Node, Value};

/// Lays `over` on `base`. Merged maps count as written by the block that was laid over last.
///
/// With `starts_over`, a map that says `inherit: false` replaces what lies below it.
pub(crate) fn lay(base: &mut Node, mut over: Node, starts_over: bool) {
    if starts_over && over.get("inherit").is_some() {
        let inherit = over.take("inherit").and_then(|entry| entry.value.as_bool());
        if inherit == Some(false) {
            *base = over;
            return;
        }
    }
    let name = naming_key(base, &over);
    match (&mut base.value, over.value) {
        (Value::Map(below), Value::Map(above)) => {
            base.origin = over.origin;
            for entry in above {
                match below.iter_mut().find(|known| known.key == entry.key) {
                    Some(known) => lay_entry(known, entry, starts_over),
                    None => below.push(entry),
                }
            }
        }
        (Value::List(below), Value::List(above)) if let Some(key) = name => {
            for item in above {
                let same = |known: &&mut Node| {
                    known.get(key).and_then(Node::as_str) == item.get(key).and_then(Node::as_str)
                };
                match below.iter_mut().find(same) {
                    Some(known) => lay(known, item, starts_over),
                    None => below.push(item),
                }
            }
        }
        (_, value) => {
            *base = Node { span: over.span, origin: over.origin, value };
        }
    }
}

fn lay_entry(known: &mut Entry, entry: Entry, starts_over: bool) {
    if !matches!(entry.value.value, Value::Map(_)) {
        known.key_span = entry.key_span;
    }
    lay(&mut known.value, entry.value, starts_over);
}

/// The key by which two lists are merged, when every item of both has it.
fn naming_key(base: &Node, over: &Node) -> Option<&'static str> {
    if base.items().is_empty() || over.items().is_empty() {
        return None;
    }
    ["name", "match"].into_iter().find(|key| {
        let named = |item: &Node| item.get(key).is_some_and(|name| name.as_str().is_some());
        base.items().iter().chain(over.items()).all(named)
    })
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests assert"
    )]
    use bartizan_contract::yaml::{Budget, parse};

    use super::*;

    fn laid(base: &str, over: &str) -> serde_json::Value {
        let mut base = parse(base, "b", 0, Budget::POLICY).unwrap();
        lay(&mut base, parse(over, "o", 1, Budget::POLICY).unwrap(), true);
        base.to_json()
    }

    #[test]
    fn maps_merge_by_key_named_lists_by_name_and_the_rest_is_replaced() {
        assert_eq!(
            laid(
                "a: {x: 1, y: 2}\nl: [{name: p, r: 1}, {name: q, r: 2}]\ns: [1, 2]",
                "a: {y: 3, z: 4}\nl: [{name: q, r: 9}, {name: n, r: 5}]\ns: [7]"
            ),
            serde_json::json!({
                "a": {"x": 1, "y": 3, "z": 4},
                "l": [{"name": "p", "r": 1}, {"name": "q", "r": 9}, {"name": "n", "r": 5}],
                "s": [7],
            })
        );
    }

    #[test]
    fn inherit_false_starts_over() {
        assert_eq!(laid("a: {x: 1}", "a: {inherit: false, y: 2}"), serde_json::json!({"a": {"y": 2}}));
        assert_eq!(laid("a: {x: 1}", "a: {inherit: true, y: 2}"), serde_json::json!({"a": {"x": 1, "y": 2}}));
    }
}
