//! Says who calls: verifies every credential that a request presents.
//!
//! # What it does
//! Each kind of credential has a verifier that answers absent, valid or invalid. `accept` lists what suffices: one
//! satisfied entry is enough, the first one names the caller, and `{ all: [..] }` demands several together. Every
//! credential of an accepted kind that is presented must be valid, even where another one would have sufficed.
//! JSON Web Tokens come as `Authorization: Bearer`, and so do opaque tokens, about which their issuer is asked; API keys,
//! made by `bartizan keys`, come in a header field of their own. Claims of any platform become one kind of principal by the
//! issuer's `map`. Client certificates (`mtls`) come by the TLS handshake, or by a trusted proxy's `Client-Cert`; signatures
//! over the request (`signature`, RFC 9421) by keys that are named here or enrolled by `bartizan clients`; keyed hashes
//! (`hmac`) in the forms `aws_sigv4`, `github`, `stripe`, `standard_webhooks` and `bartizan`. Where a signature covers the
//! body, the body is held and compared; until then the caller is a claim. A token that is bound to a certificate (RFC 8705)
//! or a key (DPoP, RFC 9449) is checked for it, whatever the policy says. What is on the deny-list (`bartizan revoke`, security events) is refused at its next use.
//! In monitor mode a failure is a finding and the caller is anonymous.
//!
//! # Why
//! OWASP API2:2023 Broken Authentication. RFC 8725 tells how token verification goes wrong: algorithms taken from the
//! token, keys taken from the token, claims that nobody checks. A bearer token works for whoever stole it; a proof of
//! possession does not.
//!
//! # Example
//! ```yaml
//! identity:
//!   accept:
//!     - jwt: { issuers: [corp] }
//!     - api_key: { header: X-API-Key }
//!   anonymous: deny
//! ```
//!
//! Partners by certificate, webhooks by keyed hash, and bulk reads by a token and a signature of an enrolled client:
//!
//! ```text
//! accept: [{ mtls: { ca: file:partners.pem, crl: file:partners.crl, dns: ["*.partners.example"] } }]
//! accept: [{ hmac: { preset: stripe, secret: [env:STRIPE_NEW, env:STRIPE_OLD] } }]
//! accept: [{ all: [jwt, { signature: { components: ["@method", "@target-uri"], nonce: required } }] }]
//! ```
//!
//! Bartizan's own keyed hash is HMAC-SHA-256 over these lines, with line feeds between them and none at the end:
//!
//! ```text
//! BARTIZAN-HMAC-SHA256
//! KEY-ID
//! SECONDS-SINCE-1970
//! NONCE
//! METHOD
//! SCHEME://AUTHORITY/PATH?QUERY
//! HEX(SHA-256(BODY))
//! ```
//!
//! sent as `Bartizan-Signature: keyid="KEY-ID", created=SECONDS, nonce="NONCE", signature=:BASE64:`.
//!
//! # When it refuses
//! - 401 with `WWW-Authenticate` when nothing was presented, or when a token or key is malformed, not signed as its
//!   issuer signs, expired, revoked or not meant for this API. The client learns whether its token is expired or
//!   invalid, no more; findings name the exact reason.
//! - 400 when a credential is sent twice, is empty, or is in the URL: `access_token`, or an API key anywhere in path or
//!   query, whatever encodes it.
//! - 429 with `Retry-After` when an API key's own limit (`bartizan keys create --rate`) is used up.
//! - 401 for an API key older than `max_age`; with `older: finding` that is a finding. `remind` before that, and before a
//!   key ends, its use leaves `identity.key_due` once an hour; a key that `clients` or more clients bring within an hour
//!   leaves `identity.key_shared`. Both stop nothing.
//! - 401 for tokens that are not made for an API (ID tokens, refresh tokens, security events), of an issuer that is retired,
//!   or revoked.
//! - A user name and password, or a JSON Web Token in the URL under another name than `access_token`, are findings; in the
//!   strict profile they are refused. Where no credential is verified they are findings, too, and so is `access_token`.
//! - 403 for a client certificate that is of no trusted authority, revoked, expired, not valid yet, not meant for clients,
//!   or named otherwise than the rules demand, and where its revocation cannot be told; 400 for `Client-Cert` from
//!   somebody who is no trusted proxy.
//! - 401 for a bound token without what it is bound to, for a DPoP proof that is not of this request, key, token and time
//!   or was used before (`use_dpop_nonce` where a nonce is asked for), and for a signature or keyed hash that does not hold,
//!   does not cover what it must, is too old or was used before, or whose signed digest is not the body's. Of several
//!   signatures each by a known key must hold. A signature is used up by its nonce, or as a whole where it has none and the
//!   method is not a safe one.
//! - 413 when a signed body is longer than `max_body`; 503 when nothing more can be remembered as used (1,048,576 values).
//! - 503 with `Retry-After` when the issuer's keys could not be fetched yet, or its introspection endpoint does not answer:
//!   what cannot be verified is not let through.
//!
//! # Limits
//! A token is at most 8 KiB. Of a key set 128 keys are kept; at most 16 are tried for a token that names none. RSA keys
//! have 2048 to 8192 bits, shared secrets are at least as long as their hash. Verified tokens are remembered by their
//! SHA-256: at most 65,536, with their times checked at every use; new keys or other issuer settings forget them.
//! A key that the set lacks leads to one fetch in 30 s. Encrypted tokens (JWE) are refused. GitHub signs the body
//! alone, Stripe and Standard Webhooks the body and the time: another path is not noticed there, so give each webhook a
//! secret of its own. Chunked payloads of AWS are refused. A certificate has at most 16 KiB, its chain 8 certificates; a
//! signature covers at most 64 components, a request has at most 16 signatures. Opaque tokens are asked about at one endpoint; its answers are at most 64 KiB and
//! believed for at most an hour. Tokens are passed on unless `forward_credential: false`;
//! API keys are not unless `forward_credential: true`.
//!
//! # References
//! RFC 6750 (bearer tokens), RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518 (algorithms), RFC 7519 (JWT), RFC 8037 (Ed25519),
//! RFC 7662 and RFC 9701 (introspection), RFC 8725 (best practices), RFC 9068 (`at+jwt`), RFC 9728 (resource metadata),
//! RFC 5280 (certificates), RFC 8705 (bound tokens), RFC 9421 (signatures), RFC 9440 (`Client-Cert`), RFC 9449 (DPoP), RFC 9530
//! (digests), OWASP
//! API2:2023.

pub mod api_key;
mod cache;
pub mod certificate;
mod challenge;
mod claims;
mod compile;
mod config;
mod demands;
mod dpop;
pub mod events;
mod exposed;
pub mod federation;
mod flaw;
mod introspection;
pub(crate) mod json;
pub mod jwks;
pub mod jws;
mod jwt;
mod key_rules;
mod mac;
pub mod mtls;
mod pem;
pub(crate) mod presented;
mod probes;
mod proofs;
mod published;
mod reason;
pub mod replay;
mod roca;
pub mod signature;
#[cfg(test)]
mod tests;
pub mod trust;

use std::sync::Arc;

use bartizan_model::{
    CompileContext, Diagnostics, Guard, Outcome, Principal, Timestamp, Transaction, probe::Probes,
    revocation::digest_name, services::Revocations,
};
use http::{HeaderName, header::AUTHORIZATION};

pub use challenge::Challenges;
pub use config::{Accept, Anonymous, ApiKey, Config, Introspection, Jwt, Older};
pub use demands::{Shown, Taken};
pub use dpop::Dpop;
pub use exposed::notice as notice_exposed;
pub use flaw::Flaw;
pub use mac::Mac;
pub use mtls::{Mtls, Revocation};
pub use reason::{Refusal, Rejection, Why};
pub use signature::Signature;

use crate::body::HeldBody;

use dpop::{Bindings, DPOP_NONCE};
use introspection::OpaqueVerifier;
use jwt::{JwtVerifier, Proven};
use key_rules::{KeyRules, ValidKey};
use proofs::{BodyCheck, Kind, Proofs, Proved};

/// The compiled guard.
pub struct Identity {
    accept: Vec<Requirement>,
    taken: Arc<Taken>,
    /// What the contract demands and nothing here verifies.
    doubts: Diagnostics,
    anonymous: Anonymous,
    jwt: Option<JwtVerifier>,
    opaque: Option<OpaqueVerifier>,
    /// Whether bearer tokens are accepted.
    bearer: bool,
    /// Whether what is doubtful is refused.
    strict: bool,
    resource_metadata: bool,
    revocations: Arc<dyn Revocations>,
    api_key_headers: Vec<HeaderName>,
    key_rules: KeyRules,
    proofs: Proofs,
    bindings: Bindings,
    challenges: Arc<Challenges>,
}

/// One entry of `accept`.
enum Requirement {
    /// A token of one of these issuers, by the policy's names.
    Jwt { issuers: Vec<Arc<str>>, forward: bool },
    /// A token that its issuer vouched for.
    Opaque { forward: bool },
    /// A key in this field.
    ApiKey { header: HeaderName, forward: bool },
    /// A proof of possession.
    Proof { kind: Kind, place: usize, withheld: Vec<HeaderName> },
    /// All of these.
    All(Vec<Requirement>),
}

/// What a verifier says of a request.
#[derive(Debug)]
enum Verification<T> {
    Absent,
    Valid(T),
    Invalid(Rejection),
}

/// The credentials of one request that were verified.
#[derive(Default)]
struct Valid {
    jwt: Option<Proven>,
    opaque: Option<Arc<Principal>>,
    api_keys: Vec<(HeaderName, ValidKey)>,
    proved: Proved,
}

impl Valid {
    fn principals(&self) -> impl Iterator<Item = &Arc<Principal>> {
        let keys = self.api_keys.iter().map(|(_, key)| &key.principal);
        let tokens = self.jwt.as_ref().map(|proven| &proven.principal).into_iter().chain(&self.opaque);
        tokens.chain(keys).chain(self.proved.principals())
    }
}

impl Guard for Identity {
    const ID: &'static str = "identity";
    type Config = Config;
    type Reason = Refusal;

    fn compile(config: Config, context: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        compile::identity(config, context)
    }

    async fn request_headers(&self, transaction: &mut Transaction) -> Outcome<Refusal> {
        let doubtful = self.doubtful(transaction);
        let verified = match doubtful {
            Ok(()) => self.verify(transaction).await,
            Err(rejection) => Err(rejection),
        };
        self.withhold_keys(transaction);
        if let Some(nonce) = self.bindings.nonce(transaction.started) {
            transaction.response_headers.insert(DPOP_NONCE, nonce);
        }
        let (verified, body) = match verified {
            Ok(mut valid) => {
                let body = valid.proved.take_body();
                (Ok(valid), body)
            }
            Err(rejection) => (Err(rejection), None),
        };
        let shown = verified.as_ref().ok().map(|valid| Box::new(Shown::new(&self.taken, valid)));
        match verified.and_then(|valid| self.judge_and_count(&valid, transaction)) {
            Ok(accepted) => {
                if let Some(shown) = shown {
                    transaction.memory.keep(Shown::KEY, shown);
                }
                if let Some(accepted) = accepted {
                    transaction.consumed_headers.extend(accepted.withheld);
                    transaction.principal = Some(accepted.principal);
                }
                if let Some(body) = body {
                    transaction.memory.keep(Self::ID, body);
                }
                Outcome::Continue
            }
            Err(rejection) => self.refuse(rejection),
        }
    }

    fn warnings(&self, _: Timestamp) -> Diagnostics {
        self.doubts.clone()
    }

    fn needs_body(&self, transaction: &Transaction) -> Option<usize> {
        transaction.memory.get::<BodyCheck>(Self::ID).map(|check| check.limit)
    }

    fn probes(&self, now: Timestamp) -> Probes {
        probes::offer(self, now)
    }
}

/// Who calls, and which fields the upstream does not get.
struct Accepted {
    principal: Arc<Principal>,
    withheld: Vec<HeaderName>,
}

impl Identity {
    /// Decides what only the body tells; asked where [`Guard::needs_body`] said so. Who calls was a claim until then.
    pub fn request_body(&self, transaction: &mut Transaction, body: &HeldBody) -> Outcome<Refusal> {
        let Some(check) = transaction.memory.take::<BodyCheck>(Self::ID) else { return Outcome::Continue };
        match self.proofs.body(check, transaction, body) {
            Ok(()) => Outcome::Continue,
            Err(flaw) => {
                transaction.principal = None;
                self.refuse(Why::Proof(flaw).into())
            }
        }
    }

    fn refuse(&self, rejection: Rejection) -> Outcome<Refusal> {
        let status = rejection.why.info().status;
        let refusal = Refusal { rejection, challenges: Arc::clone(&self.challenges) };
        if status == http::StatusCode::UNAUTHORIZED {
            Outcome::Challenge(refusal)
        } else {
            Outcome::Deny(refusal)
        }
    }

    /// Whether the caller has what its token is bound to, whatever the policy demands.
    fn bind(&self, token: &str, transaction: &Transaction, valid: &mut Valid) -> Result<(), Rejection> {
        let scheme = presented::scheme(&transaction.request.headers);
        let own = valid.jwt.as_mut().map(|proven| &mut proven.principal);
        for principal in own.into_iter().chain(&mut valid.opaque) {
            let checked = self.bindings.check(token, scheme, principal, transaction);
            *principal = checked.map_err(|flaw| Rejection {
                why: Why::Proof(flaw),
                issuer: Some(Arc::clone(&principal.issuer)),
                key: None,
            })?;
        }
        Ok(())
    }

    /// Verifies everything that is presented; the first invalid credential ends it.
    async fn verify(&self, transaction: &Transaction) -> Result<Valid, Rejection> {
        let mut valid = Valid::default();
        self.refuse_in_url(transaction)?;
        let token = presented::bearer(&transaction.request.headers).into_result_if(self.bearer)?;
        if let Some(token) = token {
            self.verify_token(token, transaction, &mut valid).await?;
        }
        for header in &self.api_key_headers {
            let presented = match presented::field(&transaction.request.headers, header) {
                Verification::Valid(key) => match self.key_rules.verify(key, header, transaction) {
                    Ok(valid) => Verification::Valid(valid),
                    Err(rejection) => Verification::Invalid(rejection),
                },
                Verification::Absent => Verification::Absent,
                Verification::Invalid(rejection) => Verification::Invalid(rejection),
            };
            if let Some(key) = presented.into_result()? {
                valid.api_keys.push((header.clone(), key));
            }
        }
        if let Some(token) = token {
            self.bind(token, transaction, &mut valid)?;
        }
        valid.proved = self.proofs.verify(transaction).map_err(Why::Proof)?;
        Ok(valid)
    }

    /// The greatest age of an API key that the policy accepts.
    #[must_use]
    pub fn key_max_age(&self) -> Option<std::time::Duration> {
        self.key_rules.max_age()
    }

    /// Whether what is valid suffices, and whether its keys may be used once more.
    fn judge_and_count(
        &self,
        valid: &Valid,
        transaction: &mut Transaction,
    ) -> Result<Option<Accepted>, Rejection> {
        let accepted = self.judge(valid, transaction.started)?;
        for (field, key) in &valid.api_keys {
            self.key_rules.used(field, key, transaction)?;
        }
        Ok(accepted)
    }

    /// What looks like a JSON Web Token is verified here, and nobody else learns of it; of any other its issuer is asked.
    async fn verify_token(
        &self,
        token: &str,
        transaction: &Transaction,
        valid: &mut Valid,
    ) -> Result<(), Rejection> {
        // A probe spends no fetch of a key set that a caller may need.
        let (now, is_probe) = (transaction.started, transaction.scratch.is_some());
        let own = self.jwt.as_ref().filter(|verifier| !verifier.issuers.is_empty());
        match (own, &self.opaque) {
            (Some(verifier), opaque) if opaque.is_none() || presented::looks_like_jwt(token) => {
                valid.jwt = Some(verifier.verify(token, now, !is_probe).await?);
            }
            (_, opaque) => {
                let retired = self.jwt.as_ref().and_then(|verifier| verifier.refuse_if_retired(token, now));
                if let Some(rejection) = retired {
                    return Err(rejection);
                }
                if let Some(verifier) = opaque {
                    valid.opaque = Some(verifier.verify(token, now, !is_probe).await?);
                }
            }
        }
        Ok(())
    }

    /// Whether what is valid suffices and is not revoked; nothing for an anonymous caller that may pass.
    fn judge(&self, valid: &Valid, now: Timestamp) -> Result<Option<Accepted>, Rejection> {
        for principal in valid.principals() {
            if let Some(what) = self.revocations.find(principal, now) {
                let issuer = Some(Arc::clone(&principal.issuer));
                return Err(Rejection { why: Why::Revoked(what, principal.kind), issuer, key: None });
            }
        }
        let mut satisfied = self.accept.iter().filter_map(|requirement| requirement.satisfied(valid));
        if let Some(mut accepted) = satisfied.next() {
            accepted.withheld.extend(satisfied.flat_map(|also| also.withheld));
            return Ok(Some(accepted));
        }
        match (valid.principals().next().is_none(), self.anonymous) {
            (true, Anonymous::Allow) => Ok(None),
            (true, Anonymous::Deny) => Err(Why::Missing.into()),
            (false, _) => Err(Why::Incomplete.into()),
        }
    }

    /// Passwords, and tokens in the URL, are noticed wherever they come; in the strict profile they are refused.
    fn doubtful(&self, transaction: &mut Transaction) -> Result<(), Rejection> {
        let found = exposed::found(transaction, !self.bearer);
        match found.first() {
            Some(why) if self.strict => Err((*why).into()),
            _ => {
                exposed::tell(transaction, found, &self.challenges);
                Ok(())
            }
        }
    }

    /// The issuers that tokens for this operation are had from, by their `iss` (RFC 9728 section 2): `None` where that is not
    /// told.
    #[must_use]
    pub fn authorization_servers(&self) -> Option<Vec<&str>> {
        if !self.resource_metadata {
            return None;
        }
        let own = self.jwt.iter().flat_map(|verifier| &verifier.issuers);
        let own = own.filter(|issuer| issuer.spec.retired.is_none()).map(|issuer| &*issuer.spec.issuer);
        let mut all: Vec<&str> =
            own.chain(self.opaque.iter().filter_map(OpaqueVerifier::issuer_url)).collect();
        all.sort_unstable();
        all.dedup();
        // An issuer is known by a URL (RFC 8414 section 2); another name leads nowhere.
        all.retain(|issuer| issuer.starts_with("https://") || issuer.starts_with("http://"));
        Some(all)
    }

    fn refuse_in_url(&self, transaction: &Transaction) -> Result<(), Rejection> {
        let request = &transaction.request;
        let query = request.query.as_deref().unwrap_or_default();
        if self.bearer && presented::has_token_in_query(query) {
            return Err(Why::TokenInQuery.into());
        }
        // A key of ours is out of place there whatever this operation accepts.
        for (text, why) in [(query, Why::KeyInQuery), (request.path.as_str(), Why::KeyInPath)] {
            if let Some(id) = api_key::find(text) {
                return Err(Rejection { why, issuer: None, key: Some(Arc::from(id)) });
            }
        }
        Ok(())
    }

    /// A key of ours that did not verify (revoked, expired) must not reach the upstream in monitor mode either.
    fn withhold_keys(&self, transaction: &mut Transaction) {
        for header in &self.api_key_headers {
            let ours =
                |value: &http::HeaderValue| value.to_str().is_ok_and(|text| api_key::parse(text).is_ok());
            if !self.forwards(header) && transaction.request.headers.get_all(header).iter().any(ours) {
                transaction.consumed_headers.push(header.clone());
            }
        }
    }

    fn forwards(&self, header: &HeaderName) -> bool {
        self.accept.iter().any(|requirement| requirement.forwards(header))
    }
}

impl Requirement {
    /// Who calls when this entry is satisfied. Of several together, the first one names the caller.
    fn satisfied(&self, valid: &Valid) -> Option<Accepted> {
        match self {
            Requirement::Jwt { issuers, forward } => {
                let proven = valid.jwt.as_ref().filter(|proven| issuers.contains(&proven.issuer))?;
                let withheld = if *forward { Vec::new() } else { vec![AUTHORIZATION] };
                Some(Accepted { principal: Arc::clone(&proven.principal), withheld })
            }
            Requirement::Opaque { forward } => {
                let principal = Arc::clone(valid.opaque.as_ref()?);
                let withheld = if *forward { Vec::new() } else { vec![AUTHORIZATION] };
                Some(Accepted { principal, withheld })
            }
            Requirement::ApiKey { header, .. } => {
                let (_, key) = valid.api_keys.iter().find(|(name, _)| name == header)?;
                Some(Accepted { principal: Arc::clone(&key.principal), withheld: Vec::new() })
            }
            Requirement::Proof { kind, place, withheld } => {
                let principal = Arc::clone(valid.proved.by(*kind, *place)?);
                Some(Accepted { principal, withheld: withheld.clone() })
            }
            Requirement::All(requirements) => {
                let mut all = requirements.iter().map(|requirement| requirement.satisfied(valid));
                let mut accepted = all.next()??;
                for also in all {
                    accepted.withheld.extend(also?.withheld);
                }
                Some(accepted)
            }
        }
    }

    fn forwards(&self, field: &HeaderName) -> bool {
        match self {
            Requirement::Jwt { .. } | Requirement::Opaque { .. } | Requirement::Proof { .. } => false,
            Requirement::ApiKey { header, forward } => header == field && *forward,
            Requirement::All(requirements) => {
                requirements.iter().any(|requirement| requirement.forwards(field))
            }
        }
    }
}

/// The name of a token on the deny-list, where it has no `jti` or the `jti` is not known: `sha256:` and the digest of header
/// and payload, or of the whole where it is no JSON Web Token.
#[must_use]
pub fn token_name(token: &str) -> String {
    digest_name(&presented::digest(token))
}

impl<T> Verification<T> {
    /// Where nothing of the kind is accepted, what is malformed is none of our business.
    fn into_result_if(self, accepted: bool) -> Result<Option<T>, Rejection> {
        match self {
            Verification::Invalid(_) if !accepted => Ok(None),
            verification => verification.into_result(),
        }
    }

    fn into_result(self) -> Result<Option<T>, Rejection> {
        match self {
            Verification::Absent => Ok(None),
            Verification::Valid(proven) => Ok(Some(proven)),
            Verification::Invalid(rejection) => Err(rejection),
        }
    }
}
