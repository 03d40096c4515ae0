//! Recent events and the log of changes.

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use bartizan_model::EventId;
use bartizan_store::EventFilter;
use http::header;
use serde::Deserialize;
use serde_json::json;

use crate::{Admin, refusal::Refusal};

use super::with_store;

/// Entries of one answer: a megabyte or two of events.
const MAX_LIMIT: usize = 1_000;
const DEFAULT_LIMIT: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    limit: Option<usize>,
    api: Option<String>,
    verdict: Option<bartizan_model::Verdict>,
}

pub(super) async fn list(
    State(admin): State<Admin>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(which) = which.map_err(|error| Refusal::invalid(error.body_text()))?;
    let filter = EventFilter {
        api: which.api,
        verdict: which.verdict.map(|verdict| verdict.as_str().to_owned()),
        limit: checked(which.limit)?,
    };
    let events = with_store(&admin, move |store| store.events(filter)).await?;
    Ok(raw_json(format!("{{\"events\":[{}]}}", events.join(","))))
}

pub(super) async fn one(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let id: EventId = id.parse().map_err(|error| Refusal::invalid(format!("{error}")))?;
    match with_store(&admin, move |store| store.event(id)).await? {
        Some(event) => Ok(raw_json(event)),
        None => Err(Refusal::not_found(format!(
            "no recent event has the id `{id}`; only the newest are kept, the audit log has the others"
        ))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HowMany {
    limit: Option<usize>,
}

pub(super) async fn changes(
    State(admin): State<Admin>,
    how_many: Result<Query<HowMany>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(how_many) = how_many.map_err(|error| Refusal::invalid(error.body_text()))?;
    let limit = checked(how_many.limit)?;
    let changes = with_store(&admin, move |store| store.changes(limit)).await?;
    Ok(Json(json!({ "changes": changes })).into_response())
}

fn checked(limit: Option<usize>) -> Result<usize, Refusal> {
    match limit.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit),
        _ => Err(Refusal::invalid(format!("`limit` is 1 to {MAX_LIMIT}"))),
    }
}

/// Events are stored as JSON text: they are passed on as they are.
fn raw_json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
