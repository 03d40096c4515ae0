//! One head, line by line.

use std::ops::Range;

use super::{HeadBounds, HeadFacts, HeadRefusal, host::Authority};

/// The longest method; the registered ones have at most 17 bytes.
const MAX_METHOD: usize = 32;
/// What a request line holds beside the target: the method, two spaces and the version.
pub(super) const BESIDE_TARGET: usize = MAX_METHOD + " HTTP/1.1 ".len();

/// Fields that no `Connection` may name beside those of framing: a gateway would drop them, and they are meant for the
/// upstream.
const NOT_HOP_BY_HOP: [&[u8]; 9] = [
    b"content-type",
    b"content-encoding",
    b"authorization",
    b"cookie",
    b"cache-control",
    b"origin",
    b"forwarded",
    b"x-forwarded-for",
    b"x-real-ip",
];

/// Fields that no trailer may hold beside those of framing (RFC 9110 section 6.5.1): those of routing, authentication,
/// request modifiers, and of how the content is to be read.
const NOT_IN_TRAILERS: [&[u8]; 25] = [
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"upgrade",
    b"te",
    b"trailer",
    b"expect",
    b"max-forwards",
    b"cache-control",
    b"range",
    b"if-match",
    b"if-none-match",
    b"if-modified-since",
    b"if-unmodified-since",
    b"if-range",
    b"authorization",
    b"proxy-authorization",
    b"cookie",
    b"content-type",
    b"content-encoding",
    b"content-range",
    b"forwarded",
    b"x-forwarded-for",
    b"origin",
    b"x-http-method-override",
];

/// What has been read of a head. Ranges count from the first byte of the head.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    /// HTTP/1.0.
    old: bool,
    fields: usize,
    host: Option<Range<usize>>,
    /// The authority of an absolute-form target and the default port of its scheme.
    authority: Option<(Range<usize>, u16)>,
    content_length: Option<u64>,
    chunked: bool,
    expect_continue: bool,
}

impl Head {
    /// Reads the request line (RFC 9112 section 3) without its CRLF.
    pub(super) fn request_line(
        &mut self,
        line: &[u8],
        at: usize,
        bounds: &HeadBounds,
    ) -> Result<(), HeadRefusal> {
        if memchr::memchr(b'\r', line).is_some() {
            return Err(HeadRefusal::BareCr);
        }
        let first = memchr::memchr(b' ', line).ok_or(HeadRefusal::RequestLine)?;
        let last =
            memchr::memrchr(b' ', line).filter(|last| *last > first).ok_or(HeadRefusal::RequestLine)?;
        let method = line.get(..first).unwrap_or_default();
        let target = line.get(first + 1..last).unwrap_or_default();
        let version = line.get(last + 1..).unwrap_or_default();
        if method.is_empty() || method.len() > MAX_METHOD || !method.iter().all(|byte| is_method_byte(*byte))
        {
            return Err(HeadRefusal::Method);
        }
        self.old = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                return Err(HeadRefusal::Version);
            }
            _ => return Err(HeadRefusal::RequestLine),
        };
        if target.len() > bounds.target_bytes {
            return Err(HeadRefusal::TargetTooLong);
        }
        if target.is_empty() || !target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
            return Err(HeadRefusal::Target);
        }
        // RFC 3986 section 3.4; a path has rules of its own.
        let query = memchr::memchr(b'?', target).and_then(|start| target.get(start..)).unwrap_or_default();
        if query.iter().any(|byte| matches!(byte, b'"' | b'<' | b'>')) {
            return Err(HeadRefusal::Target);
        }
        match method {
            b"CONNECT" => return Err(HeadRefusal::Connect),
            b"TRACE" | b"TRACK" => return Err(HeadRefusal::Trace),
            _ => {}
        }
        match target {
            [b'/', ..] => Ok(()),
            b"*" if method == b"OPTIONS" => Ok(()),
            _ => self.absolute_form(target, at + first + 1),
        }
    }

    /// `http://authority/path?query`; the scheme says nothing about the connection.
    fn absolute_form(&mut self, target: &[u8], at: usize) -> Result<(), HeadRefusal> {
        let (scheme, port) = [(&b"http://"[..], 80), (&b"https://"[..], 443)]
            .into_iter()
            .find(|(scheme, _)| {
                target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            })
            .ok_or(HeadRefusal::Target)?;
        let start = scheme.len();
        let rest = target.get(start..).unwrap_or_default();
        let length = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
        rest.get(..length).and_then(Authority::parse).ok_or(HeadRefusal::Target)?;
        self.authority = Some((at + start..at + start + length, port));
        Ok(())
    }

    /// Reads a field line (RFC 9112 section 5) without its CRLF.
    pub(super) fn field_line(
        &mut self,
        line: &[u8],
        at: usize,
        bounds: &HeadBounds,
    ) -> Result<(), HeadRefusal> {
        let first = self.fields == 0;
        self.fields += 1;
        let (name, value) = split_field(line, first)?;
        if self.fields > bounds.header_count {
            return Err(HeadRefusal::TooManyFields);
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if self.host.is_some() {
                    return Err(HeadRefusal::TwoHosts);
                }
                let trimmed = trim_spaces(value);
                Authority::parse(trimmed).ok_or(HeadRefusal::BadHost)?;
                let leading = value.iter().take_while(|byte| **byte == b' ').count();
                let start = at + name.len() + 1 + leading;
                self.host = Some(start..start + trimmed.len());
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if self.content_length.is_some() {
                    return Err(HeadRefusal::TwoContentLengths);
                }
                self.content_length =
                    Some(content_length(trim_spaces(value)).ok_or(HeadRefusal::ContentLength)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked {
                    return Err(HeadRefusal::TwoTransferEncodings);
                }
                let coding = trim_spaces(value);
                if !coding.eq_ignore_ascii_case(b"chunked") {
                    let token = !coding.is_empty() && coding.iter().all(|byte| is_token_byte(*byte));
                    return Err(if token {
                        HeadRefusal::TransferCoding
                    } else {
                        HeadRefusal::TransferEncoding
                    });
                }
                self.chunked = true;
            }
            10 if name.eq_ignore_ascii_case(b"connection") => connection(value)?,
            6 if name.eq_ignore_ascii_case(b"expect") => {
                self.expect_continue |= trim_spaces(value).eq_ignore_ascii_case(b"100-continue");
            }
            _ if is_framing_look_alike(name) => return Err(HeadRefusal::FramingLookAlike),
            _ => {}
        }
        Ok(())
    }

    /// What only the whole head tells. `head` holds all of its bytes.
    pub(super) fn finish(&self, head: &[u8]) -> Result<HeadFacts, HeadRefusal> {
        let host = self.host.clone().ok_or(HeadRefusal::NoHost)?;
        if let Some((authority, port)) = self.authority.clone() {
            let read = |range: Range<usize>| head.get(range).and_then(Authority::parse);
            let same = read(host).zip(read(authority)).is_some_and(|(host, target)| host.same(target, port));
            if !same {
                return Err(HeadRefusal::HostMismatch);
            }
        }
        if self.chunked && self.old {
            return Err(HeadRefusal::TransferEncodingInOldVersion);
        }
        if self.chunked && self.content_length.is_some() {
            return Err(HeadRefusal::TwoFramings);
        }
        Ok(HeadFacts {
            content_length: self.content_length,
            chunked: self.chunked,
            expect_continue: self.expect_continue && !self.old,
            http_1_0: self.old,
        })
    }
}

/// Reads a field line of a trailer.
pub(super) fn trailer_line(line: &[u8], first: bool) -> Result<(), HeadRefusal> {
    let (name, _) = split_field(line, first)?;
    let forbidden = NOT_IN_TRAILERS.iter().any(|field| name.eq_ignore_ascii_case(field));
    if forbidden || is_framing_look_alike(name) {
        return Err(HeadRefusal::ForbiddenTrailer);
    }
    Ok(())
}

/// Name and value, the latter with the white space around it.
fn split_field(line: &[u8], first: bool) -> Result<(&[u8], &[u8]), HeadRefusal> {
    let length = line.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(line.len());
    let (name, rest) = line.split_at_checked(length).unwrap_or_default();
    match rest {
        [b':', value @ ..] if !name.is_empty() => {
            // Without an early end, so that the compiler compares many bytes at a time.
            let controls = value.iter().fold(0u8, |found, byte| found | u8::from(is_control(*byte)));
            if controls == 0 {
                return Ok((name, value));
            }
            Err(if value.contains(&b'\r') { HeadRefusal::BareCr } else { HeadRefusal::FieldValue })
        }
        [b' ' | b'\t', ..] if name.is_empty() && first => Err(HeadRefusal::LeadingSpace),
        [b' ' | b'\t', ..] if name.is_empty() => Err(HeadRefusal::ObsFold),
        [b'\r', ..] => Err(HeadRefusal::BareCr),
        [b' ' | b'\t', ..] if rest.trim_ascii_start().first() == Some(&b':') => {
            Err(HeadRefusal::SpaceBeforeColon)
        }
        _ => Err(HeadRefusal::FieldName),
    }
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 && byte != b'\t' || byte == 0x7F
}

/// `tchar` of RFC 9110 section 5.6.2.
pub(super) fn is_token_byte(byte: u8) -> bool {
    #[expect(clippy::indexing_slicing, reason = "INVARIANT: a constant, and every index is below 256")]
    static TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            table[byte] = matches!(byte as u8,
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.'
                | b'^' | b'_' | b'`' | b'|' | b'~');
            byte += 1;
        }
        table
    };
    TOKEN.get(usize::from(byte)).copied().unwrap_or(false)
}

/// A token byte that is no lower-case letter: methods are case-sensitive, and some servers forget it.
pub(super) fn is_method_byte(byte: u8) -> bool {
    is_token_byte(byte) && !byte.is_ascii_lowercase()
}

/// Without the spaces around it. A tab stays, since not every parser takes it for white space: values that frame or
/// route are then refused.
fn trim_spaces(value: &[u8]) -> &[u8] {
    let start = value.iter().take_while(|byte| **byte == b' ').count();
    let value = value.get(start..).unwrap_or_default();
    let end = value.len() - value.iter().rev().take_while(|byte| **byte == b' ').count();
    value.get(..end).unwrap_or_default()
}

/// Decimal digits, below 2^63; leading zeros are refused, since some parsers read octal.
fn content_length(value: &[u8]) -> Option<u64> {
    let leading_zero = value.len() > 1 && value.first() == Some(&b'0');
    if value.is_empty() || leading_zero || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: u64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    i64::try_from(length).is_ok().then_some(length)
}

/// The options of `Connection` (RFC 9110 section 7.6.1).
fn connection(value: &[u8]) -> Result<(), HeadRefusal> {
    for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        let forbidden = NOT_HOP_BY_HOP.iter().any(|field| option.eq_ignore_ascii_case(field));
        if forbidden || is_framing_look_alike(option) || !option.iter().all(|byte| is_token_byte(*byte)) {
            return Err(HeadRefusal::Connection);
        }
    }
    Ok(())
}

/// Whether only the letters and digits spell a field of framing or routing: servers that turn names into variables
/// (CGI, WSGI) do not tell `-` from `_`.
fn is_framing_look_alike(name: &[u8]) -> bool {
    let mut letters = name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase);
    let spelled: &[u8] = match letters.next() {
        Some(b'h') => b"ost",
        Some(b'c') => b"ontentlength",
        Some(b't') => b"ransferencoding",
        _ => return false,
    };
    letters.eq(spelled.iter().copied())
}
