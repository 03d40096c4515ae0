//! Bodies, read once for everybody who looks into them: bounded parsers that keep the place of everything they found.
//!
//! [`read`] is the front: it undoes content codings, picks the parser by the media type, and says by name what it could
//! not read. Each parser also stands alone. All are one pass without recursion over bytes that somebody else holds; all
//! storage is in [`Buffers`], which a worker uses again for its next body.

pub mod charset;
pub mod decode;
mod dispute;
pub mod form;
mod front;
pub mod json;
mod keys;
pub mod media_type;
pub mod multipart;
mod reason;
pub mod sequence;
#[cfg(test)]
mod tests;
pub mod xml;

use charset::Charset;
use decode::{DecodeBuffer, DecodeLimits};
pub use dispute::Dispute;
use form::{Form, FormBuffer, FormLimits};
pub use front::{read, read_as};
use json::{JsonLimits, Tape, TapeBuffer};
use media_type::BodyKind;
use multipart::{Multipart, MultipartBuffer, MultipartLimits};
pub use reason::{UnreadableClass, UnreadableReason};
use xml::{Xml, XmlBuffer, XmlLimits};

/// What reading one body may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Bytes of the body as it came, behind its codings, and as UTF-8.
    pub bytes: usize,
    /// Content codings.
    pub decode: DecodeLimits,
    /// JSON documents.
    pub json: JsonLimits,
    /// Forms.
    pub form: FormLimits,
    /// Bodies in parts.
    pub multipart: MultipartLimits,
    /// XML documents.
    pub xml: XmlLimits,
}

impl Default for BodyLimits {
    /// 4 MiB before and after decoding, and each parser's own defaults.
    fn default() -> Self {
        BodyLimits {
            bytes: 4 << 20,
            decode: DecodeLimits::default(),
            json: JsonLimits::default(),
            form: FormLimits::default(),
            multipart: MultipartLimits::default(),
            xml: XmlLimits::default(),
        }
    }
}

/// The storage of one body that was read, used again for the next: decoded bytes, nodes and parts, and what came of it.
#[derive(Debug, Default)]
pub struct Buffers {
    decoded: DecodeBuffer,
    text: Vec<u8>,
    tape: TapeBuffer,
    form: FormBuffer,
    multipart: MultipartBuffer,
    xml: XmlBuffer,
    outcome: front::Outcome,
}

impl Buffers {
    /// Empty ones; they allocate when they are first used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What [`read`] said last, over the same bytes again: who holds a body and these buffers can show it to one guard
    /// after the other.
    #[must_use]
    pub fn reading<'a>(&'a self, bytes: &'a [u8]) -> Reading<'a> {
        self.outcome.show(self, bytes)
    }

    /// Gives memory back that one large body left behind, keeping about `bytes` of each kind.
    pub fn shrink(&mut self, bytes: usize) {
        self.decoded.shrink(bytes);
        self.text.clear();
        self.text.shrink_to(bytes);
        self.tape.shrink(bytes / 16);
        self.form.shrink(bytes / 16);
        self.multipart.shrink(bytes / 64);
        self.xml.shrink(bytes / 32);
        self.outcome = front::Outcome::default();
    }
}

/// What came of reading a body. There is no third way: what was not read has a reason.
#[derive(Clone, Copy, Debug)]
pub enum Reading<'a> {
    /// It was read to its end.
    Parsed(Parsed<'a>),
    /// It was not, or not to its end.
    Unreadable(Unreadable<'a>),
}

impl<'a> Reading<'a> {
    /// What was read, also where reading ended early.
    #[must_use]
    pub fn content(&self) -> Content<'a> {
        match self {
            Reading::Parsed(parsed) => parsed.content,
            Reading::Unreadable(unreadable) => unreadable.content,
        }
    }

    /// The bytes behind the content codings, as far as these could be undone.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Reading::Parsed(parsed) => parsed.bytes,
            Reading::Unreadable(unreadable) => unreadable.bytes,
        }
    }

    /// Why it was not read to its end.
    #[must_use]
    pub fn reason(&self) -> Option<UnreadableReason> {
        match self {
            Reading::Parsed(_) => None,
            Reading::Unreadable(unreadable) => Some(unreadable.reason),
        }
    }
}

/// A body that was read to its end.
#[derive(Clone, Copy, Debug)]
pub struct Parsed<'a> {
    /// How it was read.
    pub kind: BodyKind,
    /// What is in it.
    pub content: Content<'a>,
    /// The bytes behind the content codings. Spans are of the text that was parsed, which is another one where
    /// [`BodyFlags::transcoded`] is set: each content has its own bytes.
    pub bytes: &'a [u8],
    /// The charset that the media type names. Values of a form are in it when their escapes are undone.
    pub charset: Option<Charset>,
    /// What is unusual.
    pub flags: BodyFlags,
}

/// A body that was not read, or not to its end.
#[derive(Clone, Copy, Debug)]
pub struct Unreadable<'a> {
    /// Why.
    pub reason: UnreadableReason,
    /// How it should have been read; none without a media type.
    pub kind: Option<BodyKind>,
    /// What was read before reading ended.
    pub content: Content<'a>,
    /// The bytes behind the content codings, as far as these could be undone.
    pub bytes: &'a [u8],
    /// What is unusual.
    pub flags: BodyFlags,
}

/// What is in a body.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// Nothing: the body has no bytes.
    Empty,
    /// Bytes that nothing was found in.
    Opaque,
    /// A JSON document.
    Json(Tape<'a>),
    /// A form.
    Form(Form<'a>),
    /// Parts.
    Multipart(Multipart<'a>),
    /// An XML document.
    Xml(Xml<'a>),
    /// Text without a structure that is read here; UTF-8 unless [`BodyFlags::not_utf8`] is set.
    Text(&'a [u8]),
}

/// What is unusual about a body that was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BodyFlags {
    /// A content coding was undone.
    pub decoded: bool,
    /// It came in another charset, and was read as UTF-8.
    pub transcoded: bool,
    /// The media type's parameters are malformed.
    pub malformed_media_type: bool,
    /// The media type has a parameter twice.
    pub duplicate_parameter: bool,
    /// Text that is no UTF-8, of a media type that does not say what it is.
    pub not_utf8: bool,
}
