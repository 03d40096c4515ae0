//! How an exchange ends, and the small enumerations that say where and how seriously.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What finally happened to one exchange. Every transaction ends in exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Forwarded, and the response was passed on.
    Allow,
    /// Refused by a guard or by the ingress rules.
    Deny,
    /// The client was asked for a (better) credential.
    Challenge,
    /// Refused for now: a limit was reached.
    Throttle,
    /// The client or the upstream left before the exchange was whole.
    Abort,
    /// The gateway or the upstream failed.
    Error,
}

impl Verdict {
    /// The stable lower-case name used in events, metrics and text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Allow => "allow",
            Verdict::Deny => "deny",
            Verdict::Challenge => "challenge",
            Verdict::Throttle => "throttle",
            Verdict::Abort => "abort",
            Verdict::Error => "error",
        }
    }
}

/// What a mounted guard may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Findings stop the exchange.
    #[default]
    Enforce,
    /// Findings are recorded; the exchange continues.
    Monitor,
    /// The guard does not run.
    Off,
}

impl Mode {
    /// The stable lower-case name used in configuration, events and text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Monitor => "monitor",
            Mode::Off => "off",
        }
    }
}

/// Where on the way of an exchange a guard looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The request head; nothing of the body has been read.
    RequestHeaders,
    /// The request body, held and parsed once.
    RequestBody,
    /// The response head.
    ResponseHeaders,
    /// The response body.
    ResponseBody,
    /// After the exchange.
    Logging,
}

impl Phase {
    /// The stable name used in events and text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::RequestHeaders => "request_headers",
            Phase::RequestBody => "request_body",
            Phase::ResponseHeaders => "response_headers",
            Phase::ResponseBody => "response_body",
            Phase::Logging => "logging",
        }
    }
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing, no harm by itself.
    Info,
    /// A nuisance or a sign of misconfiguration.
    Low,
    /// Likely unwanted.
    Medium,
    /// Likely an attack.
    High,
    /// An attack, or a failure of protection.
    Critical,
}

impl Severity {
    /// The stable lower-case name used in events, metrics and text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}
