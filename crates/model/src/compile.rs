//! What a guard is given when the policy is compiled.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{FileReference, Redacted, SecretReference, Services};

/// How much the defaults demand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Doubtful settings are warnings.
    #[default]
    Balanced,
    /// Doubtful settings are errors.
    Strict,
}

/// Files and secrets that a policy refers to, read by whoever compiles it.
pub trait Files {
    /// The content of a `file:` reference, relative to the document that names it.
    ///
    /// # Errors
    /// One sentence, lower case, that names the file and what to do.
    fn read(&self, reference: &FileReference) -> Result<Arc<[u8]>, String>;

    /// The names of the files in the folder of a `file:` reference, without the folder, in no order.
    ///
    /// # Errors
    /// One sentence, lower case, that names the folder and what to do.
    fn list(&self, folder: &FileReference) -> Result<Vec<String>, String>;

    /// The value of an `env:` or `file:` secret, without a trailing line break.
    ///
    /// # Errors
    /// One sentence, lower case, that names the reference and what to do; never the secret.
    fn secret(&self, reference: &SecretReference) -> Result<Redacted<String>, String>;
}

/// One entry of `issuers:`, as guards need it.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuerSpec {
    /// The policy's name for it.
    pub name: Arc<str>,
    /// The `iss` that its tokens carry.
    pub issuer: Arc<str>,
    /// Accepted `aud` values; a token needs one of them.
    pub audiences: Vec<Arc<str>>,
    /// Accepted `alg` values; never inferred from the token.
    pub algorithms: Vec<Arc<str>>,
    /// Where its keys are.
    pub keys: KeySource,
    /// The longest `exp - iat` that is accepted.
    pub max_lifetime: Option<std::time::Duration>,
    /// Accepted `typ` header values; empty accepts `JWT`, `at+jwt` and none.
    pub types: Vec<Arc<str>>,
    /// Clock skew allowed on `exp`, `nbf` and `iat`.
    pub leeway: std::time::Duration,
}

/// Where an issuer's keys come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// OpenID discovery below the issuer's URL, fetched in the background.
    Discovery(Arc<str>),
    /// A JWKS at a URL, fetched in the background.
    Url(Arc<str>),
    /// A JWKS or PEM file, read when the policy is compiled.
    File(FileReference),
    /// A shared secret for HS256/384/512.
    Secret(SecretReference),
}

/// What a guard is given when the policy is compiled.
pub struct CompileContext<'a> {
    /// The API's name.
    pub api: &'a str,
    /// The operation's name, when the block is compiled for one.
    pub operation: Option<&'a str>,
    /// How much the defaults demand.
    pub profile: Profile,
    /// The issuers of the document by name.
    pub issuers: &'a BTreeMap<Arc<str>, Arc<IssuerSpec>>,
    /// Counters, keys and clocks that outlive the policy.
    pub services: &'a Services,
    /// Files and secrets.
    pub files: &'a dyn Files,
    /// The scope that an entry of the guard's configuration was written in, by its path (`[0]`, `[1]`): `api:shop` or
    /// `operation:shop POST /login`. A limit counts in the scope where it is written.
    pub scope: &'a dyn Fn(&str) -> String,
}
