//! What flows, flows at once: server-sent events, slow parts, large bodies both ways with flat memory.

use std::{
    env,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use bartizan_testkit::Gateway;

use crate::support::{Peer, before, curl, policy, with};

/// Reads until `needle` was seen; how long that took.
fn until(stream: &mut TcpStream, begin: Instant, needle: &str) -> Duration {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&seen).contains(needle) {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "the stream ended before `{needle}`: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..read]);
    }
    begin.elapsed()
}

fn ask(address: std::net::SocketAddr, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    stream
}

#[test]
fn events_arrive_when_they_are_sent() {
    let Some(app) = Peer::node("express.js") else { return };
    let gateway = before(&app.url());
    let begin = Instant::now();
    let mut stream = ask(gateway.address, "/events");
    let first = until(&mut stream, begin, "data: 0");
    let last = until(&mut stream, begin, "data: 4");
    assert!(last - first > Duration::from_millis(600), "events came in one piece: {first:?}, {last:?}");
}

#[test]
fn slow_parts_arrive_one_by_one() {
    let Some(app) = Peer::python("fastapi_app.py") else { return };
    let gateway = before(&app.url());
    let begin = Instant::now();
    let mut stream = ask(gateway.address, "/slow-stream");
    let first = until(&mut stream, begin, "part 0");
    let last = until(&mut stream, begin, "part 3");
    assert!(last - first > Duration::from_millis(500), "parts came in one piece: {first:?}, {last:?}");
}

#[test]
fn large_bodies_pass_with_flat_memory() {
    let Some(app) = Peer::python("fastapi_app.py") else { return };
    let megabytes = if env::var_os("BARTIZAN_FULL").is_some() { 2_048 } else { 128 };
    let gateway =
        with(&policy(&app.url(), "    max_body: 4GiB\n    guards: { request_limits: { max_body: 4GiB } }\n"));
    // What buffers and the allocator keep once is there after a small transfer; a large one must not add to it.
    if !transfer(&gateway, 32) {
        return;
    }
    let before = gateway.resident().unwrap();
    transfer(&gateway, megabytes);
    let grown = gateway.resident().unwrap().saturating_sub(before);
    assert!(grown < 16 << 20, "memory grew by {grown} bytes while {megabytes} MB passed each way");
    assert!(before < 128 << 20, "{before} bytes after 32 MB each way");
}

/// Moves so many megabytes up and down through the gateway; whether there is a curl to do it.
fn transfer(gateway: &Gateway, megabytes: u64) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("upload");
    std::fs::File::create(&file).unwrap().set_len(megabytes << 20).unwrap();
    let (file, base) = (file.display().to_string(), format!("http://{}", gateway.address));
    let url = format!("{base}/upload");
    // `--upload-file` streams; `--data-binary` would hold everything in curl's memory.
    let upload = ["--max-time", "300", "--request", "POST", "--upload-file", &file, &url];
    let Some(text) = curl(&upload) else { return false };
    assert!(text.contains(&format!("\"size\":{}", megabytes << 20)), "{text}");
    let url = format!("{base}/download?megabytes={megabytes}");
    let download = ["--max-time", "300", "--output", "/dev/null", "--write-out", "%{size_download}", &url];
    assert_eq!(curl(&download).unwrap(), (megabytes << 20).to_string());
    true
}
