//! `contract lint`, `contract diff`, `contract test` and `init SPEC`: what they say of contracts on disk, and with which exit code.

use crate::configuration::{folder, json, run};

const API: &str = "openapi: 3.0.3\ninfo: { title: Notes, version: '1' }\nservers: [{ url: 'http://notes.example/v1' }, { url: 'http://localhost:4000/v1' }]\nsecurity: [{ key: [] }]\npaths:\n  /notes: { $ref: 'paths/notes.yaml' }\ncomponents: { securitySchemes: { key: { type: apiKey, in: query, name: key } } }\n";
const NOTES: &str = "get: { responses: { '200': { description: ok } } }\npost:\n  requestBody: { content: { application/json: { schema: { type: string, maxLength: 10 } } } }\n  responses: { '204': { description: made } }\n";

#[test]
fn lint_tells_places_in_every_file_and_fails_from_a_severity_on() {
    let dir = folder(&[
        ("api.yaml", API),
        ("paths/notes.yaml", NOTES),
        ("bad.yaml", "openapi: 3.0.0\npaths: { /a: { get: { requestBody: { $ref: '#/nowhere' } } } }\n"),
    ]);
    let (code, told, _) = run(dir.path(), &["contract", "lint", "api.yaml"]);
    assert_eq!(code, 1, "{told}");
    for expected in [
        "plain-server [high, API8:2023]",
        "api.yaml:3:",
        "key-in-query",
        "any-characters",
        "paths/notes.yaml:3:",
        "score ",
    ] {
        assert!(told.contains(expected), "`{expected}` is not in\n{told}");
    }
    let (code, told, _) =
        run(dir.path(), &["contract", "lint", "api.yaml", "--output", "json", "--fail-on", "never"]);
    assert_eq!(code, 0);
    let answer = json(&told);
    assert!(
        answer["score"].as_u64().unwrap() < 100 && answer["counts"]["high"].as_u64().unwrap() >= 2,
        "{told}"
    );
    let skipped =
        ["contract", "lint", "api.yaml", "--fail-on", "high", "--skip", "plain-server,key-in-query"];
    assert_eq!(run(dir.path(), &skipped).0, 0);
    let (code, told, _) = run(dir.path(), &["contract", "lint", "api.yaml", "--output", "sarif"]);
    assert_eq!((code, json(&told)["version"].as_str()), (1, Some("2.1.0")));
    let (code, _, told) = run(dir.path(), &["contract", "lint", "bad.yaml"]);
    assert!(code == 78 && told.contains("bad.yaml:2:38: error: `#/nowhere` leads nowhere"), "{told}");
    let (code, _, told) = run(dir.path(), &["contract", "lint", "api.yaml", "--skip", "no-such"]);
    assert!(code == 1 && told.contains("the rules are"), "{told}");
    assert_eq!(run(dir.path(), &["contract", "lint", "absent.yaml"]).0, 78);
}

#[test]
fn diff_fails_when_clients_break() {
    let narrower = NOTES.replace("maxLength: 10", "maxLength: 5");
    let wider = NOTES.replace("maxLength: 10", "maxLength: 50");
    let dir = folder(&[
        ("old/api.yaml", API),
        ("old/paths/notes.yaml", NOTES),
        ("narrower/api.yaml", API),
        ("narrower/paths/notes.yaml", &narrower),
        ("wider/api.yaml", API),
        ("wider/paths/notes.yaml", &wider),
    ]);
    let diff = |new: &str, more: &[&str]| {
        let new = format!("{new}/api.yaml");
        run(dir.path(), &[&["contract", "diff", "old/api.yaml", &new], more].concat())
    };
    let (code, told, _) = diff("old", &[]);
    assert!(code == 0 && told.contains("nothing changes"), "{told}");
    let (code, told, _) = diff("narrower", &[]);
    assert!(code == 1 && told.contains("request-narrowed [breaking, tighter]"), "{told}");
    assert!(told.contains("`maxLength` was 10 and is 5 (narrower/paths/notes.yaml:3:"), "{told}");
    let (code, told, _) = diff("wider", &["--output", "json"]);
    let answer = json(&told);
    assert_eq!(
        (code, answer["breaking"].as_u64(), answer["loosened"].as_u64()),
        (0, Some(0), Some(1)),
        "{told}"
    );
    assert_eq!(diff("wider", &["--fail-on-loosened"]).0, 1);
}

const EVERYTHING: &str = include_str!("../../../../tests/contracts/everything.yaml");

#[test]
fn requests_made_from_a_contract_get_the_right_verdicts() {
    let bank = concat!(env!("CARGO_MANIFEST_DIR"), "/../bank/openapi.json");
    let dir = folder(&[("everything.yaml", EVERYTHING)]);
    for (file, operations) in [("everything.yaml", 19), (bank, 55)] {
        let (code, told, errors) =
            run(dir.path(), &["contract", "test", file, "--cases", "400", "--output", "json"]);
        assert_eq!(code, 0, "{told}{errors}");
        let answer = json(&told);
        assert_eq!(answer["operations"], operations);
        for kind in ["requests", "responses"] {
            let count = &answer[kind];
            assert_eq!(count["wrong"], 0, "{told}");
            assert!(count["valid"].as_u64() > Some(20) && count["invalid"].as_u64() > Some(100), "{count}");
        }
        if file == "everything.yaml" {
            let untested = answer["untested"].as_array().unwrap();
            let all: Vec<&str> = untested.iter().map(|one| one["operation"].as_str().unwrap()).collect();
            let of_never = all.iter().filter(|operation| **operation == "POST /never").count();
            assert_eq!(of_never, 2, "what nothing satisfies is named: {told}");
            let of_member =
                |one: &&serde_json::Value| one["what"].as_str().unwrap().starts_with("/nothing of ");
            assert!(untested.iter().any(|one| of_member(&one)), "so is a member: {told}");
            assert!(
                untested.iter().filter(|one| !of_member(one)).count() == of_never,
                "and no other: {told}"
            );
        }
    }
    let all =
        ["contract", "test", "everything.yaml", "--operation", "POST /json", "--all", "--output", "json"];
    let (_, told, _) = run(dir.path(), &all);
    let answer = json(&told);
    let rules: std::collections::BTreeSet<_> = answer["cases"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|case| case["actual"] == "refused")
        .map(|case| case["rule"].as_str().unwrap().to_owned())
        .collect();
    for rule in [
        "required",
        "type",
        "enum",
        "minLength",
        "maxLength",
        "pattern",
        "format",
        "maximum",
        "minItems",
        "maxItems",
        "uniqueItems",
        "multipleOf",
        "additionalProperties",
        "undeclared",
        "readOnly",
        "writeOnly",
        "media_type",
        "malformed",
        "duplicate",
        "exclusiveMinimum",
        "maxProperties",
    ] {
        assert!(rules.contains(rule), "nothing was refused by `{rule}`: {rules:?}");
    }
    assert_eq!(run(dir.path(), &all).1, told, "the same seed makes the same cases");
    assert_ne!(run(dir.path(), &[&all[..], &["--seed", "2"]].concat()).1, told);
}

#[test]
fn a_wrong_verdict_is_shown_with_the_request_and_the_reason() {
    // No gateway lets such a field through, whatever a contract says of it.
    let api = "openapi: 3.0.3\npaths:\n  /a/{b}:\n    get:\n      parameters:\n        - { name: b, in: path, required: true, schema: { enum: [\"it's\"] } }\n        - { name: Transfer-Encoding, in: header, schema: { enum: [gzip] } }\n      responses: { '200': { description: ok } }\n";
    let dir = folder(&[("api.yaml", api)]);
    let (code, told, _) = run(dir.path(), &["contract", "test", "api.yaml"]);
    assert_eq!(code, 1, "{told}");
    for expected in [
        "GET /a/{b}\n  everything: expected accepted, is refused\n    ingress.transfer_coding",
        "curl -X GET \"$GATEWAY\"'/a/it%27s' -H 'transfer-encoding: gzip'",
    ] {
        assert!(told.contains(expected), "`{expected}` is not in\n{told}");
    }
}

#[test]
fn examples_that_do_not_fit_have_a_place() {
    let dir = folder(&[
        (
            "api.yaml",
            "openapi: 3.0.3\ninfo: { title: T, version: '1' }\npaths:\n  /a:\n    post:\n      parameters:\n        - { name: n, in: query, schema: { type: integer, default: 3 }, example: five }\n      requestBody:\n        content:\n          application/json:\n            example: { name: ann, age: 7 }\n            examples: { second: { value: { name: 7 } } }\n            schema:\n              required: [id, name]\n              properties:\n                id: { type: string, readOnly: true }\n                name: { type: string, example: bob }\n                age: { type: integer, maximum: 5, default: 9 }\n      responses: { '204': { description: done } }\n",
        ),
        ("none.yaml", "openapi: 3.0.3\npaths: {}\n"),
        (
            "old.yaml",
            "swagger: '2.0'\nproduces: [application/json]\npaths:\n  /a:\n    get:\n      parameters: [{ name: n, in: query, type: integer, default: many }]\n      responses:\n        200:\n          description: ok\n          schema: { type: array, items: { type: integer } }\n          examples: { application/json: [1, two], text/csv: one }\n",
        ),
    ]);
    let (code, told, _) = run(dir.path(), &["contract", "test", "api.yaml"]);
    assert_eq!(code, 1, "{told}");
    for expected in [
        "api.yaml:7:72: this example does not fit its schema",
        "api.yaml:11:13: this example does not fit its schema\n  /age: `maximum` expects at most 5",
        "api.yaml:12:35: this example does not fit its schema\n  /name: `type` expects a string",
        "api.yaml:18:51: this default does not fit its schema",
        "0 wrong verdicts",
        "examples: 6, 4 do not fit",
    ] {
        assert!(told.contains(expected), "`{expected}` is not in\n{told}");
    }
    let (_, told, _) = run(dir.path(), &["contract", "test", "old.yaml"]);
    for expected in [
        "old.yaml:6:57: this default",
        "old.yaml:11:23: this example",
        "examples: 2, 2 do not fit",
        "0 wrong",
    ] {
        assert!(told.contains(expected), "`{expected}` is not in\n{told}");
    }
    assert_eq!(run(dir.path(), &["contract", "test", "api.yaml", "--no-examples"]).0, 0);
    assert_eq!(run(dir.path(), &["contract", "test", "none.yaml"]).0, 1);
    assert_eq!(run(dir.path(), &["contract", "test", "api.yaml", "--operation", "GET"]).0, 1);
    assert_eq!(run(dir.path(), &["contract", "test", "absent.yaml"]).0, 78);
    assert_eq!(run(dir.path(), &["contract", "test", "api.yaml", "--cases", "1"]).0, 2);
}

#[test]
fn init_begins_with_what_the_contract_says() {
    let dir = folder(&[("api.yaml", API), ("paths/notes.yaml", NOTES)]);
    let (code, told, _) = run(dir.path(), &["init", "api.yaml", "-o", "-"]);
    assert_eq!(code, 0, "{told}");
    for expected in [
        "name: notes",
        "upstream: \"http://localhost:4000\"",
        "contract: \"file:api.yaml\"",
        "# hosts: [notes.example]",
    ] {
        assert!(told.contains(expected), "`{expected}` is not in\n{told}");
    }
    let (_, told, _) =
        run(dir.path(), &["init", "api.yaml", "--upstream", "http://127.0.0.1:5000", "-o", "-"]);
    assert!(told.contains("upstream: \"http://127.0.0.1:5000\""), "{told}");
}
