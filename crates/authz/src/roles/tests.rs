//! Roles files, read and asked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::borrow::Cow;

use bartizan_model::compile::{ApiSpec, OperationSpec};
use bartizan_pattern::path::folded;
use http::Method;

use super::*;
use crate::Actions;

fn actions(declared: bool) -> Actions {
    let operation = |label: &str, tag: &str| OperationSpec {
        label: label.into(),
        declared,
        tags: if declared { vec![tag.into()] } else { Vec::new() },
        ..OperationSpec::default()
    };
    let operations = vec![
        operation("GET /accounts/{id}", "accounts"),
        operation("POST /accounts", "accounts"),
        operation("GET /reports/{name}.pdf", "reports"),
        operation("* /admin/**", "admin"),
    ];
    Actions::new(&ApiSpec { base_path: "/v1".to_owned(), operations, ..ApiSpec::default() })
}

fn ask(table: &RoleTable, actions: &Actions, role: &str, method: &str, label: &str, path: &str) -> bool {
    let id = actions.find(label, &method.parse::<Method>().unwrap());
    let roles = table.roles_of(Some(("corp", "alice")), [role].into_iter());
    table.decide(actions, id, &roles, || folded(actions.below(path))).is_some()
}

const FILE: &str = r#"
roles:
  anonymous: [GET /health]
  customer: [GET /accounts/*, "tag:reports"]
  teller:
    inherits: [customer]
    allow: [POST /accounts, "read /admin/reports/**"]
  admin: { inherits: teller, allow: "* /**" }
members:
  corp/bob: [admin]
"#;

#[test]
fn a_role_may_do_what_it_and_its_parents_say() {
    let actions = actions(true);
    let mut file = Roles::parse(FILE, "roles.yaml").unwrap();
    // This contract has no such operation, which is told elsewhere.
    file.entries[0].allow.clear();
    let table = RoleTable::compile(&file, &actions).unwrap();
    let get = "GET /accounts/{id}";
    assert!(ask(&table, &actions, "customer", "GET", get, "/v1/accounts/7"));
    assert!(ask(&table, &actions, "customer", "HEAD", get, "/v1/accounts/7"), "`HEAD` is served as `GET` is");
    assert!(ask(&table, &actions, "teller", "GET", get, "/v1/accounts/7"));
    assert!(ask(&table, &actions, "customer", "GET", "GET /reports/{name}.pdf", "/v1/reports/a.pdf"));
    assert!(!ask(&table, &actions, "customer", "POST", "POST /accounts", "/v1/accounts"));
    assert!(ask(&table, &actions, "teller", "POST", "POST /accounts", "/v1/accounts"));
    assert!(!ask(&table, &actions, "nobody", "GET", get, "/v1/accounts/7"));
    let admin = "* /admin/**";
    assert!(ask(&table, &actions, "teller", "GET", admin, "/v1/admin/reports/3"));
    assert!(ask(&table, &actions, "teller", "GET", admin, "/v1/ADMIN/Reports/3/"), "folded as blocks are");
    assert!(!ask(&table, &actions, "teller", "POST", admin, "/v1/admin/reports/3"));
    assert!(!ask(&table, &actions, "teller", "GET", admin, "/v1/admin/users"));
    assert!(ask(&table, &actions, "admin", "DELETE", admin, "/v1/admin/users"));
    assert!(ask(&table, &actions, "admin", "GET", "unknown", "/v1/else"));
}

#[test]
fn members_have_roles_besides_those_of_their_credential() {
    let actions = actions(false);
    let table = RoleTable::compile(&Roles::parse(FILE, "roles.yaml").unwrap(), &actions).unwrap();
    let names = |member| {
        let roles = table.roles_of(member, ["customer"].into_iter());
        roles.iter().map(|role| table.name(*role).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(Some(("corp", "bob"))), ["customer", "anonymous", "admin"]);
    assert_eq!(names(Some(("other", "bob"))), ["customer", "anonymous"]);
}

#[test]
fn without_a_contract_paths_decide() {
    let actions = actions(false);
    let table = RoleTable::compile(&Roles::parse(FILE, "roles.yaml").unwrap(), &actions).unwrap();
    assert!(ask(&table, &actions, "customer", "GET", "unknown", "/v1/health"));
    assert!(ask(&table, &actions, "customer", "GET", "unknown", "/v1/accounts/9"));
    assert!(!ask(&table, &actions, "customer", "DELETE", "unknown", "/v1/accounts/9"));
    assert!(!ask(&table, &actions, "customer", "GET", "unknown", "/v1/accounts/9/cards"));
}

#[test]
fn what_decided_is_told_with_its_line() {
    let actions = actions(true);
    let file = Roles::parse("roles: { teller: [\n  POST /accounts ] }", "roles.yaml").unwrap();
    let table = RoleTable::compile(&file, &actions).unwrap();
    let id = actions.find("POST /accounts", &Method::POST);
    let roles = table.roles_of(None, ["teller"].into_iter());
    let grant = table.decide(&actions, id, &roles, || Cow::Borrowed("/accounts")).unwrap();
    assert_eq!(grant.to_string(), "role `teller`: `POST /accounts` (roles.yaml:2)");
    assert_eq!(table.holders(id).map(|role| &**role).collect::<Vec<_>>(), ["teller"]);
}

fn wrong(text: &str) -> String {
    let compiled =
        Roles::parse(text, "roles.yaml").and_then(|file| RoleTable::compile(&file, &actions(true)));
    compiled.err().unwrap().to_string()
}

#[test]
fn every_mistake_is_told_at_its_line() {
    let told = wrong(
        "roles:\n  custmer: [\"GET /acounts/{id}\"]\n  teller: { inherits: [customer], allow: [\"tag:acounts\"] }\nmembers: { corp/x: [admn] }",
    );
    for expected in [
        "roles.yaml:2:13: error: the contract has no operation `GET /acounts/{id}`; did you mean `GET /accounts/{id}`?",
        "roles.yaml:3:24: error: there is no role `customer`; did you mean `custmer`?",
        "roles.yaml:3:43: error: no operation of the contract has the tag `acounts`; did you mean `accounts`?",
        "roles.yaml:4:21: error: there is no role `admn`",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
}

#[test]
fn circles_and_shapes_are_refused() {
    let told = wrong("roles:\n  a: { inherits: [b] }\n  b: { inherits: [c] }\n  c: { inherits: [a] }");
    assert!(told.contains("the role `a` inherits from itself, through `c`"), "{told}");
    assert!(wrong("roles:\n  a: { inherits: [a] }").contains("through `a`"));
    assert!(wrong("rols: {}").contains("did you mean `roles`?"));
    assert!(wrong("roles: { a: [ACCOUNTS] }").contains("names no operations"));
    assert!(wrong("roles: { a: { allows: [] } }").contains("did you mean `allow`?"));
    assert!(wrong("members: {}").contains("the file names no roles"));
}
