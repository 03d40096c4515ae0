//! Whole requests and responses against whole documents.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests assert")]

use bartizan_pattern::body::{self, BodyLimits, Buffers};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::*;
use crate::{
    Description,
    shape::{Direction, Noticed, ProofClass},
    yaml::Budget,
};

fn checks(document: &Value) -> Checks {
    let text = serde_json::to_vec(document).unwrap();
    let (description, _) = Description::read_one(&text, "t.json", Budget::CONTRACT).unwrap();
    compile(&description).unwrap()
}

fn operation(operation: Value) -> Value {
    json!({ "openapi": "3.1.0", "info": { "title": "t", "version": "1" }, "paths": { "/t": { "post": operation } } })
}

/// What is wrong with a query, as `name keyword`, and what nothing names.
fn query(parameters: Value, query: &str) -> (Vec<String>, Vec<String>) {
    let checks = checks(&operation(json!({ "parameters": parameters, "responses": {} })));
    let headers = HeaderMap::new();
    let request = RequestHead { path: "/t", query: Some(query), headers: &headers };
    let found = checks.operation("POST /t").unwrap().head(&checks, &request);
    let told = found.violations.iter().map(|v| format!("{}{} {}", v.name, v.pointer, v.keyword)).collect();
    (told, found.undeclared_names)
}

fn parameter(style: &str, explode: bool, schema: Value) -> Value {
    json!([{ "name": "p", "in": "query", "style": style, "explode": explode, "schema": schema }])
}

#[test]
fn styles_of_queries_are_read_as_the_contract_says() {
    let integers = || json!({ "type": "array", "items": { "type": "integer" }, "minItems": 2 });
    let object = || {
        json!({ "type": "object", "properties": { "r": { "type": "integer" }, "g": { "type": "string" } },
        "required": ["r", "g"], "additionalProperties": false })
    };
    for (style, explode, schema, text) in [
        ("form", true, json!({ "type": "integer" }), "p=7"),
        ("form", true, json!({ "type": "boolean" }), "p=true"),
        ("form", true, json!({ "type": "string", "format": "byte" }), "p=aGVsbG8%3D"),
        ("form", true, json!({ "type": "number" }), "p=-1.5e3"),
        ("form", true, json!({ "type": "string", "const": "a b&c" }), "p=a+b%26c"),
        ("form", true, json!({ "type": ["string", "integer"], "minLength": 1 }), "p=7"),
        (
            "form",
            true,
            json!({ "anyOf": [{ "type": "integer", "minimum": 10 }, { "type": "string" }] }),
            "p=7",
        ),
        ("form", true, integers(), "p=1&p=2"),
        ("form", false, integers(), "p=1,2"),
        ("spaceDelimited", false, integers(), "p=1%202"),
        ("spaceDelimited", false, integers(), "p=1+2"),
        ("pipeDelimited", false, integers(), "p=1%7C2"),
        ("pipeDelimited", false, integers(), "p=1|2"),
        ("form", true, object(), "r=1&g=x"),
        ("form", false, object(), "p=r,1,g,x"),
        ("deepObject", true, object(), "p[r]=1&p[g]=x"),
        ("deepObject", true, object(), "p%5Br%5D=1&p%5Bg%5D=x"),
    ] {
        let (told, undeclared) = query(parameter(style, explode, schema), text);
        assert!(told.is_empty() && undeclared.is_empty(), "{style} {text}: {told:?} {undeclared:?}");
    }
}

#[test]
fn what_does_not_fit_is_told_with_its_place() {
    for (style, explode, schema, text, wrong) in [
        ("form", true, json!({ "type": "integer" }), "p=x", "p type"),
        ("form", true, json!({ "type": "string", "format": "byte" }), "p=aGVsbG8", "p format"),
        ("form", true, json!({ "type": "string", "format": "byte" }), "p=!!!!", "p format"),
        ("form", true, json!({ "type": "number" }), "p=1e309", "p type"),
        ("form", true, json!({ "type": "integer" }), "p=007", "p type"),
        ("form", true, json!({ "type": "integer" }), "p=1&p=2", "p repeated"),
        ("form", true, json!({ "type": "string" }), "p=%zz", "p encoding"),
        ("form", true, json!({ "type": "string" }), "p=%ff", "p encoding"),
        ("form", true, json!({ "type": "array", "items": { "type": "integer" } }), "p=1&p=x", "p/1 type"),
        ("form", true, json!({ "type": "string", "maxLength": 2 }), "p=%2531", "p maxLength"),
        ("form", false, json!({ "type": "array", "items": { "enum": ["a", "b"] } }), "p=a%2Cb", "p/0 enum"),
    ] {
        let (told, _) = query(parameter(style, explode, schema), text);
        assert_eq!(told, [wrong], "{style} {text}");
    }
    let (told, undeclared) =
        query(json!([{ "name": "p", "in": "query", "required": true, "schema": {} }]), "q=1&r");
    assert_eq!((told, undeclared), (vec!["p required".to_owned()], vec!["q".to_owned(), "r".to_owned()]));
    let empty =
        json!([{ "name": "p", "in": "query", "allowEmptyValue": true, "schema": { "type": "integer" } }]);
    assert!(query(empty, "p=").0.is_empty());
    let of_json = json!([{ "name": "p", "in": "query",
        "content": { "application/json": { "schema": { "required": ["a"] } } } }]);
    assert!(query(of_json.clone(), "p=%7B%22a%22:1%7D").0.is_empty());
    assert_eq!(query(of_json.clone(), "p=%7B%7D").0, ["p required"]);
    assert_eq!(query(of_json, "p=%7B%22a%22:1,%22a%22:2%7D").0, ["p media_type"]);
}

#[test]
fn members_of_objects_that_nothing_names_are_told_with_their_pairs() {
    let object = || {
        json!({ "type": "object", "properties": { "r": { "type": "integer" },
        "o": { "type": "object", "properties": { "s": { "type": "string" } } }, "w": { "type": "string", "readOnly": true } } })
    };
    for (style, text, numbers, wrong) in [
        ("deepObject", "p[r]=1&p[z]=2", vec![1], vec![]),
        ("deepObject", "p[__proto__][admin]=1&p[o][s]=x&p[o][t]=y", vec![0, 2], vec![]),
        ("deepObject", "p[z][a]=1&p[z][b]=2&x", vec![0, 1, 2], vec![]),
        ("deepObject", "p[w]=1", vec![], vec!["p/w readOnly"]),
        ("deepObject", "p[o][s]=1&p[o]=2", vec![], vec!["p/o type"]),
        ("deepObject", "p[r]=1&p[r][s]=2", vec![], vec!["p/r type"]),
        ("form", "r=1&z=2", vec![1], vec![]),
    ] {
        let checks =
            checks(&operation(json!({ "parameters": parameter(style, true, object()), "responses": {} })));
        let headers = HeaderMap::new();
        let request = RequestHead { path: "/t", query: Some(text), headers: &headers };
        let found = checks.operation("POST /t").unwrap().head(&checks, &request);
        let told: Vec<_> =
            found.violations.iter().map(|v| format!("{}{} {}", v.name, v.pointer, v.keyword)).collect();
        assert_eq!(
            (found.undeclared, told),
            (numbers, wrong.into_iter().map(str::to_owned).collect()),
            "{text}"
        );
    }
    // What is inside one pair cannot be taken out of it.
    let (told, _) = query(parameter("form", false, object()), "p=r,1,z,2");
    assert_eq!(told, ["p/z undeclared"]);
}

#[test]
fn a_query_can_be_one_value() {
    let judge = |media: &str, required: bool, query: Option<&str>| {
        let schema = json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": "integer" },
            "l": { "type": "array", "items": { "type": "integer" } }, "w": { "type": "string", "readOnly": true } } });
        let document = json!({ "openapi": "3.2.0", "info": { "title": "t", "version": "1" }, "paths": { "/t": { "get": {
            "parameters": [{ "name": "q", "in": "querystring", "required": required, "content": { media: { "schema": schema } } }],
            "responses": { "200": { "description": "" } } } } } });
        let checks = checks(&document);
        let headers = HeaderMap::new();
        let request = RequestHead { path: "/t", query, headers: &headers };
        let found = checks.operation("GET /t").unwrap().head(&checks, &request);
        let told: Vec<_> = found
            .violations
            .iter()
            .map(|v| format!("{}{} {}", v.part.as_str(), v.pointer, v.keyword))
            .collect();
        (told.join("; "), found.undeclared)
    };
    let fine = (String::new(), vec![]);
    let form = "application/x-www-form-urlencoded";
    assert_eq!(judge(form, true, Some("a=1&l=2&l=3")), fine);
    assert_eq!(judge(form, true, Some("a=1&z=2&%7a=3")), (String::new(), vec![1, 2]));
    for (query, told) in [
        ("a=x", "query/a type"),
        ("l=2", "query required"),
        ("a=1&a=2", "query/a type"),
        ("a=1&w=x", "query/w readOnly"),
        ("a=%zz", "query/ encoding; query required"),
    ] {
        assert_eq!(judge(form, true, Some(query)).0, told, "{query}");
    }
    let json = "application/json";
    assert_eq!(judge(json, true, Some("%7B%22a%22:1%7D")), fine);
    for (query, told) in [
        ("%7B%22a%22:%22x%22%7D", "query/a type"),
        ("%7B%22a%22:1,%22z%22:2%7D", "query/z undeclared"),
        ("%7B%22a%22:1,%22a%22:2%7D", "query media_type"),
        ("a=1", "query media_type"),
        ("%ff", "query encoding"),
    ] {
        assert_eq!(judge(json, true, Some(query)).0, told, "{query}");
    }
    assert_eq!(judge(json, true, None).0, "query required");
    assert_eq!(judge(json, false, None), fine);
}

#[test]
fn paths_headers_and_cookies_have_styles_of_their_own() {
    let of = |location: &str, style: &str, explode: bool, schema: Value| json!({ "name": "p", "in": location, "style": style, "explode": explode, "required": true, "schema": schema });
    let integers = || json!({ "type": "array", "items": { "type": "integer" } });
    let object =
        || json!({ "type": "object", "properties": { "r": { "type": "integer" } }, "required": ["r"] });
    let judge = |parameter: Value, segment: &str, headers: &[(&'static str, &str)]| {
        let document = json!({ "openapi": "3.0.3", "info": { "title": "t", "version": "1" },
            "paths": { "/t/{p}": { "get": { "parameters": [parameter], "responses": { "200": { "description": "" } } } } } });
        let checks = checks(&document);
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        let path = format!("/t/{segment}");
        let request = RequestHead { path: &path, query: None, headers: &headers };
        let found = checks.operation("GET /t/{p}").unwrap().head(&checks, &request);
        found
            .violations
            .iter()
            .map(|v| format!("{}{} {}", v.part.as_str(), v.pointer, v.keyword))
            .collect::<Vec<_>>()
    };
    for (style, explode, schema, segment) in [
        ("simple", false, json!({ "type": "integer" }), "5"),
        ("simple", false, json!({ "const": "a/b" }), "a%2Fb"),
        ("simple", false, integers(), "1,2"),
        ("simple", true, object(), "r=1"),
        ("simple", false, object(), "r,1"),
        ("label", false, integers(), ".1,2"),
        ("label", true, integers(), ".1.2"),
        ("matrix", false, integers(), ";p=1,2"),
        ("matrix", true, integers(), ";p=1;p=2"),
        ("matrix", false, json!({ "type": "integer" }), ";p=5"),
    ] {
        assert!(judge(of("path", style, explode, schema), segment, &[]).is_empty(), "{style} {segment}");
    }
    assert_eq!(judge(of("path", "simple", false, json!({ "type": "integer" })), "x", &[]), ["path type"]);
    for (style, segment) in [("label", "5"), ("matrix", "5"), ("matrix", ";q=5"), ("matrix", ";pp=5")] {
        assert_eq!(judge(of("path", style, false, json!({})), segment, &[]), ["path style"], "{segment}");
        assert_eq!(judge(of("path", style, true, json!({})), segment, &[]), ["path style"], "{segment}");
    }
    assert_eq!(judge(of("header", "simple", false, integers()), "-", &[("p", "1, x")]), ["header/1 type"]);
    assert!(judge(of("header", "simple", false, integers()), "-", &[("p", "1, 2")]).is_empty());
    assert_eq!(judge(of("header", "simple", false, integers()), "-", &[]), ["header required"]);
    let cookie = of("cookie", "form", true, json!({ "type": "integer" }));
    assert!(judge(cookie.clone(), "-", &[("cookie", "a=b; p=7")]).is_empty());
    assert_eq!(judge(cookie, "-", &[("cookie", "p=7; p=8")]), ["cookie repeated"]);
}

/// What is wrong with a body: violations, then members.
fn judge(content: Value, content_type: &str, text: &[u8]) -> Vec<String> {
    let checks = checks(&operation(json!({ "requestBody": { "content": content }, "responses": {} })));
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
    let check = checks.operation("POST /t").unwrap();
    let choice = match check.media(&headers) {
        Ok(choice) => choice,
        Err(violation) => return vec![violation.keyword],
    };
    let mut buffers = Buffers::new();
    let reading = body::read(Some(content_type.as_bytes()), None, text, &BodyLimits::default(), &mut buffers);
    let found = checks.body(&choice, &reading, Direction::Request);
    let told = found.violations.iter().map(|v| format!("{} {}", v.pointer, v.keyword));
    let members = found.members.iter().map(|member| match member.noticed {
        Noticed::Undeclared => format!("{} undeclared", member.pointer),
        Noticed::ReadOnly => format!("{} readOnly", member.pointer),
        Noticed::WriteOnly => format!("{} writeOnly", member.pointer),
    });
    told.chain(members).collect()
}

fn user() -> Value {
    json!({ "type": "object", "required": ["name"], "properties": {
        "id": { "type": "integer", "readOnly": true }, "name": { "type": "string", "maxLength": 8 },
        "tags": { "type": "array", "items": { "type": "string" } }, "age": { "type": "integer" },
        "address": { "type": "object", "properties": { "city": { "type": "string" } } } } })
}

#[test]
fn json_bodies_are_judged_by_their_schema() {
    let content = || json!({ "application/json": { "schema": user() } });
    let json = "application/json";
    assert!(judge(content(), json, br#"{"name": "ann", "age": 5}"#).is_empty());
    assert_eq!(judge(content(), json, br#"{"name": 1}"#), ["/name type"]);
    assert_eq!(
        judge(content(), json, br#"{"name": "ann", "id": 1, "role": 2}"#),
        ["/id readOnly", "/role undeclared"]
    );
    assert_eq!(judge(content(), json, br#"{"name": "ann", "name": "bob"}"#), [" duplicate"]);
    assert_eq!(judge(content(), json, br#"{"name": "ann",}"#), [" malformed"]);
    assert_eq!(judge(content(), "application/json; charset=utf-16", b"{}"), ["charset"]);
    assert_eq!(judge(content(), "text/plain", b"{}"), ["media_type"]);
    assert!(judge(content(), "application/json; charset=utf-8", br#"{"name": "x"}"#).is_empty());
    let suffix = json!({ "application/vnd.x+json": { "schema": user() } });
    assert_eq!(judge(suffix, "application/vnd.x+json", br#"{}"#), [" required"]);
}

#[test]
fn a_range_lets_no_json_past_its_schema() {
    let content = || json!({ "*/*": { "schema": user() } });
    for kind in ["application/json", "text/plain", "application/octet-stream", "application/x-anything"] {
        assert_eq!(judge(content(), kind, br#" {"name": 1}"#), ["/name type"], "{kind}");
        assert_eq!(
            judge(content(), kind, b"no json"),
            [if kind == "application/json" { " malformed" } else { " type" }]
        );
    }
}

#[test]
fn json_by_another_name_is_read_as_every_reader_reads_it() {
    let open = json!({ "*/*": { "schema": { "properties": { "a": { "type": "integer" } } } } });
    for (text, told) in [
        (&b"{\"a\": 1}"[..], vec![]),
        (b"{\"a\": \"x\"}", vec!["/a type"]),
        (b"\xef\xbb\xbf{\"a\": \"x\"}", vec!["/a type"]),
        (b"{\"a\": 1, \"a\": \"x\"}", vec![" malformed"]),
        (b"{\"a\": 1e400}", vec![" malformed"]),
        (b"{\\rtf1}", vec![]),
    ] {
        assert_eq!(judge(open.clone(), "application/x-other", text), told, "{}", text.escape_ascii());
    }
}

#[test]
fn forms_are_the_object_that_their_schema_describes() {
    let content = || json!({ "application/x-www-form-urlencoded": { "schema": user() } });
    let form = "application/x-www-form-urlencoded";
    assert!(
        judge(content(), form, b"name=a+b&age=7&tags=x&tags=y&address=%7B%22city%22:%22z%22%7D").is_empty()
    );
    assert_eq!(judge(content(), form, b"name=ann&age=x"), ["/age type"]);
    assert_eq!(judge(content(), form, b"age=7"), [" required"]);
    assert_eq!(judge(content(), form, b"name=a&name=b"), ["/name type"]);
    assert_eq!(judge(content(), form, b"name=a&role=admin"), ["/role undeclared"]);
    let styled = json!({ "application/x-www-form-urlencoded": { "schema": user(),
        "encoding": { "tags": { "style": "pipeDelimited", "explode": false } } } });
    assert!(judge(styled.clone(), form, b"name=a&tags=x%7Cy").is_empty());
    assert_eq!(judge(styled, form, b"name=a&tags=x%7Cy&tags=z"), ["/tags repeated"]);
}

#[test]
fn parts_are_the_object_that_their_schema_describes() {
    let schema = json!({ "type": "object", "required": ["file"], "properties": {
        "file": { "type": "string", "format": "binary" }, "meta": user(), "n": { "type": "integer" } } });
    let content = json!({ "multipart/form-data": { "schema": schema,
        "encoding": { "file": { "contentType": "image/png, image/jpeg" } } } });
    let body = |kind: &str, n: &str| {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\nContent-Type: {kind}\r\n\r\n\u{1}\
                 \r\n--b\r\nContent-Disposition: form-data; name=\"meta\"\r\nContent-Type: application/json\r\n\r\n{{\"name\":\"a\"}}\
                 \r\n--b\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n{n}\r\n--b--\r\n"
        )
    };
    let kind = "multipart/form-data; boundary=b";
    assert!(judge(content.clone(), kind, body("image/png", "7").as_bytes()).is_empty());
    assert_eq!(judge(content.clone(), kind, body("text/html", "7").as_bytes()), ["/file media_type"]);
    assert_eq!(judge(content, kind, body("image/png", "x").as_bytes()), ["/n type"]);
}

#[test]
fn xml_is_read_by_its_annotations() {
    let schema = json!({ "type": "object", "xml": { "name": "user" }, "required": ["id"], "properties": {
        "id": { "type": "integer", "xml": { "attribute": true } }, "name": { "type": "string", "xml": { "name": "n" } },
        "tags": { "type": "array", "xml": { "wrapped": true }, "items": { "type": "integer", "xml": { "name": "tag" } } },
        "mails": { "type": "array", "items": { "type": "string", "xml": { "name": "mail" } } } } });
    let content = || json!({ "application/xml": { "schema": schema } });
    let xml = "application/xml";
    let whole =
        br#"<user id="7"><n>a</n><tags><tag>1</tag><tag>2</tag></tags><mail>x</mail><mail>y</mail></user>"#;
    assert_eq!(judge(content(), xml, whole), [""; 0]);
    assert_eq!(judge(content(), xml, b"<user><n>a</n></user>"), [" required"]);
    assert_eq!(judge(content(), xml, b"<user id='x'/>"), ["/id type"]);
    assert_eq!(judge(content(), xml, b"<user id='1'><tags><tag>x</tag></tags></user>"), ["/tags/0 type"]);
    assert_eq!(judge(content(), xml, b"<user id='1'><role>admin</role></user>"), ["/role undeclared"]);
    assert_eq!(judge(content(), xml, b"<other id='1'/>"), [" xml"]);
    let either = json!({ "type": "object", "properties": { "a": { "oneOf": [{ "type": "integer" },
        { "type": "object", "properties": { "b": { "type": "integer" } } }] } } });
    let content = || json!({ "application/xml": { "schema": either } });
    for text in ["<x><a>7</a></x>", "<x><a><b>7</b></a></x>", "<x><a/></x>"] {
        assert_eq!(judge(content(), xml, text.as_bytes()), [""; 0], "{text}");
    }
    assert_eq!(judge(content(), xml, b"<x><a>y</a></x>").len(), 1);
}

#[test]
fn text_and_bytes_are_bounded() {
    let text = json!({ "text/plain": { "schema": { "type": "string", "maxLength": 3 } } });
    assert!(judge(text.clone(), "text/plain", b"abc").is_empty());
    assert_eq!(judge(text, "text/plain", b"abcd"), [" maxLength"]);
    let bytes = json!({ "application/octet-stream": { "schema": { "type": "string", "maxLength": 3 } } });
    assert!(judge(bytes.clone(), "application/octet-stream", b"\xff\xfe\x00").is_empty());
    assert_eq!(judge(bytes, "application/octet-stream", b"\xff\xfe\x00\x01"), [" maxLength"]);
}

#[test]
fn what_fits_is_proved() {
    let schema = json!({ "type": "object", "properties": { "id": { "type": "string", "format": "uuid" },
        "n": { "type": "integer" }, "free": { "type": "string" } } });
    let document = operation(json!({
        "parameters": [{ "name": "kind", "in": "query", "schema": { "enum": ["a", "b"] } },
            { "name": "q", "in": "query", "schema": { "type": "string" } }],
        "requestBody": { "content": { "application/json": { "schema": schema } } }, "responses": {} }));
    let checks = checks(&document);
    let check = checks.operation("POST /t").unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let head = check.head(&checks, &RequestHead { path: "/t", query: Some("kind=a&q=x"), headers: &headers });
    let proved: Vec<_> = head.proofs.iter().map(|proof| (&*proof.name, proof.proof.class)).collect();
    assert_eq!(proved, [("kind", ProofClass::Enum)]);
    let text = br#"{"id": "0190b0c0-0000-7000-8000-000000000000", "n": 5, "free": "' or 1=1"}"#;
    let mut buffers = Buffers::new();
    let reading = body::read(Some(b"application/json"), None, text, &BodyLimits::default(), &mut buffers);
    let found = checks.body(&check.media(&headers).unwrap(), &reading, Direction::Request);
    let classes: Vec<_> = found.proofs.iter().map(|(node, proof)| (*node, proof.class)).collect();
    assert_eq!(classes, [(2, ProofClass::Uuid), (4, ProofClass::Integer)]);
}

#[test]
fn responses_have_what_was_promised() {
    let document = operation(json!({ "responses": {
        "200": { "description": "", "headers": { "X-Count": { "required": true, "schema": { "type": "integer" } } },
            "content": { "application/json": { "schema": user() } } },
        "4XX": { "description": "" } } }));
    let checks = checks(&document);
    let check = checks.operation("POST /t").unwrap();
    let head = |status: u16, fields: &[(&'static str, &'static str)]| {
        let headers: HeaderMap = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let found = check.response_head(&checks, StatusCode::from_u16(status).unwrap(), &headers);
        (found.issues, found.media.is_some())
    };
    let json = ("content-type", "application/json");
    assert_eq!(head(200, &[json, ("x-count", "7"), ("date", "x")]), (vec![], true));
    assert_eq!(head(500, &[]).0, [ResponseIssue::Status(500)]);
    assert_eq!(head(404, &[]).0, []);
    assert!(matches!(head(404, &[("content-type", "text/html")]).0.as_slice(), [ResponseIssue::Invalid(_)]));
    let debug = HeaderName::from_static("x-debug");
    assert_eq!(head(200, &[json, ("x-count", "7"), ("x-debug", "1")]).0, [ResponseIssue::Header(debug)]);
    assert!(matches!(head(200, &[json]).0.as_slice(), [ResponseIssue::Invalid(_)]));
    assert!(matches!(
        head(200, &[("content-type", "text/html"), ("x-count", "1")]).0.as_slice(),
        [ResponseIssue::MediaType(_)]
    ));
}

#[test]
fn members_are_cut_out_of_a_document() {
    let text = br#"{"a": 1, "b": {"x": [1, {"y": 2, "z": 3}]}, "c": 4}"#;
    let mut buffers = Buffers::new();
    let reading = body::read(Some(b"application/json"), None, text, &BodyLimits::default(), &mut buffers);
    let tape = document(&reading).unwrap();
    let keys = |names: &[&str]| {
        let all = (0..u32::try_from(tape.len()).unwrap()).filter(|at| {
            tape.value(*at).and_then(|value| value.as_str()).is_some_and(|name| names.contains(&&*name))
        });
        all.collect::<Vec<_>>()
    };
    let cut = |names: &[&str]| String::from_utf8(without_members(tape, &keys(names))).unwrap();
    assert_eq!(cut(&["a"]), r#"{"b":{"x": [1, {"y": 2, "z": 3}]},"c":4}"#);
    assert_eq!(cut(&["y", "c"]), r#"{"a":1,"b":{"x":[1,{"z":3}]}}"#);
    assert_eq!(cut(&["b", "z", "a", "c"]), "{}");
    assert_eq!(cut(&[]).as_bytes(), text);
}

#[test]
fn what_only_the_other_side_writes_need_not_be_there() {
    let user = json!({ "type": "object", "required": ["id", "name", "password"], "properties": {
        "id": { "$ref": "#/components/schemas/Id" }, "name": { "type": "string" },
        "password": { "type": "string", "writeOnly": true } } });
    let admin = json!({ "allOf": [{ "$ref": "#/components/schemas/User" }, { "required": ["id", "role", "name"] }],
        "properties": { "role": { "type": "string" } } });
    let checks = checks(
        &json!({ "openapi": "3.0.3", "info": { "title": "t", "version": "1" }, "paths": { "/t": { "post": {
        "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Admin" } } } },
        "responses": { "200": { "description": "", "content": { "application/json": {
            "schema": { "$ref": "#/components/schemas/Admin" } } } } } } } },
        "components": { "schemas": { "User": user, "Admin": admin,
            "Id": { "type": "string", "readOnly": true } } } }),
    );
    let check = checks.operation("POST /t").unwrap();
    let headers =
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let judge = |direction, text: Value| {
        let media = match direction {
            Direction::Request => check.media(&headers).unwrap(),
            Direction::Response => check.response_head(&checks, StatusCode::OK, &headers).media.unwrap(),
        };
        let text = text.to_string();
        let mut buffers = Buffers::default();
        let reading = body::read(
            Some(b"application/json"),
            None,
            text.as_bytes(),
            &BodyLimits::default(),
            &mut buffers,
        );
        let found = checks.body(&media, &reading, direction);
        found.violations.iter().map(|v| v.expectation.clone()).collect::<Vec<_>>()
    };
    let sent = json!({ "name": "ann", "role": "a", "password": "p" });
    assert_eq!(judge(Direction::Request, sent.clone()), Vec::<String>::new());
    assert_eq!(judge(Direction::Response, sent), ["the member \"id\""; 2]);
    let answered = json!({ "name": "ann", "role": "a", "id": "7" });
    assert_eq!(judge(Direction::Response, answered.clone()), Vec::<String>::new());
    assert_eq!(judge(Direction::Request, answered), ["the member \"password\""]);
    assert_eq!(
        judge(Direction::Request, json!({ "role": "a", "password": "p" })).len(),
        2,
        "`name` is required twice"
    );
}

#[test]
fn parts_of_a_mixed_body_are_items() {
    let content = || json!({ "multipart/mixed": { "itemSchema": user() } });
    let body = |second: &str| {
        format!(
            "--b\r\nContent-Type: application/json\r\n\r\n{{\"name\":\"a\"}}\r\n--b\r\nContent-Type: application/json\r\n\r\n{second}\r\n--b--\r\n"
        )
    };
    let kind = "multipart/mixed; boundary=b";
    assert_eq!(judge(content(), kind, body("{\"name\":\"b\"}").as_bytes()), [""; 0]);
    assert_eq!(judge(content(), kind, body("{\"name\":1}").as_bytes()), ["/1/name type"]);
    assert_eq!(
        judge(content(), kind, body("{\"name\":\"b\",\"role\":1}").as_bytes()),
        ["/1/role undeclared"]
    );
}
