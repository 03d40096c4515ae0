//! What bodies may be held for guards: a budget over all exchanges, given back as each body flows on.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Bytes of bodies that may be held at a time, in all: more is answered with 503 until some has flowed on.
pub const BUDGET: usize = 256 << 20;

/// The memory for held bodies.
#[derive(Debug)]
pub struct Budget {
    left: AtomicUsize,
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Budget { left: AtomicUsize::new(bytes) })
    }

    /// A share of nothing, that grows with what is held.
    #[must_use]
    pub fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), taken: 0 }
    }

    /// Bytes that may still be held.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }
}

/// What one body holds. Dropping it gives the bytes back.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    taken: usize,
}

impl Share {
    /// Takes `bytes` more; `false`, and nothing taken, where the budget has not so much left.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        let fits = self
            .budget
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes))
            .is_ok();
        if fits {
            self.taken += bytes;
        }
        fits
    }

    /// Bytes that it has.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_the_budget_and_come_back() {
        let budget = Budget::new(100);
        let mut first = budget.share();
        let mut second = budget.share();
        assert!(first.grow(60) && second.grow(40));
        assert!(!second.grow(1), "nothing is left");
        drop(first);
        assert!(second.grow(60));
        drop(second);
        assert_eq!(budget.left(), 100);
    }
}
