//! A `ws` server used by the `websockets` client: the upgrade, both kinds of frames, close codes; nothing before a 101.

use bartizan_testkit::{RawUpstream, Step};
use serde_json::json;

use crate::support::{Peer, before, json as run, policy, python_script, with};

const UPGRADE: &[&str] = &[
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

#[test]
fn frames_pass_both_ways_until_the_close() {
    let (Some(server), Some(mut client)) = (Peer::node("ws_server.js"), python_script("ws_client.py")) else {
        return;
    };
    let gateway = before(&server.url());
    let told = run(client.arg(format!("ws://{}/room/1?a=b", gateway.address)));
    assert_eq!(
        told,
        json!({
            "welcome": "welcome /room/1?a=b", "protocol": "chat", "text": "text", "binary": true, "pong": true,
            "code": 4001, "reason": "as asked",
        })
    );
}

#[test]
fn a_refused_upgrade_reaches_nobody() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = with(&policy(&upstream.url(), "    guards: { ip_access: { deny: [127.0.0.0/8] } }\n"));
    assert_eq!(gateway.get("/room/1", UPGRADE).status, 403);
    assert!(upstream.requests().is_empty());
}

#[test]
fn an_upstream_that_does_not_upgrade_answers_plainly() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno".to_vec();
    let upstream = RawUpstream::scripted(vec![Step::Send(answer)]).unwrap();
    let gateway = before(&upstream.url());
    let answer = gateway.get("/room/1", UPGRADE);
    assert_eq!((answer.status, answer.text().as_str()), (200, "no"));
}
