//! Errors of the admin API: RFC 9457 problems with a detail, since whoever may ask may know.

use axum::response::{IntoResponse, Response};
use bartizan_store::StoreError;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

/// Why the admin API did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// Stable, such as `admin.unauthorized`.
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    pub(crate) detail: String,
}

impl Refusal {
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Refusal {
            status: StatusCode::BAD_REQUEST,
            code: "admin.invalid",
            title: "The request cannot be understood",
            detail: detail.into(),
        }
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Refusal {
            status: StatusCode::NOT_FOUND,
            code: "admin.not_found",
            title: "There is no such thing",
            detail: detail.into(),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let (status, code, title) = match &error {
            StoreError::UnknownKey(_) | StoreError::UnknownFactor(_) => {
                return Refusal::not_found(error.to_string());
            }
            StoreError::KeyEnded(_)
            | StoreError::KeyExists(_)
            | StoreError::FactorExists(_)
            | StoreError::TooManyBans
            | StoreError::TooManyRevocations => {
                (StatusCode::CONFLICT, "admin.conflict", "The state of things does not allow it")
            }
            _ => (StatusCode::SERVICE_UNAVAILABLE, "admin.store", "The store failed"),
        };
        Refusal { status, code, title, detail: error.to_string() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({
            "type": format!("urn:bartizan:problem:{}", self.code),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"bartizan admin\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
