//! Signed tokens in the compact serialization (RFC 7515 section 7.1), read strictly and verified against a key set.

use aws_lc_rs::{hmac, signature, signature::RsaParameters, signature::VerificationAlgorithm};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use smallvec::SmallVec;

use super::{
    json::{self, Members, NotAnObject},
    jwks::{Key, KeySet},
};

/// The largest token that is looked at, in bytes: what common servers accept as one header field.
pub const MAX_TOKEN: usize = 8 * 1024;

/// Keys that are tried for a token that names none: each costs one signature verification.
const MAX_TRIES: usize = 16;

/// A signature algorithm (RFC 7518 section 3.1, RFC 8037, RFC 9864). `none` does not exist here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the registry")]
pub enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    /// `EdDSA`, with Ed25519 keys only.
    EdDsa,
    /// The fully specified name of the same signature.
    Ed25519,
}

impl Algorithm {
    /// Every algorithm that can be enabled.
    pub const ALL: [Algorithm; 14] = [
        Algorithm::Hs256,
        Algorithm::Hs384,
        Algorithm::Hs512,
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Es512,
        Algorithm::EdDsa,
        Algorithm::Ed25519,
    ];

    /// The registered name; case matters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Ps256 => "PS256",
            Algorithm::Ps384 => "PS384",
            Algorithm::Ps512 => "PS512",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::Es512 => "ES512",
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Ed25519 => "Ed25519",
        }
    }

    /// The algorithm of a registered name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// For the HMAC algorithms: the hash, whose length is also the least key length (RFC 7518 section 3.2).
    #[must_use]
    pub fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Algorithm::Hs256 => Some(hmac::HMAC_SHA256),
            Algorithm::Hs384 => Some(hmac::HMAC_SHA384),
            Algorithm::Hs512 => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }

    /// For the RSA algorithms: padding and hash. PSS salts are as long as the hash (RFC 7518 section 3.5).
    pub(super) fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
            Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
            _ => None,
        }
    }

    /// For the algorithms over one curve: the curve's name in a JWK, and the verification.
    pub(super) fn curve(self) -> Option<(&'static str, &'static dyn VerificationAlgorithm)> {
        match self {
            Algorithm::Es256 => Some(("P-256", &signature::ECDSA_P256_SHA256_FIXED)),
            Algorithm::Es384 => Some(("P-384", &signature::ECDSA_P384_SHA384_FIXED)),
            Algorithm::Es512 => Some(("P-521", &signature::ECDSA_P521_SHA512_FIXED)),
            Algorithm::EdDsa | Algorithm::Ed25519 => Some(("Ed25519", &signature::ED25519)),
            _ => None,
        }
    }

    /// The only signature length of a fixed-length algorithm (RFC 7518 section 3.4, RFC 8037 section 3.1).
    pub(super) fn signature_length(self) -> Option<usize> {
        match self {
            Algorithm::Es256 | Algorithm::EdDsa | Algorithm::Ed25519 => Some(64),
            Algorithm::Es384 => Some(96),
            Algorithm::Es512 => Some(132),
            Algorithm::Hs256 => Some(32),
            Algorithm::Hs384 => Some(48),
            Algorithm::Hs512 => Some(64),
            _ => None,
        }
    }
}

/// What is wrong with a token, before its claims are considered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Larger than [`MAX_TOKEN`].
    TooLarge,
    /// Not three parts of canonical base64url, or a header that is not a JSON object of the right member types.
    Malformed,
    /// A JSON object with the same member twice.
    DuplicateMember,
    /// `alg` is `none`, in any case.
    None,
    /// `crit` is present: no extension is understood here (RFC 7515 section 4.1.11).
    Critical,
    /// The header brings or names its own key: `jwk`, `jku`, `x5u`, `x5c` (RFC 8725 section 3.10).
    EmbeddedKey,
    /// `b64`, `zip` or `enc`: changes what is signed, how large it becomes, or whether it is signed at all.
    Unsupported,
    /// `cty` says that the payload is a token again.
    Nested,
    /// `alg` is not in the accepted list.
    Algorithm,
    /// No key of the set has this `kid` and fits `alg`.
    UnknownKey,
    /// More than one key of the set has this `kid` and fits `alg`.
    AmbiguousKey,
    /// The signature is not of these bytes by that key.
    Signature,
}

impl From<NotAnObject> for Defect {
    fn from(reason: NotAnObject) -> Self {
        match reason {
            NotAnObject::Malformed => Defect::Malformed,
            NotAnObject::Duplicate => Defect::DuplicateMember,
        }
    }
}

/// A token that was read but not verified: nothing in it may be believed yet.
pub struct Compact<'t> {
    signed: &'t str,
    signature: Vec<u8>,
    payload: Vec<u8>,
    algorithm: Option<Algorithm>,
    kid: Option<String>,
    typ: Option<String>,
    replicated: Vec<(&'static str, Value)>,
}

/// Claims that a header may repeat (RFC 7519 section 5.3).
const REPLICATED: [&str; 3] = ["iss", "sub", "aud"];

/// The longest `kid`, in bytes; those of clouds are URLs.
const MAX_KID: usize = 512;

impl<'t> Compact<'t> {
    /// Reads the three parts and the header.
    ///
    /// # Errors
    /// The first defect, in the order of [`Defect`] up to [`Defect::Nested`].
    pub fn parse(token: &'t str) -> Result<Self, Defect> {
        if token.len() > MAX_TOKEN {
            return Err(Defect::TooLarge);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Defect::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Defect::Malformed)?;
        let part = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| Defect::Malformed);
        let header = part(header)?;
        let header = json::members(&header)?;
        let (payload, signature) = (part(payload)?, part(signature)?);
        let algorithm = check_header(&header)?;
        let kid = text_member(&header, "kid")?.map(str::to_owned);
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID || kid.chars().any(char::is_control)) {
            return Err(Defect::Malformed);
        }
        let repeated = |name: &'static str| header.get(name).map(|value| (name, value.clone().into_value()));
        Ok(Compact {
            signed,
            signature,
            payload,
            algorithm,
            kid,
            typ: text_member(&header, "typ")?.map(str::to_owned),
            replicated: REPLICATED.into_iter().filter_map(repeated).collect(),
        })
    }

    /// The first claim that the header repeats with another value (RFC 7519 section 5.3).
    #[must_use]
    pub(super) fn contradicted(&self, claims: &Members<'_>) -> Option<&'static str> {
        let same = |name: &str, value: &Value| claims.get(name).is_some_and(|claim| claim.is(value));
        self.replicated.iter().find(|(name, value)| !same(name, value)).map(|(name, _)| *name)
    }

    /// What the signature is of: header and payload as they came.
    #[must_use]
    pub fn signed(&self) -> &'t str {
        self.signed
    }

    /// The payload, unverified.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The header's `kid`.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The header's `typ`.
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// Verifies the signature under one of `allowed` with a key of the set.
    ///
    /// A key fits only when its type, `alg`, `use` and `key_ops` allow the algorithm; the token's `alg` never chooses
    /// the kind of key (RFC 8725 section 3.1). A `kid` chooses the key that has it, else keys without one are tried.
    ///
    /// # Errors
    /// [`Defect::Algorithm`], [`Defect::UnknownKey`], [`Defect::AmbiguousKey`] or [`Defect::Signature`].
    pub fn verify(&self, keys: &KeySet, allowed: &[Algorithm]) -> Result<(), Defect> {
        let algorithm = self.algorithm.filter(|a| allowed.contains(a)).ok_or(Defect::Algorithm)?;
        let candidates = self.candidates(keys, algorithm)?;
        let verified =
            candidates.into_iter().any(|key| key.verify(algorithm, self.signed.as_bytes(), &self.signature));
        if verified { Ok(()) } else { Err(Defect::Signature) }
    }

    fn candidates<'k>(
        &self,
        keys: &'k KeySet,
        algorithm: Algorithm,
    ) -> Result<SmallVec<[&'k Key; MAX_TRIES]>, Defect> {
        let fitting = || keys.keys().iter().filter(move |key| key.fits(algorithm));
        let mut chosen: SmallVec<[&Key; MAX_TRIES]> = match &self.kid {
            None => fitting().take(MAX_TRIES).collect(),
            Some(kid) => fitting().filter(|key| key.kid() == Some(kid.as_str())).take(2).collect(),
        };
        if self.kid.is_some() {
            if chosen.len() > 1 {
                return Err(Defect::AmbiguousKey);
            }
            if chosen.is_empty() {
                chosen = fitting().filter(|key| key.kid().is_none()).take(MAX_TRIES).collect();
            }
        }
        if chosen.is_empty() { Err(Defect::UnknownKey) } else { Ok(chosen) }
    }
}

/// Reads and verifies a token, and answers its payload.
///
/// # Errors
/// The first [`Defect`].
pub fn verify(token: &str, keys: &KeySet, allowed: &[Algorithm]) -> Result<Vec<u8>, Defect> {
    let compact = Compact::parse(token)?;
    compact.verify(keys, allowed)?;
    Ok(compact.payload)
}

/// Refuses what a header may not hold; answers its algorithm, or nothing when the name is not one we know.
fn check_header(header: &Members<'_>) -> Result<Option<Algorithm>, Defect> {
    let name = header.text("alg").ok_or(Defect::Malformed)?;
    if name.trim().eq_ignore_ascii_case("none") {
        return Err(Defect::None);
    }
    if header.has("crit") {
        return Err(Defect::Critical);
    }
    if ["jwk", "jku", "x5u", "x5c"].iter().any(|member| header.has(member)) {
        return Err(Defect::EmbeddedKey);
    }
    if ["b64", "zip", "enc"].iter().any(|member| header.has(member)) {
        return Err(Defect::Unsupported);
    }
    if let Some(content) = text_member(header, "cty")?
        && is_token(media_type(content))
    {
        return Err(Defect::Nested);
    }
    Ok(Algorithm::named(name))
}

/// Whether a media type is that of a token (RFC 7519 section 10.3, RFC 7515 section 9.2, RFC 8725 section 3.11).
fn is_token(media_type: &str) -> bool {
    let media_type = media_type.to_ascii_lowercase();
    ["jwt", "jws", "jwe", "jose", "jose+json"].contains(&media_type.as_str()) || media_type.ends_with("+jwt")
}

/// A member that must be text where it is present.
fn text_member<'h>(header: &'h Members<'_>, name: &str) -> Result<Option<&'h str>, Defect> {
    header.get(name).map(|member| member.as_str().ok_or(Defect::Malformed)).transpose()
}

/// A `typ` or `cty` without the `application/` that RFC 7515 section 4.1.9 lets senders omit.
pub(super) fn media_type(value: &str) -> &str {
    match value.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => value,
    }
}
