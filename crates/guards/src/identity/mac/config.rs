//! The settings of `hmac`.

use bartizan_model::{ByteSize, Period, SecretReference};
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::{
    mtls::InDoubt,
    signature::{OneOrMore, one_or_more},
};

/// A keyed hash over the request, in one of the forms that are in use.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mac {
    /// The form: `aws_sigv4`, `github`, `stripe`, `standard_webhooks` or `bartizan`.
    pub preset: Preset,
    /// The secrets of `github`, `stripe` and `standard_webhooks`: one, or several while they are rotated.
    #[serde(default, deserialize_with = "one_or_more")]
    #[schemars(with = "OneOrMore<SecretReference>")]
    pub secret: Vec<SecretReference>,
    /// The keys of `aws_sigv4` and `bartizan`, by the id that requests name.
    #[serde(default)]
    pub keys: Vec<MacKey>,
    /// Who sends, where requests name no key: the principal's subject. Default: the preset's name.
    #[serde(default)]
    pub subject: Option<String>,
    /// How far the time of a request may be from this gateway's. Default: `5m`. `github` sends no time.
    #[serde(default = "five_minutes")]
    pub skew: Period,
    /// How long a request of `github`, which has no time, is remembered so that it is not accepted again. Default: `24h`.
    #[serde(default = "one_day")]
    pub replay: Period,
    /// `aws_sigv4`: the region that requests must be signed for. Default: any.
    #[serde(default)]
    pub region: Option<String>,
    /// `aws_sigv4`: the service that requests must be signed for. Default: any.
    #[serde(default)]
    pub service: Option<String>,
    /// `aws_sigv4`: whether `UNSIGNED-PAYLOAD` is accepted. Default: `deny`.
    #[serde(default)]
    pub unsigned_payload: InDoubt,
    /// The longest body that is verified. Default: `1MiB`.
    #[serde(default = "one_mebibyte")]
    pub max_body: ByteSize,
    /// Whether the fields of the signature are passed on. Default: `true`.
    #[serde(default = "yes")]
    pub forward_credential: bool,
}

/// A form of keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// AWS Signature Version 4 in the `Authorization` field.
    AwsSigv4,
    /// GitHub's `X-Hub-Signature-256`: the body alone.
    Github,
    /// Stripe's `Stripe-Signature`: time and body.
    Stripe,
    /// Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature`.
    StandardWebhooks,
    /// Bartizan's own: method, target, time, nonce and body, in `Bartizan-Signature`.
    Bartizan,
}

impl Preset {
    /// The name in policies.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Preset::AwsSigv4 => "aws_sigv4",
            Preset::Github => "github",
            Preset::Stripe => "stripe",
            Preset::StandardWebhooks => "standard_webhooks",
            Preset::Bartizan => "bartizan",
        }
    }

    /// Whether requests name the key.
    #[must_use]
    pub fn is_keyed(self) -> bool {
        matches!(self, Preset::AwsSigv4 | Preset::Bartizan)
    }
}

/// A key with an id.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MacKey {
    /// What requests name.
    pub id: String,
    /// The secret, or several while it is rotated.
    #[serde(deserialize_with = "one_or_more")]
    #[schemars(with = "OneOrMore<SecretReference>")]
    pub secret: Vec<SecretReference>,
    /// Whose it is: the principal's subject. Default: the `id`.
    #[serde(default)]
    pub subject: Option<String>,
    /// What the caller may do.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The caller's roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The caller's tenant.
    #[serde(default)]
    pub tenant: Option<String>,
}

fn five_minutes() -> Period {
    Period(std::time::Duration::from_secs(300))
}

fn one_day() -> Period {
    Period(std::time::Duration::from_secs(86_400))
}

fn one_mebibyte() -> ByteSize {
    ByteSize(1 << 20)
}

fn yes() -> bool {
    true
}
