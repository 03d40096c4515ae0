//! What leaves is what the contract says: streams item by item while they flow, and bodies with the lengths that they have.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use bartizan_testkit::{Gateway, RawUpstream, Step};
use serde_json::Value;

use crate::support::{BINARY, event, installed, policy};

const CONTRACT: &str = r##"
openapi: 3.2.0
info: { title: Shop, version: "1" }
components:
  schemas:
    Item:
      type: object
      properties: { id: { type: integer }, name: { type: string }, key: { type: string, writeOnly: true } }
paths:
  /events:
    get:
      responses:
        "200":
          description: what happens
          content:
            text/event-stream:
              itemSchema:
                type: object
                properties:
                  data: { type: string, contentMediaType: application/json, contentSchema: { $ref: "#/components/schemas/Item" } }
            application/jsonl: { itemSchema: { $ref: "#/components/schemas/Item" } }
  /open: { get: { responses: { "200": { description: any, content: { text/event-stream: {} } } } } }
  /item: { get: { responses: { "200": { description: one, content: { application/json: { schema: { $ref: "#/components/schemas/Item" } } } } } } }
"##;

/// A gateway before this upstream with these settings of the guard.
pub fn promised(upstream: &RawUpstream, contract: &'static str, settings: &str) -> Gateway {
    let block =
        format!("    contract: file:shop.yaml\n    guards: {{ response_contract: {{ {settings} }} }}\n");
    Gateway::with_config(BINARY, &policy(&upstream.url(), &block), |dir| {
        Ok(fs::write(dir.join("shop.yaml"), contract)?)
    })
    .unwrap()
}

/// A chunk of a chunked body.
pub fn chunk(text: &str) -> Step {
    Step::Send(format!("{:x}\r\n{text}\r\n", text.len()).into_bytes())
}

/// A response's head.
pub fn head(fields: &str) -> Step {
    Step::Send(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n").into_bytes())
}

fn pause() -> Step {
    Step::Wait(Duration::from_millis(700))
}

fn last() -> Step {
    Step::Send(b"0\r\n\r\n".to_vec())
}

/// An exchange whose answer is read as it comes: the head, then each time something comes, all that came so far.
struct Flow {
    stream: TcpStream,
    seen: Vec<u8>,
}

impl Flow {
    fn get(gateway: &Gateway, target: &str) -> Self {
        let mut stream = TcpStream::connect(gateway.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nTE: trailers\r\nConnection: TE\r\n\r\n").unwrap();
        Flow { stream, seen: Vec::new() }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Reads until this came.
    fn until(&mut self, needle: &str) {
        let mut buffer = [0; 4096];
        while !self.text().contains(needle) {
            let read = self.stream.read(&mut buffer).unwrap();
            assert!(read > 0, "the stream ended before `{needle}`: {}", self.text());
            self.seen.extend_from_slice(&buffer[..read]);
        }
    }

    /// Reads to the end of the connection.
    fn end(&mut self) {
        let _ = self.stream.read_to_end(&mut self.seen);
    }
}

/// The details of an event's findings.
pub fn details(event: &Value) -> Vec<String> {
    event["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|finding| finding["detail"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn events_flow_at_once_without_what_nobody_promised() {
    let upstream = RawUpstream::scripted(vec![
        head(
            "Content-Type: text/event-stream\r\nETag: \"e\"\r\nDigest: sha-256=x\r\nTrailer: X-Sum, Content-Digest\r\nTransfer-Encoding: chunked",
        ),
        chunk(": hello\n\nid: 1\ndata: {\"id\":1,\"sec"),
        chunk("ret\":2}\n\n"),
        pause(),
        chunk("data: {\"id\":2,\"key\":\"k\"}\r\n\r\n"),
        pause(),
        Step::Send(b"0\r\nX-Sum: 7\r\nContent-Digest: x\r\n\r\n".to_vec()),
    ])
    .unwrap();
    let gateway = promised(&upstream, CONTRACT, "");
    let begun = Instant::now();
    let mut flow = Flow::get(&gateway, "/events");
    flow.until("data: {\"id\":1}\n\n");
    let first = begun.elapsed();
    flow.until("data: {\"id\":2}\r\n\r\n");
    flow.until("\r\n\r\n0\r\n");
    let whole = begun.elapsed();
    assert!(whole - first > Duration::from_secs(1), "events were kept back: {first:?}, {whole:?}");
    flow.until("x-sum: 7");
    let text = flow.text().to_ascii_lowercase();
    assert!(text.contains("transfer-encoding: chunked"), "{text}");
    for absent in ["content-length", "etag", "digest: ", "secret", "key"] {
        assert!(!text.contains(absent), "`{absent}` is in {text}");
    }
    assert!(upstream.requests()[0].header("accept-encoding").iter().all(|value| value == "identity"));
    let told = details(&event(&gateway, |event| event["operation"] == "GET /events"));
    assert_eq!(
        told,
        ["response/0/data/secret is not part of the contract", "response/1/data/key is `writeOnly`"]
    );
}

#[test]
fn lines_flow_and_a_client_that_leaves_is_told() {
    let upstream = RawUpstream::scripted(vec![
        head("Content-Type: application/jsonl\r\nTransfer-Encoding: chunked"),
        chunk("{\"id\":1,\"x\":0}\n{\"id\":2}\n{\"i"),
        Step::Hang,
    ])
    .unwrap();
    let gateway = promised(&upstream, CONTRACT, "");
    let mut flow = Flow::get(&gateway, "/events");
    flow.until("{\"id\":1}\n{\"id\":2}\n");
    assert!(!flow.text().contains("{\"i\r"), "what is not whole waits: {}", flow.text());
    drop(flow);
    let event = event(&gateway, |event| event["operation"] == "GET /events");
    assert_eq!(event["verdict"], "abort", "{event}");
}

#[test]
fn what_is_refused_breaks_the_stream_off() {
    let upstream = RawUpstream::scripted(vec![
        head("Content-Type: application/jsonl\r\nTransfer-Encoding: chunked"),
        chunk("{\"id\":1}\n{\"id\":2,\"x\":\"private\"}\n{\"id\":3}\n"),
        last(),
    ])
    .unwrap();
    let gateway = promised(&upstream, CONTRACT, "undeclared_properties: deny");
    let mut flow = Flow::get(&gateway, "/events");
    flow.end();
    let text = flow.text();
    assert!(text.ends_with("\r\n{\"id\":1}\n\r\n"), "the last chunk is missing: {text}");
    let event = event(&gateway, |event| event["operation"] == "GET /events");
    assert_eq!(
        (event["verdict"].as_str(), event["reason"].as_str()),
        (Some("deny"), Some("response_contract.undeclared"))
    );
    let Some(mut curl) = installed("curl") else { return };
    let url = format!("http://{}/events", gateway.address);
    let output =
        curl.args(["-sS", "--noproxy", "*", "--max-time", "20", "--http2-prior-knowledge", &url]).output();
    let output = output.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{\"id\":1}\n");
    // The stream is reset (RFC 9113 section 5.4.2).
    assert_eq!(output.status.code(), Some(92), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_only_watches_or_describes_nothing_changes_no_byte() {
    let body = "data: {\"id\":1,\"x\":2}\n\nnonsense\n\n";
    let upstream = RawUpstream::scripted(vec![
        head(&format!("Content-Type: text/event-stream\r\nETag: \"e\"\r\nContent-Length: {}", body.len())),
        Step::Send(body.as_bytes().to_vec()),
    ])
    .unwrap();
    let watching = "undeclared_properties: monitor, write_only: monitor";
    for (target, settings) in [("/events", watching), ("/open", "")] {
        let gateway = promised(&upstream, CONTRACT, settings);
        let got = gateway.get(target, &[]);
        assert_eq!((got.text().as_str(), got.header("etag")), (body, Some("\"e\"")), "{target}");
        assert_eq!(got.header("content-length"), Some(body.len().to_string().as_str()), "{target}");
        let told = event(&gateway, |event| event["operation"] == format!("GET {target}"));
        assert_eq!(told["verdict"], "allow");
        let expected = [
            "response/0/data/x is not part of the contract",
            "response/1/nonsense is not part of the contract",
        ];
        let expected: &[&str] = if target == "/events" { &expected } else { &[] };
        assert_eq!(details(&told), expected);
    }
}

#[test]
fn bodies_have_the_length_that_they_have() {
    let body = "{\"id\":1,\"x\":2}";
    let fields = "Content-Type: application/json\r\nContent-Digest: sha-256=:x:\r\nContent-MD5: x\r\nETag: \"e\"\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nAccept-Ranges: bytes";
    let upstream = RawUpstream::scripted(vec![
        head(&format!("{fields}\r\nContent-Length: {}", body.len())),
        Step::Send(body.as_bytes().to_vec()),
    ])
    .unwrap();
    let gateway = promised(&upstream, CONTRACT, "");
    for version in ["1.1", "1.0"] {
        let request = format!(
            "GET /item HTTP/{version}\r\nHost: localhost\r\nRange: bytes=0-3\r\nIf-None-Match: \"e\"\r\nConnection: close\r\n\r\n"
        );
        let got = gateway.raw(request.as_bytes());
        assert_eq!(
            (got.text().as_str(), got.header("content-length")),
            ("{\"id\":1}", Some("8")),
            "{version}"
        );
        for absent in ["content-digest", "content-md5", "etag", "last-modified", "accept-ranges"] {
            assert_eq!(got.header(absent), None, "{absent}");
        }
    }
    assert!(upstream.requests().iter().all(|request| request.header("range").is_empty()));
}

/// What Python makes of a text in a content coding.
fn coded(coding: &str, text: &str) -> Option<Vec<u8>> {
    let python = bartizan_testkit::python()?;
    let script = "import sys,gzip,zlib;t=sys.argv[2].encode();sys.stdout.buffer.write({'gzip':gzip.compress,'deflate':zlib.compress}[sys.argv[1]](t))";
    let output = std::process::Command::new(python).args(["-c", script, coding, text]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

#[test]
fn what_is_behind_a_coding_leaves_without_it() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = promised(&upstream, CONTRACT, "");
    for coding in ["gzip", "deflate"] {
        for (body, clean) in [("{\"id\":1,\"x\":2}", false), ("{\"id\":1}", true)] {
            let Some(bytes) = coded(coding, body) else { return };
            let fields = format!(
                "Content-Type: application/json\r\nContent-Encoding: {coding}\r\nETag: \"e\"\r\nContent-Length: {}",
                bytes.len()
            );
            upstream.answer(vec![head(&fields), Step::Send(bytes.clone())]);
            let got = gateway.get("/item", &["Accept-Encoding: gzip, deflate"]);
            if clean {
                assert_eq!(
                    (got.body.as_slice(), got.header("content-encoding")),
                    (bytes.as_slice(), Some(coding))
                );
                assert_eq!(got.header("etag"), Some("\"e\""));
            } else {
                assert_eq!((got.text().as_str(), got.header("content-encoding")), ("{\"id\":1}", None));
                assert_eq!((got.header("content-length"), got.header("etag")), (Some("8"), None));
            }
        }
    }
    // Items in a coding cannot be judged while they flow.
    let Some(bytes) = coded("gzip", "{\"id\":1,\"x\":2}\n") else { return };
    let fields = format!(
        "Content-Type: application/jsonl\r\nContent-Encoding: gzip\r\nContent-Length: {}",
        bytes.len()
    );
    upstream.answer(vec![head(&fields), Step::Send(bytes.clone())]);
    assert_eq!(gateway.get("/events", &[]).body, bytes);
    let told = details(&event(&gateway, |event| event["operation"] == "GET /events"));
    assert_eq!(told, ["the items of the response are in a content coding"]);
    let strict = promised(&upstream, CONTRACT, "undecided: deny");
    let got = strict.get("/events", &[]);
    assert_eq!(
        (got.status, got.json()["type"].as_str()),
        (502, Some("urn:bartizan:problem:response_contract.undecided")),
        "{}",
        got.text()
    );
}

#[test]
fn answers_without_a_body_say_nothing_of_one() {
    let upstream = RawUpstream::scripted(vec![head(
        "Content-Type: application/json\r\nContent-Length: 14\r\nETag: \"e\"\r\nContent-Digest: x",
    )])
    .unwrap();
    let contract = CONTRACT.replace("  /item: { get:", "  /item: { head: { responses: { \"200\": { description: one, content: { application/json: { schema: { $ref: \"#/components/schemas/Item\" } } } } } }, get:");
    let gateway = promised(&upstream, Box::leak(contract.into_boxed_str()), "");
    let got = gateway.raw(b"HEAD /item HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(got.status, 200);
    for absent in ["content-length", "etag", "content-digest"] {
        assert_eq!(got.header(absent), None, "{absent}");
    }
    upstream.answer(vec![Step::Send(b"HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n".to_vec())]);
    let got = gateway.get("/item", &["If-None-Match: \"e\""]);
    assert_eq!((got.status, got.header("etag")), (304, Some("\"e\"")));
    // A part of a document cannot be judged.
    upstream.answer(vec![Step::Send(b"HTTP/1.1 206 Partial Content\r\nContent-Type: application/json\r\nContent-Range: bytes 0-3/14\r\nContent-Length: 4\r\n\r\n{\"id".to_vec())]);
    assert_eq!(gateway.get("/item", &["Range: bytes=0-3"]).status, 502, "the contract has no 206");
}
