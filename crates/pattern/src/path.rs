//! One canonical path (RFC 3986 section 6.2.2), and the refusal of every path that two parsers could read differently.

mod fold;
#[cfg(test)]
mod tests;

use unicode_normalization::UnicodeNormalization;

pub use fold::folded;

/// What is tolerated in a path; the default refuses everything that two parsers could read differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PathRules {
    /// `%2F` stays encoded inside a segment instead of being refused.
    pub encoded_slash: bool,
    /// `;parameters` stay in the path instead of being refused.
    pub parameters: bool,
}

/// Why the path of a request target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathRefusal {
    /// Not `/` at the front.
    NotAbsolute,
    /// A raw byte outside ASCII.
    NonAscii,
    /// A raw control character or space.
    Control,
    /// A raw character that RFC 3986 allows nowhere in a path.
    Character,
    /// A backslash, raw or as `%5C`.
    Backslash,
    /// `?` or `#`, as `%3F` or `%23`, or a raw one.
    Delimiter,
    /// `%` without two hexadecimal digits behind it.
    BrokenEscape,
    /// The `%uXXXX` form of some servers.
    UnicodeEscape,
    /// `%2F`.
    EncodedSlash,
    /// A control character as an escape, such as `%00`, `%0D` or `%7F`.
    EncodedControl,
    /// An escape of an escape, such as `%252e`.
    DoubleEncoding,
    /// `;`, raw or as `%3B`.
    Parameters,
    /// A dot segment with something that a lenient server drops: `..;`, `..%20`, `%2F..`, or `/;/`.
    DisguisedDots,
    /// A segment of three or more dots.
    ManyDots,
    /// Escapes that are no UTF-8, overlong forms and surrogates included.
    InvalidUtf8,
    /// A character that some server turns into ASCII, or that nobody can see.
    LookAlike,
    /// `..` above the root.
    AboveRoot,
}

impl PathRefusal {
    /// Every refusal, for tables and documents.
    pub const ALL: [PathRefusal; 17] = [
        PathRefusal::NotAbsolute,
        PathRefusal::NonAscii,
        PathRefusal::Control,
        PathRefusal::Character,
        PathRefusal::Backslash,
        PathRefusal::Delimiter,
        PathRefusal::BrokenEscape,
        PathRefusal::UnicodeEscape,
        PathRefusal::EncodedSlash,
        PathRefusal::EncodedControl,
        PathRefusal::DoubleEncoding,
        PathRefusal::Parameters,
        PathRefusal::DisguisedDots,
        PathRefusal::ManyDots,
        PathRefusal::InvalidUtf8,
        PathRefusal::LookAlike,
        PathRefusal::AboveRoot,
    ];

    /// Stable code, such as `ingress.path_encoded_slash`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            PathRefusal::NotAbsolute => "ingress.path_not_absolute",
            PathRefusal::NonAscii => "ingress.path_non_ascii",
            PathRefusal::Control => "ingress.path_control",
            PathRefusal::Character => "ingress.path_character",
            PathRefusal::Backslash => "ingress.path_backslash",
            PathRefusal::Delimiter => "ingress.path_delimiter",
            PathRefusal::BrokenEscape => "ingress.path_broken_escape",
            PathRefusal::UnicodeEscape => "ingress.path_unicode_escape",
            PathRefusal::EncodedSlash => "ingress.path_encoded_slash",
            PathRefusal::EncodedControl => "ingress.path_encoded_control",
            PathRefusal::DoubleEncoding => "ingress.path_double_encoding",
            PathRefusal::Parameters => "ingress.path_parameters",
            PathRefusal::DisguisedDots => "ingress.path_disguised_dots",
            PathRefusal::ManyDots => "ingress.path_many_dots",
            PathRefusal::InvalidUtf8 => "ingress.path_invalid_utf8",
            PathRefusal::LookAlike => "ingress.path_look_alike",
            PathRefusal::AboveRoot => "ingress.path_above_root",
        }
    }

    /// Operator's detail.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            PathRefusal::NotAbsolute => "the path does not begin with `/`",
            PathRefusal::NonAscii => "the path holds a raw byte outside ASCII: encode it as `%XX`",
            PathRefusal::Control => "the path holds a raw control character or space",
            PathRefusal::Character => {
                "the path holds a raw character that RFC 3986 does not allow: encode it as `%XX`"
            }
            PathRefusal::Backslash => "the path holds a backslash, which some servers read as `/`",
            PathRefusal::Delimiter => "the path holds `%3F` or `%23`, which some servers read as its end",
            PathRefusal::BrokenEscape => "the path holds a `%` without two hexadecimal digits behind it",
            PathRefusal::UnicodeEscape => "the path holds a `%u` escape, which is not part of RFC 3986",
            PathRefusal::EncodedSlash => {
                "the path holds `%2F`, which some servers read as `/`: allow it for the API with `encoded_slash`"
            }
            PathRefusal::EncodedControl => "the path holds an encoded control character",
            PathRefusal::DoubleEncoding => "the path is encoded twice, such as `%252e`",
            PathRefusal::Parameters => {
                "the path holds `;`, which some servers cut off: allow it for the API with `parameters`"
            }
            PathRefusal::DisguisedDots => {
                "the path holds a dot segment in disguise, such as `..;` or `..%20`"
            }
            PathRefusal::ManyDots => "the path holds a segment of three or more dots",
            PathRefusal::InvalidUtf8 => "the escapes of the path are no valid UTF-8",
            PathRefusal::LookAlike => {
                "the path holds a character that some servers turn into ASCII, or an invisible one"
            }
            PathRefusal::AboveRoot => "the path leads above its root",
        }
    }
}

/// The canonical form of the path (without query) of an origin-form target.
///
/// Escapes of unreserved characters are decoded, other escapes written in upper case (RFC 3986 section 6.2.2), dot
/// segments removed (section 5.2.4), runs of slashes merged; a slash at the end is kept. A second application changes
/// nothing. The raw characters `[`, `]` and `|`, which RFC 3986 does not allow but browsers send (WHATWG URL, path
/// percent-encode set), become escapes. The result is plain ASCII and at most three times as long as `path`, whose
/// length the caller bounds; the time is linear.
///
/// # Errors
/// The path could be read in more than one way.
pub fn canonical(path: &str, rules: PathRules) -> Result<String, PathRefusal> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(PathRefusal::NotAbsolute);
    }
    if is_plain(bytes) {
        return Ok(path.to_owned());
    }
    let mut out = String::with_capacity(bytes.len());
    let mut segments = bytes.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        let start = out.len();
        out.push('/');
        decode_segment(segment, rules, &mut out)?;
        match classify(out.get(start + 1..).unwrap_or_default(), rules)? {
            Segment::Name => continue,
            Segment::Empty | Segment::Dot => out.truncate(start),
            Segment::DotDot => {
                out.truncate(start);
                let parent = out.rfind('/').ok_or(PathRefusal::AboveRoot)?;
                out.truncate(parent);
            }
        }
        if last {
            out.push('/');
        }
    }
    Ok(out)
}

/// Whether the path is its own canonical form: only plain characters, no empty segment, none that begins with a dot.
fn is_plain(path: &[u8]) -> bool {
    let mut before = 0;
    for byte in path {
        let plain = match class(*byte) {
            Class::Unreserved => *byte != b'.' || before != b'/',
            Class::Pchar => true,
            Class::Slash => before != b'/',
            _ => false,
        };
        if !plain {
            return false;
        }
        before = *byte;
    }
    true
}

/// What a byte means in a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Letters, digits, `-._~`.
    Unreserved,
    /// The other characters that a segment may hold raw: sub-delims without `;`, `:` and `@`.
    Pchar,
    Slash,
    Semicolon,
    Percent,
    /// `[`, `]` and `|`: raw ones are encoded.
    Tolerated,
    /// `"<>^` and the like.
    Excluded,
    Backslash,
    /// `?` and `#`.
    Delimiter,
    Space,
    Control,
    NonAscii,
}

const fn class_of(byte: u8) -> Class {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => Class::Unreserved,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' => Class::Pchar,
        b'/' => Class::Slash,
        b';' => Class::Semicolon,
        b'%' => Class::Percent,
        b'[' | b']' | b'|' => Class::Tolerated,
        b'\\' => Class::Backslash,
        b'?' | b'#' => Class::Delimiter,
        b' ' => Class::Space,
        0..=0x1F | 0x7F => Class::Control,
        0x80..=0xFF => Class::NonAscii,
        _ => Class::Excluded,
    }
}

#[expect(clippy::indexing_slicing, reason = "INVARIANT: a constant, and every index is below 256")]
static CLASSES: [Class; 256] = {
    let mut table = [Class::Excluded; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = class_of(byte as u8);
        byte += 1;
    }
    table
};

fn class(byte: u8) -> Class {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Excluded)
}

/// Whether a segment may hold the byte raw, so that its escape means the same to a server that decodes.
pub(crate) fn is_pchar(byte: u8) -> bool {
    matches!(class(byte), Class::Unreserved | Class::Pchar)
}

/// Appends the canonical form of one segment.
fn decode_segment(segment: &[u8], rules: PathRules, out: &mut String) -> Result<(), PathRefusal> {
    let start = out.len();
    let mut rest = segment;
    let mut percent_encoded = false;
    while let Some((&byte, after)) = rest.split_first() {
        match class(byte) {
            Class::Unreserved | Class::Pchar => out.push(char::from(byte)),
            Class::Semicolon if rules.parameters => out.push(';'),
            Class::Tolerated => push_escape(out, byte),
            Class::Percent => {
                let decoded = escape(rest)?;
                rest = rest.get(3..).unwrap_or_default();
                match class(decoded) {
                    Class::Unreserved => out.push(char::from(decoded)),
                    Class::Slash if rules.encoded_slash => push_escape(out, decoded),
                    Class::Slash => return Err(PathRefusal::EncodedSlash),
                    Class::Semicolon if rules.parameters => push_escape(out, decoded),
                    Class::Semicolon => return Err(PathRefusal::Parameters),
                    Class::Backslash => return Err(PathRefusal::Backslash),
                    Class::Delimiter => return Err(PathRefusal::Delimiter),
                    Class::Control => return Err(PathRefusal::EncodedControl),
                    Class::NonAscii => rest = decode_character(decoded, rest, out)?,
                    Class::Percent => {
                        percent_encoded = true;
                        push_escape(out, decoded);
                    }
                    Class::Pchar | Class::Tolerated | Class::Excluded | Class::Space => {
                        push_escape(out, decoded);
                    }
                }
                continue;
            }
            Class::Semicolon => return Err(PathRefusal::Parameters),
            Class::Backslash => return Err(PathRefusal::Backslash),
            Class::Delimiter => return Err(PathRefusal::Delimiter),
            Class::Space | Class::Control => return Err(PathRefusal::Control),
            Class::NonAscii => return Err(PathRefusal::NonAscii),
            Class::Slash | Class::Excluded => return Err(PathRefusal::Character),
        }
        rest = after;
    }
    // On the decoded text, since the digits themselves may have been escaped: `%25%32%65`.
    if percent_encoded && is_encoded_twice(out.as_bytes().get(start..).unwrap_or_default()) {
        return Err(PathRefusal::DoubleEncoding);
    }
    Ok(())
}

/// The byte that the escape at the front of `rest` stands for.
fn escape(rest: &[u8]) -> Result<u8, PathRefusal> {
    match rest {
        [b'%', b'u' | b'U', ..] => Err(PathRefusal::UnicodeEscape),
        [b'%', high, low, ..] => match (digit(*high), digit(*low)) {
            (Some(high), Some(low)) => Ok(high << 4 | low),
            _ => Err(PathRefusal::BrokenEscape),
        },
        _ => Err(PathRefusal::BrokenEscape),
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Appends `%XX`.
pub(crate) fn push_escape(out: &mut String, byte: u8) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    out.push('%');
    for nibble in [byte >> 4, byte & 15] {
        out.push(DIGITS.get(usize::from(nibble)).copied().unwrap_or('0'));
    }
}

/// Reads the character whose first byte was `first` and whose other bytes are the next escapes; appends it encoded and
/// returns what follows it.
fn decode_character<'a>(first: u8, mut rest: &'a [u8], out: &mut String) -> Result<&'a [u8], PathRefusal> {
    let length = match first {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return Err(PathRefusal::InvalidUtf8),
    };
    let mut buffer = [first, 0, 0, 0];
    for byte in buffer.iter_mut().take(length).skip(1) {
        if rest.first() != Some(&b'%') {
            return Err(PathRefusal::InvalidUtf8);
        }
        *byte = escape(rest)?;
        rest = rest.get(3..).unwrap_or_default();
    }
    let encoded = buffer.get(..length).unwrap_or_default();
    let character = std::str::from_utf8(encoded).ok().and_then(|text| text.chars().next());
    let character = character.ok_or(PathRefusal::InvalidUtf8)?;
    if is_look_alike(character) {
        return Err(PathRefusal::LookAlike);
    }
    for byte in encoded {
        push_escape(out, *byte);
    }
    Ok(rest)
}

/// Whether some server turns the character into ASCII (by Unicode normalization, by a change of case or by a best-fit
/// table), or no reader can see it.
fn is_look_alike(character: char) -> bool {
    let unseen = matches!(u32::from(character),
        0x80..=0x9F            // C1 controls
        | 0xAD                 // soft hyphen
        | 0x34F                // combining grapheme joiner
        | 0x61C                // Arabic letter mark
        | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x3164 // fillers
        | 0x180E
        | 0x200B..=0x200F      // zero width, left-to-right and right-to-left marks
        | 0x2028..=0x202E      // line and paragraph separators, embeddings and overrides
        | 0x2060..=0x206F      // word joiner, isolates
        | 0xFEFF
        | 0xFFF9..=0xFFFB
        | 0xE0000..=0xE0FFF); // tags
    let slash_like = matches!(
        character,
        '\u{2044}' | '\u{2215}' | '\u{2216}' | '\u{29F5}' | '\u{29F8}' | '\u{29F9}' | '\u{2571}' | '\u{2572}'
    );
    if unseen || slash_like || character == '\u{130}' {
        return true;
    }
    // A mapping to several characters, such as that of the German sharp s to `SS`, is not the simple one.
    let mut lower = character.to_lowercase();
    let mut upper = character.to_uppercase();
    lower.len() == 1 && lower.any(|c| c.is_ascii())
        || upper.len() == 1 && upper.any(|c| c.is_ascii())
        || std::iter::once(character).nfkc().any(|c| c.is_ascii())
}

/// Whether a second decoding would find an escape: `%25` before two hexadecimal digits, or before `uXXXX`.
fn is_encoded_twice(segment: &[u8]) -> bool {
    let all_digits = |text: Option<&[u8]>| text.is_some_and(|text| text.iter().all(u8::is_ascii_hexdigit));
    memchr::memmem::find_iter(segment, b"%25").any(|at| {
        let after = segment.get(at + 3..).unwrap_or_default();
        all_digits(after.get(..2))
            || matches!(after.first(), Some(b'u' | b'U')) && all_digits(after.get(1..5))
    })
}

enum Segment {
    Name,
    Empty,
    Dot,
    DotDot,
}

/// What a decoded segment is, or why nobody may be shown it.
fn classify(segment: &str, rules: PathRules) -> Result<Segment, PathRefusal> {
    match segment {
        "" => return Ok(Segment::Empty),
        "." => return Ok(Segment::Dot),
        ".." => return Ok(Segment::DotDot),
        _ => {}
    }
    if !segment.starts_with(['.', ';', '%']) && !segment.contains("%2F") {
        return Ok(Segment::Name);
    }
    for piece in segment.split("%2F") {
        let name = piece.split_once(';').map_or(piece, |(name, _)| name);
        let name = name.split_once("%3B").map_or(name, |(name, _)| name);
        let mut rest = name;
        let (mut dots, mut spaces) = (0usize, 0usize);
        loop {
            if let Some(after) = rest.strip_prefix('.') {
                (rest, dots) = (after, dots + 1);
            } else if let Some(after) = rest.strip_prefix("%20") {
                (rest, spaces) = (after, spaces + 1);
            } else {
                break;
            }
        }
        let only_dots = rest.is_empty() && dots > 0;
        if only_dots && dots > 2 && spaces == 0 {
            return Err(PathRefusal::ManyDots);
        }
        // `;id=5` is how a path parameter in the style `matrix` is written (RFC 6570 section 3.2.7).
        let named = rules.parameters
            && piece.strip_prefix(';').is_some_and(|rest| {
                rest.starts_with(|first: char| first.is_ascii_alphabetic()) && rest.contains('=')
            });
        let parameters_alone = name.is_empty() && !piece.is_empty() && !named;
        if only_dots || parameters_alone {
            return Err(PathRefusal::DisguisedDots);
        }
    }
    Ok(Segment::Name)
}
