//! Counters of objects that callers ask for: few objects of others, ids one after the other, and more misses than anybody
//! else has, tell that somebody tries what there is.
//!
//! All of it is bounded: a caller costs a few hundred bytes, and callers beyond the cap make room, those with a clean record
//! first. Equal objects count once, so that a page that is loaded again is nothing.

use std::{collections::HashMap, time::Duration};

use ahash::RandomState;
use parking_lot::Mutex;

use super::config::{Action, Enumeration};

/// Callers that are remembered, in all: 16 MiB and a little more when all of them misbehave.
const CALLERS: usize = 1 << 16;
const SHARDS: usize = 32;

/// Operations whose callers are compared.
const OPERATIONS: usize = 4096;

/// Different foreign objects of one caller that are kept apart; beyond, each counts as new.
const MOST_FOREIGN: usize = 64;

/// Different objects that one caller asked for last and that are kept apart.
const RECENT: usize = 16;

/// Records that are looked at for one that makes room.
const CANDIDATES: usize = 16;

/// What one caller may add to the picture of an operation within a window: nobody makes misses look usual alone.
const PER_CALLER: u32 = 8;

/// Where the counts of an operation are halved, so that they follow what is usual now.
const AGED: f64 = 2_000.0;

/// What is believed of an operation before anybody called: one miss in twenty.
const PRIOR: (f64, f64) = (1.0, 19.0);

/// A caller that tries what there is misses half of the time at least.
const SUSPECT: f64 = 0.5;
const MOST_SUSPECT: f64 = 0.95;

/// Steps between ids that still are one after the other.
const STRIDE: u64 = 3;

/// How much more evidence misses of an address need than those of a principal: people share addresses.
const SHARED: f64 = 2.0;

/// What an exchange showed of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is the caller's.
    Own,
    /// It is somebody else's.
    Foreign,
    /// There is none, or the API refused, or nobody can tell whose it is.
    Missing,
}

/// One look of a caller at an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// The caller in this API.
    pub caller: u128,
    /// Whether others may stand behind the same key: an address.
    pub shared: bool,
    /// The operation.
    pub operation: u64,
    /// The object among all of the operation.
    pub object: u64,
    /// Its id, where it is a number.
    pub number: Option<u64>,
    /// What came of it.
    pub seen: Seen,
    /// Monotonic.
    pub now: Duration,
}

/// What tells that a caller enumerates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alarm {
    /// In words, with counts.
    pub signs: String,
    /// How long the caller is refused.
    pub refused_for: Option<Duration>,
}

/// The counters of a process; they survive a reload.
pub(super) struct Objects {
    shards: Vec<Mutex<HashMap<u128, Caller, RandomState>>>,
    operations: Mutex<HashMap<u64, Usual, RandomState>>,
}

impl Default for Objects {
    fn default() -> Self {
        Objects { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), operations: Mutex::default() }
    }
}

/// What callers of an operation usually get.
#[derive(Clone, Copy, Debug)]
struct Usual {
    misses: f64,
    hits: f64,
}

impl Usual {
    /// The same without what one caller added: nobody is compared with itself.
    fn without(self, misses: u32, hits: u32) -> Usual {
        Usual {
            misses: (self.misses - f64::from(misses)).max(PRIOR.0),
            hits: (self.hits - f64::from(hits)).max(PRIOR.1),
        }
    }

    /// The share of misses (the mean of a Beta distribution).
    fn share(self) -> f64 {
        self.misses / (self.misses + self.hits)
    }
}

#[derive(Debug, Default)]
struct Caller {
    begun: Duration,
    last: Duration,
    foreign: Vec<u64>,
    more_foreign: u32,
    recent: [u64; RECENT],
    next: usize,
    /// Looks at different objects within the window.
    looks: u32,
    misses: u32,
    /// The evidence that its misses are not the usual ones: the logarithm of a likelihood ratio (Wald 1945), never below 0.
    evidence: f64,
    operation: u64,
    number: u64,
    run: u32,
    /// How often it was told of; the next time is at twice the counts.
    told: u32,
    refused_until: Duration,
}

impl Objects {
    /// How long this caller is still refused.
    pub(super) fn refused(&self, caller: u128, now: Duration) -> Option<Duration> {
        let shard = self.shard(caller)?.lock();
        shard
            .get(&caller)
            .and_then(|known| known.refused_until.checked_sub(now))
            .filter(|left| !left.is_zero())
    }

    /// Counts a look; what it tells, when it tells something new.
    pub(super) fn note(&self, look: &Look, settings: &Enumeration) -> Option<Alarm> {
        if settings.action == Action::Off {
            return None;
        }
        let usual = self.usual(look.operation);
        let mut shard = self.shard(look.caller)?.lock();
        make_room(&mut shard, look.caller);
        let caller = shard.entry(look.caller).or_default();
        let window = settings.window.0;
        if caller.looks == 0 || look.now.saturating_sub(caller.begun) > window {
            let refused_until = caller.refused_until;
            *caller = Caller { begun: look.now, refused_until, ..Caller::default() };
        }
        caller.last = look.now;
        if !caller.is_new(look) {
            return None;
        }
        caller.looks = caller.looks.saturating_add(1);
        let counts = caller.looks <= PER_CALLER;
        let own =
            (caller.misses.min(PER_CALLER), caller.looks.saturating_sub(caller.misses + 1).min(PER_CALLER));
        caller.count(look, usual.without(own.0, own.1));
        let alarm = caller.alarm(look, settings);
        drop(shard);
        if counts {
            self.learn(look);
        }
        alarm
    }

    fn shard(&self, caller: u128) -> Option<&Mutex<HashMap<u128, Caller, RandomState>>> {
        self.shards.get(usize::try_from(caller >> 96).unwrap_or_default() % SHARDS)
    }

    fn usual(&self, operation: u64) -> Usual {
        let known = self.operations.lock().get(&operation).copied();
        known.unwrap_or(Usual { misses: PRIOR.0, hits: PRIOR.1 })
    }

    fn learn(&self, look: &Look) {
        let mut operations = self.operations.lock();
        if operations.len() >= OPERATIONS && !operations.contains_key(&look.operation) {
            return;
        }
        let usual = operations.entry(look.operation).or_insert(Usual { misses: PRIOR.0, hits: PRIOR.1 });
        match look.seen {
            Seen::Own => usual.hits += 1.0,
            Seen::Foreign | Seen::Missing => usual.misses += 1.0,
        }
        if usual.misses + usual.hits > AGED {
            usual.misses /= 2.0;
            usual.hits /= 2.0;
        }
    }
}

/// Makes room for a caller that is not known: of a few, the one with the cleanest record that was quiet for longest goes.
fn make_room(shard: &mut HashMap<u128, Caller, RandomState>, caller: u128) {
    if shard.len() < CALLERS / SHARDS || shard.contains_key(&caller) {
        return;
    }
    let candidates = shard.iter().take(CANDIDATES);
    let cleanest = candidates.min_by_key(|(_, known)| (known.foreign.len(), known.misses, known.last));
    if let Some(key) = cleanest.map(|(key, _)| *key) {
        shard.remove(&key);
    }
}

impl Caller {
    /// Whether this object was not among the last ones, and is now.
    fn is_new(&mut self, look: &Look) -> bool {
        // 0 stands for none.
        let object = look.object | 1;
        if self.recent.contains(&object) {
            return false;
        }
        if let Some(slot) = self.recent.get_mut(self.next % RECENT) {
            *slot = object;
        }
        self.next = self.next.wrapping_add(1);
        true
    }

    fn count(&mut self, look: &Look, usual: Usual) {
        let missed = look.seen != Seen::Own;
        if look.seen == Seen::Foreign && !self.foreign.contains(&look.object) {
            if self.foreign.len() < MOST_FOREIGN {
                self.foreign.push(look.object);
            } else {
                self.more_foreign = self.more_foreign.saturating_add(1);
            }
        }
        self.misses = self.misses.saturating_add(u32::from(missed));
        let before = usual.share();
        let suspect = (before * 3.0).clamp(SUSPECT, MOST_SUSPECT).max(before);
        let ratio = if missed { suspect / before } else { (1.0 - suspect) / (1.0 - before) };
        self.evidence = (self.evidence + ratio.ln()).max(0.0);
        match look.number {
            Some(number) => {
                let near =
                    self.operation == look.operation && (1..=STRIDE).contains(&self.number.abs_diff(number));
                // The first of a run has nothing before it.
                self.run = match (missed, near) {
                    (false, _) => 0,
                    (true, true) => self.run.saturating_add(1).max(2),
                    (true, false) => 1,
                };
                self.number = number;
                self.operation = look.operation;
            }
            None => self.run = 0,
        }
    }

    fn alarm(&mut self, look: &Look, settings: &Enumeration) -> Option<Alarm> {
        if look.seen == Seen::Own {
            return None;
        }
        let scale = 1_u32.checked_shl(self.told).unwrap_or(u32::MAX);
        let foreign = u32::try_from(self.foreign.len()).unwrap_or(u32::MAX).saturating_add(self.more_foreign);
        let reached = |count: u32, most: u32| most > 0 && count >= most.saturating_mul(scale);
        let mut signs = Vec::new();
        if reached(foreign, settings.foreign) {
            signs.push(format!("{foreign} different objects of others"));
        }
        if reached(self.run, settings.sequence) {
            signs.push(format!("{} ids one after the other", self.run));
        }
        let shared = if look.shared { SHARED } else { 1.0 };
        let doubt = f64::from(settings.confidence.max(1)).ln() * shared * f64::from(scale);
        if settings.confidence > 0 && self.evidence >= doubt {
            signs.push(format!(
                "{} of {} objects missing or refused, unlike other callers",
                self.misses, self.looks
            ));
        }
        if signs.is_empty() {
            return None;
        }
        self.told = self.told.saturating_add(1);
        let refused_for = (settings.action == Action::Refuse).then_some(settings.refuse_for.0);
        if let Some(time) = refused_for {
            self.refused_until = look.now + time;
        }
        Some(Alarm { signs: signs.join(", "), refused_for })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests assert")]
    use super::*;

    fn look(caller: u128, id: u64, seen: Seen) -> Look {
        let object = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Look {
            caller,
            shared: false,
            operation: 1,
            object,
            number: Some(id),
            seen,
            now: Duration::from_secs(1),
        }
    }

    /// The number of the look that told something, from 1.
    fn first(objects: &Objects, looks: impl Iterator<Item = Look>) -> Option<usize> {
        let settings = Enumeration::default();
        looks.map(|look| objects.note(&look, &settings)).position(|alarm| alarm.is_some()).map(|at| at + 1)
    }

    #[test]
    fn a_few_foreign_objects_tell() {
        let objects = Objects::default();
        let shuffled = [900, 17, 4_000, 233, 52].map(|id| look(7, id, Seen::Foreign));
        assert_eq!(first(&objects, shuffled.into_iter()), Some(3));
        let again = objects.note(&look(7, 52, Seen::Foreign), &Enumeration::default());
        assert_eq!(again, None, "the same object counts once");
    }

    #[test]
    fn ids_one_after_the_other_tell_though_nobody_knows_whose_they_are() {
        let objects = Objects::default();
        let walk = (100..200).map(|id| look(8, id, Seen::Missing));
        assert!(first(&objects, walk).unwrap() <= 5);
    }

    #[test]
    fn misses_tell_by_what_is_usual() {
        let random = |id: u64| id.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 20;
        let objects = Objects::default();
        let first_of = |objects: &Objects, caller| {
            first(objects, (1..100).map(|id| look(caller, random(id), Seen::Missing)))
        };
        let alone = first_of(&objects, 1).unwrap();
        assert!((3..=6).contains(&alone), "{alone}");
        // Where every third object is gone, misses tell less.
        let objects = Objects::default();
        for caller in 10..200 {
            for id in 1..=6_u64 {
                let seen = if id % 3 == 0 { Seen::Missing } else { Seen::Own };
                assert_eq!(
                    objects.note(&look(caller, random(id * caller as u64), seen), &Enumeration::default()),
                    None
                );
            }
        }
        let among = first_of(&objects, 1).unwrap();
        assert!(among > alone, "{among}");
    }

    #[test]
    fn people_who_ask_for_what_is_theirs_are_not_told_of() {
        let objects = Objects::default();
        for caller in 1..=10 {
            for id in 1..=200 {
                let seen = if id % 40 == 0 { Seen::Missing } else { Seen::Own };
                assert_eq!(objects.note(&look(caller, id * 7, seen), &Enumeration::default()), None);
            }
        }
    }

    #[test]
    fn ten_sessions_that_share_the_work_are_each_told_of() {
        let objects = Objects::default();
        let mut told = [false; 10];
        for id in 1..=60_u64 {
            let session = usize::try_from(id % 10).unwrap();
            let alarm = objects.note(&look(session as u128 + 1, id, Seen::Foreign), &Enumeration::default());
            if let Some(told) = told.get_mut(session) {
                *told |= alarm.is_some();
            }
        }
        assert_eq!(told, [true; 10]);
    }

    #[test]
    fn a_refusal_ends() {
        let objects = Objects::default();
        let settings = Enumeration { action: Action::Refuse, ..Enumeration::default() };
        for id in [5, 500, 90] {
            objects.note(&look(3, id, Seen::Foreign), &settings);
        }
        assert_eq!(objects.refused(3, Duration::from_secs(1)), Some(Duration::from_secs(600)));
        assert_eq!(objects.refused(3, Duration::from_secs(601)), None);
        assert_eq!(objects.refused(4, Duration::from_secs(1)), None);
    }

    #[test]
    fn callers_make_room_the_clean_ones_first() {
        let objects = Objects::default();
        let bad: u128 = 9;
        objects.note(&look(bad, 1, Seen::Foreign), &Enumeration::default());
        for caller in 0..u128::from(u32::try_from(CALLERS).unwrap()) * 2 {
            let mut clean = look((caller << 96) | (caller + 100), 1, Seen::Own);
            clean.now = Duration::from_secs(2);
            objects.note(&clean, &Enumeration::default());
        }
        let kept: usize = objects.shards.iter().map(|shard| shard.lock().len()).sum();
        assert!(kept <= CALLERS, "{kept}");
        assert!(objects.shard(bad).unwrap().lock().contains_key(&bad));
    }
}
