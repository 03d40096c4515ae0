//! PLACEHOLDER-rate_limit

use schemars::JsonSchema;
use serde::Deserialize;

use bartizan_model::{CompileContext, Diagnostics, Guard, Reason, ReasonInfo};

/// The compiled guard.
pub struct RateLimits;

/// Configuration.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// Why it refuses.
#[derive(Debug)]
pub enum Why {}

impl Reason for Why {
    const ALL: &'static [ReasonInfo] = &[];
    fn info(&self) -> ReasonInfo {
        match *self {}
    }
    fn detail(&self) -> std::borrow::Cow<'static, str> {
        match *self {}
    }
}

impl Guard for RateLimits {
    const ID: &'static str = "rate_limit";
    type Config = Config;
    type Reason = Why;
    fn compile(_: Config, _: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        Ok(RateLimits)
    }
}

/// The part of the limits that needs no identity: `key: ip` entries, run before anything is verified.
pub struct AddressLimits;

impl Guard for AddressLimits {
    const ID: &'static str = "rate_limit";
    type Config = Config;
    type Reason = Why;
    fn compile(_: Config, _: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        Ok(AddressLimits)
    }
}
