//! Webhooks: where a customer wants to be told of transfers.

use std::net::IpAddr;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, Uri},
};
use rusqlite::params;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Flaw,
    bank::Shared,
    caller::Caller,
    fetch::fetch,
    input::{Id, Input, room_for_one_more, text_within},
    refusal::{Answer, Refusal},
    sql,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    url: String,
}

/// `GET /v1/webhooks`: the caller's.
pub async fn list(State(bank): State<Shared>, caller: Caller) -> Answer<Json<Value>> {
    let ask = "SELECT id, url FROM webhooks WHERE owner = ?1 ORDER BY id";
    Ok(Json(bank.sql(|db| sql::rows(db, ask, [caller.id]))?.into()))
}

/// `POST /v1/webhooks`.
pub async fn add(
    State(bank): State<Shared>,
    caller: Caller,
    Input(asked): Input<Webhook>,
) -> Answer<(StatusCode, Json<Value>)> {
    text_within("url", &asked.url, 500)?;
    if !bank.has(Flaw::WebhookFetch) && !outside(&asked.url) {
        return Err(Refusal::unprocessable("`url` is `https://` and a public host name"));
    }
    let id = bank.change(|db| {
        room_for_one_more(
            sql::number(db, "SELECT count(*) FROM webhooks WHERE owner = ?1", [caller.id])?,
            20,
        )?;
        db.execute("INSERT INTO webhooks(owner, url) VALUES(?1,?2)", params![caller.id, asked.url])?;
        Ok(db.last_insert_rowid())
    })?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

/// `POST /v1/webhooks/{id}/test`. The fixed bank says where it would deliver: a sample sends nothing anywhere.
pub async fn test(
    State(bank): State<Shared>,
    caller: Caller,
    Id(id): Id,
) -> Answer<(StatusCode, Json<Value>)> {
    let ask = "SELECT url FROM webhooks WHERE id = ?1 AND owner = ?2";
    let url: String = bank.sql(|db| db.prepare_cached(ask)?.query_row([id, caller.id], |row| row.get(0)))?;
    if bank.has(Flaw::WebhookFetch) {
        let (status, body) = fetch(&url).await?;
        return Ok((StatusCode::OK, Json(json!({ "status": status, "body": body }))));
    }
    Ok((StatusCode::ACCEPTED, Json(json!({ "queued": url }))))
}

/// Whether a URL names a host of the public network, by name.
fn outside(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let Some(host) = uri.host().filter(|_| uri.scheme_str() == Some("https")) else { return false };
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let inner = ["localhost", "local", "internal", "lan", "home", "arpa"];
    host.contains('.')
        && host.parse::<IpAddr>().is_err()
        && last.bytes().all(|byte| byte.is_ascii_alphabetic())
        && !inner.contains(&last.to_ascii_lowercase().as_str())
        && !uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
}
