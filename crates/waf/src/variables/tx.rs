//! `TX`: the variables of one inspection.

use std::{borrow::Cow, sync::Arc};

use indexmap::IndexMap;
use smallvec::SmallVec;

/// How many variables one inspection may set: rules name them after arguments, of which a request may have thousands.
const MAX_VARIABLES: usize = 8192;
/// The longest value, bytes: longer ones are cut.
const MAX_VALUE: usize = 64 * 1024;
/// All values together, bytes: what would exceed it is not set.
const MAX_TOTAL: usize = 4 * 1024 * 1024;

type Value = SmallVec<[u8; 24]>;
type Values = IndexMap<Box<[u8]>, Value, ahash::RandomState>;

/// Names are compared without regard to case and given in lower case. Bounded in number and size.
///
/// What every inspection begins with is shared ([`Tx::share`]); only what differs from it is kept of its own.
#[derive(Clone, Debug, Default)]
pub struct Tx {
    /// `TX.0` to `TX.9`, which captures set and remove all the time.
    digits: [Option<Value>; 10],
    base: Option<Arc<Values>>,
    /// For each variable of `base`, what became of it.
    changed: Vec<Change>,
    own: Values,
    total: usize,
    full: bool,
}

#[derive(Clone, Debug, Default)]
enum Change {
    #[default]
    Same,
    To(Value),
    Removed,
}

impl Tx {
    /// The same variables, so that copies of them cost next to nothing.
    #[must_use]
    pub fn share(&self) -> Self {
        let named = self.iter().filter(|(name, _)| digit(name).is_none());
        let all: Values = named.map(|(name, value)| (name.into(), Value::from_slice(value))).collect();
        let changed = vec![Change::Same; all.len()];
        let digits = self.digits.clone();
        let base = Some(Arc::new(all));
        Tx { digits, base, changed, own: Values::default(), total: self.total, full: self.full }
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        if let Some(digit) = digit(name) {
            return self.digits.get(digit)?.as_ref().map(|value| value.as_slice());
        }
        let name = lower(name);
        if let Some((index, value)) = self.in_base(&name) {
            match self.changed.get(index) {
                Some(Change::To(value)) => return Some(value),
                Some(Change::Removed) => {}
                Some(Change::Same) | None => return Some(value),
            }
        }
        self.own.get(&*name).map(|value| value.as_slice())
    }

    /// The place of a variable among those that are shared, for [`Tx::at`]; `name` is in lower case.
    #[must_use]
    pub(crate) fn place(&self, name: &[u8]) -> Option<usize> {
        self.base.as_ref()?.get_index_of(name)
    }

    /// The value of `name`, whose place is known where it is shared.
    #[must_use]
    pub(crate) fn at(&self, place: Option<usize>, name: &[u8]) -> Option<&[u8]> {
        // Another start may have its variables in other places.
        let shared = place.and_then(|place| Some((place, self.base.as_ref()?.get_index(place)?)));
        let Some((place, (_, value))) = shared.filter(|(_, (known, _))| ***known == *name) else {
            return self.get(name);
        };
        match self.changed.get(place) {
            Some(Change::Same) => Some(value.as_slice()),
            Some(Change::To(value)) => Some(value),
            Some(Change::Removed) | None => self.get(name),
        }
    }

    /// Sets `name`. Where a bound is reached, nothing is set and [`Tx::is_full`] tells so.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let value = value.get(..MAX_VALUE).unwrap_or(value);
        let name = lower(name);
        let before = self.get(&name).map(<[u8]>::len);
        let total = self.total - before.unwrap_or(0) + value.len();
        let full = before.is_none() && self.own.len() + self.changed.len() >= MAX_VARIABLES;
        if total > MAX_TOTAL || full {
            self.full = true;
            return;
        }
        self.total = total;
        let value = Value::from_slice(value);
        if let Some(place) = digit(&name).and_then(|digit| self.digits.get_mut(digit)) {
            *place = Some(value);
            return;
        }
        if let Some((index, _)) = self.in_base(&name)
            && let Some(change @ (Change::Same | Change::To(_))) = self.changed.get_mut(index)
        {
            *change = Change::To(value);
            return;
        }
        match self.own.get_mut(&*name) {
            Some(place) => *place = value,
            None => {
                self.own.insert(Box::from(&*name), value);
            }
        }
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &[u8]) {
        let name = lower(name);
        let Some(length) = self.get(&name).map(<[u8]>::len) else { return };
        self.total -= length;
        if let Some(place) = digit(&name).and_then(|digit| self.digits.get_mut(digit)) {
            *place = None;
            return;
        }
        if let Some((index, _)) = self.in_base(&name)
            && let Some(change @ (Change::Same | Change::To(_))) = self.changed.get_mut(index)
        {
            *change = Change::Removed;
            return;
        }
        self.own.shift_remove(&*name);
    }

    /// All variables: captures, then the others in the order in which they were first set.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let digits = self.digits.iter().zip(DIGITS);
        let captures = digits.filter_map(|(value, name)| Some((&name[..], value.as_ref()?.as_slice())));
        let base = self.base.iter().flat_map(|base| base.iter()).zip(&self.changed);
        let shared = base.filter_map(|((name, value), change)| match change {
            Change::Same => Some((&**name, value.as_slice())),
            Change::To(value) => Some((&**name, value.as_slice())),
            Change::Removed => None,
        });
        captures.chain(shared).chain(self.own.iter().map(|(name, value)| (&**name, value.as_slice())))
    }

    /// Whether something could not be set.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    fn in_base(&self, name: &[u8]) -> Option<(usize, &[u8])> {
        let (index, _, value) = self.base.as_ref()?.get_full(name)?;
        Some((index, value))
    }
}

/// The names of captures.
const DIGITS: &[[u8; 1]; 10] = &[*b"0", *b"1", *b"2", *b"3", *b"4", *b"5", *b"6", *b"7", *b"8", *b"9"];

/// The number that a name is, where it is one digit.
fn digit(name: &[u8]) -> Option<usize> {
    match name {
        [digit @ b'0'..=b'9'] => Some(usize::from(digit - b'0')),
        _ => None,
    }
}

fn lower(name: &[u8]) -> Cow<'_, [u8]> {
    // Without an early end, so that all bytes are compared at once.
    if name.iter().fold(false, |found, byte| found | byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
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

    #[test]
    fn a_shared_start_behaves_as_an_own_one() {
        let mut own = Tx::default();
        for (name, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
            own.set(name.as_bytes(), value.as_bytes());
        }
        let mut shared = own.share();
        for tx in [&mut own, &mut shared] {
            tx.set(b"B", b"20");
            tx.remove(b"a");
            tx.set(b"d", b"4");
            tx.set(b"a", b"10");
            tx.remove(b"c");
            tx.remove(b"none");
        }
        assert!(own.iter().eq(shared.iter()));
        assert_eq!(shared.iter().count(), 3);
        assert_eq!(shared.get(b"A"), Some(&b"10"[..]));
        for name in [b"a", b"b", b"c", b"d", b"e"] {
            assert_eq!(shared.at(shared.place(name), name), own.get(name));
        }
        assert_eq!(own.total, shared.total);
    }
}
