//! Tests of both forms of test files, and of the judging.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests assert")]

use super::*;

#[test]
fn both_forms_are_read() {
    let new = "---\nrule_id: 942100\ntests:\n  - test_id: 3\n    stages:\n      - input:\n          method: POST\n          uri: /a\n          headers: { Host: localhost }\n          data: 'a=b c&d=e'\n        output:\n          log: { expect_ids: [942100], no_expect_ids: [1] }\n";
    let tests = read(new).unwrap();
    assert_eq!((tests[0].name().as_str(), tests[0].stages.len()), ("942100-3", 1));
    let sent = String::from_utf8(tests[0].stages[0].request.clone()).unwrap();
    assert_eq!(
        sent,
        "POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close\r\nContent-Length: 9\r\n\r\na=b+c&d=e"
    );
    let old = "tests:\n  - test_title: 920100-7\n    stages:\n      - stage:\n          input:\n            stop_magic: true\n            uri: /x\n            headers: { Host: h }\n          output:\n            status: [400, 404]\n            log_contains: 'id \"920100\"'\n";
    let tests = read(old).unwrap();
    assert_eq!(tests[0].name(), "920100-7");
    assert_eq!(tests[0].stages[0].request, b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(tests[0].stages[0].expected.wants_refusal());
    assert!(read("# nothing\n---\n").unwrap().is_empty());
    assert!(read("tests:\n  - stages: []\n").unwrap_err().contains("rule_id"));
}

#[test]
fn what_came_otherwise_is_told() {
    let expected = Expected { rules: vec![1, 2], not_rules: vec![3], ..Expected::default() };
    let mut observed = Observed::default();
    observed.tell(1, "one");
    assert_eq!(expected.judge(&observed), Err("2 did not match; these matched: 1".to_owned()));
    observed.tell(2, "two");
    assert_eq!(expected.judge(&observed), Ok(()));
    observed.tell(3, "three");
    assert_eq!(expected.judge(&observed), Err("3 matched; these matched: 1, 2, 3".to_owned()));
    let refusal = Expected { status: vec![400], ..Expected::default() };
    assert_eq!(refusal.judge(&Observed { refused: true, ..Observed::default() }), Ok(()));
    assert!(refusal.judge(&Observed { status: Some(200), ..Observed::default() }).is_err());
    assert!(refusal.judge(&Observed::default()).is_err());
}

#[test]
fn the_backend_reflects() {
    let answer = Answer::to(b"/reflect", br#"{"status": 500, "headers": {"A": "b"}, "encodedBody": "aGk="}"#);
    assert_eq!((answer.status, answer.body.as_slice()), (500, b"hi".as_slice()));
    let bytes = String::from_utf8(answer.to_bytes()).unwrap();
    assert!(
        bytes.starts_with("HTTP/1.1 500 ") && bytes.contains("\r\nA: b\r\n") && bytes.ends_with("\r\n\r\nhi")
    );
    assert_eq!(Answer::to(b"/other", b"{}").headers, []);
}
