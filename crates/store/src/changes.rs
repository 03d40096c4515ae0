//! Tells interested parties that something shared has changed.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// A generation that grows with each change, and those who want to hear of it.
#[derive(Default)]
pub struct Changes {
    generation: AtomicU64,
    listeners: Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
}

impl Changes {
    /// Grows by one with each change.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Calls `listener` after each change, on the store's thread: it must be quick and must not call the store.
    pub fn on_change(&self, listener: impl Fn() + Send + Sync + 'static) {
        self.listeners.lock().push(Box::new(listener));
    }

    pub(crate) fn announce(&self) {
        self.generation.fetch_add(1, Ordering::Release);
        for listener in self.listeners.lock().iter() {
            listener();
        }
    }
}
