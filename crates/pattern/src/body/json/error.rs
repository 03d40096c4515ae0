//! Why bytes are no JSON document that is let through, and where.

use std::fmt;

/// The first thing that is wrong with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// The offset of the byte that is wrong, or of the value that is over a limit.
    pub offset: usize,
    /// What is wrong there.
    pub problem: JsonProblem,
}

/// What is wrong with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonProblem {
    /// The bytes end before the document does.
    UnexpectedEnd,
    /// No value begins here.
    ExpectedValue,
    /// A key should be here.
    ExpectedKey,
    /// A colon should be here.
    ExpectedColon,
    /// A comma or the end of the array or object should be here.
    ExpectedCommaOrEnd,
    /// There are bytes behind the document.
    TrailingBytes,
    /// A control character inside a string is not escaped.
    ControlInString,
    /// A backslash with what may not follow it.
    InvalidEscape,
    /// A `\u` escape of half a character.
    LoneSurrogate,
    /// A number that is not written as section 6 says.
    InvalidNumber,
    /// A word that begins like `true`, `false` or `null`, and is not.
    InvalidLiteral,
    /// The bytes are not UTF-8 (section 8.1).
    InvalidUtf8,
    /// A byte order mark (section 8.1).
    ByteOrderMark,
    /// Arrays and objects are nested too deeply.
    TooDeep,
    /// There are too many values and keys.
    TooManyNodes,
    /// An object has too many keys.
    TooManyKeys,
    /// A string or key is too long.
    StringTooLong,
    /// A number is too long.
    NumberTooLong,
    /// A number is beyond what a double holds.
    NumberTooLarge,
    /// The keys that lead to a value are too long together.
    PathTooLong,
    /// The document has 4 GiB or more, which spans cannot say.
    DocumentTooLong,
}

impl JsonProblem {
    /// A stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            JsonProblem::UnexpectedEnd => "json.unexpected_end",
            JsonProblem::ExpectedValue => "json.expected_value",
            JsonProblem::ExpectedKey => "json.expected_key",
            JsonProblem::ExpectedColon => "json.expected_colon",
            JsonProblem::ExpectedCommaOrEnd => "json.expected_comma_or_end",
            JsonProblem::TrailingBytes => "json.trailing_bytes",
            JsonProblem::ControlInString => "json.control_in_string",
            JsonProblem::InvalidEscape => "json.invalid_escape",
            JsonProblem::LoneSurrogate => "json.lone_surrogate",
            JsonProblem::InvalidNumber => "json.invalid_number",
            JsonProblem::InvalidLiteral => "json.invalid_literal",
            JsonProblem::InvalidUtf8 => "json.invalid_utf8",
            JsonProblem::ByteOrderMark => "json.byte_order_mark",
            JsonProblem::TooDeep => "json.too_deep",
            JsonProblem::TooManyNodes => "json.too_many_nodes",
            JsonProblem::TooManyKeys => "json.too_many_keys",
            JsonProblem::StringTooLong => "json.string_too_long",
            JsonProblem::NumberTooLong => "json.number_too_long",
            JsonProblem::NumberTooLarge => "json.number_too_large",
            JsonProblem::PathTooLong => "json.path_too_long",
            JsonProblem::DocumentTooLong => "json.document_too_long",
        }
    }

    /// Whether the document is refused for its size, not for being wrong.
    #[must_use]
    pub fn is_limit(self) -> bool {
        matches!(
            self,
            JsonProblem::TooDeep
                | JsonProblem::TooManyNodes
                | JsonProblem::TooManyKeys
                | JsonProblem::StringTooLong
                | JsonProblem::NumberTooLong
                | JsonProblem::NumberTooLarge
                | JsonProblem::PathTooLong
                | JsonProblem::DocumentTooLong
        )
    }

    /// What is wrong, as a sentence without an end.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            JsonProblem::UnexpectedEnd => "the document is not complete",
            JsonProblem::ExpectedValue => "a value should be here",
            JsonProblem::ExpectedKey => "a key in double quotes should be here",
            JsonProblem::ExpectedColon => "a colon should be here",
            JsonProblem::ExpectedCommaOrEnd => "a comma or the end of the array or object should be here",
            JsonProblem::TrailingBytes => "there are bytes behind the document",
            JsonProblem::ControlInString => "a control character in a string is not escaped",
            JsonProblem::InvalidEscape => "this escape does not exist",
            JsonProblem::LoneSurrogate => "a surrogate is escaped without its partner",
            JsonProblem::InvalidNumber => "this is no number",
            JsonProblem::InvalidLiteral => "this word is none of `true`, `false` and `null`",
            JsonProblem::InvalidUtf8 => "the bytes are not UTF-8",
            JsonProblem::ByteOrderMark => "the document begins with a byte order mark",
            JsonProblem::TooDeep => "arrays and objects are nested too deeply",
            JsonProblem::TooManyNodes => "there are too many values",
            JsonProblem::TooManyKeys => "the object has too many keys",
            JsonProblem::StringTooLong => "the string is too long",
            JsonProblem::NumberTooLong => "the number is too long",
            JsonProblem::NumberTooLarge => "the number is beyond what a double holds",
            JsonProblem::PathTooLong => "the keys that lead here are too long together",
            JsonProblem::DocumentTooLong => "the document is too long",
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no JSON at byte {}: {}", self.offset, self.problem.text())
    }
}

impl std::error::Error for JsonError {}
