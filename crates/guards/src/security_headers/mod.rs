//! PLACEHOLDER-security_headers

use schemars::JsonSchema;
use serde::Deserialize;

use bartizan_model::{CompileContext, Diagnostics, Guard, Reason, ReasonInfo};

/// The compiled guard.
pub struct SecurityHeaders;

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

impl Guard for SecurityHeaders {
    const ID: &'static str = "security_headers";
    type Config = Config;
    type Reason = Why;
    fn compile(_: Config, _: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        Ok(SecurityHeaders)
    }
}
