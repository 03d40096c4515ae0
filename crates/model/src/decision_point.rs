//! Asking a policy decision point elsewhere (OpenID AuthZEN Authorization API 1.0).

use std::{fmt, sync::Arc, time::Duration};

use http::HeaderName;

use crate::{
    Redacted,
    redacted::shown_url,
    services::{BoxFuture, DecisionPoints},
};

pub use crate::introspection::Unavailable;

/// The Access Evaluation endpoint of a decision point (section 10.1.1), and how it is asked.
#[derive(Clone)]
pub struct DecisionPoint {
    /// Where: `https`, or `http` on this machine.
    pub url: Arc<str>,
    /// A field of each question that shows who asks, with its value.
    pub credential: Option<(HeaderName, Redacted<String>)>,
    /// One question from connect to the last byte.
    pub timeout: Duration,
    /// Tells points with other settings apart; answers are shared under it.
    pub digest: [u8; 32],
}

/// As it may be told.
impl fmt::Debug for DecisionPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionPoint").field("url", &shown_url(&self.url)).finish_non_exhaustive()
    }
}

/// One question: who wants to do what with which resource, under which circumstances (section 6).
#[derive(Clone)]
pub struct Question {
    /// The JSON of the request.
    pub body: Arc<[u8]>,
    /// SHA-256 over the point's settings and the whole of `body`: what is equal here is the same question of the same caller.
    pub key: [u8; 32],
    /// `X-Request-ID` (section 10.1.4): the event of the exchange that asks first.
    pub request_id: Arc<str>,
}

/// Names no caller.
impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}

/// Where nothing is served, no decision point is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPointAsked;

impl DecisionPoints for NoPointAsked {
    fn ask<'a>(
        &'a self,
        _: &'a Arc<DecisionPoint>,
        _: &'a Question,
    ) -> BoxFuture<'a, Result<Arc<[u8]>, Unavailable>> {
        Box::pin(std::future::ready(Err(Unavailable("nobody is asked here".to_owned()))))
    }
}
