//! The settings of `security_headers`.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// What responses carry. Each text setting takes the field's value, or `off`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether every response gets `X-Content-Type-Options: nosniff`. Default: `true`.
    pub nosniff: bool,
    /// `Content-Security-Policy` of data responses. Default: `default-src 'none'; frame-ancestors 'none'`.
    pub content_security_policy: Setting,
    /// `Referrer-Policy` of data responses. Default: `no-referrer`.
    pub referrer_policy: Setting,
    /// `X-Frame-Options` of data responses; documents get `SAMEORIGIN`. `off` removes both. Default: `DENY`.
    pub frame_options: Setting,
    /// `Cross-Origin-Resource-Policy` of data responses; requests that use CORS are not bound by it. Default: `same-site`.
    pub cross_origin_resource_policy: Setting,
    /// `Cache-Control` of authenticated responses without `Cache-Control`, `Expires` or `Pragma`. Default: `no-store`.
    pub cache_control: Setting,
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
            content_security_policy: Setting::of("default-src 'none'; frame-ancestors 'none'"),
            referrer_policy: Setting::of("no-referrer"),
            frame_options: Setting::of("DENY"),
            cross_origin_resource_policy: Setting::of("same-site"),
            cache_control: Setting::of("no-store"),
            hide_software: true,
            set: BTreeMap::new(),
            remove: Vec::new(),
            replace: false,
        }
    }
}

/// A field's value, or nothing where `off` is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting(pub Option<String>);

impl Setting {
    fn of(value: &str) -> Self {
        Setting(Some(value.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SettingVisitor)
    }
}

struct SettingVisitor;

impl de::Visitor<'_> for SettingVisitor {
    type Value = Setting;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header field's value, or `off`")
    }

    /// Some YAML readers take a plain `off` for a boolean.
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Setting, E> {
        if value { Err(E::invalid_type(de::Unexpected::Bool(value), &self)) } else { Ok(Setting(None)) }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Setting, E> {
        Ok(if value == "off" { Setting(None) } else { Setting::of(value) })
    }
}

impl JsonSchema for Setting {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Setting")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "boolean"], "not": { "const": true }, "description": "a header field's value, or `off`" })
    }
}
