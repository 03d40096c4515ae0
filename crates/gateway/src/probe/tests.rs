//! Probes through a whole gateway in this process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_model::{
    Mode, Services, Timestamp,
    probe::{Edit, Offer, Probe, Probes},
    services::{ApiKeyRecord, ApiKeys, Bans, LimitDecision, LimitStore, Quota},
};
use bartizan_policy::{CompileOptions, Source, compile, offline};
use bartizan_telemetry::Telemetry;

use super::{run::Run, *};
use crate::gateway::{Gateway, Parts};

/// Counts what is asked of the services that callers share.
#[derive(Default)]
struct Shared(AtomicUsize);

impl LimitStore for Shared {
    fn take(&self, _: u128, quota: Quota, _: u32, _: Duration) -> LimitDecision {
        self.0.fetch_add(1, Ordering::SeqCst);
        LimitDecision {
            allowed: true,
            remaining: quota.burst,
            retry_after: Duration::ZERO,
            reset_after: Duration::ZERO,
        }
    }
}

impl ApiKeys for Shared {
    fn find(&self, _: &[u8; 32]) -> Option<Arc<ApiKeyRecord>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        None
    }

    fn is_revoked(&self, _: &str) -> bool {
        false
    }

    fn used(&self, _: &str, _: Timestamp) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct NoBans;

impl Bans for NoBans {
    fn is_banned(&self, _: IpAddr, _: Timestamp) -> bool {
        false
    }
}

fn services() -> (Services, Arc<Shared>) {
    let shared = Arc::new(Shared::default());
    let (limits, api_keys) = (Arc::clone(&shared), Arc::clone(&shared));
    (Services { limits, api_keys, ..offline::services() }, shared)
}

fn policy(text: &str) -> String {
    format!(
        "apis:\n  - name: shop\n    upstream: http://127.0.0.1:9\n    unknown_operations: deny\n{text}\
         \x20   operations:\n      - match: GET /items\n      - match: POST /login\n        identity: {{ anonymous: allow }}\n"
    )
}

const GOOD: &str = "    identity: { accept: [api_key], anonymous: deny }\n    guards:\n      ip_access: { deny: [203.0.113.0/24] }\n      cors: { origins: [\"https://app.shop.test\"] }\n      rate_limit:\n        - { name: per-caller, key: principal, rate: 5/s }\n        - { name: per-address, key: ip, rate: 1/h }\n";

fn gateway(text: &str) -> (Arc<Gateway>, Arc<Shared>) {
    let (services, shared) = services();
    let loaded = compile(&Source::inline("policy", text), &CompileOptions::new(&services)).unwrap();
    let telemetry = Arc::new(Telemetry::metrics_only());
    let parts = Parts { services, telemetry, bans: Arc::new(NoBans), trace: true };
    (Gateway::start(parts, loaded.snapshot.without_upstreams()).unwrap(), shared)
}

fn row<'r>(report: &'r Report, guard: &str) -> &'r Row {
    report.apis[0]
        .guards
        .iter()
        .find(|row| row.guard == guard)
        .unwrap_or_else(|| panic!("{guard}: {report:#?}"))
}

#[tokio::test]
async fn a_good_policy_is_proven_guard_by_guard_and_nothing_is_counted() {
    let (gateway, shared) = gateway(&policy(GOOD));
    let before = gateway.telemetry.metrics().encode();
    let report = run(&gateway, Bounds::DOCTOR).await.unwrap();
    let wrong: Vec<String> =
        report.findings.iter().filter(|r| r.level != Level::Note).map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for guard in [
        "strict ingress",
        "client address",
        "ip_access",
        "request_limits",
        "cors",
        "identity",
        "rate_limit",
        "security_headers",
        "unknown operations",
    ] {
        let row = row(&report, guard);
        assert!(row.hostile > 0 && row.blocked == row.hostile, "{row:?}");
        assert_eq!((row.mode, row.passed), (Mode::Enforce, row.benign), "{row:?}");
    }
    // Two limits: both were spent, in their own places, and let a first request pass.
    assert_eq!((row(&report, "rate_limit").hostile, row(&report, "rate_limit").benign > 0), (2, true));
    assert_eq!(shared.0.load(Ordering::SeqCst), 0, "probes were counted where callers are");
    assert_eq!(gateway.telemetry.metrics().encode(), before);
    assert_eq!(gateway.connections(), 0);
}

/// A guard that says that it refuses what it lets through is caught on the live path, and traffic is kept away.
#[tokio::test]
async fn a_guard_that_does_less_than_it_says_is_an_error() {
    for mode in ["enforce", "monitor"] {
        let text =
            policy(&format!("    guards: {{ ip_access: {{ mode: {mode}, deny: [203.0.113.0/24] }} }}\n"));
        let (gateway, _) = gateway(&text);
        let mut run = Run::new(&gateway, Bounds::DOCTOR);
        let api = Arc::clone(&run.active.snapshot.apis[0]);
        let (targets, _) = plan::targets(&api, &run.active);
        let part = targets[0].parts[0];
        let lie =
            Probe::refused("an address that is not on `deny`", vec![Edit::Peers(vec![[8, 8, 8, 8].into()])]);
        run.pretend(Offer { part, probes: Probes { hostile: vec![lie], ..Probes::default() } });
        let report = run.all().await.unwrap();
        let error = report.findings.first().unwrap();
        assert_eq!(
            (error.level, error.code, error.guards.as_slice()),
            (Level::Error, "not_enforced", &["ip_access"][..])
        );
        assert_eq!(error.unready, mode == "enforce", "{error:?}");
        assert!(error.sent.as_ref().unwrap().contains("8.8.8.8"), "{error:?}");
        assert_eq!(error.place.as_ref().map(|place| place.line), Some(5), "{error:?}");
    }
}

#[tokio::test]
async fn break_glass_is_told_once_and_keeps_no_traffic_away() {
    let (gateway, _) = gateway(&policy(GOOD));
    gateway.set_break_glass(Some(Timestamp(u64::MAX)));
    let report = run(&gateway, Bounds::DOCTOR).await.unwrap();
    let codes: Vec<&str> =
        report.findings.iter().filter(|r| r.level != Level::Note).map(|r| r.code).collect();
    assert_eq!(codes, ["break_glass"], "{report:#?}");
    assert_eq!(report.unready().count(), 0);
    let ip = row(&report, "ip_access");
    assert_eq!((ip.blocked, ip.watched), (0, ip.hostile));
    // What is ambiguous is refused all the same.
    let ingress = row(&report, "strict ingress");
    assert_eq!(ingress.blocked, ingress.hostile);
}

#[tokio::test]
async fn a_policy_that_refuses_everybody_keeps_traffic_away() {
    let (gateway, _) = gateway(&policy("    guards: { request_limits: { max_headers: 0 } }\n"));
    let proof = SelfProof::start(&gateway);
    let why = proof.wait().await.unwrap_err();
    assert!(why.contains("request_limits") && why.contains("GET /items"), "{why}");
    let (services, _) = services();
    let good = compile(&Source::inline("policy", policy(GOOD)), &CompileOptions::new(&services)).unwrap();
    gateway.swap(good.snapshot.without_upstreams()).unwrap();
    let report = proof.wait().await.unwrap().unwrap();
    assert_eq!(report.generation, 2);
}

#[tokio::test]
async fn readiness_probes_can_be_switched_off() {
    let (gateway, _) = gateway(&format!(
        "admin: {{ readiness_probes: false }}\n{}",
        policy("    guards: { request_limits: { max_headers: 0 } }\n")
    ));
    assert!(SelfProof::start(&gateway).wait().await.unwrap().is_none());
}

/// Many operations share few guards, and many guards meet the bounds of the run.
#[tokio::test]
async fn many_operations_cost_what_their_distinct_guards_cost() {
    let blocks: String = (0..1_000).map(|n| format!("      - match: GET /op{n}/{{id}}\n")).collect();
    let (gateway, _) = gateway(&format!("{}{blocks}", policy(GOOD)));
    let report = run(&gateway, Bounds::READINESS).await.unwrap();
    assert!(report.left_out == 0 && report.probes < 100, "{} of {}", report.left_out, report.probes);
    assert_eq!(row(&report, "ip_access").operations, 1_003, "with what nothing names");
    let limits: String = (0..300)
        .map(|n| format!("      - match: GET /op{n}\n        guards: {{ rate_limit: [{{ name: l{n}, key: ip, rate: 9/s }}] }}\n"))
        .collect();
    let (gateway, _) = self::gateway(&format!("{}{limits}", policy("")));
    let bounds = Bounds { probes: 50, ..Bounds::DOCTOR };
    let report = run(&gateway, bounds).await.unwrap();
    assert_eq!(report.probes, 50);
    assert!(report.left_out > 300 && report.findings.iter().any(|r| r.code == "left_out"), "{report:?}");
}
