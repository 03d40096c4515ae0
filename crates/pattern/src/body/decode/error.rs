//! Why a body's codings could not be undone.

use std::fmt;

use super::Coding;

/// Why decoding ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The coding that it happened in, where there is one.
    pub coding: Option<Coding>,
    /// What happened.
    pub problem: DecodeProblem,
}

/// What is wrong with a coded body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeProblem {
    /// The coding is not known here.
    UnknownCoding,
    /// There are too many codings.
    TooManyCodings,
    /// The bytes are not of this coding, or damaged.
    Corrupt,
    /// The bytes end too early.
    Truncated,
    /// There are bytes behind the end.
    TrailingBytes,
    /// The output is too long.
    OutputTooLong,
    /// The output is too long for so little input.
    RatioTooHigh,
    /// There are too many members or frames.
    TooManyMembers,
    /// There are too many blocks for so little output.
    TooManyBlocks,
    /// The decoder would need too much memory.
    WindowTooLarge,
    /// A dictionary is needed that nobody has.
    Dictionary,
}

impl DecodeProblem {
    /// A stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            DecodeProblem::UnknownCoding => "decode.unknown_coding",
            DecodeProblem::TooManyCodings => "decode.too_many_codings",
            DecodeProblem::Corrupt => "decode.corrupt",
            DecodeProblem::Truncated => "decode.truncated",
            DecodeProblem::TrailingBytes => "decode.trailing_bytes",
            DecodeProblem::OutputTooLong => "decode.output_too_long",
            DecodeProblem::RatioTooHigh => "decode.ratio_too_high",
            DecodeProblem::TooManyMembers => "decode.too_many_members",
            DecodeProblem::TooManyBlocks => "decode.too_many_blocks",
            DecodeProblem::WindowTooLarge => "decode.window_too_large",
            DecodeProblem::Dictionary => "decode.dictionary",
        }
    }

    /// Whether the body is refused for its size, not for being wrong.
    #[must_use]
    pub fn is_limit(self) -> bool {
        matches!(
            self,
            DecodeProblem::TooManyCodings
                | DecodeProblem::OutputTooLong
                | DecodeProblem::RatioTooHigh
                | DecodeProblem::TooManyMembers
                | DecodeProblem::TooManyBlocks
                | DecodeProblem::WindowTooLarge
        )
    }

    fn text(self) -> &'static str {
        match self {
            DecodeProblem::UnknownCoding => "the content coding is not known",
            DecodeProblem::TooManyCodings => "there are too many content codings",
            DecodeProblem::Corrupt => "the body is not of its content coding",
            DecodeProblem::Truncated => "the coded body ends too early",
            DecodeProblem::TrailingBytes => "there are bytes behind the coded body",
            DecodeProblem::OutputTooLong => "the decoded body is too long",
            DecodeProblem::RatioTooHigh => "the decoded body is too long for its coded size",
            DecodeProblem::TooManyMembers => "the coded body has too many members",
            DecodeProblem::TooManyBlocks => "the coded body has too many blocks for so little output",
            DecodeProblem::WindowTooLarge => "the content coding needs too large a window",
            DecodeProblem::Dictionary => "the content coding needs a dictionary",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.coding {
            Some(coding) => write!(f, "`{}`: {}", coding.name(), self.problem.text()),
            None => f.write_str(self.problem.text()),
        }
    }
}

impl std::error::Error for DecodeError {}
