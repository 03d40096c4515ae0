//! Tokens that were verified before, so that one seen again costs a hash and a look-up.

use std::sync::Arc;

use bartizan_model::{Principal, compile::IssuerSpec};
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::{claims::Lifetime, jwks::sha256};

/// Tokens kept, of all operations together.
pub const MAX_TOKENS: usize = 65_536;

/// Bytes of those tokens' texts: their claims, which are what is kept, cost a small multiple of it.
pub const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Shards: so many that gateway threads seldom meet at one lock.
const SHARDS: usize = 64;

/// What a token proved, and everything that must still hold for it to prove it again.
pub(super) struct Verified {
    /// The issuer as the policy described it.
    pub issuer: Arc<IssuerSpec>,
    /// [`super::jwks::KeySet::id`] of the keys that verified it.
    pub key_set: [u8; 32],
    /// Checked against the time of every use.
    pub lifetime: Lifetime,
    /// Whom it names.
    pub principal: Arc<Principal>,
}

/// Bounded, sharded; holds SHA-256 digests of tokens, never a token, and successes only.
///
/// Each shard has two halves: new entries go to the young half, and when that is full it becomes the old one, whose
/// entries are dropped unless they were used meanwhile. That is near to least recently used, at constant cost.
pub(super) struct TokenCache<V = Verified> {
    shards: Box<[Mutex<Shard<V>>]>,
}

type Half<V> = HashMap<[u8; 32], Entry<V>, ahash::RandomState>;

struct Shard<V> {
    young: Half<V>,
    young_bytes: usize,
    old: Half<V>,
}

struct Entry<V> {
    value: Arc<V>,
    bytes: usize,
}

/// The key of a token: its SHA-256. Collisions cannot be made.
pub(super) fn key(token: &str) -> [u8; 32] {
    sha256(&[token.as_bytes()])
}

impl<V> TokenCache<V> {
    pub(super) fn new() -> Self {
        let empty = || Shard { young: HashMap::default(), young_bytes: 0, old: HashMap::default() };
        TokenCache { shards: (0..SHARDS).map(|_| Mutex::new(empty())).collect() }
    }

    /// What this token proved, if it is known.
    pub(super) fn get(&self, key: &[u8; 32]) -> Option<Arc<V>> {
        let mut shard = self.shard(key)?.lock();
        if let Some(entry) = shard.young.get(key) {
            return Some(Arc::clone(&entry.value));
        }
        let entry = shard.old.remove(key)?;
        let value = Arc::clone(&entry.value);
        let dropped = shard.insert(*key, entry);
        drop(shard);
        drop(dropped);
        Some(value)
    }

    /// Notes what a token of `bytes` length proved.
    pub(super) fn put(&self, key: [u8; 32], value: Arc<V>, bytes: usize) {
        if let Some(shard) = self.shard(&key) {
            let mut shard = shard.lock();
            let dropped = shard.insert(key, Entry { value, bytes });
            drop(shard);
            drop(dropped);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock()).map(|shard| shard.young.len() + shard.old.len()).sum()
    }

    fn shard(&self, key: &[u8; 32]) -> Option<&Mutex<Shard<V>>> {
        let [first, ..] = key;
        self.shards.get(usize::from(*first) % SHARDS)
    }
}

impl<V> Shard<V> {
    /// Adds an entry; answers what fell out, to be dropped after the lock.
    fn insert(&mut self, key: [u8; 32], entry: Entry<V>) -> Half<V> {
        let full = self.young.len() >= MAX_TOKENS / SHARDS / 2
            || self.young_bytes.saturating_add(entry.bytes) > MAX_BYTES / SHARDS / 2;
        let dropped = if full {
            self.young_bytes = 0;
            std::mem::replace(&mut self.old, std::mem::take(&mut self.young))
        } else {
            HashMap::default()
        };
        self.young_bytes = self.young_bytes.saturating_add(entry.bytes);
        if let Some(previous) = self.young.insert(key, entry) {
            self.young_bytes = self.young_bytes.saturating_sub(previous.bytes);
        }
        dropped
    }
}
