//! The chunked body (RFC 9112 section 7.1), exactly.

use super::{
    HeadBounds, HeadRefusal,
    head::{is_token_byte, trailer_line},
};

/// The longest chunk-size line: 16 digits, extensions and CRLF. Nobody who means well sends more.
const MAX_SIZE_LINE: usize = 256;
/// Bytes of extensions in one body: a body is data, not framing.
const MAX_EXTENSIONS: usize = 4096;

/// Where in the body the next byte stands.
#[derive(Clone, Debug)]
pub(super) struct Chunked {
    stage: Stage,
    extensions: usize,
}

#[derive(Clone, Debug)]
enum Stage {
    Size,
    Data {
        left: u64,
    },
    /// Behind the data of a chunk.
    DataEnd,
    /// In the trailer: how much of it was released, and how much of the next line holds no LF.
    Trailer {
        fields: usize,
        released: usize,
        searched: usize,
    },
    Done,
}

/// What one look at the bytes brought.
pub(super) struct Step {
    /// Well-framed bytes at the front.
    pub(super) bytes: usize,
    /// What is wrong behind them.
    pub(super) refusal: Option<HeadRefusal>,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Chunked { stage: Stage::Size, extensions: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// Follows `input` as far as it goes.
    pub(super) fn follow(&mut self, input: &[u8], bounds: &HeadBounds) -> Step {
        let mut bytes = 0;
        while !self.is_done() {
            match self.piece(input.get(bytes..).unwrap_or_default(), bounds) {
                Ok(0) => break,
                Ok(length) => bytes += length,
                Err(refusal) => return Step { bytes, refusal: Some(refusal) },
            }
        }
        Step { bytes, refusal: None }
    }

    /// The length of the next complete piece: a size line, data, the CRLF behind it, a trailer line; zero when more
    /// bytes are needed.
    fn piece(&mut self, input: &[u8], bounds: &HeadBounds) -> Result<usize, HeadRefusal> {
        match &mut self.stage {
            Stage::Size => {
                let Some(line) = size_line(input)? else { return Ok(0) };
                self.extensions += line.extensions;
                if self.extensions > MAX_EXTENSIONS {
                    return Err(HeadRefusal::ChunkExtension);
                }
                self.stage = match line.size {
                    0 => Stage::Trailer { fields: 0, released: 0, searched: 0 },
                    left => Stage::Data { left },
                };
                Ok(line.bytes)
            }
            Stage::Data { left } => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= length as u64;
                if *left == 0 {
                    self.stage = Stage::DataEnd;
                }
                Ok(length)
            }
            Stage::DataEnd => match input {
                [b'\r', b'\n', ..] => {
                    self.stage = Stage::Size;
                    Ok(2)
                }
                [] | [b'\r'] => Ok(0),
                _ => Err(HeadRefusal::ChunkEnd),
            },
            Stage::Trailer { fields, released, searched } => {
                let fresh = input.get(*searched..).unwrap_or_default();
                let Some(end) = memchr::memchr(b'\n', fresh).map(|end| *searched + end) else {
                    if *released + input.len() > bounds.header_bytes {
                        return Err(HeadRefusal::HeadTooLarge);
                    }
                    *searched = input.len();
                    return Ok(0);
                };
                if *released + end + 1 > bounds.header_bytes {
                    return Err(HeadRefusal::HeadTooLarge);
                }
                let line = input.get(..end).unwrap_or_default();
                let line = line.strip_suffix(b"\r").ok_or(HeadRefusal::BareLf)?;
                if line.is_empty() {
                    self.stage = Stage::Done;
                    return Ok(end + 1);
                }
                trailer_line(line, *fields == 0)?;
                *fields += 1;
                if *fields > bounds.header_count {
                    return Err(HeadRefusal::TooManyFields);
                }
                *released += end + 1;
                *searched = 0;
                Ok(end + 1)
            }
            Stage::Done => Ok(0),
        }
    }
}

/// A complete chunk-size line.
struct SizeLine {
    size: u64,
    /// Bytes of its extensions.
    extensions: usize,
    /// Its length with CRLF.
    bytes: usize,
}

/// Reads `1*16HEXDIG *( ";" token [ "=" ( token / quoted-string ) ] ) CRLF`, without any white space; `None` when more
/// bytes are needed.
fn size_line(input: &[u8]) -> Result<Option<SizeLine>, HeadRefusal> {
    #[derive(Clone, Copy, PartialEq)]
    enum At {
        Size,
        Name,
        Value,
        Quoted,
        Escape,
        AfterQuoted,
        LineFeed,
    }
    let (mut at, mut size, mut digits) = (At::Size, 0u64, 0usize);
    // Whether the token that is being read has a byte.
    let mut begun = false;
    for (position, &byte) in input.iter().enumerate() {
        if position >= MAX_SIZE_LINE {
            return Err(HeadRefusal::ChunkExtension);
        }
        at = match (at, byte) {
            (At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                digits += 1;
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                size = size << 4 | u64::from(digit);
                if digits > 16 || i64::try_from(size).is_err() {
                    return Err(HeadRefusal::ChunkSize);
                }
                At::Size
            }
            (At::Size, _) if digits == 0 => return Err(HeadRefusal::ChunkSize),
            (At::Size | At::AfterQuoted, b'\r') => At::LineFeed,
            (At::Name | At::Value, b'\r') if begun => At::LineFeed,
            (At::Size | At::AfterQuoted, b';') => {
                begun = false;
                At::Name
            }
            (At::Name | At::Value, b';') if begun => {
                begun = false;
                At::Name
            }
            (At::Size, _) => return Err(HeadRefusal::ChunkSize),
            (At::Name, b'=') if begun => {
                begun = false;
                At::Value
            }
            (At::Value, b'"') if !begun => At::Quoted,
            (At::Name | At::Value, _) if is_token_byte(byte) => {
                begun = true;
                at
            }
            (At::Quoted, b'"') => At::AfterQuoted,
            (At::Quoted, b'\\') => At::Escape,
            (At::Quoted | At::Escape, b'\t' | b' '..=b'~' | 0x80..) => At::Quoted,
            (At::LineFeed, b'\n') => {
                let bytes = position + 1;
                return Ok(Some(SizeLine { size, extensions: bytes - digits - 2, bytes }));
            }
            (At::LineFeed, _) => return Err(HeadRefusal::BareCr),
            _ => return Err(HeadRefusal::ChunkExtension),
        };
    }
    Ok(None)
}
