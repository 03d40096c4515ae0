//! Sign-in with password and one-time code, and sign-out.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, StatusCode, header},
};
use bartizan_model::Timestamp;
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

/// What somebody says to be and to know.
pub struct Attempt<'a> {
    pub username: &'a str,
    pub password: &'a str,
    pub totp: Option<&'a str>,
}

/// Somebody who is known.
pub struct Person {
    pub id: i64,
    hash: Option<String>,
    totp: bool,
}

/// `POST /v1/login`.
pub async fn login(
    State(bank): State<Shared>,
    Input(login): Input<Login>,
) -> Answer<([(HeaderName, String); 1], Json<Value>)> {
    text_within("username", &login.username, 100)?;
    let scope = match login.scope.as_deref() {
        None | Some("write") => "write",
        Some("read") => "read",
        Some(_) => return Err(Refusal::unprocessable("`scope` is `read` or `write`")),
    };
    let attempt =
        Attempt { username: &login.username, password: &login.password, totp: login.totp.as_deref() };
    let person = authenticate(&bank, &attempt)?;
    let now = bank.now();
    let sid = open_session(&bank, person.id, scope == "read")?;
    let token = access_token(&bank, person.id, &sid, scope, now)?;
    let token = json!({
        "access_token": token, "token_type": "Bearer", "expires_in": LIFETIME.as_secs(), "scope": scope,
    });
    Ok(([(header::SET_COOKIE, cookie(&sid))], Json(token)))
}

/// `POST /v1/logout`: the session ends, and with it the tokens that belong to it.
pub async fn logout(State(bank): State<Shared>, caller: Caller) -> StatusCode {
    end_session(&bank, &caller.session);
    StatusCode::NO_CONTENT
}

/// Ends a session and its refresh tokens.
pub fn end_session(bank: &Bank, session: &str) {
    bank.sessions.lock().remove(&session.to_owned(), bank.now());
    bank.families.lock().retain(|family| family.session != session);
}

/// A session of a browser that may do everything, as the cookie to set.
pub fn browser_session(bank: &Bank, person: i64) -> Answer<String> {
    Ok(cookie(&open_session(bank, person, false)?))
}

fn open_session(bank: &Bank, person: i64, read_only: bool) -> Answer<String> {
    let (sid, now) = (password::random_text()?, bank.now());
    let session = Session { person, read_only, since: now.seconds(), cookie: true };
    bank.sessions.lock().insert(sid.clone(), session, now.plus(LIFETIME), now);
    Ok(sid)
}

fn cookie(session: &str) -> String {
    format!("session={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}", LIFETIME.as_secs())
}

/// An access token with the tenant and role that the person has now.
pub fn access_token(bank: &Bank, person: i64, session: &str, scope: &str, now: Timestamp) -> Answer<String> {
    let (tenant, role): (String, String) = bank.sql(|db| {
        db.prepare_cached("SELECT tenant, role FROM customers WHERE id = ?1")?
            .query_row([person], |row| Ok((row.get(0)?, row.get(1)?)))
    })?;
    bank.issuer.lock().access_token(person, session, scope, (&tenant, &role), now)
}

/// Who it is, where name, password and code are right and were not tried too often.
pub fn authenticate(bank: &Bank, attempt: &Attempt<'_>) -> Answer<Person> {
    // Names are counted by themselves: a long one would be kept.
    text_within("username", attempt.username, 100)?;
    let now = bank.now();
    let name = attempt.username.to_owned();
    // BANK-14 (planted): any number of attempts.
    if !bank.has(Flaw::UnlimitedLogin) {
        let mut failures = bank.login_failures.lock();
        if let Some(seconds) = failures.wait(&name, now) {
            return Err(Refusal::too_many(seconds));
        }
        // Counted before the password is looked at, so that attempts at the same moment count too.
        failures.add(name.clone(), 1, now);
    }
    let person = check(bank, attempt)?;
    bank.login_failures.lock().clear(&name, now);
    Ok(person)
}

fn check(bank: &Bank, login: &Attempt<'_>) -> Answer<Person> {
    let wrong = || Refusal::new(StatusCode::UNAUTHORIZED, "user name, password or code is wrong");
    let found = bank.sql(|db| {
        db.prepare_cached("SELECT id, password_hash, totp FROM customers WHERE username = ?1")?
            .query_row([login.username], |row| {
                Ok(Person { id: row.get(0)?, hash: row.get(1)?, totp: row.get(2)? })
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
        password::hash(login.password)?;
        return Err(wrong());
    };
    let begins = credentials(bank.seed, person.id);
    let right = match &person.hash {
        Some(stored) => password::verify(login.password, stored),
        // Nobody has signed in as this person yet: the seeded password is hashed now.
        None => {
            let stored = password::hash(&begins.password)?;
            bank.sql(|db| {
                db.execute(
                    "UPDATE customers SET password_hash = ?1 WHERE id = ?2",
                    params![stored, person.id],
                )
            })?;
            password::same(login.password, &begins.password)
        }
    };
    if !right {
        let detail = if bank.has(Flaw::NamesTold) { "the password is wrong" } else { return Err(wrong()) };
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, detail));
    }
    if person.totp && !code_is_right(bank, person.id, begins.totp.as_deref(), login.totp) {
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
