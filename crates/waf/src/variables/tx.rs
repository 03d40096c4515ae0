//! `TX`: the variables of one inspection.

use indexmap::IndexMap;

/// How many variables one inspection may set: rules name them after arguments, of which a request may have thousands.
const MAX_VARIABLES: usize = 8192;
/// The longest value, bytes: longer ones are cut.
const MAX_VALUE: usize = 64 * 1024;
/// All values together, bytes: what would exceed it is not set.
const MAX_TOTAL: usize = 4 * 1024 * 1024;

/// Names are compared without regard to case and given in lower case. Bounded in number and size.
#[derive(Clone, Debug, Default)]
pub struct Tx {
    values: IndexMap<Box<[u8]>, Vec<u8>, ahash::RandomState>,
    total: usize,
    full: bool,
}

impl Tx {
    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        if name.iter().any(u8::is_ascii_uppercase) {
            return self.values.get(name.to_ascii_lowercase().as_slice()).map(Vec::as_slice);
        }
        self.values.get(name).map(Vec::as_slice)
    }

    /// Sets `name`. Where a bound is reached, nothing is set and [`Tx::is_full`] tells so.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let value = value.get(..MAX_VALUE).unwrap_or(value);
        let name = name.to_ascii_lowercase();
        let before = self.values.get(name.as_slice()).map(Vec::len);
        let total = self.total - before.unwrap_or(0) + value.len();
        if total > MAX_TOTAL || (before.is_none() && self.values.len() >= MAX_VARIABLES) {
            self.full = true;
            return;
        }
        self.total = total;
        match self.values.get_mut(name.as_slice()) {
            Some(place) => {
                place.clear();
                place.extend_from_slice(value);
            }
            None => {
                self.values.insert(name.into(), value.to_vec());
            }
        }
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &[u8]) {
        if let Some(value) = self.values.shift_remove(name.to_ascii_lowercase().as_slice()) {
            self.total -= value.len();
        }
    }

    /// All variables in the order in which they were first set.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.values.iter().map(|(name, value)| (&**name, value.as_slice()))
    }

    /// Whether something could not be set.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_know_no_case_and_size_is_bounded() {
        let mut tx = Tx::default();
        tx.set(b"Score", b"5");
        assert_eq!(tx.get(b"SCORE"), Some(&b"5"[..]));
        tx.remove(b"sCORE");
        assert_eq!(tx.get(b"score"), None);
        for number in 0..MAX_VARIABLES + 1 {
            tx.set(format!("v{number}").as_bytes(), b"x");
        }
        assert!(tx.is_full());
        assert_eq!(tx.iter().count(), MAX_VARIABLES);
        let mut large = Tx::default();
        for number in 0..100 {
            large.set(format!("v{number}").as_bytes(), &vec![b'x'; 2 * MAX_VALUE]);
        }
        assert!(large.is_full());
        assert_eq!(large.iter().map(|(_, value)| value.len()).sum::<usize>(), MAX_TOTAL);
    }
}
