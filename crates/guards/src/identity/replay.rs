//! What may be used once, remembered until it would be refused for its age anyway.

use bartizan_model::{
    Timestamp,
    services::{Replay, Use},
};
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::jwks::sha256;

/// Values remembered: 24 bytes each, so about 50 MB when full. Only what a valid signature covers is remembered, so that
/// nobody without a key fills it; what finds it full is refused.
pub const CAPACITY: usize = 1 << 20;

/// Shards: so many that gateway threads seldom meet at one lock.
const SHARDS: usize = 64;

/// Between two searches of a full shard for what has ended, in seconds: a search looks at the whole shard.
const SEARCH_EVERY: u64 = 1;

/// Bounded, sharded, in memory.
pub struct ReplayTable {
    shards: Box<[Mutex<Shard>]>,
    most: usize,
}

#[derive(Default)]
struct Shard {
    /// Until when, in seconds.
    until: HashMap<u128, u64, ahash::RandomState>,
    searched: u64,
}

impl ReplayTable {
    /// Room for about so many values.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        ReplayTable {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            most: capacity.div_ceil(SHARDS).max(1),
        }
    }
}

impl Default for ReplayTable {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

impl Replay for ReplayTable {
    fn take(&self, key: u128, until: Timestamp, now: Timestamp) -> Use {
        let [first, ..] = key.to_le_bytes();
        let Some(shard) = self.shards.get(usize::from(first) % SHARDS) else { return Use::Full };
        let mut shard = shard.lock();
        let now = now.seconds();
        // The second in which it ends counts: a value is forgotten late rather than early.
        if shard.until.get(&key).is_some_and(|until| *until >= now) {
            return Use::Again;
        }
        if shard.until.len() >= self.most {
            if shard.searched + SEARCH_EVERY <= now {
                shard.searched = now;
                shard.until.retain(|_, until| *until >= now);
            }
            if shard.until.len() >= self.most {
                return Use::Full;
            }
        }
        shard.until.insert(key, until.seconds());
        Use::First
    }
}

/// The key of a value: what kind it is, whose it is, and the value itself.
pub(super) fn key(kind: &str, owner: &[u8], value: &[u8]) -> u128 {
    let lengths = [owner.len() as u64, value.len() as u64];
    let [a, b] = lengths.map(u64::to_le_bytes);
    let digest = sha256(&[kind.as_bytes(), b"\0", &a, &b, owner, value]);
    let (half, _) = digest.split_at(16);
    u128::from_le_bytes(half.try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn a_value_is_new_once_until_it_ends() {
        let table = ReplayTable::new(1_000);
        let one = key("nonce", b"a", b"1");
        assert_eq!(table.take(one, at(100), at(50)), Use::First);
        assert_eq!(table.take(one, at(100), at(50)), Use::Again);
        assert_eq!(table.take(one, at(100), at(100)), Use::Again, "its last second counts");
        assert_eq!(table.take(one, at(200), at(101)), Use::First);
        assert_eq!(table.take(key("nonce", b"b", b"1"), at(100), at(50)), Use::First);
        assert_eq!(table.take(key("jti", b"a", b"1"), at(100), at(50)), Use::First);
    }

    #[test]
    fn a_full_table_notes_nothing_and_recovers() {
        let table = ReplayTable::new(SHARDS);
        let mut full = 0;
        for n in 0..1_000_u32 {
            full += u32::from(table.take(key("n", b"", &n.to_le_bytes()), at(100), at(50)) == Use::Full);
        }
        assert!(full >= 1_000 - u32::try_from(SHARDS).unwrap_or(0), "{full}");
        assert_eq!(table.take(key("n", b"", b"later"), at(300), at(200)), Use::First);
    }

    #[test]
    fn owner_and_value_cannot_be_shifted() {
        assert_ne!(key("n", b"ab", b"c"), key("n", b"a", b"bc"));
    }
}
