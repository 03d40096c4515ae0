//! What a probe counts and looks up in: counters that end with it, and one key that was made for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_guards::{identity::api_key, rate_limit::table::LimitTable};
use bartizan_model::{
    Redacted, Timestamp,
    services::{ApiKeyRecord, ApiKeys, LimitDecision, LimitStore, Quota, Random},
};

/// Callers of one probe: itself.
const CALLERS: usize = 64;

/// Counters in which one limit may be spent: the arithmetic is that of the real ones.
pub(super) struct Counters {
    table: LimitTable,
    asked: AtomicUsize,
    spent: Option<usize>,
}

impl Counters {
    /// Fresh counters; the limit that is asked in the place `spent`, from 0, has nothing left.
    pub fn new(random: &dyn Random, spent: Option<usize>) -> Self {
        Counters { table: LimitTable::new(CALLERS, random), asked: AtomicUsize::new(0), spent }
    }
}

impl LimitStore for Counters {
    fn take(&self, key: u128, quota: Quota, cost: u32, now: Duration) -> LimitDecision {
        let place = self.asked.fetch_add(1, Ordering::Relaxed);
        if self.spent == Some(place) {
            // All that may be taken at once is taken at once, however much it is: what follows is one request too many.
            let _ = self.table.take(key, quota, quota.burst, now);
        }
        self.table.take(key, quota, cost, now)
    }
}

/// A store with one key, which nobody else has.
pub(super) struct OneKey {
    plain: Redacted<String>,
    record: Arc<ApiKeyRecord>,
}

impl OneKey {
    /// Makes the key.
    pub fn new(random: &dyn Random, now: Timestamp) -> Self {
        let key = api_key::generate(random);
        let record = ApiKeyRecord::new(key.id, key.hash, Arc::from("probe"), now);
        OneKey { plain: key.plain, record: Arc::new(record) }
    }

    /// The whole key.
    pub fn plain(&self) -> &str {
        self.plain.expose()
    }
}

impl ApiKeys for OneKey {
    fn find(&self, hash: &[u8; 32]) -> Option<Arc<ApiKeyRecord>> {
        (self.record.hash == *hash).then(|| Arc::clone(&self.record))
    }

    fn is_revoked(&self, id: &str) -> bool {
        *self.record.id != *id
    }

    fn used(&self, _: &str, _: Timestamp) {}
}
