//! Contracts of every version of OpenAPI, and the real documents of the suites.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::{path::PathBuf, process::Command};

use bartizan_contract::{Description, yaml::Budget};

fn read(text: &str) -> Description {
    Description::read_one(text.as_bytes(), "api.yaml", Budget::CONTRACT)
        .unwrap_or_else(|error| panic!("{error}"))
        .0
}

fn refused(text: &str) -> bartizan_model::Diagnostics {
    Description::read_one(text.as_bytes(), "api.yaml", Budget::CONTRACT).expect_err(text)
}

fn operations(contract: &Description) -> Vec<String> {
    contract.operations.iter().map(|o| format!("{} {}", o.method, o.template.as_str())).collect()
}

#[test]
fn every_version_is_read() {
    let paths = "info: {title: T, version: '7'}\npaths:\n  /a/{id}:\n    parameters: []\n    get: {operationId: read, deprecated: true}\n    post: {}\n  x-note: {get: {}}\n";
    for version in ["swagger: '2.0'", "swagger: 2.0", "openapi: 3.0.3", "openapi: 3.1.2", "openapi: 3.2.0"] {
        let contract = read(&format!("{version}\n{paths}"));
        assert_eq!(operations(&contract), ["GET /a/{id}", "POST /a/{id}"], "{version}");
        assert_eq!((contract.title.as_str(), contract.version.as_str()), ("T", "7"));
        assert_eq!(contract.operations[0].operation_id.as_deref(), Some("read"));
        assert!(contract.operations[0].deprecated && !contract.operations[1].deprecated);
    }
}

#[test]
fn openapi_3_2_adds_query_and_methods_of_ones_own() {
    let contract =
        read("openapi: 3.2.0\npaths:\n  /s:\n    query: {}\n    additionalOperations:\n      COPY: {}\n");
    assert_eq!(operations(&contract), ["QUERY /s", "COPY /s"]);
}

#[test]
fn base_paths_come_from_servers_or_base_path() {
    assert_eq!(read("swagger: '2.0'\nbasePath: /v1/\npaths: {/a: {get: {}}}").base_paths, ["/v1"]);
    let text = "openapi: 3.0.0\nservers:\n  - url: https://a.example/v2/\n  - url: /v2\n  - url: 'https://{env}.example/{base}'\n    variables: {env: {default: x}, base: {default: v3}}\npaths: {/a: {get: {}}}";
    assert_eq!(read(text).base_paths, ["/v2", "/v3"]);
    assert_eq!(read("openapi: 3.0.0\npaths: {/a: {get: {}}}").base_paths, [""]);
}

#[test]
fn path_items_are_found_through_local_references() {
    let text = "openapi: 3.1.0\npaths:\n  /a: {$ref: '#/components/pathItems/A'}\n  /b: {$ref: '#/paths/~1a'}\ncomponents: {pathItems: {A: {get: {}}}}";
    assert_eq!(operations(&read(text)), ["GET /a", "GET /b"]);
    let error = refused("openapi: 3.1.0\npaths:\n  /a: {$ref: 'other.yaml#/A'}\n");
    assert!(error.0[0].message.contains("another file"));
    assert_eq!(error.0[0].place.as_ref().unwrap().line, 3);
    assert!(
        refused("openapi: 3.1.0\npaths:\n  /a: {$ref: '#/paths/~1a'}\n").0[0].message.contains("references")
    );
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let twins = "openapi: 3.0.0\npaths:\n  /a/{x}: {get: {}}\n  /a/{y}: {get: {}, post: {}}\n";
    let (contract, warnings) = Description::read_one(twins.as_bytes(), "api.yaml", Budget::CONTRACT).unwrap();
    assert_eq!(operations(&contract), ["GET /a/{x}", "POST /a/{y}"]);
    assert!(warnings.0[0].message.contains("the same requests as `/a/{x}`"), "{warnings}");
    assert_eq!(warnings.0[0].place.as_ref().unwrap().line, 4);
    let error = refused("openapi: 3.0.0\npaths:\n  b: {get: {}}\n  /c: {get: 1}\n");
    assert_eq!(error.0.len(), 2, "{error}");
    assert_eq!(error.0[0].place.as_ref().unwrap().line, 3);
    assert_eq!(error.0[1].place.as_ref().unwrap().line, 4);
    assert!(refused("openapi: 4.0.0\npaths: {}").0[0].message.contains("not a known version"));
    assert!(refused("a: 1").0[0].message.contains("not an OpenAPI document"));
    assert!(refused("openapi: 3.0.0").0[0].message.contains("no paths"));
    let json = Description::read_one(
        b"{\"openapi\": \"3.0.0\",\n \"paths\": {\"/a\": {\"get\": {}, \"get\": {}}}}",
        "a.json",
        Budget::CONTRACT,
    );
    let json = json.unwrap_err();
    assert!(json.0[0].message.contains("`get` is written twice"), "{json}");
    assert_eq!(json.0[0].place.as_ref().unwrap().line, 2);
}

#[test]
fn the_real_documents_of_the_suites_load() {
    let suites = std::env::var_os("BARTIZAN_SUITES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/suites")),
        PathBuf::from,
    );
    let folder = suites.join("openapi");
    if !folder.is_dir() {
        eprintln!("SKIPPED: the suite `openapi` is not at {}", folder.display());
        return;
    }
    let (mut documents, mut total) = (0, 0);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".json.gz") && !name.ends_with(".yaml.gz") {
            continue;
        }
        let bytes = Command::new("gzip").arg("-dc").arg(&path).output().unwrap().stdout;
        let (contract, warnings) =
            Description::read_one(&bytes, &name, Budget::CONTRACT).unwrap_or_else(|e| panic!("{name}: {e}"));
        println!("{name}: {} operations, {} warnings", contract.operations.len(), warnings.0.len());
        assert!(contract.operations.len() >= 10, "{name}");
        documents += 1;
        total += contract.operations.len();
    }
    println!("{documents} documents, {total} operations");
    assert_eq!(documents, 12);
    assert!(total >= 1_400, "{total}");
}

#[test]
fn servers_of_paths_and_operations_put_their_paths_before_them() {
    let read = |servers: &str| {
        let text = format!(
            "openapi: 3.1.0\nservers: {servers}\npaths:\n  /a:\n    servers: [{{ url: https://x.example/api/v2 }}]\n    get: {{}}\n    post: {{ servers: [{{ url: /api/v3 }}, {{ url: 'https://y.example/{{v}}', variables: {{ v: {{ default: api }} }} }}] }}\n  /b: {{ get: {{}} }}\n"
        );
        let (description, warnings) =
            Description::read_one(text.as_bytes(), "t.yaml", Budget::CONTRACT).unwrap();
        let labels: Vec<_> =
            description.operations.iter().map(|operation| operation.spec.label.to_string()).collect();
        (labels.join(", "), warnings.to_string())
    };
    let (labels, warnings) = read("[{ url: https://x.example/api }]");
    assert_eq!(labels, "GET /v2/a, POST /v3/a, POST /a, GET /b", "below the document's own");
    assert!(!warnings.contains("server"), "{warnings}");
    let (labels, _) = read("[]");
    assert_eq!(labels, "GET /api/v2/a, POST /api/v3/a, POST /api/a, GET /b");
    let (labels, warnings) = read("[{ url: /v1 }]");
    assert_eq!(labels, "GET /a, POST /a, GET /b");
    assert!(warnings.contains("does not lie below the document's own, `/v1`"), "{warnings}");
}
