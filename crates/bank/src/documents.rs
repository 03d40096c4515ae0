//! Documents that customers upload.

use axum::{
    Json,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rusqlite::params;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    bank::Shared,
    caller::Caller,
    input::{Id, room_for_one_more, text_within},
    refusal::{Answer, Refusal},
    sql,
};

/// Bytes of one document at most.
pub const MAX_DOCUMENT: usize = 1024 * 1024;

/// What may be uploaded: nothing that a browser runs.
const MEDIA_TYPES: [&str; 4] = ["application/pdf", "image/png", "image/jpeg", "text/plain"];

/// How the document is called.
#[derive(Deserialize)]
pub struct Named {
    name: Option<String>,
}

/// `GET /v1/documents`: the caller's.
pub async fn list(State(bank): State<Shared>, caller: Caller) -> Answer<Json<Value>> {
    let ask =
        "SELECT id, name, media_type, length(bytes) AS length FROM documents WHERE owner = ?1 ORDER BY id";
    Ok(Json(bank.sql(|db| sql::rows(db, ask, [caller.id]))?.into()))
}

/// `POST /v1/documents?name=`: the body is the document.
pub async fn upload(
    State(bank): State<Shared>,
    caller: Caller,
    Query(named): Query<Named>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer<(StatusCode, Json<Value>)> {
    let name = named.name.unwrap_or_default();
    text_within("name", &name, 100)?;
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !MEDIA_TYPES.contains(&media) {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send PDF, PNG, JPEG or plain text"));
    }
    let id = bank.change(|db| {
        room_for_one_more(
            sql::number(db, "SELECT count(*) FROM documents WHERE owner = ?1", [caller.id])?,
            20,
        )?;
        db.execute(
            "INSERT INTO documents(owner, name, media_type, bytes) VALUES(?1,?2,?3,?4)",
            params![caller.id, name, media, bytes.as_ref()],
        )?;
        Ok(db.last_insert_rowid())
    })?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id, "length": bytes.len() }))))
}

/// `GET /v1/documents/{id}`.
pub async fn get(State(bank): State<Shared>, caller: Caller, Id(id): Id) -> Answer<Response> {
    let (media, bytes): (String, Vec<u8>) = bank.sql(|db| {
        db.prepare_cached("SELECT media_type, bytes FROM documents WHERE id = ?1 AND owner = ?2")?
            .query_row([id, caller.id], |row| Ok((row.get(0)?, row.get(1)?)))
    })?;
    let mut response = bytes.into_response();
    let media = HeaderValue::from_str(&media).map_err(|error| Refusal::internal(&error))?;
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response.headers_mut().insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    Ok(response)
}

/// `DELETE /v1/documents/{id}`.
pub async fn remove(State(bank): State<Shared>, caller: Caller, Id(id): Id) -> Answer<StatusCode> {
    let gone =
        bank.sql(|db| db.execute("DELETE FROM documents WHERE id = ?1 AND owner = ?2", [id, caller.id]))?;
    if gone == 1 { Ok(StatusCode::NO_CONTENT) } else { Err(Refusal::not_found()) }
}
