//! Bounds the size and the shape of a request by its head, before anything is parsed further.
//!
//! # What it does
//! Compares the declared body length, the query, the header fields, the path depth and the method with fixed bounds, and
//! refuses what exceeds one. The streamed length of a body without `Content-Length` is held to the same `max_body` while it
//! flows.
//!
//! # Why
//! OWASP API4:2023 (unrestricted resource consumption): what an API never needs to accept should never reach its parsers.
//! `TRACE` is refused unless it is listed, since it reflects credentials (RFC 9110 section 9.3.8).
//!
//! # Example
//! ```yaml
//! max_body: 64KiB
//! max_query_bytes: 2KiB
//! max_query_parameters: 32
//! methods: [GET, POST]
//! ```
//!
//! # When it refuses
//! 413 for a body, 414 for a query or a path, 431 for header fields, 405 with `Allow` for a method. The table below has the
//! codes.
//!
//! # Limits
//! Bounds per connection (request line, whole head, time-outs) are those of the listener and come first. Listing `GET`
//! permits `HEAD`, and the `CONNECT` that opens a WebSocket over HTTP/2. A CORS preflight is judged by `cors`, not by `methods`. Which media types and parameters an operation
//! takes is the contract's business.
//!
//! # References
//! - RFC 9110 sections 15.5.6 (405), 15.5.14 (413), 15.5.15 (414) and 9.3.8 (TRACE)
//! - RFC 6585 section 5 (431); RFC 8441 section 4 (WebSockets over HTTP/2)
//! - OWASP API Security Top 10 2023, API4

mod config;
mod probes;
mod reason;
#[cfg(test)]
mod tests;

use bartizan_model::{
    CompileContext, Diagnostic, Diagnostics, Guard, Outcome, Timestamp, Transaction, probe::Probes,
};
use http::{HeaderValue, Method};

pub use config::Config;
pub use reason::Why;

use crate::cors::is_preflight;

/// What `Allow` lists where the policy lists no methods and `TRACE` was refused.
const USUAL_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY";

/// The compiled guard.
pub struct RequestLimits {
    bounds: Config,
    /// Empty permits every method but `TRACE`.
    methods: Vec<Method>,
    allow: HeaderValue,
}

impl RequestLimits {
    /// The largest request body in bytes, for whoever counts a streamed one; `u64::MAX` where it is left to the API.
    #[must_use]
    pub fn max_body(&self) -> u64 {
        self.own_max_body().unwrap_or(u64::MAX)
    }

    /// The largest request body in bytes, where this block says one.
    #[must_use]
    pub fn own_max_body(&self) -> Option<u64> {
        self.bounds.max_body.map(|size| size.0)
    }

    fn permits(&self, method: &Method) -> bool {
        // A WebSocket over HTTP/2 is opened by `CONNECT` where HTTP/1.1 has `GET` (RFC 8441 section 4).
        let method = if method == Method::CONNECT { &Method::GET } else { method };
        if self.methods.is_empty() {
            return method != Method::TRACE;
        }
        self.methods.contains(method) || (method == Method::HEAD && self.methods.contains(&Method::GET))
    }
}

impl Guard for RequestLimits {
    const ID: &'static str = "request_limits";
    type Config = Config;
    type Reason = Why;

    fn compile(config: Config, _: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        let mut problems = Diagnostics::new();
        let mut methods: Vec<Method> = Vec::new();
        for (index, name) in config.methods.iter().enumerate() {
            let path = format!("methods[{index}]");
            match Method::from_bytes(name.as_bytes()) {
                Ok(method) if !name.bytes().any(|b| b.is_ascii_lowercase()) => {
                    if !methods.contains(&method) {
                        methods.push(method);
                    }
                }
                Ok(_) => problems.push(
                    Diagnostic::error(
                        path,
                        format!("`{name}` has lower-case letters, and methods are case-sensitive"),
                    )
                    .help(format!("write `{}`", name.to_ascii_uppercase())),
                ),
                Err(_) => problems.push(
                    Diagnostic::error(path, format!("`{}` is not a method", name.escape_default()))
                        .help("write a token such as `GET` or `PATCH`"),
                ),
            }
        }
        let mut names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
            names.push("HEAD");
        }
        let allow = if names.is_empty() { USUAL_METHODS.to_owned() } else { names.join(", ") };
        let allow = HeaderValue::from_str(&allow)
            .map_err(|_| Diagnostic::error("methods", "the list of methods does not fit a header field"))?;
        problems.or(RequestLimits { bounds: config, methods, allow })
    }

    async fn request_headers(&self, transaction: &mut Transaction) -> Outcome<Why> {
        let request = &transaction.request;
        let bounds = &self.bounds;
        if !self.permits(&request.method) && !is_preflight(request) {
            return Outcome::Deny(Why::Method { allow: self.allow.clone() });
        }
        let segments = request.path.bytes().filter(|&b| b == b'/').count();
        if segments > bounds.max_path_segments {
            return Outcome::Deny(Why::Path { segments, limit: bounds.max_path_segments });
        }
        if let Some(query) = &request.query {
            let limit = bounds.max_query_bytes.0;
            if query.len() as u64 > limit {
                return Outcome::Deny(Why::Query { bytes: query.len(), limit });
            }
            let count = query.split('&').filter(|pair| !pair.is_empty()).count();
            if count > bounds.max_query_parameters {
                return Outcome::Deny(Why::Parameters { count, limit: bounds.max_query_parameters });
            }
        }
        if request.headers.len() > bounds.max_headers {
            return Outcome::Deny(Why::Headers { count: request.headers.len(), limit: bounds.max_headers });
        }
        let limit = bounds.max_header_bytes.0;
        for (name, value) in &request.headers {
            let bytes = name.as_str().len().saturating_add(value.len());
            if bytes as u64 > limit {
                return Outcome::Deny(Why::Header { bytes, limit });
            }
        }
        match request.content_length {
            Some(bytes) if bytes > self.max_body() => {
                Outcome::Deny(Why::Body { bytes, limit: self.max_body() })
            }
            _ => Outcome::Continue,
        }
    }

    fn probes(&self, _: Timestamp) -> Probes {
        probes::offer(self)
    }
}
