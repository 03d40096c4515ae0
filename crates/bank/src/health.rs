//! Health records of the bank's insurance arm.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    Flaw,
    bank::Shared,
    caller::Caller,
    input::Id,
    refusal::{Answer, Refusal},
    sql,
};

const RECORD: &str = "SELECT id, patient, policy, diagnosis, treatment, amount_cents FROM health_records";

/// `GET /v1/health-records`: the caller's own.
pub async fn list(State(bank): State<Shared>, caller: Caller) -> Answer<Json<Value>> {
    let ask = format!("{RECORD} WHERE patient = ?1");
    Ok(Json(bank.sql(|db| sql::rows(db, &ask, [caller.id]))?.into()))
}

/// `GET /v1/health-records/{id}`: the patient's own, and medical staff's.
pub async fn get(State(bank): State<Shared>, caller: Caller, Id(id): Id) -> Answer<Json<Value>> {
    let record = bank.sql(|db| sql::row(db, &format!("{RECORD} WHERE id = ?1"), [id]))?;
    let own = record.get("patient") == Some(&json!(caller.id));
    // BANK-22 (planted): nobody asks whose record it is.
    if own || caller.role == "medical" || bank.has(Flaw::AnyHealthRecord) {
        Ok(Json(record))
    } else {
        Err(Refusal::not_found())
    }
}
