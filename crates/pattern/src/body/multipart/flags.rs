//! What may be irregular or wrong in a multipart body.

use std::fmt;

/// An irregularity that ModSecurity has a variable for, or that is worth one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MultipartFlag {
    /// The boundary in `Content-Type` is in quotes.
    BoundaryQuoted,
    /// There is white space around the boundary's equals sign.
    BoundaryWhitespace,
    /// There are lines before the first boundary.
    DataBefore,
    /// There are bytes behind the last boundary.
    DataAfter,
    /// A header field goes on in a second line.
    HeaderFolding,
    /// A boundary or header line, or one right before a boundary, ends with a bare line feed.
    LfLine,
    /// Some of these lines end with CRLF and some with a bare line feed.
    CrlfLfLines,
    /// No semicolon stands before the boundary in `Content-Type`.
    MissingSemicolon,
    /// A name or file name is in single quotes, or has one inside and no double quotes around it.
    InvalidQuoting,
    /// A part has no name, a `Content-Disposition` that is not valid, or no line of data.
    InvalidPart,
    /// A header field goes on in a line that does not begin with a space or tab.
    InvalidHeaderFolding,
    /// There are more files than allowed.
    FileLimitExceeded,
    /// Something looks like a boundary and is none.
    UnmatchedBoundary,
    /// Two parts have the same name: usual for lists, and not part of strictness.
    DuplicateName,
    /// A part has a `filename*`, which RFC 7578 section 4.2 forbids.
    ExtendedFilename,
}

impl MultipartFlag {
    /// Every flag.
    pub const ALL: [MultipartFlag; 15] = [
        MultipartFlag::BoundaryQuoted,
        MultipartFlag::BoundaryWhitespace,
        MultipartFlag::DataBefore,
        MultipartFlag::DataAfter,
        MultipartFlag::HeaderFolding,
        MultipartFlag::LfLine,
        MultipartFlag::CrlfLfLines,
        MultipartFlag::MissingSemicolon,
        MultipartFlag::InvalidQuoting,
        MultipartFlag::InvalidPart,
        MultipartFlag::InvalidHeaderFolding,
        MultipartFlag::FileLimitExceeded,
        MultipartFlag::UnmatchedBoundary,
        MultipartFlag::DuplicateName,
        MultipartFlag::ExtendedFilename,
    ];

    /// The variable of the rule language; none for the flags that are ours. `MULTIPART_MISSING_SEMICOLON` is also known
    /// as `MULTIPART_SEMICOLON_MISSING`.
    #[must_use]
    pub fn variable(self) -> Option<&'static str> {
        Some(match self {
            MultipartFlag::BoundaryQuoted => "MULTIPART_BOUNDARY_QUOTED",
            MultipartFlag::BoundaryWhitespace => "MULTIPART_BOUNDARY_WHITESPACE",
            MultipartFlag::DataBefore => "MULTIPART_DATA_BEFORE",
            MultipartFlag::DataAfter => "MULTIPART_DATA_AFTER",
            MultipartFlag::HeaderFolding => "MULTIPART_HEADER_FOLDING",
            MultipartFlag::LfLine => "MULTIPART_LF_LINE",
            MultipartFlag::CrlfLfLines => "MULTIPART_CRLF_LF_LINES",
            MultipartFlag::MissingSemicolon => "MULTIPART_MISSING_SEMICOLON",
            MultipartFlag::InvalidQuoting => "MULTIPART_INVALID_QUOTING",
            MultipartFlag::InvalidPart => "MULTIPART_INVALID_PART",
            MultipartFlag::InvalidHeaderFolding => "MULTIPART_INVALID_HEADER_FOLDING",
            MultipartFlag::FileLimitExceeded => "MULTIPART_FILE_LIMIT_EXCEEDED",
            MultipartFlag::UnmatchedBoundary => "MULTIPART_UNMATCHED_BOUNDARY",
            MultipartFlag::DuplicateName | MultipartFlag::ExtendedFilename => return None,
        })
    }
}

/// A set of flags.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct MultipartFlags(u32);

impl MultipartFlags {
    /// Those that set `MULTIPART_STRICT_ERROR`.
    const STRICT: MultipartFlags = MultipartFlags(
        1 << MultipartFlag::BoundaryQuoted as u32
            | 1 << MultipartFlag::BoundaryWhitespace as u32
            | 1 << MultipartFlag::DataBefore as u32
            | 1 << MultipartFlag::DataAfter as u32
            | 1 << MultipartFlag::HeaderFolding as u32
            | 1 << MultipartFlag::LfLine as u32
            | 1 << MultipartFlag::MissingSemicolon as u32
            | 1 << MultipartFlag::InvalidQuoting as u32
            | 1 << MultipartFlag::InvalidPart as u32
            | 1 << MultipartFlag::InvalidHeaderFolding as u32
            | 1 << MultipartFlag::FileLimitExceeded as u32,
    );

    /// Whether a flag is set.
    #[must_use]
    pub fn contains(self, flag: MultipartFlag) -> bool {
        self.0 & 1 << flag as u32 != 0
    }

    /// Whether none is set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of `MULTIPART_STRICT_ERROR`.
    #[must_use]
    pub fn strict(self) -> MultipartFlags {
        MultipartFlags(self.0 & Self::STRICT.0)
    }

    /// The flags that are set.
    pub fn iter(self) -> impl Iterator<Item = MultipartFlag> {
        MultipartFlag::ALL.into_iter().filter(move |flag| self.contains(*flag))
    }

    pub(super) fn set(&mut self, flag: MultipartFlag) {
        self.0 |= 1 << flag as u32;
    }

    pub(super) fn add(&mut self, flags: MultipartFlags) {
        self.0 |= flags.0;
    }
}

impl fmt::Debug for MultipartFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The first thing that is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultipartError {
    /// The offset in the body of the line that is wrong; 0 for what is wrong in `Content-Type`.
    pub offset: usize,
    /// What is wrong.
    pub problem: MultipartProblem,
}

/// What is wrong with a multipart body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultipartProblem {
    /// `Content-Type` is longer than 1,024 bytes.
    ContentTypeTooLong,
    /// `Content-Type` is not `multipart/..`.
    NotMultipart,
    /// The parameters of `Content-Type` are not well formed.
    ContentTypeMalformed,
    /// `Content-Type` has no boundary.
    BoundaryMissing,
    /// `Content-Type` has two boundaries, or the word inside one.
    BoundaryDuplicate,
    /// The parameter is not written in lower case, which not every reader finds.
    BoundaryCase,
    /// The boundary is empty or longer than 70 bytes (RFC 2046 section 5.1.1).
    BoundaryLength,
    /// The boundary has characters that RFC 2046 section 5.1.1 does not allow.
    BoundaryCharacters,
    /// The boundary has a quote on one side only.
    BoundaryQuote,
    /// No boundary is in the body.
    NoBoundaryLine,
    /// The last boundary is missing.
    FinalBoundaryMissing,
    /// A line begins with the boundary and goes on.
    BoundaryLine,
    /// White space or a quote stands before a boundary that would fit.
    BoundaryLineDecorated,
    /// A NUL byte in a header field.
    HeaderNul,
    /// A header field has no colon.
    HeaderColon,
    /// A header field has no name, or one that is no token.
    HeaderName,
    /// A header field comes twice in a part.
    HeaderDuplicate,
    /// A continued line with no field before it.
    HeaderFolding,
    /// A header field is too long.
    HeaderTooLong,
    /// A part has too many header fields.
    TooManyHeaders,
    /// A part of a form has no `Content-Disposition`.
    DispositionMissing,
    /// `Content-Disposition` of a part is not well formed, or says twice or strangely what it says.
    Disposition,
    /// A part of a form has no name, or an empty one.
    NameMissing,
    /// A part ends inside its header, or right behind it: no line of data is before the boundary.
    BodyMissing,
    /// There are too many parts.
    TooManyParts,
    /// The body has 4 GiB or more, which spans cannot say.
    BodyTooLong,
}

impl MultipartProblem {
    /// A stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            MultipartProblem::ContentTypeTooLong => "multipart.content_type_too_long",
            MultipartProblem::NotMultipart => "multipart.not_multipart",
            MultipartProblem::ContentTypeMalformed => "multipart.content_type_malformed",
            MultipartProblem::BoundaryMissing => "multipart.boundary_missing",
            MultipartProblem::BoundaryDuplicate => "multipart.boundary_duplicate",
            MultipartProblem::BoundaryCase => "multipart.boundary_case",
            MultipartProblem::BoundaryLength => "multipart.boundary_length",
            MultipartProblem::BoundaryCharacters => "multipart.boundary_characters",
            MultipartProblem::BoundaryQuote => "multipart.boundary_quote",
            MultipartProblem::NoBoundaryLine => "multipart.no_boundary_line",
            MultipartProblem::FinalBoundaryMissing => "multipart.final_boundary_missing",
            MultipartProblem::BoundaryLine => "multipart.boundary_line",
            MultipartProblem::BoundaryLineDecorated => "multipart.boundary_line_decorated",
            MultipartProblem::HeaderNul => "multipart.header_nul",
            MultipartProblem::HeaderColon => "multipart.header_colon",
            MultipartProblem::HeaderName => "multipart.header_name",
            MultipartProblem::HeaderDuplicate => "multipart.header_duplicate",
            MultipartProblem::HeaderFolding => "multipart.header_folding",
            MultipartProblem::HeaderTooLong => "multipart.header_too_long",
            MultipartProblem::TooManyHeaders => "multipart.too_many_headers",
            MultipartProblem::DispositionMissing => "multipart.disposition_missing",
            MultipartProblem::Disposition => "multipart.disposition",
            MultipartProblem::NameMissing => "multipart.name_missing",
            MultipartProblem::BodyMissing => "multipart.body_missing",
            MultipartProblem::TooManyParts => "multipart.too_many_parts",
            MultipartProblem::BodyTooLong => "multipart.body_too_long",
        }
    }

    /// Whether the body is refused for its size, not for being wrong.
    #[must_use]
    pub fn is_limit(self) -> bool {
        matches!(
            self,
            MultipartProblem::HeaderTooLong
                | MultipartProblem::TooManyHeaders
                | MultipartProblem::TooManyParts
                | MultipartProblem::BodyTooLong
        )
    }

    fn text(self) -> &'static str {
        match self {
            MultipartProblem::ContentTypeTooLong => "`Content-Type` is too long",
            MultipartProblem::NotMultipart => "`Content-Type` is not `multipart`",
            MultipartProblem::ContentTypeMalformed => "the parameters of `Content-Type` are malformed",
            MultipartProblem::BoundaryMissing => "`Content-Type` has no `boundary`",
            MultipartProblem::BoundaryDuplicate => "`Content-Type` has more than one `boundary`",
            MultipartProblem::BoundaryCase => "`boundary` is not in lower case",
            MultipartProblem::BoundaryLength => "the boundary has no bytes or more than 70",
            MultipartProblem::BoundaryCharacters => "the boundary has characters that are not allowed",
            MultipartProblem::BoundaryQuote => "the boundary has a quote on one side only",
            MultipartProblem::NoBoundaryLine => "no boundary is in the body",
            MultipartProblem::FinalBoundaryMissing => "the last boundary is missing",
            MultipartProblem::BoundaryLine => "a line begins with the boundary and goes on",
            MultipartProblem::BoundaryLineDecorated => "white space or a quote stands before a boundary",
            MultipartProblem::HeaderNul => "a part's header has a NUL byte",
            MultipartProblem::HeaderColon => "a part's header field has no colon",
            MultipartProblem::HeaderName => "a part's header field has no valid name",
            MultipartProblem::HeaderDuplicate => "a header field comes twice in a part",
            MultipartProblem::HeaderFolding => "a continued header line has no field before it",
            MultipartProblem::HeaderTooLong => "a part's header field is too long",
            MultipartProblem::TooManyHeaders => "a part has too many header fields",
            MultipartProblem::DispositionMissing => "a part has no `Content-Disposition`",
            MultipartProblem::Disposition => "a part's `Content-Disposition` is not valid",
            MultipartProblem::NameMissing => "a part has no name",
            MultipartProblem::BodyMissing => "a part ends without a line of data",
            MultipartProblem::TooManyParts => "there are too many parts",
            MultipartProblem::BodyTooLong => "the body is too long",
        }
    }
}

impl fmt::Display for MultipartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a valid multipart body at byte {}: {}", self.offset, self.problem.text())
    }
}

impl std::error::Error for MultipartError {}
