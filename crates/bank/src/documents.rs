//! Documents that customers upload.

use axum::{
    Json,
    body::Bytes,
    extract::{
        FromRequest, Multipart, Query, Request, State,
        multipart::{Field, MultipartError},
    },
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
    media::{MEDIA_TYPES, essence, sniff},
    refusal::{Answer, Refusal},
    sql,
};

/// Bytes of one document at most.
pub const MAX_DOCUMENT: usize = 1024 * 1024;

/// Bytes of a form around a document at most: it, two names, and the lines between them.
pub const MAX_FORM: usize = MAX_DOCUMENT + 16 * 1024;

/// Parts of a form at most: the two that are known, and what a browser may add.
const MAX_PARTS: usize = 8;

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

/// A document before it is kept.
struct Upload {
    name: String,
    /// What the sender says that it is.
    declared: Option<String>,
    bytes: Bytes,
}

/// `POST /v1/documents`: a form of `multipart/form-data` (RFC 7578) with the part `file` and, where it is to be called
/// otherwise, the part `name`; or the document itself, with `?name=`.
pub async fn upload(
    State(bank): State<Shared>,
    caller: Caller,
    Query(named): Query<Named>,
    request: Request,
) -> Answer<(StatusCode, Json<Value>)> {
    let upload = if content_type(request.headers()).is_some_and(|kind| essence(kind) == "multipart/form-data")
    {
        form(&bank, request, named.name).await?
    } else {
        raw(&bank, request, named.name).await?
    };
    text_within("name", &upload.name, 100)?;
    if upload.name.chars().any(|c| c.is_control() || matches!(c, '/' | '\\')) {
        return Err(Refusal::unprocessable("`name` is a file's name, without folders"));
    }
    if upload.bytes.len() > MAX_DOCUMENT {
        return Err(too_large());
    }
    let media = media_of(&upload)?;
    let id = bank.change(|db| {
        room_for_one_more(
            sql::number(db, "SELECT count(*) FROM documents WHERE owner = ?1", [caller.id])?,
            20,
        )?;
        db.execute(
            "INSERT INTO documents(owner, name, media_type, bytes) VALUES(?1,?2,?3,?4)",
            params![caller.id, upload.name, media, upload.bytes.as_ref()],
        )?;
        Ok(db.last_insert_rowid())
    })?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id, "length": upload.bytes.len() }))))
}

/// What the bytes are, where that is allowed and what the sender says.
fn media_of(upload: &Upload) -> Answer<&'static str> {
    let unsupported = |detail| Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    let found = sniff(&upload.bytes);
    match (found, upload.declared.as_deref().map(essence)) {
        (_, Some(declared)) if !MEDIA_TYPES.contains(&declared) => {
            unsupported("send PDF, PNG, JPEG or plain text")
        }
        (Some(found), Some(declared)) if found == declared => Ok(found),
        (Some(found), None) => Ok(found),
        _ => unsupported("the bytes are not what the media type says"),
    }
}

fn too_large() -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "a document has 1 MiB at most")
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
}

async fn raw(bank: &Shared, request: Request, name: Option<String>) -> Answer<Upload> {
    let declared = content_type(request.headers()).unwrap_or_default().to_owned();
    let bytes = Bytes::from_request(request, bank).await.map_err(|_| too_large())?;
    Ok(Upload { name: name.unwrap_or_default(), declared: Some(declared), bytes })
}

async fn form(bank: &Shared, request: Request, mut name: Option<String>) -> Answer<Upload> {
    let mut form = Multipart::from_request(request, bank)
        .await
        .map_err(|error| Refusal::bad("the form has no boundary").caused_by(&error))?;
    let mut file: Option<Upload> = None;
    for _ in 0..MAX_PARTS {
        let Some(part) = form.next_field().await.map_err(broken)? else { break };
        match part.name() {
            Some("name") => name = Some(part.text().await.map_err(broken)?),
            Some("file") if file.is_none() => file = Some(file_of(part).await?),
            Some("file") => return Err(Refusal::unprocessable("the form has one `file`")),
            _ => {}
        }
    }
    let mut file = file.ok_or_else(|| Refusal::unprocessable("the form has no part `file`"))?;
    if let Some(name) = name {
        file.name = name;
    }
    Ok(file)
}

/// RFC 7578 section 4.2: folders that a browser sends with the name are not used.
async fn file_of(part: Field<'_>) -> Answer<Upload> {
    let name = part.file_name().unwrap_or_default();
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    let declared = part.content_type().map(str::to_owned);
    Ok(Upload { name, declared, bytes: part.bytes().await.map_err(broken)? })
}

fn broken(error: MultipartError) -> Refusal {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large();
    }
    Refusal::bad("the form is damaged or ended too early").caused_by(&error)
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
