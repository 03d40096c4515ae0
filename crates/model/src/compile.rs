//! What a guard is given when the policy is compiled.

use std::{any::Any, collections::BTreeMap, fmt, sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{FileReference, Redacted, SecretReference, Services, Timestamp, federation::ClaimMap};

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

    /// Notes that the files whose names fit a reference with a `*` belong to the policy, also those that are yet to come.
    fn note_pattern(&self, _pattern: &FileReference) {}

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
    pub max_lifetime: Option<Duration>,
    /// Accepted `typ` header values; empty accepts `JWT`, `at+jwt` and none.
    pub types: Vec<Arc<str>>,
    /// Clock skew allowed on `exp`, `nbf` and `iat`.
    pub leeway: Duration,
    /// What its access tokens must look like.
    pub profile: TokenProfile,
    /// Whether its ID tokens are accepted, although they are made for clients and not for APIs.
    pub id_tokens: bool,
    /// Since when its tokens are refused everywhere.
    pub retired: Option<Timestamp>,
    /// How its claims become a principal; `None` for the usual claims.
    pub map: Option<Arc<ClaimMap>>,
    /// Whether, and for whom, it may send security events.
    pub events: Option<Arc<EventSource>>,
}

impl IssuerSpec {
    /// An issuer of this name, `iss` and keys that accepts nothing yet: no algorithm, no audience.
    #[must_use]
    pub fn new(name: Arc<str>, issuer: Arc<str>, keys: KeySource) -> Self {
        IssuerSpec {
            name,
            issuer,
            audiences: Vec::new(),
            algorithms: Vec::new(),
            keys,
            max_lifetime: None,
            types: Vec::new(),
            leeway: Duration::from_secs(30),
            profile: TokenProfile::Any,
            id_tokens: false,
            retired: None,
            map: None,
            events: None,
        }
    }

    /// Whether its tokens are refused everywhere at `now`.
    #[must_use]
    pub fn is_retired(&self, now: Timestamp) -> bool {
        self.retired.is_some_and(|since| since <= now)
    }
}

/// What the access tokens of an issuer must look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TokenProfile {
    /// Any JSON Web Token with the claims that verification needs.
    #[default]
    #[serde(rename = "any")]
    Any,
    /// RFC 9068: `typ` is `at+jwt`, and `iss`, `exp`, `aud`, `sub`, `client_id`, `iat` and `jti` are all there.
    #[serde(rename = "at+jwt")]
    AccessToken,
}

/// An issuer that sends security event tokens (RFC 8417) by push (RFC 8935).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSource {
    /// The `aud` values that name this gateway as the receiver; an event needs one of them.
    pub audiences: Vec<Arc<str>>,
    /// The policy's names of the issuers of whose subjects it may speak.
    pub speaks_for: Vec<Arc<str>>,
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

/// What is known of an API when its guards are compiled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApiSpec {
    /// Its path prefix without a trailing slash; empty for all paths. Transactions carry the whole path.
    pub base_path: String,
    /// The operations that its contract and the blocks of its policy name, in the order of the documents.
    pub operations: Vec<OperationSpec>,
    /// Its contract, compiled to check traffic by; `None` where it has none.
    pub contract: Option<CompiledContract>,
}

/// A compiled contract on its way from whoever compiled it to the guards that check by it. Its type is theirs.
#[derive(Clone)]
pub struct CompiledContract(pub Arc<dyn Any + Send + Sync>);

impl fmt::Debug for CompiledContract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CompiledContract")
    }
}

/// The same one, or another.
impl PartialEq for CompiledContract {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// An API of which nothing is known.
pub static UNKNOWN_API: ApiSpec =
    ApiSpec { base_path: String::new(), operations: Vec::new(), contract: None };

/// One operation of an API.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OperationSpec {
    /// As transactions name it: `GET /accounts/{id}`, or the label of a block such as `* /admin/**`.
    pub label: Arc<str>,
    /// Whether the contract declares it; otherwise a block of the policy names it.
    pub declared: bool,
    /// The contract's `tags`.
    pub tags: Vec<Arc<str>>,
    /// Whether the contract marks it with `x-sensitive: true`.
    pub sensitive: bool,
    /// The contract's `security`, its own or the document's (OpenAPI 3.1 section 4.8.30): one of these suffices. An empty
    /// list demands nothing; `None` where the contract does not say.
    pub security: Option<Vec<SecurityAlternative>>,
    /// The parameters and members of the JSON body that the contract types.
    pub fields: Vec<FieldSpec>,
}

/// One Security Requirement Object: all of its schemes. An empty one lets anonymous callers in.
pub type SecurityAlternative = Vec<SchemeDemand>;

/// One scheme that a contract demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemeDemand {
    /// Its name in the contract.
    pub scheme: Arc<str>,
    /// What it asks callers for.
    pub kind: SchemeKind,
    /// The header field that an API key stands in, in lower case; `None` for one in the query, and for anything else.
    pub field: Option<Arc<str>>,
    /// Whether `names` are OAuth scopes (`oauth2`, `openIdConnect`); of other schemes they are roles.
    pub scopes: bool,
    /// The scopes or roles, all of them needed.
    pub names: Vec<Arc<str>>,
}

/// What a Security Scheme Object asks callers for, as far as a gateway can tell (OpenAPI 3.1 section 4.8.27).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemeKind {
    /// A token: `oauth2`, `openIdConnect`, `http` with `bearer`.
    Token,
    /// An API key in a field of its own or in the query.
    ApiKey,
    /// A client certificate: `mutualTLS`.
    Certificate,
    /// Anything else: passwords, cookies, schemes that are not defined.
    Other,
}

/// One typed value of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// Where it stands.
    pub place: FieldPlace,
    /// Its name; in a body, the keys that lead to it.
    pub path: Vec<Arc<str>>,
    /// What it is.
    pub kind: FieldKind,
}

/// Where a value of a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldPlace {
    /// A parameter of the path's template.
    Path,
    /// A parameter of the query.
    Query,
    /// A header field, by its lower-case name.
    Header,
    /// A member of the JSON body.
    Body,
}

/// What a value is, as far as a decision can use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldKind {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A number with a fraction.
    Decimal,
    /// `true` or `false`.
    Boolean,
    /// A list of texts.
    Texts,
    /// A list of whole numbers.
    Integers,
    /// Of no use to a decision, but known to be there.
    Other,
}

/// What a guard is given when the policy is compiled.
pub struct CompileContext<'a> {
    /// What is known of the API: [`UNKNOWN_API`] where nothing is.
    pub spec: &'a ApiSpec,
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
