//! The queue, the audit log, the metrics and the telling of events, as users rely on them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::{
    fs,
    net::IpAddr,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use bartizan_model::{
    CredentialKind, Event, EventId, EventKind, Finding, Mode, Phase, Scheme, Severity, Timestamp, TokenKey,
    Verdict,
    event::{EventPrincipal, Exchange, redact_path},
    redacted::KeyedHash,
    services::EventStore,
    transaction::{Step, TraceLine},
};
use parking_lot::Mutex;

use crate::{AuditConfig, Config, Look, Metrics, Telemetry, explain_event};

struct Sum;
impl KeyedHash for Sum {
    fn hash(&self, input: &[u8]) -> u64 {
        input.iter().fold(7, |h, &b| h.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(b))
    }
}

fn exchange(api: &str, operation: &str, path: &str) -> Exchange {
    Exchange {
        verdict: Verdict::Deny,
        reason: Some("ip_access.denied"),
        by: Some("ip_access"),
        api: api.into(),
        operation: operation.into(),
        method: "GET",
        scheme: Scheme::Https,
        protocol: "HTTP/2.0",
        path: redact_path(path, &TokenKey::new(Arc::new(Sum))),
        status: 403,
        duration: Duration::from_micros(1_234),
        upstream_wait: None,
        backend: None,
        attempts: 0,
        bytes_in: 12,
        bytes_out: 345,
        principal: Some(EventPrincipal {
            subject: "alice".into(),
            issuer: "corp".into(),
            credential: CredentialKind::Jwt,
        }),
        allowed_by: Vec::new(),
        findings: vec![Finding {
            guard: "ip_access",
            code: "ip_access.denied",
            severity: Severity::Medium,
            phase: Phase::RequestHeaders,
            mode: Mode::Enforce,
            detail: "the address is in `deny[0]`".into(),
            remedy: Some("remove 203.0.113.0/24 from `deny`".into()),
        }],
        findings_dropped: 0,
        score: None,
        observed: Vec::new(),
        trace: vec![
            TraceLine {
                guard: "ip_access",
                phase: Phase::RequestHeaders,
                mode: Mode::Enforce,
                step: Step::Refused("ip_access.denied"),
            },
            TraceLine { guard: "cors", phase: Phase::RequestHeaders, mode: Mode::Off, step: Step::Skipped },
        ],
        mode: Mode::Enforce,
    }
}

fn event(number: u128, exchange: Exchange) -> Event {
    Event {
        id: EventId::new(Timestamp::from_seconds(1_763_000_000), number),
        time: Timestamp::from_seconds(1_763_000_000),
        client: Some(IpAddr::from([203, 0, 113, 9])),
        generation: 3,
        kind: EventKind::Exchange(Box::new(exchange)),
    }
}

fn plain(number: u128) -> Event {
    event(number, exchange("shop", "GET /accounts/{id}", "/accounts/42"))
}

#[tokio::test]
async fn the_audit_log_is_private_json_lines_that_rotate() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("audit.jsonl");
    let audit = AuditConfig { file: file.clone(), rotate_at: 10_000, keep: 2 };
    let telemetry = Telemetry::start(Config { audit: Some(audit), ..Config::default() }).unwrap();
    for number in 0..100 {
        telemetry.publish(plain(number));
    }
    assert!(telemetry.flush(Duration::from_secs(5)).await);

    let mut names: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"], "no more than `keep` are kept");
    let mut newest = 100;
    for name in names {
        let path = directory.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.len() <= 10_000 && text.ends_with('\n'));
        for line in text.lines().rev() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            newest -= 1;
            assert_eq!(line["id"], plain(newest).id.to_string(), "in order, none missing");
            assert_eq!(line["time"], "2025-11-13T02:13:20.000000Z");
            assert_eq!(line["duration_us"], 1_234);
        }
    }
}

#[cfg(unix)]
#[test]
fn a_new_audit_log_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("made/audit.jsonl");
    let audit = AuditConfig { file: file.clone(), rotate_at: 0, keep: 0 };
    let _telemetry = Telemetry::start(Config { audit: Some(audit), ..Config::default() }).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn an_audit_log_that_cannot_be_opened_is_named() {
    let audit = AuditConfig { file: "/dev/null/audit.jsonl".into(), rotate_at: 0, keep: 0 };
    let error = Telemetry::start(Config { audit: Some(audit), ..Config::default() }).err().unwrap();
    assert!(error.to_string().contains("`/dev/null/audit.jsonl`"), "{error}");
}

#[tokio::test]
async fn a_torn_line_is_ended_before_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("audit.jsonl");
    fs::write(&file, "{\"torn").unwrap();
    let audit = AuditConfig { file: file.clone(), rotate_at: 0, keep: 0 };
    let telemetry = Telemetry::start(Config { audit: Some(audit), ..Config::default() }).unwrap();
    telemetry.publish(plain(1));
    assert!(telemetry.flush(Duration::from_secs(5)).await);
    let text = fs::read_to_string(&file).unwrap();
    let (torn, whole) = text.split_once('\n').unwrap();
    assert_eq!(torn, "{\"torn");
    serde_json::from_str::<serde_json::Value>(whole).unwrap();
}

/// A store whose disk hangs until told otherwise.
struct Stuck {
    release: Mutex<mpsc::Receiver<()>>,
    stored: Arc<Mutex<usize>>,
}

impl EventStore for Stuck {
    fn insert(&self, batch: Vec<(Arc<Event>, String)>) -> Result<(), String> {
        let _ = self.release.lock().recv();
        *self.stored.lock() += batch.len();
        Ok(())
    }
}

#[tokio::test]
async fn overflow_never_waits_and_is_counted() {
    let (release, held) = mpsc::sync_channel(1);
    let stored = Arc::new(Mutex::new(0));
    let stuck = Arc::new(Stuck { release: Mutex::new(held), stored: Arc::clone(&stored) });
    let telemetry = Telemetry::start(Config { capacity: 100, audit: None, recent: Some(stuck) }).unwrap();
    let shared = Arc::new(plain(0));
    let started = Instant::now();
    for _ in 0..10_000 {
        telemetry.publish(Arc::clone(&shared));
    }
    assert!(started.elapsed() < Duration::from_secs(2), "publishing waited: {:?}", started.elapsed());
    assert!(!telemetry.flush(Duration::from_millis(100)).await, "the store hangs");
    let text = telemetry.metrics().encode();
    let dropped: usize = sample(&text, "bartizan_events_dropped_total{consumer=\"recent\"}").parse().unwrap();
    assert!(dropped >= 9_000, "{dropped}");
    drop(release);
    assert!(telemetry.flush(Duration::from_secs(5)).await);
    assert_eq!(*stored.lock() + dropped, 10_000, "every event is stored or counted as dropped");
}

#[test]
fn metrics_have_the_documented_names_and_bounded_series() {
    let metrics = Metrics::new();
    for number in 0..3_000 {
        metrics.count(&event(0, exchange("shop", &format!("GET /p{number}"), "/p")));
    }
    metrics.connection_opened(true);
    metrics.connection_opened(false);
    metrics.connection_closed(false);
    metrics.connection_refused("connection.banned");
    metrics.set_generation(7);
    metrics.reloaded(false);
    metrics.backend_up("shop", "http://127.0.0.1:3000", true);
    metrics.before_encode(|metrics| metrics.set_limiter_keys(42));
    let text = metrics.encode();
    let operations = text.lines().filter(|line| line.starts_with("bartizan_requests_total{")).count();
    assert_eq!(operations, 2_001, "2,000 of their own and `other`");
    assert_eq!(
        sample(
            &text,
            "bartizan_requests_total{api=\"other\",operation=\"other\",method=\"GET\",status=\"4xx\",verdict=\"deny\"}"
        ),
        "1000"
    );
    for (name, value) in [
        ("bartizan_build_info{version=\"0.1.0\"}", "1"),
        ("bartizan_connections{transport=\"tls\"}", "1"),
        ("bartizan_connections{transport=\"plain\"}", "0"),
        ("bartizan_connections_total{transport=\"plain\"}", "1"),
        ("bartizan_connections_refused_total{code=\"connection.banned\"}", "1"),
        ("bartizan_config_generation", "7"),
        ("bartizan_config_reloads_total{result=\"refused\"}", "1"),
        ("bartizan_upstream_up{api=\"shop\",backend=\"http://127.0.0.1:3000\"}", "1"),
        ("bartizan_limiter_keys", "42"),
        ("bartizan_bytes_total{direction=\"in\"}", "36000"),
        ("bartizan_findings_total{guard=\"ip_access\",code=\"ip_access.denied\",mode=\"enforce\"}", "3000"),
        ("bartizan_request_duration_seconds_count{api=\"shop\",operation=\"GET /p0\"}", "1"),
    ] {
        assert_eq!(sample(&text, name), value, "{name}");
    }
    let mut types: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    let all = types.len();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), all, "each family is declared once");
    assert!(text.contains("# TYPE bartizan_connections gauge\n"));
    assert!(text.contains("# TYPE bartizan_connections_total counter\n"));
    assert!(!text.contains("# EOF"));
}

#[test]
fn counting_an_event_is_cheap() {
    let metrics = Metrics::new();
    let event = plain(0);
    metrics.count(&event);
    let started = Instant::now();
    for _ in 0..100_000 {
        metrics.count(&event);
    }
    let each = started.elapsed() / 100_000;
    println!("one event costs {each:?}");
    assert!(each < Duration::from_micros(20), "even unoptimised: {each:?}");
}

#[test]
fn no_planted_secret_is_in_any_form_of_an_event() {
    let secret = "S3cr3tT0ken";
    let event = event(1, exchange("shop", "GET /reset/{token}", &format!("/reset/{secret}/{secret}@x")));
    let metrics = Metrics::new();
    metrics.count(&event);
    for form in
        [serde_json::to_string(&event).unwrap(), explain_event(&event, &Look::plain(100)), metrics.encode()]
    {
        assert!(!form.contains(secret), "{form}");
        assert!(!form.to_lowercase().contains("s3cr3t"), "{form}");
    }
}

#[test]
fn an_event_is_told_on_one_screen() {
    let told = explain_event(&plain(1), &Look::plain(80));
    for part in [
        "`alice` of corp (jwt) at 203.0.113.9 asked for GET /accounts/{number} and was",
        "refused with 403 by `ip_access`: the address is in `deny[0]`.",
        "-> ip_access",
        "refused: ip_access.denied",
        "not mounted: ",
        "What would let it pass",
        "remove the prefix that holds 203.0.113.9",
        "generation 3, mode enforce",
        "API shop, operation GET /accounts/{id}",
        "403, problem urn:bartizan:problem:ip_access.denied",
        "nothing was forwarded",
        "1.2 ms in all, 12 B received, 345 B released",
    ] {
        assert!(told.contains(part), "`{part}` is missing in:\n{told}");
    }
    assert!(told.lines().count() <= 24, "{told}");
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
}

#[test]
fn text_that_would_move_the_cursor_is_disarmed() {
    let mut event = plain(1);
    event.kind = EventKind::Control {
        code: "mode.monitor",
        actor: "admin-token".to_owned(),
        detail: "until\u{1b}[2Jlater".to_owned(),
    };
    let told = explain_event(&event, &Look::plain(80));
    assert!(
        told.contains("admin-token from 203.0.113.9 changed something: mode.monitor")
            && !told.contains('\u{1b}'),
        "{told}"
    );
}

/// The value of a sample in Prometheus text.
fn sample<'t>(text: &'t str, name: &str) -> &'t str {
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no sample `{name}` in:\n{text}"))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_loses_events_that_are_counted_and_nothing_else() {
    let audit = AuditConfig { file: "/dev/full".into(), rotate_at: 0, keep: 0 };
    let telemetry = Telemetry::start(Config { audit: Some(audit), ..Config::default() }).unwrap();
    for number in 0..10 {
        telemetry.publish(plain(number));
    }
    assert!(telemetry.flush(Duration::from_secs(5)).await);
    let text = telemetry.metrics().encode();
    assert_eq!(sample(&text, "bartizan_events_dropped_total{consumer=\"audit\"}"), "10");
    assert_ne!(sample(&text, "bartizan_audit_write_failures_total"), "0");
}
