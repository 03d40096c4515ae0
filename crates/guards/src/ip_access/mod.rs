//! PLACEHOLDER-ip_access

use schemars::JsonSchema;
use serde::Deserialize;

use bartizan_model::{CompileContext, Diagnostics, Guard, Reason, ReasonInfo};

/// The compiled guard.
pub struct IpAccess;

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

impl Guard for IpAccess {
    const ID: &'static str = "ip_access";
    type Config = Config;
    type Reason = Why;
    fn compile(_: Config, _: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        Ok(IpAccess)
    }
}
