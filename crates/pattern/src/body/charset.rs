//! Charsets: text of any of the usual ones becomes UTF-8, and every other is refused by name.
//!
//! Only charsets in which detectors can trust what they see: Unicode's own, and those of one byte per character. UTF-7 and
//! EBCDIC exist in attacks alone, and the multi-byte ones of East Asia hide quotes and backslashes in second bytes.

use std::fmt;

use encoding_rs::Encoding;

/// A charset that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// US-ASCII: bytes from 0x80 on are errors.
    Ascii,
    /// UTF-8.
    Utf8,
    /// UTF-16; the byte order by the byte order mark, big-endian without one (RFC 2781 section 4.3).
    Utf16,
    /// UTF-16LE.
    Utf16Le,
    /// UTF-16BE.
    Utf16Be,
    /// UTF-32; the byte order by the byte order mark, big-endian without one.
    Utf32,
    /// UTF-32LE.
    Utf32Le,
    /// UTF-32BE.
    Utf32Be,
    /// ISO-8859-1 itself: bytes from 0x80 to 0x9f are control characters, not those of windows-1252.
    Latin1,
    /// Any other charset of one byte per character.
    SingleByte(&'static Encoding),
}

/// Why text is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CharsetError {
    /// UTF-7, which hides markup from who does not expect it, and which nobody sends.
    Utf7,
    /// A charset that is not read here.
    Unknown,
    /// A byte order mark contradicts the charset.
    ByteOrderMark,
    /// The charset is named twice, differently, or not clearly.
    Conflict,
    /// Bytes that the charset does not have, at this offset.
    Invalid {
        /// Where, in the bytes as they came.
        offset: usize,
    },
    /// The text is longer as UTF-8 than allowed.
    TooLong,
}

impl CharsetError {
    /// A stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            CharsetError::Utf7 => "charset.utf_7",
            CharsetError::Unknown => "charset.unknown",
            CharsetError::ByteOrderMark => "charset.byte_order_mark",
            CharsetError::Conflict => "charset.conflict",
            CharsetError::Invalid { .. } => "charset.invalid",
            CharsetError::TooLong => "charset.too_long",
        }
    }
}

impl fmt::Display for CharsetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CharsetError::Utf7 => f.write_str("UTF-7 is never read"),
            CharsetError::Unknown => f.write_str("the charset is not read"),
            CharsetError::ByteOrderMark => f.write_str("the byte order mark contradicts the charset"),
            CharsetError::Conflict => f.write_str("the charset is named twice or not clearly"),
            CharsetError::Invalid { offset } => write!(f, "byte {offset} is none of the charset"),
            CharsetError::TooLong => f.write_str("the text is too long as UTF-8"),
        }
    }
}

impl std::error::Error for CharsetError {}

/// One byte per character, by every name that is in use.
const SINGLE_BYTE: &[(&str, &Encoding)] = &[
    ("iso-8859-2", encoding_rs::ISO_8859_2),
    ("iso-8859-3", encoding_rs::ISO_8859_3),
    ("iso-8859-4", encoding_rs::ISO_8859_4),
    ("iso-8859-5", encoding_rs::ISO_8859_5),
    ("iso-8859-6", encoding_rs::ISO_8859_6),
    ("iso-8859-7", encoding_rs::ISO_8859_7),
    ("iso-8859-8", encoding_rs::ISO_8859_8),
    ("iso-8859-9", encoding_rs::WINDOWS_1254),
    ("iso-8859-10", encoding_rs::ISO_8859_10),
    ("iso-8859-13", encoding_rs::ISO_8859_13),
    ("iso-8859-14", encoding_rs::ISO_8859_14),
    ("iso-8859-15", encoding_rs::ISO_8859_15),
    ("latin-9", encoding_rs::ISO_8859_15),
    ("iso-8859-16", encoding_rs::ISO_8859_16),
    ("windows-1250", encoding_rs::WINDOWS_1250),
    ("windows-1251", encoding_rs::WINDOWS_1251),
    ("windows-1252", encoding_rs::WINDOWS_1252),
    ("windows-1253", encoding_rs::WINDOWS_1253),
    ("windows-1254", encoding_rs::WINDOWS_1254),
    ("windows-1255", encoding_rs::WINDOWS_1255),
    ("windows-1256", encoding_rs::WINDOWS_1256),
    ("windows-1257", encoding_rs::WINDOWS_1257),
    ("windows-1258", encoding_rs::WINDOWS_1258),
    ("cp1250", encoding_rs::WINDOWS_1250),
    ("cp1251", encoding_rs::WINDOWS_1251),
    ("cp1252", encoding_rs::WINDOWS_1252),
    ("koi8-r", encoding_rs::KOI8_R),
    ("koi8-u", encoding_rs::KOI8_U),
];

impl Charset {
    /// The charset of a name, in any case.
    ///
    /// # Errors
    /// A name that is not known, or is refused.
    pub fn named(name: &[u8]) -> Result<Charset, CharsetError> {
        let is = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        let single = SINGLE_BYTE.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
        Ok(match () {
            () if is(&["utf-8", "utf8"]) => Charset::Utf8,
            () if is(&["us-ascii", "ascii"]) => Charset::Ascii,
            () if is(&["iso-8859-1", "latin1", "latin-1", "iso_8859-1"]) => Charset::Latin1,
            () if is(&["utf-16"]) => Charset::Utf16,
            () if is(&["utf-16le"]) => Charset::Utf16Le,
            () if is(&["utf-16be"]) => Charset::Utf16Be,
            () if is(&["utf-32"]) => Charset::Utf32,
            () if is(&["utf-32le"]) => Charset::Utf32Le,
            () if is(&["utf-32be"]) => Charset::Utf32Be,
            () if is(&["utf-7", "unicode-1-1-utf-7", "csutf7"]) => return Err(CharsetError::Utf7),
            () => {
                return single
                    .map(|(_, encoding)| Charset::SingleByte(encoding))
                    .ok_or(CharsetError::Unknown);
            }
        })
    }

    /// The charset that a byte order mark at the start says, and the length of the mark.
    #[must_use]
    pub fn marked(bytes: &[u8]) -> Option<(Charset, usize)> {
        match bytes {
            [0xef, 0xbb, 0xbf, ..] => Some((Charset::Utf8, 3)),
            [0xff, 0xfe, 0, 0, ..] => Some((Charset::Utf32Le, 4)),
            [0, 0, 0xfe, 0xff, ..] => Some((Charset::Utf32Be, 4)),
            [0xff, 0xfe, ..] => Some((Charset::Utf16Le, 2)),
            [0xfe, 0xff, ..] => Some((Charset::Utf16Be, 2)),
            _ => None,
        }
    }

    /// Whether ASCII bytes mean the same in it.
    #[must_use]
    pub fn is_ascii_compatible(self) -> bool {
        matches!(self, Charset::Ascii | Charset::Utf8 | Charset::Latin1 | Charset::SingleByte(_))
    }

    /// Whether both names may stand for the same text: those of UTF-16 (or UTF-32) do, and ASCII is UTF-8.
    #[must_use]
    pub fn is_like(self, other: Charset) -> bool {
        let family = |charset| match charset {
            Charset::Ascii => Charset::Utf8,
            Charset::Utf16Le | Charset::Utf16Be => Charset::Utf16,
            Charset::Utf32Le | Charset::Utf32Be => Charset::Utf32,
            other => other,
        };
        family(self) == family(other)
    }

    /// Whether bytes of the one are read alike in the other, but for their mark.
    fn agrees(self, marked: Charset) -> bool {
        self == marked
            || self == Charset::Utf16 && matches!(marked, Charset::Utf16Le | Charset::Utf16Be)
            || self == Charset::Utf32 && matches!(marked, Charset::Utf32Le | Charset::Utf32Be)
    }

    /// The text as UTF-8 without a byte order mark, at most `most` bytes of it: borrowed where the bytes already are,
    /// else written to `out`.
    ///
    /// # Errors
    /// Bytes that are none of the charset (nothing is replaced in silence), or a byte order mark that contradicts it.
    pub fn decode<'a>(
        self,
        bytes: &'a [u8],
        most: usize,
        out: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], CharsetError> {
        let (charset, mark) = match Charset::marked(bytes) {
            Some((marked, mark)) if self.agrees(marked) => (marked, mark),
            Some((_, _)) if !matches!(self, Charset::Latin1 | Charset::SingleByte(_)) => {
                return Err(CharsetError::ByteOrderMark);
            }
            _ => (self, 0),
        };
        let text = bytes.get(mark..).unwrap_or_default();
        let invalid = |at: usize| Err(CharsetError::Invalid { offset: mark + at });
        out.clear();
        match charset {
            Charset::Utf8 | Charset::Ascii => {
                let most_valid = match charset {
                    Charset::Ascii => Encoding::ascii_valid_up_to(text),
                    _ => Encoding::utf8_valid_up_to(text),
                };
                return match () {
                    () if most_valid < text.len() => invalid(most_valid),
                    () if text.len() > most => Err(CharsetError::TooLong),
                    () => Ok(text),
                };
            }
            Charset::Latin1 => {
                if Encoding::ascii_valid_up_to(text) == text.len() && text.len() <= most {
                    return Ok(text);
                }
                units(text.iter().map(|byte| Some((1, char::from(*byte)))), most, out)
            }
            Charset::SingleByte(encoding) => single_byte(encoding, text, most, out),
            Charset::Utf16 | Charset::Utf16Be => utf16(text, u16::from_be_bytes, most, out),
            Charset::Utf16Le => utf16(text, u16::from_le_bytes, most, out),
            Charset::Utf32 | Charset::Utf32Be => utf32(text, u32::from_be_bytes, most, out),
            Charset::Utf32Le => utf32(text, u32::from_le_bytes, most, out),
        }
        .map_err(|error| match error {
            CharsetError::Invalid { offset } => CharsetError::Invalid { offset: mark + offset },
            other => other,
        })?;
        Ok(out)
    }
}

fn single_byte(
    encoding: &'static Encoding,
    text: &[u8],
    most: usize,
    out: &mut Vec<u8>,
) -> Result<(), CharsetError> {
    // A byte that the table does not have is found by itself, so that its place can be said.
    let one = |byte: u8| {
        let decoded =
            encoding.decode_without_bom_handling_and_without_replacement(std::slice::from_ref(&byte));
        decoded.and_then(|text| text.chars().next())
    };
    let mut table = ['\0'; 256];
    for (entry, byte) in table.iter_mut().zip(0..=u8::MAX) {
        *entry = one(byte).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    let character = |byte: &u8| table.get(usize::from(*byte)).copied();
    let known = |character: &char| *character != char::REPLACEMENT_CHARACTER;
    units(text.iter().map(|byte| character(byte).filter(known).map(|character| (1, character))), most, out)
}

fn utf16(text: &[u8], unit: fn([u8; 2]) -> u16, most: usize, out: &mut Vec<u8>) -> Result<(), CharsetError> {
    let (pairs, rest) = text.as_chunks::<2>();
    let characters = char::decode_utf16(pairs.iter().map(|pair| unit(*pair)));
    let characters =
        characters.map(|character| character.ok().map(|character| (2 * character.len_utf16(), character)));
    units(characters, most, out)?;
    if rest.is_empty() { Ok(()) } else { Err(CharsetError::Invalid { offset: text.len() - 1 }) }
}

fn utf32(text: &[u8], unit: fn([u8; 4]) -> u32, most: usize, out: &mut Vec<u8>) -> Result<(), CharsetError> {
    let (words, rest) = text.as_chunks::<4>();
    units(words.iter().map(|word| char::from_u32(unit(*word)).map(|character| (4, character))), most, out)?;
    if rest.is_empty() { Ok(()) } else { Err(CharsetError::Invalid { offset: text.len() - rest.len() }) }
}

/// Writes characters, each with the bytes that it took; none is one that does not exist.
fn units(
    characters: impl Iterator<Item = Option<(usize, char)>>,
    most: usize,
    out: &mut Vec<u8>,
) -> Result<(), CharsetError> {
    let mut offset = 0;
    for character in characters {
        let (bytes, character) = character.ok_or(CharsetError::Invalid { offset })?;
        offset += bytes;
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        if out.len() > most {
            return Err(CharsetError::TooLong);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(name: &str, bytes: &[u8]) -> Result<String, CharsetError> {
        let mut out = Vec::new();
        let text = Charset::named(name.as_bytes())?.decode(bytes, 1 << 20, &mut out)?;
        Ok(String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn text_of_the_usual_charsets_becomes_utf_8() {
        let cases: [(&str, &[u8], &str); 16] = [
            ("UTF-8", b"\xc3\xa9", "é"),
            ("utf-8", b"\xef\xbb\xbfx", "x"),
            ("us-ascii", b"x", "x"),
            ("ISO-8859-1", b"<\xe9\x80>", "<é\u{80}>"),
            ("windows-1252", b"<\xe9\x80>", "<é€>"),
            ("iso-8859-15", b"\xa4", "€"),
            ("windows-1251", b"\xcf", "П"),
            ("koi8-r", b"\xf0", "П"),
            ("utf-16le", b"<\0\xac\x20", "<€"),
            ("utf-16", b"\0<\x20\xac", "<€"),
            ("utf-16", b"\xff\xfe<\0", "<"),
            ("utf-16be", b"\xfe\xff\xd8\x3d\xde\x00", "😀"),
            ("utf-32", b"\0\0\0<", "<"),
            ("utf-32", b"\xff\xfe\0\0<\0\0\0", "<"),
            ("utf-32le", b"\x00\xf6\x01\x00", "😀"),
            ("utf-32be", b"\x00\x01\xf6\x00", "😀"),
        ];
        for (name, bytes, text) in cases {
            assert_eq!(decode(name, bytes).as_deref(), Ok(text), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_trusted_is_refused() {
        use CharsetError::*;
        let cases: [(&str, &[u8], CharsetError); 16] = [
            ("utf-7", b"+ADw-", Utf7),
            ("ibm037", b"x", Unknown),
            ("shift_jis", b"x", Unknown),
            ("gbk", b"x", Unknown),
            ("", b"x", Unknown),
            ("utf-8", b"ab\xff", Invalid { offset: 2 }),
            ("utf-8", b"\xef\xbb\xbf\xc0\x80", Invalid { offset: 3 }),
            ("us-ascii", b"a\x80", Invalid { offset: 1 }),
            ("iso-8859-8", b"\xa1", Invalid { offset: 0 }),
            ("utf-16le", b"a\0b", Invalid { offset: 2 }),
            ("utf-16le", b"a\0\0\xd8b\0", Invalid { offset: 2 }),
            ("utf-32be", b"\0\x11\0\0", Invalid { offset: 0 }),
            ("utf-32be", b"\0\0\0a\0\0", Invalid { offset: 4 }),
            ("utf-8", b"\xff\xfea\0", ByteOrderMark),
            ("utf-16le", b"\xfe\xff\0a", ByteOrderMark),
            ("utf-16le", b"\xff\xfe\0\0", ByteOrderMark),
        ];
        for (name, bytes, error) in cases {
            assert_eq!(decode(name, bytes), Err(error), "{name} {bytes:?}");
        }
    }

    #[test]
    fn growth_ends_at_the_limit() {
        let mut out = Vec::new();
        assert_eq!(Charset::Latin1.decode(&[0xe9; 10], 20, &mut out).map(<[u8]>::len), Ok(20));
        assert_eq!(Charset::Latin1.decode(&[0xe9; 11], 20, &mut out), Err(CharsetError::TooLong));
        assert_eq!(Charset::Utf8.decode(&[b'a'; 21], 20, &mut out), Err(CharsetError::TooLong));
    }

    #[test]
    fn every_name_of_a_single_byte_charset_is_one() {
        for (name, encoding) in SINGLE_BYTE {
            assert!(encoding.is_single_byte() && encoding.is_ascii_compatible(), "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_encoded_comes_back(text in "\\PC{0,40}") {
            let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let utf_32: Vec<u8> = text.chars().flat_map(|character| u32::from(character).to_be_bytes()).collect();
            prop_assert_eq!(decode("utf-16le", &utf_16), Ok(text.clone()));
            prop_assert_eq!(decode("utf-32be", &utf_32), Ok(text));
        }
    }
}
