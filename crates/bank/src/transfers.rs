//! Transfers and payees.

use axum::{Json, extract::State, http::StatusCode};
use rusqlite::params;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    bank::Shared,
    caller::Caller,
    input::{Id, Input, Page, room_for_one_more, text_within},
    refusal::{Answer, Refusal},
    sql,
};

/// One transfer in cents at most.
const MAX_TRANSFER: i64 = 5_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    account: i64,
    to_iban: String,
    amount_cents: i64,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payee {
    name: String,
    iban: String,
}

/// `GET /v1/transfers`: the caller's, the newest first.
pub async fn list(State(bank): State<Shared>, caller: Caller, page: Page) -> Answer<Json<Value>> {
    let ask = "SELECT id, account, to_iban, amount_cents, text, at FROM transfers WHERE owner = ?1
               ORDER BY id DESC LIMIT ?2 OFFSET ?3";
    Ok(Json(bank.sql(|db| sql::rows(db, ask, [caller.id, page.limit, page.offset]))?.into()))
}

/// `POST /v1/transfers`: all of it or nothing.
pub async fn make(
    State(bank): State<Shared>,
    caller: Caller,
    Input(asked): Input<Transfer>,
) -> Answer<(StatusCode, Json<Value>)> {
    iban_is_right(&asked.to_iban)?;
    text_within("text", &asked.text, 140)?;
    if !(1..=MAX_TRANSFER).contains(&asked.amount_cents) {
        return Err(Refusal::unprocessable(format!("`amount_cents` is 1 to {MAX_TRANSFER}")));
    }
    let at = bank.now().to_string();
    let id = bank.change(|db| {
        let count = sql::number(db, "SELECT count(*) FROM transfers WHERE owner = ?1", [caller.id])?;
        room_for_one_more(count, 10_000)?;
        let owned = "SELECT count(*) FROM accounts WHERE id = ?1 AND owner = ?2";
        if sql::number(db, owned, [asked.account, caller.id])? == 0 {
            return Err(Refusal::not_found());
        }
        let paid = db.execute(
            "UPDATE accounts SET balance_cents = balance_cents - ?1 WHERE id = ?2 AND balance_cents >= ?1",
            [asked.amount_cents, asked.account],
        )?;
        if paid == 0 {
            return Err(Refusal::new(StatusCode::CONFLICT, "the account does not hold this much"));
        }
        db.execute(
            "UPDATE accounts SET balance_cents = balance_cents + ?1 WHERE iban = ?2",
            params![asked.amount_cents, asked.to_iban],
        )?;
        db.execute(
            "INSERT INTO transfers(owner, account, to_iban, amount_cents, text, at) VALUES(?1,?2,?3,?4,?5,?6)",
            params![caller.id, asked.account, asked.to_iban, asked.amount_cents, asked.text, at],
        )?;
        Ok(db.last_insert_rowid())
    })?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id, "at": at }))))
}

/// `GET /v1/payees`: the caller's.
pub async fn payees(State(bank): State<Shared>, caller: Caller) -> Answer<Json<Value>> {
    let ask = "SELECT id, name, iban FROM payees WHERE owner = ?1 ORDER BY id";
    Ok(Json(bank.sql(|db| sql::rows(db, ask, [caller.id]))?.into()))
}

/// `GET /v1/payees/{id}`.
pub async fn payee(State(bank): State<Shared>, caller: Caller, Id(id): Id) -> Answer<Json<Value>> {
    let ask = "SELECT id, name, iban FROM payees WHERE id = ?1 AND owner = ?2";
    Ok(Json(bank.sql(|db| sql::row(db, ask, [id, caller.id]))?))
}

/// `POST /v1/payees`.
pub async fn add_payee(
    State(bank): State<Shared>,
    caller: Caller,
    Input(asked): Input<Payee>,
) -> Answer<(StatusCode, Json<Value>)> {
    text_within("name", &asked.name, 100)?;
    iban_is_right(&asked.iban)?;
    let id = bank.change(|db| {
        room_for_one_more(
            sql::number(db, "SELECT count(*) FROM payees WHERE owner = ?1", [caller.id])?,
            200,
        )?;
        db.execute(
            "INSERT INTO payees(owner, name, iban) VALUES(?1,?2,?3)",
            params![caller.id, asked.name, asked.iban],
        )?;
        Ok(db.last_insert_rowid())
    })?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

/// `DELETE /v1/payees/{id}`.
pub async fn remove_payee(State(bank): State<Shared>, caller: Caller, Id(id): Id) -> Answer<StatusCode> {
    let gone =
        bank.sql(|db| db.execute("DELETE FROM payees WHERE id = ?1 AND owner = ?2", [id, caller.id]))?;
    if gone == 1 { Ok(StatusCode::NO_CONTENT) } else { Err(Refusal::not_found()) }
}

/// ISO 13616: the first four characters moved to the end and letters as 10 to 35 are 1 modulo 97.
fn iban_is_right(iban: &str) -> Answer<()> {
    let wrong = || Refusal::unprocessable("the IBAN is not right");
    if !(15..=34).contains(&iban.len()) || !iban.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
    {
        return Err(wrong());
    }
    let (head, tail) = iban.split_at_checked(4).ok_or_else(wrong)?;
    let rest = tail.chars().chain(head.chars()).fold(0, |rest, letter| {
        let value = letter.to_digit(36).unwrap_or_default();
        (rest * if value < 10 { 10 } else { 100 } + value) % 97
    });
    if rest == 1 { Ok(()) } else { Err(wrong()) }
}
