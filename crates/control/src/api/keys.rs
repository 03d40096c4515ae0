//! API keys: the whole text of a key is in one answer only, that of its making.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, State, rejection::BytesRejection},
    response::{IntoResponse, Response},
};
use bartizan_model::{EventId, units::Period};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::{
    Admin,
    keys::{self, Issued, KeyError},
    refusal::Refusal,
    server::Ends,
};

use super::{json_body, with_store};

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Invalid(text) => Refusal::invalid(text),
            KeyError::Store(error) => error.into(),
        }
    }
}

pub(super) async fn list(State(admin): State<Admin>) -> Result<Response, Refusal> {
    let keys = with_store(&admin, |store| store.keys()).await?;
    let (now, max_age) = (admin.clock.now(), admin.operations.key_max_age());
    let keys: Vec<_> = keys.iter().map(|key| key.describe(now, max_age)).collect();
    Ok(Json(json!({ "keys": keys })).into_response())
}

pub(super) async fn create(
    State(admin): State<Admin>,
    Extension(ends): Extension<Ends>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let asked: keys::NewKey = json_body(body)?;
    let (random, now) = (Arc::clone(&admin.random), admin.clock.now());
    let issued = with_store(&admin, move |store| keys::create(store, &*random, now, &asked)).await?;
    let detail = format!("`{}` for {}", issued.key.record.id, issued.key.record.owner);
    let event = admin.audit(ends, "key.created", detail);
    Ok(shown_once(&admin, &issued, event))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotate {
    overlap: Option<Period>,
}

pub(super) async fn rotate(
    State(admin): State<Admin>,
    Extension(ends): Extension<Ends>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let asked: Rotate = json_body(body)?;
    let overlap = asked.overlap.unwrap_or(keys::OVERLAP);
    let (random, now, old) = (Arc::clone(&admin.random), admin.clock.now(), id.clone());
    let issued = with_store(&admin, move |store| keys::rotate(store, &*random, now, &old, overlap)).await?;
    let detail = format!("`{id}` by `{}`, overlap {overlap}", issued.key.record.id);
    let event = admin.audit(ends, "key.rotated", detail);
    Ok(shown_once(&admin, &issued, event))
}

pub(super) async fn revoke(
    State(admin): State<Admin>,
    Extension(ends): Extension<Ends>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let now = admin.clock.now();
    let key = with_store(&admin, move |store| store.revoke_key(&id, now)).await?;
    let detail = format!("`{}` of {}", key.record.id, key.record.owner);
    let event = admin.audit(ends, "key.revoked", detail);
    Ok(Json(json!({ "key": key.describe(now, admin.operations.key_max_age()), "event": event }))
        .into_response())
}

fn shown_once(admin: &Admin, issued: &Issued, event: EventId) -> Response {
    let body = json!({
        "secret": issued.plain.expose(),
        "key": issued.key.describe(admin.clock.now(), admin.operations.key_max_age()),
        "event": event,
    });
    (StatusCode::CREATED, Json(body)).into_response()
}
