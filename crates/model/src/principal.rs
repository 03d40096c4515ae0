//! The verified caller.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

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
}
