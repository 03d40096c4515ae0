//! The settings of `cors`.

use std::time::Duration;

use bartizan_model::Period;
use schemars::JsonSchema;
use serde::Deserialize;

/// Which other origins may call, and what of an answer their pages may read.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The origins that may call: `https://app.example.com`, `https://*.example.com` (any name below it, not itself),
    /// `null`, or `*` for every origin but `null`. Required.
    pub origins: Vec<String>,
    /// The methods that they may use, in capitals, or `*`. Default: `[GET, HEAD, POST]`.
    pub methods: Vec<String>,
    /// The request header fields that they may set, or `*`. Default: `[authorization, content-type]`.
    pub headers: Vec<String>,
    /// The response header fields that pages may read beyond the usual ones, or `*`. Default: empty.
    pub expose: Vec<String>,
    /// Whether cookies and client certificates may go along; excludes `*` everywhere. Default: `false`.
    pub credentials: bool,
    /// How long a browser may remember a preflight's answer. Default: `10m`.
    pub max_age: Period,
    /// Refuse actual requests of other origins too, instead of leaving that to the browser; a page of the API's own host
    /// is not another origin. Default: `false`.
    pub block_other_origins: bool,
}

impl Default for Config {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Config {
            origins: Vec::new(),
            methods: names(&["GET", "HEAD", "POST"]),
            headers: names(&["authorization", "content-type"]),
            expose: Vec::new(),
            credentials: false,
            max_age: Period(Duration::from_secs(600)),
            block_other_origins: false,
        }
    }
}
