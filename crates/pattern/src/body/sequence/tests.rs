//! Every sequence is cut alike, however its bytes come.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests assert")]

use super::*;

/// The items of a body that comes in pieces of `step` bytes, each with the number of bytes that had come when it was whole;
/// what is open at its end comes last, with none.
fn split(framing: Framing, body: &str, step: usize) -> Vec<(String, Option<usize>)> {
    let mut splitter = Splitter::new(framing);
    let (mut items, mut open, mut come) = (Vec::new(), Vec::new(), 0);
    for piece in body.as_bytes().chunks(step) {
        come += piece.len();
        let mut rest = piece;
        loop {
            match splitter.feed(rest) {
                Some(end) => {
                    open.extend_from_slice(&rest[..end]);
                    rest = &rest[end..];
                    items.push((String::from_utf8(std::mem::take(&mut open)).unwrap(), Some(come)));
                }
                None => break open.extend_from_slice(rest),
            }
        }
    }
    items.extend((!open.is_empty()).then(|| (String::from_utf8(open).unwrap(), None)));
    items
}

/// The same whatever the pieces are, and each item whole with its last byte.
fn items(framing: Framing, body: &str) -> Vec<String> {
    let whole: Vec<String> = split(framing, body, body.len()).into_iter().map(|(item, _)| item).collect();
    assert_eq!(whole.concat(), body, "no byte is lost");
    let mut length = 0;
    for (item, come) in split(framing, body, 1) {
        length += item.len();
        // A record that is cut off is told by the next one.
        let next_began = framing == Framing::Records && !item.ends_with('\n');
        assert!(come.is_none_or(|come| come == length || next_began), "`{item}` was kept back");
    }
    whole
}

#[test]
fn lines_end_with_a_line_feed() {
    assert_eq!(items(Framing::Lines, "{\"a\":1}\r\n\n[2]\n3"), ["{\"a\":1}\r\n", "\n", "[2]\n", "3"]);
}

#[test]
fn records_end_with_the_text_or_where_the_next_begins() {
    let body = "\x1e\n{\"a\":\n\"\\\"}\\n\"}\n\x1e12\n \x1e[1,\x1e{}\n";
    let expected = ["\x1e\n{\"a\":\n\"\\\"}\\n\"}\n", "\x1e12\n", " ", "\x1e[1,", "\x1e{}\n"];
    assert_eq!(items(Framing::Records, body), expected);
    for step in 1..9 {
        let cut: Vec<String> =
            split(Framing::Records, body, step).into_iter().map(|(item, _)| item).collect();
        assert_eq!(cut, expected, "in steps of {step}");
    }
}

#[test]
fn events_end_with_an_empty_line_whatever_ends_lines() {
    let events = |body: &str| items(Framing::Events, body);
    assert_eq!(events("data: 1\n\ndata: 2\ndata\n\n"), ["data: 1\n\n", "data: 2\ndata\n\n"]);
    assert_eq!(events("data: 1\r\n\r\nid: 2\r\n\r\n"), ["data: 1\r\n\r\n", "id: 2\r\n\r\n"]);
    assert_eq!(events("data: 1\r\rdata: 2\r\r"), ["data: 1\r\r", "data: 2\r\r"]);
    assert_eq!(
        events(": on\n: on\r\ndata: 1\n: in\n\n\n"),
        [": on\n", ": on\r\n", "data: 1\n: in\n\n", "\n"]
    );
    assert_eq!(events("data: 1"), ["data: 1"]);
    // The line feed that belongs to a return goes on by itself where it comes late.
    assert_eq!(
        split(Framing::Events, "a\r\n\r\nb\n\n", 4),
        [("a\r\n\r".to_owned(), Some(4)), ("\n".to_owned(), Some(8)), ("b\n\n".to_owned(), Some(8))]
    );
}

#[test]
fn lines_of_events_are_read_as_browsers_do() {
    let lines: Vec<(&[u8], &[u8])> =
        event_lines(b"data:  a:b\ndata\r\n:c\r:\nx:y").map(|line| (line.name, line.value)).collect();
    assert_eq!(
        lines,
        [(b"data".as_slice(), b" a:b".as_slice()), (b"data", b""), (b"", b"c"), (b"", b""), (b"x", b"y")]
    );
    let ends: Vec<&[u8]> = event_lines(b"a\r\nb\rc\nd").map(|line| line.end).collect();
    assert_eq!(ends, [b"\r\n".as_slice(), b"\r", b"\n", b""]);
}

#[test]
fn sequences_are_known_by_their_media_type() {
    let of = |text: &str| Framing::of(&MediaType::parse(text.as_bytes()).unwrap());
    assert_eq!(of("Text/Event-Stream; charset=utf-8"), Some(Framing::Events));
    assert_eq!(of("application/x-ndjson"), Some(Framing::Lines));
    assert_eq!(of("application/geo+json-seq"), Some(Framing::Records));
    assert_eq!(of("application/json"), None);
}
