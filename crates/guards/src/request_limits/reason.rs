//! Why `request_limits` refuses.

use std::borrow::Cow;

use bartizan_model::{Reason, ReasonInfo, Severity, Verdict};
use http::{HeaderName, HeaderValue, StatusCode, header};

/// Which bound was exceeded, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The declared body length.
    Body {
        /// Declared.
        bytes: u64,
        /// Permitted.
        limit: u64,
    },
    /// The query's length.
    Query {
        /// Found.
        bytes: usize,
        /// Permitted.
        limit: u64,
    },
    /// The number of query parameters.
    Parameters {
        /// Found.
        count: usize,
        /// Permitted.
        limit: usize,
    },
    /// The number of path segments.
    Path {
        /// Found.
        segments: usize,
        /// Permitted.
        limit: usize,
    },
    /// The number of header fields.
    Headers {
        /// Found.
        count: usize,
        /// Permitted.
        limit: usize,
    },
    /// One header field's length.
    Header {
        /// Found.
        bytes: usize,
        /// Permitted.
        limit: u64,
    },
    /// The method.
    Method {
        /// The permitted ones, as the response's `Allow` field.
        allow: HeaderValue,
    },
}

const BODY: ReasonInfo = ReasonInfo {
    code: "request_limits.body",
    status: StatusCode::PAYLOAD_TOO_LARGE,
    severity: Severity::Low,
    verdict: Verdict::Deny,
    public: "The request body is too large",
};
const QUERY: ReasonInfo = ReasonInfo {
    code: "request_limits.query",
    status: StatusCode::URI_TOO_LONG,
    public: "The query is too long",
    ..BODY
};
const PARAMETERS: ReasonInfo = ReasonInfo {
    code: "request_limits.parameters",
    status: StatusCode::URI_TOO_LONG,
    public: "The query has too many parameters",
    ..BODY
};
const PATH: ReasonInfo = ReasonInfo {
    code: "request_limits.path",
    status: StatusCode::URI_TOO_LONG,
    public: "The path has too many segments",
    ..BODY
};
const HEADERS: ReasonInfo = ReasonInfo {
    code: "request_limits.headers",
    status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    public: "The request has too many header fields",
    ..BODY
};
const HEADER: ReasonInfo = ReasonInfo {
    code: "request_limits.header",
    status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    public: "A header field is too large",
    ..BODY
};
const METHOD: ReasonInfo = ReasonInfo {
    code: "request_limits.method",
    status: StatusCode::METHOD_NOT_ALLOWED,
    public: "The method is not permitted here",
    ..BODY
};

impl Reason for Why {
    const ALL: &'static [ReasonInfo] = &[BODY, QUERY, PARAMETERS, PATH, HEADERS, HEADER, METHOD];

    fn info(&self) -> ReasonInfo {
        match self {
            Why::Body { .. } => BODY,
            Why::Query { .. } => QUERY,
            Why::Parameters { .. } => PARAMETERS,
            Why::Path { .. } => PATH,
            Why::Headers { .. } => HEADERS,
            Why::Header { .. } => HEADER,
            Why::Method { .. } => METHOD,
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        Cow::Owned(match self {
            Why::Body { bytes, limit } => {
                format!("the declared body of {bytes} bytes exceeds `max_body`, {limit} bytes")
            }
            Why::Query { bytes, limit } => {
                format!("the query of {bytes} bytes exceeds `max_query_bytes`, {limit} bytes")
            }
            Why::Parameters { count, limit } => {
                format!("{count} query parameters exceed `max_query_parameters`, {limit}")
            }
            Why::Path { segments, limit } => {
                format!("{segments} path segments exceed `max_path_segments`, {limit}")
            }
            Why::Headers { count, limit } => format!("{count} header fields exceed `max_headers`, {limit}"),
            Why::Header { bytes, limit } => {
                format!("a header field of {bytes} bytes exceeds `max_header_bytes`, {limit} bytes")
            }
            Why::Method { .. } => return Cow::Borrowed("the method is not one of `methods`"),
        })
    }

    fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed(match self {
            Why::Body { .. } => "raise `request_limits.max_body` for this operation",
            Why::Query { .. } => "raise `request_limits.max_query_bytes` for this operation",
            Why::Parameters { .. } => "raise `request_limits.max_query_parameters` for this operation",
            Why::Path { .. } => "raise `request_limits.max_path_segments` for this operation",
            Why::Headers { .. } => "raise `request_limits.max_headers` for this operation",
            Why::Header { .. } => "raise `request_limits.max_header_bytes` for this operation",
            Why::Method { .. } => "add the method to `request_limits.methods` for this operation",
        }))
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        match self {
            Why::Method { allow } => vec![(header::ALLOW, allow.clone())],
            Why::Body { .. }
            | Why::Query { .. }
            | Why::Parameters { .. }
            | Why::Path { .. }
            | Why::Headers { .. }
            | Why::Header { .. } => Vec::new(),
        }
    }
}
