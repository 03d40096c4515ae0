//! The life of the process: reload by compile-then-swap, drain on SIGTERM.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use bartizan_testkit::{Gateway, RawUpstream, Step, process::loopback};

use crate::support::{policy, with};

fn rewrite(gateway: &Gateway, upstream: &RawUpstream, more: &str) {
    let text = policy(&upstream.url(), more)
        .replace("$LISTEN", &gateway.address.to_string())
        .replace("$ADMIN", &gateway.admin.to_string());
    fs::write(gateway.dir.path().join("bartizan.yaml"), text).unwrap();
}

fn hang_up(gateway: &Gateway) {
    let id = gateway.process.id().to_string();
    assert!(std::process::Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
}

/// Waits until a request gets this status.
fn eventually(gateway: &Gateway, status: u16) {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let answer = gateway.get("/x", &[]).status;
        if answer == status {
            return;
        }
        assert!(Instant::now() < deadline, "still {answer}, not {status}:\n{}", gateway.process.log());
        thread::sleep(Duration::from_millis(50));
    }
}

const CLOSED: &str = "    guards: { ip_access: { deny: [127.0.0.0/8] } }\n";

#[test]
fn a_good_policy_is_swapped_in_and_a_bad_one_changes_nothing() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = with(&policy(&upstream.url(), ""));
    eventually(&gateway, 200);
    rewrite(&gateway, &upstream, CLOSED);
    hang_up(&gateway);
    eventually(&gateway, 403);

    rewrite(&gateway, &upstream, "    colour: red\n");
    hang_up(&gateway);
    thread::sleep(Duration::from_millis(1_500));
    assert_eq!(gateway.get("/x", &[]).status, 403, "the old policy stays in force");
    assert!(gateway.process.log().contains("colour"), "it says why:\n{}", gateway.process.log());

    rewrite(&gateway, &upstream, "");
    hang_up(&gateway);
    eventually(&gateway, 200);
}

#[test]
fn reloads_under_load_fail_no_request() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = with(&policy(&upstream.url(), ""));
    let (stop, sent, failed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for worker in 0..4 {
            let (gateway, stop, sent, failed) = (&gateway, &stop, &sent, &failed);
            scope.spawn(move || {
                // Two workers keep their connection, two open a new one each time.
                let mut kept = None;
                while !stop.load(Ordering::Relaxed) {
                    let fine = if worker % 2 == 0 {
                        exchange(&mut kept, gateway)
                    } else {
                        gateway.get("/x", &["Connection: close"]).status == 200
                    };
                    sent.fetch_add(1, Ordering::Relaxed);
                    failed.fetch_add(u64::from(!fine), Ordering::Relaxed);
                }
            });
        }
        for round in 0..10 {
            let size = format!("    max_body: {}MiB\n", round + 1);
            rewrite(&gateway, &upstream, &size);
            hang_up(&gateway);
            thread::sleep(Duration::from_millis(300));
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (sent, failed) = (sent.into_inner(), failed.into_inner());
    assert!(sent > 500, "only {sent} requests were sent");
    assert_eq!(failed, 0, "of {sent} requests");
}

/// One exchange on a kept connection; whether it was answered with 200.
fn exchange(kept: &mut Option<TcpStream>, gateway: &Gateway) -> bool {
    let mut stream = kept.take().unwrap_or_else(|| TcpStream::connect(gateway.address).unwrap());
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 8192];
    if stream.write_all(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n").is_err() {
        return false;
    }
    while !bartizan_testkit::reply(&answer).whole || answer.is_empty() {
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => answer.extend_from_slice(&buffer[..read]),
            _ => return false,
        }
    }
    *kept = Some(stream);
    bartizan_testkit::reply(&answer).status == 200
}

#[test]
fn a_terminated_gateway_finishes_what_runs() {
    let script = vec![
        Step::Wait(Duration::from_millis(1_000)),
        Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate".to_vec()),
    ];
    let upstream = RawUpstream::scripted(script).unwrap();
    let mut gateway = with(&policy(&upstream.url(), ""));
    let address = gateway.address;
    let running = thread::spawn(move || {
        let bytes = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";
        bartizan_testkit::reply(&bartizan_testkit::raw_request(address, bytes, Duration::from_secs(10)))
    });
    assert!(upstream.wait_for(1, Duration::from_secs(5)));
    let id = gateway.process.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let answer = running.join().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "late"));
    let status = gateway.process.wait(Duration::from_secs(5)).expect("it ends when nothing runs");
    assert_eq!(status.code(), Some(0), "{}", gateway.process.log());
    assert!(TcpStream::connect(loopback(address.port())).is_err(), "nobody listens any more");
}
