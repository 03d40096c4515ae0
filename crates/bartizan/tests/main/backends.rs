//! Pools of backends: balance, ejection and trial, health checks, caps, budgets; stale connections; aborted bodies on
//! HTTP/2; names resolved again.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use bartizan_testkit::{Gateway, RawUpstream, Step, free_port, process::loopback};

use crate::{
    support::{policy, with},
    wire::{H2, status},
};

fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

fn before(settings: &str) -> Gateway {
    with(&policy(&format!("{{ {settings} }}"), ""))
}

fn backends(upstreams: &[&RawUpstream]) -> String {
    let urls: Vec<_> = upstreams.iter().map(|u| format!("\"{}\"", u.url())).collect();
    format!("backends: [{}]", urls.join(", "))
}

const SOON: Duration = Duration::from_secs(5);

#[test]
fn aborted_bodies_are_aborted_on_http2() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ] {
        let upstream =
            RawUpstream::scripted(vec![send(text), Step::Wait(Duration::from_millis(100)), Step::Close])
                .unwrap();
        let gateway = before(&backends(&[&upstream]));
        let mut h2 = H2::plain(gateway.address);
        h2.greet();
        h2.get(1, "/x");
        let (frames, whole) = h2.response(1, SOON);
        assert!(!whole, "{text:?} was passed off as whole: {frames:?}");
    }
}

#[test]
fn a_flood_of_interim_responses_ends_in_time() {
    let flood = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(2_000);
    let upstream = RawUpstream::scripted(vec![Step::Trickle(flood, Duration::ZERO), Step::Hang]).unwrap();
    let gateway = before(&format!("{}, timeouts: {{ first_byte: 2s }}", backends(&[&upstream])));
    let begin = Instant::now();
    let answer = gateway.get("/x", &[]);
    assert!(
        matches!(answer.status, 502 | 504) && begin.elapsed() < Duration::from_secs(6),
        "{answer:?} {:?}",
        begin.elapsed()
    );
}

#[test]
fn connecting_has_its_time() {
    // A full backlog: the kernel answers no more.
    let listener = TcpListener::bind(loopback(0)).unwrap();
    rustix_backlog(&listener);
    let address = listener.local_addr().unwrap();
    let held: Vec<_> = (0..8)
        .filter_map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok())
        .collect();
    let gateway =
        before(&format!("backends: [\"http://{address}\"], timeouts: {{ connect: 1s }}, retries: 0"));
    let begin = Instant::now();
    let answer = gateway.get("/x", &[]);
    drop(held);
    assert_eq!(answer.status, 504, "{answer:?}");
    assert!(
        begin.elapsed() > Duration::from_millis(800) && begin.elapsed() < Duration::from_secs(4),
        "{:?}",
        begin.elapsed()
    );
}

/// Makes the listener's backlog as small as it goes.
fn rustix_backlog(listener: &TcpListener) {
    rustix::net::listen(listener, 0).unwrap();
}

#[test]
fn connections_to_a_backend_are_bounded() {
    let upstream = RawUpstream::scripted(vec![Step::Hang]).unwrap();
    let gateway =
        before(&format!("{}, max_connections: 2, timeouts: {{ first_byte: 20s }}", backends(&[&upstream])));
    let held: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = TcpStream::connect(gateway.address).unwrap();
            stream.write_all(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream
        })
        .collect();
    assert!(upstream.wait_for(2, SOON));
    let answer = gateway.get("/x", &[]);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(upstream.requests().len(), 2);
    drop(held);
}

#[test]
fn a_post_on_a_stale_connection_is_sent_again_when_nothing_was_sent() {
    let upstream =
        RawUpstream::scripted(vec![send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Step::Close])
            .unwrap();
    let gateway = before(&backends(&[&upstream]));
    for round in 1..=10 {
        let answer = gateway.raw(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(answer.status, 200, "round {round}");
        thread::sleep(Duration::from_millis(20));
        assert_eq!(upstream.requests().len(), round, "each is sent once");
    }
}

#[test]
fn a_post_keeps_the_connection() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = before(&backends(&[&upstream]));
    for _ in 0..5 {
        let answer = gateway.raw(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(answer.status, 200);
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(upstream.connections().len(), 1, "five requests, one connection");
}

#[test]
fn a_backend_that_fails_is_taken_out_and_tried_again() {
    let port = free_port();
    let alive = RawUpstream::echo().unwrap();
    let gateway = before(&format!(
        "backends: [\"http://127.0.0.1:{port}\", \"{}\"], eject_after: 3, eject_for: 1s",
        alive.url()
    ));
    let statuses: Vec<_> = (0..20).map(|_| gateway.get("/x", &[]).status).collect();
    assert!(statuses.iter().all(|s| *s == 200), "the other one answers: {statuses:?}");
    let text = gateway.ask("GET", "/v1/status", None).unwrap().text();
    assert!(text.contains("\"up\":false"), "{text}");
    // It comes back: after its time it gets requests again.
    let back = TcpListener::bind(loopback(port)).unwrap();
    let answered = thread::spawn(move || {
        let (mut stream, _) = back.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nback").unwrap();
    });
    thread::sleep(Duration::from_millis(1_200));
    let texts: Vec<_> = (0..4).map(|_| gateway.get("/x", &[]).text()).collect();
    assert!(texts.iter().any(|text| text == "back"), "{texts:?}");
    answered.join().unwrap();
}

#[test]
fn a_dead_upstream_is_not_stormed() {
    let upstream = RawUpstream::scripted(vec![Step::Close]).unwrap();
    let gateway = before(&format!("{}, retries: 3, eject_after: 1000", backends(&[&upstream])));
    let asked = 60;
    for _ in 0..asked {
        assert_eq!(gateway.get("/x", &[]).status, 502);
    }
    let seen = upstream.requests().len();
    assert!(seen <= asked * 2, "{seen} requests for {asked}");
    assert!(seen > asked, "idempotent requests are repeated");
}

#[test]
fn health_checks_take_out_and_bring_back() {
    let sick = RawUpstream::scripted(vec![send("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")]).unwrap();
    let well = RawUpstream::echo().unwrap();
    let gateway = before(&format!(
        "{}, health: {{ path: /healthz, interval: 100ms, timeout: 1s, unhealthy_after: 2, healthy_after: 1 }}",
        backends(&[&sick, &well])
    ));
    thread::sleep(Duration::from_secs(1));
    let statuses: Vec<_> = (0..10).map(|_| gateway.get("/x", &[]).status).collect();
    assert!(statuses.iter().all(|s| *s == 200), "{statuses:?}");
    assert!(sick.requests().iter().all(|r| r.target() == "/healthz"));
    let text = gateway.ask("GET", "/v1/status", None).unwrap().text();
    assert!(text.contains("\"up\":false") && text.contains("\"up\":true"), "{text}");
}

#[test]
fn balance_is_what_it_says() {
    let both = [RawUpstream::echo().unwrap(), RawUpstream::echo().unwrap()];
    let urls = backends(&[&both[0], &both[1]]);
    let counts = || both.each_ref().map(|u| u.requests().len());
    let gateway = before(&urls);
    (0..20).for_each(|_| assert_eq!(gateway.get("/x", &[]).status, 200));
    assert_eq!(counts(), [10, 10], "in turn");
    both.iter().for_each(RawUpstream::clear);
    let gateway = before(&format!("{urls}, balance: {{ hash: {{ header: X-Tenant }} }}"));
    for tenant in 0..20 {
        let seen = counts();
        for _ in 0..3 {
            assert_eq!(gateway.get("/x", &[&format!("X-Tenant: t{tenant}")]).status, 200);
        }
        let now = counts();
        assert!(
            [seen[0] + 3, seen[1]] == now || [seen[0], seen[1] + 3] == now,
            "tenant {tenant}: {seen:?} {now:?}"
        );
    }
    assert!(counts().iter().all(|n| *n >= 9), "{:?}: tenants are spread", counts());
    // One backend that is busy gets no more while the other is free.
    let slow = RawUpstream::scripted(vec![Step::Wait(Duration::from_secs(2)), Step::Echo]).unwrap();
    let quick = RawUpstream::echo().unwrap();
    let gateway = before(&format!("{}, balance: least_requests", backends(&[&slow, &quick])));
    let mut held = Vec::new();
    for _ in 0..30 {
        let mut stream = TcpStream::connect(gateway.address).unwrap();
        stream.write_all(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        held.push(stream);
        thread::sleep(Duration::from_millis(15));
    }
    assert!(quick.requests().len() >= 25, "{} of 30", quick.requests().len());
}

#[test]
fn a_request_that_waits_upstream_ends_with_its_client() {
    let upstream = RawUpstream::scripted(vec![Step::Hang]).unwrap();
    let gateway = before(&format!("{}, max_connections: 1", backends(&[&upstream])));
    let mut h2 = H2::plain(gateway.address);
    h2.greet();
    h2.get(1, "/x");
    assert!(upstream.wait_for(1, SOON));
    drop(h2);
    thread::sleep(Duration::from_millis(300));
    let mut h2 = H2::plain(gateway.address);
    h2.greet();
    h2.get(1, "/y");
    assert!(upstream.wait_for(2, Duration::from_secs(2)), "the first one's connection is free again");
    let (frames, _) = h2.response(1, Duration::from_millis(100));
    assert_eq!(status(&frames), 0);
}
