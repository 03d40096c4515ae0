//! `contract lint`, `contract diff` and `init SPEC`: what they say of contracts on disk, and with which exit code.

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
