//! The front: what each message gives, and that nothing is silent.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn utf_16(text: &str) -> Vec<u8> {
    [0xfffe].into_iter().map(u16::swap_bytes).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

/// What was found, in a few words.
fn words(reading: Reading<'_>) -> String {
    let string = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let content = match reading.content() {
        Content::Empty => "empty".to_owned(),
        Content::Opaque => "opaque".to_owned(),
        Content::Json(tape) => {
            format!("json {}", tape.root().map(|root| string(root.source())).unwrap_or_default())
        }
        Content::Form(form) => format!("form of {}", form.len()),
        Content::Multipart(parts) => format!("{} parts", parts.len()),
        Content::Xml(xml) => {
            format!("xml {}", xml.root().map(|root| string(&root.text())).unwrap_or_default())
        }
        Content::Text(text) => format!("text {}", string(text)),
    };
    match reading {
        Reading::Parsed(parsed) => format!("{:?}: {content}", parsed.kind),
        Reading::Unreadable(unreadable) => {
            format!("{} ({:?}): {content}", unreadable.reason.code(), unreadable.reason.class())
        }
    }
}

fn look(content_type: &str, content_encoding: &str, bytes: &[u8]) -> String {
    let mut buffers = Buffers::new();
    let content_type = (!content_type.is_empty()).then_some(content_type.as_bytes());
    let first = words(read(
        content_type,
        Some(content_encoding.as_bytes()),
        bytes,
        &BodyLimits::default(),
        &mut buffers,
    ));
    assert_eq!(words(buffers.reading(bytes)), first, "what was read can be shown again");
    first
}

#[test]
fn each_kind_is_read() {
    let part = "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--\r\n";
    for (content_type, body, expected) in [
        ("application/json", r#"{"a":1}"#, r#"Json: json {"a":1}"#),
        ("application/problem+json; charset=UTF-8", "[1]", "Json: json [1]"),
        ("application/x-www-form-urlencoded", "a=1&b=2", "Form: form of 2"),
        ("multipart/form-data; boundary=x", part, "Multipart: 1 parts"),
        ("text/xml", "<a>b</a>", "Xml: xml b"),
        ("text/plain", "hello", "Text: text hello"),
        ("application/json", "", "Json: empty"),
        ("", "", "Other: empty"),
    ] {
        let expected = if body.is_empty() { "Other: empty" } else { expected };
        assert_eq!(look(content_type, "", body.as_bytes()), expected, "{content_type}");
    }
}

#[test]
fn what_is_not_read_has_a_reason_and_keeps_what_came_before() {
    let half = "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n";
    for (content_type, body, expected) in [
        ("", "a=1", "body.media_type_missing (UnknownType): opaque"),
        (" ", "a=1", "body.media_type_missing (UnknownType): opaque"),
        ("json", "{}", "body.media_type_malformed (UnknownType): opaque"),
        ("application/octet-stream", "x", "body.unknown_type (UnknownType): opaque"),
        ("application/json", "[1,2", "json.unexpected_end (Undecodable): json [1,2"),
        ("application/json", "\u{feff}[1]", "json.byte_order_mark (Undecodable): json "),
        ("multipart/form-data; boundary=x", half, "multipart.final_boundary_missing (Undecodable): 1 parts"),
        ("multipart/form-data", half, "multipart.boundary_missing (Undecodable): 0 parts"),
        ("text/xml", "<a>b", "xml.unclosed_element (Undecodable): xml b"),
        ("text/xml", "<!DOCTYPE a><a/>", "xml.dtd (Undecodable): xml "),
        ("application/json; charset=utf-7", "[]", "charset.utf_7 (UnknownType): opaque"),
        ("application/x-www-form-urlencoded; charset=ibm037", "a=1", "charset.unknown (UnknownType): opaque"),
        ("application/x-www-form-urlencoded; charset=utf-16", "a=1", "charset.unknown (UnknownType): opaque"),
        ("text/plain; charset=utf-8; charset=utf-16", "a", "charset.conflict (Undecodable): opaque"),
        ("text/plain; charset =utf-7", "a", "charset.conflict (Undecodable): opaque"),
        ("text/plain; charset=ascii", "é", "charset.invalid (Undecodable): opaque"),
    ] {
        assert_eq!(look(content_type, "", body.as_bytes()), expected, "{content_type} {body}");
    }
    assert_eq!(look("text/plain", "gzip", b"hello"), "decode.corrupt (Undecodable): opaque");
    assert_eq!(look("text/plain", "compress", b"hello"), "decode.unknown_coding (UnknownType): opaque");
    assert_eq!(
        look("text/plain", "gzip", &gzip(&vec![0; 8 << 20])),
        "decode.output_too_long (OverLimit): opaque"
    );
    let limits = BodyLimits { bytes: 4, ..BodyLimits::default() };
    let mut buffers = Buffers::new();
    let long = read(Some(b"text/plain"), None, b"12345", &limits, &mut buffers);
    assert_eq!(words(long), "body.too_long (OverLimit): opaque");
    let limits = BodyLimits { bytes: 64, ..BodyLimits::default() };
    let coded = gzip(&[b'a'; 65]);
    let long = read(Some(b"text/plain"), Some(b"gzip"), &coded, &limits, &mut buffers);
    assert_eq!(words(long), "decode.output_too_long (OverLimit): opaque");
    let deep = "[".repeat(100_000);
    assert!(look("application/json", "", deep.as_bytes()).starts_with("json.too_deep (OverLimit): json [["));
    let pairs = "a=1&".repeat(100_000);
    let form = "application/x-www-form-urlencoded";
    assert_eq!(look(form, "", pairs.as_bytes()), "form.too_many_pairs (OverLimit): form of 1000");
}

#[test]
fn codings_and_charsets_are_undone_before_the_parser() {
    let json = utf_16("{\"é\":1}");
    assert_eq!(look("application/json; charset=utf-16", "", &json), r#"Json: json {"é":1}"#);
    assert_eq!(look("application/json; charset=utf-16", "gzip", &gzip(&json)), r#"Json: json {"é":1}"#);
    assert_eq!(look("application/json", "identity", b"[]"), "Json: json []");
    assert_eq!(look("application/json; charset=iso-8859-1", "", b"[\"\xe9\"]"), "Json: json [\"é\"]");
    assert!(look("application/json", "", &json).starts_with("json.invalid_utf8"), "nothing is guessed");
    assert_eq!(look("text/plain; charset=windows-1252", "", b"\x80"), "Text: text €");
    assert_eq!(look("text/plain", "", &utf_16("é")), "Text: text é");
    assert_eq!(look("text/plain", "gzip", &gzip(b"")), "Text: empty");
    let mut buffers = Buffers::new();
    let body = gzip(b"\xef\xbb\xbfhi");
    let limits = BodyLimits::default();
    match read(Some(b"text/plain; charset=utf-8"), Some(b"gzip"), &body, &limits, &mut buffers) {
        Reading::Parsed(parsed) => {
            assert!(matches!(parsed.content, Content::Text(b"hi")));
            assert_eq!(parsed.bytes, b"\xef\xbb\xbfhi");
            assert!(parsed.flags.decoded && !parsed.flags.transcoded);
        }
        Reading::Unreadable(unreadable) => panic!("{:?}", unreadable.reason),
    }
    match read(Some(b"text/plain"), None, b"caf\xe9", &limits, &mut buffers) {
        Reading::Parsed(parsed) => assert!(parsed.flags.not_utf8),
        Reading::Unreadable(unreadable) => panic!("{:?}", unreadable.reason),
    }
}

#[test]
fn the_charsets_of_an_xml_document_have_to_agree() {
    let declared = |encoding: &str| format!("<?xml version='1.0' encoding='{encoding}'?><a>é</a>");
    let latin: Vec<u8> = declared("iso-8859-1").chars().map(|character| character as u8).collect();
    let ours = "application/xml";
    assert_eq!(look(ours, "", declared("utf-8").as_bytes()), "Xml: xml é");
    assert_eq!(look(ours, "", &latin), "Xml: xml é");
    assert_eq!(look(ours, "", &utf_16(&declared("UTF-16"))), "Xml: xml é");
    assert_eq!(look("text/xml; charset=utf-16", "", &utf_16("<a>é</a>")), "Xml: xml é");
    assert_eq!(look(ours, "", "\u{feff}<a>é</a>".as_bytes()), "Xml: xml é");
    for (content_type, body) in [
        (ours, utf_16(&declared("utf-8"))),
        ("text/xml; charset=utf-8", latin.clone()),
        ("text/xml; charset=iso-8859-1", declared("utf-8").into_bytes()),
        ("text/xml; charset=iso-8859-1", "\u{feff}<a/>".as_bytes().to_vec()),
    ] {
        assert!(
            look(content_type, "", &body).starts_with("charset."),
            "{content_type}: {}",
            look(content_type, "", &body)
        );
    }
    assert!(look(ours, "", declared("utf-7").as_bytes()).starts_with("charset.utf_7"));
    assert!(look(ours, "", declared("ibm037").as_bytes()).starts_with("charset.unknown"));
}

#[test]
fn the_kind_can_be_said_by_who_asks() {
    let mut buffers = Buffers::new();
    let limits = BodyLimits::default();
    let found = read_as(BodyKind::Xml, Some(b"text/plain"), None, b"<a>b</a>", &limits, &mut buffers);
    assert_eq!(words(found), "Xml: xml b");
    let found = read_as(BodyKind::Json, None, None, b"[1]", &limits, &mut buffers);
    assert_eq!(words(found), "Json: json [1]");
}

#[test]
fn memory_is_given_back() {
    let mut buffers = Buffers::new();
    let limits = BodyLimits::default();
    let body = format!("[{}1]", "1,".repeat(100_000));
    assert!(read(Some(b"application/json"), None, body.as_bytes(), &limits, &mut buffers).reason().is_none());
    buffers.shrink(1024);
    assert!(matches!(buffers.reading(body.as_bytes()).content(), Content::Opaque));
    assert_eq!(words(read(Some(b"application/json"), None, b"[1]", &limits, &mut buffers)), "Json: json [1]");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any bytes of any type are read or have a reason, and buffers carry nothing over from one body to the next.
    #[test]
    fn nothing_is_silent_and_nothing_stays(bodies in prop::collection::vec((
        prop::sample::select(vec![
            "", "application/json", "text/xml", "application/x-www-form-urlencoded", "text/plain; charset=utf-16",
            "multipart/form-data; boundary=x", "image/png", "application/json; charset=utf-32le", "text/xml; charset=latin1",
        ]),
        prop::sample::select(vec!["", "gzip", "br", "zstd", "deflate", "identity"]),
        prop::collection::vec(prop::sample::select(b"{}[]\"<>/a=&--x\r\n\0\xff\xfe\x1f\x8b: ".to_vec()), 0..40),
    ), 1..6)) {
        let limits = BodyLimits::default();
        let mut buffers = Buffers::new();
        for (content_type, coding, body) in &bodies {
            let reading = read(Some(content_type.as_bytes()), Some(coding.as_bytes()), body, &limits, &mut buffers);
            if let Reading::Parsed(parsed) = reading {
                prop_assert!(body.is_empty() || !matches!(parsed.content, Content::Opaque));
            }
            let mut fresh = Buffers::new();
            let alone = words(read(Some(content_type.as_bytes()), Some(coding.as_bytes()), body, &limits, &mut fresh));
            prop_assert_eq!(words(buffers.reading(body)), alone);
        }
    }
}
