//! Tests of predicates and of rules that are mined.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]
//! Predicates against values: what they come to, and what is no predicate.

use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Values of a request, and perhaps of a response.
struct Case {
    principal: Option<Value>,
    response: Option<Value>,
}

fn datum(value: &Value) -> Result<Datum<'_>, Missing> {
    match value {
        Value::Null => Err(Missing::Absent),
        Value::Bool(truth) => Ok(Datum::Truth(*truth)),
        Value::Number(number) => Ok(Datum::Number(Cow::Owned(number.to_string()))),
        Value::String(text) => Ok(Datum::Text(Cow::Borrowed(text))),
        _ => Err(Missing::Shape),
    }
}

impl Case {
    fn value(&self, path: &ValuePath) -> Result<&Value, Missing> {
        let found = match &path.source {
            Source::Response => self.response.as_ref().ok_or(Missing::Later)?,
            Source::Path(name) if &**name == "id" => {
                return Ok(self.principal.as_ref().map_or(&Value::Null, |p| &p["path"]));
            }
            source => {
                let principal = self.principal.as_ref().ok_or(Missing::Anonymous)?;
                match source {
                    Source::Subject => &principal["sub"],
                    Source::Roles => &principal["roles"],
                    Source::Tenant => &principal["tenant"],
                    Source::Claim(name) => &principal[&**name],
                    _ => return Err(Missing::Absent),
                }
            }
        };
        path.steps.iter().try_fold(found, |value, step| match step {
            Step::Key(key) => value.get(&**key).ok_or(Missing::Absent),
            Step::Item(at) => value.get(*at as usize).ok_or(Missing::Absent),
            Step::All => Ok(value),
            Step::Each => Err(Missing::Shape),
        })
    }
}

impl Values for Case {
    fn one<'v>(&'v self, path: &'v ValuePath) -> Result<Datum<'v>, Missing> {
        datum(self.value(path)?)
    }

    fn each(&self, path: &ValuePath, enough: &mut dyn FnMut(&Datum<'_>) -> bool) -> Result<(), Missing> {
        for item in self.value(path)?.as_array().ok_or(Missing::Shape)? {
            if enough(&datum(item)?) {
                break;
            }
        }
        Ok(())
    }
}

fn come(text: &str, principal: Option<Value>, response: Option<Value>) -> &'static str {
    let predicate = Predicate::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let possible = predicate.judge(&Case { principal, response });
    match () {
        () if possible.holds() => "holds",
        () if possible.fails() => "fails",
        () if possible.cannot_hold() && possible.is_open() => "cannot hold",
        () if possible.is_open() => "open",
        () => "undecided",
    }
}

#[test]
fn predicates_come_to_what_their_values_say() {
    let alice = || {
        Some(
            json!({"sub": "alice", "roles": ["user"], "tenant": "t1", "path": "alice", "accounts": [7, "8"]}),
        )
    };
    let admin = || Some(json!({"sub": "root", "roles": ["user", "admin"], "path": "alice"}));
    let own = || Some(json!({"ownerId": "alice", "members": ["bob", "alice"], "open": true, "id": 7}));
    for (text, principal, response, outcome) in [
        ("response.ownerId == principal.sub", alice(), own(), "holds"),
        ("response.ownerId != principal.sub", alice(), own(), "fails"),
        ("response.ownerId == principal.sub", admin(), own(), "fails"),
        ("response.ownerId == principal.sub", alice(), None, "open"),
        ("response.ownerId == principal.sub", None, None, "undecided"),
        ("response.owner == principal.sub", alice(), own(), "undecided"),
        ("response.owner != principal.sub", alice(), own(), "undecided"),
        ("!(response.owner == principal.sub)", alice(), own(), "undecided"),
        ("response.ownerId == principal.sub || principal.roles contains \"admin\"", admin(), None, "holds"),
        ("response.ownerId == principal.sub || principal.roles.contains(\"admin\")", alice(), None, "open"),
        ("\"admin\" in principal.roles || response.ownerId == principal.sub", admin(), own(), "holds"),
        ("!principal.roles.contains('admin') && response.open", alice(), own(), "holds"),
        ("response.members contains principal.sub", alice(), own(), "holds"),
        ("principal.sub in response.members", admin(), own(), "fails"),
        ("response.id in principal.claims.accounts", alice(), own(), "holds"),
        ("response.id in claims.accounts", alice(), Some(json!({"id": 9})), "fails"),
        ("response.ownerId in [\"alice\", 'bob']", alice(), own(), "holds"),
        ("path.id == principal.sub", alice(), None, "holds"),
        ("path.id == principal.sub && response.open == true", admin(), None, "fails"),
        ("path.id == principal.sub && response.open == true", alice(), None, "open"),
        ("principal.tenant == response.tenant && response.open", None, None, "cannot hold"),
        ("principal.tenant == response.tenant", admin(), Some(json!({"tenant": "t1"})), "undecided"),
        ("response.ownerId == principal.sub", alice(), Some(json!({"ownerId": null})), "undecided"),
        ("response.ownerId == principal.sub", alice(), Some(json!({"ownerId": ["alice"]})), "undecided"),
        (
            "response.a[\"b-c\"].d[0] == principal.sub",
            alice(),
            Some(json!({"a": {"b-c": {"d": ["alice"]}}})),
            "holds",
        ),
        ("true", None, None, "holds"),
    ] {
        assert_eq!(come(text, principal, response), outcome, "{text}");
    }
}

#[test]
fn what_the_caller_does_not_have_is_the_callers() {
    let judge = |text: &str, principal| {
        let case = Case { principal, response: Some(json!({"tenant": "t", "x": 1})) };
        Predicate::parse(text).unwrap().judge(&case).of_caller
    };
    assert!(judge("response.tenant == principal.tenant", Some(json!({"sub": "a"}))));
    assert!(judge("response.tenant == principal.tenant", None));
    assert!(!judge("response.owner == principal.sub", Some(json!({"sub": "a"}))));
}

#[test]
fn records_are_one_chain_of_lists() {
    let records = |text: &str| Predicate::parse(text).map(|predicate| predicate.records().len());
    assert_eq!(records("response.ownerId == principal.sub"), Ok(0));
    assert_eq!(records("response[].ownerId == principal.sub"), Ok(1));
    assert_eq!(
        records("response.a.items[].ownerId == principal.sub && response.tenant == principal.tenant"),
        Ok(1)
    );
    assert_eq!(records("response.a[].b[].c == principal.sub || response.a[].open"), Ok(2));
    assert!(records("response.a[].x == principal.sub && response.b[].x == principal.sub").is_err());
    let nested = Predicate::parse("response.a.items[].owner.id == principal.sub").unwrap();
    let path = nested.paths().next().unwrap();
    assert_eq!((path.depth(), path.inside().len(), &*path.text), (1, 2, "response.a.items[].owner.id"));
}

#[test]
fn what_is_no_predicate_says_where_and_what_to_write() {
    for (text, column, message, help) in [
        ("", 1, "empty", "response.ownerId"),
        ("response.ownerId = principal.sub", 18, "`=`", "`==`"),
        ("response.ownerId == principal.sup", 31, "`principal.sup`", "`principal.sub`"),
        ("response.ownerId == principal.department", 31, "not known", "principal.claims.department"),
        ("respnse.ownerId == principal.sub", 1, "`respnse`", "`response`"),
        ("response.ownerId == alice", 21, "`alice`", "quotes"),
        ("response.a == principal.sub and response.b", 29, "`and`", "`&&`"),
        ("response.a & response.b", 12, "`&`", "`&&`"),
        ("response.a > 3", 12, "`>`", "`==`"),
        ("(response.a == principal.sub", 29, "expected `)`", "close"),
        ("response.a == principal.roles", 1, "`principal.roles`", "contains"),
        ("!response.a == principal.sub", 2, "`!`", "!(a == b)"),
        ("\"a\" == \"b\"", 1, "same for every", "principal.sub"),
        ("response.a == response.a", 1, "same for every", "principal.sub"),
        ("request.header.x == principal.sub", 9, "`request.header`", "header.NAME"),
        ("request.body.items[].id == path.id", 19, "`[]`", "`[*]`"),
        ("response.a == 012", 15, "no number", "quotes"),
        ("response.a == \"x", 15, "no end", "close"),
        ("response == principal.sub", 10, "missing", "response[]"),
        ("response.a contains 3 4", 23, "`4`", "`&&`"),
        ("principal.roles.has(\"x\")", 17, "`has`", "contains"),
        ("response.a == principal.sub, true", 28, "`,`", "`&&`"),
    ] {
        let error = Predicate::parse(text).expect_err(text);
        assert_eq!(error.column, column, "{text}: {error}");
        assert!(error.message.contains(message) && error.help.contains(help), "{text}: {error}");
    }
    assert!(Predicate::parse(&"(".repeat(4000)).is_err());
    assert!(Predicate::parse(&"!".repeat(4096)).is_err());
    assert!(Predicate::parse(&format!("response.a == \"{}\"", "x".repeat(5000))).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// No text makes the parser panic, and what it reads it reads again the same.
    #[test]
    fn any_text_is_read_or_refused(words in prop::collection::vec(prop::sample::select(vec![
        "response", ".", "a", "[]", "[*]", "[0]", "principal.sub", "principal.roles", "==", "!=", "in", "contains",
        "&&", "||", "!", "(", ")", "\"x\"", "42", "true", "path.id", ",", "[", "]", ".contains(", "é", "'",
    ]), 0..24), joint in prop::sample::select(vec!["", " "])) {
        let text = words.join(joint);
        if let Ok(predicate) = Predicate::parse(&text) {
            prop_assert_eq!(&**predicate.text(), text.as_str());
            let _ = predicate.judge(&Case { principal: None, response: None });
        }
    }

    /// Joined conditions come to what Kleene's logic says of their parts, whatever is known of them.
    #[test]
    fn connectives_follow_kleene(a in 0_u8..4, b in 0_u8..4) {
        let part = ["response.t == true", "response.f == true", "response.none == true", "path.x == true"];
        let response = json!({"t": true, "f": false});
        let of = |text: &str| {
            let case = Case { principal: Some(json!({})), response: Some(response.clone()) };
            Predicate::parse(text).unwrap().judge(&case)
        };
        let truth = |text: &str| { let p = of(text); if p.holds() { 2 } else if p.fails() { 0 } else { 1 } };
        let (x, y) = (part[a as usize], part[b as usize]);
        prop_assert_eq!(truth(&format!("{x} && {y}")), truth(x).min(truth(y)));
        prop_assert_eq!(truth(&format!("{x} || {y}")), truth(x).max(truth(y)));
        prop_assert_eq!(truth(&format!("!({x})")), 2 - truth(x));
    }
}
