//! The settings of the `session` block.

use bartizan_model::FileReference;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::step_up;

/// Whose credentials are watched, and what happens when one moves.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The kinds of verified credentials that are watched. Default: `[tokens, api_keys]`. Those that prove a key of the
    /// client's own (certificates, signatures, DPoP) are not: they cannot be used from elsewhere.
    pub credentials: Vec<Kind>,
    /// The names of session cookies that are watched; `*` stands for any characters. Default: none.
    pub cookies: Vec<String>,
    /// What happens to a credential whose risk is `at` or more: `refuse` (the default), `step_up` or `finding`.
    pub moved: Moved,
    /// The risk from which `moved` applies, 1 to 100. Default: 60.
    pub at: u8,
    /// How much each difference from the credential's first client counts.
    pub weights: Weights,
    /// A database in MaxMind's format (`GeoLite2-ASN`) that tells which provider announces an address: another provider
    /// counts more than another block of the same. Default: none.
    pub asn: Option<FileReference>,
    /// With `moved: step_up`, what has to be shown, as in the guard `step_up`: for tokens by an authentication after the
    /// move, for API keys by a code. Default: any second factor.
    pub step_up: Option<step_up::Config>,
    /// How cookies are hardened on their way to clients.
    pub set_cookie: SetCookie,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            credentials: vec![Kind::Tokens, Kind::ApiKeys],
            cookies: Vec::new(),
            moved: Moved::Refuse,
            at: 60,
            weights: Weights::default(),
            asn: None,
            step_up: None,
            set_cookie: SetCookie::default(),
        }
    }
}

/// A kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Bearer tokens: by their session at the issuer (`sid`), else their `jti`, else their hash.
    Tokens,
    /// API keys.
    ApiKeys,
}

/// What happens to a credential that moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Moved {
    /// A finding is left, and the risk is known to other guards.
    Finding,
    /// A second factor is asked for; who shows it becomes the credential's client.
    StepUp,
    /// It is refused.
    Refuse,
}

/// How much each difference counts, 0 to 100; what is found together is added up, to 100 at most.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    /// A block of addresses (/24, /48) that the credential has not come from. Default: 25.
    pub network: u8,
    /// With `asn`, a provider that the credential has not come from; adds to `network`. Default: 15.
    pub provider: u8,
    /// Other software: a user agent that differs in more than its version numbers. Default: 40.
    pub agent: u8,
    /// The same software in another version. Default: 5.
    pub version: u8,
    /// Another TLS hello. Default: 35.
    pub hello: u8,
    /// A fifth or further block of addresses within an hour. Default: 20.
    pub hopping: u8,
}

impl Default for Weights {
    fn default() -> Self {
        Weights { network: 25, provider: 15, agent: 40, version: 5, hello: 35, hopping: 20 }
    }
}

/// How cookies are hardened on their way to clients.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SetCookie {
    /// The names that are hardened; `*` stands for any characters. Default: `["*"]`.
    pub names: Vec<String>,
    /// Add `Secure`. Default: true.
    pub secure: bool,
    /// Add `HttpOnly`. Default: true.
    pub http_only: bool,
    /// Names that scripts have to read, which get no `HttpOnly`. Default: the usual ones of tokens against cross-site
    /// request forgery: `XSRF-TOKEN`, `csrftoken`, `csrf-token`, `_csrf`.
    pub readable: Vec<String>,
    /// The least `SameSite`: `lax` (the default) or `strict` where a cookie has none or a weaker one; `off` leaves it.
    pub same_site: SameSite,
    /// Names that other sites have to send, which keep `SameSite=None`. Default: none.
    pub cross_site: Vec<String>,
}

impl Default for SetCookie {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        SetCookie {
            names: names(&["*"]),
            secure: true,
            http_only: true,
            readable: names(&["XSRF-TOKEN", "csrftoken", "csrf-token", "_csrf"]),
            same_site: SameSite::Lax,
            cross_site: Vec::new(),
        }
    }
}

/// The least `SameSite`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SameSite {
    /// As the upstream says.
    #[serde(alias = "false")]
    Off,
    /// Sent with links from other sites.
    Lax,
    /// Not sent from other sites.
    Strict,
}
