//! Passwords that were forgotten.

use std::time::Duration;

use axum::{extract::State, http::StatusCode};
use rusqlite::{OptionalExtension as _, params};
use serde::Deserialize;

use crate::{
    Flaw,
    bank::Shared,
    input::{Input, text_within},
    password,
    refusal::{Answer, Refusal},
};

/// How long a reset token works.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forgot {
    username: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    username: String,
    token: String,
    password: String,
}

/// `POST /v1/password/forgot`: a token goes out by mail, which here is the table `mails`.
pub async fn forgot(State(bank): State<Shared>, Input(asked): Input<Forgot>) -> Answer<StatusCode> {
    let now = bank.now();
    let id = bank.sql(|db| {
        let mut find = db.prepare_cached("SELECT id FROM customers WHERE username = ?1")?;
        find.query_row([&asked.username], |row| row.get::<_, i64>(0)).optional()
    })?;
    if let Some(id) = id {
        let token = if bank.has(Flaw::WeakReset) {
            // BANK-16 (planted): who knows the id and the second knows the token.
            format!("{id}-{}", now.seconds())
        } else {
            password::random_text()?
        };
        // Only its hash is kept, and one at a time.
        let mut tokens = bank.reset_tokens.lock();
        tokens.retain(|kept| *kept != id);
        tokens.insert(password::sha256(&token), id, now.plus(LIFETIME), now);
        drop(tokens);
        bank.sql(|db| {
            db.execute("DELETE FROM mails WHERE customer = ?1", [id])?;
            db.execute("INSERT INTO mails(customer, text) VALUES(?1, ?2)", params![id, token])
        })?;
    }
    // The same whether the name exists or not.
    Ok(StatusCode::ACCEPTED)
}

/// `POST /v1/password/reset`: a new password, and every session of the person ends.
pub async fn reset(State(bank): State<Shared>, Input(asked): Input<Reset>) -> Answer<StatusCode> {
    let now = bank.now();
    text_within("username", &asked.username, 100)?;
    if let Some(seconds) = bank.reset_failures.lock().wait(&asked.username, now) {
        return Err(Refusal::too_many(seconds));
    }
    text_within("password", &asked.password, 200)?;
    if asked.password.chars().count() < 8 {
        return Err(Refusal::unprocessable("`password` needs 8 characters or more"));
    }
    let id = bank.sql(|db| {
        let mut find = db.prepare_cached("SELECT id FROM customers WHERE username = ?1")?;
        find.query_row([&asked.username], |row| row.get::<_, i64>(0)).optional()
    })?;
    let key = password::sha256(&asked.token);
    let belongs = bank.reset_tokens.lock().get(&key, now).copied();
    let (Some(id), true) = (id, belongs.is_some() && belongs == id) else {
        bank.reset_failures.lock().add(asked.username, 1, now);
        return Err(Refusal::bad("the token is wrong, used or too old"));
    };
    bank.reset_tokens.lock().remove(&key, now);
    let hash = if bank.has(Flaw::PasswordHashes) {
        password::weak_hash(&asked.password)
    } else {
        password::hash(&asked.password)?
    };
    bank.sql(|db| db.execute("UPDATE customers SET password_hash = ?1 WHERE id = ?2", params![hash, id]))?;
    bank.sessions.lock().retain(|session| session.person != id);
    bank.families.lock().retain(|family| family.person != id);
    Ok(StatusCode::NO_CONTENT)
}
