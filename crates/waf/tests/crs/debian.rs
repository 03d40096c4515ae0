//! The Core Rule Set of Debian's package `modsecurity-crs` (3.3), where it is installed or `BARTIZAN_DEBIAN_CRS` names the
//! folder that it was unpacked to: it loads whole, and its three patterns with look-around find what they should.

use std::{path::Path, sync::Arc};

use bartizan_waf::{
    engine::{Context, Inspection, Program, RequestHead, Worker},
    lang::Loader,
};

use crate::setup::Folder;

const RULES: &str = "usr/share/modsecurity-crs/rules/*.conf";

fn rules() -> Option<Arc<Program>> {
    let root = std::env::var("BARTIZAN_DEBIAN_CRS").unwrap_or_else(|_| "/".to_owned());
    if !Path::new(&root).join("usr/share/modsecurity-crs/rules").is_dir() {
        println!("SKIPPED: no package `modsecurity-crs` at {root}");
        return None;
    }
    let files = Folder(root.into());
    let mut loader = Loader::new(&files);
    loader.lenient(true);
    loader.include("etc/modsecurity/crs/crs-setup.conf");
    loader.text("setup", "SecAction \"id:9001,phase:1,pass,nolog,setvar:tx.paranoia_level=4\"");
    loader.include(RULES);
    let loaded = loader.finish().unwrap_or_else(|errors| panic!("{errors}"));
    println!("{}", loaded.warnings);
    Some(Program::new(loaded.rules))
}

fn told(rules: &Arc<Program>, target: &str, headers: &[(&str, &str)], answer: &str) -> Vec<u64> {
    let context = Context { unique_id: "test".into(), now: 0, collections: None };
    let mut inspection = Inspection::new(rules.clone(), context);
    let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let address = "192.0.2.1:80".parse().unwrap();
    let mut worker = Worker::new();
    let head = RequestHead {
        method: b"GET",
        target: target.as_bytes(),
        version: b"HTTP/1.1",
        headers: &headers,
        client: address,
        server: address,
        proved: &[],
    };
    inspection.request_head(&head, &mut worker);
    inspection.request_body(b"", false, &mut worker);
    inspection.response_head(200, b"HTTP/1.1", &[(b"Content-Type", b"text/html")], &mut worker);
    inspection.response_body(answer.as_bytes(), false, &mut worker);
    inspection.finish(&mut worker);
    inspection.findings().iter().filter(|finding| finding.log).map(|finding| finding.rule).collect()
}

#[test]
fn the_rule_set_of_debian_loads_and_finds() {
    let Some(rules) = rules() else { return };
    assert!(rules.rules().rules.len() > 500, "{}", rules.rules().rules.len());
    let benign = [("Host", "shop.example"), ("User-Agent", "Mozilla/5.0"), ("Accept", "*/*")];
    let none: Vec<u64> = Vec::new();
    assert_eq!(told(&rules, "/list", &benign, "<p>hello</p>"), none);
    for (target, answer, rule) in [
        ("/?id=1%20or%201=1", "", 942_130),
        ("/?id=1%20or%202!=1", "", 942_130),
        ("/?q=%3Cscript%3Ealert(1)%3C/script%3E", "", 941_110),
        ("/?f=../../etc/passwd", "", 930_120),
        ("/", "<?php echo 1; ?>", 953_120),
    ] {
        let told = told(&rules, target, &benign, answer);
        assert!(told.contains(&rule), "{target} {answer}: {told:?}");
    }
    assert!(
        !told(&rules, "/?id=1%20or%201=2", &benign, "").contains(&942_130),
        "values that differ are no tautology"
    );
    assert!(!told(&rules, "/", &benign, "<?xml version='1.0'?>").contains(&953_120));
}
