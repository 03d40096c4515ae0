//! Responses: their status, header fields and media type, and what is in their bodies.

use bartizan_pattern::body::{
    Content, Reading,
    json::{JsonLimits, Tape},
};
use http::{HeaderMap, HeaderName, StatusCode, header};

use super::{
    Checks, OperationCheck, Part, ResponseCheck, Violation,
    body::{MediaChoice, choose},
    head::HeadResult,
};
use crate::{form::ResponseStatus, schema::VIOLATIONS, shape::Direction};

/// What is wrong with the head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseIssue {
    /// The contract has no response of this status.
    Status(u16),
    /// The contract's response has no body of this media type.
    MediaType(Violation),
    /// The contract's response has no header field of this name.
    Header(HeaderName),
    /// A header field does not fit, or is missing.
    Invalid(Violation),
}

/// What was found in the head of a response.
#[derive(Debug, Default)]
pub struct ResponseResult {
    /// What is wrong.
    pub issues: Vec<ResponseIssue>,
    /// How the body is checked; `None` where nothing describes it.
    pub media: Option<MediaChoice>,
}

/// Header fields that HTTP itself, caches, browsers and proxies use, sorted: no contract names them.
const OF_HTTP: [&str; 62] = [
    "accept-patch",
    "accept-post",
    "accept-ranges",
    "age",
    "allow",
    "alt-svc",
    "authentication-info",
    "cache-control",
    "cache-status",
    "clear-site-data",
    "connection",
    "content-digest",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-security-policy",
    "content-security-policy-report-only",
    "content-type",
    "date",
    "dav",
    "deprecation",
    "digest",
    "etag",
    "expires",
    "keep-alive",
    "last-modified",
    "link",
    "location",
    "nel",
    "origin-agent-cluster",
    "permissions-policy",
    "pragma",
    "preference-applied",
    "priority",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-status",
    "referrer-policy",
    "report-to",
    "reporting-endpoints",
    "repr-digest",
    "retry-after",
    "server",
    "server-timing",
    "set-cookie",
    "signature",
    "signature-input",
    "strict-transport-security",
    "sunset",
    "timing-allow-origin",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-request-id",
];

/// Beginnings of names of such fields.
const PREFIXES: [&str; 5] =
    ["access-control-", "cross-origin-", "ratelimit", "x-content-type-options", "x-frame-options"];

impl OperationCheck {
    /// Whether a schema describes the body of any response.
    #[must_use]
    pub fn describes_responses(&self) -> bool {
        let mut media = self.responses.iter().flat_map(|response| &response.media);
        media.any(|media| media.typed.is_some() || media.item.is_some())
    }

    /// Whether any response is a sequence of items.
    #[must_use]
    pub fn answers_with_items(&self) -> bool {
        self.responses.iter().flat_map(|response| &response.media).any(|media| media.item.is_some())
    }

    fn response(&self, status: u16) -> Option<&ResponseCheck> {
        self.responses.iter().find(|response| match response.status {
            ResponseStatus::Exact(exact) => exact == status,
            ResponseStatus::Class(class) => u16::from(class) == status / 100,
            ResponseStatus::Default => true,
        })
    }

    /// Checks the head of a response.
    #[must_use]
    pub fn response_head(&self, checks: &Checks, status: StatusCode, headers: &HeaderMap) -> ResponseResult {
        let mut result = ResponseResult::default();
        let Some(response) = self.response(status.as_u16()) else {
            // A contract without any response says nothing; 304 answers a condition that HTTP defines.
            if !self.responses.is_empty() && status != StatusCode::NOT_MODIFIED && !status.is_informational()
            {
                result.issues.push(ResponseIssue::Status(status.as_u16()));
            }
            return result;
        };
        for name in headers.keys() {
            let of_http = OF_HTTP.binary_search(&name.as_str()).is_ok()
                || PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix));
            let named = response.headers.iter().any(|own| own.name.eq_ignore_ascii_case(name.as_str()));
            if !of_http && !named && result.issues.len() < VIOLATIONS {
                result.issues.push(ResponseIssue::Header(name.clone()));
            }
        }
        let mut found = HeadResult::default();
        for own in &response.headers {
            let values: Vec<&str> =
                headers.get_all(&*own.name).iter().filter_map(|value| value.to_str().ok()).collect();
            let joined = values.join(",");
            let texts: Vec<&str> = if values.is_empty() { Vec::new() } else { vec![joined.trim()] };
            checks.parameter(own, &texts, &mut found);
        }
        result.issues.extend(found.violations.into_iter().map(ResponseIssue::Invalid));
        let describes_bodies = || self.responses.iter().any(|response| !response.media.is_empty());
        let bodyless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0");
        if !bodyless && !response.media.is_empty() {
            match choose(&response.media, headers) {
                Ok(media) => result.media = Some(media),
                Err(violation) => result.issues.push(ResponseIssue::MediaType(violation)),
            }
        } else if !bodyless && headers.contains_key(header::CONTENT_TYPE) && describes_bodies() {
            let violation = Violation::new(Part::Body, "", "undeclared", "no body");
            result.issues.push(ResponseIssue::Invalid(violation));
        }
        result
    }
}

/// What a JSON document may cost. What leaves is read as far as it can be: a number that readers read differently is no reason
/// not to look for a password.
#[must_use]
pub fn limits(direction: Direction) -> JsonLimits {
    let strict = JsonLimits::default();
    match direction {
        Direction::Request => strict,
        Direction::Response => JsonLimits {
            nodes: 1 << 22,
            keys: 1 << 22,
            string_bytes: u32::MAX,
            number_bytes: 1 << 16,
            path_bytes: u32::MAX,
            double_range: false,
            ..strict
        },
    }
}

/// Cuts members out of a document: those whose keys have these numbers in its tape, in its order. What is inside a member
/// that is cut goes with it.
#[must_use]
pub fn without_members(tape: Tape<'_>, keys: &[u32]) -> Vec<u8> {
    let bytes = tape.bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    if let Some(root) = tape.root() {
        let span = root.span();
        out.extend_from_slice(bytes.get(..span.start).unwrap_or_default());
        copy(root, &sorted, &mut out);
        out.extend_from_slice(bytes.get(span.end..).unwrap_or_default());
    }
    out
}

fn copy(value: bartizan_pattern::body::json::Value<'_>, keys: &[u32], out: &mut Vec<u8>) {
    use bartizan_pattern::body::json::Kind;
    let inside = value.index()..value.next_index();
    let begin = keys.partition_point(|key| *key < inside.start);
    if !keys.get(begin).is_some_and(|key| inside.contains(key)) {
        out.extend_from_slice(value.source());
        return;
    }
    match value.kind() {
        Kind::Object => {
            out.push(b'{');
            let mut first = true;
            for (key, value) in value.entries() {
                if keys.binary_search(&key.index()).is_ok() {
                    continue;
                }
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                out.extend_from_slice(key.source());
                out.push(b':');
                copy(value, keys, out);
            }
            out.push(b'}');
        }
        _ => {
            out.push(b'[');
            for (number, item) in value.items().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                copy(item, keys, out);
            }
            out.push(b']');
        }
    }
}

/// The document that a reading is.
#[must_use]
pub fn document<'a>(reading: &Reading<'a>) -> Option<Tape<'a>> {
    match reading {
        Reading::Parsed(parsed) => match parsed.content {
            Content::Json(tape) => Some(tape),
            _ => None,
        },
        Reading::Unreadable(_) => None,
    }
}
