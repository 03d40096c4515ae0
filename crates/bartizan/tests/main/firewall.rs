//! The firewall in a running gateway: scores and near misses, responses in codings, targets as they were sent, and rules
//! that change under load.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::support::{BINARY, event, policy};
use bartizan_testkit::{Gateway, RawUpstream, Step, gateway::run_to_end};

const SCORES: &str = "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=5\"\n\
    SecRule ARGS:a \"@streq x\" \"id:10,phase:2,pass,log,severity:WARNING,setvar:tx.blocking_inbound_anomaly_score=+3\"\n\
    SecRule ARGS:b \"@streq x\" \"id:11,phase:2,pass,log,severity:CRITICAL,setvar:tx.blocking_inbound_anomaly_score=+5\"\n\
    SecRule TX:blocking_inbound_anomaly_score \"@ge 5\" \"id:20,phase:2,deny,status:403,log\"\n\
    SecRule RESPONSE_BODY \"@contains the secret\" \"id:30,phase:4,deny,status:502,log\"\n\
    SecRule REQUEST_URI_RAW \"@rx ^(?:http://|/get//)\" \"id:40,phase:1,deny,status:406,log\"\n";

fn start(upstream: &RawUpstream, settings: &str) -> Gateway {
    let block = format!("    guards: {{ waf: {{ rules: [\"file:own.conf\"]{settings} }} }}\n");
    Gateway::with_config(BINARY, &policy(&upstream.url(), &block), |dir| {
        Ok(fs::write(dir.join("own.conf"), SCORES)?)
    })
    .unwrap()
}

#[test]
fn near_misses_are_counted_marked_and_told() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = start(&upstream, "");
    for (target, status) in
        [("/?a=x", 200), ("/?a=x&c=1", 200), ("/?b=x", 403), ("/?a=x&b=x", 403), ("/?c=x", 200)]
    {
        assert_eq!(gateway.get(target, &[]).status, status, "{target}");
    }
    let near = event(&gateway, |event| event["score"]["near_miss"] == true);
    assert_eq!((&near["score"]["inbound"], &near["score"]["inbound_threshold"]), (&3.into(), &5.into()));
    let beyond = event(&gateway, |event| event["status"] == 403);
    assert_eq!(beyond["score"]["near_miss"], false, "{beyond}");
    let metrics = gateway.ask("GET", "/metrics", None).unwrap().text();
    for line in [
        "bartizan_waf_near_misses_total{api=\"shop\",operation=\"unknown\"} 2",
        "bartizan_waf_rule_matches_total{rule=\"10\"} 3",
        "bartizan_waf_rule_matches_total{rule=\"11\"} 2",
        "bartizan_waf_score_bucket{le=\"0.0\",api=\"shop\"} 1",
        "bartizan_waf_score_bucket{le=\"3.0\",api=\"shop\"} 3",
        "bartizan_waf_score_count{api=\"shop\"} 5",
    ] {
        assert!(metrics.lines().any(|known| known == line), "no `{line}` in {metrics}");
    }
    let id = near["id"].as_str().unwrap();
    let (status, said) = run_to_end(BINARY, gateway.dir.path(), &["why", id, "--state", "var"]).unwrap();
    assert!(status.success() && said.contains("near miss"), "{said}");
    fs::write(gateway.dir.path().join("q.http"), "GET /?a=x HTTP/1.1\nHost: localhost\n\n").unwrap();
    let (status, said) =
        run_to_end(BINARY, gateway.dir.path(), &["explain", "q.http", "--config", "bartizan.yaml"]).unwrap();
    assert!(status.success() && said.contains("3 of 5"), "{said}");
}

#[test]
fn rules_see_the_target_as_it_was_sent() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = start(&upstream, "");
    assert_eq!(gateway.get("/get/x", &[]).status, 200);
    assert_eq!(gateway.get("/get//x", &[]).status, 406);
    assert_eq!(gateway.raw(b"GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 406);
}

/// A stored block of gzip (RFC 1951 section 3.2.4).
fn gzip(text: &[u8]) -> Vec<u8> {
    let crc = !text.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    });
    let length = u16::try_from(text.len()).unwrap();
    let head: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    [
        head,
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        text,
        &crc.to_le_bytes(),
        &u32::from(length).to_le_bytes(),
    ]
    .concat()
}

#[test]
fn responses_are_looked_at_behind_their_codings_and_in_monitor_mode_too() {
    let answer = |body: &[u8], coding: &str| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{coding}Content-Length: {}\r\n\r\n",
            body.len()
        );
        vec![Step::Send([head.as_bytes(), body].concat())]
    };
    let text = b"the secret of the house";
    let upstream = RawUpstream::scripted(answer(text, "")).unwrap();
    let gateway = start(&upstream, ", responses: true");
    assert_eq!(gateway.get("/", &[]).status, 502);
    upstream.answer(answer(&gzip(text), "Content-Encoding: gzip\r\n"));
    assert_eq!(gateway.get("/", &[]).status, 502);
    upstream.answer(answer(&gzip(b"nothing"), "Content-Encoding: gzip\r\n"));
    let passed = gateway.get("/", &[]);
    assert_eq!((passed.status, passed.body), (200, gzip(b"nothing")), "it leaves as it came");
    upstream.answer(answer(text, ""));
    let watching = start(&upstream, ", responses: true, mode: monitor");
    let passed = watching.get("/?b=x", &[]);
    assert_eq!((passed.status, passed.body.as_slice()), (200, &text[..]));
    let told = event(&watching, |event| event["status"] == 200);
    let codes: Vec<_> = told["findings"].as_array().unwrap().iter().map(|one| one["code"].clone()).collect();
    assert!(codes.contains(&"waf.attack".into()) && codes.contains(&"waf.leak".into()), "{told}");
}

#[test]
fn rules_change_under_load_without_a_failure_and_broken_ones_change_nothing() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = start(&upstream, "");
    let rules = gateway.dir.path().join("own.conf");
    let generation =
        || gateway.ask("GET", "/v1/status", None).unwrap().json()["generation"].as_u64().unwrap();
    let (stop, sent, failed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let rounds = 20;
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let fine =
                        gateway.get("/?c=1", &[]).status == 200 && gateway.get("/?b=x", &[]).status == 403;
                    sent.fetch_add(2, Ordering::Relaxed);
                    failed.fetch_add(u64::from(!fine), Ordering::Relaxed);
                }
            });
        }
        for round in 0..rounds {
            let before = generation();
            fs::write(
                &rules,
                format!("{SCORES}SecRule ARGS:d \"@streq {round}\" \"id:50,phase:2,deny,status:409\"\n"),
            )
            .unwrap();
            let begun = Instant::now();
            while generation() <= before && begun.elapsed() < Duration::from_secs(10) {
                thread::sleep(Duration::from_millis(10));
            }
            assert!(generation() > before, "no reload:\n{}", gateway.process.log());
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (sent, failed) = (sent.into_inner(), failed.into_inner());
    println!("{sent} requests under {rounds} changes of rules, {failed} failed");
    assert!(failed == 0 && sent > 100, "{failed} of {sent}");
    let last = format!("/?d={}", rounds - 1);
    assert_eq!(gateway.get(&last, &[]).status, 409, "the last rules are in force");
    fs::write(&rules, "SecRule ARGS \"@rx (\" \"id:1,phase:2,deny\"\n").unwrap();
    let begun = Instant::now();
    while !gateway.process.log().contains("own.conf:1") && begun.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(20));
    }
    assert!(gateway.process.log().contains("own.conf:1"), "{}", gateway.process.log());
    assert_eq!(gateway.get(&last, &[]).status, 409, "what was in force still is");
}
