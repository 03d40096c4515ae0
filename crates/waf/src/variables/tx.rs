//! `TX`: the variables of one inspection.

use std::{borrow::Cow, sync::Arc};

use indexmap::{IndexMap, map::Entry};
use smallvec::SmallVec;

use crate::lang::Selector;

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
    base: Option<Arc<Base>>,
    /// For each variable of `base`, what became of it.
    changed: Vec<Change>,
    own: Values,
    total: usize,
    full: bool,
}

/// What every inspection begins with.
#[derive(Debug)]
struct Base {
    values: Values,
    /// Patterns of names, as they were written, with the places of the variables that they select.
    selected: Vec<(Arc<str>, Vec<usize>)>,
    /// By slot, the place of the variable, where it is one of these.
    slots: Vec<Option<usize>>,
}

/// The names that rules give variables literally, in lower case; the place of one here is its slot. It is the same for
/// all inspections by the same rules, whatever they begin with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots(Vec<Box<[u8]>>);

impl Slots {
    /// The slots of these names.
    pub(crate) fn new<'n>(names: impl Iterator<Item = &'n [u8]>) -> Self {
        let mut names: Vec<Box<[u8]>> = names.map(Box::from).collect();
        names.sort();
        names.dedup();
        Slots(names)
    }

    /// The slot of a name.
    pub(crate) fn of(&self, name: &[u8]) -> Option<usize> {
        self.0.binary_search_by(|known| (**known).cmp(name)).ok()
    }
}

#[derive(Clone, Debug, Default)]
enum Change {
    #[default]
    Same,
    To(Value),
    Removed,
}

impl Tx {
    /// The same variables, so that copies of them cost next to nothing. What the patterns among `selectors` select of
    /// them is found now, and so is the place of each slot.
    #[must_use]
    pub(crate) fn share<'s>(&self, selectors: impl Iterator<Item = &'s Selector>, slots: &Slots) -> Self {
        let named = self.iter().filter(|(name, _)| digit(name).is_none());
        let values: Values = named.map(|(name, value)| (name.into(), Value::from_slice(value))).collect();
        let mut selected: Vec<(Arc<str>, Vec<usize>)> = Vec::new();
        for selector in selectors {
            let Selector::Pattern { source, .. } = selector else { continue };
            if !selected.iter().any(|(known, _)| known == source) {
                let places = values.keys().enumerate().filter(|(_, name)| selector.selects(name));
                selected.push((source.clone(), places.map(|(place, _)| place).collect()));
            }
        }
        let changed = vec![Change::Same; values.len()];
        let slots = slots.0.iter().map(|name| values.get_index_of(&**name)).collect();
        let base = Some(Arc::new(Base { values, selected, slots }));
        let digits = self.digits.clone();
        Tx { digits, base, changed, own: Values::default(), total: self.total, full: self.full }
    }

    /// The variables that a selector selects, in the order of [`Tx::iter`].
    pub(crate) fn select<'t>(&'t self, selector: &Selector, mut show: impl FnMut(&'t [u8], &'t [u8])) {
        let known = match (selector, &self.base) {
            (Selector::Pattern { source, .. }, Some(base)) => {
                base.selected.iter().find(|(known, _)| Arc::ptr_eq(known, source) || known == source)
            }
            _ => None,
        };
        let Some((_, places)) = known else {
            self.iter()
                .filter(|(name, _)| selector.selects(name))
                .for_each(|(name, value)| show(name, value));
            return;
        };
        let own = self.own.iter().map(|(name, value)| (&**name, value.as_slice()));
        let captures = self.captures().filter(|(name, _)| selector.selects(name));
        let shared = places.iter().filter_map(|place| self.shared(*place));
        for (name, value) in captures.chain(shared).chain(own.filter(|(name, _)| selector.selects(name))) {
            show(name, value);
        }
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

    /// The value of `name`, which is in lower case and whose slot is known.
    #[must_use]
    pub(crate) fn at(&self, slot: Option<usize>, name: &[u8]) -> Option<&[u8]> {
        let place = slot.and_then(|slot| self.base.as_ref()?.slots.get(slot).copied());
        match place {
            // It is none of those that are shared, nor one of the few others.
            Some(None) if self.own.is_empty() => None,
            Some(Some(place)) => match self.changed.get(place) {
                Some(Change::Same) => self.shared(place).map(|(_, value)| value),
                Some(Change::To(value)) => Some(value),
                Some(Change::Removed) | None => self.get(name),
            },
            _ => self.get(name),
        }
    }

    /// Sets `name`. Where a bound is reached, nothing is set and [`Tx::is_full`] tells so.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let value = value.get(..MAX_VALUE).unwrap_or(value);
        if let Some(digit) = digit(name) {
            self.capture(digit, Some(value));
            return;
        }
        let name = lower(name);
        let shared = self.base.as_ref().and_then(|base| base.values.get_full(&*name));
        if let Some((index, _, start)) = shared
            && let Some(change @ (Change::Same | Change::To(_))) = self.changed.get_mut(index)
        {
            let before = if let Change::To(before) = change { before.len() } else { start.len() };
            if fits(&mut self.total, &mut self.full, before, value) {
                *change = Change::To(Value::from_slice(value));
            }
            return;
        }
        if let Some(place) = self.own.get_mut(&*name) {
            if fits(&mut self.total, &mut self.full, place.len(), value) {
                *place = Value::from_slice(value);
            }
            return;
        }
        if self.own.len() + self.changed.len() >= MAX_VARIABLES {
            self.full = true;
        } else if fits(&mut self.total, &mut self.full, 0, value) {
            if self.own.is_empty() {
                self.own.reserve(USUAL);
            }
            if let Entry::Vacant(place) = self.own.entry(Box::from(&*name)) {
                place.insert(Value::from_slice(value));
            }
        }
    }

    /// Sets or removes the variable of a capture, `TX.0` to `TX.9`.
    pub(crate) fn capture(&mut self, digit: usize, value: Option<&[u8]>) {
        let Some(place) = self.digits.get_mut(digit) else { return };
        let before = place.as_ref().map_or(0, SmallVec::len);
        let value = value.map(|value| value.get(..MAX_VALUE).unwrap_or(value));
        if fits(&mut self.total, &mut self.full, before, value.unwrap_or_default()) {
            *place = value.map(Value::from_slice);
        }
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &[u8]) {
        if let Some(digit) = digit(name) {
            self.capture(digit, None);
            return;
        }
        let name = lower(name);
        let Some(length) = self.get(&name).map(<[u8]>::len) else { return };
        self.total -= length;
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
        let shared = (0..self.changed.len()).filter_map(|place| self.shared(place));
        let own = self.own.iter().map(|(name, value)| (&**name, value.as_slice()));
        self.captures().chain(shared).chain(own)
    }

    fn captures(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let digits = self.digits.iter().zip(DIGITS);
        digits.filter_map(|(value, name)| Some((&name[..], value.as_ref()?.as_slice())))
    }

    /// The variable of this place among those that are shared.
    fn shared(&self, place: usize) -> Option<(&[u8], &[u8])> {
        let (name, value) = self.base.as_ref()?.values.get_index(place)?;
        match self.changed.get(place)? {
            Change::Same => Some((name, value)),
            Change::To(value) => Some((name, value)),
            Change::Removed => None,
        }
    }

    /// Whether something could not be set.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    fn in_base(&self, name: &[u8]) -> Option<(usize, &[u8])> {
        let (index, _, value) = self.base.as_ref()?.values.get_full(name)?;
        Some((index, value))
    }
}

/// How many variables of its own an inspection usually sets.
const USUAL: usize = 32;

/// Counts `value` in place of one of `before` bytes, where all together stay within the bound.
fn fits(total: &mut usize, full: &mut bool, before: usize, value: &[u8]) -> bool {
    let after = total.saturating_sub(before) + value.len();
    if after > MAX_TOTAL {
        *full = true;
        return false;
    }
    *total = after;
    true
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
    #![allow(clippy::unwrap_used, reason = "tests assert")]
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
        let pattern = crate::lang::Target::parse("TX:/^[abd1]$/").unwrap().selector;
        let slots = Slots::new([&b"a"[..], b"b", b"c", b"d", b"e"].into_iter());
        let mut shared = own.share([&pattern].into_iter(), &slots);
        for tx in [&mut own, &mut shared] {
            tx.set(b"B", b"20");
            tx.remove(b"a");
            tx.set(b"d", b"4");
            tx.set(b"a", b"10");
            tx.remove(b"c");
            tx.remove(b"none");
            tx.set(b"1", b"one");
        }
        let selected = |tx: &Tx| {
            let mut all = Vec::new();
            tx.select(&pattern, |name, value| all.push((name.to_vec(), value.to_vec())));
            all
        };
        assert_eq!(selected(&own), selected(&shared));
        assert_eq!(selected(&shared).len(), 4);
        assert!(own.iter().eq(shared.iter()));
        assert_eq!(shared.iter().count(), 4);
        assert_eq!(shared.get(b"A"), Some(&b"10"[..]));
        for name in [b"a", b"b", b"c", b"d", b"e"] {
            assert_eq!(shared.at(slots.of(name), name), own.get(name));
        }
        assert_eq!(own.total, shared.total);
    }
}
