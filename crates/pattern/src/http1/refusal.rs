//! Why the bytes of a client are refused: codes, statuses and details.

/// Why a request is refused before anything decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadRefusal {
    /// More than one empty line before the request line.
    EmptyLines,
    /// Not `METHOD SP target SP version`.
    RequestLine,
    /// A method that is no token, is over 32 bytes or holds lower-case letters.
    Method,
    /// CONNECT: nobody tunnels through a gateway of APIs.
    Connect,
    /// TRACE or TRACK: they echo credentials.
    Trace,
    /// A version other than 1.1 and 1.0.
    Version,
    /// A target with control, space, non-ASCII or `#`, or of a form that the method does not have.
    Target,
    /// The target is longer than allowed.
    TargetTooLong,
    /// The head is longer than allowed.
    HeadTooLarge,
    /// More fields than allowed.
    TooManyFields,
    /// A line that ends in LF alone.
    BareLf,
    /// CR that is not followed by LF.
    BareCr,
    /// White space before the first field.
    LeadingSpace,
    /// A field value continued on the next line (RFC 9112 section 5.2).
    ObsFold,
    /// White space between a field's name and the colon.
    SpaceBeforeColon,
    /// A field name that is no token.
    FieldName,
    /// A control character in a field value.
    FieldValue,
    /// No `Host`.
    NoHost,
    /// More than one `Host`.
    TwoHosts,
    /// `Host` is not a name or address with an optional port.
    BadHost,
    /// The authority of an absolute-form target is not that of `Host`.
    HostMismatch,
    /// `Transfer-Encoding` is not exactly `chunked`.
    TransferEncoding,
    /// A transfer coding that is not understood.
    TransferCoding,
    /// More than one `Transfer-Encoding`.
    TwoTransferEncodings,
    /// `Transfer-Encoding` in HTTP/1.0.
    TransferEncodingInOldVersion,
    /// Both `Content-Length` and `Transfer-Encoding`.
    TwoFramings,
    /// `Content-Length` is not a plain decimal number below 2^63.
    ContentLength,
    /// More than one `Content-Length`.
    TwoContentLengths,
    /// A field that some servers take for `Host`, `Content-Length` or `Transfer-Encoding`, such as `Content_Length`.
    FramingLookAlike,
    /// `Connection` is no list of tokens, or names a field that is meant for the upstream.
    Connection,
    /// A chunk size that is not 1 to 16 hexadecimal digits and below 2^63.
    ChunkSize,
    /// Chunk extensions that break RFC 9112 section 7.1.1, or are longer than allowed.
    ChunkExtension,
    /// Chunk data that is not followed by CRLF.
    ChunkEnd,
    /// A trailer field that frames, routes, authenticates or describes the content (RFC 9110 section 6.5.1).
    ForbiddenTrailer,
}

impl HeadRefusal {
    /// Every refusal, for tables and documents.
    pub const ALL: [HeadRefusal; 34] = [
        HeadRefusal::EmptyLines,
        HeadRefusal::RequestLine,
        HeadRefusal::Method,
        HeadRefusal::Connect,
        HeadRefusal::Trace,
        HeadRefusal::Version,
        HeadRefusal::Target,
        HeadRefusal::TargetTooLong,
        HeadRefusal::HeadTooLarge,
        HeadRefusal::TooManyFields,
        HeadRefusal::BareLf,
        HeadRefusal::BareCr,
        HeadRefusal::LeadingSpace,
        HeadRefusal::ObsFold,
        HeadRefusal::SpaceBeforeColon,
        HeadRefusal::FieldName,
        HeadRefusal::FieldValue,
        HeadRefusal::NoHost,
        HeadRefusal::TwoHosts,
        HeadRefusal::BadHost,
        HeadRefusal::HostMismatch,
        HeadRefusal::TransferEncoding,
        HeadRefusal::TransferCoding,
        HeadRefusal::TwoTransferEncodings,
        HeadRefusal::TransferEncodingInOldVersion,
        HeadRefusal::TwoFramings,
        HeadRefusal::ContentLength,
        HeadRefusal::TwoContentLengths,
        HeadRefusal::FramingLookAlike,
        HeadRefusal::Connection,
        HeadRefusal::ChunkSize,
        HeadRefusal::ChunkExtension,
        HeadRefusal::ChunkEnd,
        HeadRefusal::ForbiddenTrailer,
    ];

    /// Stable code, such as `ingress.two_hosts`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            HeadRefusal::EmptyLines => "ingress.empty_lines",
            HeadRefusal::RequestLine => "ingress.request_line",
            HeadRefusal::Method => "ingress.method",
            HeadRefusal::Connect => "ingress.method_connect",
            HeadRefusal::Trace => "ingress.method_trace",
            HeadRefusal::Version => "ingress.version",
            HeadRefusal::Target => "ingress.target",
            HeadRefusal::TargetTooLong => "ingress.target_too_long",
            HeadRefusal::HeadTooLarge => "ingress.head_too_large",
            HeadRefusal::TooManyFields => "ingress.too_many_fields",
            HeadRefusal::BareLf => "ingress.bare_lf",
            HeadRefusal::BareCr => "ingress.bare_cr",
            HeadRefusal::LeadingSpace => "ingress.leading_space",
            HeadRefusal::ObsFold => "ingress.obs_fold",
            HeadRefusal::SpaceBeforeColon => "ingress.space_before_colon",
            HeadRefusal::FieldName => "ingress.field_name",
            HeadRefusal::FieldValue => "ingress.field_value",
            HeadRefusal::NoHost => "ingress.no_host",
            HeadRefusal::TwoHosts => "ingress.two_hosts",
            HeadRefusal::BadHost => "ingress.bad_host",
            HeadRefusal::HostMismatch => "ingress.host_mismatch",
            HeadRefusal::TransferEncoding => "ingress.transfer_encoding",
            HeadRefusal::TransferCoding => "ingress.transfer_coding",
            HeadRefusal::TwoTransferEncodings => "ingress.two_transfer_encodings",
            HeadRefusal::TransferEncodingInOldVersion => "ingress.transfer_encoding_in_http_1_0",
            HeadRefusal::TwoFramings => "ingress.two_framings",
            HeadRefusal::ContentLength => "ingress.content_length",
            HeadRefusal::TwoContentLengths => "ingress.two_content_lengths",
            HeadRefusal::FramingLookAlike => "ingress.framing_look_alike",
            HeadRefusal::Connection => "ingress.connection",
            HeadRefusal::ChunkSize => "ingress.chunk_size",
            HeadRefusal::ChunkExtension => "ingress.chunk_extension",
            HeadRefusal::ChunkEnd => "ingress.chunk_end",
            HeadRefusal::ForbiddenTrailer => "ingress.forbidden_trailer",
        }
    }

    /// The status of the refusal.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            HeadRefusal::Trace => 405,
            HeadRefusal::TargetTooLong => 414,
            HeadRefusal::HeadTooLarge | HeadRefusal::TooManyFields => 431,
            HeadRefusal::Connect | HeadRefusal::TransferCoding => 501,
            HeadRefusal::Version => 505,
            _ => 400,
        }
    }

    /// Operator's detail.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            HeadRefusal::EmptyLines => "more than one empty line comes before the request line",
            HeadRefusal::RequestLine => "the request line is not `METHOD target HTTP/1.1` with single spaces",
            HeadRefusal::Method => "the method is not an upper-case token of at most 32 characters",
            HeadRefusal::Connect => "CONNECT is not offered",
            HeadRefusal::Trace => "TRACE is not offered, since it echoes credentials",
            HeadRefusal::Version => "the version is neither HTTP/1.1 nor HTTP/1.0",
            HeadRefusal::Target => {
                "the request target is malformed or of a form that the method does not have"
            }
            HeadRefusal::TargetTooLong => "the request target is longer than `target_bytes`",
            HeadRefusal::HeadTooLarge => "the request head or the trailer is longer than `header_bytes`",
            HeadRefusal::TooManyFields => "the request has more fields than `header_count`",
            HeadRefusal::BareLf => "a line ends in LF without CR",
            HeadRefusal::BareCr => "a line holds CR without LF",
            HeadRefusal::LeadingSpace => "white space comes before the first field",
            HeadRefusal::ObsFold => "a field value is continued on the next line",
            HeadRefusal::SpaceBeforeColon => "white space stands between a field name and its colon",
            HeadRefusal::FieldName => "a field name is not a token",
            HeadRefusal::FieldValue => "a field value holds a control character",
            HeadRefusal::NoHost => "the request has no `Host`",
            HeadRefusal::TwoHosts => "the request has more than one `Host`",
            HeadRefusal::BadHost => "`Host` is not a name or address with an optional port",
            HeadRefusal::HostMismatch => "the authority of the target is not that of `Host`",
            HeadRefusal::TransferEncoding => "`Transfer-Encoding` is not exactly `chunked`",
            HeadRefusal::TransferCoding => "`Transfer-Encoding` names a coding other than `chunked`",
            HeadRefusal::TwoTransferEncodings => "the request has more than one `Transfer-Encoding`",
            HeadRefusal::TransferEncodingInOldVersion => "an HTTP/1.0 request has `Transfer-Encoding`",
            HeadRefusal::TwoFramings => "the request has both `Content-Length` and `Transfer-Encoding`",
            HeadRefusal::ContentLength => "`Content-Length` is not a plain decimal number below 2^63",
            HeadRefusal::TwoContentLengths => "the request has more than one `Content-Length`",
            HeadRefusal::FramingLookAlike => {
                "a field name is read as `Host`, `Content-Length` or `Transfer-Encoding` by some servers"
            }
            HeadRefusal::Connection => {
                "`Connection` is malformed or names a field that is meant for the upstream"
            }
            HeadRefusal::ChunkSize => "a chunk size is not 1 to 16 hexadecimal digits and below 2^63",
            HeadRefusal::ChunkExtension => "a chunk extension is malformed or too long",
            HeadRefusal::ChunkEnd => "chunk data is not followed by CRLF",
            HeadRefusal::ForbiddenTrailer => {
                "the trailer holds a field that frames, routes, authenticates or describes"
            }
        }
    }
}
