//! Search in the caller's transfers and payees.

use axum::{
    Json,
    extract::{Query, State},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{Flaw, bank::Shared, caller::Caller, input::text_within, refusal::Answer, sql};

/// What is searched for.
#[derive(Deserialize)]
pub struct Search {
    #[serde(default)]
    q: String,
}

/// `GET /v1/search?q=`.
pub async fn search(
    State(bank): State<Shared>,
    caller: Caller,
    Query(asked): Query<Search>,
) -> Answer<Json<Value>> {
    text_within("q", &asked.q, 500)?;
    let found = if bank.has(Flaw::StringSql) {
        // BANK-04 (planted): what was typed becomes part of the statement.
        let ask = format!(
            "SELECT id, 'transfer' AS kind, text FROM transfers WHERE owner = {id} AND text LIKE '%{q}%' \
             UNION ALL SELECT id, 'payee' AS kind, name FROM payees WHERE owner = {id} AND name LIKE '%{q}%'",
            id = caller.id,
            q = asked.q
        );
        bank.sql(|db| sql::rows(db, &ask, []))?
    } else {
        let ask = "SELECT id, 'transfer' AS kind, text FROM transfers WHERE owner = ?1 AND instr(lower(text), lower(?2))
             UNION ALL SELECT id, 'payee' AS kind, name FROM payees WHERE owner = ?1 AND instr(lower(name), lower(?2))";
        bank.sql(|db| sql::rows(db, ask, (caller.id, &asked.q)))?
    };
    Ok(Json(found.into()))
}
