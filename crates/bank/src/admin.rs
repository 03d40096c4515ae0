//! What administrators do.

use axum::{Json, extract::State, http::StatusCode};
use rusqlite::params;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    bank::Shared,
    caller::Caller,
    input::{Id, Input},
    refusal::{Answer, Refusal},
    sql,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    role: String,
}

/// `GET /v1/admin/statistics`.
pub async fn statistics(State(bank): State<Shared>, caller: Caller) -> Answer<Json<Value>> {
    caller.must_be(&["admin"])?;
    let ask = "SELECT (SELECT count(*) FROM customers WHERE role = 'customer') AS customers,
               (SELECT count(*) FROM accounts) AS accounts, (SELECT count(*) FROM transfers) AS transfers,
               (SELECT sum(balance_cents) FROM accounts) AS balance_cents";
    Ok(Json(bank.sql(|db| sql::row(db, ask, []))?))
}

/// `PUT /v1/admin/customers/{id}/role`.
pub async fn set_role(
    State(bank): State<Shared>,
    caller: Caller,
    Id(id): Id,
    Input(asked): Input<Role>,
) -> Answer<StatusCode> {
    caller.must_be(&["admin"])?;
    if !["customer", "clerk", "medical", "admin"].contains(&asked.role.as_str()) {
        return Err(Refusal::unprocessable("`role` is `customer`, `clerk`, `medical` or `admin`"));
    }
    let ask = "UPDATE customers SET role = ?1 WHERE id = ?2";
    let changed = bank.sql(|db| db.execute(ask, params![asked.role, id]))?;
    if changed == 1 { Ok(StatusCode::NO_CONTENT) } else { Err(Refusal::not_found()) }
}

/// `POST /v1/admin/keys/rotate`: tokens are signed with a new key from here on.
pub async fn rotate(State(bank): State<Shared>, caller: Caller) -> Answer<Json<Value>> {
    caller.must_be(&["admin"])?;
    Ok(Json(json!({ "kid": bank.issuer.lock().rotate()? })))
}
