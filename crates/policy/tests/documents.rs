//! Documents that compile: defaults, the full example, overlays, scopes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

mod support;

use bartizan_model::{Mode, Profile};
use bartizan_policy::{
    CompileOptions, Loaded, QuickStart, Rejected, Source,
    effective::{EffectiveGuard, EffectiveOperation},
    snapshot::{Balance, Found, UnknownOperations, UpstreamHost},
};
use support::{about, good};

#[test]
fn the_smallest_document_is_a_whole_configuration() {
    let loaded = good("apis:\n  - name: shop\n    upstream: http://127.0.0.1:3000\n");
    let snapshot = &loaded.snapshot;
    assert_eq!(snapshot.listeners.len(), 1);
    assert_eq!(snapshot.listeners[0].address.to_string(), "127.0.0.1:8080");
    assert_eq!(snapshot.admin.address.to_string(), "127.0.0.1:9440");
    assert_eq!(snapshot.profile, Profile::Balanced);
    assert_eq!(snapshot.state.database.as_deref(), Some("var/bartizan.db".as_ref()));
    assert_eq!(snapshot.state.directory, std::path::Path::new("var"));
    assert_eq!(snapshot.audit.file.as_deref(), Some("var/audit.jsonl".as_ref()));
    assert_eq!((snapshot.audit.rotate_at, snapshot.audit.keep), (64 << 20, 8));
    assert_eq!(snapshot.bounds.connections, 25_000);
    assert_eq!(snapshot.bounds.min_body_rate, 500);
    assert_eq!(snapshot.digest.len(), 64);
    let api = &snapshot.apis[0];
    assert_eq!(api.unknown_operations, UnknownOperations::Monitor);
    assert_eq!(api.mode, Mode::Enforce);
    assert_eq!(api.max_body, 10 << 20);
    let upstream = &api.upstream;
    assert_eq!((upstream.backends[0].host.as_str(), upstream.backends[0].port), ("127.0.0.1", 3000));
    assert!(!upstream.backends[0].tls);
    assert_eq!(upstream.balance, Balance::RoundRobin);
    assert_eq!(upstream.host, UpstreamHost::Preserve);
    assert_eq!(upstream.connect_timeout.as_secs(), 3);
    assert_eq!(snapshot.router.find("anything.example:8080", "/x"), Some(0));
    about(&snapshot.warnings, "the callers of `shop` are not identified");
}

const FULL: &str = r"
version: 1
listeners:
  - address: 0.0.0.0:8443
    tls:
      certificates: [{ cert: file:certs/api.pem, key: file:certs/api.key }]
      client_auth: optional
      client_ca: file:certs/api.pem
      min_version: 1.3
  - { address: 0.0.0.0:8080, redirect_to_https: true }
trusted_proxies: [10.0.0.0/8, 192.0.2.7]
admin: { address: 127.0.0.1:9440 }
storage: sqlite:state/bartizan.db
shared_state: memory
environment: ${BARTIZAN_NO_SUCH_ENV:-production}
issuers:
  - name: corp
    issuer: https://id.example.com
    audiences: [bank]
    algorithms: [ES256, RS256]
    max_lifetime: 15m
apis:
  - name: bank
    hosts: [api.bank.example]
    base_path: /v1
    upstream:
      backends: [http://10.0.1.10:9000, http://10.0.1.11:9000]
      balance: least_requests
      health: { path: /healthz, interval: 5s }
    contract: file:openapi/bank.yaml
    unknown_operations: deny
    mode: enforce
    identity:
      accept: [{ jwt: { issuers: [corp] } }, { api_key: { header: X-API-Key } }]
      anonymous: deny
    guards:
      ip_access: { deny: [203.0.113.0/24] }
      rate_limit:
        - { name: per-client, key: principal, rate: 100/s, burst: 200 }
        - { name: per-address, key: ip, rate: 20/s }
      cors: { mode: monitor, origins: ['https://app.bank.example'] }
      security_headers: off
    operations:
      - match: POST /login
        identity: { anonymous: allow }
        guards: { rate_limit: [{ name: login, key: ip, rate: 5/m }, { name: per-address, key: ip, rate: 1/s }] }
      - match: '* /admin/**'
        mode: monitor
        guards: { rate_limit: { mode: enforce, limits: [{ name: admin, key: ip, rate: 5/m }] } }
    max_body: 2MiB
    hsts: true
";

const CONTRACT: &str =
    "openapi: 3.1.0\npaths:\n  /login: {post: {}}\n  /accounts/{id}: {get: {}}\n  /admin/users: {get: {}}\n";

fn folder(document: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["certs", "openapi", "environments"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let pair = rcgen::generate_simple_self_signed(vec!["api.bank.example".to_owned()]).unwrap();
    std::fs::write(folder.path().join("certs/api.pem"), pair.cert.pem()).unwrap();
    std::fs::write(folder.path().join("certs/api.key"), pair.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.path().join("openapi/bank.yaml"), CONTRACT).unwrap();
    std::fs::write(folder.path().join("bartizan.yaml"), document).unwrap();
    folder
}

fn compile_in(folder: &tempfile::TempDir, environment: Option<&str>) -> Result<Loaded, Box<Rejected>> {
    let services = support::services();
    let options =
        CompileOptions { environment: environment.map(str::to_owned), ..CompileOptions::new(&services) };
    bartizan_policy::compile(&Source::file(folder.path().join("bartizan.yaml")), &options)
}

fn operation<'e>(loaded: &'e Loaded, label: &str) -> &'e EffectiveOperation {
    loaded.effective.apis[0]
        .operations
        .iter()
        .find(|o| o.label == label)
        .unwrap_or_else(|| panic!("no {label}"))
}

fn guard<'e>(loaded: &'e Loaded, label: &str, id: &str) -> &'e EffectiveGuard {
    operation(loaded, label)
        .guards
        .iter()
        .find(|guard| guard.guard == id)
        .unwrap_or_else(|| panic!("no {id}"))
}

#[test]
fn the_full_example_compiles_to_what_it_says() {
    let folder = folder(FULL);
    std::fs::write(folder.path().join("environments/production.yaml"), "").unwrap();
    let loaded = compile_in(&folder, None).unwrap_or_else(|error| panic!("{error}"));
    let snapshot = &loaded.snapshot;
    let tls = snapshot.listeners[0].tls.as_ref().unwrap();
    assert!(tls.only_tls13);
    assert_eq!(tls.certificates[0].cert, folder.path().join("certs/api.pem"));
    assert_eq!(snapshot.listeners[1].redirect_to_https, Some(8443));
    assert_eq!(snapshot.state.database, Some(folder.path().join("state/bartizan.db")));
    assert!(snapshot.trusted_proxies.contains("192.0.2.7".parse().unwrap()));
    let api = &snapshot.apis[0];
    assert_eq!((api.base_path.as_str(), api.hsts, api.max_body), ("/v1", Some(31_536_000), 2 << 20));
    assert_eq!((api.upstream.backends.len(), api.upstream.balance.clone()), (2, Balance::LeastRequests));
    assert_eq!(api.upstream.health.as_ref().unwrap().timeout.as_secs(), 2);

    assert_eq!(guard(&loaded, "GET /accounts/{id}", "identity").config["anonymous"], "deny");
    assert_eq!(guard(&loaded, "POST /login", "identity").config["anonymous"], "allow");
    assert_eq!(
        guard(&loaded, "POST /login", "identity").config["accept"][1]["api_key"]["header"],
        "X-API-Key"
    );
    let limits = &guard(&loaded, "POST /login", "rate_limit").config;
    let named: Vec<_> = limits
        .as_array()
        .unwrap()
        .iter()
        .map(|l| (l["name"].as_str().unwrap(), l["rate"].as_str().unwrap()))
        .collect();
    assert_eq!(named, [("per-client", "100/s"), ("per-address", "1/s"), ("login", "5/m")]);
    assert_eq!(guard(&loaded, "GET /accounts/{id}", "cors").mode, "monitor");
    assert_eq!(guard(&loaded, "GET /accounts/{id}", "security_headers").mode, "off");
    assert_eq!(guard(&loaded, "GET /admin/users", "ip_access").mode, "monitor");
    assert_eq!(guard(&loaded, "GET /admin/users", "rate_limit").mode, "enforce");
    assert_eq!(guard(&loaded, "GET /admin/users", "request_limits").config["max_body"], "2MiB");
    assert!(!operation(&loaded, "unknown").known);
    for name in ["bartizan.yaml", "environments/production.yaml", "openapi/bank.yaml", "certs/api.key"] {
        assert!(loaded.watched.contains(&folder.path().join(name)), "{name} is watched");
    }
}

#[test]
fn an_environment_is_laid_over_the_document() {
    let folder = folder(&FULL.replace("  - { address: 0.0.0.0:8080, redirect_to_https: true }\n", ""));
    let overlay = "storage: memory\nissuers:\n  - { name: corp, leeway: 5s }\napis:\n  - name: bank\n    mode: monitor\n    guards: { rate_limit: [{ name: per-address, rate: 2/s }] }\n    operations:\n      - { match: POST /login, mode: enforce }\n";
    std::fs::write(folder.path().join("environments/staging.yaml"), overlay).unwrap();
    let staged = compile_in(&folder, Some("staging")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(staged.snapshot.state.database, None);
    assert_eq!(staged.snapshot.apis[0].mode, Mode::Monitor);
    assert_eq!(guard(&staged, "GET /accounts/{id}", "ip_access").mode, "monitor");
    assert_eq!(guard(&staged, "POST /login", "ip_access").mode, "enforce");
    let limits = &guard(&staged, "GET /accounts/{id}", "rate_limit").config;
    assert_eq!((limits[1]["rate"].as_str(), limits[1]["key"].as_str()), (Some("2/s"), Some("ip")));
    let plain = compile_in(&folder, None).unwrap_or_else(|error| panic!("{error}"));
    about(&plain.snapshot.warnings, "the environment `production` has no overlay");
    assert_ne!(plain.snapshot.digest, staged.snapshot.digest);
    let changes = bartizan_policy::diff(&plain.effective, &staged.effective);
    assert!(
        changes.iter().any(|c| c.operation.as_deref() == Some("GET /accounts/{id}")
            && c.what.as_deref() == Some("ip_access"))
    );
    assert!(bartizan_policy::diff(&plain.effective, &plain.effective).is_empty());

    std::fs::write(folder.path().join("environments/staging.yaml"), "bounds: { header_count: many }\n")
        .unwrap();
    let rejected = compile_in(&folder, Some("staging")).err().unwrap();
    let wrong = about(&rejected.diagnostics, "expected a number, found text");
    let at = wrong.place.as_ref().unwrap();
    assert!(at.file.ends_with("environments/staging.yaml") && at.line == 1 && at.column == 25, "{wrong}");
}

#[test]
fn parts_that_are_equal_are_compiled_once_and_shared() {
    let text = "apis:\n  - name: shop\n    upstream: http://127.0.0.1:3000\n    guards: { ip_access: { deny: [203.0.113.0/24] } }\n    operations:\n      - match: GET /a\n        guards: { cors: { origins: ['https://a.example'] } }\n      - match: GET /b\n        guards: { ip_access: { allow: [10.0.0.0/8] } }\n";
    let loaded = good(text);
    let find = |path: &str| match loaded.snapshot.apis[0].operations.find(&http::Method::GET, path) {
        Found::Operation(operation) => operation.guards.ip_access.active().unwrap() as *const _ as usize,
        Found::MethodNotAllowed { .. } => panic!("{path}"),
    };
    assert_eq!(find("/a"), find("/other"));
    assert_ne!(find("/a"), find("/b"));
}

#[test]
fn inherit_false_starts_over() {
    let text = "apis:\n  - name: shop\n    upstream: http://127.0.0.1:3000\n    identity: { accept: [api_key] }\n    guards: { ip_access: { deny: [203.0.113.0/24] } }\n    operations:\n      - match: GET /a\n        inherit: false\n      - match: GET /b\n        guards: { ip_access: { inherit: false, allow: [10.0.0.0/8] } }\n";
    let loaded = good(text);
    assert!(
        !operation(&loaded, "GET /a").guards.iter().any(|g| g.guard == "ip_access" || g.guard == "identity")
    );
    assert_eq!(guard(&loaded, "GET /b", "ip_access").config, serde_json::json!({ "allow": ["10.0.0.0/8"] }));
    assert!(operation(&loaded, "GET /b").guards.iter().any(|g| g.guard == "identity"));
}

#[test]
fn flags_become_a_document_that_compiles_to_the_same_as_the_smallest_one() {
    let quick = QuickStart { name: "shop".to_owned(), ..QuickStart::new("http://127.0.0.1:3000") };
    let loaded = good(&quick.to_yaml());
    let smallest = good("apis:\n  - name: shop\n    upstream: http://127.0.0.1:3000\n");
    assert_eq!(loaded.snapshot.listeners, smallest.snapshot.listeners);
    assert_eq!(loaded.snapshot.state, smallest.snapshot.state);
    assert_eq!(loaded.snapshot.audit, smallest.snapshot.audit);
    assert_eq!(loaded.effective, smallest.effective);
    let quick = QuickStart {
        listen: Some("[::1]:9000".parse().unwrap()),
        mode: Some(Mode::Monitor),
        state: Some("/var/lib/${odd} dir/".to_owned()),
        admin: Some("127.0.0.1:0".parse().unwrap()),
        ..QuickStart::new("https://api.internal")
    };
    let loaded = good(&quick.to_yaml());
    assert_eq!(loaded.snapshot.state.directory, std::path::Path::new("/var/lib/${odd} dir"));
    assert_eq!(loaded.snapshot.listeners[0].address.to_string(), "[::1]:9000");
    assert_eq!(loaded.snapshot.apis[0].mode, Mode::Monitor);
    let strict = QuickStart { profile: Some(Profile::Strict), ..QuickStart::new("http://127.0.0.1:3000") };
    let loaded = good(&strict.to_yaml());
    assert_eq!((loaded.snapshot.profile, loaded.snapshot.warnings.0.len()), (Profile::Strict, 0));
    assert_eq!(guard(&loaded, "unknown", "identity").config["anonymous"], "deny");
}

#[test]
fn the_schema_knows_every_guard_and_setting() {
    let schema = bartizan_policy::schema();
    assert_eq!(schema["additionalProperties"], false);
    for key in ["listeners", "bounds", "issuers", "apis", "audit", "trusted_proxies"] {
        assert!(schema["properties"].get(key).is_some(), "{key}");
    }
    let guards = &schema["$defs"]["guards"]["properties"];
    for id in ["ip_access", "request_limits", "rate_limit", "cors", "security_headers"] {
        assert!(guards.get(id).is_some(), "{id}");
    }
    // Every reference leads somewhere.
    fn references(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(object) => {
                object.iter().for_each(|(key, value)| match value.as_str() {
                    Some(target) if key == "$ref" => found.push(target.to_owned()),
                    _ => references(value, found),
                })
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(&schema, &mut found);
    assert!(found.len() > 20);
    for target in found {
        assert!(schema.pointer(target.trim_start_matches('#')).is_some(), "{target}");
    }
}
