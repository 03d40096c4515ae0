//! The normal form that documents of every version are read into.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::{collections::BTreeMap, sync::Arc};

use bartizan_contract::{
    ContractFiles, Description,
    form::{
        Dialect, Location, Operation, Parameter, ParameterValue, ResponseStatus, SchemaRef, SchemeType, Style,
    },
    yaml::Budget,
};
use bartizan_model::Diagnostics;
use serde_json::{Value, json};

struct Folder(BTreeMap<&'static str, &'static str>);

impl ContractFiles for Folder {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        let text = self.0.get(path).ok_or_else(|| format!("the file `{path}` does not exist"))?;
        Ok(Arc::from(text.as_bytes()))
    }
}

fn load(
    text: &str,
    files: &[(&'static str, &'static str)],
) -> Result<(Description, Diagnostics), Diagnostics> {
    let folder = Folder(files.iter().copied().collect());
    Description::read(text.as_bytes(), "api.yaml", &folder, Budget::CONTRACT)
}

fn read(text: &str) -> Description {
    load(text, &[]).unwrap_or_else(|errors| panic!("{errors}")).0
}

fn quiet(text: &str) -> Description {
    let (description, warnings) = load(text, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(warnings.to_string(), "", "no warnings");
    description
}

/// A document of a version with these schemas and one operation that uses none of them.
fn with_schemas(version: &str, schemas: &str) -> String {
    format!("openapi: {version}\npaths: {{/a: {{get: {{}}}}}}\ncomponents:\n  schemas:\n{schemas}")
}

fn schema(description: &Description, pointer: &str) -> Value {
    let at = SchemaRef { document: "contract:///api.yaml".into(), pointer: pointer.into() };
    description.schemas.get(&at).unwrap_or_else(|| panic!("nothing at {pointer}")).clone()
}

fn named(description: &Description, name: &str) -> Value {
    schema(description, &format!("/components/schemas/{name}"))
}

fn resolved(description: &Description, at: &SchemaRef) -> Value {
    description.schemas.resolve(at).unwrap_or_else(|| panic!("{at} leads nowhere")).1.clone()
}

fn parameter<'o>(operation: &'o Operation, name: &str) -> &'o Parameter {
    operation.parameters.iter().find(|parameter| &*parameter.name == name).unwrap()
}

fn value(description: &Description, parameter: &Parameter) -> Value {
    match &parameter.value {
        ParameterValue::Schema(schema) => resolved(description, schema),
        other => panic!("{other:?}"),
    }
}

#[test]
fn parameters_have_styles_whether_or_not_they_state_them() {
    let description = quiet(
        r#"
openapi: 3.0.3
paths:
  /a/{id}/{tail}:
    parameters:
      - { name: id, in: path, required: true, style: matrix, explode: true, schema: { type: array, items: { type: string } } }
      - { name: page, in: query, schema: { type: integer } }
      - { name: X-Trace, in: header, required: true, schema: { type: string } }
    get:
      parameters:
        - { name: page, in: query, required: true, deprecated: true, allowEmptyValue: true, schema: { type: string } }
        - { name: filter, in: query, style: deepObject, allowReserved: true, schema: { type: object } }
        - { name: ids, in: query, style: pipeDelimited, schema: { type: array, items: { type: integer } } }
        - { name: sid, in: cookie, schema: { type: string } }
        - { name: Accept, in: header, schema: { type: string, enum: [never] } }
        - { name: q, in: query, content: { application/json: { schema: { type: object } } } }
"#,
    );
    let operation = &description.operations[0];
    let shape = |name: &str| {
        let parameter = parameter(operation, name);
        (parameter.location, parameter.style, parameter.explode, parameter.required)
    };
    assert_eq!(shape("id"), (Location::Path, Style::Matrix, true, true));
    assert_eq!(shape("tail"), (Location::Path, Style::Simple, false, true));
    assert_eq!(parameter(operation, "tail").value, ParameterValue::Anything);
    assert_eq!(shape("page"), (Location::Query, Style::Form, true, true));
    assert_eq!(value(&description, parameter(operation, "page")), json!({ "type": "string" }));
    assert!(parameter(operation, "page").deprecated && parameter(operation, "page").allow_empty);
    assert_eq!(shape("filter"), (Location::Query, Style::DeepObject, true, false));
    assert!(parameter(operation, "filter").allow_reserved);
    assert_eq!(shape("ids"), (Location::Query, Style::PipeDelimited, false, false));
    assert_eq!(shape("x-trace"), (Location::Header, Style::Simple, false, true));
    assert_eq!(shape("sid"), (Location::Cookie, Style::Form, true, false));
    assert!(!operation.parameters.iter().any(|parameter| &*parameter.name == "accept"));
    let ParameterValue::Content(media) = &parameter(operation, "q").value else { panic!() };
    assert_eq!(media.range.essence(), "application/json");
    assert_eq!(operation.parameters.len(), 8);
    let place = parameter(operation, "filter").place.as_ref().unwrap();
    assert_eq!((place.file.as_str(), place.line), ("api.yaml", 12));
}

#[test]
fn swagger_is_read_as_what_it_means() {
    let description = quiet(
        r##"
swagger: "2.0"
info: { title: Old, version: "1" }
host: api.example.com:8080
basePath: /v2
schemes: [http, https]
consumes: [application/json, application/xml]
produces: [application/json]
securityDefinitions:
  basic: { type: basic }
  key: { type: apiKey, in: header, name: X-Key }
  oauth: { type: oauth2, flow: accessCode, authorizationUrl: https://id.example.com/a, tokenUrl: http://id.example.com/t, scopes: { read: r } }
security: [{ oauth: [read] }]
parameters:
  limit: { name: limit, in: query, type: integer, format: int32, minimum: 0, exclusiveMinimum: true }
responses:
  Gone: { description: gone, schema: { $ref: "#/definitions/Error" } }
definitions:
  Error: { type: object, required: [code], properties: { code: { type: string, x-nullable: true, enum: [a] } } }
paths:
  /pets:
    parameters: [{ $ref: "#/parameters/limit" }]
    get:
      produces: [text/csv]
      parameters:
        - { name: tags, in: query, type: array, collectionFormat: multi, items: { type: string, maxLength: 3 } }
        - { name: ids, in: query, type: array, collectionFormat: ssv, items: { type: integer } }
        - { name: Authorization, in: header, type: string, required: true }
      responses:
        "200": { description: ok, schema: { type: file }, headers: { X-Left: { type: integer } } }
        "410": { $ref: "#/responses/Gone" }
        default: { description: none }
    post:
      parameters:
        - { name: pet, in: body, required: true, schema: { $ref: "#/definitions/Error" } }
      responses: {}
    put:
      consumes: [multipart/form-data]
      parameters:
        - { name: photo, in: formData, type: file, required: true }
        - { name: note, in: formData, type: string, maxLength: 10 }
        - { name: tags, in: formData, type: array, collectionFormat: pipes, items: { type: string } }
      responses: {}
"##,
    );
    assert_eq!(
        (description.hosts.as_slice(), description.base_paths.as_slice()),
        (["api.example.com".to_owned()].as_slice(), ["/v2".to_owned()].as_slice())
    );
    let urls: Vec<_> = description.servers.iter().map(|server| server.url.as_str()).collect();
    assert_eq!(urls, ["http://api.example.com:8080/v2", "https://api.example.com:8080/v2"]);
    let kinds: Vec<_> = description.security_schemes.iter().map(|scheme| &scheme.kind).collect();
    assert_eq!(kinds[0], &SchemeType::Http("basic".into()));
    assert_eq!(kinds[1], &SchemeType::ApiKey { location: Location::Header, name: "x-key".into() });
    let SchemeType::OAuth2 { flows, urls } = kinds[2] else { panic!() };
    assert_eq!((&*flows[0], urls.len()), ("authorizationCode", 2));
    let [get, post, put] = &description.operations[..] else { panic!() };
    assert!(get.spec.security.as_ref().unwrap()[0][0].scopes);
    assert_eq!(
        value(&description, parameter(get, "limit")),
        json!({ "type": "integer", "format": "int32", "exclusiveMinimum": 0, "maximum": 2147483647 })
    );
    let tags = parameter(get, "tags");
    assert_eq!((tags.style, tags.explode), (Style::Form, true));
    assert_eq!(value(&description, tags)["items"], json!({ "type": "string", "maxLength": 3 }));
    assert_eq!((parameter(get, "ids").style, parameter(get, "ids").explode), (Style::SpaceDelimited, false));
    assert!(parameter(get, "authorization").required, "only OpenAPI 3 says that this one is ignored");
    let statuses: Vec<_> = get.responses.iter().map(|response| response.status).collect();
    assert_eq!(statuses, [ResponseStatus::Exact(200), ResponseStatus::Exact(410), ResponseStatus::Default]);
    let ok = &get.responses[0];
    assert_eq!(ok.media[0].range.essence(), "text/csv");
    assert_eq!(
        resolved(&description, ok.media[0].schema.as_ref().unwrap()),
        json!({ "type": "string", "format": "binary" })
    );
    assert_eq!(&*ok.headers[0].name, "x-left");
    assert_eq!(value(&description, &ok.headers[0]), json!({ "type": "integer" }));
    let error = resolved(&description, get.responses[1].media[0].schema.as_ref().unwrap());
    assert_eq!(error["properties"]["code"], json!({ "type": ["string", "null"], "enum": ["a", null] }));
    assert!(get.responses[2].media.is_empty());
    let body = post.body.as_ref().unwrap();
    let ranges: Vec<_> = body.media.iter().map(|media| media.range.essence()).collect();
    assert_eq!(
        (body.required, ranges.as_slice()),
        (true, ["application/json", "application/xml"].as_slice())
    );
    let form = &put.body.as_ref().unwrap().media[0];
    assert_eq!(form.range.essence(), "multipart/form-data");
    let at = form.schema.as_ref().unwrap();
    let fields = resolved(&description, at);
    assert_eq!(fields["required"], json!(["photo"]));
    let field = |name: &str| resolved(&description, &at.below("properties").below(name));
    assert_eq!(field("photo"), json!({ "format": "binary", "type": "string" }));
    assert_eq!(field("note"), json!({ "type": "string", "maxLength": 10 }));
    assert_eq!(form.encodings[0].style, Some(Style::PipeDelimited));
    // What is wrong with a field is told where the field is.
    let note = description.schemas.resolve(&at.below("properties").below("note")).unwrap().0;
    assert_eq!(description.schemas.place(&note.below("maxLength")).unwrap().line, 41);
}

#[test]
fn bodies_and_responses_have_media_types_with_encodings() {
    let description = quiet(
        r##"
openapi: 3.1.0
paths:
  /a:
    post:
      requestBody: { $ref: "#/components/requestBodies/Form" }
      responses:
        "201": { description: made, headers: { Location: { required: true, schema: { type: string } }, Content-Type: { schema: { const: x } } } }
        4XX: { description: no, content: { application/problem+json: { schema: { type: object } }, "text/*": {} } }
        default: { description: other }
components:
  requestBodies:
    Form:
      required: true
      content:
        multipart/form-data:
          schema: { type: object, properties: { photo: {}, meta: { type: object } } }
          encoding:
            photo: { contentType: "image/png, image/*", headers: { X-Size: { schema: { type: integer } } } }
            tags: { style: spaceDelimited }
"##,
    );
    let operation = &description.operations[0];
    let media = &operation.body.as_ref().unwrap().media[0];
    let photo = &media.encodings[0];
    assert_eq!(
        photo.content_types.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["image/png", "image/*"]
    );
    assert_eq!((&*photo.headers[0].name, photo.style), ("x-size", None));
    assert_eq!((media.encodings[1].style, media.encodings[1].explode), (Some(Style::SpaceDelimited), false));
    assert_eq!(operation.response(201).unwrap().headers.len(), 1);
    assert_eq!(operation.response(404).unwrap().media.len(), 2);
    assert_eq!(operation.response(404).unwrap().status, ResponseStatus::Class(4));
    assert_eq!(operation.response(500).unwrap().status, ResponseStatus::Default);
}

#[test]
fn openapi_3_2_describes_whole_queries_and_streams() {
    let description = quiet(
        r##"
openapi: 3.2.0
paths:
  /a:
    query:
      parameters:
        - { name: q, in: querystring, content: { application/x-www-form-urlencoded: { schema: { type: object } } } }
        - { name: c, in: cookie, style: cookie, schema: { type: string } }
      responses:
        "200":
          content:
            text/event-stream: { itemSchema: { type: object, required: [data] } }
            multipart/mixed: { prefixEncoding: [{ contentType: application/json }], itemEncoding: { contentType: image/png } }
            application/xml: { $ref: "#/components/mediaTypes/Xml" }
    additionalOperations: { COPY: { responses: {} } }
components:
  mediaTypes: { Xml: { schema: { type: string, xml: { nodeType: text } } } }
"##,
    );
    let operation = &description.operations[0];
    assert_eq!(operation.method.as_str(), "QUERY");
    assert_eq!(description.operations[1].method.as_str(), "COPY");
    let query = operation.query_string.as_ref().unwrap();
    assert_eq!(query.media.range.essence(), "application/x-www-form-urlencoded");
    assert_eq!(parameter(operation, "c").style, Style::Cookie);
    let media = &operation.responses[0].media;
    assert_eq!(resolved(&description, media[0].item_schema.as_ref().unwrap())["required"], json!(["data"]));
    assert_eq!(media[1].prefix_encodings[0].content_types[0].essence(), "application/json");
    assert_eq!(media[1].item_encoding.as_ref().unwrap().content_types[0].essence(), "image/png");
    assert_eq!(resolved(&description, media[2].schema.as_ref().unwrap())["xml"]["nodeType"], "text");
    let both = "openapi: 3.2.0\npaths: {/a: {get: {parameters: [{name: q, in: querystring, content: {text/plain: {}}}, {name: r, in: query, schema: {}}]}}}";
    assert!(load(both, &[]).unwrap_err().0[0].message.contains("querystring"));
}

#[test]
fn nullable_means_null_wherever_it_stands() {
    let text = with_schemas(
        "3.0.3",
        r##"
    Plain: { type: string, nullable: true }
    Listed: { type: string, nullable: true, enum: [a, b] }
    Base: { type: object, properties: { id: { type: integer, nullable: false } } }
    Combined: { nullable: true, readOnly: true, allOf: [{ $ref: "#/components/schemas/Base" }] }
    Inside: { $ref: "#/components/schemas/Combined/allOf/0" }
    Referred: { type: object, properties: { nullable: { nullable: true, oneOf: [{ type: string }, { type: integer }] } } }
"##,
    );
    let description = read(&text);
    assert_eq!(named(&description, "Plain"), json!({ "type": ["string", "null"] }));
    assert_eq!(
        named(&description, "Listed"),
        json!({ "type": ["string", "null"], "enum": ["a", "b", null] })
    );
    assert_eq!(
        named(&description, "Combined"),
        json!({ "readOnly": true, "anyOf": [{ "type": "null" }, { "allOf": [{ "$ref": "#/components/schemas/Base" }] }] })
    );
    assert_eq!(
        named(&description, "Inside"),
        json!({ "$ref": "#/components/schemas/Combined/anyOf/1/allOf/0" })
    );
    let inside =
        SchemaRef { document: "contract:///api.yaml".into(), pointer: "/components/schemas/Inside".into() };
    assert_eq!(resolved(&description, &inside), named(&description, "Base"));
    let property = &named(&description, "Referred")["properties"]["nullable"];
    assert_eq!(property["anyOf"][1]["oneOf"][1], json!({ "type": "integer" }));
    let place = description.schemas.place(&SchemaRef {
        pointer: "/components/schemas/Referred/properties/nullable/anyOf/1/oneOf/1/type".into(),
        ..inside
    });
    assert_eq!(place.unwrap().line, 11);
    // 3.1 has no such keyword; the meaning is clear, also beside `$ref`.
    let text = with_schemas(
        "3.1.0",
        "    A: { $ref: '#/components/schemas/B', nullable: true }\n    B: { type: string, nullable: true }\n",
    );
    let (description, warnings) = load(&text, &[]).unwrap();
    assert_eq!(named(&description, "A")["anyOf"][0], json!({ "type": "null" }));
    assert_eq!(named(&description, "B"), json!({ "type": ["string", "null"] }));
    assert!(warnings.0[0].message.contains("`nullable` is of OpenAPI 3.0"), "{warnings}");
}

#[test]
fn older_schemas_are_said_as_json_schema_says_them() {
    let text = with_schemas(
        "3.0.0",
        r##"
    Bounds: { type: integer, minimum: 1, exclusiveMinimum: true, maximum: 5, exclusiveMaximum: false, format: int64 }
    Small: { type: integer, format: int32, minimum: 0 }
    Notes: { type: string, title: T, description: d, example: e, x-own: { a: 1 }, default: v, deprecated: true, xml: { name: n } }
    Beside: { $ref: "#/components/schemas/Small", maximum: 3, readOnly: true }
    Numbers: { type: string, enum: [1, 2.50, "x", null] }
    Texts: { type: integer, enum: ["1", 2] }
    Words: { type: int, maxLength: "40" }
    Flags: { type: object, properties: { a: { type: string, required: true }, b: { type: string, required: false } } }
    Newer: { const: 1, patternProperties: { "^a": { type: string } } }
    Slip: { type: string, maxlength: 3 }
"##,
    );
    let (description, warnings) = load(&text, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let is = |name: &str, expected: Value| assert_eq!(named(&description, name), expected, "{name}");
    is("Bounds", json!({ "type": "integer", "exclusiveMinimum": 1, "maximum": 5, "format": "int64" }));
    is("Small", json!({ "type": "integer", "format": "int32", "minimum": 0, "maximum": 2147483647 }));
    is("Notes", json!({ "type": "string", "default": "v", "deprecated": true, "xml": { "name": "n" } }));
    is("Beside", json!({ "$ref": "#/components/schemas/Small", "readOnly": true }));
    is("Numbers", json!({ "type": "string", "enum": ["1", "2.50", "x", null] }));
    is("Texts", json!({ "type": "integer", "enum": [1, 2] }));
    is("Words", json!({ "type": "integer", "maxLength": 40 }));
    is(
        "Flags",
        json!({ "type": "object", "properties": { "a": { "type": "string" }, "b": { "type": "string" } }, "required": ["a"] }),
    );
    is("Newer", json!({ "const": 1, "patternProperties": { "^a": { "type": "string" } } }));
    is("Slip", json!({ "type": "string" }));
    let said = warnings.to_string();
    for expected in [
        "`maximum` beside `$ref`",
        "the values of `enum` are not of the `type` beside it",
        "`int` is not a type; it is read as `integer`",
        "`maxLength` is a number that is written as text",
        "`a` calls itself required",
        "`const` is not part of OpenAPI 3.0",
        "`maxlength` is no keyword",
        "did you mean `maxLength`?",
        "api.yaml:9:",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
}

#[test]
fn dialects_are_those_that_the_document_states() {
    let text = "openapi: 3.1.0\njsonSchemaDialect: http://json-schema.org/draft-04/schema#\npaths: {/a: {get: {}}}\ncomponents: {schemas: {A: {id: a, minimum: 1, exclusiveMinimum: true, items: [{type: string}]}}}";
    let description = quiet(text);
    assert_eq!(description.schemas.documents()[0].dialect, Dialect::Draft4);
    assert_eq!(
        named(&description, "A"),
        json!({ "id": "a", "minimum": 1, "exclusiveMinimum": true, "items": [{ "type": "string" }] })
    );
    let text = with_schemas(
        "3.1.0",
        "    A: { $id: 'https://x.example/a', $defs: { b: { $anchor: b, type: string } }, $ref: '#b', $dynamicRef: '#n' }\n    B: { $ref: 'https://x.example/a' }\n    C: { $schema: 'http://json-schema.org/draft-07/schema#', items: [{ type: string }] }\n",
    );
    let description = quiet(&text);
    assert_eq!(named(&description, "A")["$ref"], "#b");
    assert_eq!(named(&description, "B")["$ref"], "https://x.example/a");
    assert_eq!(named(&description, "C")["items"], json!([{ "type": "string" }]));
    let unknown = "openapi: 3.1.0\njsonSchemaDialect: https://example.com/own\npaths: {/a: {get: {}}}";
    assert!(load(unknown, &[]).unwrap().1.to_string().contains("dialect"));
}
