//! Keys that sign requests, and the algorithms of RFC 9421 section 3.3.

use bartizan_model::{FileReference, Files, SecretReference, services::ClientKeyRecord};

use super::super::{
    jwks::{KeySet, Symmetric},
    jws::Algorithm as Jws,
};

/// A signature algorithm by its name in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize, schemars::JsonSchema)]
pub enum Algorithm {
    /// Ed25519.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// ECDSA over P-256 with SHA-256.
    #[serde(rename = "ecdsa-p256-sha256", alias = "ecdsa-p256")]
    EcdsaP256,
    /// ECDSA over P-384 with SHA-384.
    #[serde(rename = "ecdsa-p384-sha384", alias = "ecdsa-p384")]
    EcdsaP384,
    /// RSASSA-PSS with SHA-512.
    #[serde(rename = "rsa-pss-sha512", alias = "rsa-pss")]
    RsaPss,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "rsa-v1_5-sha256", alias = "rsa-v1_5")]
    RsaPkcs1,
    /// HMAC with SHA-256.
    #[serde(rename = "hmac-sha256")]
    Hmac,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 6] = [
        Algorithm::Ed25519,
        Algorithm::EcdsaP256,
        Algorithm::EcdsaP384,
        Algorithm::RsaPss,
        Algorithm::RsaPkcs1,
        Algorithm::Hmac,
    ];

    /// The name in the registry.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Ed25519 => "ed25519",
            Algorithm::EcdsaP256 => "ecdsa-p256-sha256",
            Algorithm::EcdsaP384 => "ecdsa-p384-sha384",
            Algorithm::RsaPss => "rsa-pss-sha512",
            Algorithm::RsaPkcs1 => "rsa-v1_5-sha256",
            Algorithm::Hmac => "hmac-sha256",
        }
    }

    /// The algorithm of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The same primitive under its name for tokens.
    fn jws(self) -> Jws {
        match self {
            Algorithm::Ed25519 => Jws::EdDsa,
            Algorithm::EcdsaP256 => Jws::Es256,
            Algorithm::EcdsaP384 => Jws::Es384,
            Algorithm::RsaPss => Jws::Ps512,
            Algorithm::RsaPkcs1 => Jws::Rs256,
            Algorithm::Hmac => Jws::Hs256,
        }
    }
}

/// Key material that is ready to verify with one algorithm. Several keys under one id are there for rotation.
pub struct SigningKey {
    /// The only algorithm that it verifies.
    pub algorithm: Algorithm,
    sets: Vec<KeySet>,
}

impl SigningKey {
    /// From PEM files or JWKs with public keys.
    ///
    /// # Errors
    /// One sentence that names what cannot be used.
    pub fn from_files(
        algorithm: Algorithm,
        references: &[FileReference],
        files: &dyn Files,
    ) -> Result<Self, String> {
        let mut sets = Vec::new();
        for reference in references {
            let bytes = files.read(reference)?;
            sets.push(read(&bytes).map_err(|problem| format!("`{reference}`: {problem}"))?);
        }
        Self::new(algorithm, sets)
    }

    /// From shared secrets.
    ///
    /// # Errors
    /// One sentence that names the reference.
    pub fn from_secrets(references: &[SecretReference], files: &dyn Files) -> Result<Self, String> {
        let mut sets = Vec::new();
        for reference in references {
            let secret = files.secret(reference)?;
            let set = KeySet::from_secret(secret.expose().as_bytes())
                .map_err(|_| format!("`{reference}` is too short: `hmac-sha256` needs at least 32 bytes"))?;
            sets.push(set);
        }
        Self::new(Algorithm::Hmac, sets)
    }

    /// From the record of an enrolled client.
    ///
    /// # Errors
    /// The record cannot be used.
    pub fn enrolled(record: &ClientKeyRecord) -> Result<Self, String> {
        let algorithm = Algorithm::named(&record.algorithm)
            .filter(|algorithm| *algorithm != Algorithm::Hmac)
            .ok_or("its algorithm is not known")?;
        Self::from_public(algorithm, record.public_key.as_bytes())
    }

    /// From the text of a public key, PEM or JWK.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_public(algorithm: Algorithm, text: &[u8]) -> Result<Self, String> {
        Self::new(algorithm, vec![read(text)?])
    }

    fn new(algorithm: Algorithm, sets: Vec<KeySet>) -> Result<Self, String> {
        let fits = |set: &KeySet| set.keys().iter().any(|key| key.fits(algorithm.jws()));
        if sets.is_empty() || !sets.iter().all(fits) {
            return Err(format!("there is no key that fits `{}`", algorithm.name()));
        }
        Ok(SigningKey { algorithm, sets })
    }

    /// Whether the signature is one of `message` by one of the keys. Secrets are compared in constant time.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm = self.algorithm.jws();
        self.sets.iter().flat_map(|set| set.keys()).any(|key| key.verify(algorithm, message, signature))
    }
}

/// A public key as PEM, or as JWK or JWKS.
fn read(bytes: &[u8]) -> Result<KeySet, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is neither PEM nor a JWK")?;
    if text.contains("-----BEGIN ") {
        return KeySet::from_pem(text);
    }
    let (keys, _) = KeySet::from_jwks(bytes, Symmetric::Refuse)?;
    Ok(keys)
}

/// The algorithm that a public key is meant for, where its type leaves one: all but RSA, which has two.
#[must_use]
pub fn natural(text: &[u8]) -> Option<Algorithm> {
    let set = read(text).ok()?;
    let fits = |algorithm: Algorithm| set.keys().iter().any(|key| key.fits(algorithm.jws()));
    Algorithm::ALL.into_iter().find(|algorithm| *algorithm != Algorithm::Hmac && fits(*algorithm))
}

#[cfg(test)]
impl SigningKey {
    /// A shared secret of a JWK.
    pub(super) fn from_symmetric_jwk(text: &[u8]) -> Self {
        Self::new(Algorithm::Hmac, vec![KeySet::from_jwks(text, Symmetric::Accept).unwrap().0]).unwrap()
    }
}
