//! Handles of metric series, found without locking: the hot path is one hash and a few atomic additions.

use std::{
    hash::Hash,
    sync::{Arc, OnceLock},
};

use ahash::RandomState;
use arc_swap::ArcSwap;
use bartizan_model::Verdict;
use hashbrown::{Equivalent, HashMap};
use parking_lot::Mutex;
use prometheus_client::metrics::{counter::Counter, histogram::Histogram};

use super::{Metrics, OperationLabels, RequestKey, RequestLabels};

/// A map that is read without a lock and copied to grow: it grows a bounded number of times in a process's life.
pub(super) struct Handles<K, V> {
    map: ArcSwap<HashMap<K, V, RandomState>>,
    growing: Mutex<()>,
    cap: usize,
}

impl<K: Clone + Eq + Hash, V: Clone> Handles<K, V> {
    pub(super) fn new(cap: usize) -> Self {
        Handles { map: ArcSwap::default(), growing: Mutex::new(()), cap }
    }

    /// The value of `key`, made when it is new. At the cap, `make(true)` names the entry that all further keys share.
    pub(super) fn get<Q>(&self, key: &Q, make: impl Fn(bool) -> (K, V)) -> V
    where
        Q: Hash + Equivalent<K>,
    {
        if let Some(value) = self.map.load().get(key) {
            return value.clone();
        }
        let _one_at_a_time = self.growing.lock();
        let map = self.map.load();
        if let Some(value) = map.get(key) {
            return value.clone();
        }
        let (new, value) = make(map.len() >= self.cap);
        if let Some(value) = map.get(&new) {
            return value.clone();
        }
        let mut grown = HashMap::clone(&map);
        grown.insert(new, value.clone());
        self.map.store(Arc::new(grown));
        value
    }
}

/// A [`RequestKey`] that borrows.
#[derive(Hash)]
pub(super) struct RequestKeyRef<'a>(pub &'a str, pub &'a str, pub &'static str);

impl Equivalent<RequestKey> for RequestKeyRef<'_> {
    fn equivalent(&self, key: &RequestKey) -> bool {
        self.0 == &*key.0 && self.1 == &*key.1 && self.2 == key.2
    }
}

/// Status classes: none sent, then 1xx to 5xx.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// All verdicts, in the order of the declaration.
const VERDICTS: usize = 6;

/// The series of one API, operation and method; counters appear with their first exchange.
pub(super) struct RequestSeries {
    labels: OperationLabels,
    method: &'static str,
    requests: [[OnceLock<Counter>; CLASSES.len()]; VERDICTS],
    pub(super) duration: Histogram,
    upstream: OnceLock<Histogram>,
}

impl RequestSeries {
    pub(super) fn new(labels: OperationLabels, method: &'static str, duration: Histogram) -> Self {
        RequestSeries { labels, method, requests: Default::default(), duration, upstream: OnceLock::new() }
    }

    /// Counts one exchange.
    pub(super) fn request(&self, metrics: &Metrics, status: u16, verdict: Verdict) {
        let class = usize::from(status / 100);
        let class = if class < CLASSES.len() { class } else { 0 };
        let row = match verdict {
            Verdict::Allow => 0,
            Verdict::Deny => 1,
            Verdict::Challenge => 2,
            Verdict::Throttle => 3,
            Verdict::Abort => 4,
            Verdict::Error => 5,
        };
        let Some(cell) = self.requests.get(row).and_then(|row| row.get(class)) else {
            return;
        };
        cell.get_or_init(|| {
            metrics.requests.get_or_create_owned(&RequestLabels {
                api: Arc::clone(&self.labels.api),
                operation: Arc::clone(&self.labels.operation),
                method: self.method,
                status: CLASSES.get(class).copied().unwrap_or("none"),
                verdict: verdict.as_str(),
            })
        })
        .inc();
    }

    /// The histogram of the upstream, which only forwarded exchanges need.
    pub(super) fn upstream(&self, metrics: &Metrics) -> &Histogram {
        self.upstream.get_or_init(|| metrics.upstream_durations.get_or_create_owned(&self.labels))
    }
}
