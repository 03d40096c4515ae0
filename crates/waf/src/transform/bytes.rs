//! Which kinds of bytes a value is made of: the proof that a transformation has nothing to do.

/// The kinds of bytes of a value, gathered in one pass of one table look-up per byte.
///
/// Kinds rather than bytes: each byte that some transformation or detector treats apart has a kind of its own, the
/// others share one. The empty set belongs to the empty value alone.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ByteSet(u32);

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl ByteSet {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*
        }
    };
}

kinds! {
    /// `A` to `Z`.
    UPPER = 0;
    /// `a` to `z`.
    LOWER = 1;
    /// `1` to `9`.
    DIGIT = 2;
    /// `0`, which begins octal, hexadecimal and SQL literals.
    ZERO = 3;
    /// The space, 0x20.
    SPACE = 4;
    /// Tab, line feed, vertical tab, form feed, carriage return.
    BREAK = 5;
    /// NUL.
    NUL = 6;
    /// The other bytes below 0x20, and 0x7F.
    CONTROL = 7;
    /// 0xA0 and 0xC2, of which the non-breaking space is made in Latin-1 and UTF-8.
    NBSP = 8;
    /// The other bytes above 0x7F.
    HIGH = 9;
    /// `%`.
    PERCENT = 10;
    /// `+`.
    PLUS = 11;
    /// `&`.
    AMPERSAND = 12;
    /// `\`.
    BACKSLASH = 13;
    /// `/`.
    SLASH = 14;
    /// `*`.
    STAR = 15;
    /// `#`.
    HASH = 16;
    /// `-`.
    DASH = 17;
    /// `.`.
    DOT = 18;
    /// `"`, `'` and `^`, which a shell drops.
    QUOTE = 19;
    /// `,` and `;`.
    COMMA = 20;
    /// `(`.
    PARENTHESIS = 21;
    /// `[`.
    BRACKET = 22;
    /// `=`.
    EQUALS = 23;
    /// `<` and `>`.
    ANGLE = 24;
    /// `_`.
    UNDERSCORE = 25;
    /// `:`.
    COLON = 26;
    /// `@`.
    AT = 27;
    /// The other printable bytes of ASCII.
    OTHER = 28;
}

impl ByteSet {
    /// No kind.
    pub(super) const NOTHING: Self = Self(0);
    /// Every kind.
    pub(crate) const ANY: Self = Self((1 << 29) - 1);
    /// No kind of byte: what every value has, the empty one too.
    pub(super) const ALWAYS: Self = Self(1 << 31);

    /// This set without the kinds of another.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// The kind of each byte; in the upper half, which of [`MARKS`] or which letter it is.
const KINDS: [u64; 256] = table();
/// Marks that are told apart beyond their kind.
const MARKS: [u8; 6] = *b";|$)`{";

#[expect(
    clippy::indexing_slicing,
    reason = "INVARIANT: the index runs from 0 to 255, evaluated at compile time"
)]
const fn table() -> [u64; 256] {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "INVARIANT: below 256")]
        let (kind, letter) = (kind(byte as u8), (byte as u8).to_ascii_lowercase());
        kinds[byte] = kind.0 as u64;
        if letter.is_ascii_lowercase() {
            kinds[byte] |= 1 << (32 + letter - b'a');
        }
        let mut mark = 0;
        while mark < MARKS.len() {
            if MARKS[mark] == letter {
                kinds[byte] |= 1 << (58 + mark);
            }
            mark += 1;
        }
        byte += 1;
    }
    kinds
}

const fn kind(byte: u8) -> ByteSet {
    match byte {
        b'A'..=b'Z' => ByteSet::UPPER,
        b'a'..=b'z' => ByteSet::LOWER,
        b'1'..=b'9' => ByteSet::DIGIT,
        b'0' => ByteSet::ZERO,
        b' ' => ByteSet::SPACE,
        b'\t'..=b'\r' => ByteSet::BREAK,
        0 => ByteSet::NUL,
        0x01..=0x1F | 0x7F => ByteSet::CONTROL,
        0xA0 | 0xC2 => ByteSet::NBSP,
        0x80..=0xFF => ByteSet::HIGH,
        b'%' => ByteSet::PERCENT,
        b'+' => ByteSet::PLUS,
        b'&' => ByteSet::AMPERSAND,
        b'\\' => ByteSet::BACKSLASH,
        b'/' => ByteSet::SLASH,
        b'*' => ByteSet::STAR,
        b'#' => ByteSet::HASH,
        b'-' => ByteSet::DASH,
        b'.' => ByteSet::DOT,
        b'"' | b'\'' | b'^' => ByteSet::QUOTE,
        b',' | b';' => ByteSet::COMMA,
        b'(' => ByteSet::PARENTHESIS,
        b'[' => ByteSet::BRACKET,
        b'=' => ByteSet::EQUALS,
        b'<' | b'>' => ByteSet::ANGLE,
        b'_' => ByteSet::UNDERSCORE,
        b':' => ByteSet::COLON,
        b'@' => ByteSet::AT,
        _ => ByteSet::OTHER,
    }
}

impl ByteSet {
    /// The kinds of the bytes of `value`.
    #[inline]
    #[must_use]
    pub fn of(value: &[u8]) -> Self {
        Letters::of(value).kinds()
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the sets share a kind.
    #[must_use]
    pub const fn any(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }

    /// Whether every kind of this set is in `of`.
    #[must_use]
    pub const fn within(self, of: Self) -> bool {
        self.0 & !of.0 == 0
    }

    /// The kinds as bits.
    #[must_use]
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// The kinds that a value of these kinds may have after any [bounded](super::Transformation::is_bounded)
    /// transformations: of the other case, a slash for a backslash, and the space that stands for what was removed.
    #[must_use]
    pub(crate) const fn after_bounded(self) -> Self {
        const LETTERS: ByteSet = ByteSet::UPPER.with(ByteSet::LOWER);
        let mut kinds = self.with(ByteSet::SPACE);
        if self.any(LETTERS) {
            kinds = kinds.with(LETTERS);
        }
        if self.any(ByteSet::BACKSLASH) {
            kinds = kinds.with(ByteSet::SLASH);
        }
        kinds
    }

    /// Whether the value that this set was gathered from is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The kinds of bytes of a value, and which letters (in either case) and which of a few marks it has.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Letters(u64);

impl Letters {
    /// Those of a value.
    #[inline]
    pub(crate) fn of(value: &[u8]) -> Self {
        Self(
            value
                .iter()
                .fold(0, |all, byte| all | KINDS.get(usize::from(*byte)).copied().unwrap_or_default()),
        )
    }

    /// What tells most about a byte: which letter or mark it is, else its kind.
    pub(crate) fn telling(byte: u8) -> Self {
        let all = Self::of(&[byte]).0;
        Self(if all >> 32 == 0 { all } else { all >> 32 << 32 })
    }

    /// The kinds alone.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "INVARIANT: the kinds are the lower half")]
    pub(crate) const fn kinds(self) -> ByteSet {
        ByteSet(self.0 as u32)
    }

    /// Those that a value may have after bounded transformations; see [`ByteSet::after_bounded`].
    pub(crate) const fn after_bounded(self) -> Self {
        Self(self.0 | self.kinds().after_bounded().0 as u64)
    }

    /// Both together.
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether they share something.
    pub(crate) const fn any(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }

    /// Whether all of these are in `of`.
    pub(crate) const fn within(self, of: Self) -> bool {
        self.0 & !of.0 == 0
    }

    /// How many there are.
    pub(crate) const fn len(self) -> u32 {
        self.0.count_ones()
    }
}

impl From<ByteSet> for Letters {
    fn from(kinds: ByteSet) -> Self {
        Self(u64::from(kinds.0))
    }
}
