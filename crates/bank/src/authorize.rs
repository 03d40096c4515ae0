//! The authorization endpoint: a code for a program that proves by PKCE that it asked (RFC 6749 section 4.1, RFC 7636,
//! RFC 9700), after the person has signed in here.

use std::time::Duration;

use axum::{
    Form,
    extract::{Query, State, rejection::FormRejection, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use crate::{
    bank::{Bank, Shared},
    caller::session_of_cookie,
    clients::{Client, Scopes, client},
    login::{self, Attempt},
    password,
    refusal::{Answer, Refusal},
};

/// How long a code waits to be exchanged (RFC 6749 section 4.1.2 allows ten minutes at most).
const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// Characters of `state` and `nonce` at most; both come back.
const MAX_STATE: usize = 500;

/// What a program asks for, and on the way back from the sign-in page, who the person says to be.
#[derive(Deserialize, Default)]
pub struct Asked {
    response_type: Option<String>,
    client_id: Option<String>,
    redirect_uri: Option<String>,
    scope: Option<String>,
    state: Option<String>,
    nonce: Option<String>,
    prompt: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    username: Option<String>,
    password: Option<String>,
    totp: Option<String>,
}

/// A code that was given out.
pub struct Code {
    pub client: &'static str,
    pub redirect_uri: String,
    /// The S256 challenge.
    pub challenge: String,
    pub person: i64,
    pub scopes: Scopes,
    pub nonce: Option<String>,
    /// When the person signed in, in seconds.
    pub signed_in: u64,
    /// The session and the family of refresh tokens that it was exchanged for.
    pub spent: Option<(String, String)>,
}

/// A request that may be answered at its own address.
struct Request {
    client: &'static Client,
    redirect_uri: String,
    state: Option<String>,
}

/// What is right about it.
struct Wanted {
    scopes: Scopes,
    challenge: String,
    nonce: Option<String>,
}

/// `GET /authorize`: a person who is signed in goes straight back with a code, others see the sign-in page.
pub async fn show(
    State(bank): State<Shared>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Answer<Response> {
    let Query(asked) = asked.map_err(|error| damaged(&error))?;
    let request = addressed(&asked)?;
    let wanted = match wanted(&asked) {
        Ok(wanted) => wanted,
        Err((error, description)) => {
            return sent_back(&bank, &request, &[("error", error), ("error_description", description)]);
        }
    };
    let prompt = asked.prompt.as_deref().unwrap_or_default();
    let session =
        session_of_cookie(&headers, &bank).filter(|_| !prompt.split(' ').any(|word| word == "login"));
    match session {
        Some((person, since)) => with_code(&bank, &request, wanted, person, since),
        None if prompt == "none" => sent_back(&bank, &request, &[("error", "login_required")]),
        None => Ok(page(StatusCode::OK, &asked, "")),
    }
}

/// `POST /authorize`: the sign-in page comes back.
pub async fn sign_in(
    State(bank): State<Shared>,
    asked: Result<Form<Asked>, FormRejection>,
) -> Answer<Response> {
    let Form(asked) = asked.map_err(|error| damaged(&error))?;
    let request = addressed(&asked)?;
    let wanted = match wanted(&asked) {
        Ok(wanted) => wanted,
        Err((error, description)) => {
            return sent_back(&bank, &request, &[("error", error), ("error_description", description)]);
        }
    };
    let attempt = Attempt {
        username: asked.username.as_deref().unwrap_or_default(),
        password: asked.password.as_deref().unwrap_or_default(),
        totp: asked.totp.as_deref().filter(|code| !code.is_empty()),
    };
    let person = match login::authenticate(&bank, &attempt) {
        Ok(person) => person,
        Err(refusal) if refusal.status() == StatusCode::TOO_MANY_REQUESTS => return Err(refusal),
        Err(refusal) if refusal.status().is_server_error() => return Err(refusal),
        Err(refusal) => return Ok(page(StatusCode::FORBIDDEN, &asked, refusal.detail())),
    };
    let cookie = login::browser_session(&bank, person.id)?;
    let since = bank.now().seconds();
    let mut response = with_code(&bank, &request, wanted, person.id, since)?;
    let cookie = HeaderValue::from_str(&cookie).map_err(|error| Refusal::internal(&error))?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

fn damaged(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::bad("the request is damaged, or names a parameter twice").caused_by(error)
}

/// Nothing is sent to an address that is not registered, not even an error (RFC 6749 section 4.1.2.1).
fn addressed(asked: &Asked) -> Answer<Request> {
    let id = asked.client_id.as_deref().unwrap_or_default();
    let client = client(id).ok_or_else(|| Refusal::bad("`client_id` is not that of a registered client"))?;
    let redirect_uri = asked.redirect_uri.clone().unwrap_or_default();
    if !client.may_return_to(&redirect_uri) {
        return Err(Refusal::bad("`redirect_uri` is not registered for this client"));
    }
    let state = asked.state.clone().filter(|state| !state.is_empty());
    if state.as_ref().is_some_and(|state| state.len() > MAX_STATE) {
        return Err(Refusal::bad("`state` has 500 characters at most"));
    }
    Ok(Request { client, redirect_uri, state })
}

/// The codes of RFC 6749 section 4.1.2.1.
fn wanted(asked: &Asked) -> Result<Wanted, (&'static str, &'static str)> {
    match asked.response_type.as_deref() {
        Some("code") => {}
        None | Some("") => return Err(("invalid_request", "response_type is missing")),
        Some(_) => return Err(("unsupported_response_type", "response_type is code")),
    }
    let scopes = asked.scope.as_deref().unwrap_or("read");
    let scopes = Scopes::parse(scopes).ok_or(("invalid_scope", "the scope is unknown"))?;
    // RFC 7636 section 4.4.1; `plain` proves nothing to whoever saw the request.
    if asked.code_challenge_method.as_deref() != Some("S256") {
        return Err(("invalid_request", "code_challenge_method is S256"));
    }
    let challenge = asked.code_challenge.clone().unwrap_or_default();
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if challenge.len() != 43 || !challenge.bytes().all(base64url) {
        return Err(("invalid_request", "code_challenge is the base64url of a SHA-256"));
    }
    let nonce = asked.nonce.clone().filter(|nonce| !nonce.is_empty());
    if nonce.as_ref().is_some_and(|nonce| nonce.len() > MAX_STATE) {
        return Err(("invalid_request", "nonce has 500 characters at most"));
    }
    Ok(Wanted { scopes, challenge, nonce })
}

fn with_code(bank: &Bank, request: &Request, wanted: Wanted, person: i64, since: u64) -> Answer<Response> {
    let code = password::random_text()?;
    let now = bank.now();
    let kept = Code {
        client: request.client.id,
        redirect_uri: request.redirect_uri.clone(),
        challenge: wanted.challenge,
        person,
        scopes: wanted.scopes,
        nonce: wanted.nonce,
        signed_in: since,
        spent: None,
    };
    bank.codes.lock().insert(password::sha256(&code), kept, now.plus(CODE_LIFETIME), now);
    sent_back(bank, request, &[("code", &code)])
}

/// Back to the program: 303, so that no password is sent on (RFC 9700 section 4.12), with who answers (RFC 9207).
fn sent_back(bank: &Bank, request: &Request, answer: &[(&str, &str)]) -> Answer<Response> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(answer);
    if let Some(state) = &request.state {
        query.append_pair("state", state);
    }
    query.append_pair("iss", &bank.issuer.lock().name);
    let target = format!("{}?{}", request.redirect_uri, query.finish());
    let target = HeaderValue::from_str(&target).map_err(|error| Refusal::internal(&error))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, target)]).into_response())
}

/// The sign-in page: a form without script, that no other page may frame (RFC 9700 section 4.16).
fn page(status: StatusCode, asked: &Asked, wrong: &str) -> Response {
    let carried = [
        ("response_type", &asked.response_type),
        ("client_id", &asked.client_id),
        ("redirect_uri", &asked.redirect_uri),
        ("scope", &asked.scope),
        ("state", &asked.state),
        ("nonce", &asked.nonce),
        ("code_challenge", &asked.code_challenge),
        ("code_challenge_method", &asked.code_challenge_method),
    ];
    let mut fields = String::new();
    for (name, value) in carried {
        if let Some(value) = value {
            fields
                .push_str(&format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n", escaped(value)));
        }
    }
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Sample bank: sign in</title></head><body>\n\
         <h1>Sample bank</h1>\n<p>{wrong}</p>\n<form method=\"post\" action=\"/authorize\">\n{fields}\
         <p><label>User name <input name=\"username\" autocomplete=\"username\" required></label></p>\n\
         <p><label>Password <input name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label></p>\n\
         <p><label>Code, where you have one <input name=\"totp\" inputmode=\"numeric\" autocomplete=\"one-time-code\"></label></p>\n\
         <p><button>Sign in</button></p>\n</form>\n</body></html>\n",
        wrong = escaped(wrong),
    );
    let policy = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'";
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, html).into_response()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
