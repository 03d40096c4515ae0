//! HTTP/2 as the `h2` client and server speak it: what is malformed, what is ambiguous, what must not pass, and
//! extended CONNECT.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::Stdio,
    thread,
};

use bartizan_testkit::{Gateway, RawUpstream};
use serde_json::{Value, json};

use crate::support::{Peer, before, policy, python_script, with};

/// What became of each case; `None` where Python's packages are absent.
fn outcomes(gateway: &Gateway, cases: &Value) -> Option<Value> {
    let mut command = python_script("h2_client.py")?;
    let mut child = command
        .arg(gateway.address.port().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(cases.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some(serde_json::from_slice(&output.stdout).expect("the client failed"))
}

/// A case: the usual pseudo-fields of `method`, some replaced (`:path` and the like) and others added.
fn case(name: &str, method: &str, more: &[(&str, &str)]) -> Value {
    let mut headers =
        vec![(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", "/x")];
    for (field, value) in more {
        match headers.iter_mut().find(|(known, _)| field.starts_with(':') && known == field) {
            Some(known) => known.1 = value,
            None => headers.push((field, value)),
        }
    }
    json!({ "name": name, "headers": headers })
}

#[test]
fn what_is_malformed_or_ambiguous_reaches_nobody() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = before(&upstream.url());
    let mut cases = vec![
        case("another host", "GET", &[("host", "evil")]),
        case("two hosts", "GET", &[("host", "localhost"), ("host", "localhost")]),
        case("connection", "GET", &[("connection", "close")]),
        case("te", "GET", &[("te", "gzip")]),
        case("transfer-encoding", "POST", &[("transfer-encoding", "chunked")]),
        case("upgrade", "GET", &[("upgrade", "x")]),
        case("upper case", "GET", &[("X-Upper", "x")]),
        case("nul", "GET", &[("x-a", "a\0b")]),
        case("line break", "GET", &[("x-a", "a\r\nb: c")]),
        case("padded value", "GET", &[("x-a", " a")]),
        case("user information", "GET", &[(":authority", "u@localhost")]),
        case("signed port", "GET", &[(":authority", "localhost:+80")]),
        case("space in path", "GET", &[(":path", "/a b")]),
        case("path of another form", "GET", &[(":path", "http://evil/x")]),
        case("late pseudo-field", "GET", &[("x-a", "1"), (":late", "x")]),
        case("strange scheme", "GET", &[(":scheme", "ftp")]),
        case("the server, but no OPTIONS", "GET", &[(":path", "*")]),
        case("trace", "TRACE", &[]),
        json!({ "name": "connect", "headers": [[":method", "CONNECT"], [":authority", "a:80"]] }),
        json!({ "name": "nobody's", "headers": [[":method", "GET"], [":scheme", "http"], [":path", "/x"]] }),
    ];
    let mut short = case("length that lies", "POST", &[("content-length", "5")]);
    short["body"] = json!("abc");
    cases.push(short);
    let Some(told) = outcomes(&gateway, &json!(cases)) else { return };
    for (name, outcome) in told.as_object().unwrap() {
        let refused = outcome["status"].as_u64().is_none_or(|status| status >= 400);
        assert!(refused && outcome["end"] != json!(null), "{name}: {outcome}");
    }
    assert!(upstream.requests().is_empty(), "{}", upstream.requests()[0].text());
}

#[test]
fn what_is_well_formed_passes() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = before(&upstream.url());
    let mut query = case("query", "QUERY", &[]);
    query["body"] = json!("q=1");
    let cases = json!([
        query,
        case("head", "HEAD", &[]),
        case("same host", "GET", &[("host", "localhost")]),
        case("default port", "GET", &[(":authority", "localhost:80"), ("host", "LOCALHOST")]),
        case("cookies", "GET", &[("cookie", "a=1"), ("cookie", "b=2")]),
        json!({ "name": "host only", "headers":
            [[":method", "GET"], [":scheme", "http"], [":path", "/x"], ["host", "localhost"]] }),
    ]);
    let Some(told) = outcomes(&gateway, &cases) else { return };
    for (name, outcome) in told.as_object().unwrap() {
        assert_eq!(
            (&outcome["status"], &outcome["end"]),
            (&json!(200), &json!("whole")),
            "{name}: {outcome}"
        );
    }
    let requests = upstream.requests();
    assert!(requests.iter().any(|r| r.header("cookie") == ["a=1; b=2"]), "one line for HTTP/1");
    assert!(requests.iter().all(|r| r.header("host").len() == 1));
    let own = outcomes(&gateway, &json!([case("own", "OPTIONS", &[(":path", "*")])])).unwrap();
    assert_eq!(own["own"]["status"], 204);
}

#[test]
fn an_http2_upstream_gets_clean_trailers_and_its_own_come_back() {
    let Some(server) = Peer::python("h2_server.py") else { return };
    let gateway = with(&policy(&format!("{{ backends: [\"{}\"], protocol: http2 }}", server.url()), ""));
    let mut case = case("post", "POST", &[("te", "trailers")]);
    case["body"] = json!("abc");
    case["trailers"] =
        json!([["x-sum", "9"], ["x-bartizan-subject", "root"], ["authorization", "x"], ["host", "evil"]]);
    let Some(told) = outcomes(&gateway, &json!([case])) else { return };
    let told = &told["post"];
    assert_eq!((&told["status"], &told["trailers"]), (&json!(200), &json!({ "x-end": "reached" })), "{told}");
    let seen: Value = serde_json::from_str(told["body"].as_str().unwrap()).unwrap();
    assert_eq!((&seen["body"], &seen["trailers"]), (&json!("abc"), &json!([["x-sum", "9"]])));
    assert!(seen["headers"].to_string().contains("[\":authority\",\"localhost\"]"), "{seen}");
    let old = gateway.raw(
        b"POST /x HTTP/1.1\r\nHost: api.example:99\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n",
    );
    assert_eq!((old.status, &old.json()["trailers"]), (200, &json!([["x-sum", "9"]])), "{}", old.text());
}

/// A WebSocket server that proves its key and echoes bytes; `/refused` is answered with 403.
fn websocket() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") {
                    stream.read_exact(&mut byte).ok()?;
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                if head.starts_with("GET /refused") {
                    return stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").ok();
                }
                let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: "))?;
                let answer = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: {}\r\n\r\n",
                    bartizan_gateway::upgrade::accept(key)
                );
                stream.write_all(answer.as_bytes()).ok()?;
                let mut writer = stream.try_clone().ok()?;
                std::io::copy(&mut stream, &mut writer).ok()?;
                Some(())
            });
        }
    });
    port
}

#[test]
fn extended_connect_opens_a_websocket_under_the_rules_of_get() {
    let rules =
        "    operations: [{ match: \"GET /denied\", guards: { ip_access: { deny: [127.0.0.0/8] } } }]\n";
    let gateway = with(&policy(&format!("http://127.0.0.1:{}", websocket()), rules));
    let open = |name: &str, path: &str, protocol: &str| {
        let fields = [(":path", path), (":protocol", protocol), ("sec-websocket-version", "13")];
        let mut case = case(name, "CONNECT", &fields);
        case["echo"] = json!("hello");
        case
    };
    let cases = json!([
        open("open", "/room", "websocket"),
        open("denied", "/denied", "websocket"),
        open("refused", "/refused", "websocket"),
        open("other", "/room", "connect-udp"),
    ]);
    let Some(told) = outcomes(&gateway, &cases) else { return };
    assert_eq!((&told["open"]["status"], &told["open"]["body"]), (&json!(200), &json!("hello")), "{told}");
    assert_eq!(told["open"]["end"], "whole");
    assert_eq!(told["denied"]["status"], 403, "a rule for GET was passed by: {told}");
    assert_eq!((&told["refused"]["status"], &told["refused"]["body"]), (&json!(403), &json!("no")));
    assert_eq!(told["other"]["status"], 501);
}
