//! Verification keys: JSON Web Key sets (RFC 7517), PEM public keys, shared secrets.

use aws_lc_rs::{digest, hmac, signature::ParsedPublicKey, signature::RsaPublicKeyComponents};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Map, Value};

use super::{json, jws::Algorithm, pem, roca};

/// Keys kept of one set: far more than an issuer rotates through, few enough to look through.
const MAX_KEYS: usize = 128;

/// RSA moduli, in bits: below is broken or nearly so (RFC 7518 section 3.3), above is a way to burn our time.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// One key with the algorithms that it may verify, each ready to use. An algorithm that does not fit the key's type, or
/// that the key's `alg`, `use` or `key_ops` rule out, has no entry: it cannot be used by mistake.
pub struct Key {
    kid: Option<Box<str>>,
    symmetric: bool,
    material: [u8; 32],
    verifiers: Vec<(Algorithm, Verifier)>,
}

enum Verifier {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

impl Key {
    /// The key's name in its set.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether it may verify this algorithm.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.verifiers.iter().any(|(fitting, _)| *fitting == algorithm)
    }

    /// Whether `signature` is one of `message` by this key.
    #[must_use]
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if algorithm.signature_length().is_some_and(|length| length != signature.len()) {
            return false;
        }
        self.verifiers.iter().filter(|(fitting, _)| *fitting == algorithm).any(|(_, verifier)| match verifier
        {
            Verifier::Public(key) => key.verify_sig(message, signature).is_ok(),
            Verifier::Secret(key) => hmac::verify(key, message, signature).is_ok(),
        })
    }

    fn new(kid: Option<Box<str>>, material: &Material, only: Option<Algorithm>) -> Result<Self, Unusable> {
        let mut verifiers = Vec::new();
        for algorithm in Algorithm::ALL.into_iter().filter(|a| only.is_none_or(|only| only == *a)) {
            if let Some(verifier) = material.verifier(algorithm)? {
                verifiers.push((algorithm, verifier));
            }
        }
        if verifiers.is_empty() {
            return Err(Unusable("its type and its `alg` do not fit together, or it is too short for it"));
        }
        Ok(Key { kid, symmetric: material.symmetric(), material: material.digest(), verifiers })
    }
}

/// Why one key of a set is not used: text for operators, never key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unusable(pub &'static str);

/// The number of the key in its set (from 0) and why it is not used.
pub type Skipped = (usize, Unusable);

/// The public numbers of a key, or a secret.
pub(super) enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// `P-256`, `P-384`, `P-521` with an uncompressed point, or `Ed25519` with the key itself.
    Curve {
        name: &'static str,
        point: Vec<u8>,
    },
    Secret(Vec<u8>),
}

impl Material {
    /// The RSA key of these numbers, unless it is one that must not be trusted.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Result<Self, Unusable> {
        let strip = |bytes: &[u8]| bytes.iter().copied().skip_while(|&b| b == 0).collect::<Vec<u8>>();
        let (n, e) = (strip(n), strip(e));
        let bits = n.first().map_or(0, |&first| n.len() * 8 - first.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            return Err(Unusable("its RSA modulus is not between 2048 and 8192 bits"));
        }
        if matches!(e.as_slice(), [] | [1]) || e.last().is_none_or(|last| last % 2 == 0) || e.len() > 4 {
            return Err(Unusable("its RSA exponent is not an odd number from 3 to 2^32"));
        }
        if roca::is_weak(&n) {
            return Err(Unusable("its RSA modulus bears the mark of a broken generator (CVE-2017-15361)"));
        }
        Ok(Material::Rsa { n, e })
    }

    fn symmetric(&self) -> bool {
        matches!(self, Material::Secret(_))
    }

    /// The key made ready for one algorithm; nothing when the types do not fit.
    fn verifier(&self, algorithm: Algorithm) -> Result<Option<Verifier>, Unusable> {
        const REJECTED: Unusable = Unusable("its numbers are not a valid public key");
        Ok(match self {
            Material::Rsa { n, e } => match algorithm.rsa() {
                None => None,
                Some(parameters) => {
                    let key = RsaPublicKeyComponents { n, e };
                    Some(Verifier::Public(key.to_parsed_public_key(parameters).map_err(|_| REJECTED)?))
                }
            },
            Material::Curve { name, point } => match algorithm.curve() {
                Some((curve, verification)) if curve == *name => {
                    let key = ParsedPublicKey::new(verification, point).map_err(|_| REJECTED)?;
                    Some(Verifier::Public(key))
                }
                _ => None,
            },
            Material::Secret(secret) => match algorithm.hmac() {
                Some(hash) if secret.len() >= hash.digest_algorithm().output_len() => {
                    Some(Verifier::Secret(Box::new(hmac::Key::new(hash, secret))))
                }
                _ => None,
            },
        })
    }

    fn digest(&self) -> [u8; 32] {
        match self {
            Material::Rsa { n, e } => sha256(&[b"rsa", n, b".", e]),
            Material::Curve { name, point } => sha256(&[name.as_bytes(), b".", point]),
            Material::Secret(secret) => sha256(&[b"oct", secret]),
        }
    }
}

/// SHA-256 over the parts, one after the other.
pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().try_into().unwrap_or_default()
}

/// Whether secrets are accepted in a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symmetric {
    /// A set that was read from a file of ours may hold them.
    Accept,
    /// A set that anybody can fetch holds no secrets: `oct` keys in it are ignored.
    Refuse,
}

/// The keys of one issuer at one time.
pub struct KeySet {
    id: [u8; 32],
    keys: Vec<Key>,
}

impl KeySet {
    /// Tells sets of different content apart: SHA-256 of what it was read from.
    #[must_use]
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// The usable keys.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Reads a JWK set, or a single JWK. Keys that cannot be used (an unknown `kty`, `use: enc`, too short, ..) are left
    /// out and reported (RFC 7517 section 5); where public keys and secrets are mixed, the secrets are left out; the same
    /// key under the same `kid` counts once. At most 128 keys are kept.
    ///
    /// # Errors
    /// The text is not JSON, names a member twice, or is neither a set nor a key.
    pub fn from_jwks(bytes: &[u8], symmetric: Symmetric) -> Result<(Self, Vec<Skipped>), &'static str> {
        let document = json::object(bytes)
            .map_err(|_| "it is not one JSON object, or an object in it names a member twice")?;
        let (single, list);
        let members: &[Value] = match document.get("keys") {
            Some(Value::Array(keys)) => {
                list = keys;
                list
            }
            Some(_) => return Err("its `keys` is not an array"),
            None if document.contains_key("kty") => {
                single = [Value::Object(document.clone())];
                &single
            }
            None => return Err("it has no `keys`"),
        };
        let (mut keys, mut skipped) = (Vec::<Key>::new(), Vec::new());
        for (index, member) in members.iter().enumerate().take(MAX_KEYS) {
            match read_jwk(member) {
                Ok(key) if symmetric == Symmetric::Refuse && key.symmetric => {
                    skipped.push((index, Unusable("a secret has no place in a published key set")));
                }
                Ok(key)
                    if keys.iter().any(|k| {
                        k.kid == key.kid && k.material == key.material && k.algorithms() == key.algorithms()
                    }) => {}
                Ok(key) => keys.push(key),
                Err(reason) => skipped.push((index, reason)),
            }
        }
        if keys.iter().any(|key| !key.symmetric) {
            keys.retain(|key| !key.symmetric);
        }
        Ok((KeySet { id: sha256(&[bytes]), keys }, skipped))
    }

    /// Reads every `PUBLIC KEY` and `RSA PUBLIC KEY` block of a PEM text (RFC 7468 section 13). The keys have no `kid`.
    ///
    /// # Errors
    /// A block is something else, or not a key that can be used.
    pub fn from_pem(text: &str) -> Result<Self, String> {
        let mut keys = Vec::new();
        for material in pem::public_keys(text)? {
            keys.push(
                Key::new(None, &material, None)
                    .map_err(|reason| format!("a key cannot be used: {}", reason.0))?,
            );
        }
        Ok(KeySet { id: sha256(&[text.as_bytes()]), keys })
    }

    /// A shared secret, for the HMAC algorithms whose hash is not longer than it.
    ///
    /// # Errors
    /// It is shorter than 32 bytes.
    pub fn from_secret(secret: &[u8]) -> Result<Self, Unusable> {
        let material = Material::Secret(secret.to_vec());
        let key = Key::new(None, &material, None)
            .map_err(|_| Unusable("a shared secret needs at least 32 bytes for `HS256`"))?;
        Ok(KeySet { id: material.digest(), keys: vec![key] })
    }
}

impl Key {
    fn algorithms(&self) -> Vec<Algorithm> {
        self.verifiers.iter().map(|(algorithm, _)| *algorithm).collect()
    }
}

fn read_jwk(member: &Value) -> Result<Key, Unusable> {
    let jwk = member.as_object().ok_or(Unusable("it is not an object"))?;
    let text = |name: &str| match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(Unusable("a member that must be text is not")),
    };
    if text("use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(Unusable("its `use` is not `sig`"));
    }
    match jwk.get("key_ops") {
        None => {}
        Some(Value::Array(operations)) if operations.iter().any(|o| o.as_str() == Some("verify")) => {}
        Some(_) => return Err(Unusable("its `key_ops` does not hold `verify`")),
    }
    let only = match text("alg")? {
        None => None,
        // P-521 keys carry the misspelling `ES521` often enough; only such keys fit the algorithm that it stands for.
        Some("ES521") => Some(Algorithm::Es512),
        Some(name) => Some(Algorithm::named(name).ok_or(Unusable("its `alg` is not a signature algorithm"))?),
    };
    let material = match text("kty")? {
        Some("RSA") => Material::rsa(&number(jwk, "n")?, &number(jwk, "e")?)?,
        Some("EC") => {
            let (name, length) = match text("crv")? {
                Some("P-256") => ("P-256", 32),
                Some("P-384") => ("P-384", 48),
                Some("P-521") => ("P-521", 66),
                _ => return Err(Unusable("its curve is not `P-256`, `P-384` or `P-521`")),
            };
            let (x, y) = (number(jwk, "x")?, number(jwk, "y")?);
            if x.len() != length || y.len() != length {
                return Err(Unusable("its coordinates are not as long as its curve demands"));
            }
            Material::Curve { name, point: [&[4], x.as_slice(), y.as_slice()].concat() }
        }
        Some("OKP") => {
            let point = number(jwk, "x")?;
            if text("crv")? != Some("Ed25519") || point.len() != 32 {
                return Err(Unusable("it is not an `Ed25519` key of 32 bytes"));
            }
            Material::Curve { name: "Ed25519", point }
        }
        Some("oct") => Material::Secret(number(jwk, "k")?),
        _ => return Err(Unusable("its `kty` is not `RSA`, `EC`, `OKP` or `oct`")),
    };
    if jwk.contains_key("d") {
        return Err(Unusable("it holds its private half and must be replaced"));
    }
    Key::new(text("kid")?.map(Box::from), &material, only)
}

/// Base64url without padding. Unlike a token's parts, a key's numbers may have stray bits in the last character: they change
/// no number, and a key that were left out for them could not be seen to share its `kid` with another.
const NUMBERS: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// A base64url member.
fn number(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, Unusable> {
    jwk.get(name)
        .and_then(Value::as_str)
        .and_then(|text| NUMBERS.decode(text).ok())
        .ok_or(Unusable("a number of it is missing or not base64url"))
}
