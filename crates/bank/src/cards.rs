//! Cards.

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use crate::{
    Flaw,
    bank::Shared,
    caller::Caller,
    deliver::{Event, announce},
    input::Id,
    refusal::{Answer, Refusal},
    sql,
};

/// `GET /v1/cards`: the caller's.
pub async fn list(State(bank): State<Shared>, caller: Caller) -> Answer<Json<Value>> {
    // BANK-08 (planted): the whole number and the security code.
    let columns = if bank.has(Flaw::CardNumbers) {
        "number, cvv"
    } else {
        "'************' || substr(number, 13) AS number"
    };
    let ask = format!("SELECT id, account, {columns}, expires, locked FROM cards WHERE owner = ?1");
    Ok(Json(bank.sql(|db| sql::rows(db, &ask, [caller.id]))?.into()))
}

/// `POST /v1/cards/{id}/lock`.
pub async fn lock(State(bank): State<Shared>, caller: Caller, Id(id): Id) -> Answer<StatusCode> {
    let changed = bank
        .sql(|db| db.execute("UPDATE cards SET locked = 1 WHERE id = ?1 AND owner = ?2", [id, caller.id]))?;
    if changed != 1 {
        return Err(Refusal::not_found());
    }
    announce(&bank, caller.id, Event::CardLocked, &json!({ "id": id }));
    Ok(StatusCode::NO_CONTENT)
}
