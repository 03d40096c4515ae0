//! Asks policy decision points elsewhere (OpenID AuthZEN Authorization API 1.0): one question for all who ask the same, none
//! while a point keeps failing.

use std::{collections::HashMap, sync::Arc};

use bartizan_model::{
    decision_point::{DecisionPoint, Question, Unavailable},
    services::{BoxFuture, DecisionPoints},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::{
    client::{Call, Idle, Reach},
    questions::{Questions, Service, sensitive},
};

/// The largest answer.
const MAX_ANSWER: usize = 64 * 1024;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Asks, and remembers which points fail. Decisions are remembered by whoever asks.
pub struct DecisionAsker(Arc<Questions<Arc<[u8]>>>);

impl DecisionAsker {
    /// Asks on `runtime`.
    #[must_use]
    pub fn new(runtime: tokio::runtime::Handle) -> Arc<Self> {
        Arc::new(DecisionAsker(Questions::new("a decision point", runtime)))
    }

    /// Points that failed when last asked, with the reason: a stated degraded mode.
    #[must_use]
    pub fn failing(&self) -> Vec<(String, String)> {
        self.0.failing()
    }
}

impl DecisionPoints for DecisionAsker {
    fn ask<'a>(
        &'a self,
        point: &'a Arc<DecisionPoint>,
        question: &'a Question,
    ) -> BoxFuture<'a, Result<Arc<[u8]>, Unavailable>> {
        let service = Service { url: &point.url, digest: point.digest, timeout: point.timeout };
        Box::pin(self.0.answer(service, question.key, move |health| {
            let (point, question) = (Arc::clone(point), question.clone());
            async move { ask(&point, &question, health.idle()).await }
        }))
    }
}

/// One question (section 10.1). Errors carry nothing of it.
async fn ask(point: &DecisionPoint, question: &Question, idle: &Idle) -> Result<Arc<[u8]>, String> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(id) = HeaderValue::from_str(&question.request_id) {
        headers.insert(X_REQUEST_ID, id);
    }
    if let Some((name, value)) = &point.credential {
        headers.insert(name, sensitive(value.expose())?);
    }
    let call = Call {
        method: Method::POST,
        url: &point.url,
        headers,
        body: Bytes::copy_from_slice(&question.body),
        most: MAX_ANSWER,
        reach: Reach::Anywhere,
    };
    let answer = call.send(Some(idle)).await?;
    // A refusal is an answer with 200 (section 10.1.2): any other status says that nothing was decided.
    answer.is_ok()?;
    if !is_decision(&answer.body) {
        return Err("the answer is no JSON object with `decision: true` or `false`".to_owned());
    }
    Ok(answer.body.as_ref().into())
}

/// Whether an answer decides. Whoever asks reads it strictly again; here it tells whether the point works.
fn is_decision(body: &[u8]) -> bool {
    let members: Result<HashMap<String, serde_json::Value>, _> = serde_json::from_slice(body);
    members.is_ok_and(|members| members.get("decision").is_some_and(serde_json::Value::is_boolean))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_truth_value_decides() {
        assert!(is_decision(br#"{"decision": false, "context": {"reason": "x"}}"#));
        for other in [
            r#"{"decision": "true"}"#,
            r#"{"decision": 1}"#,
            r#"{"decision": null}"#,
            r#"[true]"#,
            r#"{}"#,
            "",
        ] {
            assert!(!is_decision(other.as_bytes()), "{other}");
        }
    }
}
