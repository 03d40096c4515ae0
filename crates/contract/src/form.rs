//! The normal form of a contract: what every version of OpenAPI is read into, and the only thing that checks traffic.

use std::sync::Arc;

use bartizan_model::{compile::OperationSpec, diagnostic::Place};
use bartizan_pattern::template::Template;
use http::Method;

pub use crate::schemas::{Dialect, SchemaDocument, SchemaRef, Schemas};

/// What an OpenAPI document says of an API, with everything that it refers to.
#[derive(Clone, Debug)]
pub struct Description {
    /// `info.title`.
    pub title: String,
    /// `info.version`.
    pub version: String,
    /// Which version of OpenAPI the document is written in.
    pub openapi: OpenApi,
    /// The paths of `servers`, or `basePath`: without a slash at the end, empty for the root, each once.
    pub base_paths: Vec<String>,
    /// The hosts of `servers`, or `host`: lower case, without port, each once; empty where the document names none.
    pub hosts: Vec<String>,
    /// The servers, of the document, its paths and its operations, variables replaced by their defaults.
    pub servers: Vec<Server>,
    /// The security schemes that the document defines.
    pub security_schemes: Vec<SecurityScheme>,
    /// The operations, in document order. No two have the same method and the same shape of path.
    pub operations: Vec<Operation>,
    /// Every schema that an operation uses or that the document defines.
    pub schemas: Schemas,
    /// The files that were read, the document itself first, as the reader knows them.
    pub files: Vec<String>,
}

/// A version of OpenAPI, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpenApi {
    /// Swagger 2.0.
    V2,
    /// OpenAPI 3.0.x.
    V3_0,
    /// OpenAPI 3.1.x.
    V3_1,
    /// OpenAPI 3.2.x.
    V3_2,
}

/// Where the API is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its URL, variables replaced by their defaults; relative ones are kept as they are.
    pub url: String,
    /// Where it is written.
    pub place: Option<Place>,
}

/// A way to prove who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityScheme {
    /// Its name in the contract.
    pub name: Arc<str>,
    /// What it is.
    pub kind: SchemeType,
    /// Where it is written.
    pub place: Option<Place>,
}

/// The kinds of security schemes (OpenAPI 3.1 section 4.8.27).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemeType {
    /// A key in a parameter.
    ApiKey {
        /// Where it is sent.
        location: Location,
        /// The name of the parameter; of a header in lower case.
        name: Box<str>,
    },
    /// A scheme of HTTP authentication, in lower case: `basic`, `bearer`, ..
    Http(Box<str>),
    /// A client certificate.
    MutualTls,
    /// OAuth 2.
    OAuth2 {
        /// The grants that it describes, as their fields are called in OpenAPI 3: `implicit`, `password`,
        /// `clientCredentials`, `authorizationCode`, `deviceAuthorization`.
        flows: Vec<Box<str>>,
        /// The URLs at which tokens are asked for.
        urls: Vec<String>,
    },
    /// OpenID Connect, by its discovery document.
    OpenIdConnect(String),
    /// A type that is not known.
    Other(Box<str>),
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The method.
    pub method: Method,
    /// Its path, below the base path.
    pub template: Template,
    /// `operationId`.
    pub operation_id: Option<String>,
    /// Whether it is marked as deprecated.
    pub deprecated: bool,
    /// What decides about access: tags, `security`, typed values. Its label is `METHOD /template`.
    pub spec: OperationSpec,
    /// Whether only its method and path are known, because its description lies in a file that cannot be read: nothing
    /// else of it can be checked.
    pub opaque: bool,
    /// Its parameters: those of the path item, over which its own are laid. No two have the same place and name. A
    /// parameter of the template that nothing describes is here as [`ParameterValue::Anything`].
    pub parameters: Vec<Parameter>,
    /// The whole query as one value (OpenAPI 3.2, `in: querystring`); there are no query parameters beside it.
    pub query_string: Option<QueryString>,
    /// The body of requests; `None` where the contract describes none.
    pub body: Option<Body>,
    /// The responses, exact statuses first, then classes, then `default`.
    pub responses: Vec<Response>,
    /// Where it is written.
    pub place: Option<Place>,
}

/// The whole query as one value.
#[derive(Clone, Debug)]
pub struct QueryString {
    /// The name of its parameter, for messages only.
    pub name: Box<str>,
    /// Whether there has to be a query.
    pub required: bool,
    /// How it is written, and its schema.
    pub media: Media,
}

impl Operation {
    /// The response that describes a status: the exact one, its class, or the default (OpenAPI 3.1 section 4.8.16).
    #[must_use]
    pub fn response(&self, status: u16) -> Option<&Response> {
        let fits = |response: &&Response| match response.status {
            ResponseStatus::Exact(exact) => exact == status,
            ResponseStatus::Class(class) => u16::from(class) == status / 100,
            ResponseStatus::Default => true,
        };
        self.responses.iter().find(fits)
    }
}

/// One parameter of a request, or one header of a response or part.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name; of a header in lower case.
    pub name: Box<str>,
    /// Where it is sent.
    pub location: Location,
    /// How its value is written; decided even where the document leaves it out.
    pub style: Style,
    /// Whether each item or member is written as a parameter of its own.
    pub explode: bool,
    /// Whether reserved characters (RFC 3986 section 2.2) may stand in its value as they are.
    pub allow_reserved: bool,
    /// Whether its value may be empty whatever its schema says (OpenAPI 2.0 and 3.x, query only).
    pub allow_empty: bool,
    /// Whether it must be sent. Always true of parameters of the path.
    pub required: bool,
    /// Whether it is marked as deprecated.
    pub deprecated: bool,
    /// What its value must be.
    pub value: ParameterValue,
    /// Where it is written.
    pub place: Option<Place>,
}

/// What a parameter's value must be.
#[derive(Clone, Debug, PartialEq)]
pub enum ParameterValue {
    /// What a schema describes, written in the parameter's style.
    Schema(SchemaRef),
    /// A text of this media type (`content`).
    Content(Box<Media>),
    /// The document does not say.
    Anything,
}

/// Where a parameter is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Location {
    /// A part of the path.
    Path,
    /// The query.
    Query,
    /// A header field.
    Header,
    /// A cookie.
    Cookie,
}

impl Location {
    /// As `in:` writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Location::Path => "path",
            Location::Query => "query",
            Location::Header => "header",
            Location::Cookie => "cookie",
        }
    }
}

/// How the value of a parameter is written (OpenAPI 3.1 section 4.8.12.2, 3.2 section 4.12.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    /// `color=blue,black` or `color=blue&color=black`.
    Form,
    /// `blue,black`.
    Simple,
    /// `.blue.black`.
    Label,
    /// `;color=blue,black`.
    Matrix,
    /// `color=blue%20black`.
    SpaceDelimited,
    /// `color=blue%7Cblack`.
    PipeDelimited,
    /// `color=blue%09black`: `collectionFormat: tsv` of Swagger 2.0.
    TabDelimited,
    /// `color[R]=100&color[G]=200`.
    DeepObject,
    /// `color=blue; color=black`, without percent-encoding (OpenAPI 3.2).
    Cookie,
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// Whether there must be one.
    pub required: bool,
    /// What it may be. Empty where the document names no media type.
    pub media: Vec<Media>,
    /// Where it is written.
    pub place: Option<Place>,
}

/// One media type of a body, with what it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    /// Which media types this describes.
    pub range: MediaRange,
    /// What the whole must be; anything where it is `None`.
    pub schema: Option<SchemaRef>,
    /// What each item of a stream must be (OpenAPI 3.2, `itemSchema`).
    pub item_schema: Option<SchemaRef>,
    /// How the properties of a form are written; a property that is not here is written by the defaults of its media type
    /// and schema (OpenAPI 3.1 section 4.8.15).
    pub encodings: Vec<Encoding>,
    /// How the parts of an unnamed sequence are written, by their number (OpenAPI 3.2, `prefixEncoding`).
    pub prefix_encodings: Vec<Encoding>,
    /// How the parts after those are written (OpenAPI 3.2, `itemEncoding`).
    pub item_encoding: Option<Encoding>,
    /// Where it is written.
    pub place: Option<Place>,
}

/// How one property of a form, or one part of a multipart body, is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoding {
    /// The property; empty for parts without a name.
    pub property: Box<str>,
    /// The media types that the part may have; empty for the default.
    pub content_types: Vec<MediaRange>,
    /// The headers of the part besides `Content-Type`.
    pub headers: Vec<Parameter>,
    /// The style, where the document states any of `style`, `explode` and `allowReserved`; the media type then counts for
    /// nothing.
    pub style: Option<Style>,
    /// Whether each item or member is written on its own; the default of the style where the document does not say.
    pub explode: bool,
    /// Whether reserved characters may stand in its value as they are.
    pub allow_reserved: bool,
}

/// One response.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// Which statuses it describes.
    pub status: ResponseStatus,
    /// The headers that it names, `Content-Type` left out (OpenAPI 3.1 section 4.8.17).
    pub headers: Vec<Parameter>,
    /// What its body may be; empty where it describes none.
    pub media: Vec<Media>,
    /// Where it is written.
    pub place: Option<Place>,
}

/// The statuses that a response describes, the most specific first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResponseStatus {
    /// One status.
    Exact(u16),
    /// `2XX`: the first digit.
    Class(u8),
    /// Whatever is not described otherwise.
    Default,
}

/// A media type, or a range of them, as the key of a content map: `application/json`, `text/*`, `*/*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MediaRange {
    essence: Box<str>,
    parameters: Vec<(Box<str>, Box<str>)>,
}

impl MediaRange {
    /// Reads `type/subtype; name=value` (RFC 9110 sections 8.3.1 and 12.5.1). A text without `/` is kept as it is: it
    /// matches nothing.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut pieces = text.split(';');
        let essence = pieces.next().unwrap_or_default().trim().to_ascii_lowercase().into_boxed_str();
        let parameters = pieces
            .filter_map(|piece| piece.split_once('='))
            .map(|(name, value)| {
                let name = name.trim().to_ascii_lowercase();
                (name.into_boxed_str(), Box::from(value.trim().trim_matches('"')))
            })
            .collect();
        MediaRange { essence, parameters }
    }

    /// `type/subtype` in lower case, without parameters.
    #[must_use]
    pub fn essence(&self) -> &str {
        &self.essence
    }

    /// The parameters that the document demands, names in lower case.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether it stands for more than one media type.
    #[must_use]
    pub fn is_range(&self) -> bool {
        &*self.essence == "*" || self.essence.ends_with("/*")
    }

    /// How specific it is: one type, a range of subtypes, everything (RFC 9110 section 12.5.1), then the number of
    /// parameters.
    #[must_use]
    pub fn specificity(&self) -> (u8, usize) {
        let class = match &*self.essence {
            "*/*" | "*" => 0,
            essence if essence.ends_with("/*") => 1,
            _ => 2,
        };
        (class, self.parameters.len())
    }

    /// Whether a media type, in lower case and without parameters, lies in the range.
    #[must_use]
    pub fn contains(&self, essence: &str) -> bool {
        match &*self.essence {
            "*/*" | "*" => essence.contains('/'),
            own => match own.strip_suffix('*') {
                Some(prefix) if prefix.ends_with('/') => essence.starts_with(prefix),
                _ => own == essence,
            },
        }
    }

    /// Whether it is JSON: `application/json`, `text/json` or a type with the suffix `+json`.
    #[must_use]
    pub fn is_json(&self) -> bool {
        matches!(&*self.essence, "application/json" | "text/json") || self.essence.ends_with("+json")
    }
}

impl std::fmt::Display for MediaRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.essence)?;
        self.parameters.iter().try_for_each(|(name, value)| write!(f, "; {name}={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_they_stand_for() {
        let of = MediaRange::parse;
        assert!(of("Application/JSON; charset=\"utf-8\"").contains("application/json"));
        assert_eq!(of("Application/JSON; Charset=\"utf-8\"").to_string(), "application/json; charset=utf-8");
        assert!(of("text/*").contains("text/plain") && !of("text/*").contains("textual/plain"));
        assert!(of("*/*").contains("a/b") && !of("json").contains("application/json"));
        assert!(of("application/problem+json").is_json() && !of("application/*").is_json());
        let mut ranges = [of("*/*"), of("text/*"), of("text/plain;a=b"), of("text/plain")];
        ranges.sort_by_key(|range| std::cmp::Reverse(range.specificity()));
        assert_eq!(ranges.map(|r| r.to_string()), ["text/plain; a=b", "text/plain", "text/*", "*/*"]);
    }
}
