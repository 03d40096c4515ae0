//! What the cases cannot say: settings that are refused, and findings that hold no payload.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::collections::BTreeMap;

use bartizan_model::{CompileContext, Guard as _, Outcome, Profile, Reason as _, Transaction};
use serde_json::{Value, json};

use super::Waf;
use crate::{
    body::HeldBody,
    support::{self, TestFiles},
};

const RULES: &str = "SecRule ARGS \"@contains union\" \"id:100,phase:2,deny,status:403,log,t:none,t:lowercase,msg:'SQL in %{MATCHED_VAR}'\"\n\
    SecRule ARGS \"@contains secret\" \"id:101,phase:2,pass,log,t:none,severity:CRITICAL,msg:'A word',logdata:'%{MATCHED_VAR}'\"\n";

fn compile(config: Value) -> Result<Waf, String> {
    let services = support::idle_services();
    let mut files = TestFiles::default();
    files.given.insert("own.conf".to_owned(), RULES.into());
    files
        .given
        .insert("broken.conf".to_owned(), "\nSecRule ARGS \"@rx (\" \"id:7,deny\"\nSecNonsense On\n".into());
    let issuers = BTreeMap::new();
    let scope = |_: &str| String::new();
    let context = CompileContext {
        spec: &bartizan_model::compile::UNKNOWN_API,
        api: "shop",
        operation: None,
        profile: Profile::Balanced,
        issuers: &issuers,
        services: &services,
        files: &files,
        scope: &scope,
    };
    Waf::compile(serde_json::from_value(config).unwrap(), &context).map_err(|problems| problems.to_string())
}

fn ask(waf: &Waf, query: &str, body: &HeldBody) -> (Transaction, Option<super::Why>) {
    let mut transaction = support::transaction();
    transaction.request.query = Some(query.to_owned());
    let mut why = None;
    for outcome in
        [support::now(waf.request_headers(&mut transaction)), waf.request_body(&mut transaction, body)]
    {
        if let Outcome::Deny(reason) = outcome {
            why = Some(reason);
        }
    }
    (transaction, why)
}

#[test]
fn settings_that_protect_nobody_are_refused() {
    for (config, told) in [
        (json!({ "rules": [] }), "there are no rules"),
        (json!({ "rules": ["file:own.conf"], "paranoia": 5 }), "1 to 4"),
        (
            json!({ "rules": ["file:own.conf"], "paranoia": 3, "detection_paranoia": 2 }),
            "have to be evaluated",
        ),
        (json!({ "rules": ["file:own.conf"], "inbound_threshold": 0 }), "refuses everything"),
        (json!({ "rules": ["crs"], "crs": "file:nowhere" }), "not in `nowhere`"),
        (json!({ "rules": ["file:missing.conf"] }), "missing.conf"),
        (
            json!({ "rules": ["file:own.conf"], "exclusions": [{ "rule": 1, "parameter": "ARGS:a", "reason": "x" }] }),
            "1",
        ),
        (json!({ "rules": ["file:own.conf"], "exclusions": [{ "reason": "x" }] }), "one rule or one tag"),
        (
            json!({ "rules": ["file:own.conf"], "exclusions": [{ "rule": 100, "reason": " " }] }),
            "needs a reason",
        ),
        (
            json!({ "rules": ["file:own.conf"], "exclusions": [{ "rule": 100, "reason": "x", "expires": "soon" }] }),
            "no day",
        ),
        (
            json!({ "rules": ["file:own.conf"], "exclusions": [{ "rule": 100, "reason": "x", "parameter": "A\" \"id:1" }] }),
            "quotes",
        ),
    ] {
        match compile(config.clone()) {
            Ok(_) => panic!("{config} compiles"),
            Err(error) => assert!(error.contains(told), "{config}: {error}"),
        }
    }
}

#[test]
fn a_rule_that_is_not_understood_is_an_error_at_its_line() {
    let error = compile(json!({ "rules": ["file:broken.conf"] })).err().unwrap();
    assert!(error.contains("broken.conf:2") && error.contains("broken.conf:3"), "{error}");
}

#[test]
fn findings_name_rule_place_and_variable_but_no_value() {
    let waf = compile(json!({ "rules": ["file:own.conf"] })).unwrap();
    let whole = HeldBody::new(Default::default(), true);
    let (transaction, why) = ask(
        &waf,
        "q=my+UNION+secret+hunter2&hunter2_is_a_secret_name_that_is_far_too_long_to_be_one_of_a_parameter_of_ours=secret",
        &whole,
    );
    let why = why.unwrap();
    assert_eq!(why.info().code, "waf.attack");
    let told = format!("{} {}", why.detail(), why.remedy().unwrap());
    assert!(told.contains("rule 100 (own.conf:1)") && told.contains("SQL in %{MATCHED_VAR}"), "{told}");
    assert!(told.contains("ARGS:q"), "{told}");
    let waf = compile(json!({ "rules": ["file:own.conf"], "exclusions": [{ "rule": 100, "reason": "x" }] }))
        .unwrap();
    let (more, why) = ask(
        &waf,
        "q=my+UNION+secret+hunter2&hunter2_is_a_secret_name_that_is_far_too_long_to_be_one_of_a_parameter_of_ours=secret",
        &whole,
    );
    assert!(why.is_none());
    let all = format!("{told} {:?} {:?}", transaction.findings, more.findings);
    assert!(all.contains("rule 101 (own.conf:2): A word; in ARGS:q, 6 bytes ~"), "{all}");
    assert!(!all.contains("hunter2"), "{all}");
}

#[test]
fn a_body_beyond_the_limit_has_a_verdict_either_way() {
    let held = HeldBody::new("q=harmless".into(), false);
    let waf = compile(json!({ "rules": ["file:own.conf"] })).unwrap();
    let (_, why) = ask(&waf, "", &held);
    assert_eq!(why.unwrap().info().code, "waf.body_too_long");
    let waf = compile(json!({ "rules": ["file:own.conf"], "over_limit": "partial" })).unwrap();
    let (transaction, why) = ask(&waf, "", &held);
    assert!(why.is_none());
    assert_eq!(transaction.findings[0].code, "waf.unseen");
}
