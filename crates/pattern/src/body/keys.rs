//! Which of many names comes twice, in linear time whoever chose them.

use std::borrow::Cow;

use smallvec::SmallVec;

/// Up to so many names are compared with each other; beyond, a table is cheaper.
const FEW: usize = 16;

/// Reusable storage for the comparison. Its hash has random seeds, so that nobody can choose names that collide.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    hasher: ahash::RandomState,
    slots: Vec<Slot>,
}

/// A name in the table, by its number and one, and a part of its hash.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    key: u32,
    hash: u32,
}

impl KeySet {
    /// The first of `count` names whose text came before; names are numbers that `text` gives the bytes of.
    pub(super) fn first_duplicate<'k>(
        &mut self,
        count: usize,
        keys: impl Iterator<Item = u32>,
        text: impl Fn(u32) -> Cow<'k, [u8]>,
    ) -> Option<u32> {
        let mut keys = keys.take(count);
        if count <= FEW {
            Self::among_few(&mut keys, &text)
        } else {
            self.among_many(count, &mut keys, &text)
        }
    }

    fn among_few<'k>(
        keys: &mut dyn Iterator<Item = u32>,
        text: &dyn Fn(u32) -> Cow<'k, [u8]>,
    ) -> Option<u32> {
        let mut seen: SmallVec<[Cow<'k, [u8]>; FEW]> = SmallVec::new();
        for key in keys {
            let name = text(key);
            if seen.contains(&name) {
                return Some(key);
            }
            seen.push(name);
        }
        None
    }

    fn among_many<'k>(
        &mut self,
        count: usize,
        keys: &mut dyn Iterator<Item = u32>,
        text: &dyn Fn(u32) -> Cow<'k, [u8]>,
    ) -> Option<u32> {
        let size = count.saturating_mul(2).next_power_of_two();
        self.slots.clear();
        self.slots.resize(size, Slot::default());
        for key in keys {
            let name = text(key);
            let hash = self.hasher.hash_one(name.as_ref());
            let part = (hash >> 32) as u32;
            let mut at = hash as usize & (size - 1);
            // The table is at most half full, so that an empty slot comes.
            while let Some(slot) = self.slots.get(at).filter(|slot| slot.key != 0) {
                if slot.hash == part && text(slot.key - 1) == name {
                    return Some(key);
                }
                at = (at + 1) & (size - 1);
            }
            if let Some(slot) = self.slots.get_mut(at) {
                *slot = Slot { key: key.saturating_add(1), hash: part };
            }
        }
        None
    }

    /// Gives memory back, keeping room for so many slots.
    pub(super) fn shrink(&mut self, slots: usize) {
        self.slots.clear();
        self.slots.shrink_to(slots);
    }
}
