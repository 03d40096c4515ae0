//! The settings of `ip_access`.

use schemars::JsonSchema;
use serde::Deserialize;

/// Which addresses may come. With both lists empty (the default) everyone may.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Only these may come, once there is an entry: addresses, prefixes (`10.0.0.0/8`, `2001:db8::/32`) or lists
    /// (`file:lists/partners.txt`, one per line, `#` comments). Default: empty, everyone may come.
    pub allow: Vec<String>,
    /// These may not come, even when `allow` names them: addresses, prefixes or `file:` lists. Default: empty.
    pub deny: Vec<String>,
}
