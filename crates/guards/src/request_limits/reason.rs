//! Why `request_limits` refuses.

use std::borrow::Cow;

use bartizan_model::{Reason, ReasonInfo, Severity, Verdict};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::bodies::Flaw;

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
    /// The body is larger than what is read.
    Unchecked {
        /// Read, at most.
        limit: u64,
    },
    /// What is in the body.
    Content {
        /// What is wrong.
        flaw: Flaw,
        /// In words.
        told: Cow<'static, str>,
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
const UNCHECKED: ReasonInfo = ReasonInfo {
    code: "request_limits.body_unchecked",
    public: "The request body is too large for its type",
    ..BODY
};
const DECODED: ReasonInfo = ReasonInfo {
    code: "request_limits.body_decoded",
    public: "The request body is too large once it is decoded",
    ..BODY
};
const CODING: ReasonInfo = ReasonInfo {
    code: "request_limits.body_coding",
    status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
    public: "The content coding of the request body is not supported",
    ..BODY
};
const CHARSET: ReasonInfo = ReasonInfo {
    code: "request_limits.body_charset",
    public: "The charset of the request body is not supported",
    ..CODING
};
const MALFORMED: ReasonInfo = ReasonInfo {
    code: "request_limits.body_malformed",
    status: StatusCode::BAD_REQUEST,
    public: "The request body is not what its media type says",
    ..BODY
};
const DISPUTED: ReasonInfo = ReasonInfo {
    code: "request_limits.body_disputed",
    severity: Severity::Medium,
    public: "The request body is not clear",
    ..MALFORMED
};
const JSON_DUPLICATE_KEY: ReasonInfo = ReasonInfo {
    code: "request_limits.json_duplicate_key",
    public: "The request body has a name twice in an object",
    ..DISPUTED
};
const JSON_DEPTH: ReasonInfo = ReasonInfo {
    code: "request_limits.json_depth",
    public: "The request body is nested too deeply",
    ..MALFORMED
};
const JSON_VALUES: ReasonInfo = ReasonInfo {
    code: "request_limits.json_values",
    public: "The request body has too many values",
    ..MALFORMED
};
const JSON_KEYS: ReasonInfo = ReasonInfo { code: "request_limits.json_keys", ..JSON_VALUES };
const JSON_STRING: ReasonInfo = ReasonInfo {
    code: "request_limits.json_string",
    public: "The request body has a text that is too long",
    ..MALFORMED
};
const JSON_NUMBER: ReasonInfo = ReasonInfo {
    code: "request_limits.json_number",
    public: "The request body has a number that is too large or too long",
    ..MALFORMED
};
const FORM_FIELDS: ReasonInfo = ReasonInfo { code: "request_limits.form_fields", ..JSON_VALUES };
const PARTS: ReasonInfo =
    ReasonInfo { code: "request_limits.parts", public: "The request body has too many parts", ..MALFORMED };
const XML_DEPTH: ReasonInfo = ReasonInfo { code: "request_limits.xml_depth", ..JSON_DEPTH };
const XML_NODES: ReasonInfo = ReasonInfo { code: "request_limits.xml_nodes", ..JSON_VALUES };
const XML_DTD: ReasonInfo = ReasonInfo {
    code: "request_limits.xml_dtd",
    severity: Severity::Medium,
    public: "The request body has a document type declaration or an entity",
    ..MALFORMED
};

impl Flaw {
    fn info(self) -> ReasonInfo {
        match self {
            Flaw::Malformed => MALFORMED,
            Flaw::Disputed => DISPUTED,
            Flaw::Charset => CHARSET,
            Flaw::Coding => CODING,
            Flaw::Decoded => DECODED,
            Flaw::JsonDepth => JSON_DEPTH,
            Flaw::JsonValues => JSON_VALUES,
            Flaw::JsonKeys => JSON_KEYS,
            Flaw::JsonString => JSON_STRING,
            Flaw::JsonNumber => JSON_NUMBER,
            Flaw::JsonDuplicateKey => JSON_DUPLICATE_KEY,
            Flaw::FormFields => FORM_FIELDS,
            Flaw::Parts => PARTS,
            Flaw::XmlDepth => XML_DEPTH,
            Flaw::XmlNodes => XML_NODES,
            Flaw::XmlDtd => XML_DTD,
        }
    }

    /// The setting to change for an operation whose bodies are right as they are.
    fn setting(self) -> &'static str {
        match self {
            Flaw::Malformed | Flaw::Disputed | Flaw::Charset | Flaw::Coding | Flaw::XmlDtd => {
                "correct the client; `request_limits.bodies: { unreadable: allow }` reads no body of this operation"
            }
            Flaw::Decoded => "raise `request_limits.bodies.max_decoded` or `max_ratio` for this operation",
            Flaw::JsonDepth => "raise `request_limits.bodies.json.max_depth` for this operation",
            Flaw::JsonValues => "raise `request_limits.bodies.json.max_values` for this operation",
            Flaw::JsonKeys => "raise `request_limits.bodies.json.max_keys` for this operation",
            Flaw::JsonString => "raise `request_limits.bodies.json.max_string` for this operation",
            Flaw::JsonNumber => {
                "raise `request_limits.bodies.json.max_digits`, or write `huge_numbers: allow`, for this operation"
            }
            Flaw::JsonDuplicateKey => {
                "correct the client; `request_limits.bodies.json.duplicate_keys: allow` lets them pass"
            }
            Flaw::FormFields => "raise `request_limits.bodies.form.max_fields` for this operation",
            Flaw::Parts => {
                "raise `request_limits.bodies.multipart.max_parts` or `max_files` for this operation"
            }
            Flaw::XmlDepth => "raise `request_limits.bodies.xml.max_depth` for this operation",
            Flaw::XmlNodes => {
                "raise `request_limits.bodies.xml.max_nodes` or `max_attributes` for this operation"
            }
        }
    }
}

impl Reason for Why {
    const ALL: &'static [ReasonInfo] = &[
        BODY,
        QUERY,
        PARAMETERS,
        PATH,
        HEADERS,
        HEADER,
        METHOD,
        UNCHECKED,
        DECODED,
        CODING,
        CHARSET,
        MALFORMED,
        DISPUTED,
        JSON_DUPLICATE_KEY,
        JSON_DEPTH,
        JSON_VALUES,
        JSON_KEYS,
        JSON_STRING,
        JSON_NUMBER,
        FORM_FIELDS,
        PARTS,
        XML_DEPTH,
        XML_NODES,
        XML_DTD,
    ];

    fn info(&self) -> ReasonInfo {
        match self {
            Why::Body { .. } => BODY,
            Why::Query { .. } => QUERY,
            Why::Parameters { .. } => PARAMETERS,
            Why::Path { .. } => PATH,
            Why::Headers { .. } => HEADERS,
            Why::Header { .. } => HEADER,
            Why::Method { .. } => METHOD,
            Why::Unchecked { .. } => UNCHECKED,
            Why::Content { flaw, .. } => flaw.info(),
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
            Why::Unchecked { limit } => {
                format!("the body exceeds `bodies.max_checked`, {limit} bytes, and cannot be read")
            }
            Why::Content { told, .. } => return told.clone(),
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
            Why::Unchecked { .. } => {
                "raise `request_limits.bodies.max_checked` for this operation, or let larger bodies pass unread by `larger: allow`"
            }
            Why::Content { flaw, .. } => flaw.setting(),
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
            | Why::Header { .. }
            | Why::Unchecked { .. }
            | Why::Content { .. } => Vec::new(),
        }
    }
}
