//! Sessions, attempts and reset tokens: what the bank remembers between requests, in memory and bounded.

use std::{collections::HashMap, hash::Hash, time::Duration};

use bartizan_model::Timestamp;

/// Sessions, names or tokens at most; about 20 MB. A tenth, those that end first, goes when it is full.
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
            self.make_room(now);
        }
        self.kept.insert(key, (ends, value));
    }

    fn make_room(&mut self, now: Timestamp) {
        let mut ends: Vec<Timestamp> = self.kept.values().map(|(ends, _)| *ends).collect();
        let (_, tenth, _) = ends.select_nth_unstable(MAX_KEPT / 10);
        let before = now.max(*tenth);
        self.kept.retain(|_, (ends, _)| *ends > before);
    }

    pub fn get(&self, key: &K, now: Timestamp) -> Option<&V> {
        self.kept.get(key).filter(|(ends, _)| *ends > now).map(|(_, value)| value)
    }

    pub fn get_mut(&mut self, key: &K, now: Timestamp) -> Option<&mut V> {
        self.kept.get_mut(key).filter(|(ends, _)| *ends > now).map(|(_, value)| value)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_has_a_bound() {
        let (mut kept, now) = (Expiring::default(), Timestamp::from_seconds(1));
        for at in 0..=MAX_KEPT as u64 {
            kept.insert(at, (), Timestamp::from_seconds(10 + at), now);
        }
        assert!(kept.kept.len() <= MAX_KEPT - MAX_KEPT / 10);
        assert!(kept.get(&(MAX_KEPT as u64), now).is_some() && kept.get(&0, now).is_none());
    }

    #[test]
    fn a_counter_begins_anew_after_its_window() {
        let mut counter = Counter::new(2, Duration::from_secs(60));
        let now = Timestamp::from_seconds(100);
        counter.add("a", 1, now);
        assert_eq!(counter.wait(&"a", now), None);
        counter.add("a", 1, now);
        assert_eq!(counter.wait(&"a", now), Some(61));
        assert_eq!(counter.wait(&"a", Timestamp::from_seconds(160)), None);
    }
}
