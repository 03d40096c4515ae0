//! A caller as people describe it: for questions and tests, never for traffic.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bartizan_contract::yaml::{self, Budget};
use bartizan_model::{CredentialKind, Principal, Strength, Timestamp, principal::Authentication};
use serde::Deserialize;

/// A caller, as a file describes it. What is not said has a harmless default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// Who it is.
    pub subject: String,
    /// The issuer's name in the policy; `test` where nothing is said.
    #[serde(default)]
    pub issuer: Option<String>,
    /// `jwt`, `api_key`, `mtls`, `opaque` or `signature`.
    #[serde(default)]
    pub kind: Option<CredentialKind>,
    /// `bearer` or `proof_of_possession`.
    #[serde(default)]
    pub strength: Option<Strength>,
    /// Scopes.
    #[serde(default)]
    pub scopes: Vec<Arc<str>>,
    /// Roles that the credential names.
    #[serde(default)]
    pub roles: Vec<Arc<str>>,
    /// The tenant.
    #[serde(default)]
    pub tenant: Option<Arc<str>>,
    /// Other claims.
    #[serde(default, alias = "claims")]
    pub attributes: BTreeMap<Arc<str>, serde_json::Value>,
    /// The client that acts for the subject.
    #[serde(default)]
    pub client: Option<Arc<str>>,
    /// The session.
    #[serde(default)]
    pub session: Option<Arc<str>>,
    /// How the subject was authenticated.
    #[serde(default)]
    pub acr: Option<Arc<str>>,
    /// By which methods.
    #[serde(default)]
    pub amr: Vec<Arc<str>>,
    /// When, in seconds since 1970.
    #[serde(default)]
    pub auth_time: Option<u64>,
    /// The id of the token or key.
    #[serde(default)]
    pub credential_id: Option<Arc<str>>,
}

impl Caller {
    /// Reads a file, YAML or JSON.
    pub fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            format!("cannot read `{shown}`: {error}; name a file that describes the caller")
        })?;
        let tree =
            yaml::parse(&text, &shown.to_string(), 0, Budget::POLICY).map_err(|error| error.to_string())?;
        Caller::of(tree.to_json()).map_err(|error| format!("`{shown}` {error}"))
    }

    /// Reads a value.
    pub fn of(value: serde_json::Value) -> Result<Self, String> {
        serde_json::from_value(value)
            .map_err(|error| format!("describes no caller: {error}; it needs `subject` at least"))
    }

    /// The principal that it describes.
    pub fn principal(self) -> Principal {
        let issuer = self.issuer.unwrap_or_else(|| "test".to_owned());
        let kind = self.kind.unwrap_or(CredentialKind::Jwt);
        Principal {
            strength: self.strength.unwrap_or(Strength::Bearer),
            scopes: self.scopes,
            roles: self.roles,
            tenant: self.tenant,
            attributes: self.attributes,
            client: self.client,
            session: self.session,
            credential_id: self.credential_id,
            authentication: Authentication {
                acr: self.acr,
                amr: self.amr,
                time: self.auth_time.map(Timestamp::from_seconds),
            },
            ..Principal::new(kind, Arc::from(issuer), Arc::from(self.subject))
        }
    }
}
