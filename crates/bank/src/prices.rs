//! The catalogue of prices.

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::request::Parts,
};
use serde_json::Value;

use crate::{
    Flaw,
    bank::Shared,
    caller::Caller,
    input::{Id, Page},
    refusal::{Answer, Refusal},
    sql,
};

const PRICE: &str = "SELECT id, sku, name, currency, fee_cents FROM prices";

/// Who reads prices: somebody with an allowance.
pub struct Reader(Option<i64>);

impl FromRequestParts<Shared> for Reader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, bank: &Shared) -> Result<Self, Refusal> {
        // BANK-18 (planted): anybody, as much as they like.
        if bank.has(Flaw::OpenPrices) {
            return Ok(Reader(None));
        }
        Ok(Reader(Some(Caller::from_request_parts(parts, bank).await?.id)))
    }
}

impl Reader {
    fn take(&self, bank: &Shared, count: i64) -> Answer<()> {
        let Some(person) = self.0 else { return Ok(()) };
        let (mut read, now) = (bank.prices_read.lock(), bank.now());
        if let Some(seconds) = read.wait(&person, now) {
            return Err(Refusal::too_many(seconds));
        }
        read.add(person, count.unsigned_abs(), now);
        Ok(())
    }
}

/// `GET /v1/prices`.
pub async fn list(State(bank): State<Shared>, reader: Reader, page: Page) -> Answer<Json<Value>> {
    reader.take(&bank, page.limit)?;
    let ask = format!("{PRICE} ORDER BY id LIMIT ?1 OFFSET ?2");
    Ok(Json(bank.sql(|db| sql::rows(db, &ask, [page.limit, page.offset]))?.into()))
}

/// `GET /v1/prices/{id}`.
pub async fn get(State(bank): State<Shared>, reader: Reader, Id(id): Id) -> Answer<Json<Value>> {
    reader.take(&bank, 1)?;
    Ok(Json(bank.sql(|db| sql::row(db, &format!("{PRICE} WHERE id = ?1"), [id]))?))
}
