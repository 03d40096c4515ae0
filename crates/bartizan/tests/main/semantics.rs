//! What HTTP/1 means on both sides of the gateway: targets, interim answers, framing, upgrades, pipelines.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use bartizan_testkit::{Gateway, RawUpstream, Reply, Step};

use crate::support::{before, policy, with};

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The accept that belongs to the key above.
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A gateway before an upstream that gives this answer to every request.
fn answering(answer: &str) -> (RawUpstream, Gateway) {
    let upstream = RawUpstream::scripted(vec![Step::Send(answer.as_bytes().to_vec())]).unwrap();
    let gateway = before(&upstream.url());
    (upstream, gateway)
}

fn ask(gateway: &Gateway, line: &str, fields: &str) -> Reply {
    gateway.raw(format!("{line}\r\nHost: localhost\r\n{fields}\r\n").as_bytes())
}

#[test]
fn options_of_the_server_are_the_gateways_own() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = before(&upstream.url());
    let answer = ask(&gateway, "OPTIONS * HTTP/1.1", "");
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert!(answer.header("allow").is_some_and(|allow| allow.contains("QUERY")), "{answer:?}");
    assert_eq!(ask(&gateway, "GET * HTTP/1.1", "").status, 400);
    assert!(upstream.requests().is_empty());
}

#[test]
fn what_no_query_may_hold_is_refused_with_a_reason() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = before(&upstream.url());
    for target in ["/x?q={\"a\":1}", "/x?q=<b>", "/x?q=\u{e9}", "/x\u{e9}", "/x?q#f"] {
        let answer = ask(&gateway, &format!("GET {target} HTTP/1.1"), "");
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (400, Some("application/problem+json")),
            "{target}"
        );
        assert!(answer.header("x-bartizan-event").is_some(), "{target}");
    }
    assert!(upstream.requests().is_empty());
    assert_eq!(ask(&gateway, "GET /x?q={[a]}|^`&r=%22 HTTP/1.1", "").status, 200);
}

#[test]
fn every_line_of_connection_counts_both_ways() {
    let (upstream, gateway) = answering(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: X-Inner\r\nX-Inner: 1\r\nX-Outer: 1\r\nContent-Length: 0\r\n\r\n",
    );
    let answer = ask(
        &gateway,
        "GET /x HTTP/1.1",
        "Connection: keep-alive\r\nConnection: X-Private\r\nX-Private: 1\r\nX-Fine: 1\r\n",
    );
    assert_eq!((answer.header("x-inner"), answer.header("x-outer")), (None, Some("1")));
    let seen = &upstream.requests()[0];
    assert_eq!((seen.header("x-private").len(), seen.header("x-fine").len()), (0, 1), "{}", seen.text());
}

#[test]
fn interim_answers_of_an_upstream_are_not_the_answer() {
    let (_upstream, gateway) = answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let answer = ask(&gateway, "GET /x HTTP/1.1", "");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let (_upstream, gateway) =
        answering("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n");
    assert_eq!(ask(&gateway, "GET /x HTTP/1.1", "").status, 502, "nobody asked for a switch");
}

#[test]
fn answers_without_a_body_have_none() {
    for (head, request) in [
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", "GET"),
        ("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 500\r\n\r\n", "GET"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", "HEAD"),
    ] {
        let (_upstream, gateway) = answering(head);
        // The connection goes on with the next answer right behind the head of the first.
        let one = format!("{request} /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let last = format!("{request} /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut stream = TcpStream::connect(gateway.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all((one + &last).as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let answers: Vec<&str> = text.split("\r\n\r\n").collect();
        assert_eq!(answers.len(), 3, "{text}");
        assert!(answers[1].starts_with("HTTP/1.1 ") && answers[2].is_empty(), "{text}");
    }
}

#[test]
fn an_old_client_gets_an_answer_that_ends_with_the_connection() {
    let (_upstream, gateway) =
        answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3\r\nyes\r\n0\r\n\r\n");
    let answer = ask(&gateway, "GET /x HTTP/1.0", "");
    assert_eq!((answer.status, answer.text().as_str()), (200, "okyes"));
    assert_eq!(answer.header("transfer-encoding"), None);
}

#[test]
fn a_coding_overrides_a_length_and_only_chunked_is_read() {
    let (_upstream, gateway) = answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    let answer = ask(&gateway, "GET /x HTTP/1.1", "");
    assert_eq!((answer.text().as_str(), answer.header("content-length")), ("hello", None), "{answer:?}");
    for coding in ["gzip, chunked", "gzip", "identity"] {
        let (_upstream, gateway) =
            answering(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n2\r\nok\r\n0\r\n\r\n"));
        assert_eq!(ask(&gateway, "GET /x HTTP/1.1", "").status, 502, "{coding}");
    }
}

#[test]
fn trailers_come_back_to_who_asks_for_them() {
    let (_upstream, gateway) = answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 9\r\n\r\n",
    );
    let text = |fields: &str| {
        let request = format!("GET /x HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        let bytes =
            bartizan_testkit::raw_request(gateway.address, request.as_bytes(), Duration::from_secs(5));
        String::from_utf8_lossy(&bytes).to_lowercase()
    };
    assert!(text("TE: deflate, trailers\r\nConnection: TE, close\r\n").contains("0\r\nx-sum: 9\r\n\r\n"));
    assert!(text("Connection: close\r\n").ends_with("0\r\n\r\n"));
}

#[test]
fn a_stream_is_not_held_back_by_what_is_pipelined_behind_it() {
    let event = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 0\n\n".to_vec();
    let upstream = RawUpstream::scripted(vec![Step::Send(event), Step::Hang]).unwrap();
    let gateway = before(&upstream.url());
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let request = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(&[&request[..], request].concat()).unwrap();
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&seen).contains("data: 0") {
        let read = stream.read(&mut buffer).expect("the event is held back");
        assert!(read > 0);
        seen.extend_from_slice(&buffer[..read]);
    }
}

#[test]
fn a_client_that_has_said_all_still_gets_its_answer() {
    let (head, body) = ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok");
    let wait = Step::Wait(Duration::from_millis(200));
    let upstream =
        RawUpstream::scripted(vec![wait.clone(), Step::Send(head.into()), wait, Step::Send(body.into())])
            .unwrap();
    let gateway = before(&upstream.url());
    for request in [
        "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi",
    ] {
        let mut stream = TcpStream::connect(gateway.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let begin = Instant::now();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("ok"), "{request}: {text}");
        assert!(begin.elapsed() < Duration::from_secs(3), "the connection is kept open");
    }
    // Half a request is none.
    upstream.clear();
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.write_all(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhi").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    assert!(!text.contains("200 OK"), "{text}");
}

#[test]
fn requests_in_a_pipeline_are_answered_in_order() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = before(&upstream.url());
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut requests = String::new();
    for n in 0..5 {
        requests += &format!("POST /{n} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi");
    }
    requests += "GET /5 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(requests.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let at: Vec<_> = (0..6).map(|n| text.find(&format!("\"target\":\"/{n}\""))).collect();
    assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{at:?}\n{text}");
}

#[test]
fn expectations_of_old_clients_are_not_met_and_of_refused_ones_neither() {
    let upstream = RawUpstream::echo().unwrap();
    let denied = with(&policy(&upstream.url(), "    guards: { ip_access: { deny: [127.0.0.0/8] } }\n"));
    for (gateway, line) in [(before(&upstream.url()), "POST /x HTTP/1.0"), (denied, "POST /x HTTP/1.1")] {
        let request =
            format!("{line}\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi");
        let bytes =
            bartizan_testkit::raw_request(gateway.address, request.as_bytes(), Duration::from_secs(5));
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("100 Continue") && text.starts_with("HTTP/1."), "{text}");
    }
}

#[test]
fn only_websocket_is_an_upgrade_and_it_has_no_body() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = before(&upstream.url());
    for fields in [
        "Connection: Upgrade\r\nUpgrade: other\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
    ] {
        assert_eq!(ask(&gateway, "GET /x HTTP/1.1", fields).status, 200);
    }
    for request in upstream.requests() {
        assert!(!request.text().to_lowercase().contains("upgrade"), "{}", request.text());
    }
    upstream.clear();
    let body = format!("GET /x HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}Content-Length: 5\r\n\r\nhello");
    assert_eq!(gateway.raw(body.as_bytes()).status, 400);
    assert!(upstream.requests().is_empty());
}

#[test]
fn an_upgrade_without_the_right_proof_is_none() {
    let (_upstream, gateway) = answering(&SWITCHED.replace("s3pP", "AAAA"));
    assert_eq!(ask(&gateway, "GET /x HTTP/1.1", UPGRADE).status, 502);
}

#[test]
fn both_directions_of_a_tunnel_flow_at_once() {
    // The upstream sends much before it reads anything; the client sends much before it reads anything.
    let much = 8 << 20;
    let mut script = vec![Step::Send(SWITCHED.as_bytes().to_vec())];
    script.push(Step::Send(vec![b'd'; much]));
    script.push(Step::Hang);
    let upstream = RawUpstream::scripted(script).unwrap();
    let gateway = before(&upstream.url());
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET /x HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    let mut writing = stream.try_clone().unwrap();
    let writer = thread::spawn(move || writing.write_all(&vec![b'u'; much]).is_ok());
    thread::sleep(Duration::from_millis(300));
    let begin = Instant::now();
    let (mut got, mut buffer) = (0, vec![0; 1 << 16]);
    while got < much {
        let read = stream.read(&mut buffer).expect("the tunnel stands still");
        assert!(read > 0, "the tunnel ended after {got} bytes");
        got += read;
    }
    assert!(writer.join().unwrap(), "what the client sends does not flow");
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn hosts_and_prefixes_are_routed_and_rewritten() {
    let upstream = RawUpstream::echo().unwrap();
    let url = upstream.url();
    let gateway = with(&format!(
        "listeners: [{{ address: $LISTEN }}]\nadmin: {{ address: $ADMIN }}\napis:\n  \
         - {{ name: one, hosts: [api.example], base_path: /v1, upstream: {{ backends: [\"{url}\"], rewrite_prefix: /, host: backend }} }}\n  \
         - {{ name: two, hosts: [api.example], base_path: /v2, upstream: {{ backends: [\"{url}\"], rewrite_prefix: /in/ner, host: fixed.internal }} }}\n  \
         - {{ name: wild, hosts: [\"*.wild.example\"], upstream: {{ backends: [\"{url}\"] }} }}\n"
    ));
    let backend = upstream.address.to_string();
    for (host, path, expected) in [
        ("api.example", "/v1/x?y=%2F", Some(("/x?y=%2F", backend.as_str()))),
        ("API.Example.:8443", "/v1", Some(("/", &backend))),
        ("api.example", "/v2/x", Some(("/in/ner/x", "fixed.internal"))),
        ("api.example", "/v2/../v1/%7Ez", Some(("/~z", &backend))),
        ("a.wild.example:99", "/q", Some(("/q", "a.wild.example:99"))),
        ("api.example", "/v1x", None),
        ("wild.example", "/q", None),
        ("api.example.evil", "/v1", None),
    ] {
        upstream.clear();
        let answer = gateway.raw(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        let requests = upstream.requests();
        let Some((target, name)) = expected else {
            assert!(answer.status == 404 && requests.is_empty(), "{host}{path}: {}", answer.status);
            continue;
        };
        assert_eq!(answer.status, 200, "{host}{path}: {}", answer.text());
        assert_eq!(
            (requests[0].target().as_str(), requests[0].header("host")),
            (target, vec![name.to_owned()])
        );
    }
    for host in ["api.example:99999", "api.example:+80", "user@api.example", "api..example", "api example"] {
        let answer = gateway.raw(format!("GET /v1 HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(answer.status, 400, "{host}");
    }
}
