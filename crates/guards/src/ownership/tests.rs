//! Tests of the guard beside its cases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]
//! The walk against a second opinion, what is no configuration, and what a refusal looks like.

use bartizan_model::Problem;
use bartizan_model::{CredentialKind, Principal};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::support;

fn compiled(config: Value) -> Result<Ownership, Diagnostics> {
    support::compile_alone::<Ownership>(config)
}

fn told(config: Value) -> String {
    match compiled(config) {
        Ok(_) => panic!("it compiles"),
        Err(problems) => problems.to_string(),
    }
}

/// An answer to alice: the refusal's code, and what is sent in place of the body.
fn answered(guard: &Ownership, path: &str, body: &str) -> (Option<&'static str>, Option<String>) {
    let mut transaction = support::transaction();
    transaction.request.path = path.to_owned();
    transaction.principal =
        Some(Arc::new(Principal::new(CredentialKind::Jwt, "corp".into(), "alice".into())));
    let outcome = support::now(guard.request_headers(&mut transaction));
    if let Some(code) = support::code(&outcome) {
        return (Some(code), None);
    }
    let headers =
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let head = ResponseHead { status: StatusCode::OK, headers, from_upstream: true };
    let outcome = guard.response_head(&mut transaction, &head);
    assert_eq!(support::code(&outcome), None);
    let Some(limit) = guard.needs_response_body(&transaction) else { return (None, None) };
    let bytes = Bytes::copy_from_slice(&body.as_bytes()[..body.len().min(limit)]);
    let held = HeldBody::new(bytes, body.len() <= limit).described(&head.headers);
    let outcome = guard.response_body(&mut transaction, &head, &held);
    let instead = match guard.instead(&mut transaction) {
        Some(Instead::Body(bytes)) => Some(String::from_utf8(bytes.to_vec()).unwrap()),
        Some(Instead::Answer(_)) => panic!("another answer"),
        None => None,
    };
    (support::code(&outcome), instead)
}

#[test]
fn what_is_wrong_with_a_rule_is_said_at_its_place() {
    let Err(problems) = compiled(json!({"GET /a/{id}": { "rule": ["true", "response.a = 1"] }})) else {
        panic!("it compiles")
    };
    assert_eq!(problems.0[0].path, "GET /a/{id}.rule[1]");
    for (config, message) in [
        (json!({"GET /accounts/{id}": "response.ownerId = principal.sub"}), "at character 18; write `==`"),
        (
            json!({"GET /accounts/{id}": "path.account == principal.sub"}),
            "has no `account`; its parameters are `id`",
        ),
        (json!({"GET accounts": "true"}), "does not begin with `/`"),
        (json!({"/accounts": "true"}), "is no operation"),
        (json!({"G ET /accounts": "true"}), "no"),
        (json!({"undecied": "allow"}), "undecied"),
        (json!({"answer": 500}), "404"),
        (json!({"GET /a": {"rule": "true", "answer": 418}}), ""),
        (json!({"GET /a": []}), "has 0 predicates"),
        (json!({"parameters": {"same": [["path.id"]]}}), "two values or more"),
        (json!({"parameters": {"same": [["path.id", "response.id"]]}}), "no parameter of a request"),
        (json!({"GET /a/{x}": "true", "GET /a/{y}": "true"}), "the same operation"),
        (json!({"max_response": "0B", "GET /a": "true"}), "leaves nothing"),
    ] {
        let told = told(config.clone());
        assert!(told.contains(message), "{config}: {told}");
    }
}

#[test]
fn operations_are_checked_against_the_contract() {
    use bartizan_model::compile::{ApiSpec, FieldKind, FieldPlace, FieldSpec, OperationSpec};
    let field = |place, name: &str| FieldSpec { place, path: vec![name.into()], kind: FieldKind::Text };
    let spec = ApiSpec {
        contract: None,
        base_path: "/v1".to_owned(),
        operations: vec![OperationSpec {
            label: "POST /accounts/{accountId}".into(),
            declared: true,
            fields: vec![field(FieldPlace::Body, "owner"), field(FieldPlace::Query, "dry")],
            ..OperationSpec::default()
        }],
    };
    let told = |key: &str, predicate: &str| {
        let config = json!({ key: predicate });
        let compiled = support::compile_for::<Ownership>(config, &spec, &support::TestFiles::default());
        compiled.err().map(|problems| problems.to_string()).unwrap_or_default()
    };
    assert_eq!(told("POST /accounts/{id}", "request.body.owner == principal.sub"), "");
    assert!(told("GET /accounts/{id}", "true").contains("did you mean `POST /accounts/{accountId}`?"));
    assert!(told("POST /account/{id}", "true").contains("the contract has no operation"));
    assert!(
        told("POST /accounts/{id}", "request.body.ownr == principal.sub")
            .contains("the contract has `owner`")
    );
    assert!(told("POST /accounts/{id}", "query.dri == principal.sub").contains("the contract has `dry`"));
}

#[test]
fn the_most_specific_rule_counts() {
    let guard = compiled(json!({
        "* /a/**": "path.none == principal.sub || response.x == 1",
        "GET /a/{id}": "response.x == 2",
        "GET /a/me": "response.x == 3",
    }));
    assert!(guard.is_err(), "a name that the path does not have");
    let guard = compiled(json!({
        "* /a/**": "response.x == 1", "GET /a/{id}": "response.x == 2", "GET /a/me": "response.x == 3",
    }))
    .unwrap();
    for (path, own) in [("/a/b/c", 1), ("/a/7", 2), ("/a/me", 3), ("/a/ME/", 3)] {
        let (code, _) = answered(&guard, path, &json!({ "x": own }).to_string());
        assert_eq!(code, None, "{path}");
        let (code, _) = answered(&guard, path, "{\"x\": 9}");
        assert_eq!(code, Some("ownership.foreign"), "{path}");
    }
}

#[test]
fn what_is_longer_than_is_read_cannot_be_decided() {
    let guard = compiled(json!({"GET /a": "response.x == 1", "max_response": "16B"})).unwrap();
    assert_eq!(answered(&guard, "/a", "{\"x\": 1}").0, None);
    assert_eq!(answered(&guard, "/a", "{\"x\": 1, \"y\": 22222}").0, Some("ownership.undecided"));
}

#[test]
fn missing_and_foreign_objects_look_the_same() {
    let transaction = support::transaction();
    let Answer { status, headers, body } = not_there(&transaction);
    assert_eq!(status, StatusCode::NOT_FOUND);
    let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(
        names,
        ["x-bartizan-event", "cache-control", "content-type"],
        "as the gateway writes a refusal"
    );
    let why =
        Why::Foreign { rule: "r".into(), predicate: "p".into(), records: None, answer: RefusedAs::NotFound };
    use bartizan_model::Reason as _;
    let problem = Problem::new("not_found", why.info().public, why.info().status, transaction.id);
    assert_eq!(body, problem.to_json());
}

#[test]
fn caches_that_are_shared_keep_nothing() {
    for (before, after) in [
        (None, "private"),
        (Some("public, max-age=60"), "max-age=60, private"),
        (Some("max-age=60, s-maxage=600"), "max-age=60, private"),
        (Some("no-store"), "no-store"),
        (Some("private=\"set-cookie\", max-age=1"), "max-age=1, private"),
        (Some("Private"), "Private"),
    ] {
        let mut headers = HeaderMap::new();
        if let Some(before) = before {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(before));
        }
        keep_private(&mut headers);
        assert_eq!(headers[header::CACHE_CONTROL], after);
    }
}

/// Lists of records as APIs answer them, with any values, members that are missing and lists inside.
fn document() -> impl Strategy<Value = Value> {
    let owner =
        prop::sample::select(vec![json!("alice"), json!("bob"), json!(null), json!(7), json!("al\u{e9}\"x")]);
    let inner = prop::collection::vec(owner.clone().prop_map(|owner| json!({ "o": owner })), 0..4);
    let record = (owner, inner, any::<bool>(), any::<bool>()).prop_map(|(owner, inner, has, lines)| {
        let mut record = json!({ "n": 1, "deep": { "x": [1, { "o": "alice" }] } });
        if has {
            record["o"] = owner;
        }
        if lines {
            record["lines"] = Value::Array(inner);
        }
        record
    });
    prop::collection::vec(record, 0..6).prop_map(|records| json!({ "a": { "items": records }, "total": 3 }))
}

/// The document without the records that `keep` does not keep, by the slow way.
fn filtered(document: &Value, keep: impl Fn(&Value) -> bool) -> Value {
    let mut document = document.clone();
    document["a"]["items"].as_array_mut().unwrap().retain(|record| keep(record));
    document
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_walk_comes_to_what_serde_json_says(document in document(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
        let own = |record: &Value| record["o"] == "alice";
        let strange = |record: &Value| record["o"].is_null();
        let records = document["a"]["items"].as_array().unwrap();
        let refuse = compiled(json!({"GET /a": "response.a.items[].o == principal.sub"})).unwrap();
        let expected = if records.iter().any(|record| !own(record) && !strange(record)) {
            Some("ownership.foreign")
        } else if records.iter().any(strange) {
            Some("ownership.undecided")
        } else {
            None
        };
        prop_assert_eq!(answered(&refuse, "/a", &text), (expected, None));
        let filter = compiled(json!({
            "GET /a": "response.a.items[].o == principal.sub", "on_foreign": "filter",
        })).unwrap();
        let (code, left) = answered(&filter, "/a", &text);
        prop_assert_eq!(code, None);
        let wanted = filtered(&document, own);
        match left {
            Some(left) => prop_assert_eq!(serde_json::from_str::<Value>(&left).unwrap(), wanted),
            None => prop_assert_eq!(document, wanted),
        }
    }

    #[test]
    fn records_inside_records_are_taken_out_alone(document in document()) {
        let filter = compiled(json!({"GET /a": {
            "rule": "response.a.items[].lines[].o == principal.sub || response.a.items[].open == true",
            "on_foreign": "filter",
        }})).unwrap();
        let (code, left) = answered(&filter, "/a", &document.to_string());
        let records = document["a"]["items"].as_array().unwrap();
        if records.iter().any(|record| record.get("lines").is_none()) {
            prop_assert!(code.is_some(), "a record without the inner list");
            return Ok(());
        }
        prop_assert_eq!(code, None);
        let mut wanted = document.clone();
        for record in wanted["a"]["items"].as_array_mut().unwrap() {
            record["lines"].as_array_mut().unwrap().retain(|line| line["o"] == "alice");
        }
        let left = left.map_or(document, |left| serde_json::from_str(&left).unwrap());
        prop_assert_eq!(left, wanted);
    }

    /// Whatever bytes come: never a panic, and nothing is let through that is not a document with the right owner.
    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let guard = compiled(json!({"GET /a": "response.o == principal.sub"})).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(answered(&guard, "/a", &text).0.is_some());
    }
}
