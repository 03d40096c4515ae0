//! Foreign suites over real sockets.

use bartizan_testkit::{
    Gateway, RawUpstream, skipped,
    suites::{http1, path_bypass},
    suites_dir,
};

use crate::support::BINARY;

/// Must-reject cases that are forwarded, each because the duty is the origin server's and not a proxy's.
const ORIGIN_DUTIES: &[(&str, &str)] = &[
    (
        "COMP-405-ALLOW",
        "who answers 405 names the allowed methods; the gateway forwards the method and passes the answer on",
    ),
    (
        "COMP-UNKNOWN-METHOD",
        "RFC 9110 section 9.1: the origin server knows its methods; `request_limits.methods` closes the list",
    ),
    ("COMP-UPGRADE-INVALID-VER", "RFC 6455 section 4.4: the server negotiates the version"),
];

#[test]
fn http1_forwards_nothing_unsafe() {
    let Some(suites) = suites_dir() else { return skipped("the suites are absent; set `BARTIZAN_SUITES`") };
    let score = http1::run(BINARY, &http1::cases(&suites).unwrap()).unwrap();
    assert!(score.cases > 1_000, "only {} cases were read", score.cases);
    assert!(score.unsafe_forwards.is_empty(), "unsafe forwards:\n{}", score.unsafe_forwards.join("\n"));
    assert!(score.rejected.is_empty(), "must-accept rejected:\n{}", score.rejected.join("\n"));
    let undocumented: Vec<_> = score
        .accepted
        .iter()
        .filter(|told| !ORIGIN_DUTIES.iter().any(|(id, _)| told.starts_with(&format!("{id} "))))
        .cloned()
        .collect();
    assert!(undocumented.is_empty(), "must-reject accepted:\n{}", undocumented.join("\n"));
    assert!(ORIGIN_DUTIES.len() <= 6, "the list of accepted ones is closed at six");
}

#[test]
fn no_spelling_slips_past_a_rule() {
    let Some(suites) = suites_dir() else { return skipped("the suites are absent; set `BARTIZAN_SUITES`") };
    let variants = path_bypass::variants(&suites).unwrap();
    for rules in path_bypass::RULES {
        let upstream = RawUpstream::echo().unwrap();
        let gateway =
            Gateway::with_config(BINARY, &rules.config(&upstream.url()), |dir| rules.prepare(dir)).unwrap();
        let score = path_bypass::run(&gateway, &upstream, &variants).unwrap();
        assert!(score.bypasses.is_empty(), "{} rule:\n{}", rules.name, score.bypasses.join("\n"));
        assert!(score.refused > 20, "{} rule: only {} refused", rules.name, score.refused);
    }
}
