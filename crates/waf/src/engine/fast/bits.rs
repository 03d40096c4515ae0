//! Sets of small numbers as words of bits.

/// A set with a fixed capacity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// How many words `capacity` numbers need.
    pub(super) fn words(capacity: usize) -> usize {
        capacity.div_ceil(64)
    }

    pub(super) fn new(capacity: usize) -> Self {
        Bits(vec![0; Self::words(capacity)])
    }

    pub(super) fn insert(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    pub(super) fn contains(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    pub(super) fn insert_all(&mut self, other: &Bits) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }

    /// Adds what is in both `found` and `mask`.
    pub(super) fn insert_common(&mut self, found: &[u64], mask: &Bits) {
        for ((word, found), mask) in self.0.iter_mut().zip(found).zip(&mask.0) {
            *word |= found & mask;
        }
    }
}

/// Sets a bit in words.
pub(super) fn set(words: &mut [u64], number: usize) {
    if let Some(word) = words.get_mut(number / 64) {
        *word |= 1 << (number % 64);
    }
}
