//! The counters of every limit of a process: bounded, sharded, 32 bytes each.
//!
//! A counter is GCRA's theoretical arrival time: the moment at which it is whole again. So a finished counter needs no
//! clean-up; its slot is free for the next key. Each shard is a set-associative table: a key belongs to one set of 16
//! slots, and only that set is ever searched, reused or evicted from. Nothing sweeps, and no call takes longer than a set,
//! save for the rare doubling of a shard that is still small.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bartizan_model::services::{LimitDecision, LimitStore, Quota, Random};
use parking_lot::Mutex;

/// Counters kept by default: a million callers at once, in at most 64 MiB.
pub const DEFAULT_CAPACITY: usize = 1 << 20;

const SHARDS: usize = 64;
/// Slots of a set.
const WAYS: usize = 16;
/// Slots for each counter of the capacity: sets fill unevenly, and with half of the slots free hardly one overflows.
const SPARE: usize = 2;

/// The counters.
pub struct LimitTable {
    shards: Box<[Mutex<Shard>]>,
    sets_per_shard: usize,
    seeds: [u64; 4],
    evicted: AtomicU64,
}

struct Shard {
    /// Always a power of two.
    sets: Vec<Set>,
}

#[derive(Clone)]
struct Set {
    keys: [u128; WAYS],
    /// Nanoseconds on the monotonic clock; a slot whose time has come is free.
    whole_at: [u64; WAYS],
    /// Nanoseconds from empty to whole, to compare counters of different limits.
    window: [u64; WAYS],
}

const EMPTY: Set = Set { keys: [0; WAYS], whole_at: [0; WAYS], window: [0; WAYS] };

impl LimitTable {
    /// A table for `capacity` counters (rounded up to a power of two, at least 1,024), whose keys are hashed with seeds
    /// drawn from `random`. Memory grows with use, to at most 64 bytes per counter of the capacity.
    #[must_use]
    pub fn new(capacity: usize, random: &dyn Random) -> Self {
        let mut seeds = [0; 4];
        for seed in &mut seeds {
            let mut bytes = [0; 8];
            random.fill(&mut bytes);
            *seed = u64::from_le_bytes(bytes);
        }
        let sets = capacity.max(1_024).saturating_mul(SPARE) / (SHARDS * WAYS);
        LimitTable {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard { sets: vec![EMPTY] })).collect(),
            sets_per_shard: sets.max(1).next_power_of_two(),
            seeds,
            evicted: AtomicU64::new(0),
        }
    }

    /// Counters that are not whole at monotonic time `now`. Visits every slot: for metrics, not for requests.
    #[must_use]
    pub fn len(&self, now: Duration) -> usize {
        let now = nanos(now);
        let running = |shard: &Mutex<Shard>| {
            let shard = shard.lock();
            shard.sets.iter().flat_map(|set| set.whole_at).filter(|&at| at > now).count()
        };
        self.shards.iter().map(running).sum()
    }

    /// Counters that had to make room while they still ran; above zero, the table is too small for its traffic.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Bytes held by the slots.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().sets.capacity().saturating_mul(size_of::<Set>())).sum()
    }
}

impl LimitStore for LimitTable {
    fn take(&self, key: u128, quota: Quota, cost: u32, now: Duration) -> LimitDecision {
        let now = nanos(now);
        // The highest bits choose the shard, the lowest the set.
        let index = usize::try_from(key >> 122).unwrap_or(0);
        let Some(shard) = self.shards.get(index) else {
            return decide(now, now, quota, cost).0;
        };
        let mut shard = shard.lock();
        let held = shard.whole_at(key).unwrap_or(now);
        let (decision, whole_at) = decide(held, now, quota, cost);
        if decision.allowed && shard.store(key, whole_at, window(quota), now, self.sets_per_shard) {
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        decision
    }

    fn seeds(&self) -> [u64; 4] {
        self.seeds
    }
}

/// GCRA: the decision, and the time at which the counter is then whole.
fn decide(whole_at: u64, now: u64, quota: Quota, cost: u32) -> (LimitDecision, u64) {
    let interval = quota.interval_ns.max(1);
    let window = window(quota);
    let before = whole_at.max(now);
    let after = before.saturating_add(interval.saturating_mul(u64::from(cost)));
    let excess = after.saturating_sub(now).saturating_sub(window);
    let allowed = excess == 0;
    let whole_at = if allowed { after } else { before };
    let missing = whole_at.saturating_sub(now);
    let remaining = window.saturating_sub(missing) / interval;
    let decision = LimitDecision {
        allowed,
        remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
        retry_after: Duration::from_nanos(excess),
        reset_after: Duration::from_nanos(missing),
    };
    (decision, whole_at)
}

fn window(quota: Quota) -> u64 {
    quota.interval_ns.max(1).saturating_mul(u64::from(quota.burst.max(1)))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Shard {
    fn set(&self, key: u128) -> usize {
        let low = key & (self.sets.len() as u128 - 1);
        usize::try_from(low).unwrap_or(0)
    }

    fn whole_at(&self, key: u128) -> Option<u64> {
        self.sets.get(self.set(key))?.whole_at(key)
    }

    /// Writes a counter; answers whether a running one had to go for it.
    fn store(&mut self, key: u128, whole_at: u64, window: u64, now: u64, most_sets: usize) -> bool {
        loop {
            let index = self.set(key);
            let full_size = self.sets.len() >= most_sets;
            let Some(set) = self.sets.get_mut(index) else { return false };
            if set.store(key, whole_at, window, now) {
                return false;
            }
            if full_size {
                set.replace(key, whole_at, window, now);
                return true;
            }
            self.double(now);
        }
    }

    /// Twice the sets. A set's keys part between itself and its new twin, so nothing overflows.
    fn double(&mut self, now: u64) {
        let doubled = self.sets.len().saturating_mul(2);
        let old = std::mem::replace(&mut self.sets, vec![EMPTY; doubled]);
        for set in old {
            for ((key, whole_at), window) in set.keys.into_iter().zip(set.whole_at).zip(set.window) {
                if whole_at > now {
                    let index = self.set(key);
                    if let Some(set) = self.sets.get_mut(index) {
                        set.store(key, whole_at, window, now);
                    }
                }
            }
        }
    }
}

impl Set {
    fn whole_at(&self, key: u128) -> Option<u64> {
        let way = self.keys.iter().position(|&held| held == key)?;
        self.whole_at.get(way).copied()
    }

    /// Writes the counter to its own slot, or to a free one; answers whether there was one.
    fn store(&mut self, key: u128, whole_at: u64, window: u64, now: u64) -> bool {
        let own = self.keys.iter().position(|&held| held == key);
        let slot = own.or_else(|| self.whole_at.iter().position(|&at| at <= now));
        slot.is_some_and(|way| self.write(way, key, whole_at, window))
    }

    /// Writes the counter over the one that has the smallest part of its window left to wait: whoever is at a limit stays.
    fn replace(&mut self, key: u128, whole_at: u64, window: u64, now: u64) {
        let spent = |(at, window): (&u64, &u64)| {
            (u128::from(at.saturating_sub(now)) << 32) / u128::from((*window).max(1))
        };
        let least =
            self.whole_at.iter().zip(&self.window).map(spent).enumerate().min_by_key(|&(_, spent)| spent);
        if let Some((way, _)) = least {
            self.write(way, key, whole_at, window);
        }
    }

    fn write(&mut self, way: usize, key: u128, whole_at: u64, window: u64) -> bool {
        let (Some(k), Some(at), Some(w)) =
            (self.keys.get_mut(way), self.whole_at.get_mut(way), self.window.get_mut(way))
        else {
            return false;
        };
        (*k, *at, *w) = (key, whole_at, window);
        true
    }
}
