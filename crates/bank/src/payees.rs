//! Payees: whom a customer sends money to.

use axum::{Json, extract::State, http::StatusCode};
use rusqlite::params;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    bank::Shared,
    caller::Caller,
    input::{Id, Input, room_for_one_more, text_within},
    refusal::{Answer, Refusal},
    sql,
    transfers::iban_is_right,
};

/// Payees of one customer at most.
const MAX_PAYEES: i64 = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payee {
    name: String,
    iban: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    name: String,
}

/// `GET /v1/payees`: the caller's.
pub async fn list(State(bank): State<Shared>, caller: Caller) -> Answer<Json<Value>> {
    let ask = "SELECT id, name, iban FROM payees WHERE owner = ?1 ORDER BY id";
    Ok(Json(bank.sql(|db| sql::rows(db, ask, [caller.id]))?.into()))
}

/// `GET /v1/payees/{id}`.
pub async fn get(State(bank): State<Shared>, caller: Caller, Id(id): Id) -> Answer<Json<Value>> {
    let ask = "SELECT id, name, iban FROM payees WHERE id = ?1 AND owner = ?2";
    Ok(Json(bank.sql(|db| sql::row(db, ask, [id, caller.id]))?))
}

/// `POST /v1/payees`.
pub async fn add(
    State(bank): State<Shared>,
    caller: Caller,
    Input(asked): Input<Payee>,
) -> Answer<(StatusCode, Json<Value>)> {
    text_within("name", &asked.name, 100)?;
    iban_is_right(&asked.iban)?;
    let id = bank.change(|db| {
        let count = sql::number(db, "SELECT count(*) FROM payees WHERE owner = ?1", [caller.id])?;
        room_for_one_more(count, MAX_PAYEES)?;
        db.execute(
            "INSERT INTO payees(owner, name, iban) VALUES(?1,?2,?3)",
            params![caller.id, asked.name, asked.iban],
        )?;
        Ok(db.last_insert_rowid())
    })?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

/// `PATCH /v1/payees/{id}`: another name. Another IBAN is another payee.
pub async fn rename(
    State(bank): State<Shared>,
    caller: Caller,
    Id(id): Id,
    Input(asked): Input<Rename>,
) -> Answer<StatusCode> {
    text_within("name", &asked.name, 100)?;
    let ask = "UPDATE payees SET name = ?1 WHERE id = ?2 AND owner = ?3";
    let changed = bank.sql(|db| db.execute(ask, params![asked.name, id, caller.id]))?;
    if changed == 1 { Ok(StatusCode::NO_CONTENT) } else { Err(Refusal::not_found()) }
}

/// `DELETE /v1/payees/{id}`.
pub async fn remove(State(bank): State<Shared>, caller: Caller, Id(id): Id) -> Answer<StatusCode> {
    let gone =
        bank.sql(|db| db.execute("DELETE FROM payees WHERE id = ?1 AND owner = ?2", [id, caller.id]))?;
    if gone == 1 { Ok(StatusCode::NO_CONTENT) } else { Err(Refusal::not_found()) }
}
