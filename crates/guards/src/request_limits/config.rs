//! The settings of `request_limits`.

use bartizan_model::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

/// How large a request may be. Each bound has a default that ordinary APIs never reach.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The largest request body. Default: the API's own `max_body`, which is `10MiB` unless it is written.
    pub max_body: Option<ByteSize>,
    /// The longest query, without the `?`. Default: `8KiB`.
    pub max_query_bytes: ByteSize,
    /// The most query parameters (pieces between `&`). Default: 256.
    pub max_query_parameters: usize,
    /// The most header fields. Default: 100.
    pub max_headers: usize,
    /// The largest single header field, name and value together. Default: `16KiB`.
    pub max_header_bytes: ByteSize,
    /// The most path segments. Default: 64.
    pub max_path_segments: usize,
    /// The permitted methods, in capitals; `GET` permits `HEAD`. Default: empty, every method but `TRACE`.
    pub methods: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_body: None,
            max_query_bytes: ByteSize(8 << 10),
            max_query_parameters: 256,
            max_headers: 100,
            max_header_bytes: ByteSize(16 << 10),
            max_path_segments: 64,
            methods: Vec::new(),
        }
    }
}
