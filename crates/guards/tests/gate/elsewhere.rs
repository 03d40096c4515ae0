//! Whom guards ask elsewhere: fixed answers.

use std::sync::Arc;

use bartizan_model::{
    Redacted,
    decision_point::{DecisionPoint, Question},
    introspection::{self, Endpoint, Unavailable},
    services::{BoxFuture, DecisionPoints, Introspection},
};
use serde_json::Value;

/// An introspection endpoint that answers by token; to any other it does not.
pub struct Answers(pub Value);

impl Introspection for Answers {
    fn ask<'a>(
        &'a self,
        _: &'a Arc<Endpoint>,
        token: &'a Redacted<String>,
    ) -> BoxFuture<'a, Result<introspection::Response, Unavailable>> {
        let answer = self
            .0
            .as_array()
            .into_iter()
            .flatten()
            .find(|entry| entry["token"].as_str() == Some(token.expose()));
        let response = answer.map(|entry| introspection::Response {
            signed: false,
            body: entry["answer"].to_string().into_bytes().into(),
        });
        Box::pin(std::future::ready(response.ok_or(Unavailable("no answer".to_owned()))))
    }
}

/// A decision point that answers the first entry whose `subject`, `action` and `path` are those of the question; without one
/// it does not answer.
pub struct Decisions(pub Value);

impl DecisionPoints for Decisions {
    fn ask<'a>(
        &'a self,
        _: &'a Arc<DecisionPoint>,
        question: &'a Question,
    ) -> BoxFuture<'a, Result<Arc<[u8]>, Unavailable>> {
        let asked: Value = serde_json::from_slice(&question.body).unwrap();
        let named =
            [("subject", "/subject/id"), ("action", "/action/name"), ("path", "/resource/properties/path")];
        let fits = |entry: &&Value| {
            named.iter().all(|(name, pointer)| {
                entry.get(name).is_none_or(|wanted| asked.pointer(pointer) == Some(wanted))
            })
        };
        let answer = self.0.as_array().into_iter().flatten().find(fits);
        let answer = answer.map(|entry| entry["answer"].to_string().into_bytes().into());
        Box::pin(std::future::ready(answer.ok_or(Unavailable("no answer".to_owned()))))
    }
}
