//! The verified caller.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What kind of credential proved the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A JSON Web Token presented as a bearer token.
    Jwt,
    /// An API key issued by `bartizan keys`.
    ApiKey,
    /// A client certificate.
    Mtls,
    /// An opaque token that its issuer vouched for (RFC 7662).
    Opaque,
    /// A signature over the request.
    Signature,
}

impl CredentialKind {
    /// The kind's name in policies, events and conditions.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CredentialKind::Jwt => "jwt",
            CredentialKind::ApiKey => "api_key",
            CredentialKind::Mtls => "mtls",
            CredentialKind::Opaque => "opaque",
            CredentialKind::Signature => "signature",
        }
    }
}

/// What a credential is bound to: it proves nothing without that key (RFC 7800 `cnf`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    /// SHA-256 of the client certificate (RFC 8705 `x5t#S256`).
    Certificate([u8; 32]),
    /// SHA-256 thumbprint of the key that signs DPoP proofs (RFC 9449 `jkt`).
    Key([u8; 32]),
}

/// How strongly the caller is bound to the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// Whoever holds the credential is the caller (bearer tokens, API keys).
    Bearer,
    /// The caller proved possession of a private key.
    ProofOfPossession,
}

/// One verified caller, the same shape for every kind of credential.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Principal {
    /// Who it is, unique within `issuer`.
    pub subject: Arc<str>,
    /// Who says so: the policy's name of the issuer, or `bartizan` for API keys.
    pub issuer: Arc<str>,
    /// The kind of credential that proved it.
    pub kind: CredentialKind,
    /// How strongly it is bound.
    pub strength: Strength,
    /// OAuth scopes, or the scopes of an API key.
    pub scopes: Vec<Arc<str>>,
    /// Roles, where the credential names some.
    pub roles: Vec<Arc<str>>,
    /// The tenant, where the credential names one.
    pub tenant: Option<Arc<str>>,
    /// Other verified claims or attributes, by name.
    pub attributes: BTreeMap<Arc<str>, serde_json::Value>,
    /// Identifies the credential for revocation and correlation: `jti`, or the key's public id.
    pub credential_id: Option<Arc<str>>,
    /// The client that acts for the subject: `client_id` or `azp`.
    pub client: Option<Arc<str>>,
    /// The session at the issuer (`sid`), for logout and correlation.
    pub session: Option<Arc<str>>,
    /// When the credential was made.
    pub issued: Option<Timestamp>,
    /// When the credential ends.
    pub expires: Option<Timestamp>,
    /// How the subject was authenticated.
    pub authentication: Authentication,
    /// What the credential is bound to; whoever verified it checked that the caller has it.
    pub binding: Option<Binding>,
    /// SHA-256 of a token without its signature, or of an opaque one, by which it can be revoked.
    #[serde(skip)]
    pub digest: Option<[u8; 32]>,
}

/// How the subject showed who it is, as the issuer tells it (OpenID Connect Core section 2, RFC 9470).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Authentication {
    /// The context class (`acr`).
    pub acr: Option<Arc<str>>,
    /// The methods (`amr`, RFC 8176).
    pub amr: Vec<Arc<str>>,
    /// When (`auth_time`).
    pub time: Option<Timestamp>,
}

impl Principal {
    /// A caller of whom no more is known than who it is.
    #[must_use]
    pub fn new(kind: CredentialKind, issuer: Arc<str>, subject: Arc<str>) -> Self {
        Principal {
            subject,
            issuer,
            kind,
            strength: Strength::Bearer,
            scopes: Vec::new(),
            roles: Vec::new(),
            tenant: None,
            attributes: BTreeMap::new(),
            credential_id: None,
            client: None,
            session: None,
            issued: None,
            expires: None,
            authentication: Authentication::default(),
            binding: None,
            digest: None,
        }
    }
}
