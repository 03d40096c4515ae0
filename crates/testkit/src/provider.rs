//! A small OpenID provider over HTTP: discovery, key set, tokens by client credentials, introspection; and the ways in which
//! a provider goes wrong.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    process::loopback,
    raw::find,
    token::{Signer, epoch_seconds},
};

/// How a provider answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    #[default]
    Well,
    /// It closes the connection without a word.
    Down,
    /// With this status.
    Status(u16),
    /// With a redirect to there.
    Redirect(String),
    /// With a page for people.
    Page,
    /// With more than anybody reads.
    Endless,
    /// One byte in this time.
    Trickle(Duration),
    /// After this time.
    Late(Duration),
}

/// Where its metadata is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Below the issuer, as OpenID Connect Discovery has it.
    OpenId,
    /// Between host and path, as RFC 8414 has it.
    OAuth,
}

struct State {
    signers: Vec<Signer>,
    manner: Manner,
    metadata: Option<Value>,
    active: HashMap<String, Value>,
    /// Requests so far, by path.
    asked: HashMap<String, usize>,
    bodies: Vec<String>,
}

/// The provider. Its threads end with their connections; the listener ends with the process.
pub struct Provider {
    /// Where it listens.
    pub address: SocketAddr,
    /// The `iss` of its tokens.
    pub issuer: String,
    state: Arc<Mutex<State>>,
}

/// The one client that may introspect, and get tokens for itself.
pub const CLIENT: (&str, &str) = ("gateway", "a secret of the provider's client");

impl Provider {
    /// A provider with one key, `first`, whose issuer has this path.
    ///
    /// # Errors
    /// No loopback port could be bound, or no key made.
    pub fn start(path: &str, form: Form) -> Result<Self> {
        let listener = TcpListener::bind(loopback(0))?;
        let address = listener.local_addr()?;
        let issuer = format!("http://{address}{path}");
        let state = Arc::new(Mutex::new(State {
            signers: vec![Signer::new("first")?],
            manner: Manner::Well,
            metadata: None,
            active: HashMap::new(),
            asked: HashMap::new(),
            bodies: Vec::new(),
        }));
        let (shared, path, name) = (Arc::clone(&state), path.to_owned(), issuer.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, path, issuer) = (Arc::clone(&shared), path.clone(), name.clone());
                thread::spawn(move || serve(stream, &state, &path, &issuer, form));
            }
        });
        Ok(Provider { address, issuer, state })
    }

    /// Answers so from now on.
    pub fn behave(&self, manner: Manner) {
        lock(&self.state).manner = manner;
    }

    /// Shows this metadata from now on.
    pub fn tell(&self, metadata: Value) {
        lock(&self.state).metadata = Some(metadata);
    }

    /// Signs with a fresh key from now on, and publishes it alone.
    ///
    /// # Errors
    /// No key could be made.
    pub fn rotate(&self, kid: &str) -> Result<()> {
        lock(&self.state).signers = vec![Signer::new(kid)?];
        Ok(())
    }

    /// A token for the audience `shop` of this subject, with more claims.
    ///
    /// # Errors
    /// Signing failed.
    pub fn token(&self, subject: &str, more: &Value) -> Result<String> {
        self.sign("JWT", &claims(&self.issuer, subject, more))
    }

    /// Anything, signed.
    ///
    /// # Errors
    /// Signing failed.
    pub fn sign(&self, typ: &str, claims: &Value) -> Result<String> {
        lock(&self.state).signers.first().context("no key")?.sign_as(typ, claims)
    }

    /// Says of an opaque token from now on that it is active, and this; `None` that it is not.
    pub fn activate(&self, token: &str, answer: Option<Value>) {
        let mut state = lock(&self.state);
        match answer {
            Some(answer) => state.active.insert(token.to_owned(), answer),
            None => state.active.remove(token),
        };
    }

    /// How often a path was asked for.
    #[must_use]
    pub fn asked(&self, path: &str) -> usize {
        lock(&self.state).asked.get(path).copied().unwrap_or_default()
    }

    /// Bodies of requests so far.
    #[must_use]
    pub fn bodies(&self) -> Vec<String> {
        lock(&self.state).bodies.clone()
    }
}

fn claims(issuer: &str, subject: &str, more: &Value) -> Value {
    let now = epoch_seconds();
    let mut claims = json!({ "iss": issuer, "sub": subject, "aud": "shop", "iat": now, "exp": now + 600 });
    if let (Some(claims), Some(more)) = (claims.as_object_mut(), more.as_object()) {
        claims.extend(more.clone());
    }
    claims
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: TcpStream, state: &Mutex<State>, path: &str, issuer: &str, form: Form) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
    while let Some((head, body)) = request(&mut stream) {
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let (manner, answer) = {
            let mut state = lock(state);
            *state.asked.entry(target.clone()).or_default() += 1;
            if !body.is_empty() {
                state.bodies.push(body.clone());
            }
            (state.manner.clone(), answer(&state, &target, &head, &body, (path, issuer, form)))
        };
        let (status, body) = answer.unwrap_or((404, "{}".to_owned()));
        let whole = |status: u16, more: &str, body: &str| {
            format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{more}Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let sent = match manner {
            Manner::Well => stream.write_all(whole(status, "", &body).as_bytes()),
            Manner::Down => return,
            Manner::Status(status) => stream.write_all(whole(status, "", "{}").as_bytes()),
            Manner::Redirect(to) => {
                stream.write_all(whole(302, &format!("Location: {to}\r\n"), "").as_bytes())
            }
            Manner::Page => stream.write_all(whole(200, "", "<html>Sign in</html>").as_bytes()),
            Manner::Endless => endless(&mut stream),
            Manner::Trickle(pause) => whole(status, "", &body).bytes().try_for_each(|byte| {
                thread::sleep(pause);
                stream.write_all(&[byte])
            }),
            Manner::Late(time) => {
                thread::sleep(time);
                stream.write_all(whole(status, "", &body).as_bytes())
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

fn endless(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\n\r\n{\"keys\":[\"")?;
    let filler = vec![b'a'; 64 << 10];
    loop {
        stream.write_all(&filler)?;
    }
}

/// What it says to a request; nothing for a path that it does not have.
fn answer(
    state: &State,
    target: &str,
    head: &str,
    body: &str,
    (path, issuer, form): (&str, &str, Form),
) -> Option<(u16, String)> {
    let well_known = match form {
        Form::OpenId => format!("{path}/.well-known/openid-configuration"),
        Form::OAuth => format!("/.well-known/oauth-authorization-server{path}"),
    };
    let own = issuer.strip_suffix(path).unwrap_or(issuer);
    let is_client = authorized(head, body);
    if target == well_known {
        let metadata = json!({
            "issuer": issuer,
            "jwks_uri": format!("{own}/jwks"),
            "token_endpoint": format!("{own}/token"),
            "introspection_endpoint": format!("{own}/introspect"),
        });
        return Some((200, state.metadata.clone().unwrap_or(metadata).to_string()));
    }
    match target {
        "/jwks" => {
            let keys: Vec<Value> = state
                .signers
                .iter()
                .filter_map(|signer| serde_json::from_str::<Value>(&signer.jwks().ok()?).ok())
                .filter_map(|set| set.pointer("/keys/0").cloned())
                .collect();
            Some((200, json!({ "keys": keys }).to_string()))
        }
        "/token" if is_client => {
            let claims = claims(issuer, CLIENT.0, &json!({ "client_id": CLIENT.0, "jti": "t" }));
            let token = state.signers.first()?.sign_as("at+jwt", &claims).ok()?;
            Some((
                200,
                json!({ "access_token": token, "token_type": "Bearer", "expires_in": 600 }).to_string(),
            ))
        }
        "/introspect" if is_client => {
            let token = body.split('&').find_map(|pair| pair.strip_prefix("token=")).unwrap_or_default();
            let known = state.active.get(token).cloned();
            Some((200, known.unwrap_or_else(|| json!({ "active": false })).to_string()))
        }
        "/token" | "/introspect" => Some((401, json!({ "error": "invalid_client" }).to_string())),
        _ => None,
    }
}

/// `client_secret_basic`, as RFC 6749 section 2.3.1 has it.
fn authorized(head: &str, _: &str) -> bool {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let secret = CLIENT.1.replace(' ', "+").replace('\'', "%27");
    let expected = format!("authorization: basic {}", STANDARD.encode(format!("{}:{secret}", CLIENT.0)));
    head.lines().any(|line| line.eq_ignore_ascii_case(&expected))
}

fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8 << 10];
    loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if let Some(body) = bytes.get(end + 4..end + 4 + length.unwrap_or(0)) {
                return Some((head, String::from_utf8_lossy(body).into_owned()));
            }
        }
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => bytes.extend_from_slice(buffer.get(..read)?),
            _ => return None,
        }
    }
}
