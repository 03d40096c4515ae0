//! The tape against another reader on any document, every limit and error at its place, and what the walk names.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::{convert::Infallible, ops::ControlFlow};

use proptest::prelude::*;

use super::*;

fn read<'a>(text: &'a str, buffer: &'a mut TapeBuffer) -> Tape<'a> {
    Tape::parse(text.as_bytes(), &JsonLimits::default(), buffer).unwrap()
}

fn refuse(bytes: &[u8], limits: &JsonLimits) -> (JsonProblem, usize) {
    let error = Tape::parse(bytes, limits, &mut TapeBuffer::new()).unwrap_err();
    (error.problem, error.offset)
}

/// The same document as another library's value. Later keys win in both.
fn same(value: Value<'_>, other: &serde_json::Value) -> bool {
    match other {
        serde_json::Value::Null => value.is_null(),
        serde_json::Value::Bool(truth) => value.as_bool() == Some(*truth),
        serde_json::Value::Number(number) => value.as_number().is_some_and(|text| {
            let (ours, theirs) = (text.parse::<f64>().unwrap(), number.to_string().parse::<f64>().unwrap());
            // The other reader rounds the last digits of long numbers.
            ours == theirs || (ours - theirs).abs() <= ours.abs() * 1e-14 || (ours - theirs).abs() < 1e-300
        }),
        serde_json::Value::String(text) => value.as_str().as_deref() == Some(text),
        serde_json::Value::Array(items) => {
            value.kind() == Kind::Array
                && value.len() == items.len()
                && value.items().zip(items).all(|(ours, theirs)| same(ours, theirs))
        }
        serde_json::Value::Object(entries) => {
            value.kind() == Kind::Object
                && (value.len() == entries.len() || value.has_duplicate_keys())
                && entries.iter().all(|(key, theirs)| value.get(key).is_some_and(|ours| same(ours, theirs)))
        }
    }
}

fn document() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        ".{0,40}".prop_map(serde_json::Value::from),
        "[\"\\\\/a-z\u{0}-\u{1f}\u{10000}-\u{10010}]{0,12}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(5, 60, 30, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(serde_json::Value::from),
            prop::collection::vec((".{0,6}", inner), 0..30)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_document_reads_as_another_reader_reads_it(value in document(), pretty in any::<bool>()) {
        let text = match pretty {
            true => serde_json::to_string_pretty(&value).unwrap(),
            false => value.to_string(),
        };
        let mut buffer = TapeBuffer::new();
        let tape = read(&text, &mut buffer);
        prop_assert!(same(tape.root().unwrap(), &value), "{text}");
        prop_assert!(tape.duplicate_key().is_none());
    }

    /// Pieces of JSON in any order: both readers agree on what is a document, and spans are what they say.
    #[test]
    fn what_is_accepted_is_what_another_reader_accepts(pieces in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "[", "]", ",", ":", "\"a\"", "\"\\u0061\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "1", "-0.5e3", "01",
        "true", "nul", " ", "\n", "\"", "\\", "\u{e9}", "\t", "\"k\":", "[]", "{}", "\"\\x\"",
    ]), 0..9)) {
        let text = pieces.concat();
        let mut buffer = TapeBuffer::new();
        let ours = Tape::parse(text.as_bytes(), &JsonLimits::default(), &mut buffer);
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        match (ours, theirs) {
            (Ok(tape), Ok(value)) => {
                prop_assert!(same(tape.root().unwrap(), &value));
                let mut next = 0;
                while let Some(value) = tape.value(next) {
                    let source = std::str::from_utf8(value.source()).unwrap();
                    prop_assert!(serde_json::from_str::<serde_json::Value>(source).is_ok(), "{source}");
                    next += 1;
                }
            }
            (Err(error), Err(_)) => prop_assert!(error.offset <= text.len()),
            // Here numbers are text and have no range.
            (Ok(_), Err(error)) if error.to_string().contains("out of range") => {}
            (ours, theirs) => prop_assert!(false, "{text:?}: {ours:?} {theirs:?}"),
        }
    }

    /// A document with some bytes changed: both readers still agree on whether it is one.
    #[test]
    fn what_is_damaged_is_refused_by_both(
        value in document(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0u8..3, any::<u8>()), 1..4),
    ) {
        let mut bytes = value.to_string().into_bytes();
        for (at, how, byte) in changes {
            let at = at.index(bytes.len() + 1).min(bytes.len());
            match how {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                _ if at < bytes.len() => drop(bytes.remove(at)),
                _ => {}
            }
        }
        let mut buffer = TapeBuffer::new();
        let ours = Tape::parse(&bytes, &JsonLimits::default(), &mut buffer);
        match (&ours, serde_json::from_slice::<serde_json::Value>(&bytes)) {
            (Ok(tape), Ok(value)) => prop_assert!(same(tape.root().unwrap(), &value)),
            // Here numbers are text and have no range.
            (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("out of range"), "{error}"),
            (Err(error), Ok(_)) => prop_assert!(false, "{error}"),
            (Err(_), Err(_)) => {}
        }
    }

    /// Any bytes end in a document or an error inside them, and what came before can be walked.
    #[test]
    fn any_bytes_end(bytes in prop::collection::vec(prop::sample::select(b"{}[],:\"\\u0d8efn1 .-\xc3\xa9".to_vec()), 0..60)) {
        let mut buffer = TapeBuffer::new();
        if let Err(error) = Tape::parse(&bytes, &JsonLimits::default(), &mut buffer) {
            prop_assert!(error.offset <= bytes.len());
        }
        let mut values = 0;
        let _: ControlFlow<Infallible> = Walker::new().walk(buffer.tape(&bytes), PathStyle::DOTTED, |path, value| {
            assert!(path.starts_with(b"json"));
            assert!(value.span().end <= bytes.len());
            values += 1;
            ControlFlow::Continue(())
        });
        prop_assert!(values <= bytes.len());
    }
}

#[test]
fn an_error_names_the_byte_and_the_reason() {
    use JsonProblem::*;
    let cases: [(&[u8], JsonProblem, usize); 26] = [
        (b"", UnexpectedEnd, 0),
        (b" ", UnexpectedEnd, 1),
        (b"\xef\xbb\xbf{}", ByteOrderMark, 0),
        (b"{} {}", TrailingBytes, 3),
        (b"[1,]", ExpectedValue, 3),
        (b"[1 2]", ExpectedCommaOrEnd, 3),
        (b"[1}", ExpectedCommaOrEnd, 2),
        (b"{,}", ExpectedKey, 1),
        (b"{\"a\":1,}", ExpectedKey, 7),
        (b"{'a':1}", ExpectedKey, 1),
        (b"{\"a\" 1}", ExpectedColon, 5),
        (b"[01]", InvalidNumber, 2),
        (b"[-]", InvalidNumber, 2),
        (b"[1.]", InvalidNumber, 3),
        (b"[1e+]", InvalidNumber, 4),
        (b"1.", UnexpectedEnd, 2),
        (b"[NaN]", ExpectedValue, 1),
        (b"[trux]", InvalidLiteral, 1),
        (b"[tru", UnexpectedEnd, 1),
        (b"[\"a\nb\"]", ControlInString, 3),
        (b"[\"\\x\"]", InvalidEscape, 2),
        (b"[\"\\u00g0\"]", InvalidEscape, 6),
        (b"[\"\\udc00\"]", LoneSurrogate, 2),
        (b"[\"\\ud800\\u0041\"]", LoneSurrogate, 2),
        (b"[\"\xff\"]", InvalidUtf8, 2),
        (b"{} \xff", InvalidUtf8, 3),
    ];
    for (bytes, problem, offset) in cases {
        let found = refuse(bytes, &JsonLimits::default());
        assert_eq!(found, (problem, offset), "{}", String::from_utf8_lossy(bytes));
        assert!(!problem.is_limit());
    }
    // The first thing that is wrong is named, though all bytes are checked to be UTF-8 first.
    assert_eq!(refuse(b"[1 2] \xff", &JsonLimits::default()), (ExpectedCommaOrEnd, 3));
}

#[test]
fn each_limit_is_exact() {
    use JsonProblem::*;
    let limits = JsonLimits {
        depth: 3,
        nodes: 8,
        keys: 2,
        string_bytes: 4,
        number_bytes: 3,
        path_bytes: 6,
        double_range: true,
    };
    let fine =
        ["[[[1]]]", "[1,2,3,4,5,6,7]", r#"{"a":1,"b":2}"#, r#""abcd""#, "123", r#"{"abcd":{"ef":[1]}}"#];
    for text in fine {
        Tape::parse(text.as_bytes(), &limits, &mut TapeBuffer::new()).expect(text);
    }
    let over = [
        ("[[[[1]]]]", TooDeep, 3),
        ("[1,2,3,4,5,6,7,8]", TooManyNodes, 15),
        (r#"{"a":1,"b":2,"c":3}"#, TooManyKeys, 13),
        (r#"["abcde"]"#, StringTooLong, 1),
        (r#"{"abcde":1}"#, StringTooLong, 1),
        ("[1234]", NumberTooLong, 1),
        (r#"{"abcd":{"efg":1}}"#, PathTooLong, 9),
    ];
    for (text, problem, offset) in over {
        assert_eq!(refuse(text.as_bytes(), &limits), (problem, offset), "{text}");
        assert!(problem.is_limit());
    }
    // Keys of objects side by side are not added up.
    Tape::parse(br#"[{"abcd":1},{"abcd":1}]"#, &limits, &mut TapeBuffer::new()).unwrap();
}

#[test]
fn numbers_are_those_that_a_double_holds() {
    let largest = "17976931348623157".to_owned() + &"0".repeat(292);
    let wide = JsonLimits { number_bytes: 1024, ..JsonLimits::default() };
    for fine in ["1e308", "-1.7976931348623157e308", "1e-400", "0e999999", "9007199254740993", &largest] {
        Tape::parse(fine.as_bytes(), &wide, &mut TapeBuffer::new()).expect(fine);
    }
    let digits = "2".to_owned() + &"0".repeat(308);
    for beyond in ["1e309", "-1e309", "1.8E+308", "123e99999999999999999999", &digits] {
        assert_eq!(refuse(beyond.as_bytes(), &wide).0, JsonProblem::NumberTooLarge, "{beyond}");
        let any = JsonLimits { double_range: false, ..wide };
        Tape::parse(beyond.as_bytes(), &any, &mut TapeBuffer::new()).expect(beyond);
    }
}

#[test]
fn no_depth_of_nesting_is_a_danger() {
    let deep = "[".repeat(100_000);
    assert_eq!(refuse(deep.as_bytes(), &JsonLimits::default()), (JsonProblem::TooDeep, 512));
    let limits = JsonLimits { depth: 200_000, ..JsonLimits::default() };
    let closed = deep + &"]".repeat(100_000);
    let mut buffer = TapeBuffer::new();
    let tape = Tape::parse(closed.as_bytes(), &limits, &mut buffer).unwrap();
    assert_eq!(tape.len(), 100_000);
    let mut longest = 0;
    let _: ControlFlow<Infallible> = Walker::new().walk(tape, PathStyle::DOTTED, |path, _| {
        longest = longest.max(path.len());
        ControlFlow::Continue(())
    });
    assert_eq!(longest, "json".len() + ".0".len() * 99_999);
}

#[test]
fn a_key_that_comes_twice_is_found_however_it_is_written() {
    let mut buffer = TapeBuffer::new();
    let tape = read(r#"{"x":{"id":1,"b":2,"\u0069d":3},"y":0}"#, &mut buffer);
    let key = tape.duplicate_key().unwrap();
    assert_eq!(key.source(), br#""\u0069d""#);
    let root = tape.root().unwrap();
    assert!(!root.has_duplicate_keys());
    let inner = root.get("x").unwrap();
    assert!(inner.has_duplicate_keys());
    assert_eq!(inner.get("id").unwrap().as_number(), Some("3"), "the last one counts");
    assert_eq!(inner.len(), 3);
    for keys in [2, 16, 17, 18, 1000] {
        let mut names: Vec<String> = (0..keys).map(|number| format!("\"key{number}\":0")).collect();
        let mut buffer = TapeBuffer::new();
        let different = format!("{{{}}}", names.join(","));
        assert!(read(&different, &mut buffer).duplicate_key().is_none());
        names[keys - 1] = "\"ke\\u00790\":1".to_owned();
        let twice = format!("[{{{}}}]", names.join(","));
        let mut buffer = TapeBuffer::new();
        let key = read(&twice, &mut buffer).duplicate_key().unwrap();
        assert_eq!(key.as_str().unwrap(), "key0", "{keys} keys");
    }
}

#[test]
fn strings_are_decoded_when_asked_for() {
    let mut buffer = TapeBuffer::new();
    let tape = read(r#"["plain é","\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\u0000 end"]"#, &mut buffer);
    let items: Vec<_> = tape.root().unwrap().items().collect();
    assert!(matches!(items[0].decoded(), std::borrow::Cow::Borrowed(b"plain \xc3\xa9")));
    assert_eq!(items[0].text_span(), 2..10);
    assert_eq!(items[0].span(), 1..11);
    assert_eq!(items[1].as_str().unwrap(), "\"\\/\u{8}\u{c}\n\r\té😀\0 end");
    assert!(items[1].as_number().is_none());
}

#[test]
fn the_walk_names_every_value() {
    let text = r#"{"items":[{"sku":"A"},{"sku":null},[]],"a.b":{"":true},"n":-1.50}"#;
    let mut buffer = TapeBuffer::new();
    let tape = read(text, &mut buffer);
    let mut walker = Walker::new();
    let mut names = |style| {
        let mut names = Vec::new();
        let _: ControlFlow<Infallible> = walker.walk(tape, style, |path, value| {
            let path = String::from_utf8(path.to_vec()).unwrap();
            let text = match value.kind() {
                Kind::Array | Kind::Object => format!("{:?} of {}", value.kind(), value.len()),
                _ => String::from_utf8(value.decoded().into_owned()).unwrap(),
            };
            names.push(format!("{path}={text}"));
            ControlFlow::Continue(())
        });
        names
    };
    assert_eq!(
        names(PathStyle::DOTTED),
        [
            "json=Object of 3",
            "json.items=Array of 3",
            "json.items.0=Object of 1",
            "json.items.0.sku=A",
            "json.items.1=Object of 1",
            "json.items.1.sku=null",
            "json.items.2=Array of 0",
            "json.a.b=Object of 1",
            "json.a.b.=true",
            "json.n=-1.50",
        ]
    );
    assert_eq!(names(PathStyle::ARRAYS)[3], "json.items.array_0.sku=A");
}

#[test]
fn what_came_before_an_error_can_be_walked() {
    let text = br#"{"a":[1,"x",{"b":2,"c"#;
    let mut buffer = TapeBuffer::new();
    Tape::parse(text, &JsonLimits::default(), &mut buffer).unwrap_err();
    let tape = buffer.tape(text);
    let mut names = Vec::new();
    let _: ControlFlow<Infallible> = Walker::new().walk(tape, PathStyle::DOTTED, |path, _| {
        names.push(String::from_utf8(path.to_vec()).unwrap());
        ControlFlow::Continue(())
    });
    assert_eq!(names, ["json", "json.a", "json.a.0", "json.a.1", "json.a.2", "json.a.2.b"]);
    assert_eq!(tape.root().unwrap().span(), 0..text.len());
    assert!(buffer.tape(b"other").is_empty(), "bytes of another length are not what was read");
}

#[test]
fn a_buffer_is_used_again() {
    let mut buffer = TapeBuffer::new();
    assert!(read(r#"{"a":1,"a":2}"#, &mut buffer).duplicate_key().is_some());
    let tape = read("[7]", &mut buffer);
    assert!(tape.duplicate_key().is_none());
    assert_eq!(tape.root().unwrap().item(0).unwrap().as_number(), Some("7"));
    let long = format!("[{}0]", "[1,{\"a\":2}],".repeat(500));
    read(&long, &mut buffer);
    let room = (buffer.nodes.capacity(), buffer.open.capacity());
    read(&long, &mut buffer);
    assert_eq!((buffer.nodes.capacity(), buffer.open.capacity()), room, "nothing is allocated again");
    buffer.shrink(0);
    assert!(buffer.tape(b"[7]").is_empty());
}
