//! What shapes say of members, sides, types and texts.
#![allow(clippy::unwrap_used, reason = "tests assert")]

use serde_json::{Value, json};

use super::*;
use crate::form::{Dialect, SchemaDocument, SchemaRef, Schemas};
use bartizan_pattern::body::json::{JsonLimits, Tape, TapeBuffer};

fn shapes(value: Value) -> (Shapes, ShapeId) {
    let schemas = Schemas::new(vec![SchemaDocument::new("contract:///t", "t", Dialect::Draft2020, value)]);
    let mut builder = Builder::new(&schemas);
    let id = builder.shape(&SchemaRef { document: "contract:///t".into(), pointer: "".into() });
    (builder.finish(), id)
}

fn noticed(schema: Value, text: &str, direction: Direction) -> Vec<(Noticed, String)> {
    let (shapes, id) = shapes(schema);
    let mut buffer = TapeBuffer::new();
    let tape = Tape::parse(text.as_bytes(), &JsonLimits::default(), &mut buffer).unwrap();
    let mut walk = Walk::default();
    walk.json(&shapes, id, tape.root().unwrap(), direction);
    walk.noticed.into_iter().map(|(_, what)| what).zip(walk.pointers).collect()
}

#[test]
fn members_that_no_schema_names_are_noticed() {
    use Direction::Request;
    let undeclared = |pointer: &str| vec![(Noticed::Undeclared, pointer.to_owned())];
    let account = json!({ "type": "object", "properties": { "name": {}, "address": { "$ref": "#/$defs/A" } },
        "$defs": { "A": { "properties": { "city": {} } } } });
    assert_eq!(noticed(account.clone(), r#"{"name": 1, "role": 2}"#, Request), undeclared("/role"));
    assert_eq!(
        noticed(account, r#"{"address": {"city": 1, "x/y": 2}}"#, Request),
        undeclared("/address/x~1y")
    );
    let list = json!({ "items": { "properties": { "id": {} } } });
    assert_eq!(
        noticed(list, r#"[{"id": 1}, {"id": 1, "is_admin": true}]"#, Request),
        undeclared("/1/is_admin")
    );
    let parts = json!({ "allOf": [{ "properties": { "a": {} } }],
        "oneOf": [{ "properties": { "b": {} } }, { "properties": { "c": {} } }],
        "if": {}, "then": { "properties": { "d": {} } }, "dependentSchemas": { "a": { "properties": { "e": {} } } } });
    assert_eq!(noticed(parts, r#"{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1}"#, Request), undeclared("/f"));
    // A name that is demanded is named: without it the value would not fit.
    let demanded =
        json!({ "properties": { "a": {} }, "required": ["a", "b"], "allOf": [{ "required": ["c"] }] });
    assert_eq!(noticed(demanded, r#"{"a":1,"b":{"x":1},"c":1,"d":1}"#, Request), undeclared("/d"));
    for free in [
        json!({ "type": "object" }),
        json!({ "properties": { "a": {} }, "additionalProperties": true }),
        json!({ "properties": { "a": {} }, "additionalProperties": { "type": "integer" } }),
        json!({ "properties": { "a": {} }, "patternProperties": { "^z": {} } }),
        json!({ "properties": { "a": {} }, "$dynamicRef": "#x" }),
        json!(true),
    ] {
        assert!(noticed(free.clone(), r#"{"z": {"y": 1}}"#, Request).is_empty(), "{free}");
    }
}

#[test]
fn each_side_has_members_of_its_own() {
    let schema = json!({ "properties": {
        "id": { "readOnly": true }, "password": { "allOf": [{ "$ref": "#/$defs/S" }] }, "name": {} },
        "$defs": { "S": { "writeOnly": true } } });
    let text = r#"{"id": 1, "password": "x", "name": "y"}"#;
    assert_eq!(noticed(schema.clone(), text, Direction::Request), [(Noticed::ReadOnly, "/id".to_owned())]);
    assert_eq!(noticed(schema, text, Direction::Response), [(Noticed::WriteOnly, "/password".to_owned())]);
    // One alternative may write it: nobody can be told off for it.
    let either = json!({ "oneOf": [
        { "properties": { "id": { "readOnly": true } } }, { "properties": { "id": {} } } ] });
    assert!(noticed(either, r#"{"id": 1}"#, Direction::Request).is_empty());
}

#[test]
fn types_are_what_all_schemas_leave() {
    let of = |schema| {
        let (shapes, id) = shapes(schema);
        shapes.get(id).unwrap().types
    };
    assert_eq!(of(json!({ "type": ["integer", "null"] })), Types::INTEGER.or(Types::NULL));
    assert_eq!(
        of(json!({ "anyOf": [{ "type": "integer" }, { "enum": ["x"] }] })),
        Types::INTEGER.or(Types::STRING)
    );
    assert_eq!(
        of(json!({ "allOf": [{ "type": "number" }, { "type": ["integer", "string"] }] })),
        Types::INTEGER
    );
    assert_eq!(of(json!({})), Types::ALL);
    assert_eq!(of(json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#" } } })), Types::ALL);
}

#[test]
fn texts_are_proved_where_every_alternative_proves_them() {
    let (shapes, id) = shapes(json!({ "properties": {
        "id": { "format": "uuid", "type": "string" }, "kind": { "enum": ["a", "b"] }, "free": { "type": "string" },
        "some": { "anyOf": [{ "format": "uuid" }, {}] } } }));
    let text =
        r#"{"id": "0190b0c0-0000-7000-8000-000000000000", "kind": "a", "free": "x", "some": "y", "n": 5}"#;
    let mut buffer = TapeBuffer::new();
    let tape = Tape::parse(text.as_bytes(), &JsonLimits::default(), &mut buffer).unwrap();
    let mut walk = Walk::proving();
    walk.json(&shapes, id, tape.root().unwrap(), Direction::Request);
    let proved: Vec<_> = walk.proofs.iter().map(|(node, proof)| (*node, proof.class)).collect();
    assert_eq!(proved, [(2, ProofClass::Uuid), (4, ProofClass::Enum), (10, ProofClass::Integer)]);
}

#[test]
fn schemas_that_refer_to_themselves_end() {
    let tree = json!({ "properties": { "left": { "$ref": "#" }, "right": { "anyOf": [{ "$ref": "#" }, { "type": "null" }] } } });
    let (shapes, _) = shapes(tree.clone());
    assert!(shapes.shapes.len() < 10, "{}", shapes.shapes.len());
    let text = r#"{"left": {"right": {"left": {"odd": 1}}}}"#;
    assert_eq!(
        noticed(tree, text, Direction::Request),
        [(Noticed::Undeclared, "/left/right/left/odd".to_owned())]
    );
}
