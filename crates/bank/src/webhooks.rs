//! Webhooks: where a customer wants to be told of what happens.

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
    deliver::{self, Event},
    fetch,
    input::{Id, Input, room_for_one_more, text_within},
    refusal::{Answer, Refusal},
    sql,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    url: String,
    /// All of them, where none is named.
    events: Option<Vec<String>>,
}

/// `GET /v1/webhooks`: the caller's.
pub async fn list(State(bank): State<Shared>, caller: Caller) -> Answer<Json<Value>> {
    let ask = "SELECT id, url, events FROM webhooks WHERE owner = ?1 ORDER BY id";
    let mut webhooks = bank.sql(|db| sql::rows(db, ask, [caller.id]))?;
    for events in webhooks.iter_mut().filter_map(|webhook| webhook.get_mut("events")) {
        *events = events.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    }
    Ok(Json(webhooks.into()))
}

/// `POST /v1/webhooks`: answers with the secret that deliveries are signed with, this once.
pub async fn add(
    State(bank): State<Shared>,
    caller: Caller,
    Input(asked): Input<Webhook>,
) -> Answer<(StatusCode, Json<Value>)> {
    text_within("url", &asked.url, 500)?;
    if !bank.has(Flaw::WebhookFetch) && !outside(&asked.url) {
        return Err(Refusal::unprocessable("`url` is `https://` and a public host name"));
    }
    let events = events(asked.events)?;
    let secret = deliver::secret()?;
    let id = bank.change(|db| {
        room_for_one_more(
            sql::number(db, "SELECT count(*) FROM webhooks WHERE owner = ?1", [caller.id])?,
            20,
        )?;
        db.execute(
            "INSERT INTO webhooks(owner, url, events, secret) VALUES(?1,?2,?3,?4)",
            params![caller.id, asked.url, events.to_string(), secret],
        )?;
        Ok(db.last_insert_rowid())
    })?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id, "secret": secret }))))
}

/// The names of the events that are asked for, in the order of [`Event::ALL`].
fn events(asked: Option<Vec<String>>) -> Answer<Value> {
    let all = Event::ALL.map(Event::name);
    let Some(asked) = asked else { return Ok(json!(all)) };
    if asked.is_empty() || asked.iter().any(|name| !all.contains(&name.as_str())) {
        return Err(Refusal::unprocessable(format!("`events` are some of `{}`", all.join("`, `"))));
    }
    Ok(all.into_iter().filter(|name| asked.iter().any(|asked| asked == name)).collect())
}

/// `DELETE /v1/webhooks/{id}`, with what is kept of its deliveries.
pub async fn remove(State(bank): State<Shared>, caller: Caller, Id(id): Id) -> Answer<StatusCode> {
    bank.change(|db| {
        let gone = db.execute("DELETE FROM webhooks WHERE id = ?1 AND owner = ?2", [id, caller.id])?;
        if gone == 0 {
            return Err(Refusal::not_found());
        }
        db.execute("DELETE FROM deliveries WHERE webhook = ?1", [id])?;
        Ok(StatusCode::NO_CONTENT)
    })
}

/// `GET /v1/webhooks/{id}/deliveries`: the newest first. `withheld` is what the fixed bank would have sent.
pub async fn deliveries(State(bank): State<Shared>, caller: Caller, Id(id): Id) -> Answer<Json<Value>> {
    let owned = "SELECT count(*) FROM webhooks WHERE id = ?1 AND owner = ?2";
    let ask =
        "SELECT id, event, at, state, status, attempts FROM deliveries WHERE webhook = ?1 ORDER BY id DESC";
    if bank.sql(|db| sql::number(db, owned, [id, caller.id]))? == 0 {
        return Err(Refusal::not_found());
    }
    Ok(Json(bank.sql(|db| sql::rows(db, ask, [id]))?.into()))
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
        let (status, body) = fetch::get(&url).await?;
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
