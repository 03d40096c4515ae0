//! Second factors: what an authenticator app has to know is in one answer only, that of the enrolment.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    response::{IntoResponse, Response},
};
use bartizan_model::services::TotpHash;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::{Admin, factors, keys::KeyError, refusal::Refusal, server::Ends};

use super::{json_body, with_store};

pub(super) async fn list(State(admin): State<Admin>) -> Result<Response, Refusal> {
    let factors = with_store(&admin, |store| store.factors()).await?;
    let factors: Vec<_> = factors.iter().map(bartizan_store::StoredFactor::describe).collect();
    Ok(Json(json!({ "factors": factors })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFactor {
    owner: String,
    #[serde(default)]
    hash: TotpHash,
    issuer: Option<String>,
}

pub(super) async fn enroll(
    State(admin): State<Admin>,
    Extension(ends): Extension<Ends>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let asked: NewFactor = json_body(body)?;
    let (random, sealer, now) = (Arc::clone(&admin.random), Arc::clone(&admin.sealer), admin.clock.now());
    let enrolled = with_store(&admin, move |store| {
        let issuer = asked.issuer.as_deref().unwrap_or(factors::ISSUER);
        factors::enroll(store, &sealer, &*random, now, &asked.owner, asked.hash, issuer)
    })
    .await?;
    let event = admin.audit(ends, "mfa.enrolled", format!("totp for {}", enrolled.factor.owner));
    let body = json!({
        "uri": enrolled.uri.expose(),
        "secret": enrolled.secret.expose(),
        "factor": enrolled.factor.describe(),
        "event": event,
    });
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Owner {
    owner: String,
}

pub(super) async fn revoke(
    State(admin): State<Admin>,
    Extension(ends): Extension<Ends>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let Owner { owner } = json_body(body)?;
    let removed = owner.clone();
    with_store(&admin, move |store| store.remove_factor(&removed).map_err(KeyError::from)).await?;
    let event = admin.audit(ends, "mfa.revoked", format!("totp of {owner}"));
    Ok(Json(json!({ "revoked": owner, "event": event })).into_response())
}
