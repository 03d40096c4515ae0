//! BANK-11 (planted): a page that developers left behind.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::bank::Shared;

/// `GET /debug`.
pub async fn page(State(bank): State<Shared>) -> Json<Value> {
    Json(json!({
        "secret": bank.secret,
        "seed": bank.seed,
        "issuer": bank.issuer.lock().name,
        "reports": bank.reports.path().display().to_string(),
        "sqlite": rusqlite::version(),
    }))
}
