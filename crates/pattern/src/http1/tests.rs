//! Heads and bodies: what passes, what is refused, and that the cuts between reads change nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use proptest::prelude::*;

use super::*;

const BOUNDS: HeadBounds = HeadBounds { target_bytes: 64, header_count: 8, header_bytes: 512 };

/// What the scanner said: lengths of heads, bytes of bodies taken together, and the refusal.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    Head(usize, HeadFacts),
    Body(usize),
    Refuse(HeadRefusal),
}

fn follow<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Said>, bool) {
    let mut scanner = Scanner::new(BOUNDS);
    let mut pending = Vec::new();
    let mut said = Vec::new();
    for piece in pieces {
        pending.extend_from_slice(piece);
        loop {
            match scanner.scan(&pending) {
                Progress::NeedMore => break,
                Progress::Head { bytes } => {
                    pending.drain(..bytes);
                    said.push(Said::Head(bytes, scanner.head_facts()));
                }
                Progress::Body { bytes } => {
                    assert!(bytes > 0, "a step without progress");
                    pending.drain(..bytes);
                    match said.last_mut() {
                        Some(Said::Body(total)) => *total += bytes,
                        _ => said.push(Said::Body(bytes)),
                    }
                }
                Progress::Refuse(refusal) => {
                    assert_eq!(scanner.scan(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Progress::Refuse(refusal));
                    said.push(Said::Refuse(refusal));
                    return (said, false);
                }
            }
        }
    }
    (said, pending.is_empty() && scanner.is_idle())
}

fn refusal(request: &str) -> Option<HeadRefusal> {
    match follow([request.as_bytes()]) {
        (said, _) if matches!(said.last(), Some(Said::Refuse(_))) => match said.last() {
            Some(Said::Refuse(refusal)) => Some(*refusal),
            _ => None,
        },
        (_, whole) => {
            assert!(whole, "neither refused nor whole: {request:?}");
            None
        }
    }
}

fn with(fields: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")
}

#[test]
fn requests_that_pass() {
    for request in [
        "GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n".to_owned(),
        "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n".to_owned(),
        "\r\nGET / HTTP/1.1\r\nhost:a\r\n\r\n".to_owned(),
        "GET /a?b=c&d={}|\\^` HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "QUERY /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi".to_owned(),
        "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET http://a.example/x HTTP/1.1\r\nHost: A.example:80\r\n\r\n".to_owned(),
        "GET HTTPS://a.example:443?x HTTP/1.1\r\nHost: a.example\r\n\r\n".to_owned(),
        "GET http://[::1]:8080/ HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: 192.0.2.1:65535\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost:   my_service.internal.   \r\n\r\n".to_owned(),
        with("X: a\tb \u{e9}\r\nEmpty:\r\n"),
        with("Connection: keep-alive, Upgrade,, TE\r\nUpgrade: h2c\r\n"),
        with("Content-Length: 0\r\n"),
        with("Expect: 100-continue\r\n"),
        with("Expect: 200-ok\r\n"),
        with("transfer-ENCODING: Chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n",
        with("Transfer-Encoding: chunked\r\n") + "00A\r\n0123456789\r\n000\r\n\r\n",
        with("Transfer-Encoding: chunked\r\n") + "1;a;b=c;d=\"e\\\"; f\"\r\nx\r\n0;z\r\nChecksum: 1\r\n\r\n",
        with("X_Real: 1\r\nMy-Host: b\r\n"),
    ] {
        assert_eq!(refusal(&request), None, "{request:?}");
    }
}

#[test]
fn heads_that_are_refused() {
    use HeadRefusal::*;
    for (request, expected) in [
        ("\r\n\r\nGET / HTTP/1.1\r\n", EmptyLines),
        ("\nGET / HTTP/1.1\r\n", BareLf),
        (" GET / HTTP/1.1\r\n", Method),
        ("get / HTTP/1.1\r\n", Method),
        ("GEt / HTTP/1.1\r\n", Method),
        ("G(T / HTTP/1.1\r\n", Method),
        ("\u{16}\u{3}\u{1}", Method),
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n", Method),
        ("GET /\r\n", RequestLine),
        ("GET\r\n", RequestLine),
        ("GET / HTTP/1.1 \r\n", RequestLine),
        ("GET / http/1.1\r\n", RequestLine),
        ("GET / HTTP/1.10\r\n", RequestLine),
        ("GET / HTTP/01.1\r\n", RequestLine),
        ("GET / HTTP/1.2\r\n", Version),
        ("GET / HTTP/9.9\r\n", Version),
        ("PRI * HTTP/2.0\r\n", Version),
        ("GET  / HTTP/1.1\r\n", Target),
        ("GET /a b HTTP/1.1\r\n", Target),
        ("GET  HTTP/1.1\r\n", Target),
        ("GET /\t HTTP/1.1\r\n", Target),
        ("GET /é HTTP/1.1\r\n", Target),
        ("GET /#a HTTP/1.1\r\n", Target),
        ("GET /a?b=\"c\" HTTP/1.1\r\n", Target),
        ("GET /a?<b> HTTP/1.1\r\n", Target),
        ("GET * HTTP/1.1\r\n", Target),
        ("GET a HTTP/1.1\r\n", Target),
        ("GET a:80 HTTP/1.1\r\n", Target),
        ("GET ftp://a/ HTTP/1.1\r\n", Target),
        ("GET http:///x HTTP/1.1\r\n", Target),
        ("GET http://u@a/ HTTP/1.1\r\n", Target),
        ("GET http://a%2fb@c/ HTTP/1.1\r\n", Target),
        ("CONNECT a:443 HTTP/1.1\r\n", Connect),
        ("TRACE / HTTP/1.1\r\n", Trace),
        ("GET / HTTP/1.1\nHost: a\n\n", BareLf),
        ("GET / HTTP/1.1\rHost: a\r\n\r\n", BareCr),
        ("GET / HTTP/1.1\r\n\r\n", NoHost),
        ("GET / HTTP/1.0\r\n\r\n", NoHost),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", LeadingSpace),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", HostMismatch),
        ("GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n", HostMismatch),
        ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", TransferEncodingInOldVersion),
    ] {
        assert_eq!(refusal(request), Some(expected), "{request:?}");
    }
}

#[test]
fn fields_that_are_refused() {
    use HeadRefusal::*;
    for (fields, expected) in [
        ("X: a\r\n b\r\n", ObsFold),
        ("X: a\r\n\tb\r\n", ObsFold),
        ("X : a\r\n", SpaceBeforeColon),
        ("X\t: a\r\n", SpaceBeforeColon),
        ("X\r\n", FieldName),
        (": a\r\n", FieldName),
        ("X[: a\r\n", FieldName),
        ("X y: a\r\n", FieldName),
        ("Xé: a\r\n", FieldName),
        ("X: a\0\r\n", FieldValue),
        ("X: a\u{7f}\r\n", FieldValue),
        ("X: a\u{b}\r\n", FieldValue),
        ("X: a\rb\r\n", BareCr),
        ("X: a\r\r\n", BareCr),
        ("X: a\n", BareLf),
        ("Host: a.example\r\n", TwoHosts),
        ("HOST: b\r\n", TwoHosts),
        ("Content-Length:\r\n", ContentLength),
        ("Content-Length: +1\r\n", ContentLength),
        ("Content-Length: -1\r\n", ContentLength),
        ("Content-Length: 1, 1\r\n", ContentLength),
        ("Content-Length: 0x1\r\n", ContentLength),
        ("Content-Length: 01\r\n", ContentLength),
        ("Content-Length: \t1\r\n", ContentLength),
        ("Content-Length: 9223372036854775808\r\n", ContentLength),
        ("Content-Length: 99999999999999999999\r\n", ContentLength),
        ("Content-Length: 1\r\nContent-Length: 1\r\n", TwoContentLengths),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", TwoFramings),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", TwoFramings),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", TwoTransferEncodings),
        ("Transfer-Encoding: gzip\r\n", TransferCoding),
        ("Transfer-Encoding: identity\r\n", TransferCoding),
        ("Transfer-Encoding: gzip, chunked\r\n", TransferEncoding),
        ("Transfer-Encoding: chunked, chunked\r\n", TransferEncoding),
        ("Transfer-Encoding: chunked,\r\n", TransferEncoding),
        ("Transfer-Encoding: chunked;q=1\r\n", TransferEncoding),
        ("Transfer-Encoding: \"chunked\"\r\n", TransferEncoding),
        ("Transfer-Encoding: \tchunked\r\n", TransferEncoding),
        ("Transfer-Encoding: chunked\u{a0}\r\n", TransferEncoding),
        ("Transfer-Encoding:\r\n", TransferEncoding),
        ("Content_Length: 1\r\n", FramingLookAlike),
        ("Transfer_Encoding: chunked\r\n", FramingLookAlike),
        ("transfer--encoding: chunked\r\n", FramingLookAlike),
        ("TransferEncoding: chunked\r\n", FramingLookAlike),
        ("_Host: a\r\n", FramingLookAlike),
        ("Connection: close, Content-Length\r\n", Connection),
        ("Connection: host\r\n", Connection),
        ("Connection: transfer_encoding\r\n", Connection),
        ("Connection: Authorization\r\n", Connection),
        ("Connection: a b\r\n", Connection),
        ("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: 6\r\nG: 7\r\nH: 8\r\n", TooManyFields),
    ] {
        assert_eq!(refusal(&with(fields)), Some(expected), "{fields:?}");
    }
}

#[test]
fn hosts_that_are_refused() {
    for host in [
        "",
        "a,b",
        "a b",
        "a/b",
        "a:",
        "a:0",
        "a:065",
        "a:65536",
        "a:x",
        "a:1:2",
        "u@a",
        "a..b",
        ".a",
        ".",
        "[::1",
        "[::1]x",
        "[::1]:",
        "[fe80::1%25eth0]",
        "[v1.x]",
        "[127.0.0.1]",
        "::1",
        "127.1",
        "0x7f000001",
        "1.2.3.4.5",
        "256.1.1.1",
        "010.0.0.1",
        "a%2eb",
        "a\\b",
        "a?b",
        "a#b",
        "é",
        "a\tb",
        "*",
        "a;b",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(refusal(&request), Some(HeadRefusal::BadHost), "{host:?}");
    }
    assert!(is_authority("api.bank.example:8443") && is_authority("1.2.3.4") && is_authority("a1.b2"));
    assert!(!is_authority("") && !is_authority(&"a".repeat(254)));
}

#[test]
fn bodies_that_are_refused() {
    use HeadRefusal::*;
    for (body, expected) in [
        ("\r\n", ChunkSize),
        ("x\r\n", ChunkSize),
        (" 1\r\n", ChunkSize),
        ("1 \r\n", ChunkSize),
        ("+1\r\n", ChunkSize),
        ("-1\r\n", ChunkSize),
        ("0x1\r\n", ChunkSize),
        ("1_0\r\n", ChunkSize),
        ("1\n", ChunkSize),
        ("00000000000000001\r\n", ChunkSize),
        ("8000000000000000\r\n", ChunkSize),
        ("ffffffffffffffff\r\n", ChunkSize),
        ("1\rx", BareCr),
        ("1;\r\n", ChunkExtension),
        ("1;;a\r\n", ChunkExtension),
        ("1; a\r\n", ChunkExtension),
        ("1;a=\r\n", ChunkExtension),
        ("1;a=b c\r\n", ChunkExtension),
        ("1;a[=b\r\n", ChunkExtension),
        ("1;a=\"b\r\n", ChunkExtension),
        ("1;a=\"b\"c\r\n", ChunkExtension),
        ("1;a\n", ChunkExtension),
        ("1;\0\r\n", ChunkExtension),
        ("1\r\nxy", ChunkEnd),
        ("1\r\nx\n", ChunkEnd),
        ("1\r\nx\ry", ChunkEnd),
        ("0\r\nX: 1\n\r\n", BareLf),
        ("0\r\n X: 1\r\n\r\n", LeadingSpace),
        ("0\r\nX: 1\r\n y\r\n\r\n", ObsFold),
        ("0\r\nX : 1\r\n\r\n", SpaceBeforeColon),
        ("0\r\nX: \0\r\n\r\n", FieldValue),
        ("0\r\nHost: b\r\n\r\n", ForbiddenTrailer),
        ("0\r\nContent-Length: 5\r\n\r\n", ForbiddenTrailer),
        ("0\r\ntransfer_encoding: chunked\r\n\r\n", ForbiddenTrailer),
        ("0\r\nAuthorization: Bearer x\r\n\r\n", ForbiddenTrailer),
        ("0\r\nCookie: a=b\r\n\r\n", ForbiddenTrailer),
        ("0\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n\r\n", TooManyFields),
    ] {
        let request = with("Transfer-Encoding: chunked\r\n") + body;
        assert_eq!(refusal(&request), Some(expected), "{body:?}");
    }
}

#[test]
fn bounds_hold_before_the_line_ends() {
    let long_target = format!("GET /{}", "a".repeat(200));
    assert_eq!(follow([long_target.as_bytes()]).0, [Said::Refuse(HeadRefusal::TargetTooLong)]);
    let over = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(64));
    assert_eq!(refusal(&over), Some(HeadRefusal::TargetTooLong));
    assert_eq!(refusal(&over.replacen("aa", "a", 1)), None);
    let long_field = with(&format!("X: {}", "a".repeat(600)));
    assert_eq!(follow([long_field.as_bytes()]).0, [Said::Refuse(HeadRefusal::HeadTooLarge)]);
    let chunk = "1;a=b\r\nx\r\n".repeat(2000);
    let extensions = with("Transfer-Encoding: chunked\r\n") + &chunk;
    assert_eq!(refusal(&extensions), Some(HeadRefusal::ChunkExtension));
    let trailer = with("Transfer-Encoding: chunked\r\n") + "0\r\nX: " + &"a".repeat(600);
    assert_eq!(refusal(&trailer), Some(HeadRefusal::HeadTooLarge));
    let size_line = with("Transfer-Encoding: chunked\r\n") + "1;a=" + &"b".repeat(300);
    assert_eq!(refusal(&size_line), Some(HeadRefusal::ChunkExtension));
}

#[test]
fn the_next_head_follows_the_body() {
    let first = with("Content-Length: 5\r\n");
    let second = with("Transfer-Encoding: chunked\r\n");
    let stream = format!("{first}GET /{second}3\r\nabc\r\n0\r\n\r\n{}", with(""));
    let (said, whole) = follow([stream.as_bytes()]);
    let facts = |content_length, chunked| HeadFacts { content_length, chunked, ..HeadFacts::default() };
    assert_eq!(
        said,
        [
            Said::Head(first.len(), facts(Some(5), false)),
            Said::Body(5),
            Said::Head(second.len(), facts(None, true)),
            Said::Body(13),
            Said::Head(with("").len(), facts(None, false)),
        ]
    );
    assert!(whole);
    assert!(
        facts(Some(5), false).has_body() && facts(None, true).has_body() && !facts(Some(0), false).has_body()
    );
}

#[test]
fn a_body_ends_where_its_framing_says() {
    let mut scanner = Scanner::new(BOUNDS);
    assert!(scanner.is_idle());
    let head = with("Content-Length: 5\r\nExpect: 100-Continue\r\n");
    assert_eq!(scanner.scan(&head.as_bytes()[..20]), Progress::NeedMore);
    assert!(!scanner.is_idle());
    assert_eq!(scanner.scan(head.as_bytes()), Progress::Head { bytes: head.len() });
    assert!(scanner.head_facts().expect_continue);
    assert_eq!(scanner.scan(b"body"), Progress::Body { bytes: 4 });
    assert!(!scanner.is_idle());
    assert_eq!(scanner.scan(b"xGET"), Progress::Body { bytes: 1 });
    assert!(scanner.is_idle());
    let head = with("Transfer-Encoding: chunked\r\n");
    assert_eq!(scanner.scan(head.as_bytes()), Progress::Head { bytes: head.len() });
    assert_eq!(scanner.scan(b"a\r\n"), Progress::Body { bytes: 3 });
    assert!(!scanner.is_idle());
    assert_eq!(scanner.scan(b"0123456789\r\n0\r\n\r\nGET"), Progress::Body { bytes: 17 });
    assert!(scanner.is_idle());
}

#[test]
fn codes_are_distinct() {
    let codes: std::collections::BTreeSet<_> =
        HeadRefusal::ALL.iter().map(|refusal| refusal.code()).collect();
    assert_eq!(codes.len(), HeadRefusal::ALL.len());
    assert!(codes.iter().all(|code| code.starts_with("ingress.") && !code.starts_with("ingress.path_")));
}

fn crafted() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /a HTTP/1.1\r\nHost: a\r\n",
        "Host: a\r\n",
        "\r\n",
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        "Content-Length: 3\r\n\r\nabc",
        "Content-Length: 3\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "0\r\nX: y\r\n\r\n",
        "3;a=\"b\"\r\n",
        "X: y\r\n",
        " x\r\n",
        ":",
        "\0",
        "abc",
        "f",
        "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "Y: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn cuts_change_nothing(stream in crafted(), valid in any::<bool>()) {
        let mut stream = stream;
        if valid {
            let request = with("Transfer-Encoding: chunked\r\n") + "3;a=\"\\b\"\r\nabc\r\n0\r\nX: y\r\n\r\n" + &with("Content-Length: 4\r\n") + "abcd";
            stream.splice(0..0, request.into_bytes());
        }
        let whole = follow([stream.as_slice()]);
        for cut in 0..=stream.len() {
            let (left, right) = stream.split_at(cut);
            prop_assert_eq!(&follow([left, right]), &whole, "cut at {}", cut);
        }
        prop_assert_eq!(&follow(stream.chunks(1)), &whole);
        prop_assert_eq!(&follow(stream.chunks(7)), &whole);
    }

    #[test]
    fn any_bytes_are_answered(stream in prop::collection::vec(any::<u8>(), 0..300)) {
        follow([stream.as_slice()]);
    }
}
