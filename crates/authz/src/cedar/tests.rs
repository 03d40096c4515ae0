//! Policies, read and asked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::sync::Arc;

use bartizan_model::{
    CanonicalRequest, CredentialKind, Principal, Scheme, Timestamp,
    compile::{ApiSpec, FieldKind, FieldPlace, FieldSpec, OperationSpec},
};
use bartizan_pattern::body::{
    Content,
    json::{JsonLimits, Tape, TapeBuffer},
};
use http::{HeaderMap, Method, Version};

use super::*;
use crate::{Actions, Zone, roles::RoleTable};

fn field(place: FieldPlace, path: &[&str], kind: FieldKind) -> FieldSpec {
    FieldSpec { place, path: path.iter().map(|key| Arc::from(*key)).collect(), kind }
}

fn actions() -> Actions {
    let declared = |label: &str, tag: &str, fields: Vec<FieldSpec>| OperationSpec {
        label: label.into(),
        declared: true,
        tags: vec![tag.into()],
        fields,
        ..OperationSpec::default()
    };
    let id = field(FieldPlace::Path, &["id"], FieldKind::Integer);
    Actions::new(&ApiSpec {
        contract: None,
        base_path: String::new(),
        operations: vec![
            declared("GET /accounts/{id}", "accounts", vec![id]),
            declared(
                "POST /transfers",
                "transfers",
                vec![
                    field(FieldPlace::Body, &["amount"], FieldKind::Integer),
                    field(FieldPlace::Body, &["to", "country"], FieldKind::Text),
                    field(FieldPlace::Body, &["rate"], FieldKind::Decimal),
                    field(FieldPlace::Query, &["dry"], FieldKind::Boolean),
                ],
            ),
            declared("GET /admin", "admin", Vec::new()),
        ],
    })
}

fn load(text: &str) -> Result<Policies, String> {
    let options = Options { api: "bank", roles: None, country: false, asn: false };
    Policies::load(&[PolicyText { file: "bank.cedar", text }], &actions(), options)
        .map_err(|report| report.to_string())
}

/// Saturday 2026-03-28 23:30 UTC.
const NOW: Timestamp = Timestamp::from_seconds(1_774_740_600);

struct Ask {
    label: &'static str,
    path: &'static str,
    query: Option<&'static str>,
    principal: Option<Principal>,
    roles: Vec<&'static str>,
    body: &'static str,
}

fn alice() -> Principal {
    let mut principal = Principal::new(CredentialKind::Jwt, "corp".into(), "alice".into());
    principal.scopes = vec!["read".into()];
    principal.attributes = [("department".into(), "cards".into()), ("level".into(), 3.into())].into();
    principal
}

fn get_account() -> Ask {
    Ask {
        label: "GET /accounts/{id}",
        path: "/accounts/7",
        query: None,
        principal: Some(alice()),
        roles: Vec::new(),
        body: "",
    }
}

fn transfer(body: &'static str) -> Ask {
    Ask { label: "POST /transfers", path: "/transfers", body, ..get_account() }
}

/// `permit`, `forbid` or nothing, with the ids that decided; `!` before an id that could not be evaluated.
fn judge(policies: &Policies, ask: &Ask) -> String {
    let actions = actions();
    let method: Method = ask.label.split(' ').next().unwrap().parse().unwrap();
    let id = actions.find(ask.label, &method);
    let mut buffer = TapeBuffer::new();
    let tape = Tape::parse(ask.body.as_bytes(), &JsonLimits::default(), &mut buffer).ok();
    let request = CanonicalRequest {
        method,
        scheme: Scheme::Https,
        host: "api".to_owned(),
        port: None,
        path: ask.path.to_owned(),
        query: ask.query.map(str::to_owned),
        sent: None,
        headers: HeaderMap::new(),
        removed: Vec::new(),
        version: Version::HTTP_11,
        content_length: None,
    };
    let facts = Facts {
        request: &request,
        principal: ask.principal.as_ref(),
        ip: "203.0.113.9".parse().unwrap(),
        api: "bank",
        time: NOW,
        action: actions.get(id).unwrap(),
        path: ask.path,
        roles: &ask.roles,
        body: match tape {
            _ if ask.body.is_empty() => Body::Absent,
            Some(tape) => Body::Read(Content::Json(tape)),
            None => Body::Unreadable,
        },
        geo: None,
        zone: Zone::default(),
        risk: 0,
    };
    let judged = policies.judge(id, &facts);
    let name = |number: &u32| policies.get(*number).unwrap().id.to_string();
    let mut told: Vec<String> = judged.permits.iter().map(|n| format!("+{}", name(n))).collect();
    told.extend(judged.forbids.iter().map(|n| format!("-{}", name(n))));
    told.extend(judged.errors.iter().map(|(n, _)| format!("!{}", name(n))));
    told.join(" ")
}

#[test]
fn forbid_wins_and_what_decides_is_named() {
    let policies = load(
        r#"
        @id("own") permit(principal is User, action == Action::"GET /accounts/{id}", resource);
        permit(principal, action in Action::"write", resource);
        @id("no-night") forbid(principal, action in [Action::"tag:transfers"], resource) when { context.time.hour >= 22 };
        "#,
    )
    .unwrap();
    assert_eq!(judge(&policies, &get_account()), "+own");
    assert_eq!(judge(&policies, &transfer("{}")), "-no-night");
    assert_eq!(judge(&policies, &Ask { label: "GET /admin", path: "/admin", ..get_account() }), "");
    assert_eq!(policies.get(1).unwrap().id.as_ref(), "bank.cedar#2");
    assert_eq!(policies.get(0).unwrap().told.as_ref(), "policy `own` (bank.cedar:2)");
    let applicable = |label: &str, method| policies.applicable(actions().find(label, &method)).len();
    assert_eq!(applicable("GET /accounts/{id}", Method::GET), 1);
    assert_eq!(applicable("POST /transfers", Method::POST), 2);
}

#[test]
fn conditions_read_the_request_and_the_caller() {
    let permits = |condition: &str, ask: &Ask| {
        let policies = load(&format!(
            "permit(principal, action == Action::\"{}\", resource) when {{ {condition} }};",
            ask.label
        ))
        .unwrap_or_else(|error| panic!("{condition}: {error}"));
        match judge(&policies, ask).as_str() {
            "+bank.cedar#1" => true,
            "" | "!bank.cedar#1" => false,
            other => panic!("{condition}: {other}"),
        }
    };
    let holds = |condition: &str| assert!(permits(condition, &get_account()), "{condition}");
    let fails = |condition: &str| assert!(!permits(condition, &get_account()), "{condition}");
    holds("context.path.id == 7");
    fails("context.path.id == 8");
    holds("principal.subject == \"alice\" && principal.issuer == \"corp\"");
    holds("principal == User::\"corp/alice\"");
    fails("principal == User::\"other/alice\"");
    holds("principal.scopes.contains(\"read\") && !principal.scopes.contains(\"write\")");
    holds("principal.claims.department == \"cards\" && principal.claims.level >= 3");
    fails("principal.claims.grade > 1");
    holds("if principal.claims has grade then principal.claims.grade > 1 else true");
    fails("principal.tenant == \"blue\"");
    holds("context.ip.isInRange(ip(\"203.0.113.0/24\"))");
    fails("context.ip.isInRange(ip(\"10.0.0.0/8\"))");
    holds("context.time.weekday == 6 && context.time.date == \"2026-03-28\"");
    holds("context.tls && context.method == \"GET\" && context.risk < 50");
    holds("context.target like \"/accounts/*\"");
    holds("[\"jwt\", \"opaque\"].contains(principal.kind) && principal.strength == \"bearer\"");
    let body = |condition: &str, body| permits(condition, &transfer(body));
    assert!(body("context.body.amount <= 100", r#"{"amount": 100}"#));
    assert!(!body("context.body.amount <= 100", r#"{"amount": 101}"#));
    assert!(!body("context.body.amount <= 100", r#"{"amount": "1"}"#), "text is no number");
    assert!(!body("context.body.amount <= 100", r#"{"amount": 1, "amount": 500}"#), "two are none");
    assert!(!body("context.body.amount <= 100", ""));
    assert!(body("context.body.to.country == \"DE\"", r#"{"to": {"country": "DE"}}"#));
    assert!(body("context.body.rate.lessThan(decimal(\"1.5\"))", r#"{"rate": 1.25}"#));
    assert!(body("context.body.rate.lessThan(decimal(\"1.5\"))", r#"{"rate": 1}"#));
    let query = |query| permits("context.query.dry", &Ask { query: Some(query), ..transfer("{}") });
    assert!(query("dry=true"));
    assert!(!query("dry=false"));
    assert!(!query("dry=true&dry=false"), "two values are none");
    assert!(query("d%72y=true"));
}

#[test]
fn a_forbid_that_cannot_be_evaluated_is_told() {
    let policies = load(
        "permit(principal, action, resource);\nforbid(principal, action == Action::\"POST /transfers\", resource) when { context.body.amount > 100 };",
    )
    .unwrap();
    assert_eq!(judge(&policies, &transfer("{}")), "+bank.cedar#1 !bank.cedar#2");
    assert_eq!(judge(&policies, &transfer(r#"{"amount": 101}"#)), "-bank.cedar#2");
}

#[test]
fn what_cannot_be_read_is_not_taken_for_missing() {
    let policies = load(
        "permit(principal, action, resource);\nforbid(principal, action == Action::\"POST /transfers\", resource) when { context.body has role || context.query has dry };",
    )
    .unwrap();
    for harmless in ["", "{}", r#"{"role": null}"#] {
        assert_eq!(judge(&policies, &transfer(harmless)), "+bank.cedar#1", "{harmless}");
    }
    assert_eq!(judge(&policies, &transfer(r#"{"role": "admin"}"#)), "-bank.cedar#2");
    assert_eq!(judge(&policies, &transfer(r#"{"role": ["admin"]}"#)), "-bank.cedar#2");
    for doubtful in [r#"{"role": "a", "role": "b"}"#, r#"{"role": {"is": "admin"}}"#, "{", "role=admin"] {
        assert_eq!(judge(&policies, &transfer(doubtful)), "+bank.cedar#1 !bank.cedar#2", "{doubtful}");
    }
    let query = |query| judge(&policies, &Ask { query: Some(query), ..transfer("{}") });
    assert_eq!(query("dry=true"), "-bank.cedar#2");
    assert_eq!(query("dry=true&dry=false"), "+bank.cedar#1 !bank.cedar#2");
    assert_eq!(query("dry=perhaps"), "+bank.cedar#1 !bank.cedar#2");
}

#[test]
fn anonymous_callers_have_no_subject() {
    let policies = load("permit(principal, action, resource) when { principal.subject == \"\" };").unwrap();
    let nobody = Ask { principal: None, ..get_account() };
    assert_eq!(judge(&policies, &nobody), "!bank.cedar#1");
    let policies = load("permit(principal is Anonymous, action, resource);").unwrap();
    assert_eq!(judge(&policies, &nobody), "+bank.cedar#1");
    assert_eq!(judge(&policies, &get_account()), "");
}

#[test]
fn roles_are_parents_of_the_caller() {
    let policies = load("permit(principal in Role::\"teller\", action, resource);").unwrap();
    assert_eq!(judge(&policies, &get_account()), "");
    assert_eq!(judge(&policies, &Ask { roles: vec!["clerk", "teller"], ..get_account() }), "+bank.cedar#1");
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let told = load(
        r#"permit(principal, action == Action::"GET /acounts/{id}", resource);
permit(principal, action, resource) when { context.body.amount };
permit(principal, resource);
@id("x") permit(principal, action == Action::"POST /transfers", resource)
when { context.body.amuont > 3 };
@id("x") permit(principal, action, resource);
permit(principal, action, resource) when { context.country == "DE" };
permit(principal, action == Action::"POST /transfers", resource) when { context.body.rate > 3 };
permit(principal, action, resource) when { context.body == context.query };
"#,
    )
    .err()
    .unwrap();
    for expected in [
        "did you mean `Action::\"GET /accounts/{id}\"`?",
        "bank.cedar:3:",
        "bank.cedar:5:",
        "the policy `x` is there twice",
        "`context.country` needs a database",
        "greaterThan(decimal(",
        "`context.body` is read as a whole",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
}

#[test]
fn roles_that_the_file_lacks_are_told() {
    let file = crate::roles::Roles::parse("roles: { teller: [GET /admin] }", "roles.yaml").unwrap();
    let roles = RoleTable::compile(&file, &actions()).unwrap();
    let options = Options { api: "bank", roles: Some(&roles), country: false, asn: false };
    let text = "permit(principal in Role::\"tellr\", action, resource);";
    let told = Policies::load(&[PolicyText { file: "p.cedar", text }], &actions(), options).err().unwrap();
    assert!(told.to_string().contains("there is no role `tellr`; did you mean `teller`?"), "{told}");
}

#[test]
fn where_nothing_is_declared_policies_say_what_they_read() {
    let operations = vec![OperationSpec { label: "* /notes/**".into(), ..OperationSpec::default() }];
    let actions = Actions::new(&ApiSpec { operations, ..ApiSpec::default() });
    let options = Options { api: "bank", roles: None, country: false, asn: false };
    let text = "forbid(principal, action == Action::\"POST /notes/**\", resource) when { context.body.n > 3 && context.query.q == \"x\" };\nforbid(principal, action in Action::\"unknown\", resource);";
    let policies = Policies::load(&[PolicyText { file: "p.cedar", text }], &actions, options).unwrap();
    let applicable = |label, method| policies.applicable(actions.find(label, &method)).len();
    assert_eq!(applicable("* /notes/**", Method::POST), 1);
    assert_eq!(applicable("* /notes/**", Method::GET), 0);
    assert_eq!(applicable("unknown", Method::DELETE), 1);
    assert_eq!(applicable("unknown", Method::from_bytes(b"BREW").unwrap()), 1);
}
