//! Asks introspection endpoints (RFC 7662): one question for all who ask the same, none while an endpoint keeps failing.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use aws_lc_rs::digest;
use bartizan_model::{
    Redacted,
    introspection::{ClientAuthentication, Endpoint, Response, Unavailable},
    redacted::shown_url,
    services::{BoxFuture, Introspection},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

use crate::client::{Call, Idle, Reach};

/// The largest answer.
const MAX_ANSWER: usize = 64 * 1024;

/// Questions that run at once, of all endpoints: each holds a connection.
const MAX_QUESTIONS: usize = 512;

/// Failures in a row after which an endpoint is left alone.
const FAILURES: u32 = 5;

/// For how long, at first; each further failure doubles it.
const REST: Duration = Duration::from_secs(1);

/// For how long at most.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Endpoints that are remembered; a policy names a few, and reloads may name others.
const MAX_ENDPOINTS: usize = 256;

const SIGNED: &str = "application/token-introspection+jwt";

type Answered = Option<Result<Response, Unavailable>>;

/// Asks, and remembers which endpoints fail. Answers are remembered by whoever asks.
pub struct Introspector {
    questions: Mutex<HashMap<[u8; 32], watch::Receiver<Answered>>>,
    endpoints: Mutex<HashMap<[u8; 32], Arc<Health>>>,
    runtime: tokio::runtime::Handle,
    this: Weak<Introspector>,
}

/// How an endpoint does.
struct Health {
    url: Arc<str>,
    idle: Idle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: u32,
    rests_until: Option<Instant>,
    error: Option<String>,
}

impl Introspector {
    /// Asks on `runtime`.
    #[must_use]
    pub fn new(runtime: tokio::runtime::Handle) -> Arc<Self> {
        Arc::new_cyclic(|this| Introspector {
            questions: Mutex::default(),
            endpoints: Mutex::default(),
            runtime,
            this: this.clone(),
        })
    }

    /// Endpoints that failed when last asked, with the reason: a stated degraded mode.
    #[must_use]
    pub fn failing(&self) -> Vec<(String, String)> {
        let endpoints = self.endpoints.lock();
        endpoints.values().filter_map(|h| Some((shown_url(&h.url), h.state.lock().error.clone()?))).collect()
    }

    fn health(&self, endpoint: &Endpoint) -> Arc<Health> {
        let mut endpoints = self.endpoints.lock();
        if endpoints.len() >= MAX_ENDPOINTS && !endpoints.contains_key(&endpoint.digest) {
            endpoints.clear();
        }
        let new = || {
            Arc::new(Health {
                url: Arc::clone(&endpoint.url),
                idle: Idle::default(),
                state: Mutex::default(),
            })
        };
        Arc::clone(endpoints.entry(endpoint.digest).or_insert_with(new))
    }

    /// The question's answer to be, asked now unless somebody else is asking it.
    fn question(
        &self,
        endpoint: &Arc<Endpoint>,
        token: &Redacted<String>,
    ) -> Result<watch::Receiver<Answered>, Unavailable> {
        let key = key(endpoint, token.expose());
        let mut questions = self.questions.lock();
        if let Some(running) = questions.get(&key) {
            return Ok(running.clone());
        }
        if questions.len() >= MAX_QUESTIONS {
            return Err(Unavailable("too many questions at once".to_owned()));
        }
        let health = self.health(endpoint);
        if !health.may_be_asked() {
            return Err(Unavailable("the endpoint keeps failing and is left alone for a while".to_owned()));
        }
        let (sender, receiver) = watch::channel(None);
        questions.insert(key, receiver.clone());
        drop(questions);
        let (this, endpoint, token) = (self.this.clone(), Arc::clone(endpoint), token.clone());
        // On its own: whoever asked first may leave, and others wait for the same.
        self.runtime.spawn(async move {
            let asked = tokio::time::timeout(endpoint.timeout, ask(&endpoint, &token, &health.idle)).await;
            let answer = asked
                .unwrap_or_else(|_| Err(format!("no answer within {} ms", endpoint.timeout.as_millis())));
            health.note(&answer);
            if let Some(this) = this.upgrade() {
                this.questions.lock().remove(&key);
            }
            sender.send_replace(Some(answer.map_err(Unavailable)));
        });
        Ok(receiver)
    }
}

impl Introspection for Introspector {
    fn ask<'a>(
        &'a self,
        endpoint: &'a Arc<Endpoint>,
        token: &'a Redacted<String>,
    ) -> BoxFuture<'a, Result<Response, Unavailable>> {
        Box::pin(async move {
            let mut answer = self.question(endpoint, token)?;
            let answered = answer.wait_for(Option::is_some).await;
            let answered = answered.map_err(|_| Unavailable("the question was given up".to_owned()))?;
            answered.clone().unwrap_or_else(|| Err(Unavailable("no answer".to_owned())))
        })
    }
}

impl Health {
    /// Whether it works, or its rest is over: then one question finds out.
    fn may_be_asked(&self) -> bool {
        let mut state = self.state.lock();
        let now = Instant::now();
        match state.rests_until {
            Some(until) if now < until => false,
            Some(_) => {
                state.rests_until = Some(now + rest(state.failures));
                true
            }
            None => true,
        }
    }

    fn note(&self, answer: &Result<Response, String>) {
        let mut state = self.state.lock();
        match answer {
            Ok(_) => *state = State::default(),
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                if state.failures >= FAILURES {
                    state.rests_until = Some(Instant::now() + rest(state.failures));
                }
                if state.error.as_ref() != Some(error) {
                    tracing::warn!(endpoint = %shown_url(&self.url), %error, "an introspection endpoint gave no answer that can be used");
                }
                state.error = Some(error.clone());
            }
        }
    }
}

fn rest(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(FAILURES).min(10);
    REST.saturating_mul(1 << doublings).min(LONGEST_REST)
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
    match answer.status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(format!(
                "answered {}: it does not accept the gateway's own credentials",
                answer.status
            ));
        }
        status => return Err(format!("answered {status}")),
    }
    let kind =
        answer.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let signed = kind.eq_ignore_ascii_case(SIGNED);
    if !signed && serde_json::from_slice::<HashMap<String, serde::de::IgnoredAny>>(&answer.body).is_err() {
        return Err("the answer is not a JSON object".to_owned());
    }
    Ok(Response { signed, body: answer.body.as_ref().into() })
}

fn sensitive(text: &str) -> Result<HeaderValue, String> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| "the gateway's own credentials cannot be sent")?;
    value.set_sensitive(true);
    Ok(value)
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

    #[test]
    fn rests_grow_to_a_bound() {
        assert_eq!(rest(FAILURES), REST);
        assert_eq!(rest(FAILURES + 2), REST * 4);
        assert_eq!(rest(u32::MAX), LONGEST_REST);
    }
}
