//! Deliveries to webhooks: signed as Standard Webhooks 1.0 says, tried three times, and written down.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use rusqlite::params;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    Flaw,
    bank::{Bank, Shared},
    fetch, password,
    refusal::{Answer, Refusal},
};

/// Deliveries under way at a time, so that a receiver that never answers holds little.
pub const AT_A_TIME: usize = 16;

/// Deliveries of one webhook that are kept.
const KEPT: i64 = 100;

/// Pauses before the second and the third attempt.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];

/// What begins a secret, so that it is known for one where it is found.
const PREFIX: &str = "whsec_";

/// What a customer can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    TransferSent,
    TransferReceived,
    CardLocked,
}

impl Event {
    pub const ALL: [Event; 3] = [Event::TransferSent, Event::TransferReceived, Event::CardLocked];

    pub const fn name(self) -> &'static str {
        match self {
            Event::TransferSent => "transfer.sent",
            Event::TransferReceived => "transfer.received",
            Event::CardLocked => "card.locked",
        }
    }
}

/// A new secret.
///
/// # Errors
/// The system has no random bytes.
pub fn secret() -> Answer<String> {
    Ok(format!("{PREFIX}{}", BASE64.encode(password::random::<24>()?)))
}

/// One webhook that is to be told.
struct Receiver {
    delivery: i64,
    url: String,
    secret: String,
}

/// Tells every webhook of `owner` that asked for this event. Failures are written down, never returned: what happened has
/// happened.
pub fn announce(bank: &Shared, owner: i64, event: Event, data: &Value) {
    let at = bank.now().to_string();
    let body = json!({ "type": event.name(), "timestamp": at, "data": data }).to_string();
    for receiver in receivers(bank, owner, event, &at).unwrap_or_default() {
        if !bank.has(Flaw::WebhookFetch) {
            settle(bank, receiver.delivery, "withheld", 0, 0);
            continue;
        }
        match Arc::clone(&bank.deliveries).try_acquire_owned() {
            Ok(turn) => {
                tokio::spawn(deliver(bank.clone(), receiver, body.clone(), turn));
            }
            Err(_) => settle(bank, receiver.delivery, "failed", 0, 0),
        }
    }
}

/// Notes a delivery for each webhook, and forgets the oldest of those that have too many.
fn receivers(bank: &Bank, owner: i64, event: Event, at: &str) -> Answer<Vec<Receiver>> {
    bank.change(|db| {
        let mut find = db.prepare_cached(
            "SELECT id, url, secret FROM webhooks WHERE owner = ?1 AND instr(events, ?2) > 0 ORDER BY id",
        )?;
        let named = format!("\"{}\"", event.name());
        let found = find.query_map(params![owner, named], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let found: Vec<(i64, String, String)> = found.collect::<Result<_, _>>()?;
        let mut receivers = Vec::with_capacity(found.len());
        for (webhook, url, secret) in found {
            db.execute(
                "INSERT INTO deliveries(webhook, event, at, state, status, attempts) VALUES(?1,?2,?3,'pending',0,0)",
                params![webhook, event.name(), at],
            )?;
            let delivery = db.last_insert_rowid();
            db.execute(
                "DELETE FROM deliveries WHERE webhook = ?1 AND id NOT IN
                 (SELECT id FROM deliveries WHERE webhook = ?1 ORDER BY id DESC LIMIT ?2)",
                [webhook, KEPT],
            )?;
            receivers.push(Receiver { delivery, url, secret });
        }
        Ok(receivers)
    })
}

async fn deliver(bank: Shared, to: Receiver, body: String, _turn: OwnedSemaphorePermit) {
    let mut pauses = PAUSES.into_iter();
    let mut attempts = 0;
    loop {
        attempts += 1;
        // 0 says that nobody answered.
        let status = attempt(&bank, &to, &body).await.unwrap_or(0);
        if (200..300).contains(&status) {
            return settle(&bank, to.delivery, "delivered", status, attempts);
        }
        // 410 says that nobody will ever want it (RFC 9110 section 15.5.11).
        match pauses.next().filter(|_| status != 410) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return settle(&bank, to.delivery, "failed", status, attempts),
        }
    }
}

async fn attempt(bank: &Bank, to: &Receiver, body: &str) -> Answer<u16> {
    let id = format!("msg_{}", to.delivery);
    let seconds = bank.now().seconds();
    let key = to.secret.strip_prefix(PREFIX).and_then(|text| BASE64.decode(text).ok());
    let key = key.ok_or_else(|| Refusal::internal(&"a webhook's secret is damaged"))?;
    let tag =
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), format!("{id}.{seconds}.{body}").as_bytes());
    let fields = [
        ("webhook-id", id),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", format!("v1,{}", BASE64.encode(tag))),
    ];
    Ok(fetch::post(&to.url, &fields, body.to_owned()).await?.0)
}

fn settle(bank: &Bank, delivery: i64, state: &str, status: u16, attempts: u32) {
    let ask = "UPDATE deliveries SET state = ?1, status = ?2, attempts = ?3 WHERE id = ?4";
    // Where the database fails, the delivery stays pending; its owner sees that.
    let _ = bank.sql(|db| db.execute(ask, params![state, status, attempts, delivery]));
}

/// Turns for deliveries.
pub fn turns() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(AT_A_TIME))
}
