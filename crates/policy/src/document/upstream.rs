//! Where requests of an API go, as users write it.

use std::{borrow::Cow, str::FromStr};

use bartizan_model::{ByteSize, FileReference, Period, SecretReference};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A URL, or a map of settings.
#[derive(Clone, Debug)]
pub(crate) enum UpstreamText {
    /// One backend.
    Url(String),
    /// Everything.
    Settings(Box<UpstreamSettings>),
}

impl<'de> Deserialize<'de> for UpstreamText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = UpstreamText;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a URL such as `http://127.0.0.1:3000`, or a map with `backends`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<UpstreamText, E> {
                Ok(UpstreamText::Url(text.to_owned()))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<UpstreamText, A::Error> {
                UpstreamSettings::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(|settings| UpstreamText::Settings(Box::new(settings)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for UpstreamText {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Upstream")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let settings = generator.subschema_for::<UpstreamSettings>();
        json_schema!({ "anyOf": [
            { "type": "string", "description": "one backend: `http://127.0.0.1:3000`" },
            settings
        ] })
    }
}

/// Where requests go, and how.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpstreamSettings {
    /// URLs of the backends: scheme, host and port, `http://10.0.1.10:9000`. At least one.
    pub backends: Vec<String>,
    /// Which backend is next: `round_robin`, `least_requests`, `hash: address` or `hash: { header: X-Tenant }`.
    /// Default: `round_robin`.
    #[serde(default)]
    pub balance: Option<BalanceText>,
    /// The protocol towards backends: `auto`, `http1` or `http2`. Default: `auto` (by ALPN; gRPC always HTTP/2).
    #[serde(default)]
    pub protocol: ProtocolText,
    /// The Host that backends see: `preserve`, `backend`, or a fixed name. Default: `preserve`.
    #[serde(default)]
    pub host: HostText,
    /// Replaces the API's `base_path`; `/` removes it. Default: the path is passed on as it is.
    #[serde(default)]
    pub rewrite_prefix: Option<String>,
    /// Signs requests towards the upstream (RFC 9421) and tells it who calls as a signed token. Default: neither.
    #[serde(default)]
    pub sign: Option<SignSettings>,
    /// TLS towards `https` backends: verified with the system's CAs unless stated otherwise.
    #[serde(default)]
    pub tls: UpstreamTlsSettings,
    /// Active health checks. Default: none.
    #[serde(default)]
    pub health: Option<HealthSettings>,
    /// A backend that fails this many times in a row is taken out. Default: 5.
    #[serde(default)]
    pub eject_after: Option<u32>,
    /// How long it is out; doubled with each repetition, at most 16 times. Default: `10s`.
    #[serde(default)]
    pub eject_for: Option<Period>,
    /// How long to wait.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// How long an unused connection is kept. Default: `60s`.
    #[serde(default)]
    pub keepalive: Option<Period>,
    /// Unused connections kept for each backend. Default: 64.
    #[serde(default)]
    pub max_idle: Option<usize>,
    /// Connections to each backend; more requests are answered with 503. Default: 1024.
    #[serde(default)]
    pub max_connections: Option<usize>,
    /// Retries of idempotent requests without a body. Default: 1.
    #[serde(default)]
    pub retries: Option<u32>,
    /// Retries as a share of requests, in percent. Default: 20.
    #[serde(default)]
    pub retry_budget_percent: Option<u32>,
    /// How often names are resolved again. Default: `30s`.
    #[serde(default)]
    pub resolve_every: Option<Period>,
}

/// How requests are signed towards an upstream.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignSettings {
    /// The gateway's private key: PEM, PKCS #8, Ed25519 or ECDSA P-256, `file:path` or `env:NAME`. Its public half is published
    /// at `/.well-known/jwks.json` of the admin address.
    pub key: SecretReference,
    /// What upstreams know the key by.
    pub keyid: String,
    /// What the signature covers, of what a request has: `content-digest` is made for bodies of at most `max_body`. Default:
    /// `@method`, `@target-uri`, `content-digest`, `x-bartizan-subject`, `x-bartizan-identity` and `x-request-id`.
    #[serde(default)]
    pub components: Option<Vec<String>>,
    /// How long a signature is good. Default: `60s`.
    #[serde(default)]
    pub expires: Option<Period>,
    /// The longest body that is held to be hashed; longer ones are streamed, and their signature does not cover them.
    /// Default: `1MiB`.
    #[serde(default)]
    pub max_body: Option<ByteSize>,
    /// Whether the caller is told in `X-Bartizan-Identity`, a signed JSON Web Token for one minute. Default: `true`.
    #[serde(default)]
    pub identity: Option<bool>,
}

/// Which backend is next.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BalanceText {
    /// In turn.
    RoundRobin,
    /// The one with the fewest running requests.
    LeastRequests,
    /// Consistent hash over the client address (`hash: address`) or a header (`hash: { header: X-Tenant }`).
    Hash(HashText),
}

/// What is hashed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HashText {
    /// The client address.
    Address,
    /// A header's value.
    Header(super::HeaderText),
}

/// The protocol towards backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProtocolText {
    /// By ALPN on TLS, HTTP/1.1 in cleartext, HTTP/2 for gRPC.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, with prior knowledge in cleartext.
    Http2,
}

/// The Host that backends see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum HostText {
    /// What the client sent.
    #[default]
    Preserve,
    /// The backend's own.
    Backend,
    /// This one.
    Fixed(String),
}

impl FromStr for HostText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "preserve" => Ok(HostText::Preserve),
            "backend" => Ok(HostText::Backend),
            _ if text.parse::<http::uri::Authority>().is_ok_and(|a| !a.as_str().contains('@')) => {
                Ok(HostText::Fixed(text.to_owned()))
            }
            _ => Err(format!(
                "`{text}` is not a host; write `preserve`, `backend`, or a name such as `api.internal`"
            )),
        }
    }
}

impl<'de> Deserialize<'de> for HostText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for HostText {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Host")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "`preserve`, `backend`, or a fixed name" })
    }
}

/// TLS towards backends.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UpstreamTlsSettings {
    /// PEM file with the CAs to trust instead of the system's.
    pub ca: Option<FileReference>,
    /// The name to verify instead of the backend's.
    pub server_name: Option<String>,
    /// PEM file with the client certificate chain.
    pub client_cert: Option<FileReference>,
    /// The client certificate's private key, PEM: `file:path` or `env:NAME`.
    pub client_key: Option<SecretReference>,
    /// Accept any certificate: for tests only. Default: false.
    pub danger_accept_invalid: bool,
}

/// Active health checks.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HealthSettings {
    /// What to GET; 2xx is healthy.
    pub path: String,
    /// How often. Default: `5s`.
    #[serde(default)]
    pub interval: Option<Period>,
    /// How long to wait. Default: `2s`.
    #[serde(default)]
    pub timeout: Option<Period>,
    /// Failures in a row until a backend is out. Default: 3.
    #[serde(default)]
    pub unhealthy_after: Option<u32>,
    /// Successes in a row until it is back. Default: 2.
    #[serde(default)]
    pub healthy_after: Option<u32>,
}

/// How long to wait for a backend.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Timeouts {
    /// To a connected (and TLS-handshaken) backend. Default: `3s`.
    pub connect: Option<Period>,
    /// From the forwarded head to the response head. Default: `30s`.
    pub first_byte: Option<Period>,
    /// Between two pieces of a response body; event streams and tunnels are exempt. Default: `60s`.
    pub idle: Option<Period>,
}
