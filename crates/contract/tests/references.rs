//! Files, references, kinds and patterns: what leads where, and what is said when it leads nowhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::{collections::BTreeMap, sync::Arc};

use bartizan_contract::{ContractFiles, Description, form::SchemaRef, yaml::Budget};
use bartizan_model::Diagnostics;
use serde_json::{Value, json};

struct Folder(BTreeMap<&'static str, &'static str>);

impl ContractFiles for Folder {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        let text = self.0.get(path).ok_or_else(|| format!("the file `{path}` does not exist"))?;
        Ok(Arc::from(text.as_bytes()))
    }
}

type Loaded = Result<(Description, Diagnostics), Diagnostics>;

fn load(text: &str, files: &[(&'static str, &'static str)]) -> Loaded {
    let folder = Folder(files.iter().copied().collect());
    Description::read(text.as_bytes(), "api.yaml", &folder, Budget::CONTRACT)
}

fn told(text: &str, files: &[(&'static str, &'static str)]) -> String {
    load(text, files).expect_err("it is wrong").to_string()
}

fn at(document: &str, pointer: &str) -> SchemaRef {
    SchemaRef { document: format!("contract:///{document}").into(), pointer: pointer.into() }
}

fn named(description: &Description, name: &str) -> Value {
    let at = at("api.yaml", &format!("/components/schemas/{name}"));
    description.schemas.get(&at).unwrap_or_else(|| panic!("no {name}")).clone()
}

#[test]
fn files_refer_to_files_relative_to_themselves() {
    let text = r##"
openapi: 3.0.3
paths:
  /pets: { $ref: "paths/pets.yaml" }
  /owners: { $ref: "paths/pets.yaml#/x-owners" }
components: { schemas: { Local: { type: string } } }
"##;
    let files = [
        (
            "paths/pets.yaml",
            "get:\n  parameters: [{ $ref: '../shared.json#/parameters/limit' }]\n  responses:\n    '200': { $ref: '../shared.json#/responses/Pets' }\nx-owners: { post: { requestBody: { content: { application/json: { schema: { $ref: '../api.yaml#/components/schemas/Local' } } } } } }\n",
        ),
        (
            "shared.json",
            r##"{ "parameters": { "limit": { "name": "limit", "in": "query", "schema": { "$ref": "schemas/a b.yaml#/Limit" } } },
 "responses": { "Pets": { "content": { "application/json": { "schema": { "$ref": "schemas/pet.yaml" } } } } } }"##,
        ),
        ("schemas/a b.yaml", "Limit: { type: integer, maximum: 100 }\nUnused: { type: nonsense }\n"),
        (
            "schemas/pet.yaml",
            "type: object\nproperties:\n  parent: { $ref: '#' }\n  tag: { $ref: '#/definitions/Tag' }\ndefinitions: { Tag: { type: string, nullable: true } }\n",
        ),
    ];
    let (description, warnings) = load(text, &files).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(warnings.to_string(), "");
    let mut read = description.files.clone();
    read.sort();
    assert_eq!(read, ["api.yaml", "paths/pets.yaml", "schemas/a b.yaml", "schemas/pet.yaml", "shared.json"]);
    let [pets, owners] = &description.operations[..] else { panic!() };
    let media = &pets.responses[0].media[0];
    let (found, pet) = description.schemas.resolve(media.schema.as_ref().unwrap()).unwrap();
    assert_eq!(found, at("schemas/pet.yaml", ""));
    assert_eq!(pet["properties"]["parent"], json!({ "$ref": "#" }));
    let tag = description.schemas.resolve(&found.below("properties").below("tag")).unwrap();
    assert_eq!(tag.1, &json!({ "type": ["string", "null"] }));
    assert_eq!(description.schemas.place(&tag.0).unwrap().to_string(), "schemas/pet.yaml:5:16");
    let bartizan_contract::form::ParameterValue::Schema(limit) = &pets.parameters[0].value else { panic!() };
    let (found, _) = description.schemas.resolve(limit).unwrap();
    assert_eq!(found.uri(), "contract:///schemas/a%20b.yaml#/Limit");
    let body = owners.body.as_ref().unwrap().media[0].schema.as_ref().unwrap();
    assert_eq!(description.schemas.resolve(body).unwrap().1, &json!({ "type": "string" }));
    assert!(description.schemas.get(&at("schemas/a b.yaml", "/Unused")).is_none(), "nobody refers to it");
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_place_pointer_and_remedy() {
    let text = r##"
openapi: 3.0.3
paths:
  /a:
    get:
      parameters:
        - { name: x, schema: {} }
        - { in: query, schema: {} }
        - { name: y, in: body }
        - { $ref: "#/components/parameters/gone" }
        - { name: z, in: query, schema: { $ref: "https://example.com/z.json" } }
      responses: { "200": { $ref: "../../etc/passwd" } }
components:
  schemas:
    A: { type: nonsense, maxLength: many, required: 5, enum: [], allOf: {}, properties: [] }
    B: { $ref: "missing.yaml#/B" }
    C: { $ref: "broken.yaml#/C" }
    D: 7
    E: { $ref: "#/components/schemas/F/properties" }
    F: { properties: { x: {} } }
"##;
    let said = told(text, &[("broken.yaml", "a: [1\n")]);
    for expected in [
        "api.yaml:7:11: error: the parameter does not say where it is sent (at `#/paths/~1a/get/parameters/0`)",
        "api.yaml:8:11: error: the parameter has no name",
        "api.yaml:9:11: error: parameters are not sent in `body`",
        "describe the body in `requestBody`",
        "api.yaml:10:13: error: `#/components/parameters/gone` leads nowhere",
        "`https://example.com/z.json` lies on the network",
        "nothing is fetched",
        "`../../etc/passwd` lies outside of the contract's folder",
        "`nonsense` is not a type (at `#/components/schemas/A/type`)",
        "`maxLength` is a number, found text",
        "`required` is a list of names",
        "`enum` is a list with at least one value",
        "this is a list of schemas, found a map",
        "`properties` is a map of schemas, found a list",
        "the file `missing.yaml` does not exist",
        "not valid YAML",
        "a schema is a map of keywords, found a number",
        "leads to a part of a schema that is no schema itself",
    ] {
        assert!(said.contains(expected), "{expected}\n---\n{said}");
    }
}

#[test]
fn references_that_circle_are_told() {
    let text = "openapi: 3.0.0\npaths: {/a: {get: {parameters: [{$ref: '#/components/parameters/p'}]}}}\ncomponents: {parameters: {p: {$ref: '#/components/parameters/q'}, q: {$ref: '#/components/parameters/p'}}}";
    assert!(told(text, &[]).contains("references lead from one to the next"));
    // Schemas may contain themselves.
    let text = "openapi: 3.0.0\npaths: {/a: {get: {}}}\ncomponents: {schemas: {A: {type: object, properties: {a: {$ref: '#/components/schemas/A'}}}}}";
    let (description, _) = load(text, &[]).unwrap();
    assert_eq!(named(&description, "A")["properties"]["a"], json!({ "$ref": "#/components/schemas/A" }));
}

#[test]
fn operations_in_files_that_are_not_there_are_known_by_name() {
    let text = "openapi: 3.0.0\nsecurity: [{k: []}]\npaths:\n  /a/{id}:\n    get: {$ref: gone/get.yaml}\n    put: {$ref: gone/put.yaml}\n";
    let (description, warnings) = load(text, &[]).unwrap();
    assert!(description.operations.iter().all(|operation| operation.opaque));
    assert_eq!(description.operations[0].parameters.len(), 1);
    assert!(description.operations[0].spec.security.is_some(), "what the document demands of all holds");
    assert!(warnings.to_string().contains("only method and path are known"), "{warnings}");
    assert!(told("openapi: 3.0.0\npaths:\n  /a: {$ref: gone.yaml}\n", &[]).contains("does not exist"));
}

const KINDS: &str = r##"
openapi: 3.0.3
paths: { /a: { post: { requestBody: { content: { application/json: { schema: { $ref: "#/components/schemas/Animal" } } } } } } }
components:
  schemas:
    Animal: { type: object, required: [kind], properties: { kind: { type: string } }, discriminator: { propertyName: kind, mapping: { cat: "#/components/schemas/Cat", dog: Dog } } }
    Cat: { allOf: [{ $ref: "#/components/schemas/Animal" }, { type: object, properties: { lives: { type: integer } } }] }
    Dog: { allOf: [{ $ref: "#/components/schemas/Animal" }, { type: object, properties: { good: { type: boolean } } }] }
    Puppy: { allOf: [{ $ref: "#/components/schemas/Dog" }] }
    Shape: { oneOf: [{ $ref: "#/components/schemas/Square" }, { $ref: "#/components/schemas/Circle" }], discriminator: { propertyName: of } }
    Square: { type: object, properties: { of: { type: string, enum: [square, box] } } }
    Circle: { type: object, properties: { of: { type: string } } }
    Mixed: { oneOf: [{ $ref: "#/components/schemas/Square" }, { type: string }], discriminator: { propertyName: of } }
"##;

#[test]
fn a_value_that_names_its_kind_is_checked_by_that_kind() {
    let (description, _) = load(KINDS, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let rule = |property: &str, test: Value, then: &str| json!({ "if": { "required": [property], "properties": { property: test } }, "then": { "$ref": format!("#/components/schemas/{then}") } });
    let shape = named(&description, "Shape");
    assert!(shape.get("oneOf").is_none());
    assert_eq!(
        shape["allOf"],
        json!([
            { "type": "object", "required": ["of"], "properties": { "of": { "enum": ["square", "box", "Circle"] } } },
            rule("of", json!({ "enum": ["square", "box"] }), "Square"),
            rule("of", json!({ "const": "Circle" }), "Circle"),
        ])
    );
    let place = description.schemas.place(&at("api.yaml", "/components/schemas/Shape/allOf/2/then"));
    assert_eq!(place.unwrap().line, 10);
    assert_eq!(
        named(&description, "Mixed")["oneOf"].as_array().unwrap().len(),
        2,
        "not all of them have names"
    );
    // A use of the base is checked by its kind; what builds on the base is not, or it would contain itself.
    let body = description.operations[0].body.as_ref().unwrap().media[0].schema.as_ref().unwrap();
    let (found, animal) = description.schemas.resolve(body).unwrap();
    assert_eq!(&*found.pointer, "/x-subtypes/components~1schemas~1Animal");
    let expected = json!([
        { "$ref": "#/components/schemas/Animal" },
        rule("kind", json!({ "const": "cat" }), "Cat"),
        rule("kind", json!({ "const": "dog" }), "Dog"),
        rule("kind", json!({ "const": "Puppy" }), "Puppy"),
        { "properties": { "kind": { "enum": ["Animal", "cat", "dog", "Puppy"] } } },
    ]);
    assert_eq!(animal["allOf"], expected);
    assert_eq!(named(&description, "Cat")["allOf"][0], json!({ "$ref": "#/components/schemas/Animal" }));
    assert_eq!(description.schemas.place(&found).unwrap().line, 6);
    let broken = KINDS
        .replace("dog: Dog", "dog: Wolf")
        .replace("propertyName: of }", "propertyName: of, mapping: { a: Wolf } }");
    assert!(told(&broken, &[]).contains("the mapping of `a` leads nowhere"));
    assert!(told(&broken, &[]).contains("the mapping of `dog` leads nowhere"));
}

#[test]
fn patterns_that_look_around_are_rewritten_or_told() {
    let text = r##"
openapi: 3.0.3
paths: { /a: { get: {} } }
components:
  schemas:
    Password: { type: string, allOf: [{ minLength: 1 }], pattern: '^(?=.*\d)(?!.*\s).{8,}$' }
    NotBlank: { type: string, pattern: '^(?!\s*$)' }
    Twice: { type: string, pattern: '(a)\1' }
    Slashes: { type: string, pattern: '/^[a-z]+$/' }
"##;
    let (description, warnings) = load(text, &[]).unwrap();
    assert_eq!(
        named(&description, "Password"),
        json!({ "type": "string", "allOf": [
            { "minLength": 1 }, { "pattern": r"^(?:.*\d)" }, { "pattern": "^.{8,}$" },
            { "not": { "type": "string", "pattern": r"^(?:.*\s)" } },
        ] })
    );
    assert_eq!(named(&description, "NotBlank"), json!({ "type": "string", "pattern": r"\S" }));
    assert_eq!(named(&description, "Twice"), json!({ "type": "string" }));
    assert_eq!(named(&description, "Slashes"), json!({ "type": "string", "pattern": "^[a-z]+$" }));
    let place = description.schemas.place(&at("api.yaml", "/components/schemas/Password/allOf/3"));
    assert_eq!(place.unwrap().to_string(), "api.yaml:6:58");
    let said = warnings.to_string();
    assert!(said.contains("it is not checked (at `#/components/schemas/Twice/pattern`)"), "{said}");
    assert!(said.contains(r#"write `allOf: [{"pattern":"^(?:.*\\d)"}"#), "{said}");
    let named = "openapi: 3.1.0\npaths: {/a: {get: {}}}\ncomponents: {schemas: {A: {patternProperties: {'^(?!x)': true}}}}";
    assert!(told(named, &[]).contains("more than linear time"));
}
