//! Each coding undone, every way to be wrong, and bombs that end at their limit.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::io::Write;

use flate2::{Compression, write};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

const TEXT: &[u8] = br#"{"hello":"world"}{"hello":"world"}{"hello":"world"}"#;

/// `TEXT`, as the reference encoders of brotli and zstd write it.
const BROTLI: &str = "1b3200208cc43826f14275226a11b6b7bdad5386d6a7ba19282ab9ac01cc1f";
const ZSTD: &str = "28b52ffd2433bd0000887b2268656c6c6f223a22776f726c64227d0100c9994b7cfe3cc4";

/// 64 MiB of zeros in 103 bytes.
const BROTLI_BOMB: &str = "cbffff3ff82700e2b14020f7fe8fffff7ff04f00c4611180eefd1fffffffe09f0088c30200ddfb3ffeffffc13f01\
                           10870500baf77ffcffff837f02200e0b0074effff8ffff07ff04401c1600e8defff1ffff0ffe0980382c00d0bdffcb\
                           ffff3ffc1300715800a07bff07";

/// A brotli stream with a window of 64 MiB, which RFC 7932 does not have.
const BROTLI_LARGE: &str = "115a7000e03752ba791355195ab281bc053d71008903";

/// Eight blocks of deflate in 165 bytes that stand for nothing, with code tables that take long to build.
const TABLES: &str = "04e00182244992244922b1a87964f5ecddff9f0b80003c409024499224492416358fac9ebdfbff73011080\
                      0708922449922489c4a2e691d5b377ff7f2e0002f0004192244992249158d43cb27af6eeffcf0540001e20\
                      489224499224128b9a4756cfdefdffb90008c003044992244992446251f3c8ead9bbff3f17000178802049\
                      92244992482c6a1e593d7bf7ffe70220000f102449922449128945cd23ab67effeff5c00";

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = write::GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = write::ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// A zstd frame of so many blocks of 128 KiB zeros, with a window of two to the power of `log`.
fn zstd_bomb(blocks: usize, log: u8) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3];
    frame.extend([2, 0, 0x10, 0].repeat(blocks));
    frame.extend([1, 0, 0]);
    frame
}

fn run(field: &str, bytes: &[u8], limits: &DecodeLimits) -> Result<Vec<u8>, DecodeProblem> {
    let codings = codings(field.as_bytes(), limits).map_err(|error| error.problem)?;
    let mut buffer = DecodeBuffer::new();
    decode(&codings, bytes, limits, &mut buffer).map(<[u8]>::to_vec).map_err(|error| error.problem)
}

fn decoded(field: &str, bytes: &[u8]) -> Result<Vec<u8>, DecodeProblem> {
    run(field, bytes, &DecodeLimits::default())
}

#[test]
fn every_coding_is_undone() {
    for (field, bytes) in [
        ("gzip", gzip(TEXT)),
        ("X-GZIP", gzip(TEXT)),
        ("deflate", zlib(TEXT)),
        ("br", unhex(BROTLI)),
        ("zstd", unhex(ZSTD)),
        ("zstd", zstd(TEXT)),
        ("identity", TEXT.to_vec()),
        ("", TEXT.to_vec()),
        (" , identity,gzip , ", gzip(TEXT)),
        ("deflate, gzip", gzip(&zlib(TEXT))),
    ] {
        assert_eq!(decoded(field, &bytes).as_deref(), Ok(TEXT), "{field}");
    }
    let wrong_order = decoded("gzip, deflate", &gzip(&zlib(TEXT)));
    assert_eq!(wrong_order, Err(DecodeProblem::Corrupt), "the last coding is undone first");
}

#[test]
fn members_and_frames_follow_one_another() {
    let two = [gzip(TEXT), gzip(b"!")].concat();
    assert_eq!(decoded("gzip", &two).unwrap(), [TEXT, b"!"].concat());
    let skippable = [b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec(), unhex(ZSTD), zstd(b"!")].concat();
    assert_eq!(decoded("zstd", &skippable).unwrap(), [TEXT, b"!"].concat());
    assert_eq!(decoded("gzip", &gzip(b"").repeat(32)).unwrap(), b"");
    assert_eq!(decoded("gzip", &gzip(b"").repeat(33)), Err(DecodeProblem::TooManyMembers));
    assert_eq!(decoded("zstd", &zstd(b"").repeat(33)), Err(DecodeProblem::TooManyMembers));
}

#[test]
fn what_is_behind_missing_or_damaged_is_an_error() {
    use DecodeProblem::*;
    for (field, whole) in
        [("gzip", gzip(TEXT)), ("deflate", zlib(TEXT)), ("br", unhex(BROTLI)), ("zstd", unhex(ZSTD))]
    {
        for length in 0..whole.len() {
            assert_eq!(decoded(field, &whole[..length]), Err(Truncated), "{field} cut at {length}");
        }
        for tail in [b"\0".as_slice(), b"GET / HTTP/1.1\r\n", b"\x1f"] {
            assert_eq!(decoded(field, &[&whole, tail].concat()), Err(TrailingBytes), "{field} {tail:?}");
        }
        assert!(decoded(field, TEXT).is_err());
    }
    // Check sums are verified.
    for (field, mut bytes) in [("gzip", gzip(TEXT)), ("deflate", zlib(TEXT)), ("zstd", unhex(ZSTD))] {
        let last = bytes.len() - if field == "gzip" { 5 } else { 1 };
        bytes[last] ^= 1;
        assert_eq!(decoded(field, &bytes), Err(Corrupt), "{field}");
    }
    let mut bare = write::DeflateEncoder::new(Vec::new(), Compression::fast());
    bare.write_all(TEXT).unwrap();
    assert_eq!(decoded("deflate", &bare.finish().unwrap()), Err(Corrupt), "bare deflate is not the coding");
    for unknown in ["compress", "gzip;q=1", "aws-chunked", "g zip", "*"] {
        assert_eq!(decoded(unknown, TEXT), Err(UnknownCoding), "{unknown}");
    }
    assert_eq!(decoded("gzip, gzip, gzip", TEXT), Err(TooManyCodings));
}

#[test]
fn bombs_end_at_their_limit() {
    use DecodeProblem::*;
    let limits = DecodeLimits::default();
    let gzip_bomb = gzip(&vec![0; 16 << 20]);
    for (field, bomb) in [
        ("gzip", gzip_bomb.clone()),
        ("deflate", zlib(&vec![0; 16 << 20])),
        ("br", unhex(BROTLI_BOMB)),
        ("zstd", zstd_bomb(1000, 17)),
        ("gzip, gzip", gzip(&gzip_bomb)),
    ] {
        let codings = codings(field.as_bytes(), &limits).unwrap();
        let mut buffer = DecodeBuffer::new();
        let error = decode(&codings, &bomb, &limits, &mut buffer).unwrap_err();
        assert_eq!(error.problem, RatioTooHigh, "{field}");
        let allowed = (bomb.len() * 100).max(limits.ratio_from);
        assert_eq!(buffer.bytes().len(), allowed + 1, "{field}: no more than a byte too much is made");
        let any_ratio = DecodeLimits { ratio: u32::MAX, ..limits };
        assert_eq!(run(field, &bomb, &any_ratio), Err(OutputTooLong), "{field}");
    }
    // Exactly as much as allowed is fine.
    let limits = DecodeLimits { output_bytes: 1000, ..limits };
    assert_eq!(run("gzip", &gzip(&[7; 1000]), &limits).unwrap().len(), 1000);
    assert_eq!(run("gzip", &gzip(&[7; 1001]), &limits), Err(OutputTooLong));
}

#[test]
fn blocks_that_stand_for_little_end_at_their_limit() {
    let bomb = |units: usize| {
        let mut bytes = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
        bytes.extend(unhex(TABLES).repeat(units));
        bytes.extend(b"\x01\0\0\xff\xff\0\0\0\0\0\0\0\0");
        bytes
    };
    assert_eq!(decoded("gzip", &bomb(256)).as_deref(), Ok(b"".as_slice()), "2,048 blocks");
    assert_eq!(decoded("gzip", &bomb(257)), Err(DecodeProblem::TooManyBlocks));
    assert_eq!(decoded("gzip", &bomb(6000)), Err(DecodeProblem::TooManyBlocks));
    let members = bomb(100).repeat(3);
    assert_eq!(decoded("gzip", &members), Err(DecodeProblem::TooManyBlocks), "members are counted together");
    // Blocks of zstd that repeat one byte once, with a window of a KiB, and an empty last one.
    let tiny = |blocks: usize| {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0];
        frame.extend([0x0a, 0, 0, b'x'].repeat(blocks));
        frame.extend([1, 0, 0]);
        frame
    };
    assert_eq!(decoded("zstd", &tiny(2000)).unwrap(), b"x".repeat(2000));
    assert_eq!(decoded("zstd", &tiny(3000)), Err(DecodeProblem::TooManyBlocks));
    // Who flushes after each message is read on.
    let mut encoder = write::GzEncoder::new(Vec::new(), Compression::default());
    let message = |number: usize| format!("{{\"number\":{number},\"text\":\"{}\"}}\n", number * number);
    for number in 0..2000 {
        encoder.write_all(message(number).as_bytes()).unwrap();
        encoder.flush().unwrap();
    }
    let expected: String = (0..2000).map(message).collect();
    assert_eq!(decoded("gzip", &encoder.finish().unwrap()).unwrap(), expected.as_bytes());
}

/// Blocks of every kind, flushed anywhere, at every level.
#[test]
fn every_way_of_encoding_is_undone() {
    let text: Vec<u8> =
        (0..40_000u32).flat_map(|number| (number * number % 7919).to_string().into_bytes()).collect();
    for level in 0..10 {
        for step in [text.len(), 30_000, 1500] {
            let mut encoder = write::ZlibEncoder::new(Vec::new(), Compression::new(level));
            for piece in text.chunks(step) {
                encoder.write_all(piece).unwrap();
                encoder.flush().unwrap();
            }
            let bytes = encoder.finish().unwrap();
            assert_eq!(
                decoded("deflate", &bytes).as_deref(),
                Ok(text.as_slice()),
                "level {level}, {step} bytes"
            );
        }
    }
}

#[test]
fn windows_beyond_the_standards_are_refused() {
    assert_eq!(decoded("zstd", &zstd_bomb(1, 23)).unwrap().len(), 128 << 10);
    assert_eq!(decoded("zstd", &zstd_bomb(1, 24)), Err(DecodeProblem::WindowTooLarge));
    assert_eq!(decoded("br", &unhex(BROTLI_LARGE)), Err(DecodeProblem::Corrupt));
}

#[test]
fn a_buffer_is_used_again() {
    let limits = DecodeLimits::default();
    let mut buffer = DecodeBuffer::new();
    for _ in 0..2 {
        assert_eq!(
            decode(&[Coding::Deflate, Coding::Gzip], &gzip(&zlib(TEXT)), &limits, &mut buffer).unwrap(),
            TEXT
        );
        assert_eq!(decode(&[], b"plain", &limits, &mut buffer).unwrap(), b"plain");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_comes_back(bytes in prop::collection::vec(prop::sample::select(b"abc\0".to_vec()), 0..2000)) {
        prop_assert_eq!(decoded("gzip", &gzip(&bytes)).unwrap(), bytes.clone());
        prop_assert_eq!(decoded("deflate", &zlib(&bytes)).unwrap(), bytes.clone());
        prop_assert_eq!(decoded("zstd", &zstd(&bytes)).unwrap(), bytes);
    }

    /// Damaged bytes end within the limits.
    #[test]
    fn any_damage_ends(at in 0usize..40, byte: u8, which in 0usize..4) {
        let (field, mut bytes) = [
            ("gzip", gzip(TEXT)), ("deflate", zlib(TEXT)), ("br", unhex(BROTLI)), ("zstd", unhex(ZSTD)),
        ][which].clone();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(output) = decoded(field, &bytes) {
            prop_assert!(output.len() <= DecodeLimits::default().ratio_from.max(100 * bytes.len()));
        }
    }
}
