//! The strictest reading of what reached an upstream: anything that two servers could frame differently is told.

use crate::raw::find;

/// Reads a connection's bytes as requests, and names the first thing that is not beyond doubt. Bytes that end within a
/// request are fine: the gateway left.
#[must_use]
pub fn doubt(mut bytes: &[u8]) -> Option<String> {
    while !bytes.is_empty() {
        let Some(end) = find(bytes, b"\r\n\r\n") else {
            return (bytes.len() > 128 << 10).then(|| "a head without end".to_owned());
        };
        let (head, rest) = bytes.split_at_checked(end + 4)?;
        let framing = match read_head(head) {
            Ok(framing) => framing,
            Err(doubt) => return Some(doubt),
        };
        bytes = match framing {
            Framing::Length(length) => rest.get(length..).unwrap_or_default(),
            Framing::Chunked => match skip_chunks(rest) {
                Ok(rest) => rest,
                Err(doubt) => return Some(doubt),
            },
        };
    }
    None
}

enum Framing {
    Length(usize),
    Chunked,
}

fn read_head(head: &[u8]) -> Result<Framing, String> {
    let text = head.strip_suffix(b"\r\n\r\n").unwrap_or(head);
    let lines = split_lines(text);
    let (first, fields) = lines.split_first().ok_or("an empty head")?;
    if lines.iter().any(|line| line.iter().any(|&b| matches!(b, 0 | b'\r' | b'\n'))) {
        return Err("a bare CR, LF or NUL in the head".to_owned());
    }
    let words: Vec<_> = first.split(|&b| b == b' ').collect();
    match words.as_slice() {
        [method, target, version] => {
            if method.is_empty() || !method.iter().all(|&b| is_token(b)) {
                return Err("a method that is no token".to_owned());
            }
            if target.is_empty() || !target.iter().all(|b| (0x21..0x7f).contains(b)) {
                return Err("a target with bytes that are not visible ASCII".to_owned());
            }
            if !matches!(*version, b"HTTP/1.1" | b"HTTP/1.0") {
                return Err("an unknown version".to_owned());
            }
        }
        _ => return Err("a request line that is not three words".to_owned()),
    }
    let (mut lengths, mut codings, mut hosts) = (Vec::new(), Vec::new(), 0);
    for line in fields {
        let colon = line.iter().position(|&b| b == b':').ok_or("a field without a colon")?;
        let (name, value) = line.split_at_checked(colon).unwrap_or((line, b""));
        if name.is_empty() || !name.iter().all(|&b| is_token(b)) {
            return Err("a field name that is no token (or a folded line)".to_owned());
        }
        let value = value.get(1..).unwrap_or_default();
        if value.iter().any(|&b| (b < 0x20 && b != b'\t') || b == 0x7f) {
            return Err("a control byte in a field value".to_owned());
        }
        let value = String::from_utf8_lossy(value).trim_matches([' ', '\t']).to_owned();
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let letters: String = name.chars().filter(char::is_ascii_alphabetic).collect();
        match name.as_str() {
            "host" => hosts += 1,
            "content-length" => lengths.push(value),
            "transfer-encoding" => codings.push(value),
            _ if letters == "transferencoding" || letters == "contentlength" => {
                return Err(format!("a look-alike of a framing field, `{name}`"));
            }
            _ => {}
        }
    }
    if hosts != 1 {
        return Err(format!("{hosts} Host fields"));
    }
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Ok(Framing::Length(0)),
        ([length], []) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => {
            length.parse().map(Framing::Length).map_err(|_| "a Content-Length beyond measure".to_owned())
        }
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        _ => Err(format!("framing by Content-Length {lengths:?} and Transfer-Encoding {codings:?}")),
    }
}

fn split_lines(text: &[u8]) -> Vec<&[u8]> {
    let (mut lines, mut rest) = (Vec::new(), text);
    while let Some(end) = find(rest, b"\r\n") {
        lines.push(rest.get(..end).unwrap_or_default());
        rest = rest.get(end + 2..).unwrap_or_default();
    }
    lines.push(rest);
    lines
}

/// What follows a chunked body; empty where the body is not complete yet.
fn skip_chunks(mut rest: &[u8]) -> Result<&[u8], String> {
    loop {
        let Some(end) = find(rest, b"\r\n") else { return Ok(&[]) };
        let size = rest.get(..end).unwrap_or_default();
        if size.is_empty() || size.len() > 16 || !size.iter().all(u8::is_ascii_hexdigit) {
            return Err(format!("the chunk size {:?}", String::from_utf8_lossy(size)));
        }
        let size = std::str::from_utf8(size).ok().and_then(|s| usize::from_str_radix(s, 16).ok());
        let size = size.ok_or("a chunk size beyond measure")?;
        rest = rest.get(end + 2..).unwrap_or_default();
        if size == 0 {
            let Some(end) = trailer_end(rest) else { return Ok(&[]) };
            return Ok(rest.get(end..).unwrap_or_default());
        }
        let Some(after) = size.checked_add(2).and_then(|n| rest.get(size..n)) else { return Ok(&[]) };
        if after != b"\r\n" {
            return Err("a chunk that does not end where it says".to_owned());
        }
        rest = rest.get(size + 2..).unwrap_or_default();
    }
}

fn trailer_end(rest: &[u8]) -> Option<usize> {
    if rest.starts_with(b"\r\n") { Some(2) } else { find(rest, b"\r\n\r\n").map(|at| at + 4) }
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_requests_are_beyond_doubt() {
        let two = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
        assert_eq!(doubt(two), None);
        assert_eq!(doubt(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhi"), None);
    }

    #[test]
    fn whatever_could_be_framed_twice_is_told() {
        for fields in [
            "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
            "Host: a\r\nContent-Length: 1\r\nContent-Length: 1",
            "Host: a\r\nTransfer-Encoding: xchunked",
            "Host: a\r\nTransfer_Encoding: chunked",
            "Host: a\r\nX: y\r\n z",
            "Host: a\r\nX: y\nTransfer-Encoding: chunked",
            "Host : a",
            "Host: a\r\nHost: b",
            "X: y",
        ] {
            let bytes = format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n");
            assert!(doubt(bytes.as_bytes()).is_some(), "{fields:?}");
        }
        let chunk = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nhi\r\n0\r\n\r\n";
        assert!(doubt(chunk).is_some());
    }
}
