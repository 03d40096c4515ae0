//! Reloads: under load of every kind nothing fails; listeners come, change and go; what is wrong changes nothing.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use bartizan_testkit::{Gateway, RawUpstream, Step, free_port, process::loopback};

use crate::{
    support::{BINARY, policy},
    wire::{Bulk, H2, WINDOW_UPDATE, frame, status},
};

fn full() -> bool {
    std::env::var_os("BARTIZAN_FULL").is_some()
}

fn start(text: &str) -> Gateway {
    let binary = std::env::var("BARTIZAN_BINARY").unwrap_or_else(|_| BINARY.to_owned());
    Gateway::with_config(&binary, text, |_| Ok(())).unwrap()
}

fn write(gateway: &Gateway, text: &str) {
    let text =
        text.replace("$LISTEN", &gateway.address.to_string()).replace("$ADMIN", &gateway.admin.to_string());
    fs::write(gateway.dir.path().join("bartizan.yaml"), text).unwrap();
}

fn generation(gateway: &Gateway) -> u64 {
    gateway.ask("GET", "/v1/status", None).unwrap().json()["generation"].as_u64().unwrap()
}

/// Waits until the policy in force is newer than this.
fn newer(gateway: &Gateway, than: u64) {
    let begin = Instant::now();
    while generation(gateway) <= than {
        assert!(begin.elapsed() < Duration::from_secs(5), "no reload:\n{}", gateway.process.log());
        thread::sleep(Duration::from_millis(20));
    }
}

/// Requests until `stop`, on a kept connection or a new one each; counts what was sent and what failed.
fn http1(address: SocketAddr, keep: bool, stop: &AtomicBool, sent: &AtomicU64, failed: &AtomicU64) {
    let mut kept: Option<TcpStream> = None;
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        let mut ask = || -> std::io::Result<bool> {
            let mut stream = match kept.take() {
                Some(stream) => stream,
                None => TcpStream::connect(address)?,
            };
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            let close = if keep { "" } else { "Connection: close\r\n" };
            write!(stream, "GET /0 HTTP/1.1\r\nHost: localhost\r\n{close}\r\n")?;
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n0") {
                match stream.read(&mut buffer)? {
                    0 => {
                        eprintln!("got {:?}", String::from_utf8_lossy(&answer));
                        return Ok(false);
                    }
                    read => answer.extend_from_slice(&buffer[..read]),
                }
            }
            if keep {
                kept = Some(stream);
            }
            Ok(answer.starts_with(b"HTTP/1.1 200"))
        };
        let result = ask();
        let fine = matches!(result, Ok(true));
        if !fine {
            eprintln!("failed, keep: {keep}: {result:?}");
        }
        sent.fetch_add(1, Ordering::Relaxed);
        failed.fetch_add(u64::from(!fine), Ordering::Relaxed);
    }
}

fn http2(address: SocketAddr, stop: &AtomicBool, sent: &AtomicU64, failed: &AtomicU64) {
    let mut h2 = H2::plain(address);
    h2.greet();
    // The bodies of all responses together are larger than the window that a connection begins with.
    h2.send(&frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes()));
    let mut stream = 1;
    while !stop.load(Ordering::Relaxed) {
        h2.get(stream, "/0");
        let (frames, whole) = h2.response(stream, Duration::from_secs(5));
        let fine = whole && status(&frames) == 200;
        if !fine {
            eprintln!("failed over HTTP/2: {frames:?}");
        }
        sent.fetch_add(1, Ordering::Relaxed);
        failed.fetch_add(u64::from(!fine), Ordering::Relaxed);
        stream += 2;
    }
}

#[test]
fn no_request_fails_while_policies_change() {
    let (rounds, pause) = if full() { (20, Duration::from_secs(3)) } else { (5, Duration::from_secs(1)) };
    let bulk = Bulk::start();
    let text = policy(&bulk.url(), "");
    let gateway = start(&text);
    let (stop, sent, failed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let long = AtomicU64::new(0);
    let first = generation(&gateway);
    let address = gateway.address;
    thread::scope(|scope| {
        for keep in [true, true, true, true, true, false] {
            let (stop, sent, failed) = (&stop, &sent, &failed);
            scope.spawn(move || http1(address, keep, stop, sent, failed));
        }
        scope.spawn(|| http2(address, &stop, &sent, &failed));
        // One long download that outlives every reload.
        scope.spawn(|| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            stream.write_all(b"GET /1000000000 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            let mut buffer = vec![0; 64 << 10];
            while !stop.load(Ordering::Relaxed) {
                let read = stream.read(&mut buffer).unwrap();
                assert!(read > 0, "the long stream ended");
                long.fetch_add(read as u64, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(5));
            }
        });
        for round in 1..=rounds {
            write(&gateway, &text.replace("name: shop", &format!("name: shop{}", round % 3)));
            thread::sleep(pause);
        }
        while full() && sent.load(Ordering::Relaxed) < 150_000 {
            thread::sleep(Duration::from_millis(100));
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (sent, failed) = (sent.into_inner(), failed.into_inner());
    let reloads = generation(&gateway) - first;
    eprintln!(
        "{reloads} reloads, {sent} requests, {failed} failed, {} bytes on the long stream",
        long.into_inner()
    );
    assert_eq!(failed, 0, "of {sent} requests");
    assert!(reloads >= rounds, "{reloads} reloads of {rounds}");
}

#[test]
fn listeners_come_and_go() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = start(&policy(&upstream.url(), ""));
    let more = loopback(free_port());
    let both =
        policy(&upstream.url(), "").replace("$LISTEN }", &format!("$LISTEN }}, {{ address: {more} }}"));
    let old = generation(&gateway);
    write(&gateway, &both);
    newer(&gateway, old);
    let ask = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let at = |address| {
        bartizan_testkit::reply(&bartizan_testkit::raw_request(address, ask, Duration::from_secs(5))).status
    };
    assert_eq!((at(gateway.address), at(more)), (200, 200));
    let mut kept = TcpStream::connect(more).unwrap();
    kept.write_all(ask).unwrap();
    assert!(kept.read(&mut [0; 4096]).unwrap() > 0);
    let old = generation(&gateway);
    write(&gateway, &policy(&upstream.url(), ""));
    newer(&gateway, old);
    assert!(TcpStream::connect(more).is_err(), "nobody listens on a listener that is gone");
    kept.write_all(ask).unwrap();
    assert!(kept.read(&mut [0; 4096]).unwrap() > 0, "its connections go on");
    // A port that another process has.
    let taken = TcpListener::bind(loopback(0)).unwrap();
    let port = taken.local_addr().unwrap();
    let old = generation(&gateway);
    write(
        &gateway,
        &policy(&upstream.url(), "    guards: { ip_access: { deny: [127.0.0.0/8] } }\n")
            .replace("$LISTEN }", &format!("$LISTEN }}, {{ address: {port} }}")),
    );
    let answer = gateway.ask("POST", "/v1/reload", None).unwrap();
    assert!(answer.status >= 400 && answer.text().contains(&port.to_string()), "{answer:?}");
    assert_eq!((generation(&gateway), at(gateway.address)), (old, 200), "nothing has changed");
}

#[test]
fn what_is_wrong_changes_nothing_and_is_told() {
    let upstream = RawUpstream::echo().unwrap();
    let text = policy(&upstream.url(), "");
    let gateway = start(&text);
    let old = generation(&gateway);
    for (wrong, said) in [
        (text.replace("upstream:", "upstreem:"), "bartizan.yaml:5:5"),
        ("apis: [".to_owned(), "bartizan.yaml:1"),
        (String::new(), "apis"),
    ] {
        write(&gateway, &wrong);
        let answer = gateway.ask("POST", "/v1/reload", None).unwrap();
        assert!(answer.status >= 400 && answer.text().contains(said), "`{said}`: {answer:?}");
        assert_eq!((generation(&gateway), gateway.get("/x", &[]).status), (old, 200));
    }
    fs::remove_file(gateway.dir.path().join("bartizan.yaml")).unwrap();
    let answer = gateway.ask("POST", "/v1/reload", None).unwrap();
    assert!(answer.status >= 400 && answer.text().contains("bartizan.yaml"), "{answer:?}");
    assert_eq!(gateway.get("/x", &[]).status, 200);
    write(&gateway, &text.replace("name: shop", "name: other"));
    newer(&gateway, old);
}

#[test]
fn overlays_and_referenced_files_reload_too() {
    let upstream = RawUpstream::echo().unwrap();
    let contract = |path: &str| {
        format!(
            "{{\"openapi\":\"3.1.0\",\"info\":{{\"title\":\"t\",\"version\":\"1\"}},\"paths\":{{\"{path}\":{{\"get\":{{\"responses\":{{}}}}}}}}}}"
        )
    };
    let text =
        format!("environment: staging\n{}", policy(&upstream.url(), "    contract: file:openapi/api.json\n"));
    let first = contract("/x");
    let gateway = Gateway::with_config(BINARY, &text, |dir| {
        fs::create_dir(dir.join("openapi"))?;
        fs::create_dir(dir.join("environments"))?;
        fs::write(dir.join("environments/staging.yaml"), "bounds: { header_count: 50 }\n")?;
        Ok(fs::write(dir.join("openapi/api.json"), &first)?)
    })
    .unwrap();
    assert_eq!((gateway.get("/x", &[]).status, gateway.get("/y", &[]).status), (200, 404));
    let old = generation(&gateway);
    fs::write(gateway.dir.path().join("openapi/api.json"), contract("/y")).unwrap();
    newer(&gateway, old);
    assert_eq!((gateway.get("/x", &[]).status, gateway.get("/y", &[]).status), (404, 200));
    let old = generation(&gateway);
    let overlay = gateway.dir.path().join("environments/staging.yaml");
    fs::write(&overlay, "bounds: { header_count: 3 }\n").unwrap();
    newer(&gateway, old);
    assert_eq!(gateway.get("/y", &["A: 1", "B: 2", "C: 3"]).status, 431);
    // Replaced as editors and `mv` do it.
    let old = generation(&gateway);
    let next = gateway.dir.path().join("environments/next");
    fs::write(&next, "bounds: { header_count: 60 }\n").unwrap();
    fs::rename(next, overlay).unwrap();
    newer(&gateway, old);
    assert_eq!(gateway.get("/y", &["A: 1", "B: 2", "C: 3"]).status, 200);
}

#[test]
fn a_broken_contract_leaves_the_old_one_in_force() {
    let upstream = RawUpstream::echo().unwrap();
    let contract = |schema: &str| {
        format!(
            r#"{{"openapi":"3.1.0","info":{{"title":"t","version":"1"}},"paths":{{"/x":{{"get":{{"parameters":[
                {{"name":"n","in":"query","schema":{schema}}}],"responses":{{}}}}}}}}}}"#
        )
    };
    let text = policy(&upstream.url(), "    contract: file:api.json\n");
    let first = contract(r#"{"type":"integer","maximum":10}"#);
    let gateway =
        Gateway::with_config(BINARY, &text, |dir| Ok(fs::write(dir.join("api.json"), &first)?)).unwrap();
    let held = || (gateway.get("/x?n=10", &[]).status, gateway.get("/x?n=11", &[]).status);
    assert_eq!(held(), (200, 400));
    let old = generation(&gateway);
    for (broken, told) in [
        (contract(r#"{"type":"integer","maximum":"#), "api.json:"),
        (contract(r##"{"$ref":"#/components/schemas/None"}"##), "None"),
        (contract(r#"{"type":"string","pattern":"(a"}"#), "api.json:"),
        ("openapi: 9.9".to_owned(), "9.9"),
        (String::new(), "api.json"),
    ] {
        fs::write(gateway.dir.path().join("api.json"), &broken).unwrap();
        let answer = gateway.ask("POST", "/v1/reload", None).unwrap();
        assert!(answer.status >= 400 && answer.text().contains(told), "{broken}: {answer:?}");
        assert_eq!(held(), (200, 400), "{broken}");
    }
    assert_eq!(generation(&gateway), old);
    fs::write(gateway.dir.path().join("api.json"), contract(r#"{"type":"integer","maximum":11}"#)).unwrap();
    newer(&gateway, old);
    assert_eq!(held(), (200, 200));
}

fn terminate(gateway: &Gateway) {
    let id = gateway.process.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
}

/// An event stream that never ends.
fn endless() -> RawUpstream {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata\n\r\n";
    RawUpstream::scripted(vec![
        Step::Send(head.to_vec()),
        Step::Trickle(b"1\r\n.\r\n".repeat(9_000), Duration::from_millis(2)),
    ])
    .unwrap()
}

#[test]
fn a_drain_gives_streams_their_time() {
    for twice in [false, true] {
        let upstream = endless();
        let mut gateway = start(&(policy(&upstream.url(), "") + "bounds: { drain_timeout: 2s }\n"));
        let mut h2 = H2::plain(gateway.address);
        h2.greet();
        h2.get(1, "/events");
        h2.until(Duration::from_secs(5), |f| f.kind == crate::wire::DATA);
        let mut idle = TcpStream::connect(gateway.address).unwrap();
        idle.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        thread::sleep(Duration::from_millis(100));
        let begin = Instant::now();
        terminate(&gateway);
        let frames = h2.until(Duration::from_secs(1), |f| f.kind == crate::wire::GOAWAY);
        assert!(frames.last().is_some_and(|f| f.kind == crate::wire::GOAWAY), "no GOAWAY");
        assert!(
            matches!(idle.read(&mut [0; 16]), Ok(0) | Err(_)) && begin.elapsed() < Duration::from_secs(1)
        );
        let refused = (0..50).any(|_| {
            thread::sleep(Duration::from_millis(10));
            TcpStream::connect(gateway.address).is_err()
        });
        assert!(refused, "new connections are refused");
        assert!(h2.next(Duration::from_secs(1)).is_some(), "the stream goes on");
        if twice {
            terminate(&gateway);
        }
        let exit = gateway.process.wait(Duration::from_secs(6)).expect("it ends");
        assert_eq!(exit.code(), Some(0), "{}", gateway.process.log());
        let took = begin.elapsed();
        if twice {
            assert!(took < Duration::from_millis(1_900), "asked twice: {took:?}");
        } else {
            assert!(took > Duration::from_millis(1_800) && took < Duration::from_secs(5), "{took:?}");
        }
    }
}
