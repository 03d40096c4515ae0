//! What an audit finds, and what it leaves alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::collections::BTreeSet;

use bartizan_contract::{
    Description, Documents, OneFile,
    lint::{Audit, RULES, Severity, audit, sarif},
    yaml::Budget,
};

fn look(text: &str) -> Audit {
    let documents = Documents::read(text.as_bytes(), "api.yaml", &OneFile, Budget::CONTRACT).unwrap();
    let (description, warnings) = Description::of(&documents).unwrap_or_else(|errors| panic!("{errors}"));
    audit(&documents, &description, &warnings)
}

/// The lines of each rule's findings.
fn lines(audit: &Audit, rule: &str) -> Vec<u32> {
    let found = audit.findings.iter().filter(|finding| finding.rule == rule);
    let mut lines: Vec<u32> =
        found.map(|finding| finding.place.as_ref().map_or(0, |place| place.line)).collect();
    lines.sort_unstable();
    lines
}

const OPEN: &str = r##"openapi: 3.0.3
info: { title: Open, version: "1" }
servers: [{ url: "http://api.example.com/v1" }, { url: "http://localhost:3000" }]
paths:
  /accounts/{accountId}:
    get:
      operationId: read
      parameters:
        - { name: accountId, in: path, required: true, schema: { type: integer } }
        - { name: access_token, in: query, schema: { type: string } }
      responses:
        "200": { description: ok, content: { application/json: { schema: { $ref: "#/components/schemas/Account" } } } }
        "500": { description: failed }
    put:
      operationId: read
      security: []
      requestBody:
        content:
          "*/*": { schema: { $ref: "#/components/schemas/Account" } }
          text/csv: {}
      responses: { "200": { description: ok, content: { application/json: {} } } }
    post:
      security: [{ basic: [] }, {}, { gone: [] }]
      parameters: [{ name: maxlength, in: query, schema: { type: string, maxlength: 5 } }]
      responses: { default: { description: any } }
    delete:
      security: [{ oauth: [] }]
      responses: { "204": { description: gone } }
components:
  securitySchemes:
    basic: { type: http, scheme: basic }
    key: { type: apiKey, in: query, name: key }
    oauth:
      type: oauth2
      flows: { password: { tokenUrl: "http://id.example.com/token", scopes: {} } }
  schemas:
    Account:
      type: object
      properties:
        name: { type: string }
        role: { type: string, maxLength: 10 }
        tags: { type: array, items: { type: string, pattern: "^[a-z]{1,8}$" } }
        amount: { type: number, minimum: 0 }
        anything: {}
        passwordHash: { type: string, format: password, example: "KEY" }
        apiKey: { type: string, example: hunter2hunter }
"##;

#[test]
fn every_rule_finds_what_it_is_for() {
    let key = format!("AKIA{}", "Q3ZT7WKDMV9LXPB2");
    let audit = look(&OPEN.replace("KEY", &key));
    let found: BTreeSet<&str> = audit.findings.iter().map(|finding| finding.rule).collect();
    let all: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(all.difference(&found).collect::<Vec<_>>(), Vec::<&&str>::new());
    for (rule, expected) in [
        ("plain-server", vec![3]),
        ("security-missing", vec![6]),
        ("public-write", vec![14]),
        ("security-optional", vec![22]),
        ("scheme-undefined", vec![22]),
        ("oauth-without-scopes", vec![26]),
        ("basic-auth", vec![31]),
        ("key-in-query", vec![32]),
        ("weak-flow", vec![33]),
        ("plain-token-url", vec![33]),
        ("guessable-id", vec![9]),
        ("credential-in-query", vec![10]),
        ("duplicate-operation-id", vec![14]),
        ("wildcard-media", vec![19]),
        ("body-without-schema", vec![20]),
        ("open-object", vec![37]),
        ("assignable-property", vec![41, 45]),
        ("unbounded-array", vec![42]),
        ("unbounded-number", vec![9, 43]),
        ("untyped", vec![14, 22, 26, 44]),
        ("secret-in-response", vec![45]),
        ("secret-in-example", vec![45]),
        ("credential-in-example", vec![46]),
        ("error-without-schema", vec![13, 25]),
        ("response-without-schema", vec![21]),
        ("no-401", vec![26]),
        ("doubt", vec![24]),
    ] {
        assert_eq!(lines(&audit, rule), expected, "{rule}");
    }
    // `role` has a largest length, and the pattern of tags has one.
    assert_eq!(lines(&audit, "unbounded-string"), [10, 24, 40, 45, 46]);
    assert!(audit.score < 40, "{}", audit.score);
    assert!(!serde_json::to_string(&audit).unwrap().contains(&key), "a report never repeats a secret");
    assert!(audit.findings.windows(2).all(|pair| pair[0].severity >= pair[1].severity));
}

#[test]
fn a_tight_contract_has_nothing_to_answer_for() {
    let audit = look(
        r##"openapi: 3.1.0
info: { title: Tight, version: "1" }
servers: [{ url: https://api.example.com }]
security: [{ oauth: [read] }]
paths:
  /notes/{noteId}:
    put:
      operationId: write
      parameters: [{ name: noteId, in: path, required: true, schema: { type: string, format: uuid } }]
      requestBody:
        required: true
        content: { application/json: { schema: { $ref: "#/components/schemas/Note" } } }
      responses:
        "200": { description: ok, content: { application/json: { schema: { $ref: "#/components/schemas/Note" } } } }
        4XX: { description: no, content: { application/problem+json: { schema: { type: object } } } }
components:
  securitySchemes:
    oauth: { type: oauth2, flows: { authorizationCode: { authorizationUrl: https://id.example.com/a, tokenUrl: https://id.example.com/t, scopes: { read: r } } } }
  schemas:
    Note:
      type: object
      additionalProperties: false
      required: [text]
      properties:
        text: { type: string, maxLength: 500, pattern: "^[^<>]*$" }
        stars: { type: [integer, "null"], minimum: 0, maximum: 5 }
        kind: { enum: [a, b] }
        created: { type: string, format: date-time }
        role: { type: string, readOnly: true }
        tags: { type: array, maxItems: 5, items: { type: string, pattern: "^[a-z]{1,8}$" } }
"##,
    );
    assert_eq!(audit.findings, [], "nothing");
    assert_eq!(audit.score, 100);
}

#[test]
fn sarif_has_a_rule_and_a_place_for_each_result() {
    let audit = look(OPEN);
    let sarif = sarif(&audit, "1.2.3");
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), RULES.len());
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), audit.findings.len());
    for result in results {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "api.yaml");
        assert!(place["region"]["startLine"].as_u64().unwrap() > 0, "{result}");
    }
}

#[test]
fn rules_that_are_left_out_count_no_more() {
    let mut audit = look(OPEN);
    let before = audit.counts["high"];
    let high = audit.findings.iter().filter(|finding| finding.rule == "plain-server").count();
    audit.skip(&["plain-server".to_owned()]);
    assert_eq!(audit.counts["high"], before - high);
    assert!(audit.findings.iter().all(|finding| finding.rule != "plain-server"));
    assert!(audit.findings.iter().any(|finding| finding.severity == Severity::High));
}
