//! What the bank answers when it does not do what is asked: an RFC 9457 problem.

use std::{backtrace::Backtrace, borrow::Cow};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// What went wrong inside, beside the answer: only BANK-13 ever shows it.
#[derive(Clone)]
pub struct Inside(pub String);

/// A refusal or failure.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    detail: Cow<'static, str>,
    retry_after: Option<u64>,
    inside: Option<String>,
}

/// What most functions of the bank answer.
pub type Answer<T> = Result<T, Refusal>;

impl Refusal {
    pub fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Refusal { status, detail: detail.into(), retry_after: None, inside: None }
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such thing, or it is not yours")
    }

    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "sign in first")
    }

    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "your role does not allow this")
    }

    pub fn bad(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub fn unprocessable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    pub fn too_many(seconds: u64) -> Self {
        let mut refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "too many requests, wait a while");
        refusal.retry_after = Some(seconds.max(1));
        refusal
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Keeps what happened inside, with where.
    pub fn caused_by(mut self, cause: &dyn std::fmt::Display) -> Self {
        self.inside = Some(format!("{cause}\nstack backtrace:\n{}", Backtrace::force_capture()));
        self
    }

    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the bank failed").caused_by(cause)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or_default();
        let body = json!({ "title": title, "status": self.status.as_u16(), "detail": self.detail });
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"bank\""));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(inside) = self.inside {
            response.extensions_mut().insert(Inside(inside));
        }
        response
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::QueryReturnedNoRows => Refusal::not_found(),
            other => Refusal::internal(&other),
        }
    }
}
