//! What was found in short values before: names of headers and arguments, user agents and words come again with every
//! request. Kept by worker, with the bytes of each value, so that an equal hash is no proof.

/// How many values one worker remembers of one set; a newer one takes the place of an older one.
const SLOTS: usize = 2048;
/// The longest value that is remembered, bytes: most user agents.
const MAX_BYTES: usize = 192;

/// The tests that hold somewhere in a value, by tree and value.
#[derive(Debug, Default)]
pub(super) struct Memo {
    slots: Vec<Slot>,
    bytes: Vec<u8>,
    found: Vec<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: u64,
    /// The tree's number, plus one; 0 is an empty slot.
    tree: u32,
    length: usize,
}

impl Memo {
    /// Whether values of this length are remembered.
    pub(super) const fn takes(bytes: &[u8]) -> bool {
        bytes.len() <= MAX_BYTES
    }

    /// What holds in the value where this tree looks at it.
    pub(super) fn get(&self, tree: u32, bytes: &[u8], hash: u64, words: usize) -> Option<&[u64]> {
        let place = place(tree, hash);
        let slot = self.slots.get(place)?;
        let known = self.bytes.get(place * MAX_BYTES..place * MAX_BYTES + slot.length)?;
        let is_equal = slot.hash == hash && slot.tree == tree + 1 && known == bytes;
        is_equal.then(|| self.found.get(place * words..(place + 1) * words).unwrap_or_default())
    }

    /// Remembers what holds in a value.
    pub(super) fn put(&mut self, tree: u32, bytes: &[u8], hash: u64, found: &[u64]) {
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, Slot::default());
            self.bytes.resize(SLOTS * MAX_BYTES, 0);
            self.found.resize(SLOTS * found.len(), 0);
        }
        let (place, words) = (place(tree, hash), found.len());
        let slot = self.slots.get_mut(place);
        let kept = self.bytes.get_mut(place * MAX_BYTES..place * MAX_BYTES + bytes.len());
        let kept_found = self.found.get_mut(place * words..(place + 1) * words);
        if let (Some(slot), Some(kept), Some(kept_found)) = (slot, kept, kept_found) {
            *slot = Slot { hash, tree: tree + 1, length: bytes.len() };
            kept.copy_from_slice(bytes);
            kept_found.copy_from_slice(found);
        }
    }
}

/// The slot of a value; the highest bits of the hash are its best.
fn place(tree: u32, hash: u64) -> usize {
    let mixed = (hash ^ u64::from(tree)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_value_of_the_same_tree_is_remembered() {
        let mut memo = Memo::default();
        assert_eq!(memo.get(0, b"a", 7, 2), None);
        memo.put(0, b"a", 7, &[1, 2]);
        assert_eq!(memo.get(0, b"a", 7, 2), Some(&[1, 2][..]));
        assert_eq!(memo.get(0, b"b", 7, 2), None);
        assert_eq!(memo.get(1, b"a", 7, 2), None);
        for number in 0..10_000u32 {
            memo.put(2, &number.to_le_bytes(), u64::from(number) << 20, &[u64::from(number), 0]);
        }
        for number in 0..10_000u32 {
            let found = memo.get(2, &number.to_le_bytes(), u64::from(number) << 20, 2);
            assert!(found.is_none_or(|found| found == [u64::from(number), 0]));
        }
        assert_eq!(memo.bytes.len(), SLOTS * MAX_BYTES);
    }
}
