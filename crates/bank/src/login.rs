//! Sign-in with password and one-time code, and sign-out.

use axum::{
    Form, Json,
    extract::{State, rejection::FormRejection},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse as _, Response},
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

/// Somebody who has signed in.
struct SignedIn {
    session: String,
    token: Value,
}

/// `POST /v1/login`.
pub async fn login(
    State(bank): State<Shared>,
    Input(login): Input<Login>,
) -> Answer<([(HeaderName, String); 1], Json<Value>)> {
    let SignedIn { session, token } = sign_in(&bank, &login)?;
    let cookie =
        format!("session={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}", LIFETIME.as_secs());
    Ok(([(header::SET_COOKIE, cookie)], Json(token)))
}

#[derive(Deserialize)]
pub struct Grant {
    grant_type: String,
    #[serde(flatten)]
    login: Login,
}

/// `POST /token`: the same for programs that speak OAuth 2.0, by the password grant (RFC 6749 section 4.3).
pub async fn token(State(bank): State<Shared>, form: Result<Form<Grant>, FormRejection>) -> Response {
    let error = |code: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": code }))).into_response();
    let Ok(Form(grant)) = form else { return error("invalid_request") };
    if grant.grant_type != "password" {
        return error("unsupported_grant_type");
    }
    match sign_in(&bank, &grant.login) {
        Ok(signed_in) => Json(signed_in.token).into_response(),
        Err(refusal) if refusal.status() == StatusCode::TOO_MANY_REQUESTS => refusal.into_response(),
        Err(_) => error("invalid_grant"),
    }
}

fn sign_in(bank: &Bank, login: &Login) -> Answer<SignedIn> {
    // Names are counted by themselves: a long one would be kept.
    text_within("username", &login.username, 100)?;
    let scope = match login.scope.as_deref() {
        None | Some("write") => "write",
        Some("read") => "read",
        Some(_) => return Err(Refusal::unprocessable("`scope` is `read` or `write`")),
    };
    let now = bank.now();
    // BANK-14 (planted): any number of attempts.
    if !bank.has(Flaw::UnlimitedLogin) {
        let mut failures = bank.login_failures.lock();
        if let Some(seconds) = failures.wait(&login.username, now) {
            return Err(Refusal::too_many(seconds));
        }
        // Counted before the password is looked at, so that attempts at the same moment count too.
        failures.add(login.username.clone(), 1, now);
    }
    let person = check(bank, login)?;
    bank.login_failures.lock().clear(&login.username, now);
    let sid = password::random_text(24)?;
    let token = bank.issuer.lock().sign(person.id, &sid, scope, (&person.tenant, &person.role), now)?;
    let session = Session { person: person.id, read_only: scope == "read" };
    bank.sessions.lock().insert(sid.clone(), session, now.plus(LIFETIME), now);
    let token = json!({
        "access_token": token, "token_type": "Bearer", "expires_in": LIFETIME.as_secs(), "scope": scope,
    });
    Ok(SignedIn { session: sid, token })
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
