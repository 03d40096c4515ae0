//! The admin API through a real listener: who gets in, and that what they do is done and audited.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::net::SocketAddr;

use bartizan_model::services::BoxFuture;
use bartizan_store::{
    EventFilter,
    system::{SystemClock, SystemRandom},
};
use bartizan_telemetry::Config;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
};

use super::*;
use crate::{MonitorUntil, ReloadReport, StatusReport};

const TOKEN: &str = "0123456789abcdef";

/// A gateway that notes what it was asked to do.
#[derive(Default)]
struct Noted {
    monitor: std::sync::Mutex<Option<MonitorUntil>>,
    broken: std::sync::atomic::AtomicBool,
}

impl Operations for Noted {
    fn reload(&self) -> BoxFuture<'_, Result<ReloadReport, String>> {
        Box::pin(async {
            if self.broken.load(std::sync::atomic::Ordering::Relaxed) {
                return Err("bartizan.yaml:3:5: unknown key `apsi`".to_owned());
            }
            Ok(ReloadReport { generation: 2, digest: "d".to_owned(), changed: true, warnings: Vec::new() })
        })
    }

    fn set_mode(&self, monitor: Option<MonitorUntil>) {
        *self.monitor.lock().unwrap() = monitor;
    }

    fn status(&self) -> StatusReport {
        StatusReport {
            generation: 1,
            monitor: self.monitor.lock().unwrap().clone(),
            ..StatusReport::default()
        }
    }

    fn explain<'a>(&'a self, raw: &'a [u8]) -> BoxFuture<'a, Result<Value, String>> {
        Box::pin(async move { Ok(serde_json::json!({ "bytes": raw.len() })) })
    }

    fn ready(&self) -> BoxFuture<'_, Result<Value, String>> {
        Box::pin(async {
            if self.broken.load(std::sync::atomic::Ordering::Relaxed) {
                Err("draining".to_owned())
            } else {
                Ok(serde_json::json!({ "generation": 1 }))
            }
        })
    }

    fn doctor(&self) -> BoxFuture<'_, Result<Value, String>> {
        Box::pin(async { Ok(serde_json::json!({ "probes": 3, "findings": [] })) })
    }
}

struct Running {
    address: SocketAddr,
    store: Arc<Store>,
    telemetry: Arc<Telemetry>,
    gateway: Arc<Noted>,
    _stop: oneshot::Sender<()>,
}

async fn start() -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let store = Arc::new(Store::memory().unwrap());
    let recent: Arc<dyn bartizan_model::services::EventStore> = Arc::<Store>::clone(&store);
    let telemetry = Arc::new(Telemetry::start(Config { recent: Some(recent), ..Config::default() }).unwrap());
    let gateway = Arc::new(Noted::default());
    let operations: Arc<dyn Operations> = Arc::<Noted>::clone(&gateway);
    let admin = Admin {
        sealer: Arc::new(Sealer::new(&[1; 32]).unwrap()),
        operations,
        store: Arc::clone(&store),
        telemetry: Arc::clone(&telemetry),
        clock: Arc::new(SystemClock::default()),
        random: Arc::new(SystemRandom),
        token: Arc::new(Redacted::new(TOKEN.to_owned())),
    };
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(serve(listener, admin, async move { drop(stopped.await) }));
    Running { address, store, telemetry, gateway, _stop: stop }
}

impl Running {
    /// Sends a head as it is, with `HOST` replaced by the right host; answers status, head and body.
    async fn raw(&self, request: &str) -> (u16, String, String) {
        let request = request.replace("HOST", &self.address.to_string());
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, head.to_lowercase(), body.to_owned())
    }

    async fn ask(&self, method: &str, target: &str, body: &str) -> (u16, Value) {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (status, _, body) = self.raw(&request).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    /// Codes of the changes that were published, newest first.
    async fn audited(&self) -> Vec<String> {
        assert!(self.telemetry.flush(Duration::from_secs(5)).await);
        let events = self.store.events(EventFilter { limit: 100, ..EventFilter::default() }).unwrap();
        let events = events.iter().map(|text| serde_json::from_str::<Value>(text).unwrap());
        events
            .map(|event| {
                assert_eq!((&event["kind"], &event["actor"]), (&"control".into(), &"admin-token".into()));
                event["code"].as_str().unwrap().to_owned()
            })
            .collect()
    }
}

#[tokio::test]
async fn only_the_holder_of_the_token_by_the_right_name_gets_in() {
    let admin = start().await;
    let port = admin.address.port();
    let good = format!("Authorization: Bearer {TOKEN}");
    let table: &[(&str, String, u16)] = &[
        ("right", format!("Host: HOST\r\n{good}"), 200),
        ("scheme in capitals", format!("Host: HOST\r\nAuthorization: BEARER {TOKEN}"), 200),
        ("localhost", format!("Host: localhost:{port}\r\n{good}"), 200),
        ("IPv6 loopback", format!("Host: [::1]:{port}\r\n{good}"), 200),
        ("own origin", format!("Host: HOST\r\n{good}\r\nOrigin: http://HOST"), 200),
        (
            "same origin by fetch metadata",
            format!("Host: HOST\r\n{good}\r\nSec-Fetch-Site: same-origin"),
            200,
        ),
        ("no token", "Host: HOST".to_owned(), 401),
        ("empty token", "Host: HOST\r\nAuthorization: Bearer ".to_owned(), 401),
        ("prefix of the token", "Host: HOST\r\nAuthorization: Bearer 0123456789abcde".to_owned(), 401),
        ("longer than the token", format!("Host: HOST\r\n{good}0"), 401),
        ("other scheme", format!("Host: HOST\r\nAuthorization: Basic {TOKEN}"), 401),
        ("two tokens", format!("Host: HOST\r\n{good}\r\nAuthorization: Bearer wrong"), 401),
        ("rebound name", format!("Host: evil.example:{port}\r\n{good}"), 421),
        ("name that begins well", format!("Host: localhost.evil.example:{port}\r\n{good}"), 421),
        ("wrong port", format!("Host: 127.0.0.1:1\r\n{good}"), 421),
        ("no port", format!("Host: 127.0.0.1\r\n{good}"), 421),
        ("user part", format!("Host: x@HOST\r\n{good}"), 421),
        ("no host", good.clone(), 421),
        ("two hosts", format!("Host: HOST\r\nHost: HOST\r\n{good}"), 421),
        ("other origin", format!("Host: HOST\r\n{good}\r\nOrigin: http://evil.example"), 403),
        ("null origin", format!("Host: HOST\r\n{good}\r\nOrigin: null"), 403),
        ("cross site", format!("Host: HOST\r\n{good}\r\nSec-Fetch-Site: cross-site"), 403),
        ("same site, other origin", format!("Host: HOST\r\n{good}\r\nSec-Fetch-Site: same-site"), 403),
    ];
    for (case, head, expected) in table {
        let (status, head, body) =
            admin.raw(&format!("GET /v1/status HTTP/1.1\r\n{head}\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(status, *expected, "{case}: {body}");
        assert!(head.contains("cache-control: no-store"), "{case}");
        if *expected != 200 {
            assert!(head.contains("content-type: application/problem+json"), "{case}");
            assert!(!body.contains(TOKEN), "{case}");
        }
        assert_eq!(*expected == 401, head.contains("www-authenticate: bearer"), "{case}");
    }
}

#[tokio::test]
async fn every_path_but_the_probes_needs_the_token() {
    let admin = start().await;
    for (method, path, expected) in [
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/v1/events", 401),
        ("GET", "/v1/events/01ARZ3NDEKTSV4RRFFQ69G5FAV", 401),
        ("GET", "/v1/keys", 401),
        ("GET", "/v1/bans", 401),
        ("GET", "/v1/changes", 401),
        ("POST", "/v1/reload", 401),
        ("POST", "/v1/mode", 401),
        ("DELETE", "/v1/mode", 401),
        ("POST", "/v1/explain", 401),
        ("POST", "/v1/doctor", 401),
        ("GET", "/metrics/", 401),
        ("GET", "/anything", 401),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n");
        assert_eq!(admin.raw(&request).await.0, expected, "{method} {path}");
    }
    assert_eq!(admin.ask("GET", "/anything", "").await.0, 404);
    assert_eq!(admin.ask("PUT", "/v1/bans", "").await.0, 405);
    let large = "x".repeat(300 * 1024);
    assert_eq!(admin.ask("POST", "/v1/explain", &large).await.0, 413);
    assert_eq!(admin.ask("POST", "/v1/explain", "GET / HTTP/1.1\r\n\r\n").await.1["bytes"], 18);
    assert_eq!(admin.ask("POST", "/v1/doctor", "").await.1["probes"], 3);
    let ready = admin.ask("GET", "/readyz", "").await.1;
    assert_eq!((&ready["ready"], &ready["generation"]), (&true.into(), &1.into()));
    admin.gateway.broken.store(true, std::sync::atomic::Ordering::Relaxed);
    let (status, problem) = admin.ask("GET", "/readyz", "").await;
    assert_eq!((status, problem["detail"].as_str()), (503, Some("draining")));
    assert_eq!(admin.ask("GET", "/healthz", "").await.0, 200, "it lives while it drains");
}

#[tokio::test]
async fn open_paths_answer_scrapers_by_any_name_and_pages_by_ours() {
    let admin = start().await;
    for (case, head, expected) in [
        ("scraper by service name", "Host: bartizan:9440\r\nUser-Agent: Prometheus/3.5.0", 200),
        ("scraper by full name", "Host: gw1.prod.example:9440\r\nUser-Agent: Prometheus/3.5.0", 200),
        ("kubelet by address", "Host: 10.1.2.3:9440\r\nUser-Agent: kube-probe/1.34", 200),
        ("curl", "Host: HOST\r\nUser-Agent: curl/8.5.0", 200),
        ("browser by our address", "Host: HOST\r\nUser-Agent: Mozilla/5.0\r\nAccept-Language: en", 200),
        ("rebound page", "Host: evil.example:9440\r\nUser-Agent: Mozilla/5.0\r\nAccept-Language: en", 421),
        (
            "rebound page with another agent",
            "Host: evil.example\r\nUser-Agent: x\r\nAccept-Language: en",
            421,
        ),
        ("rebound page that posts", "Host: evil.example\r\nOrigin: http://evil.example", 421),
        ("two hosts", "Host: HOST\r\nHost: HOST", 421),
    ] {
        for path in ["/metrics", "/healthz", "/readyz"] {
            let request = format!("GET {path} HTTP/1.1\r\n{head}\r\nConnection: close\r\n\r\n");
            assert_eq!(admin.raw(&request).await.0, expected, "{case} {path}");
        }
    }
    assert_eq!(admin.raw("GET /healthz HTTP/1.0\r\n\r\n").await.0, 200, "a load balancer of old");
}

#[tokio::test]
async fn break_glass_is_bounded_in_force_and_audited() {
    let admin = start().await;
    for wrong in [
        r#"{"mode":"monitor","reason":"x"}"#,
        r#"{"mode":"monitor","for":"15m"}"#,
        r#"{"mode":"monitor","for":"25h","reason":"x"}"#,
        r#"{"mode":"off","for":"15m","reason":"x"}"#,
        r#"{"mode":"monitor","for":"15m","reason":"x","more":1}"#,
    ] {
        assert_eq!(admin.ask("POST", "/v1/mode", wrong).await.0, 400, "{wrong}");
    }
    assert!(admin.gateway.monitor.lock().unwrap().is_none() && admin.audited().await.is_empty());
    let before = SystemClock::default().now();
    let (status, _) =
        admin.ask("POST", "/v1/mode", r#"{"mode":"monitor","for":"15m","reason":"checkout is down"}"#).await;
    assert_eq!(status, 200);
    let until = admin.gateway.monitor.lock().unwrap().clone().unwrap().until;
    assert_eq!(until.since(before).as_secs() / 60, 15);
    assert_eq!(admin.ask("GET", "/v1/status", "").await.1["monitor"]["reason"], "checkout is down");
    assert_eq!(admin.ask("DELETE", "/v1/mode", "").await.0, 200);
    assert!(admin.gateway.monitor.lock().unwrap().is_none());
    let mut audited = admin.audited().await;
    audited.sort();
    assert_eq!(audited, ["mode.enforce", "mode.monitor"]);
}

#[tokio::test]
async fn bans_keys_and_reloads_are_done_and_audited() {
    let admin = start().await;
    let (status, answer) =
        admin.ask("POST", "/v1/bans", r#"{"target":"192.0.2.0/24","for":"1h","reason":"noise"}"#).await;
    assert_eq!(status, 201, "{answer}");
    let now = SystemClock::default().now();
    assert!(admin.store.ban_list().find("192.0.2.7".parse().unwrap(), now).is_some(), "in force at once");
    for wrong in ["0.0.0.0/0", "::/0", "example.com", ""] {
        let body = serde_json::json!({ "target": wrong, "reason": "x" }).to_string();
        assert_eq!(admin.ask("POST", "/v1/bans", &body).await.0, 400, "{wrong}");
    }
    assert_eq!(admin.ask("GET", "/v1/bans", "").await.1["bans"][0]["target"], "192.0.2.0/24");
    assert_eq!(admin.ask("DELETE", "/v1/bans?target=192.0.2.0/24", "").await.0, 200);
    assert_eq!(admin.ask("DELETE", "/v1/bans?target=192.0.2.0/24", "").await.0, 404);

    let (status, made) =
        admin.ask("POST", "/v1/keys", r#"{"owner":"alice","scopes":["read"],"expires":"90d"}"#).await;
    assert_eq!(status, 201, "{made}");
    let secret = made["secret"].as_str().unwrap();
    let id = made["key"]["id"].as_str().unwrap();
    let hash = bartizan_guards::identity::api_key::hash(secret);
    assert_eq!(&*bartizan_model::services::ApiKeys::find(&**admin.store.key_index(), &hash).unwrap().id, id);
    let (_, listed) = admin.ask("GET", "/v1/keys", "").await;
    assert_eq!(listed["keys"][0]["owner"], "alice");
    assert!(!listed.to_string().contains(secret) && !listed.to_string().contains("hash"));
    let (status, rotated) = admin.ask("POST", &format!("/v1/keys/{id}/rotate"), r#"{"overlap":"1h"}"#).await;
    assert_eq!((status, &rotated["key"]["scopes"][0]), (201, &"read".into()));
    assert_eq!(admin.ask("POST", &format!("/v1/keys/{id}/rotate"), "").await.0, 409);
    assert_eq!(admin.ask("POST", &format!("/v1/keys/{id}/revoke"), "").await.0, 200);
    assert_eq!(admin.ask("POST", "/v1/keys/none/revoke", "").await.0, 404);
    assert_eq!(admin.ask("POST", "/v1/keys", r#"{"owner":"a","scopes":["b c"]}"#).await.0, 400);

    assert_eq!(admin.ask("POST", "/v1/reload", "").await.1["generation"], 2);
    admin.gateway.broken.store(true, std::sync::atomic::Ordering::Relaxed);
    let (status, refused) = admin.ask("POST", "/v1/reload", "").await;
    assert_eq!(status, 422);
    assert!(refused["detail"].as_str().unwrap().contains("bartizan.yaml:3:5"));

    let mut audited = admin.audited().await;
    audited.sort();
    let expected = [
        "ban.added",
        "ban.removed",
        "key.created",
        "key.revoked",
        "key.rotated",
        "policy.refused",
        "policy.reloaded",
    ];
    assert_eq!(audited, expected);
    let events = admin.ask("GET", "/v1/events?limit=1000", "").await.1;
    assert!(!events.to_string().contains(secret));
    let one = events["events"][0]["id"].as_str().unwrap();
    assert_eq!(admin.ask("GET", &format!("/v1/events/{one}"), "").await.1["id"], *one);
    assert_eq!(admin.ask("GET", "/v1/events?limit=0", "").await.0, 400);
    assert_eq!(admin.ask("GET", "/v1/events?verdict=maybe", "").await.0, 400);
    assert_eq!(admin.ask("GET", "/v1/changes", "").await.1["changes"].as_array().unwrap().len(), 7);
}
