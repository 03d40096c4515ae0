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

/// Collections in memory, bounded: when half of the bound was touched since the last time, those that were not touched
/// in that while are forgotten.
#[derive(Debug)]
pub struct MemoryCollections {
    half: usize,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: AHashMap<CollectionKey, Collection>,
    old: AHashMap<CollectionKey, Collection>,
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
    /// At most `limit` collections.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        MemoryCollections { half: (limit / 2).max(1), generations: Mutex::default() }
    }
}

impl Generations {
    /// The collection, young again; `None` where it does not exist or ended.
    fn touch(&mut self, key: &CollectionKey, now: u64) -> Option<&mut Collection> {
        if let Some(collection) = self.old.remove(key) {
            self.young.entry(key.clone()).or_insert(collection);
        }
        if self.young.get(key).is_some_and(|found| found.timeout > 0 && found.updated + found.timeout <= now)
        {
            self.young.remove(key);
        }
        self.young.get_mut(key)
    }
}

impl Collection {
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
            if generations.young.len() >= self.half {
                generations.old = std::mem::take(&mut generations.young);
            }
            let new = Collection { created: now, updated: now, timeout, ..Collection::default() };
            generations.young.insert(collection.clone(), new);
        }
    }

    fn change(&self, collection: &CollectionKey, name: &[u8], change: &StoredChange, now: u64) {
        let mut generations = self.generations.lock();
        let Some(found) = generations.touch(collection, now) else { return };
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
        let store = MemoryCollections::new(100);
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
        let store = MemoryCollections::new(100);
        store.open(&key("a"), 3600, 0);
        for number in 0..10_000 {
            store.open(&key(&format!("other{number}")), 3600, 0);
            store.change(&key("a"), b"hits", &StoredChange::Add(1), 0);
        }
        assert_eq!(value(&store, "hits", 0).as_deref(), Some("10000"));
        let generations = store.generations.lock();
        assert!(generations.young.len() + generations.old.len() <= 101);
    }
}
