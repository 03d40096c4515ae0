//! What a text is made of, told before it is looked at.

/// A set of ASCII characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alphabet(u128);

impl Alphabet {
    /// The characters of a text; `None` where one is not ASCII.
    #[must_use]
    pub fn of(text: &[u8]) -> Option<Self> {
        text.iter().try_fold(Alphabet(0), |set, byte| set.with(*byte))
    }

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

/// What is known of a text: all its characters are in the alphabet, and it is no longer than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bound {
    /// All characters that it can have.
    pub alphabet: Alphabet,
    /// The most bytes that it can have; [`Bound::ENDLESS`] where nothing bounds it.
    pub longest: u32,
}

impl Bound {
    /// No length is known.
    pub const ENDLESS: u32 = u32::MAX;

    /// Whether a text is one of those.
    #[must_use]
    pub fn covers(&self, text: &[u8]) -> bool {
        text.len() as u64 <= u64::from(self.longest) && self.alphabet.covers(text)
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
    fn a_bound_holds_a_text_to_its_length() {
        let bound = Bound { alphabet: Alphabet::range(b'0', b'9'), longest: 3 };
        assert!(bound.covers(b"123") && bound.covers(b"") && !bound.covers(b"1234") && !bound.covers(b"12a"));
        assert!(Bound { longest: Bound::ENDLESS, ..bound }.covers(&[b'7'; 1000]));
    }
}
