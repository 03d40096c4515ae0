//! Collections that outlive an inspection: `IP`, `SESSION`, `USER`, `GLOBAL` and `RESOURCE`.

use ahash::AHashMap;
use parking_lot::Mutex;

use super::Variable;

/// Which collection: its kind and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CollectionKey {
    /// `IP`, `SESSION`, `USER`, `GLOBAL` or `RESOURCE`.
    pub kind: Variable,
    /// Such as the client's address.
    pub key: Box<[u8]>,
}

/// A variable of a stored collection: its name in lower case, and its value.
pub type StoredVariable = (Box<[u8]>, Box<[u8]>);

/// One change of a stored variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredChange {
    /// To this value.
    Set(Vec<u8>),
    /// By this number; what is no number counts as 0.
    Add(i64),
    /// Away.
    Remove,
    /// Away at this time, seconds since 1970.
    Expire(u64),
    /// Down to 0 by `amount` for every `seconds` since it was last changed.
    Fade {
        /// How much.
        amount: u64,
        /// How often.
        seconds: u64,
    },
}

/// Where stored collections are kept. Changes take effect at once and each is atomic, so that concurrent requests
/// count together.
pub trait Collections: Send + Sync + std::fmt::Debug {
    /// All variables of a collection at `now` (seconds since 1970), names in lower case.
    fn read(&self, collection: &CollectionKey, now: u64) -> Vec<StoredVariable>;

    /// Opens a collection, which is new where nobody changed it for `timeout` seconds.
    fn open(&self, collection: &CollectionKey, timeout: u64, now: u64);

    /// Changes one variable; names are compared without regard to case.
    fn change(&self, collection: &CollectionKey, name: &[u8], change: &StoredChange, now: u64);
}

/// How many variables one collection may have.
const MAX_VARIABLES: usize = 256;
/// The longest value, bytes.
const MAX_VALUE: usize = 4096;

/// The longest name, bytes; longer ones are not kept.
const MAX_NAME: usize = 256;
/// What a collection and a variable cost besides their bytes, about.
const OVERHEAD: usize = 128;

/// Collections in memory, bounded in number and bytes: when half of a bound was touched since the last time, those that
/// were not touched in that while are forgotten.
#[derive(Debug)]
pub struct MemoryCollections {
    half: usize,
    half_bytes: usize,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: AHashMap<CollectionKey, Collection>,
    old: AHashMap<CollectionKey, Collection>,
    /// What the young take.
    bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct Collection {
    variables: AHashMap<Box<[u8]>, Stored>,
    created: u64,
    updated: u64,
    updates: u64,
    timeout: u64,
}

#[derive(Clone, Debug)]
struct Stored {
    value: Box<[u8]>,
    expires: Option<u64>,
    changed: u64,
}

impl MemoryCollections {
    /// At most `limit` collections, and about `bytes` of names and values.
    #[must_use]
    pub fn new(limit: usize, bytes: usize) -> Self {
        MemoryCollections {
            half: (limit / 2).max(1),
            half_bytes: (bytes / 2).max(1),
            generations: Mutex::default(),
        }
    }
}

impl Generations {
    /// The collection, young again; `None` where it does not exist or ended.
    fn touch(&mut self, key: &CollectionKey, now: u64) -> Option<&mut Collection> {
        if let Some(collection) = self.old.remove(key) {
            self.bytes += collection.bytes(key);
            self.young.entry(key.clone()).or_insert(collection);
        }
        if self.young.get(key).is_some_and(|found| found.timeout > 0 && found.updated + found.timeout <= now)
            && let Some(ended) = self.young.remove(key)
        {
            self.bytes = self.bytes.saturating_sub(ended.bytes(key));
        }
        self.young.get_mut(key)
    }

    /// Forgets what was not touched for long, where a bound is reached.
    fn age(&mut self, half: usize, half_bytes: usize) {
        if self.young.len() >= half || self.bytes >= half_bytes {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
    }
}

impl Collection {
    fn bytes(&self, key: &CollectionKey) -> usize {
        let variables =
            self.variables.iter().map(|(name, stored)| name.len() + stored.value.len() + OVERHEAD);
        variables.sum::<usize>() + key.key.len() + OVERHEAD
    }

    fn forget(&mut self, now: u64) {
        self.variables.retain(|_, stored| stored.expires.is_none_or(|at| at > now));
    }
}

impl Collections for MemoryCollections {
    fn read(&self, collection: &CollectionKey, now: u64) -> Vec<StoredVariable> {
        let mut generations = self.generations.lock();
        let Some(found) = generations.touch(collection, now) else { return Vec::new() };
        found.forget(now);
        let number = |name: &str, value: u64| (name.as_bytes().into(), value.to_string().into_bytes().into());
        let mut variables = vec![
            (Box::from(&b"key"[..]), collection.key.clone()),
            number("create_time", found.created),
            number("is_new", u64::from(found.updates == 0)),
            number("last_update_time", found.updated),
            number("timeout", found.timeout),
            number("update_counter", found.updates),
            number("update_rate", found.updates * 60 / now.saturating_sub(found.created).max(1)),
        ];
        let mut own: Vec<_> =
            found.variables.iter().map(|(name, stored)| (name.clone(), stored.value.clone())).collect();
        own.sort();
        variables.extend(own);
        variables
    }

    fn open(&self, collection: &CollectionKey, timeout: u64, now: u64) {
        let mut generations = self.generations.lock();
        if generations.touch(collection, now).is_none() {
            generations.age(self.half, self.half_bytes);
            let new = Collection { created: now, updated: now, timeout, ..Collection::default() };
            generations.bytes += new.bytes(collection);
            generations.young.insert(collection.clone(), new);
        }
    }

    fn change(&self, collection: &CollectionKey, name: &[u8], change: &StoredChange, now: u64) {
        let mut generations = self.generations.lock();
        let Some(found) = generations.touch(collection, now).filter(|_| name.len() <= MAX_NAME) else {
            return;
        };
        let before = found.bytes(collection);
        found.change(name, change, now);
        let after = found.bytes(collection);
        generations.bytes = (generations.bytes + after).saturating_sub(before);
        generations.age(self.half + 1, self.half_bytes);
    }
}

impl Collection {
    fn change(&mut self, name: &[u8], change: &StoredChange, now: u64) {
        let found = self;
        found.forget(now);
        let name: Box<[u8]> = name.to_ascii_lowercase().into();
        let full = found.variables.len() >= MAX_VARIABLES;
        let before = found.variables.get_mut(&name);
        if full && before.is_none() {
            return;
        }
        let value = match (change, before) {
            (StoredChange::Set(value), _) => value.get(..MAX_VALUE).unwrap_or(value).to_vec(),
            (StoredChange::Add(amount), before) => {
                let number = before.map_or(0, |stored| crate::operator::number(&stored.value));
                number.saturating_add(*amount).to_string().into_bytes()
            }
            (StoredChange::Remove, _) => {
                found.variables.remove(&name);
                return;
            }
            (StoredChange::Expire(at), Some(stored)) => {
                stored.expires = Some(*at);
                return;
            }
            (StoredChange::Fade { amount, seconds }, Some(stored)) => {
                let times = now.saturating_sub(stored.changed) / (*seconds).max(1);
                if times == 0 {
                    return;
                }
                let less = i64::try_from(amount.saturating_mul(times)).unwrap_or(i64::MAX);
                crate::operator::number(&stored.value).saturating_sub(less).max(0).to_string().into_bytes()
            }
            (StoredChange::Expire(_) | StoredChange::Fade { .. }, None) => return,
        };
        let expires = found.variables.get(&name).and_then(|stored| stored.expires);
        found.variables.insert(name, Stored { value: value.into(), expires, changed: now });
        found.updated = now;
        found.updates += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> CollectionKey {
        CollectionKey { kind: Variable::Ip, key: name.as_bytes().into() }
    }

    fn value(store: &MemoryCollections, name: &str, now: u64) -> Option<String> {
        let all = store.read(&key("a"), now);
        all.iter()
            .find(|(known, _)| **known == *name.as_bytes())
            .map(|(_, v)| String::from_utf8_lossy(v).into())
    }

    #[test]
    fn variables_count_fade_and_end() {
        let store = MemoryCollections::new(100, 1 << 20);
        store.change(&key("a"), b"x", &StoredChange::Add(1), 0);
        assert_eq!(value(&store, "x", 0), None, "a collection is opened first");
        store.open(&key("a"), 3600, 10);
        assert_eq!(value(&store, "is_new", 10).as_deref(), Some("1"));
        store.change(&key("a"), b"Hits", &StoredChange::Add(5), 10);
        store.change(&key("a"), b"hits", &StoredChange::Add(5), 10);
        assert_eq!(value(&store, "hits", 10).as_deref(), Some("10"));
        store.change(&key("a"), b"hits", &StoredChange::Fade { amount: 2, seconds: 10 }, 35);
        assert_eq!(value(&store, "hits", 35).as_deref(), Some("6"));
        store.change(&key("a"), b"hits", &StoredChange::Expire(40), 35);
        assert_eq!(value(&store, "hits", 39).as_deref(), Some("6"));
        assert_eq!(value(&store, "hits", 40), None);
        assert!(value(&store, "key", 3634).is_some());
        assert_eq!(value(&store, "key", 3635), None, "the collection ended");
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let store = MemoryCollections::new(100, 1 << 20);
        store.open(&key("a"), 3600, 0);
        for number in 0..10_000 {
            store.open(&key(&format!("other{number}")), 3600, 0);
            store.change(&key("a"), b"hits", &StoredChange::Add(1), 0);
        }
        assert_eq!(value(&store, "hits", 0).as_deref(), Some("10000"));
        let generations = store.generations.lock();
        assert!(generations.young.len() + generations.old.len() <= 101);
    }

    #[test]
    fn bytes_are_bounded_whatever_is_stored() {
        let store = MemoryCollections::new(1 << 20, 64 << 10);
        let all = |part: &AHashMap<CollectionKey, Collection>| -> usize {
            part.iter().map(|(key, collection)| collection.bytes(key)).sum()
        };
        for number in 0..1000 {
            let key = key(&format!("k{number}"));
            store.open(&key, 3600, 0);
            store.change(&key, b"v", &StoredChange::Set(vec![b'x'; 2000]), 0);
            let generations = store.generations.lock();
            assert_eq!(generations.bytes, all(&generations.young));
            assert!(generations.bytes + all(&generations.old) <= (64 << 10) + 4096);
        }
        store.change(&key("k999"), &[b'n'; 300], &StoredChange::Add(1), 0);
        assert_eq!(store.read(&key("k999"), 0).len(), 8, "a name that is too long is not kept");
    }
}
