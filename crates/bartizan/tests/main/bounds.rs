//! What a connection and an exchange may cost: each bound is reached by a client that goes beyond it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use bartizan_testkit::{Gateway, RawUpstream, Reply, Step, reply};

use crate::{
    support::{policy, with},
    wire::{
        Bulk, DATA, END_HEADERS, END_STREAM, GOAWAY, H2, HEADERS, PREFACE, RST_STREAM, SETTINGS, block,
        frame, status,
    },
};

const SOON: Duration = Duration::from_secs(5);

fn bounded(upstream: &str, api: &str, bounds: &str) -> Gateway {
    with(&format!("{}bounds: {{ {bounds} }}\n", policy(upstream, api)))
}

/// A client that writes when it likes.
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    stream
}

/// What comes until the connection ends, and whether it ended.
fn rest(stream: &mut TcpStream) -> (Reply, bool) {
    let mut answer = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (reply(&answer), true),
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
            Err(error) => {
                let over =
                    !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
                return (reply(&answer), over);
            }
        }
    }
}

#[test]
fn heads_and_targets_are_bounded() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = bounded(&upstream.url(), "", "header_count: 20, header_bytes: 8KiB, target_bytes: 1KiB");
    let fields = |count: usize| (0..count).map(|n| format!("X-{n}: v")).collect::<Vec<_>>();
    let ask = |fields: &[String]| gateway.get("/x", &fields.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ask(&fields(19)).status, 200, "Host makes twenty");
    assert_eq!(ask(&fields(20)).status, 431);
    assert_eq!(ask(&[format!("X: {}", "v".repeat(9_000))]).status, 431);
    assert_eq!(gateway.get(&format!("/{}", "x".repeat(1_000)), &[]).status, 200);
    let long = gateway.get(&format!("/{}", "x".repeat(2_000)), &[]);
    assert_eq!((long.status, long.header("content-type")), (414, Some("application/problem+json")));
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn heads_and_targets_are_bounded_on_http2() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = bounded(&upstream.url(), "", "header_count: 20, header_bytes: 8KiB, target_bytes: 120B");
    let mut h2 = H2::plain(gateway.address);
    h2.greet();
    let with_fields = |count: u8| {
        let mut block = block("GET", "/x");
        for n in 0..count {
            block.extend([0, 2, b'x', b'a' + n, 1, b'v']);
        }
        block
    };
    for (stream, block, expected) in [
        (1, with_fields(19), 200),
        (3, with_fields(21), 431),
        (5, block("GET", &format!("/{}", "x".repeat(124))), 414),
        (7, with_fields(3), 200),
    ] {
        h2.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block));
        let (frames, whole) = h2.response(stream, SOON);
        assert!(whole && status(&frames) == expected, "{expected}: {frames:?}");
    }
    // A head of more bytes than allowed: refused, whatever the form, and nothing reaches the upstream.
    let mut large = block("GET", "/large");
    for _ in 0..100 {
        large.extend([0, 1, b'y', 100]);
        large.extend([b'v'; 100]);
    }
    h2.send(&frame(HEADERS, END_HEADERS | END_STREAM, 9, &large));
    let (frames, _) = h2.response(9, SOON);
    assert!(
        h2.closed || matches!(status(&frames), 400..500) || frames.iter().any(|f| f.kind == RST_STREAM),
        "{frames:?}"
    );
    assert!(upstream.requests().iter().all(|r| r.target() == "/x"));
}

#[test]
fn bodies_are_bounded_in_size_however_they_are_framed() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = bounded(&upstream.url(), "    max_body: 10KiB\n", "");
    let declared = |n: usize| format!("POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {n}\r\n\r\n");
    let sent = |n: usize| gateway.raw((declared(n) + &"x".repeat(n)).as_bytes());
    assert_eq!((sent(10_240).status, sent(10_241).status), (200, 413));
    // The length alone is enough: nothing of the body has to come.
    let mut stream = connect(gateway.address);
    stream.write_all(declared(1 << 30).as_bytes()).unwrap();
    assert_eq!(rest(&mut stream).0.status, 413);
    let chunked = |chunks: usize| {
        let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
        let head = "POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        gateway.raw((head.to_owned() + &chunk.repeat(chunks) + "0\r\n\r\n").as_bytes())
    };
    assert_eq!((chunked(10).status, chunked(11).status, chunked(200).status), (200, 413, 413));
    let mut h2 = H2::plain(gateway.address);
    h2.greet();
    for (stream, pieces, expected) in [(1, 10, 200), (3, 11, 413), (5, 40, 413)] {
        h2.send(&frame(HEADERS, END_HEADERS, stream, &block("POST", "/x")));
        for piece in 1..=pieces {
            h2.send(&frame(DATA, u8::from(piece == pieces), stream, &[b'x'; 1024]));
        }
        let (frames, _) = h2.response(stream, SOON);
        assert_eq!(status(&frames), expected, "{pieces} KiB: {frames:?}");
    }
    let whole = upstream.requests().iter().filter(|r| !r.body.is_empty()).count();
    assert_eq!(whole, 3, "a body that is too large never reaches the upstream whole");
}

#[test]
fn connections_are_bounded_in_all_and_by_address() {
    let upstream = RawUpstream::echo().unwrap();
    for bounds in ["connections: 3", "connections_per_address: 3"] {
        let gateway = bounded(&upstream.url(), "", bounds);
        thread::sleep(Duration::from_millis(100));
        let mut held: Vec<_> = (0..3).map(|_| connect(gateway.address)).collect();
        for stream in &mut held {
            stream.write_all(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        }
        assert_eq!(gateway.get("/x", &[]).status, 0, "{bounds}: the fourth is closed without a word");
        drop(held);
        thread::sleep(Duration::from_millis(300));
        assert_eq!(gateway.get("/x", &[]).status, 200, "{bounds}");
    }
}

#[test]
fn upgraded_connections_count_too() {
    let upstream = RawUpstream::scripted(vec![
        Step::Send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n".to_vec()),
        Step::Hang,
    ])
    .unwrap();
    let gateway = bounded(&upstream.url(), "", "connections_per_address: 2");
    let upgrade = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(gateway.address);
        stream.write_all(upgrade).unwrap();
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).unwrap();
        assert!(buffer[..read].starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&buffer[..read]));
        held.push(stream);
    }
    thread::sleep(Duration::from_millis(100));
    assert_eq!(gateway.get("/x", &[]).status, 0, "two WebSockets are two connections");
}

#[test]
fn concurrent_streams_are_bounded() {
    let upstream = RawUpstream::scripted(vec![Step::Hang]).unwrap();
    let gateway = bounded(&upstream.url(), "", "concurrent_streams: 5");
    let mut h2 = H2::plain(gateway.address);
    h2.greet();
    let settings = h2.until(SOON, |f| f.kind == SETTINGS);
    assert!(settings[0].payload.chunks(6).any(|s| s == [0, 3, 0, 0, 0, 5]), "{settings:?}");
    for n in 0..20 {
        h2.get(1 + 2 * n, "/x");
    }
    let refused = h2.until(Duration::from_secs(1), |_| false);
    let refused = refused.iter().filter(|f| f.kind == RST_STREAM && f.payload == [0, 0, 0, 7]).count();
    assert!(refused == 15 || h2.closed, "{refused} refused");
    assert!(upstream.requests().len() <= 5);
}

#[test]
fn a_head_has_its_time_in_all() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = bounded(&upstream.url(), "", "header_timeout: 1s, idle_timeout: 30s");
    // The second head of a kept connection is no different, nor is a byte now and then.
    for first in [false, true] {
        let mut stream = connect(gateway.address);
        if first {
            stream.write_all(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        }
        let begin = Instant::now();
        let mut writer = stream.try_clone().unwrap();
        let drip = thread::spawn(move || {
            for byte in b"GET /drip HTTP/1.1\r\nHost: localhost\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            {
                if writer.write_all(&[*byte]).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(100));
            }
        });
        let (answer, closed) = rest(&mut stream);
        let took = begin.elapsed();
        assert!(
            closed && took > Duration::from_millis(800) && took < Duration::from_secs(4),
            "{first}: {took:?} {answer:?}"
        );
        assert_eq!(answer.status, 408, "first: {first}");
        drop(stream);
        drip.join().unwrap();
    }
    // Silence, and a preface that never ends, are closed without a word.
    for begin in [&b""[..], b"PRI * HT"] {
        let mut stream = connect(gateway.address);
        stream.write_all(begin).unwrap();
        let since = Instant::now();
        let (answer, closed) = rest(&mut stream);
        assert!(
            closed && since.elapsed() < Duration::from_secs(4),
            "{begin:?}: {:?} {answer:?}",
            since.elapsed()
        );
    }
    assert!(upstream.requests().iter().all(|r| r.target() == "/x"));
}

#[test]
fn idle_connections_are_closed() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = bounded(&upstream.url(), "", "idle_timeout: 1s");
    let mut stream = connect(gateway.address);
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let since = Instant::now();
    let (answer, closed) = rest(&mut stream);
    assert!(closed && answer.status == 200, "{answer:?}");
    assert!(
        since.elapsed() > Duration::from_millis(800) && since.elapsed() < Duration::from_secs(3),
        "{:?}",
        since.elapsed()
    );
    for request in [false, true] {
        let mut h2 = H2::plain(gateway.address);
        h2.greet();
        if request {
            h2.get(1, "/x");
            assert!(h2.response(1, SOON).1);
        }
        let since = Instant::now();
        let frames = h2.until(SOON, |_| false);
        assert!(h2.closed && frames.iter().any(|f| f.kind == GOAWAY), "request {request}: {frames:?}");
        assert!(
            since.elapsed() > Duration::from_millis(800) && since.elapsed() < Duration::from_secs(4),
            "{:?}",
            since.elapsed()
        );
    }
}

#[test]
fn an_http2_head_that_never_ends_is_cut() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = bounded(&upstream.url(), "", "header_timeout: 1s, idle_timeout: 2s");
    let mut h2 = H2::plain(gateway.address);
    h2.send(
        &[PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(HEADERS, END_STREAM, 1, &block("GET", "/x"))].concat(),
    );
    let since = Instant::now();
    h2.until(Duration::from_secs(8), |_| false);
    assert!(h2.closed, "open after {:?}", since.elapsed());
}

#[test]
fn a_body_that_trickles_is_cut() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = bounded(&upstream.url(), "", "");
    let head = "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000\r\n\r\n";
    let workers: Vec<_> = [true, false]
        .into_iter()
        .map(|drip| {
            let mut stream = connect(gateway.address);
            thread::spawn(move || {
                let begin = Instant::now();
                stream.write_all(head.as_bytes()).unwrap();
                let mut writer = stream.try_clone().unwrap();
                thread::spawn(move || {
                    while drip && writer.write_all(b"x").is_ok() {
                        thread::sleep(Duration::from_millis(200));
                    }
                });
                let (answer, closed) = rest(&mut stream);
                assert_eq!((answer.status, closed), (408, true), "drip: {drip}: {answer:?}");
                assert!(begin.elapsed() < Duration::from_secs(9), "{:?}", begin.elapsed());
            })
        })
        .collect();
    let mut h2 = H2::plain(gateway.address);
    h2.greet();
    h2.send(&frame(HEADERS, END_HEADERS, 1, &block("POST", "/x")));
    h2.send(&frame(DATA, 0, 1, b"x"));
    let (frames, _) = h2.response(1, Duration::from_secs(9));
    assert_eq!(status(&frames), 408, "{frames:?}");
    workers.into_iter().for_each(|worker| worker.join().unwrap());
}

#[test]
fn an_exchange_has_its_time_in_all() {
    // Never silent for long, never done.
    let script = vec![
        Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec()),
        Step::Trickle(vec![b'x'; 1000], Duration::from_millis(50)),
    ];
    let upstream = RawUpstream::scripted(script).unwrap();
    let gateway = bounded(&upstream.url(), "", "total_timeout: 2s");
    let since = Instant::now();
    let answer = gateway.get("/x", &[]);
    assert!(!answer.whole && since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
    // An upload that is fast enough and never done.
    let mut stream = connect(gateway.address);
    stream.write_all(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n").unwrap();
    let mut writer = stream.try_clone().unwrap();
    thread::spawn(move || {
        while writer.write_all(&[b'x'; 500]).is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let since = Instant::now();
    let (answer, closed) = rest(&mut stream);
    assert!(closed && since.elapsed() < Duration::from_secs(5), "{:?}: {answer:?}", since.elapsed());
    assert_eq!(answer.status, 408, "{answer:?}");
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let bulk = Bulk::start();
    let gateway = bounded(&bulk.url(), "", "write_stall: 1s");
    let mut stream = connect(gateway.address);
    stream.write_all(b"GET /50000000 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    thread::sleep(Duration::from_secs(4));
    assert_eq!(open(&gateway), 0, "the connection of a client that reads nothing is over");
    // HTTP/2 flow control: the socket is never full, the stream stands still all the same.
    let mut h2 = H2::plain(gateway.address);
    h2.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 10])].concat());
    h2.get(1, "/50000000");
    let (frames, whole) = h2.response(1, Duration::from_secs(6));
    assert!(!whole && (h2.closed || frames.last().is_some_and(|f| f.kind == RST_STREAM)), "{frames:?}");
}

/// Open client connections, by the gateway's metrics.
fn open(gateway: &Gateway) -> u64 {
    let metrics = gateway.ask("GET", "/metrics", None).unwrap().text();
    let lines = metrics
        .lines()
        .filter(|l| l.starts_with("bartizan_connections{") || l.starts_with("bartizan_connections "));
    lines.filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}
