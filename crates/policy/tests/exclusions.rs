//! Exclusions of an API: where they hold, what is wrong with them, what is told of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

mod support;

use std::fs;

use bartizan_policy::{CompileOptions, Loaded, Rejected, Source, diff};
use support::{about, place, services};

const RULES: &str = "SecRule ARGS \"@contains a\" \"id:100,phase:2,deny,log,tag:words\"\n";

fn compile(text: &str) -> Result<Loaded, Box<Rejected>> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("own.conf"), RULES).unwrap();
    let file = folder.path().join("bartizan.yaml");
    fs::write(&file, text).unwrap();
    bartizan_policy::compile(&Source::file(&file), &CompileOptions::new(&services()))
}

fn policy(exclusions: &str) -> String {
    format!(
        "apis:\n  - name: shop\n    upstream: http://127.0.0.1:1\n    guards: {{ waf: {{ rules: [\"file:own.conf\"] }} }}\n\
         \x20   operations:\n      - {{ match: GET /orders, guards: {{ waf: {{ max_body: 1KiB }} }} }}\n    exclusions:\n{exclusions}"
    )
}

/// The rules that each operation leaves out.
fn left_out(loaded: &Loaded) -> Vec<(String, usize)> {
    let api = &loaded.effective.apis[0];
    let count = |guard: &bartizan_policy::effective::EffectiveGuard| {
        guard.config["exclusions"].as_array().map_or(0, Vec::len)
    };
    api.operations
        .iter()
        .map(|operation| {
            let waf = operation.guards.iter().find(|guard| guard.guard == "waf").unwrap();
            (operation.label.clone(), count(waf))
        })
        .collect()
}

#[test]
fn an_exclusion_holds_for_its_operation_and_one_without_for_all() {
    let loaded = compile(&policy(
        "      - { guard: waf, rule: 100, operation: POST /notes, parameter: request.body.text, reason: free text }\n\
         \x20     - { guard: waf, tag: words, parameter: query.q, reason: words }\n",
    ))
    .unwrap_or_else(|rejected| panic!("{rejected}"));
    let mut found = left_out(&loaded);
    found.sort();
    assert_eq!(
        found,
        [("GET /orders".to_owned(), 1), ("unknown".to_owned(), 1), ("unknown".to_owned(), 2)],
        "an exclusion makes no operation known"
    );
    let none = compile(&policy("      []\n")).unwrap_or_else(|rejected| panic!("{rejected}"));
    let changes = diff(&none.effective, &loaded.effective);
    assert!(changes.iter().any(|change| change.to_string().contains("request.body.text")), "{changes:?}");
}

#[test]
fn what_is_wrong_is_told_at_its_place() {
    let list = "      - { guard: waf, rule: 7, reason: x }\n\
        \x20     - { guard: cors, rule: 100, reason: x }\n\
        \x20     - { rule: 100, reason: x }\n\
        \x20     - { guard: waf, rule: 100, reason: x, operation: notes }\n\
        \x20     - { guard: waf, rule: 100 }\n\
        \x20     - { guard: waf, rule: 100, reason: x, until: 2027-01-01 }\n";
    let rejected = compile(&policy(list)).err().unwrap();
    let said = &rejected.diagnostics;
    assert_eq!(place(about(said, "there is no rule 7")).0, 8, "{said}");
    assert_eq!(place(about(said, "`cors` takes no exclusions")).0, 9);
    assert_eq!(place(about(said, "`guard` is missing here")).0, 10);
    assert!(said.0.iter().any(|one| place(one).0 == 11), "{said}");
    assert!(said.0.iter().any(|one| place(one).0 == 12 && one.message.contains("reason")), "{said}");
    assert_eq!(place(about(said, "until")).0, 13);
}

#[test]
fn what_has_ended_and_what_leaves_nothing_out_is_warned_of() {
    let loaded =
        compile(&policy("      - { guard: waf, rule: 100, reason: free text, expires: 2001-01-31 }\n"))
            .unwrap_or_else(|rejected| panic!("{rejected}"));
    let warning = about(&loaded.snapshot.warnings, "ended with 2001-01-31");
    assert_eq!(place(warning).0, 8);
    let told = loaded.snapshot.warnings.0.iter().filter(|one| one.message.contains("ended with")).count();
    assert_eq!(told, 1, "once, not for each operation");
    let text = "apis:\n  - name: shop\n    upstream: http://127.0.0.1:1\n    exclusions:\n\
        \x20     - { guard: waf, rule: 100, reason: x }\n";
    let loaded = compile(text).unwrap_or_else(|rejected| panic!("{rejected}"));
    assert_eq!(place(about(&loaded.snapshot.warnings, "leaves nothing out")).0, 5);
}
