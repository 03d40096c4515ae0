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
use bartizan_policy::snapshot::{Balance, UnknownOperations, UpstreamHost};
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
