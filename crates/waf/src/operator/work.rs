//! How much is done for one exchange: what bounds the time that hostile values may take.

/// What a test costs besides its bytes, in bytes.
const PER_STEP: u64 = 16;

/// Work done, and how much may be. One unit is one byte that is scanned, transformed or tested once; each such step counts
/// 16 more.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    done: u64,
    most: u64,
}

impl Default for Work {
    fn default() -> Self {
        Work { done: 0, most: u64::MAX }
    }
}

impl Work {
    /// None done yet, and so much may be.
    pub(crate) const fn up_to(most: u64) -> Self {
        Work { done: 0, most }
    }

    /// Notes that so many bytes are looked at, each so many times.
    #[inline]
    pub(crate) const fn charge(&mut self, bytes: usize, times: u64) {
        self.done = self.done.saturating_add((bytes as u64).saturating_mul(times).saturating_add(PER_STEP));
    }

    /// Units that were done.
    #[must_use]
    pub const fn done(&self) -> u64 {
        self.done
    }

    /// Whether more was done than may be.
    #[inline]
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.done > self.most
    }
}
