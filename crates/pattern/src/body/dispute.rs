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
    /// A form or the name of a part that is no UTF-8, and names no other charset.
    NotUtf8,
    /// An irregularity of the parts that other readers refuse, mend or do not see.
    Parts(MultipartFlag),
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
            Dispute::NotUtf8 => "form.invalid_utf8",
            Dispute::Parts(_) => "multipart.irregular",
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
            Dispute::NotUtf8 => "a name or value is not UTF-8",
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
        if utf8 && part.name().is_some_and(|name| std::str::from_utf8(&name).is_err()) {
            return Some(Dispute::NotUtf8);
        }
    }
    None
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
            (form, b"a=%ff", Some("form.invalid_utf8")),
            (form, b"a=\xc0\xaf", Some("form.invalid_utf8")),
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
            // A text may well have lines of dashes.
            (part("").replace("1\r\n", "---\r\n"), None),
        ] {
            assert_eq!(dispute(media, body.as_bytes()).map(Dispute::code), expected, "{body}");
        }
        assert_eq!(dispute("multipart/form-data; boundary=\"b\"", part("").as_bytes()), None);
    }
}
