//! Bodies that are right, each irregularity by its flag, each error at its line, and limits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use proptest::prelude::*;

use super::*;

const TYPE: &str = "multipart/form-data; boundary=xyz";

fn read<'a>(content_type: &str, body: &'a str, buffer: &'a mut MultipartBuffer) -> Multipart<'a> {
    Multipart::parse(content_type.as_bytes(), body.as_bytes(), &MultipartLimits::default(), buffer)
}

/// A body of one part with these header lines.
fn with_headers(headers: &str) -> String {
    format!("--xyz\r\n{headers}\r\n\r\nvalue\r\n--xyz--\r\n")
}

fn outcome(content_type: &str, body: &str) -> (Option<MultipartProblem>, Vec<MultipartFlag>, usize) {
    let mut buffer = MultipartBuffer::new();
    let found = read(content_type, body, &mut buffer);
    (found.error().map(|error| error.problem), found.flags().iter().collect(), found.len())
}

#[test]
fn a_form_is_read_with_every_place() {
    let body = "--xyz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nfirst\r\nline\r\n--xyz\r\ncontent-disposition: \
                form-data; name=\"f\"; filename=\"C:\\dir\\x \\\"y\\\".txt\"\r\nContent-Type:  text/plain \r\n\r\n\0data\
                \r\n--xyz\r\nContent-Disposition: form-data; name=b\r\n\r\n\r\n--xyz--\r\n";
    let mut buffer = MultipartBuffer::new();
    let form = read(TYPE, body, &mut buffer);
    assert!(form.is_strict(), "{:?} {:?}", form.error(), form.flags());
    assert!(form.flags().is_empty() && form.is_complete());
    assert_eq!(form.unmatched_boundary(), 2);
    let parts: Vec<_> = form.parts().collect();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[0].name().unwrap().as_ref(), b"a");
    assert_eq!(parts[0].data(), b"first\r\nline");
    assert_eq!(&body[parts[0].data_span()], "first\r\nline");
    assert_eq!(&body[parts[0].name_span().unwrap()], "a");
    assert!(parts[0].filename().is_none() && !parts[0].is_file());
    assert!(parts[1].is_file());
    assert_eq!(parts[1].filename().unwrap().as_ref(), br#"C:\dir\x "y".txt"#);
    assert_eq!(parts[1].header("content-type"), Some(b"text/plain".as_slice()));
    assert_eq!(parts[1].headers().nth(1).unwrap().line, b"Content-Type:  text/plain ");
    assert_eq!(parts[1].data(), b"\0data");
    assert_eq!(parts[2].name().unwrap().as_ref(), b"b");
    assert_eq!(parts[2].data(), b"");
}

#[test]
fn every_irregularity_has_its_flag() {
    use MultipartFlag::*;
    let named = with_headers("Content-Disposition: form-data; name=\"a\"");
    let disposition = |text: &str| with_headers(&format!("Content-Disposition: form-data; {text}"));
    let cases: Vec<(&str, String, Vec<MultipartFlag>)> = vec![
        (TYPE, named.clone(), vec![]),
        ("multipart/form-data; boundary=\"xyz\"", named.clone(), vec![BoundaryQuoted]),
        ("multipart/form-data; boundary =xyz", named.clone(), vec![BoundaryWhitespace]),
        ("multipart/form-data boundary=xyz", named.clone(), vec![MissingSemicolon]),
        ("multipart/form-data; charset=utf-8; boundary=xyz", named.clone(), vec![]),
        (TYPE, format!("\r\n{named}"), vec![DataBefore]),
        (TYPE, format!("{named}\r\n"), vec![DataAfter]),
        (TYPE, named.trim_end().to_owned(), vec![]),
        (TYPE, disposition("\r\n name=\"a\""), vec![HeaderFolding]),
        (TYPE, disposition("\r\n\u{b}name=\"a\""), vec![HeaderFolding, InvalidHeaderFolding]),
        (TYPE, named.replace("\r\n", "\n"), vec![LfLine]),
        (TYPE, named.replacen("\r\n", "\n", 1), vec![LfLine, CrlfLfLines]),
        (TYPE, named.replace("value\r\n", "value\n"), vec![LfLine, CrlfLfLines]),
        (TYPE, disposition("name='a'"), vec![InvalidQuoting]),
        (TYPE, disposition("name=a'b"), vec![InvalidQuoting]),
        (TYPE, disposition("name=\"a'b\""), vec![]),
        (TYPE, disposition("name=\"a\";"), vec![]),
        (TYPE, format!("x\n{named}"), vec![DataBefore, LfLine, CrlfLfLines]),
        (TYPE, named.replace("value", "--xy"), vec![UnmatchedBoundary]),
        (TYPE, named.replace("value", "a--xyz"), vec![UnmatchedBoundary]),
        (TYPE, named.replace("value", "--"), vec![UnmatchedBoundary]),
        (TYPE, named.replace("value", "a\r\n-- b"), vec![UnmatchedBoundary]),
    ];
    for (content_type, body, flags) in cases {
        assert_eq!(outcome(content_type, &body), (None, flags.clone(), 1), "{content_type} {body:?}");
        let mut buffer = MultipartBuffer::new();
        let lenient = flags.iter().all(|flag| *flag == UnmatchedBoundary);
        assert_eq!(read(content_type, &body, &mut buffer).is_strict(), lenient, "{body:?}");
    }
    let twice =
        named.replace("--xyz--", "--xyz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n2\r\n--xyz--");
    assert_eq!(outcome(TYPE, &twice), (None, vec![DuplicateName], 2));
}

#[test]
fn every_error_is_named_and_its_part_is_still_seen() {
    use MultipartFlag::{ExtendedFilename, HeaderFolding as Folding, InvalidPart, InvalidQuoting};
    use MultipartProblem::*;
    let disposition = |text: &str| with_headers(&format!("Content-Disposition: {text}"));
    let named = "Content-Disposition: form-data; name=\"a\"";
    let cases: Vec<(String, MultipartProblem, Vec<MultipartFlag>)> = vec![
        (with_headers("X: 1"), DispositionMissing, vec![InvalidPart]),
        (with_headers(&format!("{named}\r\nno colon")), HeaderColon, vec![]),
        (with_headers(&format!("{named}\r\n: 1")), HeaderName, vec![]),
        (with_headers(&format!("{named}\r\na b: 1")), HeaderName, vec![]),
        (with_headers(&format!("{named}\r\nx: a\0b")), HeaderNul, vec![]),
        (
            with_headers(&format!("{named}\r\ncontent-disposition: form-data; name=b")),
            HeaderDuplicate,
            vec![],
        ),
        (with_headers(&format!(" x: 1\r\n{named}")), HeaderFolding, vec![Folding]),
        (disposition("form-data"), NameMissing, vec![InvalidPart]),
        (disposition("form-data; name=\"\""), NameMissing, vec![InvalidPart]),
        (disposition("attachment; name=\"a\""), Disposition, vec![InvalidPart]),
        (disposition("form-data; name=\"a\"; name=\"b\""), Disposition, vec![InvalidPart]),
        (
            disposition("form-data; name=\"a\"; filename=\"a\"; filename=\"b\""),
            Disposition,
            vec![InvalidPart],
        ),
        (disposition("form-data; name=\"a\"; size=1"), Disposition, vec![InvalidPart]),
        (
            disposition("form-data; name=\"a\"; filename*=utf-8''a.php"),
            Disposition,
            vec![InvalidPart, ExtendedFilename],
        ),
        (disposition("form-data; name=\"a\"; filename =\"a.php\""), Disposition, vec![InvalidPart]),
        (disposition("form-data; name=\"a\"; FileName=\"a.php\""), Disposition, vec![InvalidPart]),
        (disposition("form-data; name=\"a\"b\""), Disposition, vec![InvalidQuoting, InvalidPart]),
        (disposition("form-data; name=\"a"), Disposition, vec![InvalidPart]),
        (disposition("form-data; name=\"a\"; b"), Disposition, vec![InvalidPart]),
        (
            disposition("form-data; name=\"a\"").replace("value", "").replacen("\r\n\r\n\r\n", "\r\n\r\n", 1),
            BodyMissing,
            vec![InvalidPart],
        ),
        (disposition("form-data; name=\"a\"").replace("\r\n\r\nvalue", ""), BodyMissing, vec![InvalidPart]),
    ];
    for (body, problem, flags) in cases {
        assert_eq!(outcome(TYPE, &body), (Some(problem), flags, 1), "{body:?}");
    }
    let mut buffer = MultipartBuffer::new();
    let body = disposition("form-data; name=\"a\"; filename*=utf-8''a.php");
    let found = read(TYPE, &body, &mut buffer);
    assert_eq!(found.error().unwrap().offset, 7, "the line that is wrong");
    let part = found.parts().next().unwrap();
    assert_eq!(part.extended_filename(), Some(b"utf-8''a.php".as_slice()));
    assert_eq!(part.data(), b"value");
}

#[test]
fn boundaries_that_readers_disagree_on_are_errors() {
    use MultipartProblem::*;
    let body = with_headers("Content-Disposition: form-data; name=\"a\"");
    let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
    let cases: Vec<(&str, MultipartProblem, usize)> = vec![
        ("multipart/form-data", BoundaryMissing, 0),
        ("multipart/form-data; boundary=", BoundaryLength, 0),
        (&long, BoundaryLength, 0),
        ("multipart/form-data; boundary=xyz; boundary=abc", BoundaryDuplicate, 0),
        ("multipart/form-data; boundary=aboundary=xyz", BoundaryDuplicate, 0),
        ("multipart/form-data; Boundary=xyz", BoundaryCase, 1),
        ("multipart/form-data; boundary= xyz", BoundaryCharacters, 1),
        ("multipart/form-data; boundary=\"xyz", BoundaryQuote, 0),
        ("multipart/form-data; boundary=xyz\"", BoundaryQuote, 0),
        ("multipart/form-data; boundary=xyz; junk", ContentTypeMalformed, 1),
        ("multipart/form-data, text/plain; boundary=xyz", ContentTypeMalformed, 0),
        ("text/plain; boundary=xyz", NotMultipart, 0),
    ];
    for (content_type, problem, parts) in cases {
        let found = outcome(content_type, &body);
        assert_eq!((found.0, found.2), (Some(problem), parts), "{content_type}");
    }
    // Of webkit's boundaries the word is a part, without an equals sign.
    let body = body.replace("xyz", "----WebKitFormBoundaryAbc");
    let webkit = "multipart/form-data; boundary=----WebKitFormBoundaryAbc";
    assert_eq!(outcome(webkit, &body), (None, vec![], 1));
    let odd = "multipart/form-data; boundary=x<y";
    let body = with_headers("Content-Disposition: form-data; name=\"a\"").replace("xyz", "x<y");
    assert_eq!(outcome(odd, &body), (Some(BoundaryCharacters), vec![], 1));
}

#[test]
fn lines_that_are_almost_boundaries_are_errors() {
    use MultipartProblem::*;
    let body = with_headers("Content-Disposition: form-data; name=\"a\"");
    let quoted = "multipart/form-data; boundary=\"xyz\"";
    let cases = [
        (TYPE, "--xyz \r\n", BoundaryLine, b"value".as_slice()),
        (TYPE, "--xyzA\r\n", BoundaryLine, b"value\r\n--xyzA\r\nrest"),
        (TYPE, "-- xyz\r\n", BoundaryLineDecorated, b"value\r\n-- xyz\r\nrest"),
        (quoted, "--\"xyz\"\r\n", BoundaryLineDecorated, b"value\r\n--\"xyz\"\r\nrest"),
    ];
    for (content_type, line, problem, data) in cases {
        let body = body.replace("value\r\n", &format!("value\r\n{line}rest\r\n"));
        let mut buffer = MultipartBuffer::new();
        let found = read(content_type, &body, &mut buffer);
        assert_eq!(found.error().unwrap().problem, problem, "{line:?}");
        assert_eq!(found.parts().next().unwrap().data(), data, "{line:?}");
    }
    for (body, problem, parts) in [
        ("", NoBoundaryLine, 0),
        ("data\r\n", NoBoundaryLine, 0),
        ("--xyz--", NoBoundaryLine, 0),
        ("--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\nvalue", FinalBoundaryMissing, 1),
        ("--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\nvalue\r\n--xyz", FinalBoundaryMissing, 1),
    ] {
        let found = outcome(TYPE, body);
        assert_eq!((found.0, found.2), (Some(problem), parts), "{body:?}");
    }
}

#[test]
fn other_multiparts_need_no_names() {
    let body = "--xyz\r\nContent-Type: application/json\r\n\r\n{}\r\n--xyz\r\n\r\nplain\r\n--xyz--\r\n";
    let mut buffer = MultipartBuffer::new();
    let found = read("multipart/mixed; boundary=xyz", body, &mut buffer);
    assert!(found.is_strict());
    let data: Vec<_> = found.parts().map(Part::data).collect();
    assert_eq!(data, [b"{}".as_slice(), b"plain"]);
}

#[test]
fn limits_end_the_reading_or_are_flagged() {
    use MultipartProblem::*;
    let limits = MultipartLimits { parts: 2, files: 1, headers: 2, header_bytes: 64 };
    let part =
        |disposition: &str| format!("--xyz\r\nContent-Disposition: form-data; {disposition}\r\n\r\n1\r\n");
    let body = |parts: &[String]| format!("{}--xyz--\r\n", parts.concat());
    let mut buffer = MultipartBuffer::new();
    let mut outcome = |body: &str| {
        let found = Multipart::parse(TYPE.as_bytes(), body.as_bytes(), &limits, &mut buffer);
        (found.error().map(|error| error.problem), found.len(), found.flags())
    };
    let (a, b, c) = (part("name=a"), part("name=b"), part("name=c"));
    assert_eq!(outcome(&body(&[a.clone(), b.clone()])).0, None);
    let over = outcome(&body(&[a.clone(), b, c]));
    assert_eq!((over.0, over.1), (Some(TooManyParts), 2));
    let files = [part("name=a; filename=\"1\""), part("name=b; filename=\"2\"")];
    assert!(!outcome(&body(&files[..1])).2.contains(MultipartFlag::FileLimitExceeded));
    assert!(outcome(&body(&files)).2.contains(MultipartFlag::FileLimitExceeded));
    assert_eq!(
        outcome(&with_headers("Content-Disposition: form-data; name=a\r\nB: 1\r\nC: 1")).0,
        Some(TooManyHeaders)
    );
    assert_eq!(
        outcome(&with_headers(&format!("Content-Disposition: form-data; name={}", "a".repeat(64)))).0,
        Some(HeaderTooLong)
    );
    let folded = format!("Content-Disposition: form-data;\r\n name=a\r\nX: 1\r\n {}", "a".repeat(64));
    assert_eq!(outcome(&with_headers(&folded)).0, Some(HeaderTooLong));
    // A hundred thousand parts end at the limit.
    let many = part("name=a").repeat(100_000);
    let found = outcome(&many);
    assert_eq!((found.0, found.1), (Some(TooManyParts), 2));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any names and data come back, whatever dashes and line ends are in the data.
    #[test]
    fn what_is_written_comes_back(parts in prop::collection::vec(("[a-z]{1,4}", "[-xyz\r\na]{0,20}"), 1..6)) {
        let body: String = parts.iter().map(|(name, data)| {
            format!("--0xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{data}\r\n")
        }).collect();
        let body = body + "--0xyz--\r\n";
        let mut buffer = MultipartBuffer::new();
        let found = read("multipart/form-data; boundary=0xyz", &body, &mut buffer);
        prop_assert!(found.is_strict(), "{:?}", found.error());
        prop_assert_eq!(found.len(), parts.len());
        for (ours, (name, data)) in found.parts().zip(&parts) {
            prop_assert_eq!(ours.name().unwrap().into_owned(), name.as_bytes());
            prop_assert_eq!(ours.data(), data.as_bytes());
        }
    }

    /// Pieces in any order end, with spans inside the bytes and no part over another.
    #[test]
    fn any_pieces_end(pieces in prop::collection::vec(prop::sample::select(vec![
        "--xyz\r\n", "--xyz", "--", "\r\n", "\n", "Content-Disposition: form-data; name=\"a\"", "; filename=", "'", "\"",
        "\\", " ", "\0", ":", "a", "--xyz--\r\n", "\u{b}",
    ]), 0..20)) {
        let body = pieces.concat();
        let mut buffer = MultipartBuffer::new();
        let found = read(TYPE, &body, &mut buffer);
        let mut last = 0;
        for part in found.parts() {
            prop_assert!(part.span().start >= last);
            prop_assert!(part.data_span().start <= part.data_span().end);
            last = part.span().end;
            prop_assert!(last <= body.len());
            for header in part.headers() {
                prop_assert!(header.line.len() >= header.value.len());
            }
            let _ = (part.name(), part.filename());
        }
        if found.error().is_none() {
            prop_assert!(found.is_complete());
        }
    }
}
