//! The table of limits: exact against a naive oracle, true to its rate, flat in memory, and not to be flushed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

mod support;

use std::{collections::HashMap, time::Duration};

use bartizan_guards::rate_limit::table::{DEFAULT_CAPACITY, LimitTable};
use bartizan_model::{
    Rate,
    services::{LimitStore, Quota},
};
use proptest::{collection::vec, prelude::*};
use support::Sequence;

fn quota(rate: &str, burst: Option<u32>) -> Quota {
    let rate: Rate = rate.parse().unwrap();
    Quota { interval_ns: rate.interval_ns(), burst: burst.unwrap_or(rate.count) }
}

fn key(random: &Sequence) -> u128 {
    u128::from(random.next()) << 64 | u128::from(random.next())
}

/// A bucket of time: it fills by a nanosecond a nanosecond, and a unit takes an interval out of it.
struct Bucket {
    quota: Quota,
    level: u128,
    at: u128,
}

impl Bucket {
    fn new(quota: Quota) -> Self {
        Bucket { quota, level: Bucket::full(quota), at: 0 }
    }

    fn full(quota: Quota) -> u128 {
        u128::from(quota.interval_ns) * u128::from(quota.burst)
    }

    /// Whether the cost was taken, what is left in whole units, how long until it fits, how long until it is full.
    fn take(&mut self, cost: u32, now: u128) -> (bool, u128, u128, u128) {
        let full = Bucket::full(self.quota);
        self.level = (self.level + now - self.at).min(full);
        self.at = now;
        let interval = u128::from(self.quota.interval_ns);
        let price = interval * u128::from(cost);
        let taken = self.level >= price;
        if taken {
            self.level -= price;
        }
        let wait = if taken { 0 } else { price - self.level };
        (taken, self.level / interval, wait, full - self.level)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every decision equals that of one bucket per key, in every field.
    #[test]
    fn decisions_are_those_of_a_bucket_per_key(
        steps in vec((0_usize..200, 0_u64..4_000_000_000, 1_u32..4), 1..400),
        quotas in vec((1_u64..3_000_000_000, 3_u32..20), 4),
    ) {
        let random = Sequence::new();
        let table = LimitTable::new(DEFAULT_CAPACITY, &random);
        let keys: Vec<u128> = (0..200).map(|_| key(&random)).collect();
        let mut oracle = HashMap::new();
        let mut now = 0_u64;
        for (index, pause, cost) in steps {
            now += pause;
            let (interval_ns, burst) = quotas[index % quotas.len()];
            let quota = Quota { interval_ns, burst };
            let decision = table.take(keys[index], quota, cost, Duration::from_nanos(now));
            let bucket = oracle.entry(index).or_insert_with(|| Bucket::new(quota));
            let (taken, left, wait, whole) = bucket.take(cost, u128::from(now));
            prop_assert_eq!(decision.allowed, taken);
            prop_assert_eq!(u128::from(decision.remaining), left);
            prop_assert_eq!(decision.retry_after.as_nanos(), wait);
            prop_assert_eq!(decision.reset_after.as_nanos(), whole);
        }
        prop_assert_eq!(table.evicted(), 0);
    }

    /// Nothing that a clock or a policy could bring makes it panic.
    #[test]
    fn any_numbers_are_survived(
        steps in vec((any::<u128>(), any::<u64>(), any::<u32>(), any::<u32>(), any::<u64>()), 1..50),
    ) {
        let table = LimitTable::new(0, &Sequence::new());
        for (key, interval_ns, burst, cost, now) in steps {
            table.take(key, Quota { interval_ns, burst }, cost, Duration::from_nanos(now));
        }
    }
}

#[test]
fn a_caller_that_asks_too_much_gets_its_rate_within_a_hundredth() {
    for (rate, burst) in
        [("3/s", 3), ("7/m", 7), ("1000/h", 10), ("20/s", 40), ("333/s", 1), ("50000/s", 500)]
    {
        let quota = quota(rate, Some(burst));
        let table = LimitTable::new(1_024, &Sequence::new());
        // Three times the rate, for the time of 20,000 units.
        let step = Duration::from_nanos(quota.interval_ns / 3);
        let accepted = (0..60_000_u32).filter(|&n| table.take(7, quota, 1, step * n).allowed).count();
        let expected = 20_000.0 + f64::from(burst);
        let error = (accepted as f64 - expected).abs() / expected;
        assert!(error < 0.01, "{rate}: {accepted} accepted, {expected} expected");
    }
}

#[test]
fn a_million_callers_cost_less_than_200_bytes_each() {
    let random = Sequence::new();
    let table = LimitTable::new(DEFAULT_CAPACITY, &random);
    let before = resident();
    let quota = quota("5/m", None);
    let keys: Vec<u128> = (0..1_000_000).map(|_| key(&random)).collect();
    let listed = resident();
    for &key in &keys {
        assert!(table.take(key, quota, 1, Duration::from_secs(1)).allowed);
    }
    let held = table.len(Duration::from_secs(1));
    let per_key = table.bytes() / held;
    if let (Some(_), Some(listed), Some(after)) = (before, listed, resident()) {
        println!("resident: {} bytes a key", (after.saturating_sub(listed)) / held);
    }
    println!("{held} of 1000000 counters held, {per_key} bytes each, {} evicted", table.evicted());
    assert!(per_key < 200, "{per_key} bytes");
    assert!(held > 999_000, "{held} counters");
    // The counters are really there: whoever took one has one less.
    let spent =
        keys.iter().filter(|&&key| table.take(key, quota, 1, Duration::from_secs(1)).remaining == 3).count();
    assert!(spent > 999_000, "{spent}");
}

#[test]
fn a_flood_of_new_callers_neither_grows_the_table_nor_frees_who_is_at_its_limit() {
    let random = Sequence::new();
    let table = LimitTable::new(1_024, &random);
    let (hot, slow) = (quota("20/s", None), quota("5/m", None));
    let hot_key = key(&random);
    let mut accepted = 0;
    let mut most = 0;
    // A minute in which one caller asks 100 times a second, and 20,000 others come each second.
    for step in 0..6_000_u32 {
        let now = Duration::from_millis(10) * step;
        accepted += u32::from(table.take(hot_key, hot, 1, now).allowed);
        for _ in 0..200 {
            table.take(key(&random), slow, 1, now);
        }
        if step == 600 {
            most = table.bytes();
        }
    }
    assert!(table.evicted() > 100_000, "{}", table.evicted());
    assert_eq!(table.bytes(), most, "memory grew");
    assert!(most <= 1_024 * 2 * 32, "{most} bytes for 1024 counters");
    let expected = 60 * 20 + 20;
    assert!(accepted <= expected + expected / 100, "{accepted} accepted, {expected} expected");
}

#[test]
fn finished_counters_make_room_without_a_sweep() {
    let random = Sequence::new();
    let table = LimitTable::new(1_024, &random);
    let quota = quota("10/s", None);
    // A thousand new callers a second, each done after a tenth of one: 100 at any time.
    for n in 0..200_000_u32 {
        table.take(key(&random), quota, 1, Duration::from_millis(1) * n);
    }
    let end = Duration::from_millis(1) * 199_999;
    assert_eq!(table.evicted(), 0);
    assert!((90..=101).contains(&table.len(end)), "{}", table.len(end));
    assert_eq!(table.len(end + Duration::from_secs(1)), 0);
}

#[test]
fn counters_are_shared_between_threads_and_lose_nothing() {
    let table = LimitTable::new(1_024, &Sequence::new());
    let quota = quota("1000/h", None);
    let accepted: usize = std::thread::scope(|scope| {
        let worker =
            || (0..1_000).filter(|_| table.take(42, quota, 1, Duration::from_secs(5)).allowed).count();
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(accepted, 1_000);
}

/// Resident bytes of this process, where the system tells.
fn resident() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4_096)
}
