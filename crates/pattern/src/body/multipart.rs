//! `multipart/form-data` (RFC 7578) and its relatives (RFC 2046 section 5.1): parts as slices of the original bytes, and
//! every irregularity by the name that ModSecurity's rules know it by.
//!
//! Reading goes on behind what is wrong, as long as it is clear where parts begin and end: a detector sees the parts and
//! the flags, and [`Multipart::is_strict`] is the one question for who wants none of it.

mod boundary;
mod disposition;
mod flags;
mod parse;
mod part;
#[cfg(test)]
mod tests;

pub use flags::{MultipartError, MultipartFlag, MultipartFlags, MultipartProblem};
pub use part::{Header, Part};

use super::keys::KeySet;

/// What one body may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultipartLimits {
    /// Parts in all; reading ends there.
    pub parts: u32,
    /// Parts with a file name; more only set [`MultipartFlag::FileLimitExceeded`].
    pub files: u32,
    /// Header fields of one part.
    pub headers: u32,
    /// Bytes of one header field, with the lines that continue it.
    pub header_bytes: u32,
}

impl Default for MultipartLimits {
    /// 1,000 parts, as many as arguments in the recommended ModSecurity configuration; 100 files, its default; 16 header
    /// fields a part, of which forms use three; and 4 KiB each, as long as its line may be.
    fn default() -> Self {
        MultipartLimits { parts: 1000, files: 100, headers: 16, header_bytes: 4096 }
    }
}

/// The storage of one body's parts, used again for the next.
#[derive(Debug, Default)]
pub struct MultipartBuffer {
    parts: Vec<part::Record>,
    headers: Vec<part::HeaderRecord>,
    keys: KeySet,
    outcome: Outcome,
    length: usize,
}

/// What was found besides parts.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    flags: MultipartFlags,
    error: Option<MultipartError>,
    unmatched_boundary: u8,
    complete: bool,
}

impl MultipartBuffer {
    /// An empty one; it allocates when it is first used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was read last, over the same bytes again.
    #[must_use]
    pub fn multipart<'a>(&'a self, bytes: &'a [u8]) -> Multipart<'a> {
        let parts = if bytes.len() == self.length { self.parts.as_slice() } else { &[] };
        Multipart { bytes, parts, headers: &self.headers, outcome: self.outcome }
    }

    /// Gives memory back, keeping room for so many parts.
    pub fn shrink(&mut self, parts: usize) {
        self.parts.clear();
        self.parts.shrink_to(parts);
        self.headers.clear();
        self.headers.shrink_to(parts);
        self.keys.shrink(parts);
        self.length = 0;
    }
}

/// A body in parts. A copy costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Multipart<'a> {
    bytes: &'a [u8],
    parts: &'a [part::Record],
    headers: &'a [part::HeaderRecord],
    outcome: Outcome,
}

impl<'a> Multipart<'a> {
    /// Reads a body by the boundary in its `Content-Type` field. Where there is no usable boundary, there are no parts.
    ///
    /// This never fails: what is wrong is in [`Multipart::error`] and [`Multipart::flags`].
    pub fn parse(
        content_type: &[u8],
        bytes: &'a [u8],
        limits: &MultipartLimits,
        buffer: &'a mut MultipartBuffer,
    ) -> Multipart<'a> {
        parse::parse(content_type, bytes, limits, buffer);
        buffer.multipart(bytes)
    }

    /// The parts in their order, also those that cannot be named.
    pub fn parts(self) -> impl ExactSizeIterator<Item = Part<'a>> + Clone {
        self.parts.iter().map(move |record| Part {
            bytes: self.bytes,
            headers: self.headers,
            record: *record,
        })
    }

    /// How many parts there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.parts.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.parts.is_empty()
    }

    /// What is irregular anywhere in the body or its `Content-Type`.
    #[must_use]
    pub fn flags(self) -> MultipartFlags {
        self.outcome.flags
    }

    /// The first thing that is wrong (`REQBODY_ERROR` of the rules); irregularities that only set a flag are none.
    #[must_use]
    pub fn error(self) -> Option<MultipartError> {
        self.outcome.error
    }

    /// Whether nothing is wrong and no flag of `MULTIPART_STRICT_ERROR` is set.
    #[must_use]
    pub fn is_strict(self) -> bool {
        self.outcome.error.is_none() && self.outcome.flags.strict().is_empty()
    }

    /// `MULTIPART_UNMATCHED_BOUNDARY` as libmodsecurity counts it: 1 where the last line of dashes (or boundary inside a
    /// line) was not the boundary, 2 where a boundary followed another since, 0 where neither came.
    #[must_use]
    pub fn unmatched_boundary(self) -> u8 {
        self.outcome.unmatched_boundary
    }

    /// Whether the last boundary was there.
    #[must_use]
    pub fn is_complete(self) -> bool {
        self.outcome.complete
    }

    /// The bytes that all spans are of.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }
}
