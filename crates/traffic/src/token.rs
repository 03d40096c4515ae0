//! Tokens of the simulated issuer: EdDSA (RFC 8037) by a key that the seed makes, so that the same seed gives the same
//! bytes. They protect nothing: whoever knows the seed can make them.

use aws_lc_rs::{
    digest,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use bartizan_model::Timestamp;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

/// The lifetime of a token in seconds, as that of the sample bank.
pub const LIFETIME: u64 = 900;

/// The id of the one key.
pub const KEY: &str = "traffic-1";

/// A signing key.
pub struct Issuer {
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issuer")
    }
}

impl Issuer {
    /// The key of this seed and name.
    #[expect(
        clippy::expect_used,
        reason = "INVARIANT: every 32 bytes are a seed of Ed25519 (RFC 8032 section 5.1.5), and a digest has 32"
    )]
    pub fn of(seed: u64, name: &str) -> Issuer {
        let text = format!("bartizan traffic {name} {seed}");
        let seed = digest::digest(&digest::SHA256, text.as_bytes());
        Issuer { pair: Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).expect("32 bytes") }
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({ "alg": "EdDSA", "typ": "JWT", "kid": KEY }), claims)
    }

    /// A token with this header and these claims.
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let signature = BASE64.encode(self.pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// The key set (RFC 7517), with the public key only.
    pub fn jwks(&self) -> Value {
        json!({ "keys": [{
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": KEY,
            "x": BASE64.encode(self.pair.public_key().as_ref()),
        }]})
    }
}

/// Header and claims, without a signature.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()))
}

/// The claims of a token as the sample bank makes them.
pub fn claims(issuer: &str, customer: i64, session: &str, scope: &str, now: Timestamp) -> Value {
    json!({
        "iss": issuer,
        "sub": customer.to_string(),
        "aud": "bank",
        "iat": now.seconds(),
        "exp": now.seconds() + LIFETIME,
        "sid": session,
        "scope": scope,
        "tenant": tenant(customer),
        "role": "customer",
    })
}

/// The tenant of a customer: ten in a row share one.
pub fn tenant(customer: i64) -> String {
    format!("t-{:04}", (customer - 1) / 10 + 1)
}

/// The claims of somebody's token, without looking at its signature.
pub fn read(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&BASE64.decode(payload).ok()?).ok()
}

/// The header of somebody's token.
pub fn header(token: &str) -> Option<Value> {
    serde_json::from_slice(&BASE64.decode(token.split('.').next()?).ok()?).ok()
}
