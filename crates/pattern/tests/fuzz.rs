//! Fuzz targets of the body parsers. `cargo nextest run -p bartizan-pattern --test fuzz` runs each for a second or two on
//! mutations of real bodies and on random bytes; `cargo bolero test -p bartizan-pattern json` runs one for as long as one likes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

#[path = "fuzz/mutate.rs"]
mod mutate;

use std::{ops::ControlFlow, time::Duration};

use bartizan_pattern::body::{
    BodyLimits, Buffers, Content,
    charset::Charset,
    decode::{Coding, DecodeBuffer, DecodeLimits, decode},
    form::{self, Form, FormBuffer, FormLimits},
    json::{JsonLimits, PathStyle, Tape, TapeBuffer, Walker},
    media_type::MediaType,
    multipart::{Multipart, MultipartBuffer, MultipartLimits},
    read,
    xml::{Xml, XmlBuffer, XmlLimits},
};
use bolero::check;
use mutate::mutations;

/// How long a target sees random bytes in a plain run.
const RANDOM: Duration = Duration::from_millis(300);

const JSON: &[&[u8]] = &[
    br#"{"a":[1,-2.5e+10,true,null,"x\u00e9\ud83d\ude00\n"],"b":{"":{"c d":"\\\""}}}"#,
    b"[[[[[[[[]]]]]]]]",
    br#"{"id":1,"id":2}"#,
    b" \t\r\n \"caf\xc3\xa9\" ",
    b"[0,1.0,1E5,0.1e-7,-0]",
];

const FORM: &[&[u8]] = &[b"a=1&b=%41%zz+c&=&&d&e==%", b"q=%u0041&q=%C3%A9&q=%00", b"a[b][]=1;c=2&a.b=%2526"];

const MULTIPART: &[&[u8]] = &[
    b"multipart/form-data; boundary=x\n--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x\r\nContent-Disposition: form-data; name=c\r\n\r\n1\r\n--x--\r\n",
    b"multipart/form-data; boundary=\"a b\"\n--a b\r\nContent-Disposition: form-data; name*=utf-8''%41\r\n folded: x\r\n\r\n\r\n--a b--",
    b"multipart/mixed;boundary=--\n----\n\n----x\r\n------\r\n",
];

const XML: &[&[u8]] = &[
    b"<?xml version=\"1.0\" encoding=\"utf-8\"?><a xmlns:p=\"u\" p:b='c&amp;&#x41;'><!-- d --><e/>f<![CDATA[<g>]]></a>",
    b"<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
    b"<a><b><c>&lt;&gt;&quot;&apos;</c></b><?pi d?></a>",
];

#[test]
fn json() {
    mutations(JSON, json_target);
    check!().with_test_time(RANDOM).for_each(json_target);
}

/// What is read has its spans inside the text and its names in UTF-8; what this reader takes, another one takes, too.
fn json_target(bytes: &[u8]) {
    let mut buffer = TapeBuffer::new();
    let read = Tape::parse(bytes, &JsonLimits::default(), &mut buffer).is_ok();
    let tape = buffer.tape(bytes);
    let mut seen = 0u32;
    let _: ControlFlow<()> = Walker::new().walk(tape, PathStyle::DOTTED, |name, value| {
        assert!(std::str::from_utf8(name).is_ok());
        assert!(value.span().end <= bytes.len() && value.text_span().end <= bytes.len());
        assert!(value.decoded().len() <= value.span().len());
        seen += 1;
        ControlFlow::Continue(())
    });
    assert!(seen as usize <= tape.len());
    if read {
        assert!(tape.root().is_some());
        let other = serde_json::from_slice::<serde::de::IgnoredAny>(bytes);
        let deep = other.as_ref().is_err_and(|error| error.to_string().contains("recursion"));
        assert!(other.is_ok() || deep, "{other:?}: {}", bytes.escape_ascii());
    }
}

#[test]
fn forms() {
    mutations(FORM, form_target);
    check!().with_test_time(RANDOM).for_each(form_target);
}

fn form_target(bytes: &[u8]) {
    let mut buffer = FormBuffer::new();
    let limits = FormLimits::default();
    let _ = Form::parse(bytes, &limits, &mut buffer);
    let mut end = 0;
    for pair in buffer.form(bytes).pairs() {
        assert!(pair.name_span().start >= end && pair.value_span().end <= bytes.len());
        end = pair.value_span().end;
        assert!(pair.name().len() <= pair.raw_name().len() && pair.value().len() <= pair.raw_value().len());
        let invalid = pair.has_invalid_escape();
        let valid = escapes_are_valid(pair.raw_name()) && escapes_are_valid(pair.raw_value());
        assert_eq!(invalid, !valid, "{}", bytes.escape_ascii());
    }
    assert!(form::decode(bytes).len() <= bytes.len());
}

/// Every percent sign is followed by two hexadecimal digits.
fn escapes_are_valid(text: &[u8]) -> bool {
    text.iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'%')
        .all(|(at, _)| text.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)))
}

#[test]
fn parts() {
    mutations(MULTIPART, multipart_target);
    check!().with_test_time(RANDOM).for_each(multipart_target);
}

/// The first line is the `Content-Type`.
fn multipart_target(bytes: &[u8]) {
    let (content_type, body) = first_line(bytes);
    let mut buffer = MultipartBuffer::new();
    let limits = MultipartLimits::default();
    let multipart = Multipart::parse(content_type, body, &limits, &mut buffer);
    assert!(multipart.len() <= limits.parts as usize);
    for part in multipart.parts() {
        assert!(part.data().len() <= body.len());
        for header in part.headers() {
            assert!(header.name.len() + header.value.len() <= body.len());
        }
        let _ = (part.name(), part.filename());
    }
    assert!(!multipart.is_strict() || multipart.error().is_none());
}

#[test]
fn xml() {
    mutations(XML, xml_target);
    check!().with_test_time(RANDOM).for_each(xml_target);
}

/// What is read has no DTD, its nodes are inside the text, and its text is no longer than it.
fn xml_target(bytes: &[u8]) {
    let mut buffer = XmlBuffer::new();
    let limits = XmlLimits::default();
    let read = Xml::parse(bytes, &limits, &mut buffer).is_ok();
    let xml = buffer.xml(bytes);
    assert!(xml.len() <= limits.nodes as usize);
    let mut text = Vec::new();
    xml.text_into(&mut text);
    assert!(text.len() <= bytes.len(), "entities only shrink: {}", bytes.escape_ascii());
    for node in xml.nodes() {
        text.clear();
        node.text_into(&mut text);
        assert!(text.len() <= bytes.len());
    }
    if read {
        assert!(xml.root().is_some());
        xml.nodes().for_each(|node| assert!((node.kind() as usize) < 16));
    }
}

#[test]
fn codings() {
    let text = JSON[0].repeat(20);
    let seeds: Vec<Vec<u8>> = vec![
        [&[0][..], &packed(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default()), &text)]
            .concat(),
        [
            &[1][..],
            &packed(flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default()), &text),
        ]
        .concat(),
        // The empty stream of brotli, and one with stored bytes.
        vec![2, 0x3b],
        vec![2, 0x8b, 0x02, 0x80, b'h', b'e', b'l', b'l', b'o', b'!', 0x03],
        // A frame of zstd with one stored block.
        vec![3, 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x05, 0x29, 0x00, 0x00, b'h', b'e', b'l', b'l', b'o'],
    ];
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    mutations(&seeds, coding_target);
    check!().with_test_time(RANDOM).for_each(coding_target);
}

/// The first byte picks the coding; output stays below its caps, whatever comes.
fn coding_target(bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else { return };
    let coding = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd][usize::from(*first % 4)];
    let limits =
        DecodeLimits { output_bytes: 64 << 10, ratio: 20, ratio_from: 4 << 10, ..DecodeLimits::default() };
    let mut buffer = DecodeBuffer::new();
    let _ = decode(&[coding], body, &limits, &mut buffer);
    let most = limits.output_bytes.min(limits.ratio_from.max(body.len() * limits.ratio as usize));
    assert!(buffer.bytes().len() <= most + (64 << 10), "{} of {}", buffer.bytes().len(), body.len());
    let twice = decode(&[coding, coding], body, &limits, &mut buffer);
    assert!(twice.is_err() || twice.is_ok_and(|bytes| bytes.len() <= limits.output_bytes));
}

fn packed(mut encoder: impl Pack, text: &[u8]) -> Vec<u8> {
    encoder.write_all(text).unwrap();
    encoder.end()
}

trait Pack: std::io::Write {
    fn end(self) -> Vec<u8>;
}

impl Pack for flate2::write::GzEncoder<Vec<u8>> {
    fn end(self) -> Vec<u8> {
        self.finish().unwrap()
    }
}

impl Pack for flate2::write::ZlibEncoder<Vec<u8>> {
    fn end(self) -> Vec<u8> {
        self.finish().unwrap()
    }
}

#[test]
fn charsets() {
    let seeds: &[&[u8]] = &[
        b"utf-16\n\xff\xfea\0b\0\x3d\xd8\0\xde",
        b"utf-32\n\0\0\xfe\xff\0\0\0a",
        b"iso-8859-15\na\xa4\xe9",
        b"utf-8\n\xef\xbb\xbfa\xc3\xa9",
        b"koi8-r\n\xc1\xc2",
    ];
    mutations(seeds, charset_target);
    check!().with_test_time(RANDOM).for_each(charset_target);
}

/// The first line names the charset; what comes out is UTF-8 and no longer than it may be.
fn charset_target(bytes: &[u8]) {
    let (name, text) = first_line(bytes);
    let Ok(charset) = Charset::named(name) else { return };
    let mut out = Vec::new();
    for most in [usize::MAX, 8] {
        if let Ok(decoded) = charset.decode(text, most, &mut out) {
            assert!(std::str::from_utf8(decoded).is_ok(), "{}", bytes.escape_ascii());
            assert!(decoded.len() <= most);
        }
    }
}

#[test]
fn whole_bodies() {
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for (head, bodies) in [
        ("application/json\n\n", JSON),
        ("application/x-www-form-urlencoded; charset=iso-8859-1\n\n", FORM),
        ("text/xml; charset=utf-8\n\n", XML),
        ("text/plain; charset=utf-16\nidentity\n", &[b"\xff\xfea\0" as &[u8]] as &[_]),
    ] {
        seeds.extend(bodies.iter().map(|body| [head.as_bytes(), body].concat()));
    }
    seeds.extend(MULTIPART.iter().map(|body| {
        let (kind, body) = first_line(body);
        [kind, b"\n\n", body].concat()
    }));
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    mutations(&seeds, body_target);
    check!().with_test_time(RANDOM).for_each(body_target);
}

/// The first line is the `Content-Type`, the second the `Content-Encoding`. Nothing is unread without a reason, and
/// what was read can be shown again.
fn body_target(bytes: &[u8]) {
    let (content_type, rest) = first_line(bytes);
    let (coding, body) = first_line(rest);
    let mut buffers = Buffers::new();
    let limits = BodyLimits { bytes: 1 << 20, ..BodyLimits::default() };
    let _ = MediaType::parse(content_type);
    let reading = read(Some(content_type), Some(coding), body, &limits, &mut buffers);
    let told = |reading: bartizan_pattern::body::Reading<'_>| {
        let size = match reading.content() {
            Content::Empty | Content::Opaque => 0,
            Content::Json(tape) => tape.len(),
            Content::Form(form) => form.len(),
            Content::Multipart(multipart) => multipart.len(),
            Content::Xml(xml) => xml.len(),
            Content::Text(text) => text.len(),
        };
        if let Some(reason) = reading.reason() {
            assert!(!reason.code().is_empty() && !reason.to_string().is_empty());
        }
        (size, reading.reason().map(|reason| reason.code()))
    };
    let first = told(reading);
    assert_eq!(told(buffers.reading(body)), first);
    buffers.shrink(1024);
}

/// The bytes before and behind the first LF.
fn first_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}
