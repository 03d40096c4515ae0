//! What does not fit is refused, taken out, or let through, as the settings say.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests assert")]

use bartizan_model::{Mode, Mounted, Outcome, Reason as _, Transaction, compile::ApiSpec};
use bytes::Bytes;
use http::{HeaderValue, header};
use serde_json::json;

use super::*;
use crate::{
    HeldBody,
    support::{self, TestFiles},
};

const DOCUMENT: &str = r##"{ "openapi": "3.1.0", "info": { "title": "t", "version": "1" }, "paths": { "/users": { "post": {
    "parameters": [{ "name": "page", "in": "query", "schema": { "type": "integer" } }],
    "requestBody": { "content": {
        "application/json": { "schema": { "$ref": "#/components/schemas/User" } },
        "application/x-www-form-urlencoded": { "schema": { "$ref": "#/components/schemas/User" } } } },
    "responses": { "200": { "description": "" } } } } },
    "components": { "schemas": { "User": { "type": "object", "required": ["name"], "properties": {
        "name": { "type": "string" }, "id": { "type": "string", "format": "uuid", "readOnly": true },
        "key": { "type": "string", "format": "uuid" } } } } } }"##;

fn guard(config: serde_json::Value) -> Contract {
    let folder = std::env::temp_dir().join(format!("bartizan-contract-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("users.json"), DOCUMENT).unwrap();
    let description = support::contract(Some("file:users.json"), &folder).unwrap().unwrap();
    let spec = support::spec(&description).unwrap();
    compile(config, &spec).unwrap()
}

fn compile(config: serde_json::Value, spec: &ApiSpec) -> Result<Contract, Diagnostics> {
    support::compile_for(config, spec, &TestFiles::default())
}

/// Sends a request; why it was refused, and the transaction.
fn send(guard: &Contract, query: &str, kind: &str, body: &str) -> (Option<Why>, Transaction) {
    let mut transaction = support::transaction();
    transaction.operation = "POST /users".into();
    transaction.request.method = http::Method::POST;
    transaction.request.path = "/users".to_owned();
    transaction.request.query = (!query.is_empty()).then(|| query.to_owned());
    transaction.request.content_length = Some(body.len() as u64);
    transaction.request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
    let outcome = support::now(guard.request_headers(&mut transaction));
    if let Outcome::Deny(why) = outcome {
        return (Some(why), transaction);
    }
    let held =
        HeldBody::new(Bytes::copy_from_slice(body.as_bytes()), true).described(&transaction.request.headers);
    match guard.request_body(&mut transaction, &held) {
        Outcome::Deny(why) => (Some(why), transaction),
        _ => (None, transaction),
    }
}

#[test]
fn what_nothing_names_is_taken_out() {
    let guard = guard(json!({ "read_only": "strip" }));
    let (why, mut transaction) = send(
        &guard,
        "page=1&debug=1&x",
        "application/json",
        r#"{"name": "ann", "role": "admin", "id": "0190b0c0-0000-7000-8000-000000000000"}"#,
    );
    assert_eq!(why, None);
    let edits = guard.edits(&mut transaction);
    assert_eq!(edits.query, Some(Some("page=1".to_owned())));
    assert_eq!(edits.body.unwrap(), r#"{"name":"ann"}"#);
    let told: Vec<_> = transaction.findings.iter().map(|finding| finding.detail.as_ref()).collect();
    assert!(told.contains(&"query.debug is not part of the contract"), "{told:?}");
    assert!(told.contains(&"body/role is not part of the contract"), "{told:?}");

    let (why, mut transaction) =
        send(&guard, "", "application/x-www-form-urlencoded", "role=admin&name=a+b&%72ole=x");
    assert_eq!(why, None);
    assert_eq!(guard.edits(&mut transaction).body.unwrap(), "name=a+b");
    assert_eq!(guard.edits(&mut transaction), Edits::default(), "they are given once");
}

#[test]
fn settings_decide_what_becomes_of_it() {
    let strict = guard(json!({ "undeclared_parameters": "deny", "undeclared_properties": "deny" }));
    let open = guard(
        json!({ "undeclared_parameters": "allow", "undeclared_properties": "allow", "read_only": "allow" }),
    );
    let json = "application/json";
    let id = r#"{"name": "a", "id": "0190b0c0-0000-7000-8000-000000000000"}"#;
    for (query, body) in [("x=1", r#"{"name": "a"}"#), ("", r#"{"name": "a", "role": 1}"#), ("", id)] {
        assert!(matches!(send(&strict, query, json, body).0, Some(Why::Undeclared(_))), "{query} {body}");
        let (why, mut transaction) = send(&open, query, json, body);
        assert_eq!((why, open.edits(&mut transaction)), (None, Edits::default()), "{query} {body}");
    }
}

#[test]
fn clients_are_told_only_where_the_policy_says_so() {
    let body = r#"{"name": 1, "key": "x"}"#;
    let (why, transaction) = send(&guard(json!({})), "", "application/json", body);
    assert!(why.unwrap().errors().is_empty());
    assert_eq!(transaction.findings.len(), 1, "the first is the refusal's own");
    let (why, _) = send(&guard(json!({ "detail": "full" })), "", "application/json", body);
    let errors = why.unwrap().errors();
    let mut told: Vec<_> =
        errors.iter().map(|error| (error.part, error.pointer.as_str(), error.detail.as_str())).collect();
    told.sort_unstable();
    assert_eq!(told, [("body", "/key", "the format `uuid`"), ("body", "/name", "a string")]);
}

#[test]
fn what_fits_is_proved_for_others() {
    let guard = guard(json!({}));
    let body = r#"{"name": "' or 1=1", "key": "0190b0c0-0000-7000-8000-000000000000"}"#;
    let (why, transaction) = send(&guard, "page=7", "application/json", body);
    assert_eq!(why, None);
    let proved = transaction.memory.get::<Proved>(Contract::ID).unwrap();
    let classes: Vec<_> = proved.body.iter().map(|(node, proof)| (*node, proof.class.as_str())).collect();
    assert_eq!(classes, [(4, "uuid")]);
    assert_eq!(proved.parameters[0].proof.class.as_str(), "integer");
    // What was refused proves nothing.
    let (_, transaction) =
        send(&guard, "", "application/json", r#"{"key": "0190b0c0-0000-7000-8000-000000000000"}"#);
    assert!(transaction.memory.get::<Proved>(Contract::ID).unwrap().body.is_empty());
}

#[test]
fn a_list_of_paths_leaves_nothing_undeclared() {
    let folder = std::env::temp_dir().join(format!("bartizan-paths-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let document = r#"{ "openapi": "3.1.0", "info": { "title": "t", "version": "1" }, "paths": { "/users": { "post": {} } } }"#;
    std::fs::write(folder.join("paths.json"), document).unwrap();
    let description = support::contract(Some("file:paths.json"), &folder).unwrap().unwrap();
    let guard = compile(json!({}), &support::spec(&description).unwrap()).unwrap();
    let (why, mut transaction) = send(&guard, "x=1", "application/json", r#"{"a": 1}"#);
    assert_eq!((why, guard.edits(&mut transaction)), (None, Edits::default()));
    assert!(transaction.findings.is_empty());
}

#[test]
fn without_a_contract_there_is_no_guard() {
    let problems = compile(json!({}), &ApiSpec::default()).err().unwrap();
    assert!(problems.to_string().contains("needs the contract"), "{problems}");
    let mounted = Mounted::<Contract>::absent();
    assert_eq!(mounted.mode(), Mode::Off);
}
