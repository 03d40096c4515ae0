//! ES256 tokens and their key set.

use anyhow::{Context, Result};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// An issuer's signing key.
pub struct Signer {
    key: EcdsaKeyPair,
    kid: String,
}

impl Signer {
    /// A fresh P-256 key under this key id.
    ///
    /// # Errors
    /// The key could not be made.
    pub fn new(kid: &str) -> Result<Self> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).context("cannot make a key")?;
        Ok(Signer { key, kid: kid.to_owned() })
    }

    /// Its public half as a JWKS document.
    ///
    /// # Errors
    /// The public key has an unexpected form.
    pub fn jwks(&self) -> Result<String> {
        let point = self.key.public_key().as_ref();
        let (x, y) = (point.get(1..33).context("short point")?, point.get(33..65).context("short point")?);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        Ok(json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": encode(x), "y": encode(y),
        }]})
        .to_string())
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// Signing failed.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        self.sign_as("JWT", claims)
    }

    /// A token of this `typ`.
    ///
    /// # Errors
    /// Signing failed.
    pub fn sign_as(&self, typ: &str, claims: &Value) -> Result<String> {
        let header = json!({ "alg": "ES256", "typ": typ, "kid": self.kid });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(&header), encode(claims));
        let signature =
            self.key.sign(&SystemRandom::new(), message.as_bytes()).ok().context("cannot sign")?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Seconds since the epoch, as claims count them.
#[must_use]
pub fn epoch_seconds() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}
