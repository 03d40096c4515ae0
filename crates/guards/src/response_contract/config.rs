//! The settings of `response_contract`.

use bartizan_model::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

/// What becomes of each thing that a response has and the contract does not say. Everything has a default.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A status that the contract does not name. Default: `deny`.
    pub status: Act,
    /// A media type that the contract's response does not have. Default: `deny`.
    pub media_type: Act,
    /// A header field that neither HTTP defines nor the contract names. `strip` takes it out. Default: `allow`.
    pub header: Act,
    /// Members that no schema names, although schemas name the members of their object and do not say
    /// `additionalProperties`. `strip` takes them out. Default: `strip`.
    pub undeclared_properties: Act,
    /// Members that are `writeOnly`, such as passwords. `strip` takes them out. Default: `strip`.
    pub write_only: Act,
    /// Whatever else does not fit its schema. Default: `monitor`.
    pub invalid: Act,
    /// What becomes of a response, or an item of a stream, that cannot be judged: larger than `max_response`, or not readable.
    /// Default: `monitor`.
    pub undecided: Act,
    /// How much of a response is held to be judged before its first byte is sent, and of a stream the size of one item.
    /// Default: `1MiB`.
    pub max_response: ByteSize,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// The response is withheld, and the client gets 502.
    Deny,
    /// It is taken out of the response; where nothing can be taken out, the response is withheld.
    Strip,
    /// It leaves, and is a finding.
    Monitor,
    /// It leaves.
    Allow,
}

impl Config {
    /// Whether what is found in a body may change or withhold it.
    pub(super) fn acts(&self) -> bool {
        [self.undeclared_properties, self.write_only, self.invalid, self.undecided]
            .iter()
            .any(|act| matches!(act, Act::Deny | Act::Strip))
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            status: Act::Deny,
            media_type: Act::Deny,
            header: Act::Allow,
            undeclared_properties: Act::Strip,
            write_only: Act::Strip,
            invalid: Act::Monitor,
            undecided: Act::Monitor,
            max_response: ByteSize(1 << 20),
        }
    }
}
