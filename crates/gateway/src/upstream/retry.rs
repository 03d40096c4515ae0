//! The retry budget: retries may be a share of the requests, so that a failing upstream is not hit harder for failing.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use http::Method;

/// Retries per second that are always allowed.
const FLOOR: u64 = 3;

/// Counts requests and retries of the current second.
#[derive(Debug)]
pub struct RetryBudget {
    percent: u64,
    second: AtomicU64,
    requests: AtomicU64,
    retries: AtomicU64,
}

impl RetryBudget {
    /// Allows `percent` retries for every hundred requests.
    #[must_use]
    pub fn new(percent: u32) -> Self {
        RetryBudget {
            percent: u64::from(percent),
            second: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        }
    }

    fn turn(&self, now: Duration) {
        let second = now.as_secs();
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.requests.store(0, Ordering::Relaxed);
            self.retries.store(0, Ordering::Relaxed);
        }
    }

    /// Counts a request.
    pub fn request(&self, now: Duration) {
        self.turn(now);
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a retry, if one is left.
    pub fn take(&self, now: Duration) -> bool {
        self.turn(now);
        let allowed = FLOOR.max(self.requests.load(Ordering::Relaxed).saturating_mul(self.percent) / 100);
        self.retries.fetch_add(1, Ordering::Relaxed) < allowed
    }
}

/// Methods whose repetition does no harm (RFC 9110 section 9.2.2; QUERY by RFC 10008).
#[must_use]
pub fn is_idempotent(method: &Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE" | "QUERY")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_upstream_gets_a_share_of_retries() {
        let budget = RetryBudget::new(20);
        let now = Duration::from_secs(7);
        assert_eq!((0..10).filter(|_| budget.take(now)).count(), 3);
        let later = Duration::from_secs(8);
        for _ in 0..100 {
            budget.request(later);
        }
        assert_eq!((0..100).filter(|_| budget.take(later)).count(), 20);
    }
}
