//! Tells browsers which other origins may call the API and read its answers.
//!
//! # What it does
//! Answers CORS preflights itself, before anybody is identified (a preflight carries no credentials), with 204 and what
//! the policy grants. On all other responses it replaces the upstream's `Access-Control-*` fields with its own, so that there is
//! one place that decides, and adds `Origin` to `Vary`, so that no cache serves one origin's answer to another.
//!
//! # Why
//! OWASP API8:2023 (security misconfiguration) names missing or careless CORS policies. A reflected origin with credentials
//! lets any web site act as the signed-in user; here that cannot be written. The protocol is that of the Fetch standard,
//! origins are compared as RFC 6454 section 5 says: scheme, host and port.
//!
//! # Example
//! ```yaml
//! origins: [https://app.example.com, "https://*.preview.example.com"]
//! methods: [GET, POST, DELETE]
//! headers: [authorization, content-type]
//! expose: [x-request-id]
//! credentials: true
//! max_age: 10m
//! ```
//!
//! # When it refuses
//! With 403: a preflight whose origin, method or header the policy does not name; with `block_other_origins: true` also an
//! actual request of another origin. Without it such a request is forwarded, and the browser keeps the answer from the page.
//!
//! # Limits
//! CORS binds browsers; it is no access control. In monitor mode a refused preflight reaches the upstream, and what the
//! upstream says to origins that the policy does not name passes unchanged. `null` (sandboxed frames, files) matches only where it is
//! written, never `*`.
//!
//! # References
//! - Fetch standard, section 3.3 (CORS protocol)
//! - RFC 6454, The Web Origin Concept
//! - RFC 9110 section 12.5.5 (Vary)
//! - OWASP API Security Top 10 2023, API8

mod config;
mod origin;
mod probes;
mod reason;
#[cfg(test)]
mod tests;

use bartizan_model::{
    Answer, CanonicalRequest, CompileContext, Diagnostic, Diagnostics, Guard, Outcome, ResponseHead,
    Timestamp, Transaction, probe::Probes,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

pub use config::Config;
pub use reason::Why;

use self::origin::{Origin, OriginPattern};

/// What every preflight answer depends on.
const PREFLIGHT_VARY: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");

/// Request header fields that a page may always set (Fetch, CORS-safelisted request-header).
const SAFELISTED: [&str; 3] = ["accept", "accept-language", "content-language"];

/// The compiled guard.
pub struct Cors {
    origins: Vec<OriginPattern>,
    /// `None` permits every method.
    methods: Option<Vec<Method>>,
    /// `None` permits every header field.
    headers: Option<Vec<HeaderName>>,
    credentials: bool,
    block_other_origins: bool,
    methods_field: HeaderValue,
    headers_field: Option<HeaderValue>,
    expose_field: Option<HeaderValue>,
    max_age_field: HeaderValue,
}

/// Whether this is a CORS preflight (Fetch, section 3.3.2): `OPTIONS` with `Origin` and `Access-Control-Request-Method`.
#[must_use]
pub fn is_preflight(request: &CanonicalRequest) -> bool {
    request.method == Method::OPTIONS
        && request.headers.contains_key(header::ORIGIN)
        && request.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

impl Guard for Cors {
    const ID: &'static str = "cors";
    type Config = Config;
    type Reason = Why;

    fn compile(config: Config, _: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        config.compile()
    }

    async fn request_headers(&self, transaction: &mut Transaction) -> Outcome<Why> {
        let request = &transaction.request;
        if is_preflight(request) {
            return match self.preflight(&request.headers) {
                Ok(headers) => {
                    Outcome::Answer(Answer { status: StatusCode::NO_CONTENT, headers, body: Bytes::new() })
                }
                Err(why) => Outcome::Deny(why),
            };
        }
        let foreign = request.headers.contains_key(header::ORIGIN)
            && self.matching_origin(&request.headers).is_none()
            && !is_same_origin(request);
        if self.block_other_origins && foreign {
            return Outcome::Deny(Why::Origin);
        }
        Outcome::Continue
    }

    fn response_headers(&self, transaction: &Transaction, response: &mut ResponseHead) {
        // A preflight's answer is complete as it was made.
        if is_preflight(&transaction.request) {
            return;
        }
        let theirs: Vec<HeaderName> = response
            .headers
            .keys()
            .filter(|name| name.as_str().starts_with("access-control-"))
            .cloned()
            .collect();
        for name in theirs {
            response.headers.remove(name);
        }
        vary_by_origin(&mut response.headers);
        if let Some(origin) = self.matching_origin(&transaction.request.headers) {
            self.grant(origin, &mut response.headers);
            if let Some(expose) = &self.expose_field {
                response.headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
            }
        }
    }

    /// Grants what the policy grants, and leaves to other origins what the upstream says of them.
    fn watch_response_headers(&self, transaction: &Transaction, response: &mut ResponseHead) {
        if self.matching_origin(&transaction.request.headers).is_some() {
            self.response_headers(transaction, response);
        } else {
            vary_by_origin(&mut response.headers);
        }
    }

    fn probes(&self, _: Timestamp) -> Probes {
        probes::offer(self)
    }
}

impl Cors {
    /// The fields of a preflight's answer (Fetch, section 4.8), or why there is none.
    fn preflight(&self, request: &HeaderMap) -> Result<HeaderMap, Why> {
        let origin = self.matching_origin(request).ok_or(Why::Origin)?;
        let method = single(request, &header::ACCESS_CONTROL_REQUEST_METHOD)
            .and_then(|value| Method::from_bytes(value.as_bytes()).ok())
            .ok_or(Why::Method)?;
        if self.methods.as_ref().is_some_and(|methods| !methods.contains(&method)) {
            return Err(Why::Method);
        }
        let requested = requested_headers(request)?;
        if let Some(headers) = &self.headers {
            let named = |name: &HeaderName| headers.contains(name) || SAFELISTED.contains(&name.as_str());
            if !requested.iter().all(named) {
                return Err(Why::Header);
            }
        }

        let mut fields = HeaderMap::with_capacity(8);
        self.grant(origin, &mut fields);
        let methods = match &self.methods {
            Some(_) => self.methods_field.clone(),
            None => HeaderValue::from_str(method.as_str()).map_err(|_| Why::Method)?,
        };
        fields.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        // `*` does not cover `Authorization` (Fetch, section 4.8 step 7), so the names are repeated.
        let headers = match &self.headers_field {
            Some(field) => Some(field.clone()),
            None if self.headers.is_none() => joined(&requested),
            None => None,
        };
        if let Some(headers) = headers {
            fields.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, headers);
        }
        fields.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age_field.clone());
        fields.insert(header::VARY, PREFLIGHT_VARY);
        Ok(fields)
    }

    /// The request's one `Origin`, as sent, if the policy names it. Several never match.
    fn matching_origin<'a>(&self, request: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let value = single(request, &header::ORIGIN)?;
        let origin = Origin::parse(value.to_str().ok()?)?;
        self.origins.iter().any(|pattern| pattern.matches(&origin)).then_some(value)
    }

    fn grant(&self, origin: &HeaderValue, fields: &mut HeaderMap) {
        let any = self.origins.contains(&OriginPattern::Any) && origin.as_bytes() != b"null";
        let granted = if any { HeaderValue::from_static("*") } else { origin.clone() };
        fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, granted);
        if self.credentials {
            fields.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn requested_headers(request: &HeaderMap) -> Result<Vec<HeaderName>, Why> {
    let mut names = Vec::new();
    for value in request.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        let text = value.to_str().map_err(|_| Why::Header)?;
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            names.push(HeaderName::from_bytes(name.as_bytes()).map_err(|_| Why::Header)?);
        }
    }
    Ok(names)
}

/// Header names as one field value; `None` when there are none.
fn joined(names: &[HeaderName]) -> Option<HeaderValue> {
    if names.is_empty() {
        return None;
    }
    HeaderValue::from_str(&names.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", ")).ok()
}

/// Adds `Origin` to `Vary` without losing what the upstream wrote there.
fn vary_by_origin(headers: &mut HeaderMap) {
    let covers = |value: &HeaderValue| {
        value.to_str().is_ok_and(|text| {
            text.split(',').map(str::trim).any(|name| name == "*" || name.eq_ignore_ascii_case("origin"))
        })
    };
    if !headers.get_all(header::VARY).iter().any(covers) {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
}

/// Whether the page comes from the very host that it calls: browsers send `Origin` on their own posts too.
fn is_same_origin(request: &CanonicalRequest) -> bool {
    let Some(origin) =
        single(&request.headers, &header::ORIGIN).and_then(|v| v.to_str().ok()).and_then(Origin::parse)
    else {
        return false;
    };
    origin.is(request.scheme.as_str(), &request.host, request.port)
}

impl Config {
    fn compile(self) -> Result<Cors, Diagnostics> {
        let mut problems = Diagnostics::new();
        if self.origins.is_empty() {
            problems.push(Diagnostic::error("origins", "`cors` names no origin").help(
                "write the origins that may call, such as `https://app.example.com`, or remove `cors`",
            ));
        }
        let origins: Vec<OriginPattern> = list("origins", &self.origins, &mut problems, OriginPattern::parse);
        let any_method = self.methods.iter().any(|name| name == "*");
        let any_header = self.headers.iter().any(|name| name == "*");
        let methods = list("methods", &self.methods, &mut problems, |name| {
            if name.bytes().any(|b| b.is_ascii_lowercase()) {
                return Err(format!("`{name}` has lower-case letters, and methods are case-sensitive"));
            }
            Method::from_bytes(name.as_bytes())
                .map_err(|_| format!("`{}` is not a method", name.escape_default()))
        });
        let header_name = |name: &str| {
            name.parse::<HeaderName>()
                .map_err(|_| format!("`{}` is not a header field's name", name.escape_default()))
        };
        let headers = list("headers", &self.headers, &mut problems, header_name);
        let expose = list("expose", &self.expose, &mut problems, header_name);
        if self.credentials {
            let lists = [
                ("origins", &self.origins),
                ("methods", &self.methods),
                ("headers", &self.headers),
                ("expose", &self.expose),
            ];
            for (name, entries) in lists {
                if let Some(index) = entries.iter().position(|entry| entry == "*") {
                    problems.push(
                        Diagnostic::error(
                            format!("{name}[{index}]"),
                            "`*` with `credentials: true` would let every web site act as the signed-in user",
                        )
                        .help("name each one, or remove `credentials`"),
                    );
                }
            }
        }
        let methods_field = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let methods_field = HeaderValue::from_str(&methods_field)
            .map_err(|_| Diagnostic::error("methods", "the list of methods does not fit a header field"))?;
        problems.or(Cors {
            origins,
            methods: (!any_method).then_some(methods),
            headers_field: if any_header { None } else { joined(&headers) },
            headers: (!any_header).then_some(headers),
            credentials: self.credentials,
            block_other_origins: self.block_other_origins,
            methods_field,
            expose_field: joined(&expose),
            max_age_field: HeaderValue::from(self.max_age.0.as_secs()),
        })
    }
}

/// Reads every entry of a list, and reports each that cannot be read.
fn list<T>(
    name: &str,
    entries: &[String],
    problems: &mut Diagnostics,
    read: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let mut values = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        match read(entry) {
            Ok(value) => values.push(value),
            Err(message) => problems.push(Diagnostic::error(format!("{name}[{index}]"), message)),
        }
    }
    values
}
