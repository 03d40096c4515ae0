//! The body of a gateway-made error response: RFC 9457 `application/problem+json`.

use http::StatusCode;
use serde::Serialize;

use crate::EventId;

/// What a refused client is told (RFC 9457 section 3.1): little, and always the event id to quote to an operator.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// `urn:bartizan:problem:<code>`: a stable name for programs to branch on (section 3.1.1).
    #[serde(rename = "type")]
    pub kind: String,
    /// A short sentence for people.
    pub title: &'static str,
    /// The HTTP status, repeated (section 3.1.2).
    pub status: u16,
    /// `urn:bartizan:event:<id>`: what to quote (section 3.1.5).
    pub instance: String,
    /// What is wrong, one by one (section 3.2, an extension member); usually clients are not told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemError>,
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProblemError {
    /// The part of the request: `path`, `query`, `header`, `cookie` or `body`.
    #[serde(rename = "in")]
    pub part: &'static str,
    /// The parameter; absent for bodies.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub name: Box<str>,
    /// The JSON pointer (RFC 6901) from there.
    pub pointer: String,
    /// What is expected.
    pub detail: String,
}

impl Problem {
    /// The problem for a stable reason code such as `rate_limit.exceeded`.
    #[must_use]
    pub fn new(code: &str, title: &'static str, status: StatusCode, event: EventId) -> Self {
        Problem {
            kind: format!("urn:bartizan:problem:{code}"),
            title,
            status: status.as_u16(),
            instance: format!("urn:bartizan:event:{event}"),
            errors: Vec::new(),
        }
    }

    /// The same with what is wrong, one by one.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<ProblemError>) -> Self {
        self.errors = errors;
        self
    }

    /// The JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
