//! Fuzz targets of the rule language, its transformations and operators, the detectors of injection, and the two ways of
//! walking rules. `cargo nextest run -p bartizan-waf --test fuzz` runs each for a few seconds on mutations of real inputs and on
//! random bytes; `cargo bolero test -p bartizan-waf seclang` runs one for as long as one likes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests assert"
)]

#[path = "fuzz/exchanges.rs"]
mod exchanges;
#[path = "../../pattern/tests/fuzz/mutate.rs"]
mod mutate;
#[path = "fuzz/proved.rs"]
mod proved;

use std::time::Duration;

use bartizan_waf::{
    files::MemoryFiles,
    inject,
    lang::Loader,
    operator::{Operator, OperatorContext},
    transform::{ByteSet, Transformation},
};
use bolero::check;
use mutate::mutations;

/// How long a target sees random bytes in a plain run.
const RANDOM: Duration = Duration::from_millis(300);

const RULES: &[&[u8]] = &[
    b"SecRule ARGS|!ARGS:/^x/|&REQUEST_HEADERS:Host \"@rx (?i)union\\s+select\" \"id:1,phase:2,deny,status:403,t:none,t:urlDecodeUni,t:lowercase,log,msg:'SQL in %{MATCHED_VAR}',severity:CRITICAL,tag:a/b,setvar:tx.score=+%{tx.critical},chain\"\n  SecRule TX:0 \"!@within a b c\" \"t:length,capture,ctl:ruleRemoveTargetById=2;ARGS:a\"\n",
    b"SecAction \"id:3,phase:1,nolog,pass,initcol:ip=%{REMOTE_ADDR},expirevar:ip.x=60,skipAfter:END\"\nSecMarker END\nSecDefaultAction \"phase:2,log,auditlog,pass\"\n",
    b"SecRuleUpdateTargetById 1-9 \"!ARGS:b\"\nSecRuleRemoveByTag ^a\nSecRuleUpdateActionById 1 \"pass,status:500\"\nSecRequestBodyLimit 1024\nSecRuleEngine DetectionOnly\n",
    b"# a comment \\\n goes on\nSecRule XML:/*|XML://@*|JSON \"@pm a b 'c d'\" \\\n    \"id:5,multiMatch,drop\"\nSecRule REMOTE_ADDR \"@ipMatch 10.0.0.0/8,::1\" id:6,allow:phase\n",
];

const TEXTS: &[&[u8]] = &[
    b"1' OR '1'='1' -- ",
    b"%3Cscript%3Ealert%28%u0031%29%3C/script%3E",
    b"&lt;img src=x onerror=&#x61;lert(1)&gt;&nbsp;",
    b"..%2f..\\..//./etc/passwd\0",
    b"\\u003cscript\\x3e /* c */ UNION/**/SELECT \\074 \\'",
    b"; cat /e\"t\"c/pa''sswd  ,x ^y",
    b"0x414243 SELECT YWJj YWI= 4a4B",
    b"a.b[c d]=x \xc2\xa0\xe2\x82\xac\xff# x -- y",
    b"4111 1111 1111 1111 078-05-1120 10.0.0.1 ::1",
];

#[test]
fn seclang() {
    mutations(RULES, seclang_target);
    check!().with_test_time(RANDOM).for_each(seclang_target);
}

/// Rules load, or every problem has a place; what loads can be walked.
fn seclang_target(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let files = MemoryFiles::default();
    let mut loader = Loader::new(&files);
    loader.text("fuzzed.conf", text);
    match loader.finish() {
        Ok(loaded) => exchanges::walk(loaded.rules),
        Err(problems) => assert!(problems.to_string().contains("fuzzed.conf:"), "{problems}: {text}"),
    }
}

#[test]
fn transformations() {
    mutations(TEXTS, transformation_target);
    check!().with_test_time(RANDOM).for_each(transformation_target);
}

/// Outputs are bounded, and a step that its kinds of bytes prove to change nothing changes nothing.
fn transformation_target(bytes: &[u8]) {
    let kinds = ByteSet::of(bytes);
    let mut out = Vec::new();
    for step in Transformation::ALL {
        if step.apply(bytes, &mut out) {
            assert!(step.may_change(&kinds), "{}: {}", step.name(), bytes.escape_ascii());
            let most = (bytes.len() * step.growth()).max(20);
            assert!(out.len() <= most, "{}: {} of {}", step.name(), out.len(), bytes.len());
        }
    }
}

#[test]
fn operators() {
    let arguments = ["(?i)a+|b(c)", "a b c", "10.0.0.0/8", "1-10,32-126", "5", "\\d{4}", "%", "(", ""];
    let names = [
        "rx",
        "rxGlobal",
        "pm",
        "ipMatch",
        "validateByteRange",
        "validateUrlEncoding",
        "validateUtf8Encoding",
        "within",
        "contains",
        "containsWord",
        "beginsWith",
        "endsWith",
        "strmatch",
        "streq",
        "eq",
        "ge",
        "verifyCC",
        "verifySSN",
        "verifyCPF",
        "detectSQLi",
        "detectXSS",
        "noMatch",
    ];
    let files = MemoryFiles::default();
    let compiled: Vec<Operator> = names
        .iter()
        .flat_map(|name| {
            arguments.iter().filter_map(|argument| Operator::compile(name, argument, &files).ok())
        })
        .collect();
    assert!(compiled.len() > 80, "{}", compiled.len());
    let mut context = OperatorContext::for_capturing();
    mutations(TEXTS, |bytes| {
        for operator in &compiled {
            if operator.matches(bytes, &mut context)
                && let Some((start, end)) = context.span()
            {
                assert!(start <= end && end <= bytes.len());
            }
        }
    });
    check!().with_test_time(RANDOM).for_each(|bytes: &[u8]| {
        let Some((name, rest)) = bytes.split_first() else { return };
        let cut = rest.len() / 2;
        let Ok(argument) = std::str::from_utf8(&rest[..cut]) else { return };
        let name = names[usize::from(*name) % names.len()];
        if let Ok(operator) = Operator::compile(name, argument, &MemoryFiles::default()) {
            operator.matches(&rest[cut..], &mut OperatorContext::for_capturing());
        }
    });
}

#[test]
fn detectors() {
    mutations(TEXTS, detector_target);
    check!().with_test_time(RANDOM).for_each(detector_target);
}

/// The verdicts and the fingerprint are those of libinjection, and what is harmless by its shape is harmless.
fn detector_target(bytes: &[u8]) {
    let ours = inject::sqli(bytes).map(|fingerprint| fingerprint.as_bytes().to_vec());
    let oracle = libinjectionrs::detect_sqli(bytes);
    let theirs =
        oracle.is_injection().then(|| oracle.fingerprint.as_ref().unwrap().as_str().as_bytes().to_vec());
    assert_eq!(ours, theirs, "{}", bytes.escape_ascii());
    let markup = inject::xss(bytes);
    assert_eq!(markup, libinjectionrs::detect_xss(bytes).is_injection(), "{}", bytes.escape_ascii());
    assert!(!inject::harmless(bytes) || (ours.is_none() && !markup));
}

#[test]
fn both_ways() {
    let seeds = exchanges::seeds();
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    mutations(&seeds, exchanges::target);
    check!().with_test_time(RANDOM).for_each(exchanges::target);
}

#[test]
fn spared_values() {
    let seeds = proved::seeds();
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    mutations(&seeds, proved::target);
    check!().with_test_time(RANDOM).for_each(proved::target);
}
