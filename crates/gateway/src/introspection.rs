//! Asks introspection endpoints (RFC 7662): one question for all who ask the same, none while an endpoint keeps failing.

use std::{collections::HashMap, sync::Arc};

use aws_lc_rs::digest;
use bartizan_model::{
    Redacted,
    introspection::{ClientAuthentication, Endpoint, Response, Unavailable},
    services::{BoxFuture, Introspection},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};

use crate::{
    client::{Call, Idle, Reach},
    questions::{Questions, Service, sensitive},
};

/// The largest answer.
const MAX_ANSWER: usize = 64 * 1024;

const SIGNED: &str = "application/token-introspection+jwt";

/// Asks, and remembers which endpoints fail. Answers are remembered by whoever asks.
pub struct Introspector(Arc<Questions<Response>>);

impl Introspector {
    /// Asks on `runtime`.
    #[must_use]
    pub fn new(runtime: tokio::runtime::Handle) -> Arc<Self> {
        Arc::new(Introspector(Questions::new("an introspection endpoint", runtime)))
    }

    /// Endpoints that failed when last asked, with the reason: a stated degraded mode.
    #[must_use]
    pub fn failing(&self) -> Vec<(String, String)> {
        self.0.failing()
    }
}

impl Introspection for Introspector {
    fn ask<'a>(
        &'a self,
        endpoint: &'a Arc<Endpoint>,
        token: &'a Redacted<String>,
    ) -> BoxFuture<'a, Result<Response, Unavailable>> {
        let service = Service { url: &endpoint.url, digest: endpoint.digest, timeout: endpoint.timeout };
        let key = key(endpoint, token.expose());
        Box::pin(self.0.answer(service, key, move |health| {
            let (endpoint, token) = (Arc::clone(endpoint), token.clone());
            async move { ask(&endpoint, &token, health.idle()).await }
        }))
    }
}

fn key(endpoint: &Endpoint, token: &str) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&endpoint.digest);
    context.update(token.as_bytes());
    context.finish().as_ref().try_into().unwrap_or_default()
}

/// One question (RFC 7662 section 2.1). Errors carry nothing of it.
async fn ask(endpoint: &Endpoint, token: &Redacted<String>, idle: &Idle) -> Result<Response, String> {
    let mut headers = HeaderMap::new();
    let accepted = if endpoint.signed { SIGNED } else { "application/json" };
    headers.insert(header::ACCEPT, HeaderValue::from_static(accepted));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let mut body = String::from("token=");
    body.push_str(&form(token.expose()));
    body.push_str("&token_type_hint=access_token");
    match &endpoint.authentication {
        ClientAuthentication::Basic { id, secret } => {
            let pair = STANDARD.encode(format!("{}:{}", form(id), form(secret.expose())));
            headers.insert(header::AUTHORIZATION, sensitive(&format!("Basic {pair}"))?);
        }
        ClientAuthentication::Post { id, secret } => {
            body.push_str("&client_id=");
            body.push_str(&form(id));
            body.push_str("&client_secret=");
            body.push_str(&form(secret.expose()));
        }
        ClientAuthentication::Bearer(token) => {
            headers.insert(header::AUTHORIZATION, sensitive(&format!("Bearer {}", token.expose()))?);
        }
    }
    let call = Call {
        method: Method::POST,
        url: &endpoint.url,
        headers,
        body: Bytes::from(body),
        most: MAX_ANSWER,
        reach: Reach::Anywhere,
    };
    let answer = call.send(Some(idle)).await?;
    answer.is_ok()?;
    let kind =
        answer.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let signed = kind.eq_ignore_ascii_case(SIGNED);
    if !signed && serde_json::from_slice::<HashMap<String, serde::de::IgnoredAny>>(&answer.body).is_err() {
        return Err("the answer is not a JSON object".to_owned());
    }
    Ok(Response { signed, body: answer.body.as_ref().into() })
}

/// A text in a form body (`application/x-www-form-urlencoded`, as RFC 6749 appendix B demands for credentials, too).
fn form(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'*' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_encoded_as_forms() {
        assert_eq!(form("a b+c/é~:"), "a+b%2Bc%2F%C3%A9%7E%3A");
    }
}
