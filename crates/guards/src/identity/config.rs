//! The settings of the `identity` block.

use std::{borrow::Cow, fmt, time::Duration};

use bartizan_model::{Period, SecretReference};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};

use super::{
    dpop::Dpop,
    mac::Mac,
    mtls::Mtls,
    signature::{Presence, Signature},
};

/// Who may call.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The accepted kinds of credential. One satisfied entry suffices, and the first one names the caller; every
    /// credential that is presented must be valid, even where another one would have sufficed.
    pub accept: Vec<Accept>,
    /// What happens to a request without any credential: `deny` (the default where `accept` is given) or `allow`.
    pub anonymous: Option<Anonymous>,
    /// Whether clients are told where tokens for this API are had (RFC 9728): the metadata below
    /// `/.well-known/oauth-protected-resource`, and its address in each challenge. Default: `true`.
    pub resource_metadata: Option<bool>,
    /// Whether tokens must be bound to a key that the caller has, by a client certificate (RFC 8705) or by DPoP (RFC 9449):
    /// `required` or `optional` (default). A token that is bound is checked whatever stands here.
    pub binding: Option<Presence>,
    /// How proofs of possession (DPoP, RFC 9449) must be made, and that callers are asked for them.
    pub dpop: Option<Dpop>,
}

/// What happens to a request without any credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Anonymous {
    /// It is refused with 401.
    Deny,
    /// It continues without a principal.
    Allow,
}

/// One entry of `accept`: a kind of credential, alone (`jwt`) or with its settings (`{ jwt: { issuers: [corp] } }`), or
/// several that must come together (`{ all: [jwt, api_key] }`).
#[derive(Clone, Debug)]
pub enum Accept {
    /// A JSON Web Token as `Authorization: Bearer`.
    Jwt(Jwt),
    /// An opaque token as `Authorization: Bearer`, about which its issuer is asked (RFC 7662).
    Introspection(Box<Introspection>),
    /// A client certificate.
    Mtls(Box<Mtls>),
    /// A signature over the request (RFC 9421).
    Signature(Box<Signature>),
    /// A keyed hash over the request.
    Hmac(Box<Mac>),
    /// An API key made by `bartizan keys`.
    ApiKey(ApiKey),
    /// All of these together.
    All(Vec<Accept>),
}

/// A JSON Web Token as `Authorization: Bearer`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Jwt {
    /// Names of the document's `issuers` whose tokens are accepted; without it, those of all of them.
    pub issuers: Vec<String>,
    /// Whether the verified token is passed on (default `true`): an API that was never told about Bartizan goes on
    /// verifying the token itself.
    pub forward_credential: bool,
}

impl Default for Jwt {
    fn default() -> Self {
        Jwt { issuers: Vec::new(), forward_credential: true }
    }
}

/// An opaque token as `Authorization: Bearer`, about which its issuer is asked (RFC 7662). Where `jwt` is accepted too, what
/// looks like a JSON Web Token is verified as one and nobody is asked about it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    /// The name of who says who calls. The document's issuer of this name, where there is one, gives its `audiences`, its
    /// `map` and, for `signed`, its keys.
    pub issuer: String,
    /// The endpoint: `https://`, or `http://` on this machine.
    pub endpoint: String,
    /// The id that the gateway is known by there.
    #[serde(default)]
    pub client_id: Option<String>,
    /// The client's secret, or with `auth: bearer` the gateway's own token: `env:NAME` or `file:path`.
    #[serde(default)]
    pub client_secret: Option<SecretReference>,
    /// How the gateway shows who it is: `basic` (default), `post` or `bearer`.
    #[serde(default)]
    pub auth: ClientAuth,
    /// Accepted `aud` values; a token needs one of them. Default: those of the issuer; where there are none, any.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// How long answers are believed.
    #[serde(default)]
    pub cache: IntrospectionCache,
    /// One question from connect to the last byte; at most `30s`. Default: `2s`.
    #[serde(default = "two_seconds")]
    pub timeout: Period,
    /// What happens while the endpoint does not answer: `deny` (503, the default), or `allow-cached`: tokens that were active
    /// when last asked about stay so for `cache.stale` more.
    #[serde(default)]
    pub unavailable: Unavailable,
    /// Whether answers must be tokens that the issuer signed (RFC 9701). Default: `false`.
    #[serde(default)]
    pub signed: bool,
    /// Whether the verified token is passed on. Default: `true`.
    #[serde(default = "yes")]
    pub forward_credential: bool,
}

fn two_seconds() -> Period {
    Period(Duration::from_secs(2))
}

fn yes() -> bool {
    true
}

/// How long an issuer's answers are believed; never longer than the token's `exp`, at most `1h`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IntrospectionCache {
    /// That a token is active. A revocation at the issuer is in force after this. Default: `60s`.
    pub positive: Period,
    /// That it is not. Default: `10s`.
    pub negative: Period,
    /// With `unavailable: allow-cached`, how much longer a token stays active. Default: `5m`.
    pub stale: Period,
}

impl Default for IntrospectionCache {
    fn default() -> Self {
        let seconds = |count| Period(Duration::from_secs(count));
        IntrospectionCache { positive: seconds(60), negative: seconds(10), stale: seconds(300) }
    }
}

/// How the gateway shows an introspection endpoint who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// `client_secret_basic`.
    #[default]
    Basic,
    /// `client_secret_post`.
    Post,
    /// An access token of its own.
    Bearer,
}

/// What happens while an introspection endpoint does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unavailable {
    /// Tokens that are not known are refused with 503.
    #[default]
    Deny,
    /// Tokens that were active when last asked about pass for a while.
    AllowCached,
}

/// An API key made by `bartizan keys`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApiKey {
    /// The header field that holds the key; default `X-API-Key`.
    pub header: String,
    /// Whether the verified key is passed on (default `false`): it was issued by Bartizan and means nothing to the API.
    pub forward_credential: bool,
    /// How old a key may be, such as `90d`, counted from its making; a rotated key's successor is new. Default: any age.
    pub max_age: Option<Period>,
    /// What happens to older keys: `refuse` (the default) or `finding`.
    pub older: Older,
    /// How long before a key ends, or is too old, its uses leave a finding that reminds, once an hour. Default: `14d`.
    pub remind: Period,
    /// From how many clients one key may come within an hour before that is a finding, 1 to 256; 0 counts none. A client
    /// is the block of its address (/24, /48), its user agent and its TLS hello. Default: 50.
    pub clients: u32,
}

/// What happens to keys that are older than they may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Older {
    /// They are refused.
    #[default]
    Refuse,
    /// They leave a finding.
    Finding,
}

impl Default for ApiKey {
    fn default() -> Self {
        ApiKey {
            header: "X-API-Key".to_owned(),
            forward_credential: false,
            max_age: None,
            older: Older::Refuse,
            remind: Period(std::time::Duration::from_secs(14 * 86_400)),
            clients: 50,
        }
    }
}

fn unknown<E: serde::de::Error>(name: &str) -> E {
    E::custom(format!(
        "`{name}` is not a kind of credential; write `jwt`, `introspection`, `api_key`, `mtls`, `signature`, `hmac` or `all`"
    ))
}

impl<'de> Deserialize<'de> for Accept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AcceptVisitor)
    }
}

struct AcceptVisitor;

impl<'de> Visitor<'de> for AcceptVisitor {
    type Value = Accept;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a kind of credential: `jwt`, `api_key`, `{ jwt: .. }`, `{ api_key: .. }` or `{ all: [..] }`",
        )
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Accept, E> {
        match name {
            "jwt" => Ok(Accept::Jwt(Jwt::default())),
            "api_key" => Ok(Accept::ApiKey(ApiKey::default())),
            "introspection" => Err(E::custom(
                "`introspection` needs its settings: `{ introspection: { issuer: .., endpoint: .. } }`",
            )),
            "mtls" => Ok(Accept::Mtls(Box::default())),
            "signature" => Ok(Accept::Signature(Box::default())),
            "hmac" => {
                Err(E::custom("`hmac` needs its settings: `{ hmac: { preset: github, secret: env:NAME } }`"))
            }
            "dpop" => Err(E::custom(
                "`dpop` proves a token: write `jwt` here, and `binding: required` or `dpop: { .. }` beside `accept`",
            )),
            _ => Err(unknown(name)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Accept, A::Error> {
        let Some(name) = entries.next_key::<String>()? else {
            return Err(A::Error::custom("an entry of `accept` is empty; write `jwt`, `api_key` or `all`"));
        };
        let accept = match name.as_str() {
            "jwt" => Accept::Jwt(entries.next_value::<Option<Jwt>>()?.unwrap_or_default()),
            "api_key" => Accept::ApiKey(entries.next_value::<Option<ApiKey>>()?.unwrap_or_default()),
            "introspection" => Accept::Introspection(Box::new(entries.next_value()?)),
            "mtls" => Accept::Mtls(entries.next_value::<Option<Box<Mtls>>>()?.unwrap_or_default()),
            "signature" => {
                Accept::Signature(entries.next_value::<Option<Box<Signature>>>()?.unwrap_or_default())
            }
            "hmac" => Accept::Hmac(Box::new(entries.next_value()?)),
            "all" => Accept::All(entries.next_value()?),
            _ => {
                entries.next_value::<IgnoredAny>()?;
                self.visit_str(&name)?
            }
        };
        match entries.next_key::<String>()? {
            None => Ok(accept),
            Some(second) => Err(A::Error::custom(format!(
                "`{name}` and `{second}` are in one entry; write each as an entry of its own, or both under `all`"
            ))),
        }
    }
}

impl JsonSchema for Accept {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Accept")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let jwt = generator.subschema_for::<Jwt>();
        let introspection = generator.subschema_for::<Introspection>();
        let api_key = generator.subschema_for::<ApiKey>();
        let mtls = generator.subschema_for::<Mtls>();
        let signature = generator.subschema_for::<Signature>();
        let hmac = generator.subschema_for::<Mac>();
        let entry = generator.subschema_for::<Accept>();
        let one = |name: &str, schema: serde_json::Value| {
            serde_json::json!({
                "type": "object",
                "properties": { name: schema },
                "required": [name],
                "additionalProperties": false,
            })
        };
        json_schema!({
            "description": "a kind of credential, alone or with its settings, or several that must come together",
            "oneOf": [
                { "enum": ["jwt", "api_key", "mtls", "signature"] },
                one("jwt", jwt.to_value()),
                one("introspection", introspection.to_value()),
                one("api_key", api_key.to_value()),
                one("mtls", mtls.to_value()),
                one("signature", signature.to_value()),
                one("hmac", hmac.to_value()),
                one("all", serde_json::json!({ "type": "array", "items": entry, "minItems": 1 })),
            ],
        })
    }
}
