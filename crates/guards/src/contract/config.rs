//! The settings of `contract`.

use bartizan_model::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

/// What requests must be like, beside what the contract says. Everything has a default.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Parameters of the query that the contract does not name, and members of objects that are parameters of their own
    /// (`filter[x]=1`). Default: `strip`. Header fields and cookies are none of a
    /// contract's business beyond those that it names.
    pub undeclared_parameters: Undeclared,
    /// Members of bodies that no schema names, although schemas name the members of their object and do not say
    /// `additionalProperties`. Default: `strip`. What cannot be taken out (members of XML, of parts, and a body where the
    /// contract describes none) is refused.
    pub undeclared_properties: Undeclared,
    /// Members that are `readOnly`. Default: `deny`.
    pub read_only: Undeclared,
    /// The largest body that is checked; a larger one is refused. Default: `4MiB`. Bodies of media types that are only bytes
    /// are not held, and bounded by `request_limits.max_body` alone.
    pub max_body: ByteSize,
    /// What clients are told of a refusal. Default: `opaque`, nothing but the event's id.
    pub detail: Detail,
}

/// What becomes of something that the contract does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Undeclared {
    /// The request is refused.
    Deny,
    /// It is taken out, and the rest goes on. In monitor mode it stays.
    Strip,
    /// It goes on.
    Allow,
}

/// What clients are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Detail {
    /// The event's id.
    #[default]
    Opaque,
    /// Each violation with its place and what is expected.
    Full,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            undeclared_parameters: Undeclared::Strip,
            undeclared_properties: Undeclared::Strip,
            read_only: Undeclared::Deny,
            max_body: ByteSize(4 << 20),
            detail: Detail::Opaque,
        }
    }
}
