//! Sessions, attempts and reset tokens: what the bank remembers between requests, in memory and bounded.

use std::{collections::HashMap, hash::Hash, time::Duration};

use bartizan_model::Timestamp;

/// Sessions, names or tokens at most; about 20 MB. The oldest go when it is full.
const MAX_KEPT: usize = 100_000;

/// Values that end by themselves.
pub struct Expiring<K, V> {
    kept: HashMap<K, (Timestamp, V)>,
}

impl<K: Eq + Hash + Clone, V> Default for Expiring<K, V> {
    fn default() -> Self {
        Expiring { kept: HashMap::new() }
    }
}

impl<K: Eq + Hash + Clone, V> Expiring<K, V> {
    /// Keeps a value until `ends`.
    pub fn insert(&mut self, key: K, value: V, ends: Timestamp, now: Timestamp) {
        if self.kept.len() >= MAX_KEPT {
            self.kept.retain(|_, (ends, _)| *ends > now);
        }
        if self.kept.len() >= MAX_KEPT {
            let first = self.kept.iter().min_by_key(|(_, (ends, _))| *ends).map(|(key, _)| key.clone());
            first.map(|key| self.kept.remove(&key));
        }
        self.kept.insert(key, (ends, value));
    }

    pub fn get(&self, key: &K, now: Timestamp) -> Option<&V> {
        self.kept.get(key).filter(|(ends, _)| *ends > now).map(|(_, value)| value)
    }

    pub fn remove(&mut self, key: &K, now: Timestamp) -> Option<V> {
        self.kept.remove(key).filter(|(ends, _)| *ends > now).map(|(_, value)| value)
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        self.kept.retain(|_, (_, value)| keep(value));
    }
}

/// Counts within fixed windows, by key.
pub struct Counter<K> {
    window: Duration,
    limit: u64,
    counts: Expiring<K, (u64, Timestamp)>,
}

impl<K: Eq + Hash + Clone> Counter<K> {
    pub fn new(limit: u64, window: Duration) -> Self {
        Counter { window, limit, counts: Expiring::default() }
    }

    /// The seconds to wait where the limit is reached.
    pub fn wait(&self, key: &K, now: Timestamp) -> Option<u64> {
        let (count, ends) = self.counts.get(key, now)?;
        (*count >= self.limit).then(|| ends.since(now).as_secs() + 1)
    }

    pub fn add(&mut self, key: K, by: u64, now: Timestamp) {
        let (count, ends) = self.counts.get(&key, now).copied().unwrap_or((0, now.plus(self.window)));
        self.counts.insert(key, (count + by, ends), ends, now);
    }

    pub fn clear(&mut self, key: &K, now: Timestamp) {
        self.counts.remove(key, now);
    }
}
