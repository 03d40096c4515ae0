//! What operators decide is in force within a second and ends what is live: bans, revocations, break-glass.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use bartizan_testkit::{Gateway, RawUpstream, Step};
use serde_json::{Value, json};

use crate::{
    support::{BINARY, output, policy, with},
    wire::{DATA, H2, RST_STREAM},
};

/// Within this, a decision is in force.
const IN_FORCE: Duration = Duration::from_secs(1);

/// An event stream that goes on, or is silent.
fn events(silent: bool) -> RawUpstream {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata\n\r\n";
    let rest = if silent {
        Step::Hang
    } else {
        Step::Trickle(b"1\r\n.\r\n".repeat(1_000), Duration::from_millis(2))
    };
    RawUpstream::scripted(vec![Step::Send(head.to_vec()), rest, Step::Hang]).unwrap()
}

fn websocket() -> RawUpstream {
    let head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi";
    RawUpstream::scripted(vec![Step::Send(head.to_vec()), Step::Hang]).unwrap()
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A request whose response has begun; the connection, and what came.
fn live(gateway: &Gateway, fields: &str, begun: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(format!("GET /live HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(begun.as_bytes()) {
        let read = stream.read(&mut byte);
        assert!(matches!(read, Ok(1)), "{read:?}: {}", String::from_utf8_lossy(&answer));
        answer.push(byte[0]);
    }
    stream
}

/// What comes until the end, and how long that took.
fn end(stream: &mut TcpStream) -> (Vec<u8>, Duration) {
    let begin = Instant::now();
    let mut rest = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => rest.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("still open after {:?}: {error}", begin.elapsed()),
        }
        assert!(begin.elapsed() < Duration::from_secs(5), "still alive");
    }
    (rest, begin.elapsed())
}

fn bartizan(gateway: &Gateway, arguments: &[&str]) -> String {
    output(
        Command::new(BINARY)
            .args(arguments)
            .arg("--state")
            .arg(gateway.state())
            .current_dir(gateway.dir.path()),
    )
}

/// Waits until a fresh request gets this status; how long that took.
fn becomes(gateway: &Gateway, status: u16) -> Duration {
    let begin = Instant::now();
    loop {
        let now = gateway.get("/x", &[]).status;
        if now == status {
            return begin.elapsed();
        }
        assert!(begin.elapsed() < Duration::from_secs(8), "still {now}, not {status}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_ban_ends_event_streams_loud_and_silent() {
    for silent in [true, false] {
        let upstream = events(silent);
        let gateway = with(&policy(&upstream.url(), ""));
        let mut stream = live(&gateway, "", "data\n\r\n");
        bartizan(&gateway, &["ban", "127.0.0.1", "--reason", "test"]);
        let (rest, took) = end(&mut stream);
        assert!(took < IN_FORCE, "{took:?}");
        assert!(!rest.ends_with(b"0\r\n\r\n"), "a stream that was ended by a ban is not whole");
    }
}

#[test]
fn a_ban_ends_http2_streams() {
    let upstream = events(true);
    let gateway = with(&policy(&upstream.url(), ""));
    let mut h2 = H2::plain(gateway.address);
    h2.greet();
    h2.get(1, "/live");
    h2.until(Duration::from_secs(5), |f| f.kind == DATA);
    bartizan(&gateway, &["ban", "127.0.0.0/8", "--reason", "test"]);
    let begin = Instant::now();
    let frames = h2.until(Duration::from_secs(5), |_| false);
    assert!(h2.closed && begin.elapsed() < IN_FORCE, "{:?}", begin.elapsed());
    assert!(frames.iter().any(|f| f.kind == RST_STREAM), "{frames:?}");
}

#[test]
fn a_ban_closes_websockets_with_1008() {
    let upstream = websocket();
    let gateway = with(&policy(&upstream.url(), ""));
    let mut stream = live(&gateway, UPGRADE, "\x02hi");
    bartizan(&gateway, &["ban", "127.0.0.1", "--reason", "test"]);
    let (rest, took) = end(&mut stream);
    assert!(took < IN_FORCE, "{took:?}");
    assert_eq!((rest[0], &rest[2..4]), (0x88, &1008_u16.to_be_bytes()[..]), "{rest:?}");
}

#[test]
fn a_ban_closes_idle_connections_and_ends_by_itself() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = with(&policy(&upstream.url(), ""));
    let mut kept = live(&gateway, "", "}");
    let mut silent = TcpStream::connect(gateway.address).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    bartizan(&gateway, &["ban", "127.0.0.1", "--for", "2s", "--reason", "test"]);
    let banned = Instant::now();
    assert!(becomes(&gateway, 0) < IN_FORCE);
    assert!(end(&mut kept).1 < IN_FORCE);
    assert!(end(&mut silent).1 < IN_FORCE, "a connection that has said nothing yet is closed, too");
    let over = becomes(&gateway, 200);
    assert!(banned.elapsed() > Duration::from_millis(1_500) && over < Duration::from_secs(4), "{over:?}");
}

const KEYS: &str = "    identity: { accept: [{ api_key: { header: X-API-Key } }], anonymous: deny }\n";

#[test]
fn a_revoked_key_ends_its_streams() {
    for silent in [true, false] {
        let upstream = events(silent);
        let gateway = with(&policy(&upstream.url(), KEYS));
        let made: Value = serde_json::from_str(&bartizan(
            &gateway,
            &["keys", "create", "--owner", "shop", "--output", "json"],
        ))
        .unwrap();
        let text = made.to_string();
        let key = made["secret"].as_str().unwrap_or_else(|| panic!("{text}"));
        let id = made["key"]["id"].as_str().unwrap_or_else(|| panic!("{text}"));
        thread::sleep(IN_FORCE);
        let mut stream = live(&gateway, &format!("X-API-Key: {key}\r\n"), "data\n\r\n");
        bartizan(&gateway, &["keys", "revoke", id]);
        assert!(end(&mut stream).1 < IN_FORCE);
        assert_eq!(gateway.get("/x", &[&format!("X-API-Key: {key}")]).status, 401);
    }
}

#[test]
fn break_glass_ends_by_itself_with_what_only_it_let_pass() {
    for command in [true, false] {
        let upstream = events(true);
        let gateway = with(&policy(&upstream.url(), "    guards: { ip_access: { deny: [127.0.0.0/8] } }\n"));
        assert_eq!(gateway.get("/x", &[]).status, 403);
        let asked = Instant::now();
        if command {
            bartizan(&gateway, &["mode", "monitor", "--for", "2s", "--reason", "test"]);
        } else {
            let asked = json!({ "mode": "monitor", "for": "2s", "reason": "test" });
            let answer = gateway.ask("POST", "/v1/mode", Some(&asked)).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let mut stream = live(&gateway, "", "data\n\r\n");
        assert!(asked.elapsed() < IN_FORCE + Duration::from_millis(500), "{:?}", asked.elapsed());
        end(&mut stream);
        let took = asked.elapsed();
        assert!(took > Duration::from_millis(1_500) && took < Duration::from_millis(3_500), "{took:?}");
        assert_eq!(gateway.get("/x", &[]).status, 403);
        thread::sleep(Duration::from_millis(500));
        let audit = std::fs::read_to_string(gateway.state().join("audit.jsonl")).unwrap();
        for code in ["mode.monitor", "mode.ended"] {
            assert!(audit.contains(code), "`{code}` is not in:\n{audit}");
        }
    }
}
