//! What a text is made of, told before it is looked at.

/// A set of ASCII characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alphabet(u128);

impl Alphabet {
    /// The characters of a text; `None` where one is not ASCII.
    #[must_use]
    pub const fn of(text: &[u8]) -> Option<Self> {
        let (mut set, mut rest) = (0, text);
        while let [byte, behind @ ..] = rest {
            if !byte.is_ascii() {
                return None;
            }
            set |= 1_u128 << *byte;
            rest = behind;
        }
        Some(Alphabet(set))
    }

    /// No character.
    pub const NONE: Self = Alphabet(0);

    /// With one character more; `None` where it is not ASCII.
    #[must_use]
    pub fn with(self, byte: u8) -> Option<Self> {
        byte.is_ascii().then(|| Alphabet(self.0 | 1_u128 << byte))
    }

    /// Those in either.
    #[must_use]
    pub fn or(self, other: Alphabet) -> Self {
        Alphabet(self.0 | other.0)
    }

    /// All from `first` to `last`, as far as they are ASCII.
    #[must_use]
    pub fn range(first: u8, last: u8) -> Self {
        (first..=last).filter(u8::is_ascii).fold(Alphabet(0), |set, byte| Alphabet(set.0 | 1_u128 << byte))
    }

    /// Whether it has this character.
    #[must_use]
    pub fn has(self, byte: u8) -> bool {
        byte.is_ascii() && self.0 & 1_u128 << byte != 0
    }

    /// Whether all characters of a text are in it.
    #[must_use]
    pub fn covers(self, text: &[u8]) -> bool {
        text.iter().all(|byte| self.has(*byte))
    }

    /// The characters, ascending.
    pub fn bytes(self) -> impl Iterator<Item = u8> {
        (0..128).filter(move |byte| self.has(*byte))
    }
}

/// What is known of a text before it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bound {
    /// All characters that it can have.
    pub alphabet: Alphabet,
    /// The fewest bytes that it can have.
    pub shortest: u32,
    /// The most bytes that it can have; [`Bound::ENDLESS`] where nothing bounds it.
    pub longest: u32,
    /// The most letters and digits that it can begin with, before anything else.
    pub start: u32,
    /// No two dashes stand side by side.
    pub dashes_apart: bool,
}

impl Bound {
    /// No length is known.
    pub const ENDLESS: u32 = u32::MAX;

    /// Texts of these characters, of at most so many bytes.
    #[must_use]
    pub const fn new(alphabet: Alphabet, longest: u32) -> Self {
        Bound { alphabet, shortest: 0, longest, start: longest, dashes_apart: false }
    }

    /// Whether a text is one of those.
    #[must_use]
    pub fn covers(&self, text: &[u8]) -> bool {
        let length = text.len() as u64;
        let fits = length >= u64::from(self.shortest) && length <= u64::from(self.longest);
        let begins = || text.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count() as u64;
        fits && self.alphabet.covers(text)
            && (self.start >= self.longest || begins() <= u64::from(self.start))
            && !(self.dashes_apart && text.windows(2).any(|two| two == b"--"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alphabet_has_what_was_put_in() {
        let set = Alphabet::of(b"a-z").map(|set| set.or(Alphabet::range(b'0', b'9')));
        let has = |text: &[u8]| set.map(|set| set.covers(text));
        assert_eq!(
            (has(b"z-09"), has(b"b"), has("ä".as_bytes()), has(b"")),
            (Some(true), Some(false), Some(false), Some(true))
        );
        assert_eq!(Alphabet::of("ä".as_bytes()), None);
        assert_eq!(Alphabet::range(0x70, 0xFF).bytes().count(), 16);
        assert_eq!(Alphabet::of(b"ba").map(|set| set.bytes().collect::<Vec<_>>()), Some(b"ab".to_vec()));
    }

    #[test]
    fn a_bound_holds_a_text_to_all_that_it_says() {
        let digits = Alphabet::range(b'0', b'9');
        let bound = Bound::new(digits, 3);
        assert!(bound.covers(b"123") && bound.covers(b"") && !bound.covers(b"1234") && !bound.covers(b"12a"));
        assert!(Bound::new(digits, Bound::ENDLESS).covers(&[b'7'; 1000]));
        let date = Bound { shortest: 10, start: 4, dashes_apart: true, ..Bound::new(digits.or(dash()), 10) };
        assert!(date.covers(b"2026-02-28") && !date.covers(b"2026-2-28"), "too short");
        assert!(!date.covers(b"20260-2-28") && !date.covers(b"2026--2-28"));
    }

    fn dash() -> Alphabet {
        Alphabet::range(b'-', b'-')
    }
}
