//! Notes to the bank's support: free text.

use axum::{Json, extract::State, http::StatusCode};
use rusqlite::params;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Flaw,
    bank::Shared,
    caller::Caller,
    input::{Input, room_for_one_more, text_within},
    refusal::Answer,
    sql, template,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    text: String,
}

/// `GET /v1/notes`: the caller's.
pub async fn list(State(bank): State<Shared>, caller: Caller) -> Answer<Json<Value>> {
    let ask = "SELECT id, text, at FROM notes WHERE owner = ?1 ORDER BY id";
    let mut notes = bank.sql(|db| sql::rows(db, ask, [caller.id]))?;
    if bank.has(Flaw::NoteTemplate) {
        for text in notes.iter_mut().filter_map(|note| note.get_mut("text")) {
            *text = template::render(&bank, text.as_str().unwrap_or_default()).into();
        }
    }
    Ok(Json(notes.into()))
}

/// `POST /v1/notes`.
pub async fn add(
    State(bank): State<Shared>,
    caller: Caller,
    Input(note): Input<Note>,
) -> Answer<(StatusCode, Json<Value>)> {
    text_within("text", &note.text, 4_000)?;
    let at = bank.now().to_string();
    let id = bank.change(|db| {
        room_for_one_more(sql::number(db, "SELECT count(*) FROM notes WHERE owner = ?1", [caller.id])?, 200)?;
        db.execute("INSERT INTO notes(owner, text, at) VALUES(?1,?2,?3)", params![caller.id, note.text, at])?;
        Ok(db.last_insert_rowid())
    })?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}
