//! Transfers: money sent once, and each customer's history of it.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    bank::Shared,
    caller::Caller,
    deliver::{Event, announce},
    input::{Id, Input, Page, room_for_one_more, text_within},
    refusal::{Answer, Refusal},
    sql,
};

/// One transfer in cents at most.
const MAX_TRANSFER: i64 = 5_000_000;

/// Transfers of one customer at most, and with them the idempotency keys.
const MAX_TRANSFERS: i64 = 10_000;

/// Characters of an idempotency key at most.
const MAX_KEY: usize = 100;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    account: i64,
    to_iban: String,
    amount_cents: i64,
    text: String,
}

/// `GET /v1/transfers`: the caller's, the newest first.
pub async fn list(State(bank): State<Shared>, caller: Caller, page: Page) -> Answer<Json<Value>> {
    let ask = "SELECT id, account, to_iban, amount_cents, text, at FROM transfers WHERE owner = ?1
               ORDER BY id DESC LIMIT ?2 OFFSET ?3";
    Ok(Json(bank.sql(|db| sql::rows(db, ask, [caller.id, page.limit, page.offset]))?.into()))
}

/// `GET /v1/transfers/{id}`.
pub async fn get(State(bank): State<Shared>, caller: Caller, Id(id): Id) -> Answer<Json<Value>> {
    let ask =
        "SELECT id, account, to_iban, amount_cents, text, at FROM transfers WHERE id = ?1 AND owner = ?2";
    Ok(Json(bank.sql(|db| sql::row(db, ask, [id, caller.id]))?))
}

/// `GET /v1/customers/{id}/transfers`: sent and received, the newest first, for the customer and for clerks.
pub async fn history(
    State(bank): State<Shared>,
    caller: Caller,
    Id(id): Id,
    page: Page,
) -> Answer<Json<Value>> {
    if id != caller.id {
        caller.must_be(&["clerk", "admin"])?;
    }
    let ask =
        "SELECT t.id, 'sent' AS direction, t.account, t.to_iban AS counterparty, t.amount_cents, t.text, t.at
                 FROM transfers t WHERE t.owner = ?1
               UNION ALL
               SELECT t.id, 'received', mine.id, theirs.iban, t.amount_cents, t.text, t.at
                 FROM accounts mine JOIN transfers t ON t.to_iban = mine.iban
                 JOIN accounts theirs ON theirs.id = t.account WHERE mine.owner = ?1
               ORDER BY 1 DESC, 2 LIMIT ?2 OFFSET ?3";
    Ok(Json(bank.sql(|db| sql::rows(db, ask, [id, page.limit, page.offset]))?.into()))
}

/// What became of a transfer that was asked for.
struct Made {
    id: i64,
    at: String,
    /// The owner and account that received it, where they are of this bank.
    received: Option<(i64, i64)>,
    /// Whether it had been made before, for the same key.
    before: bool,
}

/// `POST /v1/transfers`: all of it or nothing, and once for an `Idempotency-Key`.
pub async fn make(
    State(bank): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Input(asked): Input<Transfer>,
) -> Answer<(StatusCode, Json<Value>)> {
    let key = idempotency_key(&headers)?;
    iban_is_right(&asked.to_iban)?;
    text_within("text", &asked.text, 140)?;
    if !(1..=MAX_TRANSFER).contains(&asked.amount_cents) {
        return Err(Refusal::unprocessable(format!("`amount_cents` is 1 to {MAX_TRANSFER}")));
    }
    let at = bank.now().to_string();
    let made = bank.change(|db| match &key {
        Some(key) => once(db, caller.id, key, &asked, &at),
        None => pay(db, caller.id, &asked, &at),
    })?;
    if !made.before {
        let told =
            |account: i64| json!({ "id": made.id, "account": account, "amount_cents": asked.amount_cents });
        announce(&bank, caller.id, Event::TransferSent, &told(asked.account));
        if let Some((owner, account)) = made.received {
            announce(&bank, owner, Event::TransferReceived, &told(account));
        }
    }
    Ok((StatusCode::CREATED, Json(json!({ "id": made.id, "at": made.at }))))
}

/// The key of a request that may be sent again (draft-ietf-httpapi-idempotency-key-header-07): a quoted string, or as many
/// clients send it, the bare text.
fn idempotency_key(headers: &HeaderMap) -> Answer<Option<String>> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let plain = key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    if values.next().is_some() || !plain || !(1..=MAX_KEY).contains(&key.len()) {
        return Err(Refusal::bad("`Idempotency-Key` is one key of 1 to 100 visible characters"));
    }
    Ok(Some(key.to_owned()))
}

/// Pays, or tells what the first request with this key did. Only what succeeded is kept: a refused transfer may be asked for
/// again with its key.
fn once(db: &Connection, owner: i64, key: &str, asked: &Transfer, at: &str) -> Answer<Made> {
    let text = serde_json::to_string(asked).map_err(|error| Refusal::internal(&error))?;
    let ask = "SELECT i.asked, t.id, t.at FROM idempotency i JOIN transfers t ON t.id = i.transfer
               WHERE i.owner = ?1 AND i.key = ?2";
    let before: Option<(String, i64, String)> = db
        .prepare_cached(ask)?
        .query_row(params![owner, key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    if let Some((asked_before, id, at)) = before {
        if asked_before != text {
            return Err(Refusal::unprocessable("this `Idempotency-Key` was used for another transfer"));
        }
        return Ok(Made { id, at, received: None, before: true });
    }
    let made = pay(db, owner, asked, at)?;
    db.execute(
        "INSERT INTO idempotency(owner, key, asked, transfer) VALUES(?1,?2,?3,?4)",
        params![owner, key, text, made.id],
    )?;
    Ok(made)
}

fn pay(db: &Connection, owner: i64, asked: &Transfer, at: &str) -> Answer<Made> {
    let count = sql::number(db, "SELECT count(*) FROM transfers WHERE owner = ?1", [owner])?;
    room_for_one_more(count, MAX_TRANSFERS)?;
    let owned = "SELECT count(*) FROM accounts WHERE id = ?1 AND owner = ?2";
    if sql::number(db, owned, [asked.account, owner])? == 0 {
        return Err(Refusal::not_found());
    }
    let paid = db.execute(
        "UPDATE accounts SET balance_cents = balance_cents - ?1 WHERE id = ?2 AND balance_cents >= ?1",
        [asked.amount_cents, asked.account],
    )?;
    if paid == 0 {
        return Err(Refusal::new(StatusCode::CONFLICT, "the account does not hold this much"));
    }
    let received = db
        .prepare_cached(
            "UPDATE accounts SET balance_cents = balance_cents + ?1 WHERE iban = ?2 RETURNING owner, id",
        )?
        .query_row(params![asked.amount_cents, asked.to_iban], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    db.execute(
        "INSERT INTO transfers(owner, account, to_iban, amount_cents, text, at) VALUES(?1,?2,?3,?4,?5,?6)",
        params![owner, asked.account, asked.to_iban, asked.amount_cents, asked.text, at],
    )?;
    Ok(Made { id: db.last_insert_rowid(), at: at.to_owned(), received, before: false })
}

/// ISO 13616: the first four characters moved to the end and letters as 10 to 35 are 1 modulo 97.
pub fn iban_is_right(iban: &str) -> Answer<()> {
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
