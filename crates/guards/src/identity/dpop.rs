//! Tokens that are bound to a key: by a client certificate (RFC 8705), or by a proof of possession (DPoP, RFC 9449).

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use aws_lc_rs::hmac;
use bartizan_model::{
    CompileContext, Period, Principal, Strength, Timestamp, Transaction,
    principal::Binding,
    services::{Replay, Use},
};
use bartizan_pattern::path::{PathRules, canonical};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderName, HeaderValue, Uri};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::{
    flaw::Flaw,
    json,
    jwks::{KeySet, Symmetric, sha256},
    jws::{Algorithm, media_type},
    replay,
    signature::{
        Presence,
        base::{Message, authority},
    },
};

/// `DPoP`, the field of the proof.
pub const DPOP: HeaderName = HeaderName::from_static("dpop");
/// `DPoP-Nonce`.
pub const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Bytes of a proof: a key and a few claims.
const MAX_PROOF: usize = 8 * 1024;

/// Bytes of a `jti`.
const MAX_ID: usize = 256;

/// A nonce is handed out for so long, and good for twice that.
const NONCE_LIFE: u64 = 300;

/// The request has passed the rules of its API; the same path elsewhere need not.
const LENIENT: PathRules = PathRules { encoded_slash: true, parameters: true };

/// How proofs of possession must be made.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dpop {
    /// Accepted algorithms of proofs, all asymmetric. Default: `ES256`, `ES384`, `ES512`, `EdDSA`, `PS256`, `PS384`,
    /// `PS512`, `RS256`.
    pub algorithms: Vec<String>,
    /// How old a proof may be by its `iat`. Default: `60s`.
    pub max_age: Period,
    /// How far clocks may be apart. Default: `30s`.
    pub skew: Period,
    /// Whether proofs must have a nonce of this gateway: `required` or `optional` (default).
    pub nonce: Presence,
}

impl Default for Dpop {
    fn default() -> Self {
        let seconds = |count| Period(Duration::from_secs(count));
        Dpop {
            algorithms: ["ES256", "ES384", "ES512", "EdDSA", "PS256", "PS384", "PS512", "RS256"]
                .map(str::to_owned)
                .to_vec(),
            max_age: seconds(60),
            skew: seconds(30),
            nonce: Presence::Optional,
        }
    }
}

/// How the token came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// `Authorization: Bearer`.
    Bearer,
    /// `Authorization: DPoP`.
    Dpop,
}

/// Checks what tokens are bound to.
pub(super) struct Bindings {
    required: bool,
    algorithms: Vec<Algorithm>,
    max_age: Duration,
    skew: Duration,
    nonces: Option<Arc<NonceKey>>,
    replay: Arc<dyn Replay>,
}

/// The key of this process's nonces: the same for all policies.
#[derive(Default)]
struct NonceKey(OnceLock<hmac::Key>);

impl Bindings {
    /// Compiles the settings.
    ///
    /// # Errors
    /// The name of an algorithm that proofs cannot have.
    pub(super) fn compile(
        config: &Dpop,
        required: bool,
        context: &CompileContext<'_>,
    ) -> Result<Self, String> {
        let mut algorithms = Vec::new();
        for name in &config.algorithms {
            let known = Algorithm::named(name).filter(|algorithm| algorithm.hmac().is_none());
            algorithms.push(known.ok_or_else(|| name.clone())?);
        }
        let nonces = (config.nonce == Presence::Required).then(|| {
            let key = context.services.kept.of::<NonceKey>();
            key.0.get_or_init(|| {
                let mut bytes = [0; 32];
                context.services.random.fill(&mut bytes);
                hmac::Key::new(hmac::HMAC_SHA256, &bytes)
            });
            key
        });
        Ok(Bindings {
            required,
            algorithms,
            max_age: config.max_age.0,
            skew: config.skew.0,
            nonces,
            replay: Arc::clone(&context.services.replay),
        })
    }

    /// The accepted algorithms of proofs, as challenges name them.
    pub(super) fn algorithms(&self) -> String {
        self.algorithms.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>().join(" ")
    }

    /// The nonce that clients are given now.
    pub(super) fn nonce(&self, now: Timestamp) -> Option<HeaderValue> {
        let key = self.nonces.as_ref()?;
        HeaderValue::from_str(&key.nonce(now.seconds() / NONCE_LIFE)?).ok()
    }

    /// Whether the caller has what the token is bound to. The principal is then bound, too.
    pub(super) fn check(
        &self,
        token: &str,
        scheme: Scheme,
        principal: &Arc<Principal>,
        transaction: &Transaction,
    ) -> Result<Arc<Principal>, Flaw> {
        let confirmation = match principal.attributes.get("cnf") {
            None if scheme == Scheme::Dpop => return Err(Flaw::ProofBinding),
            None if self.required && principal.binding.is_none() => return Err(Flaw::BindingMissing),
            None => return Ok(Arc::clone(principal)),
            Some(Value::Object(members)) => members,
            Some(_) => return Err(Flaw::BindingUnknown),
        };
        let mut binding = None;
        if let Some(thumbprint) = digest_member(confirmation, "x5t#S256")? {
            let certificate = transaction.certificate.as_ref().ok_or(Flaw::BindingCertificate)?;
            if !bool::from(certificate.fingerprint.ct_eq(&thumbprint)) {
                return Err(Flaw::BindingCertificate);
            }
            binding = Some(Binding::Certificate(thumbprint));
        }
        if let Some(thumbprint) = digest_member(confirmation, "jkt")? {
            if scheme == Scheme::Bearer {
                return Err(Flaw::BoundAsBearer);
            }
            let proven = self.proof(token, transaction)?;
            if !bool::from(proven.ct_eq(&thumbprint)) {
                return Err(Flaw::ProofBinding);
            }
            binding = Some(Binding::Key(thumbprint));
        } else if scheme == Scheme::Dpop {
            return Err(Flaw::ProofBinding);
        }
        let binding = binding.ok_or(Flaw::BindingUnknown)?;
        let mut bound = Principal::clone(principal);
        bound.strength = Strength::ProofOfPossession;
        bound.binding = Some(binding);
        Ok(Arc::new(bound))
    }

    /// The thumbprint of the key that made the proof (RFC 9449 section 4.3).
    fn proof(&self, token: &str, transaction: &Transaction) -> Result<[u8; 32], Flaw> {
        let mut fields = transaction.request.headers.get_all(DPOP).iter();
        let proof = fields.next().ok_or(Flaw::ProofMissing)?;
        let proof = proof.to_str().map_err(|_| Flaw::ProofMalformed)?.trim();
        if fields.next().is_some() || proof.len() > MAX_PROOF {
            return Err(Flaw::ProofMalformed);
        }
        let (signed, signature) = proof.rsplit_once('.').ok_or(Flaw::ProofMalformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Flaw::ProofMalformed)?;
        let part = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| Flaw::ProofMalformed);
        let object = |bytes: Vec<u8>| json::object(&bytes).map_err(|_| Flaw::ProofMalformed);
        let (header, claims) = (object(part(header)?)?, object(part(claims)?)?);
        let text = |members: &Map<String, Value>, name: &str| {
            members.get(name).and_then(Value::as_str).map(str::to_owned).ok_or(Flaw::ProofMalformed)
        };
        let typ = text(&header, "typ")?;
        if !media_type(&typ).eq_ignore_ascii_case("dpop+jwt")
            || ["crit", "b64", "zip"].iter().any(|name| header.contains_key(*name))
        {
            return Err(Flaw::ProofMalformed);
        }
        let algorithm = Algorithm::named(&text(&header, "alg")?)
            .filter(|algorithm| self.algorithms.contains(algorithm))
            .ok_or(Flaw::ProofAlgorithm)?;
        let jwk = header.get("jwk").and_then(Value::as_object).ok_or(Flaw::ProofKey)?;
        // Section 4.3, item 7: no member of a private key (RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1).
        if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|name| jwk.contains_key(*name)) {
            return Err(Flaw::ProofKey);
        }
        let (keys, _) =
            KeySet::from_jwks(Value::Object(jwk.clone()).to_string().as_bytes(), Symmetric::Refuse)
                .map_err(|_| Flaw::ProofKey)?;
        let [key] = keys.keys() else { return Err(Flaw::ProofKey) };
        if !key.fits(algorithm) {
            return Err(Flaw::ProofAlgorithm);
        }
        if !key.verify(algorithm, signed.as_bytes(), &part(signature)?) {
            return Err(Flaw::ProofSignature);
        }
        let thumbprint = thumbprint(jwk).ok_or(Flaw::ProofKey)?;
        self.claims(&claims, token, &thumbprint, transaction)?;
        Ok(thumbprint)
    }

    fn claims(
        &self,
        claims: &Map<String, Value>,
        token: &str,
        thumbprint: &[u8; 32],
        transaction: &Transaction,
    ) -> Result<(), Flaw> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("htm") != Some(transaction.request.method.as_str()) {
            return Err(Flaw::ProofMethod);
        }
        if !text("htu").is_some_and(|target| is_target(target, transaction)) {
            return Err(Flaw::ProofTarget);
        }
        let issued = claims.get("iat").and_then(Value::as_u64).ok_or(Flaw::ProofMalformed)?;
        let (issued, now) = (Timestamp::from_seconds(issued), transaction.started);
        let until = issued.plus(self.max_age).plus(self.skew);
        if now.plus(self.skew) < issued || until < now {
            return Err(Flaw::ProofStale);
        }
        let hash = URL_SAFE_NO_PAD.encode(sha256(&[token.as_bytes()]));
        if !text("ath").is_some_and(|presented| bool::from(presented.as_bytes().ct_eq(hash.as_bytes()))) {
            return Err(Flaw::ProofToken);
        }
        if let Some(nonces) = &self.nonces
            && !text("nonce").is_some_and(|nonce| nonces.accepts(nonce, now))
        {
            return Err(Flaw::ProofNonce);
        }
        let id = text("jti").filter(|id| (1..=MAX_ID).contains(&id.len())).ok_or(Flaw::ProofMalformed)?;
        if transaction.probe {
            return Ok(());
        }
        match self.replay.take(replay::key("dpop", thumbprint, id.as_bytes()), until, now) {
            Use::First => Ok(()),
            Use::Again => Err(Flaw::ProofReplayed),
            Use::Full => Err(Flaw::ReplayFull),
        }
    }
}

impl NonceKey {
    /// The nonce of a window of time: the window and its keyed hash.
    fn nonce(&self, window: u64) -> Option<String> {
        let tag = hmac::sign(self.0.get()?, &window.to_be_bytes());
        let (half, _) = tag.as_ref().split_at_checked(16)?;
        Some(URL_SAFE_NO_PAD.encode([&window.to_be_bytes(), half].concat()))
    }

    /// Nonces of this window and of the one before are good.
    fn accepts(&self, nonce: &str, now: Timestamp) -> bool {
        let window = now.seconds() / NONCE_LIFE;
        [window, window.saturating_sub(1)].into_iter().any(|window| {
            self.nonce(window).is_some_and(|own| bool::from(own.as_bytes().ct_eq(nonce.as_bytes())))
        })
    }
}

/// A SHA-256 in base64url; one of another form binds to nothing that could be checked.
fn digest_member(members: &Map<String, Value>, name: &str) -> Result<Option<[u8; 32]>, Flaw> {
    let Some(value) = members.get(name) else { return Ok(None) };
    let bytes = value.as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    bytes.and_then(|bytes| bytes.try_into().ok()).map(Some).ok_or(Flaw::BindingUnknown)
}

/// The SHA-256 thumbprint of a public key (RFC 7638 section 3.2): its required members in order.
fn thumbprint(jwk: &Map<String, Value>) -> Option<[u8; 32]> {
    let required: &[&str] = match jwk.get("kty")?.as_str()? {
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        "RSA" => &["e", "kty", "n"],
        _ => return None,
    };
    let members: Option<Vec<String>> = required
        .iter()
        .map(|name| Some(format!("\"{name}\":{}", Value::from(jwk.get(*name)?.as_str()?))))
        .collect();
    Some(sha256(&[format!("{{{}}}", members?.join(",")).as_bytes()]))
}

/// Whether `htu` is this request's target without query and fragment (RFC 9449 section 4.3, item 9).
fn is_target(target: &str, transaction: &Transaction) -> bool {
    let target = target.split('#').next().unwrap_or_default();
    let Ok(uri) = target.parse::<Uri>() else { return false };
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else { return false };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return false;
    }
    let message = Message::of(transaction);
    let scheme = scheme.to_ascii_lowercase();
    let host = host.to_ascii_lowercase();
    // RFC 3986 sections 6.2.2 and 6.2.3: what is percent-encoded without need, or in lower case, is the same path.
    let is_path = |path: &str| {
        path == message.path || canonical(path, LENIENT).is_ok_and(|path| path == transaction.request.path)
    };
    scheme == message.scheme
        && authority(&scheme, &host, uri.port_u16()) == message.authority
        && is_path(uri.path())
}
