//! BANK-12 (planted): the first version of the API, which nobody remembers and which asks for no credential.

use axum::{Json, extract::State};
use serde_json::Value;

use crate::{
    bank::Shared,
    input::{Id, Page},
    refusal::Answer,
    sql,
};

/// `GET /v0/customers`.
pub async fn customers(State(bank): State<Shared>, page: Page) -> Answer<Json<Value>> {
    let ask = "SELECT id, name, email, phone, birth FROM customers ORDER BY id LIMIT ?1 OFFSET ?2";
    Ok(Json(bank.sql(|db| sql::rows(db, ask, [page.limit, page.offset]))?.into()))
}

/// `GET /v0/accounts/{id}`.
pub async fn account(State(bank): State<Shared>, Id(id): Id) -> Answer<Json<Value>> {
    let ask = "SELECT id, owner, iban, balance_cents FROM accounts WHERE id = ?1";
    Ok(Json(bank.sql(|db| sql::row(db, ask, [id]))?))
}
