//! The settings of `access`.

use std::{fmt, time::Duration};

use bartizan_authz::Zone;
use bartizan_model::{ByteSize, FileReference, Period, SecretReference};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

/// Who may do what.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A file of roles, each with the operations that it may call: `file:policies/roles.yaml`. What no role of the caller and
    /// no policy permits is refused.
    pub roles: Option<FileReference>,
    /// Files of Cedar policies: one, a list, or all of a folder as `file:policies/*.cedar`. What no policy and no role permits
    /// is refused; a policy that forbids wins over both.
    pub policies: FileList,
    /// Claims or attributes that hold roles besides the credential's own: `[role, groups]`, each a text or a list of texts.
    pub role_claims: Vec<String>,
    /// Scopes that the caller must have, all of them.
    pub require_scopes: Vec<String>,
    /// Roles of which the caller must have one, inherited ones included.
    pub require_roles: Vec<String>,
    /// Whether the contract's `security` holds: that there is a caller, and the scopes. Default: `enforce`.
    pub security: Security,
    /// Databases that tell the country and the network of an address, for `context.country` and `context.asn`.
    pub geo: Option<GeoFiles>,
    /// The offset from UTC of `context.time`: `+01:00`. Default: `Z`.
    pub zone: Offset,
    /// A decision point elsewhere that is asked about every request (OpenID AuthZEN Authorization API 1.0). What it refuses is
    /// refused; what it permits needs no role and no policy that permits.
    pub authzen: Option<Authzen>,
    /// Bytes of a request body that policies look at. In a longer one nothing is found. Default: `128KiB`.
    pub max_body: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            roles: None,
            policies: FileList::default(),
            role_claims: Vec::new(),
            require_scopes: Vec::new(),
            require_roles: Vec::new(),
            security: Security::default(),
            geo: None,
            zone: Offset::default(),
            authzen: None,
            max_body: ByteSize(128 << 10),
        }
    }
}

/// Whether the contract's `security` holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// It does.
    #[default]
    Enforce,
    /// It does not; roles, policies and required scopes alone decide.
    Ignore,
}

/// A decision point elsewhere.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Authzen {
    /// The decision point: `https://`, or `http://` on this machine. A URL without a path is asked at `/access/v1/evaluation`.
    pub endpoint: String,
    /// What shows the point who asks, `env:NAME` or `file:path`: sent as `Authorization: Bearer ..`.
    #[serde(default)]
    pub credential: Option<SecretReference>,
    /// Another field for `credential`, which is then sent as it is: `X-API-Key`.
    #[serde(default)]
    pub credential_header: Option<String>,
    /// One question from connect to the last byte; at most `30s`. Default: `500ms`.
    #[serde(default = "half_a_second")]
    pub timeout: Period,
    /// How long an answer holds for the same question: the same caller, operation, path, query and address. What changes at the
    /// point is in force after this. `0s` asks about every request; at most `5m`. Default: `1s`.
    #[serde(default = "one_second")]
    pub cache: Period,
    /// What happens while the point gives no answer: `deny` (503, the default), `local`: roles and policies alone decide, or
    /// `allow`: as if the point permitted, with a finding. What a policy forbids is refused in any case.
    #[serde(default)]
    pub unavailable: WithoutPoint,
    /// Claims or attributes of the caller that the point is told, besides who it is, its roles and scopes: `[department]`.
    #[serde(default)]
    pub claims: Vec<String>,
}

fn half_a_second() -> Period {
    Period(Duration::from_millis(500))
}

fn one_second() -> Period {
    Period(Duration::from_secs(1))
}

/// What happens while a decision point gives no answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WithoutPoint {
    /// Requests are refused with 503.
    #[default]
    Deny,
    /// Roles and policies alone decide.
    Local,
    /// Requests pass, each with a finding.
    Allow,
}

/// Databases in the format of MaxMind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GeoFiles {
    /// Countries: `file:GeoLite2-Country.mmdb`, or a City database.
    pub country: Option<FileReference>,
    /// Autonomous systems: `file:GeoLite2-ASN.mmdb`.
    pub asn: Option<FileReference>,
}

/// One file, or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileList(pub Vec<FileReference>);

impl<'de> Deserialize<'de> for FileList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = FileList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a file such as `file:policies/bank.cedar`, or a list of files")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<FileList, E> {
                text.parse().map(|file| FileList(vec![file])).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<FileList, A::Error> {
                let mut files = Vec::new();
                while let Some(file) = items.next_element()? {
                    files.push(file);
                }
                Ok(FileList(files))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for FileList {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FileList".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let file = generator.subschema_for::<FileReference>();
        schemars::json_schema!({
            "description": "a file, or a list of files; `*` in the name stands for several",
            "anyOf": [file, { "type": "array", "items": file }],
        })
    }
}

/// An offset from UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offset(pub Zone);

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Offset).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Offset {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Offset".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": r"^(Z|UTC|[+-][0-9]{2}:[0-9]{2})$",
            "description": "an offset from UTC: `Z`, `+02:00`, `-05:30`",
        })
    }
}
