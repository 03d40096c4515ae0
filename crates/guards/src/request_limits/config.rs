//! The settings of `request_limits`.

use bartizan_model::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

/// How large a request may be, and what its body has to be. Each bound has a default that ordinary APIs never reach.
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
    /// Bodies of the types that APIs parse: JSON (and `+json`), forms, multipart and XML (and `+xml`).
    pub bodies: Bodies,
}

/// What a body has to be that an API parses. Every bound counts whether or not a contract describes the body.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Bodies {
    /// What becomes of a body that is not what its `Content-Type` says, that readers disagree on, or that is beyond a bound
    /// below: `deny`, or `allow`, which reads no body. Default: `deny`.
    pub unreadable: Treatment,
    /// The largest body that is read. Default: `10MiB`.
    pub max_checked: ByteSize,
    /// What becomes of a larger one, where `max_body` permits it: `deny`, or `allow`, which lets it pass unread. Default:
    /// `deny`.
    pub larger: Treatment,
    /// The most bytes behind a content coding such as `gzip`. Default: `10MiB`.
    pub max_decoded: ByteSize,
    /// The most bytes behind a content coding for each byte of the body, where they are more than 256 KiB. Default: 100.
    #[schemars(range(min = 1))]
    pub max_ratio: u32,
    /// JSON documents.
    pub json: Json,
    /// Forms.
    pub form: Form,
    /// Bodies in parts.
    pub multipart: Multipart,
    /// XML documents. A document type declaration is always refused, and with it every entity of the document's own.
    pub xml: Xml,
}

/// What becomes of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Treatment {
    /// The request is refused.
    #[default]
    Deny,
    /// It passes.
    Allow,
}

/// Bounds of a JSON document.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Json {
    /// The most arrays and objects inside one another. Default: 100, below what common parsers give up at (127 and more).
    pub max_depth: u32,
    /// The most values and names in all. Default: 262144.
    pub max_values: u32,
    /// The most names of one object. Default: 10000.
    pub max_keys: u32,
    /// The longest string or name, as it is written. Default: `4MiB`.
    pub max_string: ByteSize,
    /// The most characters of a number. Default: 256.
    pub max_digits: u32,
    /// Numbers that no IEEE 754 double holds, such as `1e309`: parsers make infinity of them, an error, or a number.
    /// Default: `deny`.
    pub huge_numbers: Treatment,
    /// A name that comes twice in an object: parsers disagree on which of them counts. Default: `deny`. Where a contract
    /// describes the body, it refuses them whatever stands here.
    pub duplicate_keys: Treatment,
}

/// Bounds of a form.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Form {
    /// The most fields. Default: 1000.
    pub max_fields: u32,
}

/// Bounds of a body in parts.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Multipart {
    /// The most parts. Default: 1000.
    pub max_parts: u32,
    /// The most parts with a file name. Default: 100.
    pub max_files: u32,
}

/// Bounds of an XML document.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Xml {
    /// The most elements inside one another. Default: 100.
    pub max_depth: u32,
    /// The most elements, attributes, texts and comments in all. Default: 65536.
    pub max_nodes: u32,
    /// The most attributes of one element. Default: 256.
    pub max_attributes: u32,
}

impl Default for Bodies {
    fn default() -> Self {
        Bodies {
            unreadable: Treatment::Deny,
            max_checked: ByteSize(10 << 20),
            larger: Treatment::Deny,
            max_decoded: ByteSize(10 << 20),
            max_ratio: 100,
            json: Json::default(),
            form: Form::default(),
            multipart: Multipart::default(),
            xml: Xml::default(),
        }
    }
}

impl Default for Json {
    fn default() -> Self {
        Json {
            max_depth: 100,
            max_values: 1 << 18,
            max_keys: 10_000,
            max_string: ByteSize(4 << 20),
            max_digits: 256,
            huge_numbers: Treatment::Deny,
            duplicate_keys: Treatment::Deny,
        }
    }
}

impl Default for Form {
    fn default() -> Self {
        Form { max_fields: 1000 }
    }
}

impl Default for Multipart {
    fn default() -> Self {
        Multipart { max_parts: 1000, max_files: 100 }
    }
}

impl Default for Xml {
    fn default() -> Self {
        Xml { max_depth: 100, max_nodes: 1 << 16, max_attributes: 256 }
    }
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
            bodies: Bodies::default(),
        }
    }
}
