//! Why text is no XML document that is let through, and where.

use std::fmt;

/// The first thing that is wrong with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XmlError {
    /// The offset of what is wrong.
    pub offset: usize,
    /// What is wrong there.
    pub problem: XmlProblem,
}

/// What is wrong with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XmlProblem {
    /// The bytes are not UTF-8.
    InvalidUtf8,
    /// A character that XML does not allow, such as NUL.
    InvalidCharacter,
    /// There is a document type declaration, which is always refused.
    Dtd,
    /// An entity that is none of the five, or a character reference that is none.
    Entity,
    /// A version other than 1.0.
    Version,
    /// An XML declaration that is not at the start, or not well formed.
    Declaration,
    /// A tag, comment or other markup that is not well formed, or does not end.
    Markup,
    /// An end tag without its start tag.
    EndTag,
    /// An element that is not ended.
    UnclosedElement,
    /// A name that is none.
    Name,
    /// An attribute that is not well formed.
    Attribute,
    /// An attribute that its element has twice.
    DuplicateAttribute,
    /// Text, or a second element, outside the one outermost element.
    OutsideRoot,
    /// There is no element.
    NoRoot,
    /// Elements are nested too deeply.
    TooDeep,
    /// There are too many nodes.
    TooManyNodes,
    /// An element has too many attributes.
    TooManyAttributes,
    /// The document has 4 GiB or more, which spans cannot say.
    DocumentTooLong,
}

impl XmlProblem {
    /// A stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            XmlProblem::InvalidUtf8 => "xml.invalid_utf8",
            XmlProblem::InvalidCharacter => "xml.invalid_character",
            XmlProblem::Dtd => "xml.dtd",
            XmlProblem::Entity => "xml.entity",
            XmlProblem::Version => "xml.version",
            XmlProblem::Declaration => "xml.declaration",
            XmlProblem::Markup => "xml.markup",
            XmlProblem::EndTag => "xml.end_tag",
            XmlProblem::UnclosedElement => "xml.unclosed_element",
            XmlProblem::Name => "xml.name",
            XmlProblem::Attribute => "xml.attribute",
            XmlProblem::DuplicateAttribute => "xml.duplicate_attribute",
            XmlProblem::OutsideRoot => "xml.outside_root",
            XmlProblem::NoRoot => "xml.no_root",
            XmlProblem::TooDeep => "xml.too_deep",
            XmlProblem::TooManyNodes => "xml.too_many_nodes",
            XmlProblem::TooManyAttributes => "xml.too_many_attributes",
            XmlProblem::DocumentTooLong => "xml.document_too_long",
        }
    }

    /// Whether the document is refused for its size, not for being wrong.
    #[must_use]
    pub fn is_limit(self) -> bool {
        matches!(
            self,
            XmlProblem::TooDeep
                | XmlProblem::TooManyNodes
                | XmlProblem::TooManyAttributes
                | XmlProblem::DocumentTooLong
        )
    }

    fn text(self) -> &'static str {
        match self {
            XmlProblem::InvalidUtf8 => "the bytes are not UTF-8",
            XmlProblem::InvalidCharacter => "this character is not allowed",
            XmlProblem::Dtd => "a document type declaration is never allowed",
            XmlProblem::Entity => {
                "only `&amp;`, `&lt;`, `&gt;`, `&apos;`, `&quot;` and characters may be referred to"
            }
            XmlProblem::Version => "only version 1.0 is read",
            XmlProblem::Declaration => "the XML declaration is misplaced or malformed",
            XmlProblem::Markup => "the markup is malformed or does not end",
            XmlProblem::EndTag => "the end tag has no start tag",
            XmlProblem::UnclosedElement => "an element is not ended",
            XmlProblem::Name => "this is no name",
            XmlProblem::Attribute => "the attribute is malformed",
            XmlProblem::DuplicateAttribute => "the element has this attribute twice",
            XmlProblem::OutsideRoot => "only one element may be outermost, and no text beside it",
            XmlProblem::NoRoot => "there is no element",
            XmlProblem::TooDeep => "elements are nested too deeply",
            XmlProblem::TooManyNodes => "there are too many nodes",
            XmlProblem::TooManyAttributes => "the element has too many attributes",
            XmlProblem::DocumentTooLong => "the document is too long",
        }
    }
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no XML at byte {}: {}", self.offset, self.problem.text())
    }
}

impl std::error::Error for XmlError {}
