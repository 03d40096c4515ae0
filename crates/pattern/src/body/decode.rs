//! Content codings (RFC 9110 section 8.4.1): gzip, deflate, brotli and zstd, undone piece by piece under a cap.
//!
//! A small body can stand for a huge one, so that output is bounded by its size and by its ratio to the input, and the
//! memory of each decoder by its window.

mod error;
mod stream;
#[cfg(test)]
mod tests;

pub use error::{DecodeError, DecodeProblem};
use smallvec::SmallVec;

/// What undoing the codings of one body may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Codings over one another; nobody sends more than one, and each is a chance to grow.
    pub codings: u32,
    /// Bytes of output, of each coding.
    pub output_bytes: usize,
    /// Bytes of output per byte of the body, once the output is longer than `ratio_from`.
    pub ratio: u32,
    /// Bytes of output that may have any ratio.
    pub ratio_from: usize,
    /// Members of a gzip body and frames of a zstd body: each costs its set-up, however empty it is.
    pub members: u32,
    /// Blocks of a gzip, deflate or zstd body that any output may have: 20 bytes of code tables make a decoder work as long as
    /// for some thousand bytes of output.
    pub blocks: u32,
    /// For every so many bytes of output there may be one block more.
    pub block_output: usize,
    /// The zstd window, in bytes; the memory that its decoder needs. RFC 9659 allows 8 MiB. (deflate has at most
    /// 32 KiB, brotli 16 MiB.)
    pub zstd_window_bytes: u64,
}

impl Default for DecodeLimits {
    /// Two codings, 4 MiB, one to a hundred from 256 KiB on, 32 members, a window of 8 MiB, and 2,048 blocks and one more
    /// for every KiB of output: encoders put 5 KiB and more into one, unless they flush after every message.
    fn default() -> Self {
        DecodeLimits {
            codings: 2,
            output_bytes: 4 << 20,
            ratio: 100,
            ratio_from: 256 << 10,
            members: 32,
            blocks: 2048,
            block_output: 1024,
            zstd_window_bytes: 8 << 20,
        }
    }
}

/// A content coding that is undone here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// `gzip`, also named `x-gzip` (RFC 1952).
    Gzip,
    /// `deflate`: the zlib format (RFC 1950), not bare deflate data.
    Deflate,
    /// `br` (RFC 7932).
    Brotli,
    /// `zstd` (RFC 8878).
    Zstd,
}

impl Coding {
    /// Its name in `Content-Encoding`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }
}

/// The codings that a `Content-Encoding` field value lists, in the order in which they were applied. `identity` and empty
/// items are none.
///
/// # Errors
/// An item that is not known here, or too many of them.
pub fn codings(field: &[u8], limits: &DecodeLimits) -> Result<SmallVec<[Coding; 2]>, DecodeError> {
    let mut found = SmallVec::new();
    for item in field.split(|byte| *byte == b',') {
        let item = item.trim_ascii();
        let named = |names: &[&str]| names.iter().any(|name| item.eq_ignore_ascii_case(name.as_bytes()));
        let coding = match () {
            () if item.is_empty() || named(&["identity"]) => continue,
            () if named(&["gzip", "x-gzip"]) => Coding::Gzip,
            () if named(&["deflate"]) => Coding::Deflate,
            () if named(&["br"]) => Coding::Brotli,
            () if named(&["zstd"]) => Coding::Zstd,
            () => return Err(DecodeError { coding: None, problem: DecodeProblem::UnknownCoding }),
        };
        if found.len() >= limits.codings as usize {
            return Err(DecodeError { coding: Some(coding), problem: DecodeProblem::TooManyCodings });
        }
        found.push(coding);
    }
    Ok(found)
}

/// The storage of decoded bytes, used again for the next body.
#[derive(Debug, Default)]
pub struct DecodeBuffer {
    output: Vec<u8>,
    input: Vec<u8>,
}

impl DecodeBuffer {
    /// An empty one; it allocates when it is first used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was decoded last; after an error, what came before it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.output
    }

    /// Gives memory back, keeping room for so many bytes.
    pub fn shrink(&mut self, bytes: usize) {
        self.output.clear();
        self.output.shrink_to(bytes);
        self.input = Vec::new();
    }
}

/// Undoes the codings of a body, the last one first. With none, the bytes are copied.
///
/// # Errors
/// The bytes are not what the coding says, end early, go on behind its end, or grow beyond `limits`.
pub fn decode<'a>(
    codings: &[Coding],
    bytes: &[u8],
    limits: &DecodeLimits,
    buffer: &'a mut DecodeBuffer,
) -> Result<&'a [u8], DecodeError> {
    let DecodeBuffer { output, input } = buffer;
    output.clear();
    input.clear();
    let Some((outermost, inner)) = codings.split_last() else {
        output.extend_from_slice(bytes);
        return Ok(output);
    };
    let most = stream::Most::new(bytes.len(), limits);
    stream::decode(*outermost, bytes, &most, output)?;
    for coding in inner.iter().rev() {
        std::mem::swap(output, input);
        output.clear();
        stream::decode(*coding, input, &most, output)?;
    }
    Ok(output)
}
