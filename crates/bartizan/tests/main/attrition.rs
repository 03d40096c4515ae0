//! Thousands of clients that send slowly, or read slowly, while others are served as if they were not there.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use bartizan_testkit::{Gateway, RawUpstream};

use crate::{
    support::{BINARY, policy},
    wire::{self, Bulk},
};

/// A gateway with this policy. `BARTIZAN_BINARY` names another build to be measured: the debug build is several times
/// larger and slower than what is shipped.
fn with(text: &str) -> Gateway {
    let binary = std::env::var("BARTIZAN_BINARY").unwrap_or_else(|_| BINARY.to_owned());
    Gateway::with_config(&binary, text, |dir| {
        let ca = bartizan_testkit::Ca::new("test")?;
        ca.write(dir, "ca.pem")?;
        ca.server(dir, "server", &["localhost"])?;
        Ok(())
    })
    .unwrap()
}

fn full() -> bool {
    std::env::var_os("BARTIZAN_FULL").is_some()
}

/// Slow clients of each kind.
fn clients() -> usize {
    if full() { 10_000 } else { 500 }
}

/// Exchanges on one kept connection until `stop`: how long each took, and how many failed.
fn canary(address: SocketAddr, stop: &AtomicBool) -> (Vec<Duration>, usize) {
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
    };
    let (mut stream, mut took, mut failed) = (connect(), Vec::new(), 0);
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        let begin = Instant::now();
        let sent = stream.write_all(b"GET /0 HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let fine =
            sent.is_ok() && stream.read(&mut buffer).is_ok_and(|n| buffer[..n].starts_with(b"HTTP/1.1 200"));
        took.push(begin.elapsed());
        if !fine {
            failed += 1;
            stream = connect();
        }
        thread::sleep(Duration::from_millis(2));
    }
    (took, failed)
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() * 99 / 100]
}

/// Holds slow clients for a while. Each is greeted with `head`, and sent `drip` every so often.
fn besiege(name: &str, gateway: &Gateway, head: &str, drip: &[u8]) {
    let seconds = if full() { 12 } else { 3 };
    let measure = |time: Duration, meanwhile: &mut dyn FnMut()| {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let canary = scope.spawn(|| canary(gateway.address, &stop));
            let end = Instant::now() + time;
            meanwhile();
            thread::sleep(end.saturating_duration_since(Instant::now()));
            stop.store(true, Ordering::Relaxed);
            canary.join().unwrap()
        })
    };
    let (idle, failed) = measure(Duration::from_secs(2), &mut || ());
    assert_eq!(failed, 0);
    let before = gateway.resident().unwrap();
    let mut peak = before;
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 0..clients() {
        let Ok(stream) = TcpStream::connect(gateway.address) else { continue };
        stream.set_nonblocking(true).unwrap();
        let _ = (&stream).write_all(head.as_bytes());
        slow.push(stream);
    }
    // What the sockets hold is sent first.
    thread::sleep(Duration::from_secs(if full() { 6 } else { 2 }));
    let (took, failed) = measure(Duration::from_secs(seconds), &mut || {
        for _ in 0..seconds {
            for stream in &slow {
                let _ = { stream }.write(drip);
            }
            peak = peak.max(gateway.resident().unwrap());
            thread::sleep(Duration::from_millis(500));
        }
    });
    let count = took.len();
    let (idle, under) = (p99(idle), p99(took));
    eprintln!(
        "{name}: {} clients; canary {count} exchanges, {failed} failed, p99 {under:?} (idle {idle:?}); memory {} to {} kB, {} bytes a client",
        slow.len(),
        before / 1024,
        peak / 1024,
        (peak - before) / slow.len() as u64,
    );
    assert_eq!(failed, 0, "{name}: of {count} exchanges of the canary");
    let bound = (idle * 2).max(Duration::from_millis(if full() { 5 } else { 50 }));
    assert!(under <= bound, "{name}: p99 {under:?}, {idle:?} when idle");
}

const BOUNDS: &str = "bounds: { connections: 25000, connections_per_address: 20000 }\n";

#[test]
fn slow_heads() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = with(&(policy(&upstream.url(), "") + BOUNDS));
    besiege("slow heads", &gateway, "GET /slow HTTP/1.1\r\nHost: localhost\r\nX: ", b"a");
    assert!(
        upstream.requests().iter().all(|r| r.target() == "/0"),
        "a head that was not whole reached the upstream"
    );
}

#[test]
fn slow_bodies() {
    let upstream = Bulk::start();
    let gateway = with(&(policy(&upstream.url(), "") + BOUNDS));
    let head = "POST /0 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx";
    besiege("slow bodies", &gateway, head, b"x");
}

#[test]
fn slow_readers() {
    let upstream = Bulk::start();
    let gateway = with(&(policy(&upstream.url(), "") + BOUNDS));
    besiege("slow readers", &gateway, "GET /3000000 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"");
}

#[test]
fn large_transfers_take_no_memory() {
    let upstream = Bulk::start();
    let gateway = with(&policy(&upstream.url(), "    max_body: 4GiB\n"));
    let bytes: u64 = if full() { 2 << 30 } else { 256 << 20 };
    let mut peak = 0;
    for upload in [false, true] {
        let mut stream = TcpStream::connect(gateway.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut buffer = vec![0; 256 << 10];
        let begin = Instant::now();
        let before = gateway.resident().unwrap();
        let mut done = 0_u64;
        let mut sample = |done: u64| {
            if done % (16 << 20) < buffer_size() {
                peak = peak.max(gateway.resident().unwrap());
            }
        };
        if upload {
            write!(stream, "POST /0 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n").unwrap();
            while done < bytes {
                stream.write_all(&buffer).unwrap();
                done += buffer.len() as u64;
                sample(done);
            }
            let read = stream.read(&mut buffer).unwrap();
            let answer = String::from_utf8_lossy(&buffer[..read]).into_owned();
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&bytes.to_string()), "{answer}");
        } else {
            write!(stream, "GET /{bytes} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
            loop {
                let read = stream.read(&mut buffer).unwrap();
                if read == 0 {
                    break;
                }
                done += read as u64;
                sample(done);
            }
            assert!(done > bytes, "{done} of {bytes}");
        }
        let name = if upload { "upload" } else { "download" };
        eprintln!(
            "{name} of {bytes} bytes: {:?}, memory {} to {} kB",
            begin.elapsed(),
            before / 1024,
            peak / 1024
        );
        assert!(peak < before + (24 << 20), "{name}: {before} to {peak}");
    }
}

#[test]
fn idle_connections_are_small() {
    let upstream = RawUpstream::echo().unwrap();
    let tls = bartizan_testkit::process::loopback(bartizan_testkit::free_port());
    let text = policy(&upstream.url(), "").replacen(
        "listeners: [",
        &format!("listeners: [{{ address: {tls}, tls: {{ certificates: [{{ cert: file:server.pem, key: file:server.key }}] }} }}, "),
        1,
    );
    let gateway = with(&(text + BOUNDS));
    let ca = gateway.dir.path().join("ca.pem");
    let count = if full() { 5_000 } else { 300 };
    let ask = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut buffer = [0; 8192];
    // What grows once: pools, caches, threads.
    for _ in 0..50 {
        assert_eq!(gateway.get("/x", &[]).status, 200);
    }
    for (name, bound) in [("plain", 16 << 10), ("tls", 40 << 10)] {
        let before = gateway.resident().unwrap();
        let mut plain = Vec::new();
        let mut encrypted = Vec::new();
        for _ in 0..count {
            if name == "plain" {
                let mut stream = TcpStream::connect(gateway.address).unwrap();
                stream.write_all(ask).unwrap();
                assert!(stream.read(&mut buffer).unwrap() > 0);
                plain.push(stream);
            } else {
                let socket = TcpStream::connect(tls).unwrap();
                let mut stream = rustls::StreamOwned::new(wire::client(&ca, b"http/1.1"), socket);
                stream.write_all(ask).unwrap();
                assert!(stream.read(&mut buffer).unwrap() > 0);
                encrypted.push(stream);
            }
        }
        thread::sleep(Duration::from_secs(1));
        let each = gateway.resident().unwrap().saturating_sub(before) / count;
        eprintln!(
            "{count} idle connections, {name}: {each} bytes each, {} kB in all",
            gateway.resident().unwrap() / 1024
        );
        if std::env::var_os("BARTIZAN_BINARY").is_some() {
            assert!(each < bound, "{name}: {each} bytes a connection");
        }
    }
}

const fn buffer_size() -> u64 {
    256 << 10
}
