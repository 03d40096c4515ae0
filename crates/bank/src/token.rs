//! The token endpoint: codes, refresh tokens that are used once, and passwords become access tokens (RFC 6749, RFC 7636,
//! RFC 9700); and revocation (RFC 7009).

use std::time::Duration;

use axum::{
    Form, Json,
    extract::{State, rejection::FormRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bartizan_model::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    bank::{Bank, Session, Shared},
    clients::{Client, Scopes, client},
    issuer::LIFETIME,
    login::{self, Attempt},
    password,
    refusal::Refusal,
};

/// How long a person stays signed in to a program, however often its token is refreshed.
const FAMILY_LIFETIME: Duration = Duration::from_secs(12 * 3_600);

/// One sign-in of a program: of its refresh tokens only the newest works. The token is the family's key, `.` and a secret, so
/// that one that was used before is known for what it is, without keeping it.
pub struct Family {
    client: &'static str,
    pub person: i64,
    scopes: Scopes,
    pub session: String,
    /// SHA-256 of the newest token.
    newest: String,
}

/// The parameters of the endpoint. What is not known is ignored, and what is named twice refused (RFC 6749 section 3.2).
#[derive(Deserialize)]
pub struct Asked {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    code: Option<String>,
    code_verifier: Option<String>,
    redirect_uri: Option<String>,
    refresh_token: Option<String>,
    scope: Option<String>,
    username: Option<String>,
    password: Option<String>,
    totp: Option<String>,
    token: Option<String>,
}

/// An error of RFC 6749 section 5.2, or one that the bank has for everything.
pub enum Failure {
    OAuth { status: StatusCode, code: &'static str, description: &'static str },
    Bank(Refusal),
}

type Granted<T> = Result<T, Failure>;

fn refuse<T>(code: &'static str, description: &'static str) -> Granted<T> {
    Err(Failure::OAuth { status: StatusCode::BAD_REQUEST, code, description })
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure::Bank(refusal)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Failure::Bank(refusal) => refusal.into_response(),
            Failure::OAuth { status, code, description } => {
                let body = Json(json!({ "error": code, "error_description": description }));
                let mut response = (status, body).into_response();
                if status == StatusCode::UNAUTHORIZED {
                    let challenge = HeaderValue::from_static("Basic realm=\"bank\"");
                    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                }
                response
            }
        }
    }
}

/// `POST /token`.
pub async fn token(
    State(bank): State<Shared>,
    headers: HeaderMap,
    form: Result<Form<Asked>, FormRejection>,
) -> Granted<Json<Value>> {
    let asked = read(&headers, form)?;
    let answer = match asked.grant_type.as_deref().filter(|text| !text.is_empty()) {
        Some("authorization_code") => exchange(&bank, &asked),
        Some("refresh_token") => refresh(&bank, &asked),
        Some("password") => by_password(&bank, &asked),
        Some(_) => {
            refuse("unsupported_grant_type", "the grants are authorization_code, refresh_token and password")
        }
        None => refuse("invalid_request", "grant_type is missing"),
    };
    answer.map(Json)
}

/// `POST /revoke` (RFC 7009): a refresh token ends with its family, an access token with its session. What is unknown is as
/// good as revoked (section 2.2).
pub async fn revoke(
    State(bank): State<Shared>,
    headers: HeaderMap,
    form: Result<Form<Asked>, FormRejection>,
) -> Granted<StatusCode> {
    let asked = read(&headers, form)?;
    let client = public_client(&asked)?;
    let token = needed(&asked.token, "token is missing")?;
    let now = bank.now();
    let claims = bank.issuer.lock().verify(token, now);
    if let Some(claims) = claims {
        login::end_session(&bank, &claims.sid);
    } else if let Some((key, _)) = token.split_once('.') {
        let family = bank
            .families
            .lock()
            .get(&key.to_owned(), now)
            .map(|family| (family.client, family.session.clone()));
        if let Some((owner, session)) = family {
            if owner != client.id {
                return refuse("invalid_client", "the token is not this client's");
            }
            login::end_session(&bank, &session);
        }
    }
    Ok(StatusCode::OK)
}

fn read(headers: &HeaderMap, form: Result<Form<Asked>, FormRejection>) -> Granted<Asked> {
    let Ok(Form(asked)) = form else {
        return refuse("invalid_request", "send application/x-www-form-urlencoded, each parameter once");
    };
    // No client has a secret; RFC 6749 section 5.2 wants 401 where one was sent in the header.
    let basic =
        headers.get(header::AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"Basic "));
    if basic || asked.client_secret.is_some() {
        let status = if basic { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        return Err(Failure::OAuth {
            status,
            code: "invalid_client",
            description: "clients here are public: send client_id alone",
        });
    }
    Ok(asked)
}

/// A parameter that must be there and not empty (RFC 6749 section 3.2).
fn needed<'a>(parameter: &'a Option<String>, missing: &'static str) -> Granted<&'a str> {
    match parameter.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => Ok(text),
        None => refuse("invalid_request", missing),
    }
}

fn public_client(asked: &Asked) -> Granted<&'static Client> {
    match client(needed(&asked.client_id, "client_id is missing")?) {
        Some(client) => Ok(client),
        None => refuse("invalid_client", "the client is not registered"),
    }
}

/// RFC 6749 section 4.1.3 and RFC 7636 section 4.6.
fn exchange(bank: &Bank, asked: &Asked) -> Granted<Value> {
    let client = public_client(asked)?;
    let key = password::sha256(needed(&asked.code, "code is missing")?);
    let redirect_uri = needed(&asked.redirect_uri, "redirect_uri is missing")?;
    let verifier = needed(&asked.code_verifier, "code_verifier is missing")?;
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(unreserved) {
        return refuse("invalid_request", "code_verifier is 43 to 128 unreserved characters");
    }
    let now = bank.now();
    // Held to the end, so that the same code at the same moment finds the tokens that it has to end.
    let mut codes = bank.codes.lock();
    let Some(code) = codes.get_mut(&key, now) else {
        return refuse("invalid_grant", "the code is wrong or too old");
    };
    if let Some((session, _)) = &code.spent {
        login::end_session(bank, session);
        return refuse("invalid_grant", "the code was used before: what it was exchanged for is revoked");
    }
    let right = code.client == client.id
        && code.redirect_uri == redirect_uri
        && password::same(&code.challenge, &password::sha256(verifier));
    if !right {
        // One attempt: whoever caught a code does not get to guess.
        codes.remove(&key, now);
        return refuse(
            "invalid_grant",
            "the code, its client, redirect_uri and code_verifier do not belong together",
        );
    }
    let (session, family) = (password::random_text()?, password::random_text()?);
    code.spent = Some((session.clone(), family.clone()));
    let (person, scopes) = (code.person, code.scopes.clone());
    let id_token = if scopes.has("openid") {
        Some(bank.issuer.lock().id_token(client.id, person, code.signed_in, code.nonce.as_deref(), now)?)
    } else {
        None
    };
    // Kept for as long as its tokens could be used by whoever stole it.
    if let Some(spent) = codes.remove(&key, now) {
        codes.insert(key, spent, now.plus(LIFETIME), now);
    }
    let mut answer = granted(bank, person, &session, &scopes, now)?;
    if scopes.has("offline_access") {
        let token = format!("{family}.{}", password::random_text()?);
        let newest = password::sha256(&token);
        let kept = Family { client: client.id, person, scopes, session, newest };
        bank.families.lock().insert(family, kept, now.plus(FAMILY_LIFETIME), now);
        set(&mut answer, "refresh_token", token);
    }
    if let Some(token) = id_token {
        set(&mut answer, "id_token", token);
    }
    Ok(answer)
}

/// RFC 6749 section 6, with the rotation of RFC 9700 section 4.14.2: a token that comes a second time was stolen from one of the
/// two who sent it, and nobody can tell from which.
fn refresh(bank: &Bank, asked: &Asked) -> Granted<Value> {
    let client = public_client(asked)?;
    let token = needed(&asked.refresh_token, "refresh_token is missing")?;
    let now = bank.now();
    let Some((key, _)) = token.split_once('.') else {
        return refuse("invalid_grant", "the refresh token is wrong, too old or revoked");
    };
    let mut families = bank.families.lock();
    let Some(family) = families.get_mut(&key.to_owned(), now).filter(|family| family.client == client.id)
    else {
        return refuse("invalid_grant", "the refresh token is wrong, too old or revoked");
    };
    if !password::same(&family.newest, &password::sha256(token)) {
        let session = family.session.clone();
        drop(families);
        login::end_session(bank, &session);
        return refuse(
            "invalid_grant",
            "the refresh token was used before: every token of this sign-in is revoked",
        );
    }
    let scopes = match asked.scope.as_deref().filter(|text| !text.is_empty()).map(Scopes::parse) {
        None => family.scopes.clone(),
        Some(Some(scopes)) if scopes.within(&family.scopes) => scopes,
        Some(_) => return refuse("invalid_scope", "the scope is more than was granted"),
    };
    let mut answer = granted(bank, family.person, &family.session, &scopes, now)?;
    let token = format!("{key}.{}", password::random_text()?);
    family.newest = password::sha256(&token);
    set(&mut answer, "refresh_token", token);
    Ok(answer)
}

/// RFC 6749 section 4.3, for programs that sign in by themselves: drills and scripts.
fn by_password(bank: &Bank, asked: &Asked) -> Granted<Value> {
    let attempt = Attempt {
        username: needed(&asked.username, "username is missing")?,
        password: needed(&asked.password, "password is missing")?,
        totp: asked.totp.as_deref(),
    };
    let scopes = match asked.scope.as_deref().filter(|text| !text.is_empty()) {
        None | Some("write") => Scopes::parse("write"),
        Some("read") => Scopes::parse("read"),
        Some(_) => None,
    };
    let Some(scopes) = scopes else { return refuse("invalid_scope", "the scope is read or write") };
    let person = match login::authenticate(bank, &attempt) {
        Ok(person) => person,
        Err(refusal)
            if refusal.status() == StatusCode::TOO_MANY_REQUESTS || refusal.status().is_server_error() =>
        {
            return Err(refusal.into());
        }
        Err(_) => return refuse("invalid_grant", "user name, password or code is wrong"),
    };
    granted(bank, person.id, &password::random_text()?, &scopes, bank.now())
}

/// An access token, and the session that it lives with.
fn granted(bank: &Bank, person: i64, session: &str, scopes: &Scopes, now: Timestamp) -> Granted<Value> {
    let scope = scopes.to_string();
    let token = login::access_token(bank, person, session, &scope, now)?;
    let kept = Session { person, read_only: !scopes.has("write"), since: now.seconds(), cookie: false };
    bank.sessions.lock().insert(session.to_owned(), kept, now.plus(LIFETIME), now);
    Ok(
        json!({ "access_token": token, "token_type": "Bearer", "expires_in": LIFETIME.as_secs(), "scope": scope }),
    )
}

fn set(answer: &mut Value, name: &str, text: String) {
    if let Some(answer) = answer.as_object_mut() {
        answer.insert(name.to_owned(), text.into());
    }
}
