//! What can be read, and is yet read differently by others: who lets it through has checked one thing, and the API behind
//! uses another.

use std::fmt;

use super::{
    Content, Parsed,
    form::Form,
    multipart::{Multipart, MultipartFlag},
};

/// What readers make different things of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dispute {
    /// Parameters of the media type are malformed, or one comes twice.
    MediaType,
    /// An object of JSON has a name twice (RFC 8259 section 4): the first counts, or the last, or none.
    DuplicateKey,
    /// A `%` in a form is not followed by two hexadecimal digits.
    FormEscape,
    /// A `;` in a form, which older readers take for the end of a pair, as `&`; or a `?` before it, which readers of queries
    /// leave out.
    FormDelimiter,
    /// A byte beyond ASCII in a form that is not percent-encoded: UTF-8 for most readers, Latin-1 for others.
    FormNotAscii,
    /// A name or value of a form, or the name of a part or its text, that is no UTF-8, and names no other charset.
    NotUtf8,
    /// An irregularity of the parts that other readers refuse, mend or do not see.
    Parts(MultipartFlag),
    /// A header field of a part whose name is no token, or that has a control character: a bare carriage return ends the line
    /// for some readers.
    PartHeader,
    /// The name of a part with a backslash, a quote or an escape for one: some readers undo it, others do not.
    PartName,
    /// A byte order mark at the beginning of a part's text: some readers leave it out.
    PartMark,
    /// A part in base64 or quoted-printable (RFC 7578 section 4.7): some readers decode it and most do not.
    PartEncoding,
}

/// Flags of parts that are usual (quotes around a boundary, the same name for a list, dashes at the beginning of a line),
/// that are a bound, or that are about the name of a file alone.
const USUAL: [MultipartFlag; 6] = [
    MultipartFlag::BoundaryQuoted,
    MultipartFlag::DuplicateName,
    MultipartFlag::UnmatchedBoundary,
    MultipartFlag::ExtendedFilename,
    MultipartFlag::FileLimitExceeded,
    // Lines of both kinds have one of the other kind.
    MultipartFlag::CrlfLfLines,
];

impl Dispute {
    /// A stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Dispute::MediaType => "media_type.parameters",
            Dispute::DuplicateKey => "json.duplicate_key",
            Dispute::FormEscape => "form.invalid_escape",
            Dispute::FormDelimiter => "form.delimiter",
            Dispute::FormNotAscii => "form.not_ascii",
            Dispute::NotUtf8 => "form.invalid_utf8",
            Dispute::Parts(_) => "multipart.irregular",
            Dispute::PartHeader => "multipart.part_header",
            Dispute::PartName => "multipart.part_name",
            Dispute::PartMark => "multipart.byte_order_mark",
            Dispute::PartEncoding => "multipart.part_encoding",
        }
    }
}

impl fmt::Display for Dispute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dispute::MediaType => "the parameters of `Content-Type` are malformed, or one comes twice",
            Dispute::DuplicateKey => "an object has a name twice",
            Dispute::FormEscape => "a `%` is not followed by two hexadecimal digits",
            Dispute::FormDelimiter => "a `;` is not written as `%3B`, or a `?` at the beginning not as `%3F`",
            Dispute::FormNotAscii => "a byte beyond ASCII is not percent-encoded",
            Dispute::NotUtf8 => "a name or value is not UTF-8",
            Dispute::PartHeader => "a header field of a part has no proper name, or a control character",
            Dispute::PartName => "the name of a part has a quote, a backslash or an escape",
            Dispute::PartMark => "the text of a part begins with a byte order mark",
            Dispute::PartEncoding => "a part has a `Content-Transfer-Encoding`",
            Dispute::Parts(flag) => {
                let flag = flag.variable().unwrap_or_default().to_ascii_lowercase().replace('_', " ");
                return write!(f, "the parts are not written to the letter ({flag})");
            }
        })
    }
}

impl Parsed<'_> {
    /// The first thing that readers disagree on.
    #[must_use]
    pub fn dispute(&self) -> Option<Dispute> {
        if self.flags.malformed_media_type || self.flags.duplicate_parameter {
            return Some(Dispute::MediaType);
        }
        match self.content {
            Content::Json(tape) => tape.duplicate_key().map(|_| Dispute::DuplicateKey),
            Content::Form(form) => of_form(form, self.charset.is_none()),
            Content::Multipart(parts) => of_parts(parts, self.charset.is_none()),
            Content::Empty | Content::Opaque | Content::Xml(_) | Content::Text(_) => None,
        }
    }
}

fn of_form(form: Form<'_>, utf8: bool) -> Option<Dispute> {
    if form.has_invalid_escape() {
        return Some(Dispute::FormEscape);
    }
    if memchr::memchr(b';', form.bytes()).is_some() || form.bytes().starts_with(b"?") {
        return Some(Dispute::FormDelimiter);
    }
    if !form.bytes().is_ascii() {
        return Some(Dispute::FormNotAscii);
    }
    let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
    let all_text = || form.pairs().all(|pair| is_text(&pair.name()) && is_text(&pair.value()));
    (utf8 && !all_text()).then_some(Dispute::NotUtf8)
}

fn of_parts(parts: Multipart<'_>, utf8: bool) -> Option<Dispute> {
    if let Some(flag) = parts.flags().iter().find(|flag| !USUAL.contains(flag)) {
        return Some(Dispute::Parts(flag));
    }
    let plain = |coding: &[u8]| {
        [&b"7bit"[..], b"8bit", b"binary"].iter().any(|known| coding.eq_ignore_ascii_case(known))
    };
    for part in parts.parts() {
        if part.header("content-transfer-encoding").is_some_and(|coding| !plain(coding.trim_ascii())) {
            return Some(Dispute::PartEncoding);
        }
        let is_control = |byte: &u8| *byte < b' ' && *byte != b'\t' || *byte == 0x7f;
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if part
            .headers()
            .any(|header| header.line.iter().any(is_control) || !header.name.iter().all(is_token))
        {
            return Some(Dispute::PartHeader);
        }
        let name = part.name_span().and_then(|span| parts.bytes().get(span)).unwrap_or_default();
        if is_escaped(name) {
            return Some(Dispute::PartName);
        }
        let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
        let typed = part.header("content-type");
        let is_plain = |kind: &[u8]| kind.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"text/"));
        let of_text = !part.is_file() && typed.is_none_or(is_plain);
        if of_text && part.data().starts_with(b"\xef\xbb\xbf") {
            return Some(Dispute::PartMark);
        }
        if utf8 && !(is_text(name) && (!of_text || is_text(part.data()))) {
            return Some(Dispute::NotUtf8);
        }
    }
    None
}

/// Whether a name has what browsers write as `%22`, `%0D` and `%0A`, and others with a backslash.
fn is_escaped(name: &[u8]) -> bool {
    let of_browsers = |at| {
        let digits: &[u8] = name.get(at + 1..at + 3).unwrap_or_default();
        [&b"22"[..], b"0d", b"0a"].iter().any(|escape| digits.eq_ignore_ascii_case(escape))
    };
    memchr::memchr2(b'\\', b'"', name).is_some() || memchr::memchr_iter(b'%', name).any(of_browsers)
}

#[cfg(test)]
mod tests {
    use super::super::{BodyLimits, Buffers, Reading, read};
    use super::*;

    fn dispute(media: &str, body: &[u8]) -> Option<Dispute> {
        let mut buffers = Buffers::new();
        match read(Some(media.as_bytes()), None, body, &BodyLimits::default(), &mut buffers) {
            Reading::Parsed(parsed) => parsed.dispute(),
            Reading::Unreadable(unreadable) => panic!("{}", unreadable.reason),
        }
    }

    #[test]
    fn what_readers_disagree_on_has_a_name() {
        let (json, form) = ("application/json", "application/x-www-form-urlencoded");
        for (media, body, expected) in [
            (json, &br#"{"a":1,"b":{"a":2}}"#[..], None),
            (json, br#"{"a":1,"\u0061":2}"#, Some("json.duplicate_key")),
            (json, br#"[{"x":{"a":1,"a":1}}]"#, Some("json.duplicate_key")),
            ("application/json; a=1; a=2", b"{}", Some("media_type.parameters")),
            ("application/json, text/plain", b"{}", Some("media_type.parameters")),
            (form, b"a=1&a=2&b=%41+", None),
            (form, b"a=%4", Some("form.invalid_escape")),
            (form, b"%zz=1", Some("form.invalid_escape")),
            (form, b"a=1;b=2", Some("form.delimiter")),
            (form, b"?a=1", Some("form.delimiter")),
            (form, b"a=1%3Bb=2", None),
            (form, b"a=%ff", Some("form.invalid_utf8")),
            (form, b"a=%C0%AF", Some("form.invalid_utf8")),
            (form, "a=é".as_bytes(), Some("form.not_ascii")),
            ("application/x-www-form-urlencoded; charset=iso-8859-1", b"a=%ff", None),
        ] {
            let shown = String::from_utf8_lossy(body);
            assert_eq!(dispute(media, body).map(Dispute::code), expected, "{media} {shown}");
        }
    }

    #[test]
    fn parts_are_written_to_the_letter() {
        let media = "multipart/form-data; boundary=b";
        let part = |more: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n{more}\r\n1\r\n--b--\r\n")
        };
        for (body, expected) in [
            (part(""), None),
            (part("Content-Transfer-Encoding: 8bit\r\n"), None),
            (part("Content-Transfer-Encoding: base64\r\n"), Some("multipart.part_encoding")),
            (part("").replace("\r\n", "\n"), Some("multipart.irregular")),
            (format!("x\r\n{}", part("")), Some("multipart.irregular")),
            (format!("{}x", part("")), Some("multipart.irregular")),
            (part("").replace("\"a\"", "'a'"), Some("multipart.irregular")),
            (part("").replace("form-data;", "form-data;\r\n "), Some("multipart.irregular")),
            (part("").replace("\"a\"", "\"a%22b\""), Some("multipart.part_name")),
            (part("").replace("\"a\"", "\"a\\\"b\""), Some("multipart.part_name")),
            (part("").replace("form-data;", "form-data;\r"), Some("multipart.part_header")),
            (part("").replace("1\r\n", "\u{feff}1\r\n"), Some("multipart.byte_order_mark")),
            (
                part("Content-Type: image/png\r\n")
                    .replace("1\r\n", "\u{feff}1\r\n")
                    .replace("name", "filename=b; name"),
                None,
            ),
            // A text may well have lines of dashes.
            (part("").replace("1\r\n", "---\r\n"), None),
        ] {
            assert_eq!(dispute(media, body.as_bytes()).map(Dispute::code), expected, "{body}");
        }
        assert_eq!(dispute("multipart/form-data; boundary=\"b\"", part("").as_bytes()), None);
    }
}
