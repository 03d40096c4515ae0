//! The routes of the admin API.

mod bans;
mod events;
mod factors;
mod keys;
mod operate;
mod probes;
mod revocations;
mod security_events;

use axum::{
    Router,
    body::Bytes,
    extract::rejection::BytesRejection,
    routing::{get, post},
};
use bartizan_store::{Store, StoreError};
use http::StatusCode;
use serde::de::DeserializeOwned;

use crate::{Admin, refusal::Refusal};

/// Bytes of a request body: the longest is a raw request to explain.
pub(crate) const MAX_BODY: usize = 256 * 1024;

/// Where issuers push security events (RFC 8935).
pub(crate) const EVENTS: &str = "/ssf/events";

/// All routes. Who may ask is decided before they are reached.
pub(crate) fn routes(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(probes::health))
        .route("/readyz", get(probes::ready))
        .route("/metrics", get(probes::metrics))
        .route("/.well-known/jwks.json", get(probes::jwks))
        .route("/v1/status", get(operate::status))
        .route("/v1/reload", post(operate::reload))
        .route("/v1/mode", post(operate::set_mode).delete(operate::enforce))
        .route("/v1/explain", post(operate::explain))
        .route("/v1/doctor", post(operate::doctor))
        .route("/v1/events", get(events::list))
        .route("/v1/events/{id}", get(events::one))
        .route("/v1/changes", get(events::changes))
        .route("/v1/bans", get(bans::list).post(bans::add).delete(bans::remove))
        .route("/v1/keys", get(keys::list).post(keys::create))
        .route("/v1/keys/{id}/rotate", post(keys::rotate))
        .route("/v1/keys/{id}/revoke", post(keys::revoke))
        .route("/v1/factors", get(factors::list).post(factors::enroll))
        .route("/v1/factors/revoke", post(factors::revoke))
        .route("/v1/revocations", get(revocations::list).post(revocations::add))
        .route("/v1/revocations/lift", post(revocations::lift))
        .route("/v1/issuers/retired", get(revocations::retired))
        .route(EVENTS, post(security_events::push))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(admin)
}

async fn unknown() -> Refusal {
    Refusal::not_found("the admin API has no such path")
}

async fn wrong_method() -> Refusal {
    Refusal {
        status: StatusCode::METHOD_NOT_ALLOWED,
        code: "admin.method",
        title: "The method is not allowed here",
        detail: "`Allow` names the methods that are".to_owned(),
    }
}

/// A body of JSON; an empty one is an empty object.
fn json_body<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Refusal> {
    let bytes = bytes_of(body)?;
    let bytes = if bytes.is_empty() { Bytes::from_static(b"{}") } else { bytes };
    serde_json::from_slice(&bytes).map_err(|error| Refusal::invalid(error.to_string()))
}

fn bytes_of(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    body.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Refusal {
                status: StatusCode::PAYLOAD_TOO_LARGE,
                code: "admin.too_large",
                title: "The request is too large",
                detail: format!("at most {MAX_BODY} bytes are read"),
            }
        } else {
            Refusal::invalid("the body could not be read to its end")
        }
    })
}

/// Asks the store on a thread that may wait for the disk.
async fn with_store<T: Send + 'static, E: Into<Refusal> + Send + 'static>(
    admin: &Admin,
    question: impl FnOnce(&Store) -> Result<T, E> + Send + 'static,
) -> Result<T, Refusal> {
    let store = std::sync::Arc::clone(&admin.store);
    match tokio::task::spawn_blocking(move || question(&store)).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(StoreError::Closed.into()),
    }
}
