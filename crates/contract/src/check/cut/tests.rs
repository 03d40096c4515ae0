//! What is taken out is gone, and all else is byte for byte as it came.
#![allow(clippy::unwrap_used, reason = "tests assert")]

use bartizan_pattern::body::{self, BodyLimits, Buffers};
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};

use crate::{
    Description,
    check::compile,
    shape::{Direction, Noticed},
    yaml::Budget,
};

/// What is left of a body, and the pointers of what has no business in it.
fn left(content: &Value, kind: &str, bytes: &[u8]) -> (Result<String, &'static str>, Vec<String>) {
    let document = json!({ "openapi": "3.1.0", "info": { "title": "t", "version": "1" }, "paths": { "/t": { "post": {
        "requestBody": { "content": content }, "responses": {} } } } });
    let text = serde_json::to_vec(&document).unwrap();
    let (description, _) = Description::read_one(&text, "t.json", Budget::CONTRACT).unwrap();
    let checks = compile(&description).unwrap();
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_str(kind).unwrap())]);
    let choice = checks.operation("POST /t").unwrap().media(&headers).unwrap();
    let (limits, mut buffers) = (BodyLimits::default(), Buffers::new());
    let reading = body::read(Some(kind.as_bytes()), None, bytes, &limits, &mut buffers);
    let found = checks.body(&choice, &reading, Direction::Response);
    let pointers = found.members.into_iter().map(|member| member.pointer).collect();
    let cut = |noticed| matches!(noticed, Noticed::Undeclared | Noticed::WriteOnly);
    let left = checks.without(&choice, &reading, Direction::Response, &cut);
    (left.map(|left| String::from_utf8(left).unwrap()), pointers)
}

fn xml() -> Value {
    json!({ "application/xml": { "schema": { "type": "object", "xml": { "name": "user" }, "properties": {
        "id": { "type": "integer", "xml": { "attribute": true } },
        "name": { "type": "string", "xml": { "name": "n" } },
        "pin": { "type": "string", "writeOnly": true },
        "note": { "type": "object", "properties": { "text": { "type": "string", "xml": { "nodeType": "text" } } } },
        "free": { "type": "object", "additionalProperties": true },
        "tags": { "type": "array", "xml": { "wrapped": true }, "items": { "type": "integer", "xml": { "name": "tag" } } },
        "mails": { "type": "array", "items": { "type": "object", "properties": { "to": { "type": "string" } },
            "xml": { "name": "mail" } } } } } } })
}

#[test]
fn elements_and_attributes_go_with_all_that_is_in_them() {
    for (before, after, pointers) in [
        (
            "<user id='1' role = \"a>b\"  >\n <n>A</n></user>",
            "<user id='1'  >\n <n>A</n></user>",
            &["/role"][..],
        ),
        (
            "<?xml version=\"1.0\"?>\r\n<user><secret a='1'><n>x</n></secret><!-- c --><n>A</n> <pin/></user>\n",
            "<?xml version=\"1.0\"?>\r\n<user><!-- c --><n>A</n> </user>\n",
            &["/secret", "/pin"],
        ),
        (
            "<user><mail><to>a</to></mail><mail><to>b</to><bcc>c</bcc></mail></user>",
            "<user><mail><to>a</to></mail><mail><to>b</to></mail></user>",
            &["/mails/1/bcc"],
        ),
        (
            "<user><tags count='2'><tag x='1'>1</tag></tags></user>",
            "<user><tags><tag>1</tag></tags></user>",
            &["/tags/count", "/tags/0/x"],
        ),
        // A text has nothing inside, and an object no text.
        (
            "<user>hidden<n>A<secret>x</secret></n></user>",
            "<user><n>A</n></user>",
            &["/#text", "/name/secret"],
        ),
        (
            "<user>\n <note>is text</note>\n<free a='1'><b>2</b></free></user>",
            "<user>\n <note>is text</note>\n<free a='1'><b>2</b></free></user>",
            &[],
        ),
        (
            "\u{feff}<user xmlns:a='urn:a' xml:lang='en'><a:n>A</a:n><a:b/></user>",
            "\u{feff}<user xmlns:a='urn:a' xml:lang='en'><a:n>A</a:n></user>",
            &["/b"],
        ),
    ] {
        let (left, told) = left(&xml(), "application/xml", before.as_bytes());
        assert_eq!(
            (left.as_deref(), told.as_slice()),
            (Ok(after), pointers.iter().map(|told| (*told).to_owned()).collect::<Vec<_>>().as_slice())
        );
    }
    let utf16: Vec<u8> = "\u{feff}<user><b/></user>".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let (refused, told) = left(&xml(), "application/xml", &utf16);
    assert!(refused.is_err() && told == ["/b"], "{refused:?}");
}

#[test]
fn parts_go_with_their_boundary() {
    let content = json!({ "multipart/form-data": { "schema": { "type": "object", "properties": {
        "a": { "type": "string" }, "meta": { "type": "object", "properties": { "n": { "type": "integer" } } },
        "files": { "type": "array", "items": { "type": "string", "format": "binary" } } } } } });
    let part = |name: &str, more: &str, data: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n{more}\r\n{data}\r\n")
    };
    let body = |parts: &[&str]| parts.concat() + "--b--\r\n";
    let json = "Content-Type: application/json\r\n";
    let (a, x, files) = (part("a", "", "1"), part("x", "", "2\r\n"), part("files", "", "f"));
    let kind = "multipart/form-data; boundary=b";
    let meta = part("meta", json, "{\"n\": 1, \"secret\": 2}");
    let mended = part("meta", json, "{\"n\":1}");
    for (before, after) in [
        (body(&[&a, &x, &files]), body(&[&a, &files])),
        (body(&[&x, &a, &files]), body(&[&a, &files])),
        (body(&[&x, &x, &a]), body(&[&a])),
        (body(&[&a, &files, &files, &x]), body(&[&a, &files, &files])),
        (body(&[&a, &meta, &files]), body(&[&a, &mended, &files])),
    ] {
        let (left, told) = left(&content, kind, before.as_bytes());
        assert_eq!(left.as_deref(), Ok(after.as_str()), "{told:?}");
    }
    for before in [body(&[&x]), body(&[&a, &x]) + "epilogue", body(&[&a, &x]).replace("\r\n", "\n")] {
        assert!(left(&content, kind, before.as_bytes()).0.is_err(), "{before}");
    }
    let stated = part("meta", &format!("{json}Content-Length: 21\r\n"), "{\"n\": 1, \"secret\": 2}");
    assert!(left(&content, kind, body(&[&stated]).as_bytes()).0.is_err());
}
