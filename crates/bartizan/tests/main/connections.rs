//! Connections that misbehave: floods of HTTP/2 control frames, PROXY headers, slow bodies.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use bartizan_testkit::{RawUpstream, raw_request, reply};

use crate::support::{before, policy, with};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Sends the frame until the gateway ends the connection; how many it took.
fn flood(address: SocketAddr, frame: &[u8]) -> usize {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(PREFACE).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let drain =
        std::thread::spawn(move || while matches!(reader.read(&mut [0; 65536]), Ok(read) if read > 0) {});
    for sent in 0..20_000 {
        if stream.write_all(frame).is_err() {
            return sent;
        }
        // The gateway must get to read what was sent, or the socket's buffers would count as taken.
        if sent % 50 == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        if drain.is_finished() {
            return sent;
        }
    }
    20_000
}

#[test]
fn floods_of_control_frames_are_ended() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = before(&upstream.url());
    let frames: [(&str, &[u8]); 4] = [
        ("SETTINGS", b"\0\0\0\x04\0\0\0\0\0"),
        ("PING", b"\0\0\x08\x06\0\0\0\0\0abcdefgh"),
        ("WINDOW_UPDATE", b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01"),
        ("unknown", b"\0\0\0\xfa\0\0\0\0\0"),
    ];
    for (name, frame) in frames {
        let sent = flood(gateway.address, frame);
        // What was under way when the connection ended counts as sent.
        assert!(sent < 3_000, "{sent} {name} frames were taken");
    }
    assert_eq!(gateway.get("/x", &[]).status, 200);
}

#[test]
fn proxy_headers_name_the_client_when_a_trusted_proxy_sends_them() {
    let upstream = RawUpstream::echo().unwrap();
    let base = policy(&upstream.url(), "    guards: { ip_access: { deny: [198.51.100.7] } }\n");
    let text = base.replace("{ address: $LISTEN }", "{ address: $LISTEN, proxy_protocol: true }");
    let trusted = with(&format!("trusted_proxies: [127.0.0.0/8]\n{text}"));
    let ask = |proxy: &[u8]| {
        let bytes = [proxy, b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat();
        reply(&raw_request(trusted.address, &bytes, Duration::from_secs(5))).status
    };
    assert_eq!(ask(b"PROXY TCP4 198.51.100.8 127.0.0.1 1000 80\r\n"), 200);
    assert_eq!(ask(b"PROXY TCP4 198.51.100.7 127.0.0.1 1000 80\r\n"), 403);
    let version2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x07\x7f\0\0\x01\x03\xe8\0\x50";
    assert_eq!(ask(version2), 403);
    assert_eq!(ask(b""), 0, "a connection without the header is closed");
}

#[test]
fn a_slow_body_is_cut_and_costs_nobody_else() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = with(&format!("bounds: {{ min_body_rate: 10KiB }}\n{}", policy(&upstream.url(), "")));
    let mut slow = TcpStream::connect(gateway.address).unwrap();
    slow.write_all(b"POST /slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n").unwrap();
    slow.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let begin = Instant::now();
    let ended = loop {
        assert!(begin.elapsed() < Duration::from_secs(20), "a slow body is still open");
        assert_eq!(gateway.get("/canary", &[]).status, 200);
        let mut buffer = [0; 4096];
        match slow.read(&mut buffer) {
            Ok(read) => break String::from_utf8_lossy(&buffer[..read]).into_owned(),
            Err(_) if slow.write_all(b"x").is_ok() => {}
            Err(_) => break String::new(),
        }
    };
    assert!(ended.is_empty() || ended.starts_with("HTTP/1.1 408"), "{ended}");
}
