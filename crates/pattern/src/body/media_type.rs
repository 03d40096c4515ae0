//! Media types (RFC 9110 section 8.3.1): what a body says that it is.

use std::borrow::Cow;

use smallvec::SmallVec;

/// Longest field value that is looked at: types have dozens of bytes, a boundary at most 70.
const MOST_BYTES: usize = 1024;

/// Parameters that are kept; known types have one or two.
const MOST_PARAMETERS: usize = 16;

/// How a body of some media type is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyKind {
    /// `application/json`, `text/json` and every `+json`.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/*`.
    Multipart,
    /// `application/xml`, `text/xml` and every `+xml`.
    Xml,
    /// Every other `text/*`, and types that are text under another name.
    Text,
    /// What nobody here reads.
    Other,
}

/// A media type as it is written in `Content-Type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType<'a> {
    top: &'a str,
    subtype: &'a str,
    parameters: SmallVec<[Parameter<'a>; 2]>,
    duplicate: bool,
    malformed: bool,
}

/// One parameter of a media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// Its name as it is written; names mean the same in upper and lower case.
    pub name: &'a str,
    /// Its value, without quotes and with its escapes undone.
    pub value: Cow<'a, [u8]>,
    /// It is written in quotes.
    pub quoted: bool,
}

/// Why a field value is no media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaTypeError {
    /// There is nothing.
    Empty,
    /// It is longer than 1,024 bytes.
    TooLong,
    /// It does not begin with `type/subtype`, both tokens.
    Malformed,
}

impl<'a> MediaType<'a> {
    /// Reads a field value. What is wrong behind `type/subtype` is no error but [`MediaType::is_malformed`]: readers
    /// disagree on what to make of it.
    ///
    /// # Errors
    /// There is no type to act upon.
    pub fn parse(value: &'a [u8]) -> Result<Self, MediaTypeError> {
        let value = value.trim_ascii();
        if value.is_empty() {
            return Err(MediaTypeError::Empty);
        }
        if value.len() > MOST_BYTES {
            return Err(MediaTypeError::TooLong);
        }
        let (top, rest) = token(value).ok_or(MediaTypeError::Malformed)?;
        let rest = rest.strip_prefix(b"/").ok_or(MediaTypeError::Malformed)?;
        let (subtype, rest) = token(rest).ok_or(MediaTypeError::Malformed)?;
        let parameters = SmallVec::new();
        let mut media = MediaType { top, subtype, parameters, duplicate: false, malformed: false };
        media.malformed = media.read_parameters(rest).is_none();
        Ok(media)
    }

    /// `*( OWS ";" OWS [ parameter ] )` (section 5.6.6); none where it is anything else.
    fn read_parameters(&mut self, mut rest: &'a [u8]) -> Option<()> {
        loop {
            rest = skip_space(rest);
            if rest.is_empty() {
                return Some(());
            }
            rest = skip_space(rest.strip_prefix(b";")?);
            if rest.is_empty() || rest.starts_with(b";") {
                continue;
            }
            let (name, behind) = token(rest)?;
            let behind = behind.strip_prefix(b"=")?;
            let quoted = behind.starts_with(b"\"");
            let (value, behind) = if quoted {
                quoted_string(behind)?
            } else {
                token(behind).map(|(value, behind)| (Cow::Borrowed(value.as_bytes()), behind))?
            };
            rest = behind;
            self.duplicate |= self.parameter(name).is_some();
            if self.parameters.len() == MOST_PARAMETERS {
                return None;
            }
            self.parameters.push(Parameter { name, value, quoted });
        }
    }

    /// The part before the slash, as it is written.
    #[must_use]
    pub fn top(&self) -> &'a str {
        self.top
    }

    /// The part behind the slash, as it is written.
    #[must_use]
    pub fn subtype(&self) -> &'a str {
        self.subtype
    }

    /// Whether it is this type, whatever the case and the parameters.
    #[must_use]
    pub fn is(&self, top: &str, subtype: &str) -> bool {
        self.top.eq_ignore_ascii_case(top) && self.subtype.eq_ignore_ascii_case(subtype)
    }

    /// The value of the first parameter of this name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        let found = self.parameters.iter().find(|parameter| parameter.name.eq_ignore_ascii_case(name));
        found.map(|parameter| parameter.value.as_ref())
    }

    /// All parameters in their order.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter<'a>] {
        &self.parameters
    }

    /// Whether a parameter comes twice.
    #[must_use]
    pub fn has_duplicate_parameter(&self) -> bool {
        self.duplicate
    }

    /// Whether something behind the type is no parameter, or there are more than 16.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        self.malformed
    }

    /// How a body of this type is read.
    #[must_use]
    pub fn kind(&self) -> BodyKind {
        let application = self.top.eq_ignore_ascii_case("application");
        let text = self.top.eq_ignore_ascii_case("text");
        let named = |names: &[&str]| names.iter().any(|name| self.subtype.eq_ignore_ascii_case(name));
        match () {
            () if self.top.eq_ignore_ascii_case("multipart") => BodyKind::Multipart,
            () if application && named(&["x-www-form-urlencoded"]) => BodyKind::Form,
            () if self.has_suffix("+json") => BodyKind::Json,
            () if (application || text) && named(JSON) => BodyKind::Json,
            () if self.has_suffix("+xml") => BodyKind::Xml,
            () if (application || text) && named(XML) => BodyKind::Xml,
            () if text || application && named(TEXT) => BodyKind::Text,
            () => BodyKind::Other,
        }
    }

    fn has_suffix(&self, suffix: &str) -> bool {
        let start = self.subtype.len().checked_sub(suffix.len());
        start.and_then(|at| self.subtype.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
    }
}

/// Subtypes that are JSON without saying so in a suffix.
const JSON: &[&str] = &["json", "x-json", "csp-report"];
/// Subtypes that are XML without saying so in a suffix.
const XML: &[&str] = &["xml", "xml-external-parsed-entity"];
/// Subtypes of `application` that are text without a structure that is read here.
const TEXT: &[&str] = &[
    "graphql",
    "javascript",
    "ecmascript",
    "x-javascript",
    "x-ndjson",
    "ndjson",
    "jsonl",
    "json-seq",
    "yaml",
    "x-yaml",
    "toml",
    "sql",
];

/// A token (section 5.6.2) and what is behind it.
fn token(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| !is_token(*byte)).unwrap_or(bytes.len());
    let (token, rest) = bytes.split_at_checked(end)?;
    let token = std::str::from_utf8(token).ok().filter(|token| !token.is_empty())?;
    Some((token, rest))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A quoted string (section 5.6.4) without its quotes, and what is behind it.
fn quoted_string(bytes: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let inner = bytes.strip_prefix(b"\"")?;
    let mut value = Cow::Borrowed(b"".as_slice());
    let mut at = 0;
    loop {
        match *inner.get(at)? {
            b'"' => return Some((value, inner.get(at + 1..)?)),
            b'\\' => {
                let escaped = *inner.get(at + 1).filter(|byte| is_quotable(**byte))?;
                let mut owned = value.into_owned();
                owned.push(escaped);
                value = Cow::Owned(owned);
                at += 2;
            }
            byte if is_quotable(byte) => {
                at += 1;
                value = match value {
                    Cow::Borrowed(_) => Cow::Borrowed(inner.get(..at)?),
                    Cow::Owned(mut owned) => {
                        owned.push(byte);
                        Cow::Owned(owned)
                    }
                };
            }
            _ => return None,
        }
    }
}

fn is_quotable(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

fn skip_space(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(bytes.len());
    bytes.get(end..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> BodyKind {
        MediaType::parse(text.as_bytes()).unwrap().kind()
    }

    #[test]
    fn kinds_follow_the_type_and_its_suffix() {
        let cases = [
            ("application/json", BodyKind::Json),
            ("Application/JSON; charset=utf-8", BodyKind::Json),
            ("application/problem+json", BodyKind::Json),
            ("application/vnd.api+JSON", BodyKind::Json),
            ("application/x-www-form-urlencoded", BodyKind::Form),
            ("multipart/form-data; boundary=a", BodyKind::Multipart),
            ("multipart/mixed", BodyKind::Multipart),
            ("text/xml", BodyKind::Xml),
            ("application/soap+xml", BodyKind::Xml),
            ("image/svg+xml", BodyKind::Xml),
            ("text/plain", BodyKind::Text),
            ("application/graphql", BodyKind::Text),
            ("application/jsonx", BodyKind::Other),
            ("application/xml-dtd", BodyKind::Other),
            ("audio/json", BodyKind::Other),
            ("application/octet-stream", BodyKind::Other),
        ];
        for (text, expected) in cases {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn parameters_are_read_to_the_letter() {
        let media = MediaType::parse(b"text/plain ;; Charset=\"utf\\-8\" ; a=b;").unwrap();
        assert!(!media.is_malformed() && !media.has_duplicate_parameter());
        assert_eq!(media.parameter("charset"), Some(b"utf-8".as_slice()));
        assert_eq!(media.parameters().len(), 2);
        assert!(media.parameters()[0].quoted && !media.parameters()[1].quoted);
        assert!(MediaType::parse(b"text/plain; a=1; A=2").unwrap().has_duplicate_parameter());
        for malformed in [
            "text/plain, text/html",
            "text/plain charset=utf-8",
            "text/plain; charset = utf-8",
            "text/plain; charset",
            "text/plain; charset=",
            "text/plain; charset=\"utf-8",
            "text/plain; a=b c",
            "text/plain; a=\"b\"c",
        ] {
            assert!(MediaType::parse(malformed.as_bytes()).unwrap().is_malformed(), "{malformed}");
        }
        let many = format!("text/plain{}", (0..17).map(|n| format!(";a{n}=1")).collect::<String>());
        assert!(MediaType::parse(many.as_bytes()).unwrap().is_malformed());
    }

    #[test]
    fn what_has_no_type_is_an_error() {
        assert_eq!(MediaType::parse(b"  "), Err(MediaTypeError::Empty));
        for malformed in
            ["json", "application/", "/json", "application /json", "application/js\u{e9}n,", "\u{e9}/a"]
        {
            let result = MediaType::parse(malformed.as_bytes());
            let tolerable = result.as_ref().is_ok_and(MediaType::is_malformed);
            assert!(tolerable || result == Err(MediaTypeError::Malformed), "{malformed}");
        }
        assert_eq!(MediaType::parse(&[b'a'; 1025]), Err(MediaTypeError::TooLong));
    }
}
