//! Which operation a request finds, and that no way of writing a path leads around a block.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

mod support;

use std::path::PathBuf;

use bartizan_model::Mode;
use bartizan_pattern::path::{PathRules, canonical};
use bartizan_policy::{
    CompileOptions, Loaded, Source,
    snapshot::{Found, Operation},
};
use http::Method;
use support::good;

fn method(text: &str) -> Method {
    Method::from_bytes(text.as_bytes()).unwrap()
}

fn find<'a>(loaded: &'a Loaded, request: &str) -> Result<&'a Operation, Vec<String>> {
    let (verb, path) = request.split_once(' ').unwrap();
    match loaded.snapshot.apis[0].operations.find(&method(verb), path) {
        Found::Operation(operation) => Ok(operation),
        Found::MethodNotAllowed { methods, .. } => Err(methods.iter().map(Method::to_string).collect()),
    }
}

fn label(loaded: &Loaded, request: &str) -> String {
    find(loaded, request).map_or_else(|methods| format!("405 {}", methods.join(",")), |o| o.label.to_string())
}

fn with_contract(contract: &str, api: &str) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("api.yaml"), format!("openapi: 3.1.0\npaths:\n{contract}")).unwrap();
    let text = format!(
        "apis:\n  - name: bank\n    upstream: http://127.0.0.1:3000\n    contract: file:api.yaml\n{api}"
    );
    let services = support::services();
    let source = Source { base: Some(folder.path().to_path_buf()), ..Source::inline("bartizan.yaml", text) };
    bartizan_policy::compile(&source, &CompileOptions::new(&services))
        .unwrap_or_else(|error| panic!("{error}"))
}

const BANK: &str = "  /accounts/{id}: {get: {}, put: {}}\n  /accounts/new: {get: {}}\n  /files/{path}: {get: {}}\n  /login: {post: {}}\n";

#[test]
fn the_contract_names_operations_and_refuses_the_rest() {
    let bank = with_contract(BANK, "    base_path: /v1\n");
    assert_eq!(label(&bank, "GET /v1/accounts/7"), "GET /accounts/{id}");
    assert_eq!(label(&bank, "GET /v1/accounts/new"), "GET /accounts/new");
    assert_eq!(label(&bank, "PUT /v1/accounts/new"), "PUT /accounts/{id}");
    assert_eq!(label(&bank, "HEAD /v1/accounts/7"), "GET /accounts/{id}");
    assert_eq!(label(&bank, "DELETE /v1/accounts/7"), "405 GET,PUT");
    assert_eq!(label(&bank, "GET /v1/login"), "405 POST");
    let options = find(&bank, "OPTIONS /v1/login").unwrap();
    assert!(options.known, "a preflight reaches the guards");
    let nothing = find(&bank, "GET /v1/nothing").unwrap();
    assert_eq!((&*nothing.label, nothing.known), ("unknown", false));
    assert!(!find(&bank, "OPTIONS /v1/nothing").unwrap().known);
    let watched = with_contract(BANK, "    unknown_operations: monitor\n");
    assert!(!find(&watched, "DELETE /accounts/7").unwrap().known);
}

#[test]
fn a_contract_path_with_parameters_leads_around_no_block() {
    let bank = with_contract(
        "  /{area}/{page}: {get: {}}\n  /files/{path}: {get: {}}\n",
        "    operations:\n      - match: '* /admin/**'\n        guards: { ip_access: { allow: [10.0.0.0/8] } }\n      - match: GET /files/secret\n        guards: { ip_access: { allow: [10.0.0.0/8] } }\n",
    );
    let guarded = |request: &str| find(&bank, request).unwrap().guards.ip_access.mode() == Mode::Enforce;
    assert!(guarded("GET /admin/users"));
    assert!(guarded("GET /Admin/users/"));
    assert!(guarded("HEAD /admin/users"));
    assert!(!guarded("GET /shop/users"));
    assert!(guarded("GET /files/secret"));
    assert!(!guarded("GET /files/public"));
    assert!(guarded("GET /admin"), "unknown, and the block applies");
    assert!(!find(&bank, "GET /admin").unwrap().known, "a family of paths names no operation");
}

#[test]
fn blocks_name_operations_where_there_is_no_contract() {
    let text = "apis:\n  - name: shop\n    upstream: http://127.0.0.1:3000\n    unknown_operations: deny\n    operations:\n      - match: POST /login\n        guards: { rate_limit: [{ name: login, key: ip, rate: 5/m }] }\n      - match: GET /items/{id}\n";
    let shop = good(text);
    assert_eq!(label(&shop, "POST /login"), "POST /login");
    assert_eq!(label(&shop, "POST /LOGIN/"), "POST /login");
    assert_eq!(label(&shop, "HEAD /items/7"), "GET /items/{id}");
    assert_eq!(label(&shop, "PUT /items/7"), "405 GET");
    assert!(find(&shop, "OPTIONS /items/7").unwrap().known);
    assert!(!find(&shop, "GET /other").unwrap().known);
    assert_eq!(find(&shop, "POST /login").unwrap().guards.rate_limit.mode(), Mode::Enforce);
    assert_eq!(find(&shop, "GET /items/7").unwrap().guards.rate_limit.mode(), Mode::Off);
}

#[test]
fn a_contract_with_one_server_says_where_its_paths_begin() {
    let servers = "  /accounts: {get: {}}\nservers: [{url: 'https://api.bank.example/v2'}]\n";
    let bank = with_contract(servers, "");
    assert_eq!(bank.snapshot.apis[0].base_path, "/v2");
    assert_eq!(label(&bank, "GET /v2/accounts"), "GET /accounts");
    let bank = with_contract(servers, "    base_path: /\n");
    assert_eq!(bank.snapshot.apis[0].base_path, "");
    assert_eq!(label(&bank, "GET /accounts"), "GET /accounts");
}

/// The suite's variants of `/admin/users`, under a prefix, an exact, a pattern and a contract rule: each one is refused
/// by normalization, guarded, or not what the upstream reads as that path.
#[test]
fn no_variant_of_a_path_slips_past_a_rule() {
    let suites = std::env::var_os("BARTIZAN_SUITES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/suites")),
        PathBuf::from,
    );
    let Ok(bytes) = std::fs::read(suites.join("path-bypass/paths.json")) else {
        eprintln!("SKIPPED: the suite `path-bypass` is not at {}", suites.display());
        return;
    };
    let suite: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let deny = "        guards: { ip_access: { allow: [10.0.0.0/8] } }\n";
    let api = "apis:\n  - name: a\n    upstream: http://127.0.0.1:3000\n    operations:\n";
    let rules = [
        ("prefix", good(&format!("{api}      - match: '* /admin/**'\n{deny}"))),
        ("exact", good(&format!("{api}      - match: '* /admin/users'\n{deny}"))),
        ("pattern", good(&format!("{api}      - match: '* /{{area}}/users'\n{deny}"))),
        (
            "openapi",
            with_contract(
                "  /admin/users: {get: {}}\n  /{a}: {get: {}}\n  /{a}/{b}: {get: {}}\n  /{a}/{b}/{c}: {get: {}}\n",
                &format!(
                    "    unknown_operations: allow\n    operations:\n      - match: GET /admin/users\n{deny}"
                ),
            ),
        ),
    ];
    let (mut refused, mut guarded, mut other) = (0, 0, Vec::new());
    for case in suite["paths"].as_array().unwrap() {
        let target = case["target"].as_str().unwrap();
        let target = target
            .split_once("://")
            .map_or(target, |(_, rest)| &rest[rest.find('/').unwrap_or(rest.len())..]);
        let path = target.split('?').next().unwrap();
        let Ok(path) = canonical(path, PathRules::default()) else {
            refused += 1;
            continue;
        };
        for (rule, loaded) in &rules {
            let Found::Operation(operation) = loaded.snapshot.apis[0].operations.find(&Method::GET, &path)
            else {
                panic!("{rule}: {path} found nothing");
            };
            if operation.guards.ip_access.mode() == Mode::Enforce {
                guarded += 1;
            } else {
                // What is left must not be the protected path to any reader.
                let plain = path.to_ascii_lowercase();
                let plain = plain.trim_end_matches('/');
                assert!(plain != "/admin/users", "{rule}: {target} became {path} and is not guarded");
                other.push(format!("{rule} {path}"));
            }
        }
    }
    other.sort();
    other.dedup();
    println!("{refused} refused by normalization, {guarded} guarded, elsewhere: {other:?}");
    assert!(refused > 30 && guarded > 60, "{refused} {guarded}");
}

#[test]
fn the_files_of_a_contract_are_part_of_the_policy() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(at("openapi/paths")).unwrap();
    let contract = "openapi: 3.1.0\npaths:\n  /a: {$ref: paths/a.yaml}\n";
    std::fs::write(at("openapi/api.yaml"), contract).unwrap();
    let text =
        "apis:\n  - name: bank\n    upstream: http://127.0.0.1:3000\n    contract: file:openapi/api.yaml\n";
    let services = support::services();
    let source = Source { base: Some(folder.path().to_path_buf()), ..Source::inline("bartizan.yaml", text) };
    let compile = || bartizan_policy::compile(&source, &CompileOptions::new(&services));
    let part = at("openapi/paths/a.yaml");
    let missing = compile().err().expect("a file is missing");
    assert!(missing.to_string().contains("a.yaml` does not exist"), "{missing}");
    assert!(missing.watched.contains(&part), "putting it there mends the policy");
    std::fs::write(&part, "get: {}\n").unwrap();
    let first = compile().unwrap_or_else(|error| panic!("{error}"));
    assert!(first.watched.contains(&part));
    assert_eq!(label(&first, "GET /a"), "GET /a");
    std::fs::write(&part, "post: {}\n").unwrap();
    let second = compile().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(label(&second, "POST /a"), "POST /a");
    assert_ne!(first.snapshot.digest, second.snapshot.digest, "another part is another policy");
}
