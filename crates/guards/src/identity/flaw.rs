//! Why a proof of possession does not hold: certificates, bound tokens, DPoP proofs, signatures over requests.

use std::borrow::Cow;

use bartizan_model::{ReasonInfo, Severity, Verdict};
use http::StatusCode;

use super::trust::Fault;

/// What is wrong with a proof. None of them carries anything of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The client's certificate is not good.
    Certificate(Fault),
    /// None of its names is one that the policy names.
    CertificateName,
    /// `Client-Cert` from somebody who is no trusted proxy.
    CertificateField,
    /// The policy demands a bound token, and this one is not.
    BindingMissing,
    /// The token is bound in a way that is not understood.
    BindingUnknown,
    /// The token is bound to another certificate, or the caller has none.
    BindingCertificate,
    /// A token that is bound to a key came as a bearer token.
    BoundAsBearer,
    /// `Authorization: DPoP` without a proof.
    ProofMissing,
    /// The proof is not one JSON Web Token of the type `dpop+jwt`.
    ProofMalformed,
    /// The proof's algorithm is not asymmetric, or not accepted.
    ProofAlgorithm,
    /// The proof's key is not a public key that can be used.
    ProofKey,
    /// The proof's signature does not verify.
    ProofSignature,
    /// The proof is for another method.
    ProofMethod,
    /// The proof is for another target.
    ProofTarget,
    /// The proof is too old, or of the future.
    ProofStale,
    /// The proof was used before.
    ProofReplayed,
    /// The proof is for another token, or for none.
    ProofToken,
    /// The proof needs a nonce of this server.
    ProofNonce,
    /// The token is bound to another key than the proof's.
    ProofBinding,
    /// The fields of the signature cannot be read.
    SignatureMalformed,
    /// Nobody's key.
    SignatureKey,
    /// The client's key is past its end.
    SignatureKeyExpired,
    /// The client's key is revoked.
    SignatureKeyRevoked,
    /// Another algorithm than the key's.
    SignatureAlgorithm,
    /// What must be signed is not.
    SignatureComponents,
    /// What is said to be signed is not there.
    SignatureComponent,
    /// A parameter that must be there is not.
    SignatureParameter(&'static str),
    /// The signature is for another purpose.
    SignatureTag,
    /// The signature does not verify.
    SignatureMismatch,
    /// The signature is too old, or of the future.
    SignatureStale,
    /// The signature is past the end that it names.
    SignatureExpired,
    /// The signature was used before.
    SignatureReplayed,
    /// The digest of the body is missing or cannot be read.
    DigestMalformed,
    /// The body is not what was signed.
    DigestMismatch,
    /// The body is longer than what is held to be verified, or a stream.
    BodyNotHeld,
    /// Nothing more can be remembered as used.
    ReplayFull,
}

impl Flaw {
    /// The fixed part. A certificate is no credential that `WWW-Authenticate` could ask for: its refusals are 403.
    #[must_use]
    pub const fn info(self) -> ReasonInfo {
        const CERTIFICATE: &str = "The client certificate is not accepted";
        const TOKEN: &str = "The access token is not valid";
        const PROOF: &str = "The DPoP proof is not valid";
        const SIGNATURE: &str = "The signature of the request is not valid";
        const BODY: &str = "The body is not what was signed";
        let (code, status, severity, public) = match self {
            Flaw::Certificate(fault) => {
                let (code, severity) = match fault {
                    Fault::UnknownAuthority => ("identity.certificate_unknown_authority", Severity::High),
                    Fault::Revoked => ("identity.certificate_revoked", Severity::High),
                    Fault::Expired => ("identity.certificate_expired", Severity::Low),
                    Fault::NotYetValid => ("identity.certificate_not_yet_valid", Severity::Low),
                    Fault::Usage => ("identity.certificate_usage", Severity::Medium),
                    Fault::RevocationUnknown => ("identity.certificate_revocation_unknown", Severity::Medium),
                    Fault::ListExpired => ("identity.certificate_list_expired", Severity::High),
                    Fault::ListInvalid => ("identity.certificate_list_invalid", Severity::High),
                    Fault::Malformed => ("identity.certificate_malformed", Severity::Medium),
                };
                (code, 403, severity, CERTIFICATE)
            }
            Flaw::CertificateName => ("identity.certificate_name", 403, Severity::Medium, CERTIFICATE),
            Flaw::CertificateField => ("identity.certificate_field", 400, Severity::High, CERTIFICATE),
            Flaw::BindingMissing => ("identity.binding_missing", 401, Severity::Medium, TOKEN),
            Flaw::BindingUnknown => ("identity.binding_unknown", 401, Severity::Medium, TOKEN),
            Flaw::BindingCertificate => ("identity.binding_certificate", 401, Severity::High, TOKEN),
            Flaw::BoundAsBearer => ("identity.bound_as_bearer", 401, Severity::High, TOKEN),
            Flaw::ProofMissing => ("identity.dpop_missing", 401, Severity::Medium, PROOF),
            Flaw::ProofMalformed => ("identity.dpop_malformed", 401, Severity::Medium, PROOF),
            Flaw::ProofAlgorithm => ("identity.dpop_algorithm", 401, Severity::High, PROOF),
            Flaw::ProofKey => ("identity.dpop_key", 401, Severity::Medium, PROOF),
            Flaw::ProofSignature => ("identity.dpop_signature", 401, Severity::High, PROOF),
            Flaw::ProofMethod => ("identity.dpop_method", 401, Severity::High, PROOF),
            Flaw::ProofTarget => ("identity.dpop_target", 401, Severity::High, PROOF),
            Flaw::ProofStale => ("identity.dpop_stale", 401, Severity::Medium, PROOF),
            Flaw::ProofReplayed => ("identity.dpop_replayed", 401, Severity::High, PROOF),
            Flaw::ProofToken => ("identity.dpop_token", 401, Severity::High, PROOF),
            Flaw::ProofNonce => {
                ("identity.dpop_nonce", 401, Severity::Low, "The DPoP proof needs a nonce of this server")
            }
            Flaw::ProofBinding => ("identity.dpop_binding", 401, Severity::High, PROOF),
            Flaw::SignatureMalformed => ("identity.signature_malformed", 401, Severity::Medium, SIGNATURE),
            Flaw::SignatureKey => ("identity.signature_key", 401, Severity::Medium, SIGNATURE),
            Flaw::SignatureKeyExpired => ("identity.signature_key_expired", 401, Severity::Low, SIGNATURE),
            Flaw::SignatureKeyRevoked => ("identity.signature_key_revoked", 401, Severity::High, SIGNATURE),
            Flaw::SignatureAlgorithm => ("identity.signature_algorithm", 401, Severity::High, SIGNATURE),
            Flaw::SignatureComponents => ("identity.signature_components", 401, Severity::High, SIGNATURE),
            Flaw::SignatureComponent => ("identity.signature_component", 401, Severity::Medium, SIGNATURE),
            Flaw::SignatureParameter(_) => ("identity.signature_parameter", 401, Severity::Medium, SIGNATURE),
            Flaw::SignatureTag => ("identity.signature_tag", 401, Severity::Medium, SIGNATURE),
            Flaw::SignatureMismatch => ("identity.signature_mismatch", 401, Severity::High, SIGNATURE),
            Flaw::SignatureStale => ("identity.signature_stale", 401, Severity::Medium, SIGNATURE),
            Flaw::SignatureExpired => ("identity.signature_expired", 401, Severity::Low, SIGNATURE),
            Flaw::SignatureReplayed => ("identity.signature_replayed", 401, Severity::High, SIGNATURE),
            Flaw::DigestMalformed => ("identity.digest_malformed", 400, Severity::Medium, BODY),
            Flaw::DigestMismatch => ("identity.digest_mismatch", 401, Severity::High, BODY),
            Flaw::BodyNotHeld => {
                ("identity.body_not_held", 413, Severity::Low, "The body is too large to be verified")
            }
            Flaw::ReplayFull => (
                "identity.replay_full",
                503,
                Severity::High,
                "The credential cannot be verified at the moment",
            ),
        };
        let (status, verdict) = match status {
            401 => (StatusCode::UNAUTHORIZED, Verdict::Challenge),
            400 => (StatusCode::BAD_REQUEST, Verdict::Deny),
            403 => (StatusCode::FORBIDDEN, Verdict::Deny),
            413 => (StatusCode::PAYLOAD_TOO_LARGE, Verdict::Deny),
            _ => (StatusCode::SERVICE_UNAVAILABLE, Verdict::Deny),
        };
        ReasonInfo { code, status, severity, verdict, public }
    }

    /// Whether the token is at fault, and not what came with it.
    pub(super) fn is_of_token(self) -> bool {
        matches!(
            self,
            Flaw::BindingMissing | Flaw::BindingUnknown | Flaw::BindingCertificate | Flaw::BoundAsBearer
        )
    }

    /// What a challenge for DPoP says is wrong (RFC 9449 sections 7.1 and 9), where a proof of that kind is.
    pub(super) fn dpop_error(self) -> Option<&'static str> {
        match self {
            Flaw::ProofNonce => Some("use_dpop_nonce"),
            Flaw::ProofBinding | Flaw::BoundAsBearer => Some("invalid_token"),
            Flaw::ProofMissing
            | Flaw::ProofMalformed
            | Flaw::ProofAlgorithm
            | Flaw::ProofKey
            | Flaw::ProofSignature
            | Flaw::ProofMethod
            | Flaw::ProofTarget
            | Flaw::ProofStale
            | Flaw::ProofReplayed
            | Flaw::ProofToken => Some("invalid_dpop_proof"),
            _ => None,
        }
    }

    /// What an operator should know.
    pub(super) fn sentence(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Flaw::Certificate(fault) => fault.sentence(),
            Flaw::CertificateName => "none of the certificate's names is one that the policy names",
            Flaw::CertificateField => "`Client-Cert` came from an address that is no trusted proxy",
            Flaw::BindingMissing => "the policy demands a token that is bound to a key, and this one is not",
            Flaw::BindingUnknown => "the token's `cnf` binds it in a way that is not understood",
            Flaw::BindingCertificate => {
                "the token is bound to a client certificate that this connection does not have"
            }
            Flaw::BoundAsBearer => "the token is bound to a key and came without a proof of that key",
            Flaw::ProofMissing => "`Authorization: DPoP` came without a `DPoP` field",
            Flaw::ProofMalformed => {
                "the `DPoP` field is not one JSON Web Token of type `dpop+jwt` with `jti`"
            }
            Flaw::ProofAlgorithm => "the proof's `alg` is not one of the accepted asymmetric algorithms",
            Flaw::ProofKey => "the proof's `jwk` is not a public key that can be used",
            Flaw::ProofSignature => "the proof's signature does not verify with its own key",
            Flaw::ProofMethod => "the proof's `htm` is another method",
            Flaw::ProofTarget => "the proof's `htu` is another target",
            Flaw::ProofStale => "the proof's `iat` is too long ago or in the future",
            Flaw::ProofReplayed => "the proof was used before",
            Flaw::ProofToken => "the proof's `ath` is not the hash of the token",
            Flaw::ProofNonce => "the proof has no current nonce of this server",
            Flaw::ProofBinding => "the token is bound to another key than the proof's",
            Flaw::SignatureMalformed => "the fields of the signature cannot be read",
            Flaw::SignatureKey => "no key that is accepted here has the signature's key id",
            Flaw::SignatureKeyExpired => "the client's key is past its end",
            Flaw::SignatureKeyRevoked => "the client's key is revoked",
            Flaw::SignatureAlgorithm => "the signature names another algorithm than its key's",
            Flaw::SignatureComponents => "the signature does not cover everything that the policy demands",
            Flaw::SignatureComponent => "the signature covers something that the request does not have",
            Flaw::SignatureParameter(name) => {
                return Cow::Owned(format!("the signature has no `{name}`, or one that cannot be read"));
            }
            Flaw::SignatureTag => "the signature's `tag` is for another purpose",
            Flaw::SignatureMismatch => "the signature does not verify",
            Flaw::SignatureStale => "the signature was made too long ago or in the future",
            Flaw::SignatureExpired => "the signature is past the end that it names",
            Flaw::SignatureReplayed => "the signature was used before",
            Flaw::DigestMalformed => "the digest of the body is missing or cannot be read",
            Flaw::DigestMismatch => "the body is not what was signed",
            Flaw::BodyNotHeld => {
                "the body is a stream or longer than `max_body`, so that it cannot be verified"
            }
            Flaw::ReplayFull => "nothing more can be remembered as used until something ends",
        })
    }

    /// What would let it pass.
    pub(super) fn advice(self) -> Option<&'static str> {
        Some(match self {
            Flaw::Certificate(Fault::UnknownAuthority) => {
                "add the client's authority to `mtls.ca` or the listener's `client_ca` if it is to be trusted"
            }
            Flaw::Certificate(Fault::RevocationUnknown) => {
                "add the authority's revocation list to `crl`, or write `unlisted: allow`"
            }
            Flaw::Certificate(Fault::ListExpired) => {
                "fetch the authority's current revocation list, or write `expired: allow`"
            }
            Flaw::CertificateName => "add the client's name to the rules of `mtls`",
            Flaw::CertificateField => "add the proxy to `trusted_proxies` if it ends TLS for this gateway",
            Flaw::BindingMissing => "have the issuer bind its tokens (RFC 8705, RFC 9449)",
            Flaw::SignatureComponents => "have the client sign all of `components`",
            Flaw::SignatureKey => "enroll the client's key, or name it in `keys`",
            Flaw::SignatureStale | Flaw::ProofStale => "see that the clocks agree, or raise `skew`",
            Flaw::BodyNotHeld => "raise `max_body`",
            _ => return None,
        })
    }
}
