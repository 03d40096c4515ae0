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

    /// The words.
    pub(super) fn as_words(&self) -> &[u64] {
        &self.0
    }

    /// The numbers, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let number = (rest != 0).then(|| at * 64 + rest.trailing_zeros() as usize)?;
                rest &= rest - 1;
                Some(number)
            })
        })
    }

    /// The first number that is no less than `from`.
    pub(super) fn next(&self, from: usize) -> Option<usize> {
        let mut at = from / 64;
        let mut word = self.0.get(at)? & (u64::MAX << (from % 64));
        while word == 0 {
            at += 1;
            word = *self.0.get(at)?;
        }
        Some(at * 64 + word.trailing_zeros() as usize)
    }

    pub(super) fn insert_all(&mut self, other: &Bits) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }

    pub(super) fn insert_words(&mut self, words: &[u64]) {
        for (word, other) in self.0.iter_mut().zip(words) {
            *word |= other;
        }
    }

    /// Adds the numbers of one word.
    pub(super) fn insert_word(&mut self, at: usize, bits: u64) {
        if let Some(word) = self.0.get_mut(at) {
            *word |= bits;
        }
    }
}

/// Sets a bit in words.
pub(super) fn set(words: &mut [u64], number: usize) {
    if let Some(word) = words.get_mut(number / 64) {
        *word |= 1 << (number % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_order() {
        let mut bits = Bits::new(200);
        for number in [0, 63, 64, 130, 199, 300] {
            bits.insert(number);
        }
        assert!(bits.iter().eq([0, 63, 64, 130, 199]));
        let next: Vec<_> =
            [0, 1, 63, 64, 65, 131, 199, 200, 1000].iter().map(|from| bits.next(*from)).collect();
        let expected = [Some(0), Some(63), Some(63), Some(64), Some(130), Some(199), Some(199), None, None];
        assert_eq!(next, expected);
    }
}
