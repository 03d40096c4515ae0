//! Bounds the size and the shape of a request: its head, and its body as far as an API parses it.
//!
//! # What it does
//! Compares the declared body length, the query, the header fields, the path depth and the method with fixed bounds, and
//! refuses what exceeds one. The streamed length of a body without `Content-Length` is held to the same `max_body` while it
//! flows.
//!
//! A body that says it is JSON, a form, multipart or XML is read to its end before it goes on, whether a contract describes it or
//! not: content codings are undone under a cap, and depth, values, names, strings and numbers counted. It has to be what it
//! says, and what every reader reads the same: no name twice in an object, no text but UTF-8, nothing behind the document, no
//! byte order mark before JSON, no `NaN`, no number that a double cannot hold, no document type declaration. Every
//! guard behind reads the same parse, within the same bounds.
//!
//! # Why
//! OWASP API4:2023 (unrestricted resource consumption): what an API never needs to accept should never reach its parsers. A
//! body that two readers read differently passes a check as one thing and is used as another.
//! `TRACE` is refused unless it is listed, since it reflects credentials (RFC 9110 section 9.3.8).
//!
//! # Example
//! ```yaml
//! max_body: 64KiB
//! max_query_bytes: 2KiB
//! max_query_parameters: 32
//! methods: [GET, POST]
//! bodies:
//!   json: { max_depth: 20, max_keys: 200, max_string: 16KiB }
//! ```
//!
//! # When it refuses
//! 413 for a body, 414 for a query or a path, 431 for header fields, 405 with `Allow` for a method; 400 for what is in a body, 415
//! for its charset or content coding. The table below has the codes, one for each bound.
//!
//! # Limits
//! Bounds per connection (request line, whole head, time-outs) are those of the listener and come first. Listing `GET`
//! permits `HEAD`, and the `CONNECT` that opens a WebSocket over HTTP/2. A CORS preflight is judged by `cors`, not by `methods`. Which
//! media types and parameters an operation takes is the contract's business. Bodies of other types, and of none, are not
//! read: JSON that is sent as `text/plain` passes here. So do gRPC and upgrades. A body that is read waits for its end; a stream of
//! documents under a type that ends in `+json` needs `bodies: { unreadable: allow }`.
//!
//! # References
//! - RFC 9110 sections 15.5.6 (405), 15.5.14 (413), 15.5.15 (414) and 9.3.8 (TRACE)
//! - RFC 8259, RFC 7578, XML 1.0; RFC 9110 section 8.4 (content codings)
//! - RFC 6585 section 5 (431); RFC 8441 section 4 (WebSockets over HTTP/2)
//! - OWASP API Security Top 10 2023, API4

mod bodies;
mod config;
mod probes;
mod reason;
#[cfg(test)]
mod tests;

use bartizan_model::{
    ByteSize, CompileContext, Diagnostic, Diagnostics, Guard, Outcome, Timestamp, Transaction, probe::Probes,
};
use bartizan_pattern::body::BodyLimits;
use http::{HeaderValue, Method, header};

pub use bodies::Flaw;
pub use config::{Bodies, Config, Treatment};
pub use reason::Why;

use crate::{HeldBody, cors::is_preflight};

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

    /// What reading a body may cost, for every guard that looks into it.
    #[must_use]
    pub fn body_limits(&self) -> BodyLimits {
        self.bounds.bodies.limits()
    }

    /// Looks into a body of a type that APIs parse; asked where [`Guard::needs_body`] said so.
    pub fn request_body(&self, held: &HeldBody) -> Outcome<Why> {
        let bodies = &self.bounds.bodies;
        if !held.whole && held.bytes.is_empty() {
            // A stream that nobody holds.
            return Outcome::Continue;
        }
        if !held.whole || held.bytes.len() as u64 > bodies.max_checked.0 {
            return self.unchecked();
        }
        match bodies.flaw(&held.reading()) {
            Some((flaw, told)) => Outcome::Deny(Why::Content { flaw, told }),
            None => Outcome::Continue,
        }
    }

    /// What the head says of a body that would be read.
    fn body_head(&self, transaction: &Transaction) -> Outcome<Why> {
        if self.needs_body(transaction).is_none() {
            return Outcome::Continue;
        }
        let request = &transaction.request;
        if request.headers.get_all(header::CONTENT_TYPE).iter().count() > 1 {
            let told = "`Content-Type` comes twice".into();
            return Outcome::Deny(Why::Content { flaw: Flaw::Disputed, told });
        }
        match request.content_length {
            Some(bytes) if bytes > self.bounds.bodies.max_checked.0 => self.unchecked(),
            _ => Outcome::Continue,
        }
    }

    /// What becomes of a body that is larger than what is read.
    fn unchecked(&self) -> Outcome<Why> {
        match self.bounds.bodies.larger {
            Treatment::Deny => Outcome::Deny(Why::Unchecked { limit: self.bounds.bodies.max_checked.0 }),
            Treatment::Allow => Outcome::Continue,
        }
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
            _ => self.body_head(transaction),
        }
    }

    fn needs_body(&self, transaction: &Transaction) -> Option<usize> {
        let bodies = &self.bounds.bodies;
        // Probes announce bodies that nobody sends.
        let asked = bodies.unreadable == Treatment::Deny && transaction.scratch.is_none();
        bodies::kind(&transaction.request).filter(|_| asked)?;
        let most = bodies.max_checked.0;
        let passes = bodies.larger == Treatment::Allow
            && transaction.request.content_length.is_some_and(|bytes| bytes > most);
        (!passes).then(|| usize::try_from(most).unwrap_or(usize::MAX))
    }

    fn warnings(&self, _: Timestamp) -> Diagnostics {
        let (bodies, most) = (&self.bounds.bodies, self.own_max_body().unwrap_or_default());
        let refused = bodies.unreadable == Treatment::Deny && bodies.larger == Treatment::Deny;
        let mut warnings = Diagnostics::new();
        if refused && most > bodies.max_checked.0 {
            let message = format!(
                "bodies of JSON, forms, multipart and XML beyond {} are refused, although `max_body` allows {}",
                bodies.max_checked,
                ByteSize(most)
            );
            let help = "raise `bodies.max_checked`, or write `bodies: { larger: allow }` to let larger ones pass unread";
            warnings.push(Diagnostic::warning("max_body", message).help(help));
        }
        warnings
    }

    fn probes(&self, _: Timestamp) -> Probes {
        probes::offer(self)
    }
}
