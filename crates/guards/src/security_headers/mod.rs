//! Gives responses the header fields that make browsers careful, and removes those that name software.
//!
//! # What it does
//! Adds protective fields to every response, wherever the upstream did not decide itself, and removes fields that tell
//! which software and version answers. How much is added depends on what the response is:
//!
//! | response | added |
//! |---|---|
//! | data: JSON, plain text, CSV, event streams, gRPC, binary | `X-Content-Type-Options`, `Content-Security-Policy`, `Referrer-Policy`, `X-Frame-Options`, `Cross-Origin-Resource-Policy` |
//! | documents: HTML, images, PDF, anything else | `X-Content-Type-Options`, and `X-Frame-Options: SAMEORIGIN` in place of `DENY` |
//! | 304, and protocol switches | nothing; a 304 would change the copy that the browser keeps |
//!
//! A response to an authenticated request that does not say how to be cached gets `Cache-Control: no-store`.
//!
//! # Why
//! OWASP API8:2023 (security misconfiguration) and the OWASP REST Security Cheat Sheet. A JSON answer that a browser can be
//! made to read as HTML is a cross-site scripting hole; an answer kept by a shared cache is a leak.
//!
//! # Example
//! ```yaml
//! referrer_policy: same-origin
//! cross_origin_resource_policy: off
//! set: { permissions-policy: "geolocation=()" }
//! remove: [x-internal-node]
//! ```
//!
//! # When it refuses
//! Never. It edits responses, the gateway's own refusals among them.
//!
//! # Limits
//! It has nothing to refuse, so `monitor` equals `enforce`; `off` switches it off. An upstream's own value wins unless
//! `override: true`. HTML gets no content security policy: the right one depends on the page. `Strict-Transport-Security`
//! belongs to the listener, and `Access-Control-*` to `cors`. Cookies alone do not count as authentication here.
//!
//! # References
//! - Fetch standard, `X-Content-Type-Options` and `Cross-Origin-Resource-Policy`
//! - Content Security Policy Level 3; Referrer Policy; RFC 7034 (X-Frame-Options)
//! - RFC 9111 sections 4.3.4 and 5.2.2.5 (304 and no-store)
//! - OWASP API Security Top 10 2023, API8

mod config;
mod probes;
mod reason;
#[cfg(test)]
mod tests;

use bartizan_model::{
    CompileContext, Diagnostic, Diagnostics, Guard, ResponseHead, Timestamp, Transaction, probe::Probes,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

pub use config::{Config, Setting};
pub use reason::Why;

const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Fields that name the software behind an API, and that no client needs.
const SOFTWARE: [HeaderName; 12] = [
    header::SERVER,
    HeaderName::from_static("x-powered-by"),
    HeaderName::from_static("x-aspnet-version"),
    HeaderName::from_static("x-aspnetmvc-version"),
    HeaderName::from_static("x-generator"),
    HeaderName::from_static("x-runtime"),
    HeaderName::from_static("x-sourcefiles"),
    HeaderName::from_static("x-backend-server"),
    HeaderName::from_static("x-drupal-cache"),
    HeaderName::from_static("x-debug-token"),
    HeaderName::from_static("x-debug-token-link"),
    HeaderName::from_static("x-php-version"),
];

/// Fields that frame a message or belong to one connection (RFC 9110 section 7.6.1): editing one breaks the response.
const FRAMING: [&str; 13] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
];

/// The compiled guard.
pub struct SecurityHeaders {
    /// On every response.
    always: Vec<(HeaderName, HeaderValue)>,
    /// On data.
    data: Vec<(HeaderName, HeaderValue)>,
    /// On documents.
    documents: Vec<(HeaderName, HeaderValue)>,
    /// On authenticated responses that do not say how to be cached.
    cache_control: Option<HeaderValue>,
    remove: Vec<HeaderName>,
    replace: bool,
}

impl Guard for SecurityHeaders {
    const ID: &'static str = "security_headers";
    type Config = Config;
    type Reason = Why;

    fn compile(config: Config, _: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        config.compile()
    }

    fn response_headers(&self, transaction: &Transaction, response: &mut ResponseHead) {
        for name in &self.remove {
            response.headers.remove(name);
        }
        if response.status.is_informational() || response.status == StatusCode::NOT_MODIFIED {
            return;
        }
        let by_kind = if is_data(&response.headers) { &self.data } else { &self.documents };
        for (name, value) in self.always.iter().chain(by_kind) {
            if self.replace || !response.headers.contains_key(name) {
                response.headers.insert(name.clone(), value.clone());
            }
        }
        if let Some(value) = &self.cache_control
            && is_authenticated(transaction)
            && [header::CACHE_CONTROL, header::EXPIRES, header::PRAGMA]
                .iter()
                .all(|name| !response.headers.contains_key(name))
        {
            response.headers.insert(header::CACHE_CONTROL, value.clone());
        }
    }

    fn probes(&self, _: Timestamp) -> Probes {
        probes::offer(self)
    }
}

fn is_authenticated(transaction: &Transaction) -> bool {
    transaction.principal.is_some() || transaction.request.headers.contains_key(header::AUTHORIZATION)
}

/// Whether programs read the response rather than people: nothing of it is meant to be shown in a browser's frame.
fn is_data(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return true };
    let Ok(text) = value.to_str() else { return false };
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(
        essence.as_str(),
        "application/json"
            | "application/x-ndjson"
            | "application/octet-stream"
            | "application/protobuf"
            | "application/x-protobuf"
            | "text/csv"
            | "text/event-stream"
            | "text/plain"
    ) || essence.ends_with("+json")
        || essence.starts_with("application/grpc")
}

impl Config {
    fn compile(self) -> Result<SecurityHeaders, Diagnostics> {
        let mut problems = Diagnostics::new();
        let mut setting = |path: &str, written: &Setting| -> Option<HeaderValue> {
            let written = written.0.as_deref()?;
            let value = field_value(written);
            if value.is_none() {
                problems.push(
                    Diagnostic::error(path, "this is not a header field's value")
                        .help("write visible ASCII characters and spaces, or `off`"),
                );
            }
            value
        };
        let policy = setting("content_security_policy", &self.content_security_policy);
        let referrer = setting("referrer_policy", &self.referrer_policy);
        let frames = setting("frame_options", &self.frame_options);
        let resources = setting("cross_origin_resource_policy", &self.cross_origin_resource_policy);
        let cache_control = setting("cache_control", &self.cache_control);

        let mut always = Vec::new();
        if self.nosniff {
            always.push((header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
        }
        let mut data = Vec::new();
        let mut documents = Vec::new();
        data.extend(policy.map(|value| (header::CONTENT_SECURITY_POLICY, value)));
        data.extend(referrer.map(|value| (header::REFERRER_POLICY, value)));
        data.extend(resources.map(|value| (CORP, value)));
        if let Some(value) = frames {
            data.push((header::X_FRAME_OPTIONS, value));
            documents.push((header::X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN")));
        }
        for (name, value) in &self.set {
            let path = format!("set.{name}");
            let Some(name) = field_name(&path, name, &mut problems) else { continue };
            if name.as_str().starts_with("access-control-") {
                problems.push(
                    Diagnostic::error(path, format!("`{name}` belongs to `cors`"))
                        .help("write the origins, methods and headers there"),
                );
                continue;
            }
            match field_value(value) {
                Some(value) => {
                    for list in [&mut always, &mut data, &mut documents] {
                        list.retain(|(other, _)| *other != name);
                    }
                    always.push((name, value));
                }
                None => problems.push(
                    Diagnostic::error(path, "this is not a header field's value")
                        .help("write visible ASCII characters and spaces"),
                ),
            }
        }
        let mut remove = if self.hide_software { SOFTWARE.to_vec() } else { Vec::new() };
        for (index, name) in self.remove.iter().enumerate() {
            remove.extend(field_name(&format!("remove[{index}]"), name, &mut problems));
        }
        problems.or(SecurityHeaders { always, data, documents, cache_control, remove, replace: self.replace })
    }
}

fn field_name(path: &str, written: &str, problems: &mut Diagnostics) -> Option<HeaderName> {
    let Ok(name) = written.parse::<HeaderName>() else {
        problems.push(
            Diagnostic::error(path, format!("`{}` is not a header field's name", written.escape_default()))
                .help("write one such as `permissions-policy`"),
        );
        return None;
    };
    if FRAMING.contains(&name.as_str()) {
        problems.push(
            Diagnostic::error(path, format!("`{name}` frames the response and cannot be edited"))
                .help("remove this entry"),
        );
        return None;
    }
    Some(name)
}

/// Visible ASCII and single-line; anything else would be read differently by different clients.
fn field_value(written: &str) -> Option<HeaderValue> {
    let plain = !written.is_empty()
        && written.trim() == written
        && written.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    if plain { HeaderValue::from_str(written).ok() } else { None }
}
