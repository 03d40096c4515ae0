//! Banning addresses and networks.

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{
        Query, State,
        rejection::{BytesRejection, QueryRejection},
    },
    response::{IntoResponse, Response},
};
use bartizan_model::units::Period;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::{Admin, bans, refusal::Refusal, server::Ends};

use super::{json_body, with_store};

pub(super) async fn list(State(admin): State<Admin>) -> Result<Response, Refusal> {
    let bans = with_store(&admin, |store| store.bans()).await?;
    Ok(Json(json!({ "bans": bans })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBan {
    target: String,
    #[serde(rename = "for")]
    period: Option<Period>,
    reason: String,
}

pub(super) async fn add(
    State(admin): State<Admin>,
    Extension(ends): Extension<Ends>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let asked: NewBan = json_body(body)?;
    let ban = bans::ban(&asked.target, asked.period, &asked.reason, "admin-token", admin.clock.now())
        .map_err(Refusal::invalid)?;
    let ban = with_store(&admin, move |store| store.ban(ban)).await?;
    let event = admin.audit(ends, "ban.added", bans::told(&ban));
    Ok((StatusCode::CREATED, Json(json!({ "ban": ban, "event": event }))).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    target: String,
}

pub(super) async fn remove(
    State(admin): State<Admin>,
    Extension(ends): Extension<Ends>,
    target: Result<Query<Target>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(Target { target }) =
        target.map_err(|_| Refusal::invalid("name the ban to remove: `?target=192.0.2.7`"))?;
    let network = bans::target(&target).map_err(Refusal::invalid)?;
    if !with_store(&admin, move |store| store.unban(network)).await? {
        return Err(Refusal::not_found(format!("`{network}` is not banned")));
    }
    let event = admin.audit(ends, "ban.removed", network.to_string());
    Ok(Json(json!({ "removed": network, "event": event })).into_response())
}
