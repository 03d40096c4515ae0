//! `check`, `diff`, `schema` and `init`: what they say of configurations that nobody prepared, and with which exit code.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use bartizan_testkit::{program, skipped};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::BINARY;

/// An API that needs no warning.
const SHOP: &str = "apis:\n  - name: shop\n    upstream: http://127.0.0.1:1\n    identity: { accept: [api_key], anonymous: deny }\n";

pub fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    dir
}

/// Runs a command: its exit code, standard output and standard error.
pub fn run(dir: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(BINARY);
    command.current_dir(dir).args(arguments).env("NO_COLOR", "1").env_remove("BARTIZAN_ENV");
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert!(!stderr.contains("panicked") && !stderr.contains('\u{1b}'), "{stderr}");
    (status.code().unwrap(), stdout, stderr)
}

/// `check` must refuse this text with 78 and say all of `expected`; what it said.
fn refused(text: &str, expected: &[&str]) -> String {
    let dir = folder(&[("bartizan.yaml", text)]);
    let (code, _, told) = run(dir.path(), &["check"]);
    assert_eq!(code, 78, "{text}\n{told}");
    for words in expected {
        assert!(told.contains(words), "`{words}` is not in:\n{told}");
    }
    told
}

/// `check` must accept this text and warn of all of `expected`.
fn warned(text: &str, expected: &[&str]) {
    let dir = folder(&[("bartizan.yaml", text)]);
    let (code, _, told) = run(dir.path(), &["check"]);
    assert_eq!(code, 0, "{text}\n{told}");
    for words in expected {
        assert!(told.contains(words), "`{words}` is not in:\n{told}");
    }
}

pub fn json(text: &str) -> Value {
    serde_json::from_str(text).expect(text)
}

#[test]
fn every_problem_is_told_at_its_place_with_what_to_do() {
    let told = refused(
        "apis:\n  - name: shop\n    upstraem: http://127.0.0.1:1\n    mode: enforced\n    guards:\n      ip_access: { deny: [300.1.1.1] }\n      rate_limit: [{ name: a, key: principle, rate: 5/m }]\n      request_limits: { max_body: 64KB }\n",
        &[
            "bartizan.yaml:3:5",
            "did you mean `upstream`?",
            "bartizan.yaml:4:11",
            "did you mean `enforce`?",
            "bartizan.yaml:6:27",
            "bartizan.yaml:7:36",
            "write `ip`, `principal`, `header.<name>` or `request.body.<field>`",
            "bartizan.yaml:8:35",
            "`64KiB`",
            "5 errors",
            "1 warning",
        ],
    );
    let caret = told.lines().skip_while(|line| !line.contains("key: principle")).nth(1).unwrap();
    let line = told.lines().find(|line| line.contains("key: principle")).unwrap();
    assert_eq!(caret.find('^'), line.find("principle"), "{told}");
}

#[test]
fn keys_references_and_blocks_that_are_wrong() {
    refused(&format!("{SHOP}    name: again\n"), &["bartizan.yaml:5:5", "written twice", "line 2"]);
    refused(
        "apis: [{ name: a, upstream: 'http://127.0.0.1:1', contract: openapi/a.yaml }]",
        &["`file:openapi/a.yaml`"],
    );
    refused(
        "apis: [{ name: a, upstream: 'http://127.0.0.1:1', identity: { accept: [{ jwt: { issuers: [corp] } }] } }]",
        &["no issuer `corp`"],
    );
    refused(
        &format!(
            "{SHOP}    operations: [{{ match: 'GET /a/{{x}}' }}, {{ match: 'GET /a/{{y}}' }}, {{ match: GET b }}]\n"
        ),
        &["`GET /a/{x}` and `GET /a/{y}` match the same operations", "write `/b`"],
    );
    refused("environment: ${BARTIZAN_NO_SUCH_VARIABLE}\n", &["BARTIZAN_NO_SUCH_VARIABLE", ":-default}"]);
    refused(
        "apis: [{ name: a, upstream: { backends: ['http://127.0.0.1:1'], balance: hash } }]",
        &["`hash` needs settings of its own"],
    );
    warned(
        &format!("{SHOP}    operations: [{{ match: PSOT /login }}]\n"),
        &["`PSOT`", "did you mean `POST`?"],
    );
}

#[test]
fn an_issuer_that_is_wrong_is_told_once() {
    let told = refused(
        "issuers: [{ name: corp, issuer: 'https://id', audiences: [a], algorithms: [ES256], jwks: file:absent.json }]\napis: [{ name: a, upstream: 'http://127.0.0.1:1', identity: { accept: [{ jwt: { issuers: [corp] } }], anonymous: deny } }]",
        &["absent.json", "1 error"],
    );
    assert!(!told.contains("no issuer"), "the issuer is there, and wrong: {told}");
}

#[test]
fn features_to_come_are_refused_by_name() {
    let guards = "guards: { dlp: {}, bots: {}, ip_access: { deny: ['feed:drop'] } }";
    let text = format!(
        "listeners: [{{ address: '127.0.0.1:1', tls: {{ acme: {{ domains: [a] }} }} }}]\n\
         storage: postgres://db/x\nshared_state: redis://cache\n\
         apis:\n  - name: a\n    upstream: http://127.0.0.1:1\n    {guards}\n"
    );
    refused(&text, &["`acme`", "`postgres`", "`redis`", "`dlp`", "`bots`", "`feed:`"]);
}

#[test]
fn secrets_in_wrong_places_are_not_repeated() {
    let told = refused(
        "listeners: [{ address: '127.0.0.1:1', tls: { certificates: [{ cert: file:a.pem, key: MIIEvhunter2 }] } }]\n\
         storage: postgres://user:hunter2@db/x\nshared_state: redis://:hunter2@cache\n\
         issuers: [{ name: a, issuer: 'https://a', audiences: [a], algorithms: [HS256], secret: hunter2 }]\n\
         apis: [{ name: a, upstream: 'http://user:hunter2@127.0.0.1:1' }]\n",
        &["file:", "env:", "bartizan.yaml:2", "bartizan.yaml:3", "bartizan.yaml:5"],
    );
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn programs_get_the_same_as_json() {
    let dir = folder(&[("bad.yaml", "apis: [{ name: a, upstream: 'ftp://x' }]"), ("good.yaml", SHOP)]);
    let (code, told, _) = run(dir.path(), &["check", "bad.yaml", "--output", "json"]);
    let answer = json(&told);
    assert_eq!((code, &answer["valid"]), (78, &Value::Bool(false)), "{told}");
    assert_eq!(answer["diagnostics"][0]["place"]["line"], 1, "{told}");
    for arguments in
        [&["diff", "bad.yaml", "good.yaml"][..], &["init", "--upstream", "ftp://x", "-o", "new.yaml"]]
    {
        let (code, told, _) = run(dir.path(), &[arguments, &["--output", "json"]].concat());
        assert_eq!((code, &json(&told)["valid"]), (78, &Value::Bool(false)), "{told}");
    }
    assert!(!dir.path().join("new.yaml").exists());
    let (code, told, _) = run(dir.path(), &["check", "good.yaml", "--effective", "--output", "json"]);
    let answer = json(&told);
    assert_eq!((code, &answer["effective"]["apis"][0]["name"]), (0, &Value::from("shop")), "{told}");
}

#[test]
fn effective_shows_blocks_environments_and_inherit() {
    let text = format!(
        "environment: ${{BARTIZAN_ENV:-production}}\n{SHOP}    guards:\n      ip_access: {{ deny: [192.0.2.0/24] }}\n      rate_limit: [{{ name: all, key: ip, rate: 20/s }}]\n    operations:\n      - match: POST /login\n        guards: {{ rate_limit: [{{ name: login, key: ip, rate: 5/m }}] }}\n      - {{ match: GET /alone, inherit: false, identity: {{ anonymous: allow }} }}\n      - {{ match: GET /watched, mode: monitor }}\n      - {{ match: '* /**', guards: {{ ip_access: {{ mode: monitor }} }} }}\n"
    );
    let overlay = "apis:\n  - name: shop\n    guards: { rate_limit: [{ name: all, rate: 40/s }] }\n";
    let dir = folder(&[("bartizan.yaml", &text), ("environments/production.yaml", overlay)]);
    let (code, told, _) = run(dir.path(), &["check", "--effective", "--output", "json"]);
    assert_eq!(code, 0, "{told}");
    let answer = json(&told);
    let operations = answer["effective"]["apis"][0]["operations"].as_array().unwrap().clone();
    let guard = |label: &str, id: &str| -> Option<Value> {
        let operation = operations.iter().find(|operation| operation["label"] == label).expect(label);
        operation["guards"].as_array().unwrap().iter().find(|guard| guard["guard"] == id).cloned()
    };
    let rates = |label: &str| -> Vec<String> {
        let limits = guard(label, "rate_limit").map(|guard| guard["config"].clone()).unwrap_or_default();
        limits
            .as_array()
            .into_iter()
            .flatten()
            .map(|limit| limit["rate"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        rates("POST /login"),
        ["40/s", "5/m"],
        "the overlay changes one limit, the block adds another"
    );
    assert_eq!(guard("POST /login", "ip_access").unwrap()["mode"], "monitor", "the widest block comes first");
    assert!(rates("GET /alone").is_empty(), "`inherit: false` starts over: {told}");
    assert_eq!(guard("GET /watched", "rate_limit").unwrap()["mode"], "monitor");
    let (code, _, told) = run(dir.path(), &["check", "--environment", "staging", "--strict-warnings"]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("environments/staging.yaml"), "{told}");
}

#[test]
fn diff_tells_what_changes_anywhere_in_the_document() {
    let old = format!(
        "listeners: [{{ address: '127.0.0.1:8080' }}]\ntrusted_proxies: [10.0.0.0/8]\n\
         issuers: [{{ name: corp, issuer: 'https://id', audiences: [a], algorithms: [ES256], max_lifetime: 15m }}]\n\
         {SHOP}    guards: {{ ip_access: {{ deny: [192.0.2.0/24] }} }}\n"
    );
    let dir = folder(&[("old.yaml", &old)]);
    let diff = |from: &str, to: &str| -> (i32, String) {
        assert!(old.contains(from), "{from}");
        fs::write(dir.path().join("new.yaml"), old.replace(from, to)).unwrap();
        let (code, told, _) = run(dir.path(), &["diff", "old.yaml", "new.yaml"]);
        (code, told)
    };
    assert_eq!(diff("shop", "shop"), (0, "nothing changes\n".to_owned()));
    for (from, to, expected) in [
        ("192.0.2.0/24", "192.0.2.0/25", "changed shop unknown: ip_access"),
        ("anonymous: deny", "anonymous: allow", "changed shop unknown: identity"),
        ("name: shop", "name: other", "removed shop"),
        ("http://127.0.0.1:1\n", "http://127.0.0.1:2\n", "changed shop: backends"),
        ("10.0.0.0/8", "0.0.0.0/0", "changed trusted_proxies"),
        ("[ES256]", "[ES256, RS256]", "changed issuers.corp.algorithms"),
        ("audiences: [a]", "audiences: [a, b]", "changed issuers.corp.audiences"),
        ("15m", "24h", "changed issuers.corp.max_lifetime"),
        ("127.0.0.1:8080", "0.0.0.0:8080", "added listeners.0.0.0.0:8080.address"),
        ("listeners", "admin: { address: '127.0.0.1:9' }\nlisteners", "changed admin.address"),
        (
            "http://127.0.0.1:1\n",
            "{ backends: ['http://127.0.0.1:1'], balance: least_requests }\n",
            "added shop: upstream.balance",
        ),
    ] {
        let (code, told) = diff(from, to);
        assert!(code == 1 && told.contains(expected), "{to}: {code}, `{expected}` is not in:\n{told}");
    }
    let (code, told, _) = run(dir.path(), &["diff", "old.yaml", "new.yaml", "--output", "json"]);
    let answer = json(&told);
    let change = &answer["changes"][0];
    assert_eq!(
        (code, &change["what"], &change["api"]),
        (1, &"upstream.balance".into(), &"shop".into()),
        "{told}"
    );
}

#[test]
fn what_init_writes_passes_check_and_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    for profile in ["balanced", "strict"] {
        let (code, told, _) = run(path, &["init", "--force", "--profile", profile]);
        assert_eq!(code, 0, "{told}");
        let (code, _, told) = run(path, &["check"]);
        assert_eq!(code, 0, "{profile}: {told}");
    }
    let before = fs::read_to_string(path.join("bartizan.yaml")).unwrap();
    let (code, _, told) = run(path, &["init"]);
    assert!(code == 1 && told.contains("--force"), "{told}");
    assert_eq!(fs::read_to_string(path.join("bartizan.yaml")).unwrap(), before);
}

#[test]
fn init_takes_the_operations_of_an_openapi_document() {
    let contract = "openapi: 3.1.0\ninfo: { title: 'Pet Store & Co!', version: '1' }\nservers: [{ url: 'https://pets.example/v2' }]\npaths:\n  /pets: { get: { responses: {} }, post: { responses: {} } }\n  /pets/{id}: { get: { responses: {} } }\n";
    let swagger =
        r#"{"swagger":"2.0","info":{"title":"x","version":"1"},"basePath":"/v9","paths":{"/a":{"get":{}}}}"#;
    let dir = folder(&[("api/openapi.yaml", contract), ("swagger.json", swagger), ("bad.yaml", "foo: [")]);
    let (code, told, _) = run(dir.path(), &["init", "--contract", "api/openapi.yaml", "-o", "pets.yaml"]);
    assert_eq!(code, 0, "{told}");
    let (code, told, _) = run(dir.path(), &["check", "pets.yaml", "--effective", "--output", "json"]);
    assert_eq!(code, 0, "{told}");
    let answer = json(&told);
    let api = &answer["effective"]["apis"][0];
    assert_eq!((&api["name"], &api["base_path"]), (&"pet-store-co".into(), &"/v2".into()), "{told}");
    assert_eq!(api["unknown_operations"], "deny");
    let labels: Vec<&str> = api["operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|operation| operation["label"].as_str().unwrap())
        .collect();
    assert_eq!(labels, ["GET /pets", "POST /pets", "GET /pets/{id}", "unknown"]);
    let (code, told, _) = run(dir.path(), &["init", "--contract", "swagger.json", "-o", "-"]);
    assert!(code == 0 && told.contains("file:swagger.json"), "{told}");
    for (file, expected) in [("bad.yaml", "bad.yaml:1:6"), ("absent.yaml", "absent.yaml")] {
        let (code, _, told) = run(dir.path(), &["init", "--contract", file, "-o", "new.yaml"]);
        assert!(code == 78 && told.contains(expected), "{told}");
    }
    assert!(!dir.path().join("new.yaml").exists());
}

#[test]
fn commands_find_the_state_that_the_configuration_names() {
    let elsewhere = format!("storage: sqlite:data/state.db\n{SHOP}");
    let secret = "issuers: [{ name: a, issuer: 'https://a', audiences: [a], algorithms: [HS256], secret: env:BARTIZAN_NO_SUCH_VARIABLE }]";
    let dir =
        folder(&[("a/bartizan.yaml", &elsewhere), ("b/bartizan.yaml", &format!("{secret}\n{elsewhere}"))]);
    for place in ["a", "b"] {
        let config = format!("{place}/bartizan.yaml");
        let (code, _, told) = run(dir.path(), &["keys", "list", "--config", &config]);
        assert!(code == 1 && told.contains("data/state.db"), "{told}");
        assert_eq!(run(dir.path(), &["keys", "create", "--owner", "alice", "--config", &config]).0, 0);
        assert!(dir.path().join(place).join("data/state.db").exists());
        let (code, told, _) = run(&dir.path().join(place), &["keys", "list"]);
        assert!(code == 0 && told.contains("alice"), "{told}");
    }
    let (code, _, told) = run(dir.path(), &["keys", "list"]);
    assert!(code == 1 && told.contains("--state"), "{told}");
    assert!(!dir.path().join("var").exists(), "a question makes no state");
}

/// The example of the README, the file that `init` writes, and documents that are wrong.
#[test]
fn the_schema_agrees_with_check() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let example = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let dir = folder(&[("readme.yaml", example)]);
    assert_eq!(run(dir.path(), &["init", "-o", "init.yaml"]).0, 0);
    let (code, schema, _) = run(dir.path(), &["schema"]);
    assert_eq!((code, &json(&schema)["type"]), (0, &"object".into()));
    fs::write(dir.path().join("schema.json"), schema).unwrap();
    let script = "import json, sys, yaml, jsonschema\n\
        schema = json.load(open('schema.json'))\n\
        kind = jsonschema.validators.validator_for(schema)\n\
        kind.check_schema(schema)\n\
        valid = lambda document: kind(schema).is_valid(document)\n\
        assert all(valid(yaml.safe_load(open(name))) for name in ('readme.yaml', 'init.yaml'))\n\
        api = {'name': 'a', 'upstream': 'http://127.0.0.1:1'}\n\
        assert valid({'apis': [api]})\n\
        for wrong in ({'colour': 1}, {'mode': 'maybe'}, {'upstream': 5}, {'guards': {'rate_limit': [{'name': 'a', 'key': 'ip', 'rate': '5'}]}}):\n\
        \x20   assert not valid({'apis': [{**api, **wrong}]}), wrong\n";
    let Some(python) = program("python3").filter(|python| {
        let mut probe = Command::new(python);
        probe.args(["-c", "import yaml, jsonschema"]).output().is_ok_and(|output| output.status.success())
    }) else {
        skipped("the JSON Schema is not validated: Python has no `jsonschema` and `yaml`");
        return;
    };
    let output = Command::new(python).current_dir(dir.path()).args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
