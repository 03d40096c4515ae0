//! What the cases cannot say: settings that are refused, and findings that hold no payload.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use bartizan_model::{Guard as _, Mode, Outcome, Reason as _, Transaction, compile::ApiSpec};
use serde_json::{Value, json};

use super::{Trusted, Waf};
use crate::{
    body::HeldBody,
    contract::Contract,
    support::{self, TestFiles},
};

const RULES: &str = "SecRule ARGS \"@contains union\" \"id:100,phase:2,deny,status:403,log,t:none,t:lowercase,msg:'SQL in %{MATCHED_VAR}'\"\n\
    SecRule ARGS \"@contains secret\" \"id:101,phase:2,pass,log,t:none,severity:CRITICAL,msg:'A word',logdata:'%{MATCHED_VAR}'\"\n";

fn compile(config: Value) -> Result<Waf, String> {
    compile_for(config, &bartizan_model::compile::UNKNOWN_API)
}

fn compile_for(config: Value, spec: &ApiSpec) -> Result<Waf, String> {
    let mut files = TestFiles::default();
    files.given.insert("own.conf".to_owned(), RULES.into());
    files
        .given
        .insert("broken.conf".to_owned(), "\nSecRule ARGS \"@rx (\" \"id:7,deny\"\nSecNonsense On\n".into());
    support::compile_for(config, spec, &files).map_err(|problems| problems.to_string())
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
        (json!({ "rules": ["file:own.conf"], "max_work": "0B" }), "every request is refused"),
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

/// What was not looked at is not let pass.
#[test]
fn an_exchange_that_is_too_costly_is_told_of() {
    let whole = HeldBody::new(Default::default(), true);
    let waf = compile(json!({ "rules": ["file:own.conf"], "max_work": "100B" })).unwrap();
    let query: Vec<String> = (0..40).map(|number| format!("q=price+{number}")).collect();
    let (_, why) = ask(&waf, &query.join("&"), &whole);
    let why = why.unwrap();
    assert_eq!(why.info().code, "waf.too_costly");
    assert!(why.remedy().unwrap().contains("`waf.max_work`"));
    let generous = compile(json!({ "rules": ["file:own.conf"] })).unwrap();
    let (_, why) = ask(&generous, "q=shoes", &whole);
    assert!(why.is_none(), "{why:?}");
}

#[test]
fn a_body_beyond_the_limit_has_a_verdict_either_way() {
    let held = HeldBody::new("q=harmless".into(), false);
    let waf = compile(json!({ "rules": ["file:own.conf"] })).unwrap();
    let (_, why) = ask(&waf, "", &held);
    assert_eq!(why.unwrap().info().code, "waf.body_too_long");
    let waf =
        compile(json!({ "rules": ["file:own.conf"], "over_limit": "partial", "unknown_type": "allow" }))
            .unwrap();
    let (transaction, why) = ask(&waf, "", &held);
    assert!(why.is_none());
    assert_eq!(transaction.findings[0].code, "waf.unseen");
}

#[test]
fn an_exclusion_ends_with_its_day() {
    let with = |day: &str| json!({ "rules": ["file:own.conf"], "exclusions": [{ "rule": 100, "reason": "x", "expires": day }] });
    let whole = HeldBody::new(Default::default(), true);
    for (day, refused) in [("2100-01-31", false), ("2001-01-31", true)] {
        let waf = compile(with(day)).unwrap();
        assert_eq!(ask(&waf, "q=union", &whole).1.is_some(), refused, "{day}");
        let warnings = waf.warnings(support::transaction().started).0;
        assert_eq!(warnings.len(), usize::from(refused), "{day}: {warnings:?}");
    }
}

#[test]
fn rules_know_the_time() {
    let files = "SecRule TIME_YEAR \"@eq 2023\" \"id:1,phase:1,deny,status:403\"\n";
    let waf = compile_rules(files, json!({}));
    let mut transaction = support::transaction();
    transaction.started = bartizan_model::Timestamp::from_seconds(1_700_000_000);
    let outcome = support::now(waf.request_headers(&mut transaction));
    assert!(matches!(outcome, Outcome::Deny(_)), "{:?}", transaction.findings);
}

/// A guard with these rules, and what else is set.
fn compile_rules(rules: &str, mut config: Value) -> Waf {
    let mut files = TestFiles::default();
    files.given.insert("own.conf".to_owned(), rules.into());
    config["rules"] = json!(["file:own.conf"]);
    support::compile(config, &support::idle_services(), &files)
        .unwrap_or_else(|problems| panic!("{problems}"))
}

const SCORES: &str = "SecRule ARGS:a \"@streq x\" \"id:10,phase:2,pass,log,tag:group/a,setvar:tx.blocking_inbound_anomaly_score=+3\"\n\
    SecRule ARGS:b \"@streq x\" \"id:11,phase:2,pass,log,tag:group/b,setvar:tx.blocking_inbound_anomaly_score=+5\"\n\
    SecRule ARGS:c \"@streq x\" \"id:12,phase:2,deny,log,tag:group/b\"\n\
    SecRule TX:blocking_inbound_anomaly_score \"@ge 5\" \"id:20,phase:2,deny,log\"\n\
    SecRule ARGS:d \"@streq x\" \"id:21,phase:2,pass,log\"\n\
    SecAction \"id:1,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=5\"\n";

fn numbers(transaction: &Transaction) -> Vec<u64> {
    transaction.score.as_ref().map(|score| score.rules.clone()).unwrap_or_default()
}

#[test]
fn near_misses_are_one_rule_from_a_refusal() {
    let waf = compile_rules(SCORES, json!({}));
    let body = HeldBody::new(Default::default(), true);
    for (query, inbound, near, refused) in
        [("a=y", 0, false, false), ("a=x", 3, true, false), ("b=x", 5, false, true), ("d=x", 0, false, false)]
    {
        let (mut transaction, why) = ask(&waf, query, &body);
        waf.settle(&mut transaction);
        let score = transaction.score.unwrap();
        assert_eq!(
            (score.inbound, score.near_miss, why.is_some(), score.inbound_threshold),
            (inbound, near, refused, 5),
            "{query}"
        );
    }
}

#[test]
fn in_monitor_mode_all_of_an_exchange_is_looked_at() {
    let waf = compile_rules(SCORES, json!({ "over_limit": "deny", "max_body": "8B" }));
    let body = HeldBody::new("a=x&long=".into(), false);
    for mode in [Mode::Enforce, Mode::Monitor] {
        let mut transaction = support::transaction();
        transaction.guard_mode = mode;
        transaction.request.query = Some("b=x&d=x".to_owned());
        let head = support::now(waf.request_headers(&mut transaction));
        assert!(matches!(head, Outcome::Continue));
        let why = match waf.request_body(&mut transaction, &body) {
            Outcome::Deny(why) => why,
            other => panic!("{other:?}"),
        };
        waf.settle(&mut transaction);
        let codes: Vec<_> = transaction.findings.iter().map(|finding| finding.code).collect();
        match mode {
            Mode::Monitor => {
                assert_eq!(why.info().code, "waf.attack");
                assert_eq!(codes, ["waf.body_too_long", "waf.match", "waf.match"]);
                assert_eq!(numbers(&transaction), [11, 20, 21], "rules behind the one that would refuse");
            }
            _ => {
                assert_eq!(why.info().code, "waf.body_too_long");
                assert_eq!(codes, [] as [&str; 0]);
            }
        }
    }
}

#[test]
fn modes_are_of_rules_ranges_and_tags_the_narrowest_first() {
    let body = HeldBody::new(Default::default(), true);
    for (modes, query, refused, matched) in [
        (json!({}), "b=x", true, vec![11, 20]),
        (json!({ "11": "off" }), "b=x", false, vec![]),
        (json!({ "11": "monitor" }), "b=x", false, vec![11]),
        (json!({ "group/b": "monitor" }), "b=x&c=x", false, vec![11, 12]),
        (json!({ "group/b": "monitor", "12": "enforce" }), "b=x&c=x", true, vec![11, 12]),
        (json!({ "10-12": "off", "group/b": "monitor" }), "b=x&c=x", false, vec![]),
        (json!({ "10-12": "off", "11": "enforce" }), "b=x&c=x", true, vec![11, 20]),
    ] {
        let waf = compile_rules(SCORES, json!({ "modes": modes }));
        let (mut transaction, why) = ask(&waf, query, &body);
        waf.settle(&mut transaction);
        assert_eq!((why.is_some(), numbers(&transaction)), (refused, matched), "{modes} {query}");
    }
}

#[test]
fn what_is_watched_says_what_it_would_score() {
    let waf = compile_rules(SCORES, json!({ "modes": { "11": "monitor" } }));
    let (transaction, _) = ask(&waf, "b=x", &HeldBody::new(Default::default(), true));
    let told = &transaction.findings[0].detail;
    assert!(told.contains("it only watches, and would score 5"), "{told}");
}

#[test]
fn blocks_with_the_same_files_share_rules_until_they_change() {
    let services = support::idle_services();
    let mut files = TestFiles::default();
    files.given.insert("own.conf".to_owned(), SCORES.into());
    let with = |files: &TestFiles, config: Value| {
        let mut config = config;
        config["rules"] = json!(["file:own.conf"]);
        support::compile::<Waf>(config, &services, files).unwrap_or_else(|problems| panic!("{problems}"))
    };
    let first = with(&files, json!({}));
    let second = with(
        &files,
        json!({
            "paranoia": 3, "inbound_threshold": 9, "max_body": "1KiB", "responses": true, "modes": { "10": "off" },
            "exclusions": [{ "rule": 11, "parameter": "query.b", "reason": "x", "expires": "2100-01-01" }],
        }),
    );
    assert!(first.program().shares_rules(second.program()));
    files.given.insert("own.conf".to_owned(), format!("{SCORES}# more\n").into());
    let third = with(&files, json!({}));
    assert!(!first.program().shares_rules(third.program()), "the file says something else now");
    drop((first, second));
    assert!(third.program().shares_rules(with(&files, json!({ "paranoia": 2 })).program()));
}

#[test]
fn stored_collections_outlive_exchanges_and_policies() {
    let services = support::idle_services();
    let mut files = TestFiles::default();
    let rules = "SecAction \"id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.hits=+1,expirevar:ip.hits=60\"\n\
        SecRule IP:hits \"@gt 2\" \"id:2,phase:1,deny,status:403\"\n";
    files.given.insert("own.conf".to_owned(), rules.into());
    let make = || {
        support::compile::<Waf>(json!({ "rules": ["file:own.conf"] }), &services, &files)
            .unwrap_or_else(|problems| panic!("{problems}"))
    };
    let waf = make();
    let refused = |waf: &Waf, seconds: u64, probe: bool| {
        let mut transaction = support::transaction();
        transaction.started = bartizan_model::Timestamp::from_seconds(1_700_000_000 + seconds);
        transaction.probe = probe;
        matches!(support::now(waf.request_headers(&mut transaction)), Outcome::Deny(_))
    };
    assert!(!refused(&waf, 0, false) && !refused(&waf, 1, false));
    for _ in 0..5 {
        assert!(!refused(&waf, 1, true), "a probe counts nowhere");
    }
    let reloaded = make();
    assert!(refused(&reloaded, 2, false), "the third of an address");
    assert!(!refused(&reloaded, 100, false), "what was counted has expired");
}

#[test]
fn what_does_nothing_is_doubted_at_its_line() {
    let waf = compile_rules(
        "SecRule ARGS \"@contains union\" \"id:100,phase:2,deny\"\nSecRuleRemoveById 999\nSecAuditLog /var/log/a\n",
        json!({}),
    );
    let warnings = waf.warnings(support::transaction().started).to_string();
    assert!(warnings.contains("own.conf:2") && warnings.contains("no rule is meant by this"), "{warnings}");
    assert!(
        warnings.contains("own.conf:3") && warnings.contains("`SecAuditLog` changes nothing here"),
        "{warnings}"
    );
}

#[test]
fn rules_send_clients_elsewhere_or_away() {
    let waf = compile_rules(
        "SecRule ARGS:to \"@rx .\" \"id:1,phase:2,redirect:'https://b.example/?u=%{ARGS.to}'\"\n\
         SecRule ARGS:drop \"@rx .\" \"id:2,phase:2,drop\"\n",
        json!({}),
    );
    let body = HeldBody::new(Default::default(), true);
    for (query, status, header) in [
        ("to=x", 302, Some(("location", "https://b.example/?u=x"))),
        ("to=x%0d%0aSet-Cookie:a", 403, None),
        ("drop=1", 403, Some(("connection", "close"))),
    ] {
        let why = ask(&waf, query, &body).1.unwrap();
        assert_eq!(why.info().status, status, "{query}");
        let headers = why.headers();
        let told = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        assert_eq!(told.collect::<Vec<_>>(), header.into_iter().collect::<Vec<_>>(), "{query}");
    }
}

#[test]
fn what_debian_keeps_beside_the_set_up_is_read_too() {
    let mut files = TestFiles::default();
    let crs = "/unpacked/usr/share/modsecurity-crs";
    let etc = "/unpacked/etc/modsecurity/crs";
    for (path, text) in [
        (format!("{etc}/crs-setup.conf"), "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.setup=1\"\n"),
        (
            format!("{etc}/REQUEST-900-EXCLUSION-RULES-BEFORE-CRS.conf"),
            "SecRule ARGS:own \"@streq x\" \"id:2,phase:1,pass,nolog,ctl:ruleRemoveById=3\"\n",
        ),
        (
            format!("{crs}/rules/A.conf"),
            "SecRule TX:setup \"@eq 1\" \"id:3,phase:2,deny,chain\"\nSecRule ARGS:q \"@streq x\"\n\
             SecRule REMOTE_ADDR \"@rbl a.example\" \"id:4,phase:2,deny\"\nSecRuleRemoveById 99\n",
        ),
        (format!("{etc}/RESPONSE-999-EXCLUSION-RULES-AFTER-CRS.conf"), "SecRuleRemoveById 98\n"),
    ] {
        files.given.insert(path, text.into());
    }
    let config = json!({ "rules": ["crs"], "crs": format!("file:{crs}") });
    let waf = support::compile::<Waf>(config, &support::idle_services(), &files)
        .unwrap_or_else(|problems| panic!("{problems}"));
    let body = HeldBody::new(Default::default(), true);
    assert!(ask(&waf, "q=x", &body).1.is_some());
    assert!(ask(&waf, "q=x&own=x", &body).1.is_none(), "the user's exclusion");
    // Of a published rule set nothing is doubted.
    let warnings = waf.warnings(support::transaction().started);
    assert_eq!(warnings.0.len(), 1, "{warnings}");
    assert!(warnings.to_string().contains("RESPONSE-999"), "{warnings}");
}

#[test]
fn a_refusal_tells_what_matched_and_the_narrowest_exclusion() {
    let waf = compile(json!({ "rules": ["file:own.conf"] })).unwrap();
    let why = ask(&waf, "q=my+UNION", &HeldBody::new(Default::default(), true)).1.unwrap();
    assert!(why.detail().contains("in ARGS:q after lowercase, 5 bytes ~"), "{}", why.detail());
    assert!(why.remedy().unwrap().contains("{ rule: 100, parameter: \"ARGS:q\", "), "{:?}", why.remedy());
}

#[test]
fn an_exclusion_of_one_place_is_none_of_another() {
    let with = |parameter: &str| {
        compile(json!({ "rules": ["file:own.conf"], "exclusions": [{ "rule": 100, "parameter": parameter, "reason": "x" }] }))
            .unwrap()
    };
    let refused = |waf: &Waf, query: &str, body: &str| {
        let mut transaction = support::transaction();
        transaction.request.query = Some(query.to_owned());
        let form = http::HeaderValue::from_static("application/x-www-form-urlencoded");
        transaction.request.headers.insert(http::header::CONTENT_TYPE, form);
        assert!(matches!(support::now(waf.request_headers(&mut transaction)), Outcome::Continue));
        let held = HeldBody::new(body.to_owned().into(), true);
        matches!(waf.request_body(&mut transaction, &held), Outcome::Deny(_))
    };
    for (parameter, query, body, expected) in [
        ("request.body.q", "", "q=union", false),
        ("request.body.q", "q=union", "", true),
        ("request.body.q", "q=union", "q=x", true),
        ("request.body.q", "q=x", "q=union", true),
        ("query.q", "q=union", "", false),
        ("query.q", "", "q=union", true),
        ("query.q", "q=union", "q=x", true),
        ("ARGS:q", "q=union", "q=union", false),
    ] {
        assert_eq!(refused(&with(parameter), query, body), expected, "{parameter}: {query} {body}");
    }
}

/// A contract with a proved value, a free one, and the rules of [`RULES`].
fn compile_trusting(config: Value) -> (Waf, Contract) {
    let folder = std::env::temp_dir().join(format!("bartizan-trust-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let document = r##"{ "openapi": "3.1.0", "info": { "title": "t", "version": "1" }, "paths": { "/a": { "post": {
        "parameters": [{ "name": "id", "in": "query", "schema": { "type": "integer" } },
            { "name": "q", "in": "query", "schema": { "type": "string" } }],
        "requestBody": { "content": {
            "application/json": { "schema": { "$ref": "#/components/schemas/A" } },
            "application/x-www-form-urlencoded": { "schema": { "$ref": "#/components/schemas/A" } } } },
        "responses": { "200": { "description": "" } } } } },
        "components": { "schemas": { "A": { "type": "object", "properties": {
            "key": { "type": "string", "format": "uuid" }, "kind": { "enum": ["union", "other"] },
            "free": { "type": "string" } } } } } }"##;
    std::fs::write(folder.join("trust.json"), document).unwrap();
    let description = support::contract(Some("file:trust.json"), &folder).unwrap().unwrap();
    let spec = support::spec(&description).unwrap();
    let contract = support::compile_for(json!({}), &spec, &TestFiles::default()).unwrap();
    (compile_for(config, &spec).unwrap(), contract)
}

/// Sends a request through both guards as a question: whether rules refused it, and what they were spared.
fn ask_trusting(
    config: Value,
    query: &str,
    kind: &'static str,
    body: &'static str,
) -> (bool, Vec<(String, usize)>) {
    let (waf, contract) = compile_trusting(config);
    let mut transaction = support::transaction();
    transaction.probe = true;
    transaction.operation = "POST /a".into();
    transaction.request.method = http::Method::POST;
    transaction.request.path = "/a".to_owned();
    transaction.request.query = Some(query.to_owned());
    transaction.request.content_length = Some(body.len() as u64);
    let kind = http::HeaderValue::from_static(kind);
    transaction.request.headers.insert(http::header::CONTENT_TYPE, kind);
    let held = HeldBody::new(bytes::Bytes::from_static(body.as_bytes()), true)
        .described(&transaction.request.headers);
    assert!(matches!(support::now(contract.request_headers(&mut transaction)), Outcome::Continue));
    let head = support::now(waf.request_headers(&mut transaction));
    assert!(matches!(contract.request_body(&mut transaction, &held), Outcome::Continue));
    let body = waf.request_body(&mut transaction, &held);
    waf.settle(&mut transaction);
    let refused = [head, body].iter().any(|outcome| matches!(outcome, Outcome::Deny(_)));
    let trusted = transaction.memory.get::<Trusted>(Waf::ID).cloned().unwrap_or_default();
    (
        refused,
        trusted
            .values
            .into_iter()
            .map(|value| (format!("{} {}", value.value, value.proof), value.left))
            .collect(),
    )
}

#[test]
fn what_the_contract_proves_is_spared_and_nothing_else() {
    let rules = json!({ "rules": ["file:own.conf"] });
    let spared = |name: &str, left: usize| (name.to_owned(), left);
    let body = r#"{"key":"9f1c2a77-5d0e-4b7a-9c1d-3f6e8a2b4c5d","kind":"other","free":"x"}"#;
    let (refused, told) = ask_trusting(rules.clone(), "id=12&q=y", "application/json", body);
    // Two tests look at each: `other` has letters of `union`, but not all of `secret`.
    let expected = [("ARGS:id integer", 0), ("ARGS:json.key uuid", 0), ("ARGS:json.kind enum", 1)];
    assert_eq!((refused, told), (false, expected.map(|(name, left)| spared(name, left)).to_vec()));
    let free = r#"{"key":"9f1c2a77-5d0e-4b7a-9c1d-3f6e8a2b4c5d","free":"UNION"}"#;
    assert!(ask_trusting(rules.clone(), "id=12", "application/json", free).0, "free text is looked at");
    assert!(ask_trusting(rules.clone(), "q=union", "application/json", "{}").0);
    let listed = r#"{"kind":"union"}"#;
    assert!(
        ask_trusting(rules, "id=1", "application/json", listed).0,
        "a listed value that a rule matches is no exception"
    );
    let distrusting = json!({ "rules": ["file:own.conf"], "trust_contract": false });
    assert_eq!(ask_trusting(distrusting, "id=12&q=y", "application/json", body), (false, Vec::new()));
}

#[test]
fn fields_of_forms_are_spared_by_what_rules_read() {
    let rules = json!({ "rules": ["file:own.conf"] });
    let form = "application/x-www-form-urlencoded";
    let (refused, told) =
        ask_trusting(rules, "", form, "key=9f1c2a77-5d0e-4b7a-9c1d-3f6e8a2b4c5d&free=union");
    assert_eq!((refused, told), (true, vec![("ARGS:key uuid".to_owned(), 0)]));
}
