//! Customers: the caller's own data, and what clerks look up.

use axum::{Json, extract::State, http::StatusCode};
use rusqlite::params;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    Flaw,
    bank::{Bank, Shared},
    caller::Caller,
    input::{Id, Input, Page, text_within},
    refusal::{Answer, Refusal},
    sql,
};

/// What a customer may see.
const PUBLIC: &str = "id, tenant, username, name, email, phone, address, birth, role";

/// The columns that an answer has.
fn columns(bank: &Bank) -> String {
    let mut columns = PUBLIC.to_owned();
    // BANK-09 (planted): the hash as well.
    if bank.has(Flaw::PasswordHashes) {
        columns.push_str(", password_hash");
    }
    // BANK-10 (planted): what only the bank should know of a customer.
    if bank.has(Flaw::InternalFields) {
        columns.push_str(", risk_score, internal_note");
    }
    columns
}

/// `GET /v1/customers/me`.
pub async fn me(State(bank): State<Shared>, caller: Caller) -> Answer<Json<Value>> {
    one(&bank, caller.id)
}

/// `GET` or `POST /userinfo` (OpenID Connect Core 1.0 section 5.3): what the scopes of the token allow.
pub async fn userinfo(State(bank): State<Shared>, caller: Caller) -> Answer<Json<Value>> {
    let has = |name: &str| caller.scope.split(' ').any(|scope| scope == name);
    if !has("openid") {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "the token does not have the scope `openid`"));
    }
    let mut columns = "CAST(id AS TEXT) AS sub".to_owned();
    if has("profile") {
        columns.push_str(", name, username AS preferred_username, birth AS birthdate");
    }
    if has("email") {
        columns.push_str(", email");
    }
    let ask = format!("SELECT {columns} FROM customers WHERE id = ?1");
    Ok(Json(bank.sql(|db| sql::row(db, &ask, [caller.id]))?))
}

/// `GET /v1/customers`, for clerks.
pub async fn list(State(bank): State<Shared>, caller: Caller, page: Page) -> Answer<Json<Value>> {
    caller.must_be(&["clerk", "admin"])?;
    let ask = format!("SELECT {} FROM customers ORDER BY id LIMIT ?1 OFFSET ?2", columns(&bank));
    Ok(Json(bank.sql(|db| sql::rows(db, &ask, [page.limit, page.offset]))?.into()))
}

/// `GET /v1/customers/{id}`, for clerks.
pub async fn get(State(bank): State<Shared>, caller: Caller, Id(id): Id) -> Answer<Json<Value>> {
    caller.must_be(&["clerk", "admin"])?;
    one(&bank, id)
}

fn one(bank: &Bank, id: i64) -> Answer<Json<Value>> {
    let ask = format!("SELECT {} FROM customers WHERE id = ?1", columns(bank));
    Ok(Json(bank.sql(|db| sql::row(db, &ask, [id]))?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    address: Option<String>,
}

/// `PATCH /v1/customers/me`.
pub async fn change(
    State(bank): State<Shared>,
    caller: Caller,
    Input(fields): Input<Map<String, Value>>,
) -> Answer<Json<Value>> {
    if bank.has(Flaw::MassAssignment) {
        assign_all(&bank, caller.id, &fields)?;
        return one(&bank, caller.id);
    }
    let change: Change = serde_json::from_value(Value::Object(fields))
        .map_err(|_| Refusal::unprocessable("only `name`, `email`, `phone` and `address` can be changed"))?;
    for (name, text) in [
        ("name", &change.name),
        ("email", &change.email),
        ("phone", &change.phone),
        ("address", &change.address),
    ] {
        if let Some(text) = text {
            text_within(name, text, 200)?;
        }
    }
    bank.sql(|db| {
        db.execute(
            "UPDATE customers SET name = coalesce(?1, name), email = coalesce(?2, email),
             phone = coalesce(?3, phone), address = coalesce(?4, address) WHERE id = ?5",
            params![change.name, change.email, change.phone, change.address, caller.id],
        )
    })?;
    one(&bank, caller.id)
}

/// BANK-03 (planted): every column that the body names is set, the role too.
fn assign_all(bank: &Bank, id: i64, fields: &Map<String, Value>) -> Answer<()> {
    const COLUMNS: [&str; 7] = ["name", "email", "phone", "address", "role", "tenant", "risk_score"];
    for (column, value) in fields.iter().filter(|(name, _)| COLUMNS.contains(&name.as_str())) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text_within("value", &text, 200)?;
        bank.sql(|db| {
            db.execute(&format!("UPDATE customers SET {column} = ?1 WHERE id = ?2"), params![text, id])
        })?;
    }
    Ok(())
}
