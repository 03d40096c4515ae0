//! Sign-in with password and one-time code, and sign-out.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, StatusCode, header},
};
use rusqlite::{OptionalExtension as _, params};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Flaw,
    bank::{Bank, Session, Shared},
    caller::Caller,
    input::{Input, text_within},
    issuer::LIFETIME,
    password,
    refusal::{Answer, Refusal},
    seed::credentials,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    username: String,
    password: String,
    totp: Option<String>,
    /// `read` or `write`; a token of `read` changes nothing.
    scope: Option<String>,
}

struct Person {
    id: i64,
    tenant: String,
    role: String,
    hash: Option<String>,
    totp: bool,
}

/// `POST /v1/login`.
pub async fn login(
    State(bank): State<Shared>,
    Input(login): Input<Login>,
) -> Answer<([(HeaderName, String); 1], Json<Value>)> {
    // Names are counted by themselves: a long one would be kept.
    text_within("username", &login.username, 100)?;
    let scope = match login.scope.as_deref() {
        None | Some("write") => "write",
        Some("read") => "read",
        Some(_) => return Err(Refusal::unprocessable("`scope` is `read` or `write`")),
    };
    let now = bank.now();
    // BANK-14 (planted): any number of attempts.
    let limited = !bank.has(Flaw::UnlimitedLogin);
    if limited && let Some(seconds) = bank.login_failures.lock().wait(&login.username, now) {
        return Err(Refusal::too_many(seconds));
    }
    let person = match check(&bank, &login) {
        Ok(person) => person,
        Err(refusal) => {
            if limited {
                bank.login_failures.lock().add(login.username, 1, now);
            }
            return Err(refusal);
        }
    };
    bank.login_failures.lock().clear(&login.username, now);
    let sid = password::random_text(24)?;
    let token = bank.issuer.lock().sign(person.id, &sid, scope, (&person.tenant, &person.role), now)?;
    let session = Session { person: person.id, read_only: scope == "read" };
    bank.sessions.lock().insert(sid.clone(), session, now.plus(LIFETIME), now);
    let body = json!({
        "access_token": token, "token_type": "Bearer", "expires_in": LIFETIME.as_secs(), "scope": scope,
    });
    let cookie = format!("session={sid}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}", LIFETIME.as_secs());
    Ok(([(header::SET_COOKIE, cookie)], Json(body)))
}

/// `POST /v1/logout`.
pub async fn logout(State(bank): State<Shared>, caller: Caller) -> StatusCode {
    bank.sessions.lock().remove(&caller.session, bank.now());
    StatusCode::NO_CONTENT
}

fn check(bank: &Bank, login: &Login) -> Answer<Person> {
    let wrong = || Refusal::new(StatusCode::UNAUTHORIZED, "user name, password or code is wrong");
    let found = bank.sql(|db| {
        db.prepare_cached("SELECT id, tenant, role, password_hash, totp FROM customers WHERE username = ?1")?
            .query_row([&login.username], |row| {
                Ok(Person {
                    id: row.get(0)?,
                    tenant: row.get(1)?,
                    role: row.get(2)?,
                    hash: row.get(3)?,
                    totp: row.get(4)?,
                })
            })
            .optional()
    })?;
    let Some(person) = found else {
        // BANK-15 (planted): says whether the name exists.
        if bank.has(Flaw::NamesTold) {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                format!("no user is named `{}`", login.username),
            ));
        }
        // The same work as for a name that exists: its time tells nothing either.
        password::hash(&login.password)?;
        return Err(wrong());
    };
    let begins = credentials(bank.seed, person.id);
    let right = match &person.hash {
        Some(stored) => password::verify(&login.password, stored),
        // Nobody has signed in as this person yet: the seeded password is hashed now.
        None => {
            let stored = password::hash(&begins.password)?;
            bank.sql(|db| {
                db.execute(
                    "UPDATE customers SET password_hash = ?1 WHERE id = ?2",
                    params![stored, person.id],
                )
            })?;
            password::same(&login.password, &begins.password)
        }
    };
    if !right {
        let detail = if bank.has(Flaw::NamesTold) { "the password is wrong" } else { return Err(wrong()) };
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, detail));
    }
    if person.totp && !code_is_right(bank, person.id, begins.totp.as_deref(), login.totp.as_deref()) {
        return Err(wrong());
    }
    Ok(person)
}

/// Each code works once (RFC 6238 section 5.2).
fn code_is_right(bank: &Bank, person: i64, secret: Option<&[u8]>, given: Option<&str>) -> bool {
    let now = bank.now();
    let step = secret.zip(given).and_then(|(secret, given)| password::totp_step(secret, given, now));
    let Some(step) = step else { return false };
    let mut used = bank.used_codes.lock();
    if used.get(&(person, step), now).is_some() {
        return false;
    }
    used.insert((person, step), (), now.plus(std::time::Duration::from_secs(120)), now);
    true
}
