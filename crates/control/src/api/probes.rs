//! Whether the process lives, whether traffic should come, and its figures: all without a token.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde_json::json;

use crate::{Admin, refusal::Refusal};

pub(super) async fn health() -> Response {
    Json(json!({ "alive": true })).into_response()
}

pub(super) async fn ready(State(admin): State<Admin>) -> Result<Response, Refusal> {
    match admin.operations.ready().await {
        Ok(mut known) => {
            if let Some(known) = known.as_object_mut() {
                known.insert("ready".to_owned(), true.into());
            }
            Ok(Json(known).into_response())
        }
        Err(detail) => Err(Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "admin.not_ready",
            title: "The gateway is not ready for traffic",
            detail,
        }),
    }
}

/// The public halves of the keys that sign towards upstreams (RFC 7517).
pub(super) async fn jwks(State(admin): State<Admin>) -> Response {
    let keys = Json(json!({ "keys": admin.operations.signing_keys() }));
    ([(header::CONTENT_TYPE, "application/jwk-set+json"), (header::CACHE_CONTROL, "max-age=300")], keys)
        .into_response()
}

pub(super) async fn metrics(State(admin): State<Admin>) -> Response {
    let text = admin.telemetry.metrics().encode();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
