//! One coding undone into a buffer, never more than a piece beyond what is allowed.

use std::io::Read;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};
use zlib_rs::{Inflate, InflateError, InflateFlush, Status};

use super::{Coding, DecodeError, DecodeLimits, DecodeProblem};

/// Output is made in pieces of this size.
const PIECE: usize = 32 << 10;

/// How much output there may be.
pub(super) struct Most {
    output: usize,
    by_ratio: usize,
    members: u32,
    zstd_window: u64,
    blocks: u32,
    block_output: usize,
}

impl Most {
    pub(super) fn new(input: usize, limits: &DecodeLimits) -> Self {
        Most {
            output: limits.output_bytes,
            by_ratio: input.saturating_mul(limits.ratio as usize).max(limits.ratio_from),
            members: limits.members,
            zstd_window: limits.zstd_window_bytes,
            blocks: limits.blocks,
            block_output: limits.block_output.max(1),
        }
    }

    /// Whether so much output is allowed.
    fn check(&self, length: usize) -> Result<(), DecodeProblem> {
        match () {
            () if length > self.output => Err(DecodeProblem::OutputTooLong),
            () if length > self.by_ratio => Err(DecodeProblem::RatioTooHigh),
            () => Ok(()),
        }
    }

    /// Whether so much output may have so many blocks.
    fn check_blocks(&self, blocks: u32, length: usize) -> Result<(), DecodeProblem> {
        let allowed = (length / self.block_output).saturating_add(self.blocks as usize);
        if blocks as usize > allowed { Err(DecodeProblem::TooManyBlocks) } else { Ok(()) }
    }

    /// Room for the next piece, with one byte beyond the limit at most.
    fn piece(&self, length: usize) -> usize {
        (self.output.min(self.by_ratio) + 1).saturating_sub(length).clamp(1, PIECE)
    }
}

/// Undoes one coding.
pub(super) fn decode(
    coding: Coding,
    input: &[u8],
    most: &Most,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let result = match coding {
        Coding::Gzip => gzip(input, most, out),
        Coding::Deflate => zlib(input, most, out),
        Coding::Brotli => brotli(input, most, out),
        Coding::Zstd => zstd(input, most, out),
    };
    result.map_err(|problem| DecodeError { coding: Some(coding), problem })
}

/// Members one behind the other (RFC 1952 section 2.2), and nothing else.
fn gzip(mut input: &[u8], most: &Most, out: &mut Vec<u8>) -> Result<(), DecodeProblem> {
    let mut blocks = 0;
    for member in 0.. {
        if member > 0 && !input.starts_with(b"\x1f\x8b") {
            return Err(DecodeProblem::TrailingBytes);
        }
        if member >= most.members {
            return Err(DecodeProblem::TooManyMembers);
        }
        input = inflate(GZIP_WINDOW, input, &mut blocks, most, out)?;
        if input.is_empty() {
            break;
        }
    }
    Ok(())
}

fn zlib(input: &[u8], most: &Most, out: &mut Vec<u8>) -> Result<(), DecodeProblem> {
    match inflate(ZLIB_WINDOW, input, &mut 0, most, out)? {
        [] => Ok(()),
        _ => Err(DecodeProblem::TrailingBytes),
    }
}

/// The window of 32 KiB with the header of RFC 1950, and with that of RFC 1952.
const ZLIB_WINDOW: u8 = 15;
const GZIP_WINDOW: u8 = 16 + 15;

/// Steps without a byte read or written after which nothing can follow: the decoder holds 64 bits, and the shortest
/// block has ten.
const IDLE_STEPS: u32 = 16;

/// Bytes of the shortest block that may have code tables worth mentioning; the shortest ones are empty.
const TABLE_BYTES: usize = 12;

/// One stream; what is behind it. `blocks` were in those before it.
fn inflate<'a>(
    window: u8,
    input: &'a [u8],
    blocks: &mut u32,
    most: &Most,
    out: &mut Vec<u8>,
) -> Result<&'a [u8], DecodeProblem> {
    let mut filled = out.len();
    let result = inflate_behind(&mut filled, Inflate::new(true, window), input, blocks, most, out);
    out.truncate(filled);
    result
}

/// The same, with room behind the output that is `filled`.
fn inflate_behind<'a>(
    filled: &mut usize,
    mut stream: Inflate,
    mut input: &'a [u8],
    blocks: &mut u32,
    most: &Most,
    out: &mut Vec<u8>,
) -> Result<&'a [u8], DecodeProblem> {
    let (mut idle, mut block_bytes) = (0, 0);
    loop {
        if out.len() == *filled {
            out.resize(*filled + most.piece(*filled), 0);
        }
        let (read, wrote) = (stream.total_in(), stream.total_out());
        let room = out.get_mut(*filled..).unwrap_or_default();
        let room_bytes = room.len();
        // It stops behind each block, so that blocks can be counted.
        let status = stream.decompress(input, room, InflateFlush::Block).map_err(|error| match error {
            InflateError::NeedDict { .. } => DecodeProblem::Dictionary,
            _ => DecodeProblem::Corrupt,
        })?;
        let (read, wrote) = (bytes(stream.total_in() - read), bytes(stream.total_out() - wrote));
        input = input.get(read..).unwrap_or_default();
        *filled += wrote;
        most.check(*filled)?;
        block_bytes += read;
        if wrote < room_bytes {
            *blocks += u32::from(block_bytes >= TABLE_BYTES);
            block_bytes = 0;
            most.check_blocks(*blocks, *filled)?;
        }
        idle = if read == 0 && wrote == 0 { idle + 1 } else { 0 };
        match status {
            Status::StreamEnd => return Ok(input),
            _ if idle == IDLE_STEPS => return Err(DecodeProblem::Truncated),
            Status::Ok | Status::BufError => {}
        }
    }
}

fn brotli(input: &[u8], most: &Most, out: &mut Vec<u8>) -> Result<(), DecodeProblem> {
    let allocate = StandardAlloc::default;
    // The strict state knows no windows beyond the 16 MiB of RFC 7932.
    let mut state = BrotliState::new_strict(allocate(), allocate(), allocate());
    let (mut left, mut at, mut total) = (input.len(), 0, 0);
    loop {
        let result = grow(out, most, PIECE, |piece| {
            let (mut room, mut wrote) = (piece.len(), 0);
            let result = BrotliDecompressStream(
                &mut left, &mut at, input, &mut room, &mut wrote, piece, &mut total, &mut state,
            );
            (wrote, result)
        })?;
        match result {
            BrotliResult::ResultSuccess if left > 0 => return Err(DecodeProblem::TrailingBytes),
            BrotliResult::ResultSuccess => return Ok(()),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::NeedsMoreInput => return Err(DecodeProblem::Truncated),
            BrotliResult::ResultFailure => return Err(DecodeProblem::Corrupt),
        }
    }
}

/// Frames one behind the other (RFC 8878 section 3), skippable ones included.
fn zstd(mut input: &[u8], most: &Most, out: &mut Vec<u8>) -> Result<(), DecodeProblem> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(most.zstd_window);
    let mut blocks = 0;
    for frame in 0.. {
        if frame >= most.members {
            return Err(DecodeProblem::TooManyMembers);
        }
        match decoder.init(&mut input) {
            Ok(()) => zstd_frame(&mut decoder, &mut input, &mut blocks, most, out)?,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                input = input.get(length as usize..).ok_or(DecodeProblem::Truncated)?;
            }
            Err(FrameDecoderError::WindowSizeTooBig { .. }) => return Err(DecodeProblem::WindowTooLarge),
            Err(FrameDecoderError::DictNotProvided { .. }) => return Err(DecodeProblem::Dictionary),
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::BadMagicNumber(_))) => {
                return Err(if frame > 0 { DecodeProblem::TrailingBytes } else { DecodeProblem::Corrupt });
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::MagicNumberReadError(_))) => {
                return Err(if frame > 0 { DecodeProblem::TrailingBytes } else { DecodeProblem::Truncated });
            }
            Err(FrameDecoderError::ReadFrameHeaderError(
                ReadFrameHeaderError::FrameDescriptorReadError(_)
                | ReadFrameHeaderError::WindowDescriptorReadError(_)
                | ReadFrameHeaderError::FrameContentSizeReadError(_),
            )) => return Err(DecodeProblem::Truncated),
            Err(_) => return Err(DecodeProblem::Corrupt),
        }
        if input.is_empty() {
            break;
        }
    }
    Ok(())
}

/// The blocks of one frame; `blocks` were in those before it.
fn zstd_frame(
    decoder: &mut FrameDecoder,
    input: &mut &[u8],
    blocks: &mut u32,
    most: &Most,
    out: &mut Vec<u8>,
) -> Result<(), DecodeProblem> {
    most.check(out.len().saturating_add(bytes(decoder.content_size())))?;
    while !decoder.is_finished() || decoder.can_collect() > 0 {
        if decoder.can_collect() == 0 {
            let decoded = decoder.decode_blocks(&mut *input, BlockDecodingStrategy::UptoBlocks(1));
            decoded.map_err(|_| {
                if input.is_empty() { DecodeProblem::Truncated } else { DecodeProblem::Corrupt }
            })?;
            *blocks += 1;
            most.check_blocks(*blocks, out.len())?;
        }
        while decoder.can_collect() > 0 {
            let ready = decoder.can_collect();
            grow(out, most, ready, |piece| (decoder.read(piece).unwrap_or_default(), ()))?;
        }
    }
    match decoder.get_checksum_from_data() {
        Some(_) if decoder.get_checksum_from_data() != decoder.get_calculated_checksum() => {
            Err(DecodeProblem::Corrupt)
        }
        _ => Ok(()),
    }
}

/// Lets `write` fill a piece of at most `wanted` bytes behind the output, keeps as much as it says, and checks the limits.
fn grow<T>(
    out: &mut Vec<u8>,
    most: &Most,
    wanted: usize,
    write: impl FnOnce(&mut [u8]) -> (usize, T),
) -> Result<T, DecodeProblem> {
    let length = out.len();
    out.resize(length + most.piece(length).min(wanted), 0);
    let (wrote, result) = write(out.get_mut(length..).unwrap_or_default());
    out.truncate(length + wrote);
    most.check(out.len())?;
    Ok(result)
}

fn bytes(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
