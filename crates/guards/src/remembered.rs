//! What guards remember of hashed keys: bounded, sharded, near to least recently used at constant cost.

use hashbrown::HashMap;
use parking_lot::Mutex;

/// So many that gateway threads seldom meet at one lock.
const SHARDS: usize = 64;

/// Values by a 256-bit digest; what the digest is of is never kept.
///
/// Each shard has two halves: new entries go to the young half, and when that is full it becomes the old one, whose
/// entries are dropped unless they were used meanwhile.
pub(crate) struct Remembered<V> {
    shards: Box<[Mutex<Shard<V>>]>,
    half: usize,
}

struct Shard<V> {
    young: HashMap<[u8; 32], V, ahash::RandomState>,
    old: HashMap<[u8; 32], V, ahash::RandomState>,
}

impl<V> Remembered<V> {
    /// For at most `capacity` values, and at least one in each half of a shard.
    pub(crate) fn new(capacity: usize) -> Self {
        let shard = || Mutex::new(Shard { young: HashMap::default(), old: HashMap::default() });
        Remembered { shards: (0..SHARDS).map(|_| shard()).collect(), half: (capacity / SHARDS / 2).max(1) }
    }

    /// Shows the value of `key`, which is made by `new` when it is not known.
    pub(crate) fn with<R>(
        &self,
        key: [u8; 32],
        new: impl FnOnce() -> V,
        look: impl FnOnce(&mut V) -> R,
    ) -> Option<R> {
        let mut shard = self.shard(&key)?.lock();
        let dropped = shard.refresh(&key, self.half, Some(new));
        let answer = shard.young.get_mut(&key).map(look);
        drop(shard);
        drop(dropped);
        answer
    }

    /// Shows the value of `key`, if it is known.
    pub(crate) fn find<R>(&self, key: &[u8; 32], look: impl FnOnce(&mut V) -> R) -> Option<R> {
        let mut shard = self.shard(key)?.lock();
        let dropped = shard.refresh(key, self.half, None::<fn() -> V>);
        let answer = shard.young.get_mut(key).map(look);
        drop(shard);
        drop(dropped);
        answer
    }

    /// How many values are kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock()).map(|shard| shard.young.len() + shard.old.len()).sum()
    }

    fn shard(&self, key: &[u8; 32]) -> Option<&Mutex<Shard<V>>> {
        let [first, ..] = key;
        self.shards.get(usize::from(*first) % SHARDS)
    }
}

impl<V> Shard<V> {
    /// Sees that the value of `key`, if there is one or one can be made, is young; answers what fell out, to be dropped
    /// after the lock.
    fn refresh(
        &mut self,
        key: &[u8; 32],
        half: usize,
        new: Option<impl FnOnce() -> V>,
    ) -> HashMap<[u8; 32], V, ahash::RandomState> {
        if self.young.contains_key(key) {
            return HashMap::default();
        }
        let Some(value) = self.old.remove(key).or_else(|| new.map(|new| new())) else {
            return HashMap::default();
        };
        let dropped = if self.young.len() >= half {
            std::mem::replace(&mut self.old, std::mem::take(&mut self.young))
        } else {
            HashMap::default()
        };
        self.young.insert(*key, value);
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let remembered = Remembered::new(8_192);
        let key = |number: u32| {
            let mut key = [0; 32];
            key.iter_mut()
                .zip(number.wrapping_mul(0x9E37_79B9).to_be_bytes())
                .for_each(|(to, from)| *to = from);
            key
        };
        assert_eq!(remembered.with(key(0), || 7_u8, |value| std::mem::replace(value, 8)), Some(7));
        for number in 1..200_000 {
            remembered.with(key(number), || 0, |_| ());
            if number % 1_000 == 0 {
                assert_eq!(remembered.find(&key(0), |value| *value), Some(8), "{number}");
            }
        }
        assert!(remembered.len() <= 8_192, "{}", remembered.len());
        assert_eq!(remembered.find(&key(1), |value| *value), None);
    }
}
