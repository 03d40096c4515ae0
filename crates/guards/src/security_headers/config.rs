//! The settings of `security_headers`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// What responses carry. Each text setting takes the field's value, or `off`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether every response gets `X-Content-Type-Options: nosniff`. Default: `true`.
    pub nosniff: bool,
    /// `Content-Security-Policy` of data responses. Default: `default-src 'none'; frame-ancestors 'none'`.
    pub content_security_policy: String,
    /// `Referrer-Policy` of data responses. Default: `no-referrer`.
    pub referrer_policy: String,
    /// `X-Frame-Options` of data responses; documents get `SAMEORIGIN`. `off` removes both. Default: `DENY`.
    pub frame_options: String,
    /// `Cross-Origin-Resource-Policy` of data responses; requests that use CORS are not bound by it. Default: `same-site`.
    pub cross_origin_resource_policy: String,
    /// `Cache-Control` of authenticated responses without `Cache-Control`, `Expires` or `Pragma`. Default: `no-store`.
    pub cache_control: String,
    /// Whether `Server`, `X-Powered-By`, `X-AspNet-Version` and the like are removed. Default: `true`.
    pub hide_software: bool,
    /// More fields to set on every response, by name. Default: empty.
    pub set: BTreeMap<String, String>,
    /// More fields to remove from every response. Default: empty.
    pub remove: Vec<String>,
    /// Whether these fields replace the upstream's own (`cache_control` never does). Default: `false`.
    #[serde(rename = "override")]
    pub replace: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            nosniff: true,
            content_security_policy: "default-src 'none'; frame-ancestors 'none'".to_owned(),
            referrer_policy: "no-referrer".to_owned(),
            frame_options: "DENY".to_owned(),
            cross_origin_resource_policy: "same-site".to_owned(),
            cache_control: "no-store".to_owned(),
            hide_software: true,
            set: BTreeMap::new(),
            remove: Vec::new(),
            replace: false,
        }
    }
}
