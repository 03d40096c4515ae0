//! The bank's own OpenID Connect issuer: discovery, key set, rotation, and ES256 tokens (RFC 7518 section 3.4).

use std::time::Duration;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
        UnparsedPublicKey,
    },
};
use axum::{Json, extract::State};
use bartizan_model::Timestamp;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    bank::Shared,
    clients::SCOPES,
    refusal::{Answer, Refusal},
};

/// How long a token is accepted.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Keys published at a time: the one that signs and those whose tokens may still live.
const MAX_KEYS: usize = 3;

/// Who the tokens are for.
const AUDIENCE: &str = "bank";

/// What a token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub sub: String,
    pub aud: String,
    pub iat: u64,
    pub exp: u64,
    pub sid: String,
    pub scope: String,
    pub tenant: String,
    pub role: String,
}

struct Key {
    id: String,
    pair: EcdsaKeyPair,
}

/// The keys, the newest last.
pub struct Issuer {
    pub name: String,
    keys: Vec<Key>,
    made: u64,
}

impl Issuer {
    pub fn new(name: String) -> Answer<Self> {
        let mut issuer = Issuer { name, keys: Vec::new(), made: 0 };
        issuer.rotate()?;
        Ok(issuer)
    }

    /// Signs with a new key from here on. Tokens of the last [`MAX_KEYS`] keys stay valid.
    pub fn rotate(&mut self) -> Answer<String> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map_err(|error| Refusal::internal(&error))?;
        self.made += 1;
        let id = format!("bank-{}", self.made);
        self.keys.push(Key { id: id.clone(), pair });
        if self.keys.len() > MAX_KEYS {
            self.keys.remove(0);
        }
        Ok(id)
    }

    pub fn access_token(
        &self,
        sub: i64,
        sid: &str,
        scope: &str,
        person: (&str, &str),
        now: Timestamp,
    ) -> Answer<String> {
        let (tenant, role) = person;
        self.sign(&Claims {
            iss: self.name.clone(),
            sub: sub.to_string(),
            aud: AUDIENCE.to_owned(),
            iat: now.seconds(),
            exp: now.plus(LIFETIME).seconds(),
            sid: sid.to_owned(),
            scope: scope.to_owned(),
            tenant: tenant.to_owned(),
            role: role.to_owned(),
        })
    }

    /// Who signed in, for the program that asked (OpenID Connect Core 1.0 section 2). Its audience keeps it from being taken
    /// for an access token.
    pub fn id_token(
        &self,
        client: &str,
        sub: i64,
        signed_in: u64,
        nonce: Option<&str>,
        now: Timestamp,
    ) -> Answer<String> {
        let mut claims = json!({
            "iss": self.name, "sub": sub.to_string(), "aud": client, "iat": now.seconds(),
            "exp": now.plus(LIFETIME).seconds(), "auth_time": signed_in,
        });
        if let (Some(nonce), Some(claims)) = (nonce, claims.as_object_mut()) {
            claims.insert("nonce".to_owned(), nonce.into());
        }
        self.sign(&claims)
    }

    fn sign(&self, claims: &impl Serialize) -> Answer<String> {
        let key = self.keys.last().ok_or_else(Refusal::unauthorized)?;
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": key.id });
        let payload = serde_json::to_vec(claims).map_err(|error| Refusal::internal(&error))?;
        let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(payload));
        let signature = key
            .pair
            .sign(&SystemRandom::new(), signed.as_bytes())
            .map_err(|error| Refusal::internal(&error))?;
        Ok(format!("{signed}.{}", BASE64.encode(signature)))
    }

    /// What a token says, where it is ours, whole and in time.
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<Claims> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let header: Value = serde_json::from_slice(&BASE64.decode(header).ok()?).ok()?;
        if header.get("alg")? != "ES256" {
            return None;
        }
        let key = self.keys.iter().find(|key| header.get("kid").is_some_and(|id| *id == key.id))?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.pair.public_key().as_ref())
            .verify(signed.as_bytes(), &BASE64.decode(signature).ok()?)
            .ok()?;
        let claims: Claims = serde_json::from_slice(&BASE64.decode(payload).ok()?).ok()?;
        let ours = claims.iss == self.name && claims.aud == AUDIENCE;
        (ours && claims.exp > now.seconds()).then_some(claims)
    }

    fn key_set(&self) -> Value {
        let keys: Vec<Value> = self.keys.iter().filter_map(Key::public).collect();
        json!({ "keys": keys })
    }
}

impl Key {
    /// RFC 7518 section 6.2: the uncompressed point is 4, then x and y of 32 bytes each.
    fn public(&self) -> Option<Value> {
        let (x, y) = self.pair.public_key().as_ref().get(1..)?.split_at_checked(32)?;
        Some(json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id,
            "x": BASE64.encode(x), "y": BASE64.encode(y),
        }))
    }
}

/// `GET /.well-known/openid-configuration`.
pub async fn discovery(State(bank): State<Shared>) -> Json<Value> {
    let name = bank.issuer.lock().name.clone();
    Json(json!({
        "issuer": name,
        "jwks_uri": format!("{name}/jwks"),
        "authorization_endpoint": format!("{name}/authorize"),
        "token_endpoint": format!("{name}/token"),
        "revocation_endpoint": format!("{name}/revoke"),
        "userinfo_endpoint": format!("{name}/userinfo"),
        "grant_types_supported": ["authorization_code", "refresh_token", "password"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "authorization_response_iss_parameter_supported": true,
        "prompt_values_supported": ["none", "login"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "scopes_supported": SCOPES,
        "claims_supported": [
            "iss", "sub", "aud", "iat", "exp", "sid", "scope", "tenant", "role", "auth_time", "nonce", "name",
            "preferred_username", "email", "birthdate",
        ],
    }))
}

/// `GET /jwks`.
pub async fn jwks(State(bank): State<Shared>) -> Json<Value> {
    Json(bank.issuer.lock().key_set())
}
