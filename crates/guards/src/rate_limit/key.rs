//! The 128-bit keys under which limits count.

use std::hash::{BuildHasher, Hash, Hasher};

use ahash::{AHasher, RandomState};

use super::config::Key;

/// What a counter belongs to; an address and a header value of equal bytes are different callers.
#[derive(Clone, Copy, Hash)]
pub(super) enum Source {
    Address,
    Principal,
    Header,
    Body,
    /// Bodies that do not tell their key.
    Unknown,
}

/// Two independent keyed 64-bit hashes, seeded by the store, so that nobody outside can find colliding values.
pub(super) struct KeyHasher {
    high: RandomState,
    low: RandomState,
}

impl KeyHasher {
    pub(super) fn new([a, b, c, d]: [u64; 4]) -> Self {
        KeyHasher { high: RandomState::with_seeds(a, b, c, d), low: RandomState::with_seeds(!c, !d, !a, !b) }
    }

    /// The part of the key that all callers of one limit share.
    pub(super) fn limit(&self, scope: &str, name: &str, key: &Key) -> u128 {
        let mut hasher = self.pair();
        (scope, name, key).hash(&mut hasher);
        hasher.finish_both()
    }

    /// The counter of one caller; `parts` are told apart, `["ab", "c"]` is not `["a", "bc"]`.
    pub(super) fn value<'a>(
        &self,
        limit: u128,
        source: Source,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> u128 {
        let mut hasher = self.pair();
        (limit, source).hash(&mut hasher);
        for part in parts {
            part.hash(&mut hasher);
        }
        hasher.finish_both()
    }

    fn pair(&self) -> Pair {
        Pair { high: self.high.build_hasher(), low: self.low.build_hasher() }
    }
}

/// Feeds both hashes in one pass.
struct Pair {
    high: AHasher,
    low: AHasher,
}

impl Pair {
    fn finish_both(&self) -> u128 {
        (u128::from(self.high.finish()) << 64) | u128::from(self.low.finish())
    }
}

impl Hasher for Pair {
    fn write(&mut self, bytes: &[u8]) {
        self.high.write(bytes);
        self.low.write(bytes);
    }

    fn finish(&self) -> u64 {
        self.high.finish()
    }
}
