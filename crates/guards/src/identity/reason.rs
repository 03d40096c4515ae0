//! Every reason for which a caller is not accepted.

use std::{borrow::Cow, sync::Arc};

use bartizan_model::{CredentialKind, Reason, ReasonInfo, Severity, Verdict, revocation::Revoked};
use http::{HeaderName, HeaderValue, StatusCode};

use super::{challenge::Challenges, flaw::Flaw, jws::Defect, trust::Fault};

/// Why a caller is not accepted. None of them carries anything of the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No credential was presented.
    Missing,
    /// What was presented is valid but not all that an `all` entry demands.
    Incomplete,
    /// A credential field was sent more than once.
    Repeated,
    /// `Authorization: Bearer` without a token, or with bytes that no token has.
    AuthorizationMalformed,
    /// A bearer token in the URL.
    TokenInQuery,
    /// An API key in the URL.
    KeyInQuery,
    /// A token of more than 8 KiB.
    TokenTooLarge,
    /// Not a signed token in compact form.
    TokenMalformed,
    /// The same member twice in the header or the claims.
    DuplicateMember,
    /// `alg: none`.
    AlgorithmNone,
    /// `alg` is not in the issuer's list.
    AlgorithmNotAccepted,
    /// `crit`.
    CriticalHeader,
    /// `jwk`, `jku`, `x5u` or `x5c`.
    EmbeddedKey,
    /// `b64` or `zip`.
    HeaderUnsupported,
    /// A token within the token.
    NestedToken,
    /// `typ` is not in the issuer's list.
    TypeNotAccepted,
    /// No accepted issuer has this `iss`.
    UnknownIssuer,
    /// The issuer has no such key.
    UnknownKey,
    /// The issuer has several such keys.
    AmbiguousKey,
    /// The signature does not verify.
    Signature,
    /// A claim that must be there is not.
    ClaimMissing(&'static str),
    /// A claim of the wrong type or out of range.
    ClaimMalformed(&'static str),
    /// Past `exp`.
    Expired,
    /// Before `nbf`.
    NotYetValid,
    /// `iat` in the future.
    IssuedInFuture,
    /// Valid for longer than the issuer's `max_lifetime`.
    LifetimeTooLong,
    /// None of the accepted audiences.
    Audience,
    /// The issuer's `map` names claims that the token does not have.
    ClaimUnmapped,
    /// The issuer is retired.
    IssuerRetired,
    /// A token for the client that signed somebody in, not for an API.
    IdToken,
    /// A token for the issuer, to get access tokens with.
    RefreshToken,
    /// A refresh token that was exchanged for a newer one, which was shown before.
    RefreshTokenReused,
    /// Revoked: a credential of this kind itself, or what it rests on.
    Revoked(Revoked, CredentialKind),
    /// The issuer says that the token is not active.
    TokenInactive,
    /// The issuer's answer about a token could not be had.
    IntrospectionUnavailable,
    /// A user name and a password.
    BasicCredentials,
    /// The issuer's keys could not be had yet.
    KeysUnavailable,
    /// Not an API key of Bartizan.
    KeyMalformed,
    /// Nobody's API key.
    KeyUnknown,
    /// An API key past its end.
    KeyExpired,
    /// A revoked API key.
    KeyRevoked,
    /// An API key whose successor has taken over.
    KeyRotated,
    /// A proof of possession does not hold.
    Proof(Flaw),
    /// An API key in the path.
    KeyInPath,
    /// An API key older than `max_age`.
    KeyTooOld,
    /// An API key that has to be replaced within so many days.
    KeyDue(u64),
    /// An API key that more clients bring than one holder has.
    KeyShared,
    /// The key's own limit is used up for so many seconds.
    KeyLimit(u64),
}

impl Why {
    /// The fixed part.
    #[must_use]
    pub const fn info(self) -> ReasonInfo {
        const TOKEN: &str = "The access token is not valid";
        const KEY: &str = "The API key is not valid";
        const REQUEST: &str = "The credentials are not sent as they must be";
        let (code, status, severity, public) = match self {
            Why::Proof(flaw) => return flaw.info(),
            Why::Missing => ("identity.missing", 401, Severity::Low, "A credential is required"),
            Why::Incomplete => {
                ("identity.incomplete", 401, Severity::Low, "A further credential is required")
            }
            Why::Repeated => ("identity.repeated_credential", 400, Severity::High, REQUEST),
            Why::AuthorizationMalformed => {
                ("identity.authorization_malformed", 400, Severity::Medium, REQUEST)
            }
            Why::TokenInQuery => ("identity.token_in_query", 400, Severity::Medium, REQUEST),
            Why::KeyInQuery => ("identity.key_in_query", 400, Severity::High, REQUEST),
            Why::TokenTooLarge => ("identity.token_too_large", 401, Severity::Medium, TOKEN),
            Why::TokenMalformed => ("identity.token_malformed", 401, Severity::Medium, TOKEN),
            Why::DuplicateMember => ("identity.duplicate_member", 401, Severity::High, TOKEN),
            Why::AlgorithmNone => ("identity.algorithm_none", 401, Severity::High, TOKEN),
            Why::AlgorithmNotAccepted => ("identity.algorithm_not_accepted", 401, Severity::High, TOKEN),
            Why::CriticalHeader => ("identity.critical_header", 401, Severity::Medium, TOKEN),
            Why::EmbeddedKey => ("identity.embedded_key", 401, Severity::High, TOKEN),
            Why::HeaderUnsupported => ("identity.header_unsupported", 401, Severity::Medium, TOKEN),
            Why::NestedToken => ("identity.nested_token", 401, Severity::Medium, TOKEN),
            Why::TypeNotAccepted => ("identity.type_not_accepted", 401, Severity::Medium, TOKEN),
            Why::UnknownIssuer => ("identity.unknown_issuer", 401, Severity::Medium, TOKEN),
            Why::UnknownKey => ("identity.unknown_key", 401, Severity::Medium, TOKEN),
            Why::AmbiguousKey => ("identity.ambiguous_key", 401, Severity::Medium, TOKEN),
            Why::Signature => ("identity.signature", 401, Severity::High, TOKEN),
            Why::ClaimMissing(_) => ("identity.claim_missing", 401, Severity::Medium, TOKEN),
            Why::ClaimMalformed(_) => ("identity.claim_malformed", 401, Severity::Medium, TOKEN),
            Why::Expired => ("identity.expired", 401, Severity::Low, "The access token has expired"),
            Why::NotYetValid => ("identity.not_yet_valid", 401, Severity::Low, TOKEN),
            Why::IssuedInFuture => ("identity.issued_in_future", 401, Severity::Medium, TOKEN),
            Why::LifetimeTooLong => ("identity.lifetime_too_long", 401, Severity::Medium, TOKEN),
            Why::Audience => ("identity.audience", 401, Severity::Medium, TOKEN),
            Why::ClaimUnmapped => ("identity.claim_unmapped", 401, Severity::Medium, TOKEN),
            Why::IssuerRetired => ("identity.issuer_retired", 401, Severity::Medium, TOKEN),
            Why::IdToken => ("identity.id_token", 401, Severity::Medium, TOKEN),
            Why::RefreshToken => ("identity.refresh_token", 401, Severity::High, TOKEN),
            Why::RefreshTokenReused => ("identity.refresh_token_reused", 401, Severity::Critical, TOKEN),
            Why::Revoked(..) => ("identity.revoked", 401, Severity::High, "The credential is not valid"),
            Why::TokenInactive => ("identity.token_inactive", 401, Severity::Medium, TOKEN),
            Why::IntrospectionUnavailable => (
                "identity.introspection_unavailable",
                503,
                Severity::High,
                "The credential cannot be verified at the moment",
            ),
            Why::BasicCredentials => (
                "identity.basic_credentials",
                401,
                Severity::Medium,
                "A user name and password are not accepted",
            ),
            Why::KeysUnavailable => (
                "identity.keys_unavailable",
                503,
                Severity::High,
                "The credential cannot be verified at the moment",
            ),
            Why::KeyMalformed => ("identity.key_malformed", 401, Severity::Medium, KEY),
            Why::KeyUnknown => ("identity.key_unknown", 401, Severity::High, KEY),
            Why::KeyExpired => ("identity.key_expired", 401, Severity::Low, KEY),
            Why::KeyRevoked => ("identity.key_revoked", 401, Severity::High, KEY),
            Why::KeyRotated => ("identity.key_rotated", 401, Severity::Low, KEY),
            Why::KeyInPath => ("identity.key_in_path", 400, Severity::High, REQUEST),
            Why::KeyTooOld => ("identity.key_too_old", 401, Severity::Medium, KEY),
            Why::KeyDue(_) => ("identity.key_due", 401, Severity::Info, KEY),
            Why::KeyShared => ("identity.key_shared", 401, Severity::High, KEY),
            Why::KeyLimit(_) => {
                ("identity.key_limit", 429, Severity::Low, "Too many requests with this key; try again later")
            }
        };
        let (status, verdict) = match status {
            401 => (StatusCode::UNAUTHORIZED, Verdict::Challenge),
            400 => (StatusCode::BAD_REQUEST, Verdict::Deny),
            429 => (StatusCode::TOO_MANY_REQUESTS, Verdict::Throttle),
            _ => (StatusCode::SERVICE_UNAVAILABLE, Verdict::Deny),
        };
        ReasonInfo { code, status, severity, verdict, public }
    }

    fn sentence(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Why::Proof(flaw) => return flaw.sentence(),
            Why::Missing => "no credential was presented",
            Why::Incomplete => "the credentials presented are valid but do not make up an accepted entry",
            Why::Repeated => "a credential field was sent more than once",
            Why::AuthorizationMalformed => {
                "`Authorization: Bearer` is empty or holds bytes that no token has"
            }
            Why::TokenInQuery => "a bearer token was sent in the URL, where logs and histories keep it",
            Why::KeyInQuery => "an API key was sent in the URL, where logs and histories keep it",
            Why::TokenTooLarge => "the token is larger than 8 KiB",
            Why::TokenMalformed => "the token is not a signed JSON Web Token in compact form",
            Why::DuplicateMember => "the token names a member of its header or claims twice",
            Why::AlgorithmNone => "the token's `alg` is `none`",
            Why::AlgorithmNotAccepted => "the token's `alg` is not in the issuer's list",
            Why::CriticalHeader => "the token's header demands an extension by `crit`",
            Why::EmbeddedKey => "the token's header brings or names its own key",
            Why::HeaderUnsupported => "the token's header has `b64`, `zip` or `enc`",
            Why::NestedToken => "the token's content is a token again",
            Why::TypeNotAccepted => "the token's `typ` is not accepted",
            Why::UnknownIssuer => "the token's `iss` is not that of an accepted issuer",
            Why::UnknownKey => "the issuer has no key of the token's `kid` that fits its `alg`",
            Why::AmbiguousKey => "the issuer has several keys of the token's `kid` that fit its `alg`",
            Why::Signature => "the token's signature does not verify",
            Why::ClaimMissing(claim) => return Cow::Owned(format!("the token has no `{claim}`")),
            Why::ClaimMalformed(claim) => {
                return Cow::Owned(format!("the token's `{claim}` is of the wrong type or out of range"));
            }
            Why::Expired => "the token is past its `exp`",
            Why::NotYetValid => "the token is before its `nbf`",
            Why::IssuedInFuture => "the token's `iat` is in the future",
            Why::LifetimeTooLong => "the token is valid for longer than the issuer's `max_lifetime`",
            Why::Audience => "the token's `aud` names none of the issuer's audiences",
            Why::ClaimUnmapped => {
                "the token lacks claims that the issuer's `map` makes the subject of, or they are no names"
            }
            Why::IssuerRetired => "the token is of an issuer that is retired",
            Why::IdToken => "the token is an ID token, made for the client that signed somebody in",
            Why::RefreshToken => "the token is a refresh token, made for its issuer alone",
            Why::RefreshTokenReused => {
                "the token is a refresh token older than one of its session that was shown before"
            }
            Why::Revoked(what, _) => {
                return Cow::Owned(format!("the credential is on the deny-list, by its {}", what.as_str()));
            }
            Why::TokenInactive => "the issuer says that the token is not active",
            Why::IntrospectionUnavailable => {
                "the issuer's introspection endpoint gave no answer that can be used"
            }
            Why::BasicCredentials => "a user name and password were sent (`Authorization: Basic`)",
            Why::KeysUnavailable => "the issuer's keys have not been fetched yet",
            Why::KeyMalformed => "the field does not hold an API key of Bartizan",
            Why::KeyUnknown => "no such API key was issued",
            Why::KeyExpired => "the API key is past its end",
            Why::KeyRevoked => "the API key is revoked",
            Why::KeyRotated => "the API key was rotated and its overlap is over",
            Why::KeyInPath => "an API key was sent in the path, where logs and histories keep it",
            Why::KeyTooOld => "the API key is older than the policy's `max_age`",
            Why::KeyDue(days) => {
                return Cow::Owned(format!("the API key ends or is too old in {days} days"));
            }
            Why::KeyShared => "the API key came from more clients within an hour than `clients` says",
            Why::KeyLimit(seconds) => {
                return Cow::Owned(format!("the API key's own limit is used up for another {seconds} s"));
            }
        })
    }

    fn advice(self) -> Option<&'static str> {
        Some(match self {
            Why::Proof(flaw) => return flaw.advice(),
            Why::Missing => {
                "send an accepted credential, or set `identity.anonymous: allow` for the operation"
            }
            Why::TokenInQuery => "send the token as `Authorization: Bearer`",
            Why::KeyInQuery | Why::KeyInPath => {
                "send the key in its header field, and rotate it: the URL was seen by others"
            }
            Why::KeyTooOld | Why::KeyDue(_) => {
                "replace the key by `bartizan keys rotate ID`; both are valid for a while"
            }
            Why::KeyShared => {
                "see who has the key: one that was leaked or built into programs is rotated, and each holder gets one of \
                 its own"
            }
            Why::KeyLimit(_) => "make a key with a higher `--rate`, or have its holder ask less",
            Why::AlgorithmNotAccepted => {
                "add the algorithm to the issuer's `algorithms` if the issuer really uses it"
            }
            Why::TypeNotAccepted => "add the type to the issuer's `types`",
            Why::UnknownIssuer => "add the issuer to `issuers` and to `identity.accept`",
            Why::Audience => {
                "add the audience to the issuer's `audiences` if the token is meant for this API"
            }
            Why::LifetimeTooLong => "raise the issuer's `max_lifetime`, or have shorter tokens issued",
            Why::IssuerRetired => "have the client get its tokens from the issuer's successor",
            Why::IdToken => "have the client send its access token, or set the issuer's `id_tokens: true`",
            Why::RefreshToken | Why::RefreshTokenReused => {
                "have the client send its access token, and revoke the session: this token was seen by others"
            }
            Why::Revoked(..) => "lift the revocation by `bartizan revoke lift` if it was a mistake",
            Why::IntrospectionUnavailable => "see that the introspection endpoint can be reached from here",
            Why::BasicCredentials => "have the client get a token; passwords are sent to the issuer alone",
            Why::KeysUnavailable => "see that the issuer's key set can be fetched from here",
            Why::NotYetValid | Why::IssuedInFuture => {
                "see that the clocks agree, or raise the issuer's `leeway`"
            }
            _ => return None,
        })
    }
}

impl From<Defect> for Why {
    fn from(defect: Defect) -> Self {
        match defect {
            Defect::TooLarge => Why::TokenTooLarge,
            Defect::Malformed => Why::TokenMalformed,
            Defect::DuplicateMember => Why::DuplicateMember,
            Defect::None => Why::AlgorithmNone,
            Defect::Critical => Why::CriticalHeader,
            Defect::EmbeddedKey => Why::EmbeddedKey,
            Defect::Unsupported => Why::HeaderUnsupported,
            Defect::Nested => Why::NestedToken,
            Defect::Algorithm => Why::AlgorithmNotAccepted,
            Defect::UnknownKey => Why::UnknownKey,
            Defect::AmbiguousKey => Why::AmbiguousKey,
            Defect::Signature => Why::Signature,
        }
    }
}

/// One presented credential that is not valid, with what may be told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub why: Why,
    /// The policy's name of the issuer, when the token names an accepted one.
    pub issuer: Option<Arc<str>>,
    /// The token's `kid` when the issuer has such a key, or the public id of an API key.
    pub key: Option<Arc<str>>,
}

impl From<Why> for Rejection {
    fn from(why: Why) -> Self {
        Rejection { why, issuer: None, key: None }
    }
}

/// A rejection with the challenges that answer it.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What is wrong.
    pub rejection: Rejection,
    /// What the caller is asked for.
    pub challenges: Arc<Challenges>,
}

impl Reason for Refusal {
    const ALL: &'static [ReasonInfo] = &[
        Why::Missing.info(),
        Why::Incomplete.info(),
        Why::Repeated.info(),
        Why::AuthorizationMalformed.info(),
        Why::TokenInQuery.info(),
        Why::KeyInQuery.info(),
        Why::TokenTooLarge.info(),
        Why::TokenMalformed.info(),
        Why::DuplicateMember.info(),
        Why::AlgorithmNone.info(),
        Why::AlgorithmNotAccepted.info(),
        Why::CriticalHeader.info(),
        Why::EmbeddedKey.info(),
        Why::HeaderUnsupported.info(),
        Why::NestedToken.info(),
        Why::TypeNotAccepted.info(),
        Why::UnknownIssuer.info(),
        Why::UnknownKey.info(),
        Why::AmbiguousKey.info(),
        Why::Signature.info(),
        Why::ClaimMissing("").info(),
        Why::ClaimMalformed("").info(),
        Why::Expired.info(),
        Why::NotYetValid.info(),
        Why::IssuedInFuture.info(),
        Why::LifetimeTooLong.info(),
        Why::Audience.info(),
        Why::ClaimUnmapped.info(),
        Why::IssuerRetired.info(),
        Why::IdToken.info(),
        Why::RefreshToken.info(),
        Why::RefreshTokenReused.info(),
        Why::Revoked(Revoked::Token, CredentialKind::Jwt).info(),
        Why::TokenInactive.info(),
        Why::IntrospectionUnavailable.info(),
        Why::BasicCredentials.info(),
        Why::KeysUnavailable.info(),
        Why::KeyMalformed.info(),
        Why::KeyUnknown.info(),
        Why::KeyExpired.info(),
        Why::KeyRevoked.info(),
        Why::KeyRotated.info(),
        Why::KeyInPath.info(),
        Why::KeyTooOld.info(),
        Why::KeyDue(0).info(),
        Why::KeyShared.info(),
        Why::KeyLimit(0).info(),
        Flaw::Certificate(Fault::UnknownAuthority).info(),
        Flaw::Certificate(Fault::Revoked).info(),
        Flaw::Certificate(Fault::Expired).info(),
        Flaw::Certificate(Fault::NotYetValid).info(),
        Flaw::Certificate(Fault::Usage).info(),
        Flaw::Certificate(Fault::RevocationUnknown).info(),
        Flaw::Certificate(Fault::ListExpired).info(),
        Flaw::Certificate(Fault::ListInvalid).info(),
        Flaw::Certificate(Fault::Malformed).info(),
        Flaw::CertificateName.info(),
        Flaw::CertificateField.info(),
        Flaw::BindingMissing.info(),
        Flaw::BindingUnknown.info(),
        Flaw::BindingCertificate.info(),
        Flaw::BoundAsBearer.info(),
        Flaw::ProofMissing.info(),
        Flaw::ProofMalformed.info(),
        Flaw::ProofAlgorithm.info(),
        Flaw::ProofKey.info(),
        Flaw::ProofSignature.info(),
        Flaw::ProofMethod.info(),
        Flaw::ProofTarget.info(),
        Flaw::ProofStale.info(),
        Flaw::ProofReplayed.info(),
        Flaw::ProofToken.info(),
        Flaw::ProofNonce.info(),
        Flaw::ProofBinding.info(),
        Flaw::SignatureMalformed.info(),
        Flaw::SignatureKey.info(),
        Flaw::SignatureKeyExpired.info(),
        Flaw::SignatureKeyRevoked.info(),
        Flaw::SignatureAlgorithm.info(),
        Flaw::SignatureComponents.info(),
        Flaw::SignatureComponent.info(),
        Flaw::SignatureParameter("").info(),
        Flaw::SignatureTag.info(),
        Flaw::SignatureMismatch.info(),
        Flaw::SignatureStale.info(),
        Flaw::SignatureExpired.info(),
        Flaw::SignatureReplayed.info(),
        Flaw::DigestMalformed.info(),
        Flaw::DigestMismatch.info(),
        Flaw::BodyNotHeld.info(),
    ];

    fn info(&self) -> ReasonInfo {
        self.rejection.why.info()
    }

    fn detail(&self) -> Cow<'static, str> {
        let sentence = self.rejection.why.sentence();
        match (&self.rejection.issuer, &self.rejection.key) {
            (None, None) => sentence,
            (Some(issuer), None) => Cow::Owned(format!("{sentence} (issuer `{issuer}`)")),
            (None, Some(key)) => Cow::Owned(format!("{sentence} (key `{key}`)")),
            (Some(issuer), Some(key)) => Cow::Owned(format!("{sentence} (issuer `{issuer}`, key `{key}`)")),
        }
    }

    fn remedy(&self) -> Option<Cow<'static, str>> {
        self.rejection.why.advice().map(Cow::Borrowed)
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        self.challenges.answer(self.rejection.why)
    }
}
