//! Why a body was not read: every reason of every reader under one name each.

use std::fmt;

use super::{
    charset::CharsetError,
    decode::{DecodeError, DecodeProblem},
    form::FormError,
    json::JsonError,
    media_type::MediaTypeError,
    multipart::MultipartError,
    xml::XmlError,
};

/// Why a body was not read, or not to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreadableReason {
    /// It is longer than it may be.
    TooLong,
    /// It has bytes and no media type.
    MediaTypeMissing,
    /// Its media type is none.
    MediaType(MediaTypeError),
    /// Its media type is one that is not read here.
    UnknownType,
    /// Its content coding.
    Decode(DecodeError),
    /// Its charset.
    Charset(CharsetError),
    /// It is no JSON document.
    Json(JsonError),
    /// It is a form beyond a limit.
    Form(FormError),
    /// Its parts.
    Multipart(MultipartError),
    /// It is no XML document.
    Xml(XmlError),
}

impl UnreadableReason {
    /// A stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            UnreadableReason::TooLong => "body.too_long",
            UnreadableReason::MediaTypeMissing | UnreadableReason::MediaType(MediaTypeError::Empty) => {
                "body.media_type_missing"
            }
            UnreadableReason::MediaType(_) => "body.media_type_malformed",
            UnreadableReason::UnknownType => "body.unknown_type",
            UnreadableReason::Decode(error) => error.problem.code(),
            UnreadableReason::Charset(error) => error.code(),
            UnreadableReason::Json(error) => error.problem.code(),
            UnreadableReason::Form(error) => error.problem.code(),
            UnreadableReason::Multipart(error) => error.problem.code(),
            UnreadableReason::Xml(error) => error.problem.code(),
        }
    }

    /// What kind of reason it is, which policies tell apart.
    #[must_use]
    pub fn class(self) -> UnreadableClass {
        let over = match self {
            UnreadableReason::TooLong => true,
            UnreadableReason::MediaTypeMissing
            | UnreadableReason::MediaType(_)
            | UnreadableReason::UnknownType
            | UnreadableReason::Decode(DecodeError { problem: DecodeProblem::UnknownCoding, .. })
            | UnreadableReason::Charset(CharsetError::Unknown | CharsetError::Utf7) => {
                return UnreadableClass::UnknownType;
            }
            UnreadableReason::Decode(error) => error.problem.is_limit(),
            UnreadableReason::Charset(error) => error == CharsetError::TooLong,
            UnreadableReason::Json(error) => error.problem.is_limit(),
            UnreadableReason::Form(_) => true,
            UnreadableReason::Multipart(error) => error.problem.is_limit(),
            UnreadableReason::Xml(error) => error.problem.is_limit(),
        };
        if over { UnreadableClass::OverLimit } else { UnreadableClass::Undecodable }
    }
}

/// The three ways in which a body is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnreadableClass {
    /// It is beyond a limit.
    OverLimit,
    /// It is not what it says that it is.
    Undecodable,
    /// What it says that it is, is not read here.
    UnknownType,
}

impl fmt::Display for UnreadableReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnreadableReason::TooLong => f.write_str("the body is too long"),
            UnreadableReason::MediaTypeMissing | UnreadableReason::MediaType(MediaTypeError::Empty) => {
                f.write_str("the body has no `Content-Type`")
            }
            UnreadableReason::MediaType(_) => f.write_str("`Content-Type` is no media type"),
            UnreadableReason::UnknownType => f.write_str("the media type is not read"),
            UnreadableReason::Decode(error) => error.fmt(f),
            UnreadableReason::Charset(error) => error.fmt(f),
            UnreadableReason::Json(error) => error.fmt(f),
            UnreadableReason::Form(error) => error.fmt(f),
            UnreadableReason::Multipart(error) => error.fmt(f),
            UnreadableReason::Xml(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for UnreadableReason {}
