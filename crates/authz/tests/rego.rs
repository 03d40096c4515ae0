//! Rules in Rego, read and asked.
#![cfg(feature = "rego")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests assert")]

use bartizan_model::{
    CanonicalRequest, CredentialKind, Principal, Scheme, Timestamp,
    compile::{ApiSpec, OperationSpec},
};
use bartizan_pattern::body::{
    Content,
    json::{JsonLimits, Tape, TapeBuffer},
};
use http::{HeaderMap, Method, Version};

use bartizan_authz::{
    Actions, Rego, Zone,
    cedar::{Body, Facts, PolicyText},
    rego::RegoJudged,
};

fn load(text: &str) -> Result<Rego, String> {
    let loaded = Rego::load(&[PolicyText { file: "bank.rego", text }]);
    loaded.map_err(|report| report.to_string())
}

/// What the rules say of alice who pays, or of somebody unknown.
fn judge(rego: &Rego, caller: Option<&str>, query: &str, body: &str) -> RegoJudged {
    let operations = vec![OperationSpec { label: "POST /accounts/{id}".into(), ..OperationSpec::default() }];
    let actions = Actions::new(&ApiSpec { operations, ..ApiSpec::default() });
    let id = actions.find("POST /accounts/{id}", &Method::POST);
    let principal = caller.map(|name| Principal::new(CredentialKind::Jwt, "corp".into(), name.into()));
    let mut buffer = TapeBuffer::new();
    let tape = Tape::parse(body.as_bytes(), &JsonLimits::default(), &mut buffer).ok();
    let request = CanonicalRequest {
        method: Method::POST,
        scheme: Scheme::Https,
        host: "api".to_owned(),
        port: None,
        path: "/accounts/7".to_owned(),
        query: Some(query.to_owned()),
        sent: None,
        headers: HeaderMap::new(),
        removed: Vec::new(),
        version: Version::HTTP_11,
        content_length: None,
    };
    rego.judge(&Facts {
        request: &request,
        principal: principal.as_ref(),
        ip: "203.0.113.9".parse().unwrap(),
        api: "bank",
        time: Timestamp::from_seconds(1_774_740_600),
        action: actions.get(id).unwrap(),
        path: "/accounts/7",
        roles: &["teller"],
        body: match tape {
            _ if body.is_empty() => Body::Absent,
            Some(tape) => Body::Read(Content::Json(tape)),
            None => Body::Unreadable,
        },
        geo: None,
        zone: Zone::default(),
        risk: 0,
    })
}

const BANK: &str = r#"package bank

default allow := false

# Who pays small amounts.
allow if {
    input.principal.subject == "alice"
    input.body.amount < 100
}

allow if { "auditor" in input.roles } else := false if { input.method == "GET" }

deny contains msg if {
    input.query.dry
    msg := sprintf("%s may not", [input.principal.subject])
}
deny contains "never on account 9" if { input.path.id == "9" }
"#;

#[test]
fn the_definition_that_holds_is_named_with_its_line() {
    let rego = load(BANK).unwrap();
    assert!(rego.needs_body());
    let judged = judge(&rego, Some("alice"), "", r#"{"amount": 5}"#);
    assert_eq!(judged.permits, ["rule `allow` (bank.rego:6)".into()], "{judged:?}");
    assert_eq!(judge(&rego, Some("alice"), "", r#"{"amount": 500}"#), RegoJudged::default());
    assert_eq!(judge(&rego, Some("bob"), "", r#"{"amount": 5}"#), RegoJudged::default());
    assert_eq!(judge(&rego, None, "", r#"{"amount": 5}"#), RegoJudged::default());
    let judged = judge(&rego, Some("alice"), "dry=1", r#"{"amount": 5}"#);
    assert_eq!(judged.forbids, ["rule `deny` (bank.rego:13): alice may not".into()]);
    assert!(judged.permits.is_empty(), "what is denied is not permitted");
}

#[test]
fn what_cannot_be_evaluated_permits_nothing() {
    let rego = load(BANK).unwrap();
    for body in ["{", r#"{"amount": 5, "amount": 5}"#] {
        let judged = judge(&rego, Some("alice"), "", body);
        assert!(judged.error.is_some() && judged.permits.is_empty(), "{body}: {judged:?}");
    }
    let kinds = load("package p\nallow := 1").err().or_else(|| {
        let rego = load("package p\nallow := 1").unwrap();
        judge(&rego, None, "", "").error
    });
    assert!(kinds.unwrap().contains("neither true nor false"));
    let both =
        load("package p\nallow := true if { input.principal }\nallow := false if { input.tls }").unwrap();
    let judged = judge(&both, Some("alice"), "", "");
    assert!(judged.error.is_some() && judged.permits.is_empty(), "{judged:?}");
    let endless = load(
        "package p\nallow if { count([1 | some a in numbers.range(1, 10000); some b in numbers.range(1, 10000); a * b == input.risk]) > 1 }",
    )
    .unwrap();
    let judged = judge(&endless, None, "", "");
    assert!(judged.error.is_some(), "{judged:?}");
}

#[test]
fn a_default_may_deny() {
    let rego = load("package p\ndefault deny := true\ndeny := false if { input.principal.subject == \"alice\" }\nallow := true").unwrap();
    assert_eq!(
        judge(&rego, Some("alice"), "", "").permits,
        ["rule `allow` (p.rego:4)".replace("p.rego", "bank.rego").as_str().into()]
    );
    assert_eq!(judge(&rego, Some("bob"), "", "").forbids, ["rule `deny` (bank.rego:2)".into()]);
}

#[test]
fn every_mistake_has_its_place() {
    for (text, expected) in [
        ("package p\n\nallow if { input.x == }\n", "bank.rego:3:"),
        ("package p\nallow if { nothing.like.this(1) }\n", "bank.rego:2:"),
        ("package p\nx := 1\n", "neither `allow` nor `deny`"),
        ("package p\nallow.read if { true }\n", "bank.rego:2:6: error: `allow` is a truth value"),
        ("allow if { true }\n", "bank.rego:1:"),
        ("", "bank.rego:1:"),
    ] {
        let told = load(text).err().unwrap_or_else(|| panic!("{text} is read"));
        assert!(told.contains(expected), "{text}\n{told}");
    }
}
