//! HTTP/2 control frames without end: GOAWAY and the end of the connection within a thousand frames that nothing earned,
//! wherever they come; long transfers with the frames that they need live.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use bartizan_testkit::{Ca, Gateway, RawUpstream, Step};

use crate::{
    support::{BINARY, curl, policy},
    wire::{
        Bulk, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, H2, HEADERS, PING, PREFACE, PRIORITY,
        RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame, status,
    },
};

/// Frames that nothing earned: the connection must be over by then.
const FRAMES: usize = 1_000;

struct Place {
    gateway: Gateway,
    tls: std::net::SocketAddr,
    ca: PathBuf,
}

/// A cleartext and a TLS listener before this upstream.
fn place(upstream: &str) -> Place {
    let tls = bartizan_testkit::process::loopback(bartizan_testkit::free_port());
    let text = policy(upstream, "").replacen(
        "listeners: [",
        &format!("listeners: [{{ address: {tls}, tls: {{ certificates: [{{ cert: file:server.pem, key: file:server.key }}] }} }}, "),
        1,
    );
    let gateway = Gateway::with_config(BINARY, &text, |dir| {
        let ca = Ca::new("test")?;
        ca.write(dir, "ca")?;
        ca.server(dir, "server", &["localhost"])?;
        Ok(())
    });
    let gateway = gateway.unwrap();
    let ca = std::fs::read_dir(gateway.dir.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| {
            p.file_name().is_some_and(|n| {
                n.to_string_lossy().starts_with("ca") && !n.to_string_lossy().ends_with("key")
            })
        })
        .unwrap();
    Place { gateway, tls, ca }
}

/// The kinds of floods, each as `FRAMES` frames; the first request of the connection is stream 1.
fn floods() -> Vec<(&'static str, Vec<u8>)> {
    let repeat = |one: Vec<u8>| one.repeat(FRAMES);
    let open = frame(HEADERS, END_HEADERS, 3, &block("POST", "/x"));
    let resets = (0..FRAMES as u32 / 2).flat_map(|n| {
        let stream = 3 + 2 * n;
        [
            frame(HEADERS, END_HEADERS | END_STREAM, stream, &block("GET", "/x")),
            frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]),
        ]
        .concat()
    });
    vec![
        ("SETTINGS", repeat(frame(SETTINGS, 0, 0, &[]))),
        ("PING", repeat(frame(PING, 0, 0, &[7; 8]))),
        ("PING acknowledgements", repeat(frame(PING, 1, 0, &[7; 8]))),
        ("PRIORITY", repeat(frame(PRIORITY, 0, 5, &[0, 0, 0, 0, 1]))),
        ("WINDOW_UPDATE", repeat(frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]))),
        ("unknown", repeat(frame(0xfa, 0, 0, b"?"))),
        ("empty DATA", [open.clone(), repeat(frame(DATA, 0, 3, &[]))].concat()),
        ("padded DATA", [open, repeat(frame(DATA, 8, 3, &[3, 0, 0, 0]))].concat()),
        ("rapid reset", resets.collect()),
        (
            "CONTINUATION",
            [frame(HEADERS, END_STREAM, 3, &block("GET", "/x")), repeat(frame(CONTINUATION, 0, 3, &[]))]
                .concat(),
        ),
    ]
}

/// The connection must end with GOAWAY, soon.
fn ends(h2: &mut H2, what: &str) {
    let begin = Instant::now();
    let frames = h2.until(Duration::from_secs(5), |_| false);
    assert!(frames.iter().any(|f| f.kind == GOAWAY), "{what}: no GOAWAY: {:?}", frames.len());
    assert!(h2.closed, "{what}: still open after {:?}", begin.elapsed());
}

#[test]
fn floods_after_a_request_end_the_connection() {
    let upstream = RawUpstream::echo().unwrap();
    let place = place(&upstream.url());
    for (what, bytes) in floods() {
        for tls in [false, true] {
            let what = format!("{what}, tls: {tls}");
            let mut h2 = if tls { H2::tls(place.tls, &place.ca) } else { H2::plain(place.gateway.address) };
            h2.greet();
            h2.get(1, "/first");
            let (frames, whole) = h2.response(1, Duration::from_secs(5));
            assert!(whole && status(&frames) == 200, "{what}: {frames:?}");
            h2.send(&bytes);
            ends(&mut h2, &what);
        }
    }
    assert_eq!(place.gateway.get("/x", &[]).status, 200);
}

#[test]
fn floods_in_the_first_segment_end_the_connection() {
    let upstream = RawUpstream::echo().unwrap();
    let place = place(&upstream.url());
    for (what, bytes) in floods() {
        for (tls, pause) in [(false, false), (false, true), (true, false), (true, true)] {
            let what = format!("{what}, tls: {tls}, pause: {pause}");
            let mut h2 = if tls { H2::tls(place.tls, &place.ca) } else { H2::plain(place.gateway.address) };
            if pause {
                // The preface is cut, too.
                h2.send(&PREFACE[..10]);
                std::thread::sleep(Duration::from_millis(20));
                h2.send(&[&PREFACE[10..], &frame(SETTINGS, 0, 0, &[]), &bytes].concat());
            } else {
                h2.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &bytes].concat());
            }
            ends(&mut h2, &what);
        }
    }
    assert_eq!(place.gateway.get("/x", &[]).status, 200);
}

#[test]
fn a_small_budget_is_spent_within_the_first_segment() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = crate::support::with(&(policy(&upstream.url(), "") + "bounds: { control_frames: 100 }\n"));
    let mut h2 = H2::plain(gateway.address);
    h2.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(PING, 0, 0, &[7; 8]).repeat(200)].concat());
    ends(&mut h2, "two hundred PING");
}

#[test]
fn floods_end_the_connection_while_a_body_streams() {
    // A body that goes on, slowly: it earns nothing.
    let event = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata\n\r\n";
    let upstream = RawUpstream::scripted(vec![
        Step::Send(event.to_vec()),
        Step::Trickle(b"1\r\n.\r\n".repeat(500), Duration::from_millis(1)),
        Step::Hang,
    ]);
    let upstream = upstream.unwrap();
    let place = place(&upstream.url());
    for (what, bytes) in floods() {
        for tls in [false, true] {
            let what = format!("{what}, tls: {tls}");
            let mut h2 = if tls { H2::tls(place.tls, &place.ca) } else { H2::plain(place.gateway.address) };
            h2.greet();
            h2.get(1, "/events");
            let seen = h2.until(Duration::from_secs(5), |f| f.kind == DATA);
            assert!(seen.last().is_some_and(|f| f.kind == DATA), "{what}: {seen:?}");
            h2.send(&bytes);
            ends(&mut h2, &what);
        }
    }
}

/// Bytes of the long transfers.
fn long() -> u64 {
    if std::env::var_os("BARTIZAN_FULL").is_some() { 1 << 30 } else { 64 << 20 }
}

#[test]
fn long_transfers_over_http2_live() {
    let bulk = Bulk::start();
    let place = place(&bulk.url());
    let bytes = long();
    let length = bytes.to_string();
    for base in
        [format!("http://{}", place.gateway.address), format!("https://localhost:{}", place.tls.port())]
    {
        let ca = place.ca.display().to_string();
        let common = [
            "--http2-prior-knowledge",
            "--cacert",
            &ca,
            "--write-out",
            "%{http_version} %{size_download}",
            "--max-time",
            "300",
        ];
        let url = format!("{base}/{bytes}");
        let down = [&common[..], &["--output", "/dev/null", &url]].concat();
        let Some(told) = curl(&down) else { return };
        assert_eq!(told, format!("2 {length}"));
    }
}

#[test]
fn long_uploads_over_http2_live() {
    let bulk = Bulk::start();
    let gateway = crate::support::with(&policy(&bulk.url(), "    max_body: 2GiB\n"));
    let bytes = long();
    let file = gateway.dir.path().join("zeros");
    std::fs::File::create(&file).unwrap().set_len(bytes).unwrap();
    let (file, url) = (file.display().to_string(), format!("http://{}/0", gateway.address));
    let Some(told) = curl(&["--http2-prior-knowledge", "--max-time", "300", "--upload-file", &file, &url])
    else {
        return;
    };
    assert_eq!(told, bytes.to_string());
}
