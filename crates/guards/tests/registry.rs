//! Walks the registry: every guard is documented, every example compiles, every reason has a case, every page is current.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use bartizan_guards::{REGISTRY, docs, rate_limit::table::LimitTable};
use bartizan_model::{
    CompileContext, Profile,
    compile::{IssuerSpec, KeySource},
};
use http::StatusCode;
use serde_json::Value;
use support::{FixedKeys, Sequence, StillClock, TestFiles};

fn root() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).to_owned()
}

#[test]
fn every_guard_has_its_headings_in_order() {
    for info in REGISTRY {
        assert_eq!(docs::headings(info.source), docs::HEADINGS, "{}", info.id);
    }
}

#[test]
fn every_example_compiles_and_can_be_probed() {
    let limits = Arc::new(LimitTable::new(1_024, &Sequence::new()));
    let services = support::services(StillClock::new(), limits, FixedKeys::default());
    let corp = IssuerSpec {
        audiences: vec!["shop".into()],
        algorithms: vec!["ES256".into()],
        ..IssuerSpec::new(
            "corp".into(),
            "https://id.example.com".into(),
            KeySource::Url("https://id.example.com/jwks".into()),
        )
    };
    let issuers = BTreeMap::from([(Arc::from("corp"), Arc::new(corp))]);
    let scope = |_: &str| "api:shop".to_owned();
    let shop =
        support::contract(Some("file:shop.yaml"), &root().join("tests/cases/contract")).unwrap().unwrap();
    let spec = support::spec(&shop).unwrap();
    for info in REGISTRY {
        // The files that an example names stand among the cases of its guard.
        let directory = root().join("tests/cases").join(info.id);
        let files = TestFiles { directory: Some(directory), ..TestFiles::default() };
        let context = CompileContext {
            // Some examples name operations of other APIs.
            spec: if info.id.ends_with("contract") { &spec } else { &bartizan_model::compile::UNKNOWN_API },
            api: "shop",
            operation: None,
            profile: Profile::Strict,
            issuers: &issuers,
            services: &services,
            files: &files,
            scope: &scope,
        };
        let example = docs::example(info.source).unwrap_or_else(|| panic!("`{}` has no example", info.id));
        let mut value: Value =
            serde_saphyr::from_str(&example).unwrap_or_else(|error| panic!("{}: {error}", info.id));
        // A guard that is not mounted below `guards:` shows its own key.
        if let Some(own) = value.get_mut(info.id) {
            value = own.take();
        }
        if let Err(problems) = (info.check)(value.clone(), &context) {
            panic!("the example of `{}`: {problems}", info.id);
        }
        let probes = (info.probes)(value, &context).unwrap();
        assert!(!probes.hostile.is_empty(), "nothing shows that `{}` protects", info.id);
    }
}

#[test]
fn every_reason_is_the_guards_own() {
    let mut codes = BTreeSet::new();
    for info in REGISTRY {
        for reason in info.reasons {
            let code = reason.code;
            assert!(
                code.starts_with(&format!("{}.", info.id)),
                "`{code}` does not begin with `{}.`",
                info.id
            );
            assert!(codes.insert(code), "`{code}` is there twice");
            let failed = [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE];
            let refuses = reason.status.is_client_error() || failed.contains(&reason.status);
            assert!(refuses, "`{code}`: {}", reason.status);
            assert!(!reason.public.is_empty(), "`{code}` tells clients nothing");
        }
    }
}

#[test]
fn every_reason_has_a_case() {
    let mut missing = Vec::new();
    for info in REGISTRY {
        let mut cases = String::new();
        for entry in std::fs::read_dir(root().join("tests/cases").join(info.id)).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                cases.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
        // A finding that never refuses by itself is shown as such.
        let shown: BTreeSet<&str> = cases
            .lines()
            .filter_map(|line| line.strip_prefix("reason: ").or_else(|| line.strip_prefix("finding: ")))
            .collect();
        missing.extend(info.reasons.iter().map(|reason| reason.code).filter(|code| !shown.contains(code)));
        let known =
            |code: &str| REGISTRY.iter().flat_map(|info| info.reasons).any(|reason| reason.code == code);
        for code in shown {
            assert!(known(code), "a case of `{}` names `{code}`, which no guard has", info.id);
        }
    }
    assert!(missing.is_empty(), "no case says `reason:` or `finding:` for {missing:?}");
}

#[test]
fn every_page_is_current() {
    let directory = root().join("docs/guards");
    let bless = std::env::var_os("BLESS").is_some();
    if bless {
        std::fs::create_dir_all(&directory).unwrap();
    }
    for info in REGISTRY {
        let path = directory.join(format!("{}.md", info.id));
        let page = docs::page(info);
        if bless {
            std::fs::write(&path, &page).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == page,
            "docs/guards/{}.md is not what the code says; run `BLESS=1 cargo test -p bartizan-guards --test registry`",
            info.id
        );
    }
}
