//! Bodies of the types that APIs parse: whether they are what they say, and within bounds.

use std::borrow::Cow;

use bartizan_model::{ByteSize, CanonicalRequest};
use bartizan_pattern::body::{
    BodyLimits, Dispute, Reading, UnreadableReason,
    decode::{DecodeLimits, DecodeProblem},
    form::FormLimits,
    json::{JsonLimits, JsonProblem},
    media_type::{BodyKind, MediaType},
    multipart::{MultipartFlag, MultipartLimits, MultipartProblem},
    xml::{XmlLimits, XmlProblem},
};
use bartizan_pattern::body::{Content, charset::CharsetError};
use http::header;

use super::config::{Bodies, Treatment};

/// The longest pair of a form that is read: the body has its own limit.
const PAIR_BYTES: u32 = 1 << 30;

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is not what its type says.
    Malformed,
    /// It can be read, and is read differently by others.
    Disputed,
    /// Its charset.
    Charset,
    /// Its content coding.
    Coding,
    /// It is too long once it is decoded, or costs too much to decode.
    Decoded,
    /// JSON: arrays and objects inside one another.
    JsonDepth,
    /// JSON: values in all.
    JsonValues,
    /// JSON: names of one object.
    JsonKeys,
    /// JSON: one string, or all names that lead to a value.
    JsonString,
    /// JSON: one number.
    JsonNumber,
    /// JSON: a name that comes twice.
    JsonDuplicateKey,
    /// Fields of a form.
    FormFields,
    /// Parts, files, or header fields of a part.
    Parts,
    /// XML: elements inside one another.
    XmlDepth,
    /// XML: nodes in all, or attributes of one element.
    XmlNodes,
    /// XML: a document type declaration or an entity.
    XmlDtd,
}

/// How the body of a request is read, where it is of a type that APIs parse.
pub(super) fn kind(request: &CanonicalRequest) -> Option<BodyKind> {
    if request.content_length == Some(0) {
        return None;
    }
    let media = MediaType::parse(request.headers.get(header::CONTENT_TYPE)?.as_bytes()).ok()?;
    // Messages of gRPC have frames of their own, whatever is in them.
    let grpc = media.subtype().get(.."grpc".len()).is_some_and(|start| start.eq_ignore_ascii_case("grpc"));
    let kind = media.kind();
    let parsed = matches!(kind, BodyKind::Json | BodyKind::Form | BodyKind::Multipart | BodyKind::Xml);
    (parsed && !grpc).then_some(kind)
}

impl Bodies {
    /// What reading a body may cost.
    #[must_use]
    pub fn limits(&self) -> BodyLimits {
        limits(self)
    }

    /// What is wrong with a body that was read within these limits, and in words for operators.
    #[must_use]
    pub fn flaw(&self, reading: &Reading<'_>) -> Option<(Flaw, Cow<'static, str>)> {
        flaw(self, reading)
    }
}

fn limits(bodies: &Bodies) -> BodyLimits {
    let size = |size: ByteSize| usize::try_from(size.0).unwrap_or(usize::MAX);
    let short = |size: ByteSize| u32::try_from(size.0).unwrap_or(u32::MAX);
    let Bodies { json, form, multipart, xml, .. } = bodies;
    let decoded = size(bodies.max_decoded);
    BodyLimits {
        bytes: decoded.max(size(bodies.max_checked)),
        decode: DecodeLimits { output_bytes: decoded, ratio: bodies.max_ratio, ..DecodeLimits::default() },
        json: JsonLimits {
            depth: json.max_depth,
            nodes: json.max_values,
            keys: json.max_keys,
            string_bytes: short(json.max_string),
            number_bytes: json.max_digits,
            double_range: json.huge_numbers == Treatment::Deny,
            ..JsonLimits::default()
        },
        form: FormLimits { pairs: form.max_fields, pair_bytes: PAIR_BYTES, ..FormLimits::default() },
        multipart: MultipartLimits {
            parts: multipart.max_parts,
            files: multipart.max_files,
            ..MultipartLimits::default()
        },
        xml: XmlLimits { depth: xml.max_depth, nodes: xml.max_nodes, attributes: xml.max_attributes },
    }
}

fn flaw(bodies: &Bodies, reading: &Reading<'_>) -> Option<(Flaw, Cow<'static, str>)> {
    let parsed = match reading {
        Reading::Parsed(parsed) => parsed,
        Reading::Unreadable(unreadable) => {
            let reason = unreadable.reason;
            return Some((of_reason(reason), format!("{reason} ({})", reason.code()).into()));
        }
    };
    if let Content::Multipart(parts) = parsed.content
        && parts.flags().contains(MultipartFlag::FileLimitExceeded)
    {
        return Some((Flaw::Parts, "there are too many files".into()));
    }
    let dispute = parsed.dispute()?;
    let told = || Cow::Owned(format!("{dispute} ({})", dispute.code()));
    match dispute {
        Dispute::DuplicateKey if bodies.json.duplicate_keys == Treatment::Allow => None,
        Dispute::DuplicateKey => Some((Flaw::JsonDuplicateKey, told())),
        _ => Some((Flaw::Disputed, told())),
    }
}

fn of_reason(reason: UnreadableReason) -> Flaw {
    match reason {
        UnreadableReason::TooLong => Flaw::Decoded,
        UnreadableReason::MediaTypeMissing
        | UnreadableReason::MediaType(_)
        | UnreadableReason::UnknownType => Flaw::Malformed,
        UnreadableReason::Decode(error) => match error.problem {
            DecodeProblem::UnknownCoding => Flaw::Coding,
            problem if problem.is_limit() => Flaw::Decoded,
            _ => Flaw::Malformed,
        },
        UnreadableReason::Charset(CharsetError::Invalid { .. }) => Flaw::Malformed,
        UnreadableReason::Charset(CharsetError::TooLong) => Flaw::Decoded,
        UnreadableReason::Charset(_) => Flaw::Charset,
        UnreadableReason::Json(error) => match error.problem {
            JsonProblem::TooDeep => Flaw::JsonDepth,
            JsonProblem::TooManyNodes | JsonProblem::DocumentTooLong => Flaw::JsonValues,
            JsonProblem::TooManyKeys => Flaw::JsonKeys,
            JsonProblem::StringTooLong | JsonProblem::PathTooLong => Flaw::JsonString,
            JsonProblem::NumberTooLong | JsonProblem::NumberTooLarge => Flaw::JsonNumber,
            _ => Flaw::Malformed,
        },
        UnreadableReason::Form(_) => Flaw::FormFields,
        UnreadableReason::Multipart(error) => match error.problem {
            MultipartProblem::TooManyParts
            | MultipartProblem::TooManyHeaders
            | MultipartProblem::HeaderTooLong
            | MultipartProblem::BodyTooLong => Flaw::Parts,
            _ => Flaw::Malformed,
        },
        UnreadableReason::Xml(error) => match error.problem {
            XmlProblem::TooDeep => Flaw::XmlDepth,
            XmlProblem::TooManyNodes | XmlProblem::TooManyAttributes | XmlProblem::DocumentTooLong => {
                Flaw::XmlNodes
            }
            XmlProblem::Dtd | XmlProblem::Entity => Flaw::XmlDtd,
            _ => Flaw::Malformed,
        },
    }
}
