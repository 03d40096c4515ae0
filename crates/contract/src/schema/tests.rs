//! Schemas over tapes and over values put together.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests assert")]

use bartizan_pattern::body::json::{JsonLimits, Tape, TapeBuffer};
use serde_json::{Value, json};

use super::*;
use crate::value::Built;

fn compile(schema: Value) -> Schema {
    Library::new([("urn:t", schema, Draft::Draft202012)]).unwrap().compile("urn:t").unwrap()
}

fn judge(schema: &Schema, text: &str) -> Vec<Violation> {
    let mut buffer = TapeBuffer::new();
    let tape = Tape::parse(text.as_bytes(), &JsonLimits::default(), &mut buffer).unwrap();
    schema.violations(View::Tape(tape.root().unwrap()))
}

#[test]
fn a_violation_tells_where_and_what_and_nothing_that_was_sent() {
    let schema = compile(json!({
        "properties": { "age": { "type": "integer", "minimum": 18 }, "name": { "maxLength": 3 } },
        "required": ["id"],
    }));
    let told = judge(&schema, r#"{"age": 7.0, "name": "secret"}"#);
    let told: Vec<_> =
        told.iter().map(|v| (v.pointer.as_str(), v.keyword.as_str(), v.expectation.as_str())).collect();
    assert!(told.contains(&("/age", "minimum", "at least 18")), "{told:?}");
    assert!(told.contains(&("/name", "maxLength", "at most 3 characters")), "{told:?}");
    assert!(told.contains(&("", "required", "the member \"id\"")), "{told:?}");
    let place = &judge(&schema, r#"{"id": 1, "age": "x"}"#)[0].place;
    assert_eq!(place, "urn:t#/properties/age/type");
}

#[test]
fn numbers_are_the_text_that_they_are() {
    let integer = compile(json!({ "type": "integer" }));
    assert!(judge(&integer, "1.0").is_empty() && judge(&integer, "1e3").is_empty());
    assert!(judge(&integer, "123456789012345678901234567890").is_empty());
    assert!(!judge(&integer, "1.5").is_empty() && !judge(&integer, "9007199254740993.5").is_empty());
    let bounded = compile(json!({ "maximum": 100, "minimum": -100 }));
    assert!(!judge(&bounded, "1e308").is_empty() && !judge(&bounded, "-1e308").is_empty());
    let int64 = compile(json!({ "minimum": i64::MIN, "maximum": i64::MAX }));
    for (text, fits) in [
        ("-9223372036854775808", true),
        ("-9223372036854775809", false),
        ("9223372036854775807", true),
        ("9223372036854775808", false),
        ("-18446744073709551616", false),
        ("18446744073709551616", false),
    ] {
        assert_eq!(judge(&int64, text).is_empty(), fits, "{text}");
    }
    assert!(judge(&compile(json!({ "multipleOf": 0.01 })), "19.99").is_empty());
    assert!(!judge(&compile(json!({ "multipleOf": 0.01 })), "19.999").is_empty());
    let unique = compile(json!({ "uniqueItems": true }));
    assert!(!judge(&unique, "[1, 1.0]").is_empty());
    assert!(!judge(&unique, r#"[{"a":1,"b":[2]},{"b":[2.0],"a":1e0}]"#).is_empty());
    assert!(
        judge(&unique, r#"[1, "1", true, "true", [1], ["1"], 9007199254740993, 9007199254740992]"#)
            .is_empty()
    );
}

#[test]
fn values_put_together_are_judged_by_the_same_schema() {
    let schema =
        compile(json!({ "type": "object", "properties": { "ids": { "items": { "type": "integer" } } } }));
    let ids = |items| Built::Map(vec![("ids".into(), Built::List(items))]);
    assert!(schema.fits(View::Built(&ids(vec![Built::Number("7".into())]))));
    let told = schema.violations(View::Built(&ids(vec![Built::Text("x".into())])));
    assert_eq!(told[0].pointer, "/ids/0");
}

#[test]
fn a_pattern_that_looks_around_is_refused_when_it_is_compiled() {
    let library =
        Library::new([("urn:t", json!({ "properties": { "p": { "pattern": "^(?!x)a$" } } }), Draft::Draft7)])
            .unwrap();
    let error = library.compile("urn:t").unwrap_err();
    assert!(error.message.contains("regex"), "{error:?}");
    assert!(error.place.starts_with("urn:t"), "{error:?}");
}

#[test]
fn nothing_is_fetched() {
    let schema = json!({ "$ref": "http://127.0.0.1:9/x.json" });
    let library = Library::new([("urn:t", schema, Draft::Draft202012)]);
    let error = library.and_then(|library| library.compile("urn:t")).unwrap_err();
    assert!(error.message.contains("127.0.0.1:9"), "{error:?}");
}

/// Alternatives inside alternatives: what fits at each level is decided once, not once per way that leads there.
#[test]
fn hostile_depth_costs_no_more_than_its_length() {
    let schema = compile(json!({
        "$defs": { "n": { "anyOf": [
            { "properties": { "c": { "$ref": "#/$defs/n" } }, "required": ["a"] },
            { "properties": { "c": { "$ref": "#/$defs/n" } }, "required": ["b"] },
        ] } },
        "$ref": "#/$defs/n",
    }));
    let deep = |levels: usize| (0..levels).fold("1".to_owned(), |text, _| format!("{{\"c\":{text}}}"));
    assert!(judge(&schema, &deep(5)).iter().all(|told| told.keyword == "anyOf"));
    let text = deep(60);
    let begun = std::time::Instant::now();
    assert!(!judge(&schema, &text).is_empty());
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn the_deepest_document_that_is_read_is_judged() {
    let schema = compile(json!({ "properties": { "c": { "$ref": "#" } }, "type": "object" }));
    let text = (0..500).fold("{}".to_owned(), |text, _| format!("{{\"c\":{text}}}"));
    assert!(judge(&schema, &text).is_empty());
    let wrong = (0..500).fold("1".to_owned(), |text, _| format!("{{\"c\":{text}}}"));
    assert_eq!(judge(&schema, &wrong)[0].keyword, "schema");
}
