//! Upstreams that die, hang, trickle, lie and flood: the right status in time, never a truncated answer passed off as
//! whole, and a gateway that still serves.

use std::time::{Duration, Instant};

use bartizan_testkit::{Gateway, RawUpstream, Reply, Step, free_port};

use crate::support::{before, policy, with};

fn scripted(script: Vec<Step>) -> (RawUpstream, Gateway) {
    let upstream = RawUpstream::scripted(script).unwrap();
    let gateway = with(&policy(
        &format!(
            "{{ backends: [\"{}\"], timeouts: {{ connect: 1s, first_byte: 2s, idle: 2s }} }}",
            upstream.url()
        ),
        "",
    ));
    (upstream, gateway)
}

fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

/// A refusal in the one form: RFC 9457, with an event's id.
fn is_problem(answer: &Reply, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json()["status"], status, "{}", answer.text());
}

#[test]
fn nobody_listens() {
    let gateway = before(&format!("http://127.0.0.1:{}", free_port()));
    let begin = Instant::now();
    is_problem(&gateway.get("/x", &[]), 502);
    assert!(begin.elapsed() < Duration::from_secs(3));
}

#[test]
fn it_dies_before_answering() {
    let (_upstream, gateway) = scripted(vec![Step::Close]);
    is_problem(&gateway.get("/x", &[]), 502);
    let post = b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi";
    is_problem(&gateway.raw(post), 502);
}

#[test]
fn a_post_is_sent_once() {
    let (upstream, gateway) = scripted(vec![Step::Close]);
    let post = b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi";
    is_problem(&gateway.raw(post), 502);
    assert_eq!(upstream.requests().len(), 1, "what is not idempotent is not repeated");
}

#[test]
fn it_hangs() {
    let (_upstream, gateway) = scripted(vec![Step::Hang]);
    let begin = Instant::now();
    is_problem(&gateway.get("/x", &[]), 504);
    let took = begin.elapsed();
    assert!(took > Duration::from_millis(1_500) && took < Duration::from_secs(8), "{took:?}");
}

#[test]
fn it_hangs_in_the_middle_of_a_body() {
    let (_upstream, gateway) =
        scripted(vec![send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), Step::Hang]);
    let answer = gateway.get("/x", &[]);
    assert!(!answer.whole || answer.status >= 500, "a truncated answer was passed off as whole: {answer:?}");
}

#[test]
fn it_ends_before_the_announced_length() {
    let (_upstream, gateway) =
        scripted(vec![send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), Step::Close]);
    let answer = gateway.get("/x", &[]);
    assert!(!answer.whole || answer.status >= 500, "a truncated answer was passed off as whole: {answer:?}");
}

#[test]
fn it_ends_within_a_chunked_body() {
    let (_upstream, gateway) = scripted(vec![
        send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        Step::Close,
    ]);
    let answer = gateway.get("/x", &[]);
    assert!(!answer.whole || answer.status >= 500, "a truncated answer was passed off as whole: {answer:?}");
}

#[test]
fn it_trickles() {
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let (_upstream, gateway) =
        scripted(vec![Step::Trickle(text.as_bytes().to_vec(), Duration::from_millis(20))]);
    let answer = gateway.get("/x", &[]);
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
}

#[test]
fn it_sends_more_than_it_announced() {
    let (upstream, gateway) = scripted(vec![send(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
    )]);
    for _ in 0..5 {
        let answer = gateway.get("/x", &[]);
        assert!(!answer.text().contains("poison"), "an answer to nobody was given to the next client");
        assert!(answer.status != 200 || answer.text() == "ok", "{answer:?}");
    }
    drop(upstream);
}

#[test]
fn its_head_is_a_flood_or_garbage() {
    let flood: String = (0..20_000).map(|n| format!("X-{n}: {}\r\n", "v".repeat(100))).collect();
    for head in [
        format!("HTTP/1.1 200 OK\r\n{flood}\r\n"),
        "garbage\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!".to_owned(),
        "HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 0\r\n\r\n".to_owned(),
    ] {
        let (_upstream, gateway) = scripted(vec![Step::Send(head.into_bytes()), Step::Close]);
        is_problem(&gateway.get("/x", &[]), 502);
    }
}

#[test]
fn an_idempotent_request_survives_a_kept_connection_that_died() {
    let upstream =
        RawUpstream::scripted(vec![send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Step::Close])
            .unwrap();
    let gateway = before(&upstream.url());
    for round in 0..20 {
        let answer = gateway.get("/x", &[]);
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"), "round {round}");
    }
}

#[test]
fn a_dead_backend_is_taken_out_and_fails_no_request_while_another_lives() {
    let alive = RawUpstream::echo().unwrap();
    let gateway = with(&policy(
        &format!(
            "{{ backends: [\"http://127.0.0.1:{}\", \"{}\"], eject_after: 3 }}",
            free_port(),
            alive.url()
        ),
        "",
    ));
    for round in 0..20 {
        assert_eq!(gateway.get("/x", &[]).status, 200, "round {round}");
    }
}

#[test]
fn slow_heads_are_cut_and_others_are_served_meanwhile() {
    use std::{io::Write, net::TcpStream};
    let upstream = RawUpstream::echo().unwrap();
    let text = policy(&upstream.url(), "") + "bounds: { header_timeout: 1s }\n";
    let gateway = with(&text);
    let mut slow: Vec<_> = (0..500)
        .map(|_| {
            let mut stream = TcpStream::connect(gateway.address).unwrap();
            stream.write_all(b"GET /slow HTTP/1.1\r\nHost: loc").unwrap();
            stream
        })
        .collect();
    let begin = Instant::now();
    for _ in 0..20 {
        assert_eq!(gateway.get("/canary", &[]).status, 200);
    }
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    std::thread::sleep(Duration::from_secs(2));
    let cut = slow.iter_mut().filter_map(|stream| stream.write_all(b"alhost\r\n\r\n").err()).count();
    let reached = upstream.requests().iter().filter(|request| request.target() == "/slow").count();
    assert_eq!(reached, 0, "a head that took too long reached the upstream ({cut} of 500 cut)");
}
