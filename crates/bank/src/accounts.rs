//! Accounts and their monthly statements.

use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
};
use serde_json::{Value, json};

use crate::{
    Flaw,
    bank::Shared,
    caller::Caller,
    input::{Id, parse_id},
    refusal::{Answer, Refusal},
    seed::{Draw, iban},
    sql,
};

/// Lines of a statement: about 60 kB of JSON.
const LINES: i64 = 400;

const ACCOUNT: &str = "SELECT id, owner, tenant, iban, kind, currency, balance_cents FROM accounts";

/// `GET /v1/accounts`: the caller's.
pub async fn list(State(bank): State<Shared>, caller: Caller) -> Answer<Json<Value>> {
    let ask = format!("{ACCOUNT} WHERE owner = ?1 ORDER BY id");
    Ok(Json(bank.sql(|db| sql::rows(db, &ask, [caller.id]))?.into()))
}

/// `GET /v1/accounts/{id}`.
pub async fn get(State(bank): State<Shared>, caller: Caller, Id(id): Id) -> Answer<Json<Value>> {
    let account = bank.sql(|db| sql::row(db, &format!("{ACCOUNT} WHERE id = ?1"), [id]))?;
    // BANK-01 (planted): nobody asks whose account it is.
    if !bank.has(Flaw::AnyAccount) && account.get("owner") != Some(&json!(caller.id)) {
        return Err(Refusal::not_found());
    }
    Ok(Json(account))
}

/// `GET /v1/accounts/{id}/statements/{month}`: a tenant reads the statements of all its accounts.
pub async fn statement(
    State(bank): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Path((id, month)): Path<(String, String)>,
) -> Answer<Json<Value>> {
    let id = parse_id(&bank, &id)?;
    let days = days_of(&month).ok_or_else(|| Refusal::bad("a month reads like `2026-01`"))?;
    let account = bank.sql(|db| sql::row(db, &format!("{ACCOUNT} WHERE id = ?1"), [id]))?;
    let mut tenant = caller.tenant.as_str();
    // BANK-02 (planted): the tenant is what the request says, not who signed in.
    if bank.has(Flaw::ForeignStatement)
        && let Some(claimed) = headers.get("x-tenant").and_then(|value| value.to_str().ok())
    {
        tenant = claimed;
    }
    if account.get("tenant").and_then(Value::as_str) != Some(tenant) {
        return Err(Refusal::not_found());
    }
    let mut draw = Draw::of(bank.seed, &month, id);
    let lines: Vec<Value> = (0..LINES)
        .map(|at| {
            let amount = draw.below(40_000) - 20_000;
            json!({
                "line": at + 1,
                "booked": format!("{month}-{:02}", at * days / LINES + 1),
                "amount_cents": amount,
                "counterparty": iban(draw.below(10_000) + 1),
                "text": if amount < 0 { "card payment" } else { "incoming transfer" },
            })
        })
        .collect();
    Ok(Json(json!({ "account": account, "month": month, "lines": lines })))
}

/// The days of a month of this century, February counted as 28.
fn days_of(month: &str) -> Option<i64> {
    let (year, month) = month.split_once('-')?;
    let digits = |text: &str, n| text.len() == n && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(year, 4) && year.starts_with("20") && digits(month, 2)).then_some(())?;
    match month.parse::<u8>().ok()? {
        2 => Some(28),
        4 | 6 | 9 | 11 => Some(30),
        1..=12 => Some(31),
        _ => None,
    }
}
