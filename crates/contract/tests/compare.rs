//! What a new version of a contract changes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests assert")]

use bartizan_contract::{
    Description,
    compare::{Change, Effect, compare},
    yaml::Budget,
};

const BASE: &str = r##"openapi: 3.0.3
info: { title: T, version: "1" }
security: [{ oauth: [read] }]
paths:
  /a/{id}:
    post:
      parameters:
        - { name: id, in: path, required: true, schema: { type: string } }
        - { name: sort, in: query, schema: { type: string, enum: [up, down] } }
      requestBody:
        content: { application/json: { schema: { $ref: "#/components/schemas/In" } } }
      responses:
        "200": { description: ok, headers: { X-Left: { required: true, schema: { type: integer } } }, content: { application/json: { schema: { $ref: "#/components/schemas/Out" } } } }
  /b: { get: { responses: {} } }
components:
  securitySchemes: { oauth: { type: oauth2, flows: {} } }
  schemas:
    In:
      type: object
      required: [name]
      additionalProperties: false
      properties:
        name: { type: string, maxLength: 10 }
        count: { type: integer }
        role: { type: string, readOnly: true }
        kind: { oneOf: [{ $ref: "#/components/schemas/X" }, { $ref: "#/components/schemas/Y" }], discriminator: { propertyName: t } }
    Out: { type: object, required: [id], properties: { id: { type: integer }, state: { type: string, enum: [on] } } }
    X: { type: object, properties: { t: { type: string } } }
    Y: { type: object, properties: { t: { type: string } } }
    Z: { type: object, properties: { t: { type: string } } }
"##;

fn read(text: &str) -> Description {
    Description::read_one(text.as_bytes(), "api.yaml", Budget::CONTRACT).unwrap_or_else(|e| panic!("{e}")).0
}

fn changes(from: &str, to: &str) -> Vec<Change> {
    let text = BASE.replace(from, to);
    assert_ne!(text, BASE, "`{from}` is not in the document");
    compare(&read(BASE), &read(&text))
}

/// The one change that a replacement makes.
fn change(from: &str, to: &str) -> (&'static str, bool, Option<Effect>, String) {
    let all = changes(from, to);
    let [one] = all.as_slice() else { panic!("{from} -> {to}: {all:#?}") };
    (one.kind, one.breaking, one.security, one.message.clone())
}

const LOOSER: Option<Effect> = Some(Effect::Loosened);
const TIGHTER: Option<Effect> = Some(Effect::Tightened);

#[test]
fn the_same_contract_changes_nothing() {
    assert_eq!(compare(&read(BASE), &read(BASE)), []);
    let (old, new) =
        (read(BASE), read(&BASE.replace("/a/{id}", "/a/{ref}").replace("name: id,", "name: ref,")));
    assert_eq!(compare(&old, &new), [], "the name of a parameter of the path is nobody's business");
}

#[test]
fn each_change_is_told_with_what_it_does() {
    for (from, to, kind, breaking, security, said) in [
        ("  /b: { get: { responses: {} } }\n", "", "operation-removed", true, None, "`GET /b` is gone"),
        (
            "/b: { get:",
            "/b: { put: { security: [], responses: {} }, get:",
            "operation-added",
            false,
            LOOSER,
            "anybody may call",
        ),
        (
            "/b: { get:",
            "/b: { put: { responses: {} }, get:",
            "operation-added",
            false,
            None,
            "`PUT /b` is new",
        ),
        ("/b: { get: {", "/b: { get: { deprecated: true,", "operation-deprecated", false, None, "deprecated"),
        (
            "schema: { type: string, enum: [up, down] }",
            "required: true, schema: { type: string, enum: [up, down] }",
            "parameter-required",
            true,
            TIGHTER,
            "`sort` must be sent now",
        ),
        (
            "- { name: sort, in: query, schema: { type: string, enum: [up, down] } }",
            "",
            "parameter-removed",
            true,
            TIGHTER,
            "`sort` is gone",
        ),
        (
            "      requestBody:\n        content",
            "      requestBody:\n        required: true\n        content",
            "body-required",
            true,
            TIGHTER,
            "must be sent",
        ),
        ("enum: [up, down]", "enum: [up]", "request-narrowed", true, TIGHTER, "the value `down` is gone"),
        (
            "enum: [up, down]",
            "enum: [up, down, left]",
            "request-widened",
            false,
            LOOSER,
            "the value `left` is new",
        ),
        ("maxLength: 10", "maxLength: 5", "request-narrowed", true, TIGHTER, "`maxLength` was 10 and is 5"),
        ("maxLength: 10", "maxLength: 50", "request-widened", false, LOOSER, "`maxLength` was 10 and is 50"),
        (
            "count: { type: integer }",
            "count: { type: number }",
            "request-widened",
            false,
            LOOSER,
            "it may be `number`",
        ),
        (
            "count: { type: integer }",
            "count: { type: integer, nullable: true }",
            "request-widened",
            false,
            LOOSER,
            "`null`",
        ),
        (
            "required: [name]",
            "required: [name, count]",
            "request-narrowed",
            true,
            TIGHTER,
            "`count` must be there now",
        ),
        ("        count: { type: integer }\n", "", "property-removed", true, TIGHTER, "`count` is gone"),
        (
            "role: { type: string, readOnly: true }",
            "role: { type: string }",
            "property-added",
            false,
            LOOSER,
            "not `readOnly` any more",
        ),
        (
            "additionalProperties: false",
            "additionalProperties: true",
            "request-widened",
            false,
            LOOSER,
            "not declared",
        ),
        (
            "properties: { id: { type: integer }",
            "properties: { more: { type: string }, id: { type: integer }",
            "property-added",
            false,
            LOOSER,
            "`more` is new",
        ),
        ("enum: [on]", "enum: [on, off]", "response-widened", true, LOOSER, "the value `off` is new"),
        ("required: [id]", "required: []", "response-widened", true, LOOSER, "`id` may be missing"),
        ("X-Left: { required: true,", "X-Left: {", "header-removed", true, None, "`x-left`"),
    ] {
        let (found, breaks, effect, message) = change(from, to);
        assert_eq!((found, breaks, effect), (kind, breaking, security), "{from} -> {to}: {message}");
        assert!(message.contains(said), "{from} -> {to}: {message}");
    }
}

#[test]
fn who_may_call_is_compared_as_sets_of_ways_in() {
    let kinds = |to: &str| -> Vec<(&'static str, bool)> {
        let all = changes("security: [{ oauth: [read] }]", to);
        let of_b = all.iter().filter(|change| change.operation == "GET /b");
        of_b.map(|change| (change.kind, change.breaking)).collect()
    };
    assert_eq!(kinds("security: []"), [("security-loosened", false)]);
    assert_eq!(kinds("security: [{ oauth: [] }]"), [("security-loosened", false)]);
    assert_eq!(kinds("security: [{ oauth: [read] }, { key: [] }]"), [("security-loosened", false)]);
    assert_eq!(kinds("security: [{ oauth: [read, write] }]"), [("security-tightened", true)]);
    assert_eq!(
        kinds("security: [{ key: [] }]"),
        [("security-loosened", false), ("security-tightened", true)]
    );
}

#[test]
fn a_new_kind_is_told_by_its_name() {
    let all = changes(
        r##"{ $ref: "#/components/schemas/Y" }]"##,
        r##"{ $ref: "#/components/schemas/Y" }, { $ref: "#/components/schemas/Z" }]"##,
    );
    let told: Vec<_> = all.iter().map(|change| (change.kind, change.message.as_str())).collect();
    assert_eq!(
        told,
        [("request-widened", "the body (`application/json`) at `kind.t`: the value `Z` is new")]
    );
}
