//! What is wrong with a document is said at once, each with its place and a remedy.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

mod support;

use bartizan_model::Level;
use bartizan_policy::{CompileOptions, Source, render};
use support::{about, bad, compile, good, place};

/// The smallest API, to be followed by more settings of it.
const API: &str = "apis:\n  - name: shop\n    upstream: http://127.0.0.1:3000\n";

#[test]
fn every_error_is_reported_at_once_with_line_column_and_help() {
    let text = "\
listeners:
  - address: 0.0.0.0
bounds:
  header_timeout: 10
  idle_timout: 75s
apis:
  - name: shop
    upstream: ftp://files.example
    mode: enforced
    guards:
      rate_limits: []
      cors: { allow_origin: [] }
  - upstream: http://127.0.0.1:3000
";
    let diagnostics = bad(text);
    let address = about(&diagnostics, "`0.0.0.0` is not an address with a port");
    assert_eq!(place(address), (2, 14));
    assert!(address.help.as_ref().unwrap().contains("0.0.0.0:8080"));
    assert_eq!(place(about(&diagnostics, "`10` is not a duration")), (4, 19));
    let unknown = about(&diagnostics, "`idle_timout` is not a known setting here");
    assert_eq!(place(unknown), (5, 3));
    assert!(unknown.help.as_ref().unwrap().contains("did you mean `idle_timeout`?"));
    let upstream = about(&diagnostics, "cannot be reached with `ftp`");
    assert_eq!(place(upstream), (8, 15));
    assert!(upstream.help.as_ref().unwrap().contains("http://host:port"));
    let mode = about(&diagnostics, "`enforced` is not one of the allowed values");
    assert_eq!(place(mode), (9, 11));
    assert!(mode.help.as_ref().unwrap().contains("`monitor`"));
    let guard = about(&diagnostics, "`rate_limits` is not a known setting here");
    assert_eq!(place(guard), (11, 7));
    assert!(guard.help.as_ref().unwrap().contains("did you mean `rate_limit`?"));
    assert_eq!(place(about(&diagnostics, "`allow_origin` is not a known setting here")), (12, 15));
    let name = about(&diagnostics, "`name` is missing here");
    assert_eq!(place(name), (13, 5));
    let errors = diagnostics.0.iter().filter(|diagnostic| diagnostic.level == Level::Error).count();
    assert_eq!(errors, 8, "{diagnostics}");
}

#[test]
fn the_rendered_text_shows_file_line_and_help() {
    let rejected = compile("apis:\n  - name: shop\n    upstream: 127.0.0.1:3000\n    dlp: {}\n    waf: {}\n")
        .err()
        .unwrap();
    let text = render(&rejected.diagnostics, &rejected.sources, false);
    assert!(text.contains("--> bartizan.yaml:3:15"), "{text}");
    assert!(text.contains("3 |     upstream: 127.0.0.1:3000"), "{text}");
    assert!(text.contains("^^^^^^^^^^^^^^"), "{text}");
    assert!(text.contains("help: write `http://host:port` or `https://host:port`"), "{text}");
    assert!(text.contains("`dlp` is not available in this version"), "{text}");
    assert!(text.contains("write it below `guards`: `guards: { waf: .. }`"), "{text}");
    assert!(text.contains("3 errors, 1 warning"), "{text}");
    assert!(!text.contains('\u{1b}'));
    assert!(render(&rejected.diagnostics, &rejected.sources, true).contains('\u{1b}'));
}

#[test]
fn features_to_come_are_refused_by_name() {
    let cases = [
        ("listeners: [{ address: 127.0.0.1:1, tls: { acme: {} } }]\n", "`acme` is not available"),
        ("shared_state: redis://127.0.0.1\n", "`redis` shared state is not available"),
        ("storage: postgres://db\n", "`postgres` storage is not available"),
        ("http3: true\n", "`http3` is not available"),
    ];
    for (text, message) in cases {
        about(&bad(&format!("{text}{API}")), message);
    }
    about(&bad(&format!("{API}    guards: {{ dlp: {{}} }}\n")), "`dlp` is not available");
    let feed = bad(&format!("{API}    guards: {{ ip_access: {{ deny: [feed:drop] }} }}\n"));
    assert_eq!(place(about(&feed, "`feed:` needs threat-intel feeds")), (4, 35));
    let times = feed.0.iter().filter(|said| said.message.contains("feed:")).count();
    assert_eq!(times, 1, "said once: {feed}");
    let elsewhere = bad(&format!("trusted_proxies: ['feed:cdn']\n{API}"));
    about(&elsewhere, "`feed:` references are not available");
}

#[test]
fn a_missing_upstream_hides_nothing_else_of_its_api() {
    let text = "apis:\n  - name: shop\n    operations: [{ match: PSOT }]\n    guards: { ip_access: { deny: [nonsense] } }\n";
    let rejected = bad(text);
    assert_eq!(place(about(&rejected, "`upstream` is missing here")), (2, 5));
    about(&rejected, "does not name operations");
    about(&rejected, "nonsense");
    for unread in ["upstream: 5", "upstream: { backend: [x] }", "upstream: { backends: 5 }"] {
        let rejected = bad(&format!("apis:\n  - name: shop\n    {unread}\n"));
        let missing = rejected.0.iter().any(|said| said.message.contains("`upstream` is missing"));
        assert!(!missing, "what is there is not missing: {rejected}");
    }
}

#[test]
fn a_literal_secret_is_refused_and_never_repeated() {
    let text = format!(
        "issuers:\n  - name: corp\n    issuer: https://id.example.com\n    audiences: [shop]\n    algorithms: [HS256]\n    secret: hunter2-hunter2\n{API}"
    );
    let rejected = compile(&text).err().unwrap();
    let secret = about(&rejected.diagnostics, "a secret is never written in the policy");
    assert_eq!(place(secret), (6, 13));
    assert!(secret.help.as_ref().unwrap().contains("env:NAME"));
    let rendered = render(&rejected.diagnostics, &rejected.sources, false);
    assert!(!rendered.contains("hunter2") && !rejected.to_string().contains("hunter2"), "{rendered}");
    let text = text.replace("hunter2-hunter2", "env:BARTIZAN_TEST_NO_SUCH_VARIABLE");
    about(&bad(&text), "`BARTIZAN_TEST_NO_SUCH_VARIABLE` is not set");
}

#[test]
fn contradictions_are_refused() {
    let cases = [
        (
            "listeners: [{ address: 127.0.0.1:1 }, { address: 127.0.0.1:1 }]\n",
            "",
            "has the address 127.0.0.1:1 already",
        ),
        (
            "listeners: [{ address: 127.0.0.1:1, redirect_to_https: true }]\n",
            "",
            "no TLS listener to redirect to",
        ),
        ("listeners: [{ address: 127.0.0.1:1, proxy_protocol: true }]\n", "", "no trusted proxies"),
        ("admin: { address: 127.0.0.1:8080 }\n", "", "same address"),
        ("admin: { address: 127.0.0.1:3000 }\n", "", "the gateway's own address"),
        ("listeners: [{ address: 0.0.0.0:3000 }]\n", "", "go round in circles"),
        (
            "",
            "  - name: shop\n    hosts: [b.example]\n    upstream: http://127.0.0.1:1\n",
            "two APIs are named `shop`",
        ),
        ("", "  - name: other\n    upstream: http://127.0.0.1:1\n", "both serve any host below `/`"),
        ("", "    operations: [{ match: POST /a }, { match: POST /A/ }]\n", "match the same operations"),
        ("", "    operations: [{ match: 'GET /a/*/c' }, { match: 'GET /a/b/*' }]\n", "equally specific"),
        ("", "    operations: [{ match: login }]\n", "does not name operations"),
        ("", "    base_path: /a/../b\n", "not in canonical form"),
        ("", "    hosts: ['https://shop.example']\n", "is not a host name"),
        ("", "    contract: file:nowhere.yaml\n", "`nowhere.yaml` does not exist"),
        ("version: 2\n", "", "version of the policy language"),
        ("bounds: { header_count: 0 }\n", "", "refuses everything"),
    ];
    for (before, after, message) in cases {
        let diagnostics = bad(&format!("{before}{API}{after}"));
        let found = about(&diagnostics, message);
        assert!(place(found).0 > 0 && found.help.is_some(), "{found}");
    }
    about(&bad("version: 1\n"), "no API is protected");
    about(&bad(""), "no API is protected");
    about(&bad("- a\n"), "a policy is a map of settings, found a list");
    about(&bad("apis: [\n"), "not valid YAML");
    let twice = bad(&format!("{API}    mode: monitor\n    mode: off\n"));
    assert_eq!(place(about(&twice, "`mode` is written twice")), (5, 5));
}

#[test]
fn strict_turns_doubts_into_errors_and_refuses_cleartext_off_host() {
    let doubts = good(API).snapshot.warnings;
    assert_eq!(doubts.0.len(), 1, "{doubts}");
    assert_eq!(about(&bad(&format!("profile: strict\n{API}")), "are not identified").level, Level::Error);
    let text = "profile: strict\napis:\n  - name: a\n    upstream: http://backend.example:80\n    identity: { accept: [api_key] }\n";
    about(&bad(text), "in cleartext on another machine");
    good(&text.replace("http://backend", "https://backend"));
    good(&text.replace("backend.example", "localhost"));
    good(&text.replace("strict", "balanced"));
}

#[test]
fn unlimited_logins_and_open_doors_are_doubted() {
    let text = format!(
        "{API}    unknown_operations: allow\n    operations:\n      - match: POST /login\n      - match: POST /users/password\n        guards: {{ rate_limit: [{{ name: a, key: ip, rate: 5/m }}] }}\n      - match: GET /public\n        inherit: false\n"
    );
    let warnings = good(&text).snapshot.warnings;
    assert_eq!(place(about(&warnings, "`POST /login` takes credentials and has no limit")), (6, 16));
    about(&warnings, "operations that nothing names are forwarded");
    about(&warnings, "`GET /public` starts over without `identity`");
    assert!(!warnings.to_string().contains("/users/password"));
    let open =
        good(&format!("{API}    identity: {{ accept: [api_key], anonymous: allow }}\n")).snapshot.warnings;
    about(&open, "anonymous callers are allowed for all of `shop`");
}

#[test]
fn certificates_and_keys_are_verified_when_the_policy_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str| {
        let pair = rcgen::generate_simple_self_signed(vec!["api.example".to_owned()]).unwrap();
        std::fs::write(folder.path().join(format!("{name}.pem")), pair.cert.pem()).unwrap();
        std::fs::write(folder.path().join(format!("{name}.key")), pair.signing_key.serialize_pem()).unwrap();
    };
    made("a");
    made("b");
    std::fs::write(folder.path().join("junk.pem"), "nothing").unwrap();
    let check = |cert: &str, key: &str| {
        let path = folder.path().join("bartizan.yaml");
        let text = format!(
            "listeners:\n  - address: 127.0.0.1:0\n    tls: {{ certificates: [{{ cert: file:{cert}, key: file:{key} }}] }}\n{API}"
        );
        std::fs::write(&path, text).unwrap();
        let services = support::services();
        match bartizan_policy::compile(&Source::file(&path), &CompileOptions::new(&services)) {
            Ok(loaded) => {
                assert!(loaded.watched.contains(&folder.path().join(cert)));
                assert!(loaded.watched.contains(&path));
                String::new()
            }
            Err(rejected) => rejected.to_string(),
        }
    };
    assert_eq!(check("a.pem", "a.key"), "");
    assert!(check("a.pem", "b.key").contains("does not belong to the certificate"));
    assert!(check("junk.pem", "a.key").contains("holds no certificate"));
    assert!(check("a.pem", "a.pem").contains("holds no private key"));
    assert!(check("a.pem", "c.key").contains("c.key` does not exist"));
}

#[test]
fn an_unreadable_document_is_one_clear_error() {
    let services = support::services();
    let result =
        bartizan_policy::compile(&Source::file("no/such/bartizan.yaml"), &CompileOptions::new(&services));
    let rejected = result.err().unwrap();
    assert_eq!(rejected.diagnostics.0.len(), 1);
    let only = &rejected.diagnostics.0[0];
    assert!(only.message.contains("`no/such/bartizan.yaml` does not exist"), "{only}");
    assert!(only.help.is_some());
    assert_eq!(rejected.watched, [std::path::PathBuf::from("no/such/bartizan.yaml")]);
}

#[test]
fn guards_report_at_the_line_of_their_own_setting() {
    let text = format!(
        "{API}    guards:\n      rate_limit:\n        - {{ name: a, key: ip, rate: 5/m }}\n        - {{ name: b, key: nobody, rate: 20/week }}\n      ip_access: {{ deny: [300.0.0.0/8] }}\n"
    );
    let diagnostics = bad(&text);
    assert_eq!(place(about(&diagnostics, "`20/week` is not a rate")), (7, 41));
    assert_eq!(place(&diagnostics.0[diagnostics.0.len() - 2]).0, 8, "{diagnostics}");
    let key = bad(&text.replace("20/week", "20/s").replace("300.0", "10.0"));
    assert_eq!(place(about(&key, "`nobody` is not a key")), (7, 27));
    let slip = bad(&format!("{API}    guards: {{ rate_limit: [{{ name: a, kee: ip, rate: 5/m }}] }}\n"));
    assert!(about(&slip, "`kee` is not").help.as_ref().unwrap().contains("did you mean `key`?"));
    assert!(!slip.to_string().contains("is missing"), "a slip is one error, not two: {slip}");
    let mode = bad(&format!("{API}    guards: {{ cors: {{ mode: of }} }}\n"));
    assert_eq!(place(about(&mode, "`of` is not one of the allowed values")), (4, 29));
}

#[test]
fn what_is_wrong_with_an_issuer_is_told_once() {
    let api = "apis:\n  - name: shop\n    upstream: http://127.0.0.1:3000\n    identity: { accept: [jwt] }\n";
    let issuer = |more: &str| format!("issuers:\n  - name: corp\n{more}{api}");
    let usual = "    audiences: [shop]\n    algorithms: [ES256]\n";
    for (text, told) in [
        (issuer(&format!("    issuer: http://id.example.com\n{usual}")), "cleartext"),
        (issuer("    issuer: https://id.example.com\n    algorithms: [ES256]\n"), "`audiences` is missing"),
        (
            issuer("    issuer: https://id.example.com\n    audiences: [shop]\n    algorithms: [none]\n"),
            "`none` is not one of",
        ),
        (
            issuer("    issuer: https://id.example.com\n    audiences: [shop]\n    algorithms: [HS256]\n"),
            "`HS256` needs a shared secret",
        ),
        (
            issuer(&format!("    issuer: https://id.example.com\n{usual}    map: {{ subject: \"{{\" }}\n")),
            "opens a brace",
        ),
    ] {
        let diagnostics = bad(&text);
        let errors: Vec<_> = diagnostics.0.iter().filter(|told| told.level == Level::Error).collect();
        assert_eq!(errors.len(), 1, "{text}: {errors:?}");
        assert!(errors[0].message.contains(told), "{told}: {errors:?}");
        assert!(errors[0].help.as_ref().is_some_and(|help| !help.is_empty()), "{told}");
    }
    let other = bad(&format!("issuers: []\n{api}"));
    about(&other, "`jwt` needs an issuer, and the document names none");
}
