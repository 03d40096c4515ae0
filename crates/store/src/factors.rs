//! Second factors in memory: sealed as on disk, opened when one is shown, with what counts wrong codes and used ones.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bartizan_model::{
    Clock as _, Redacted, Timestamp,
    services::{Factors, Totp, TotpHash},
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{Sealer, StoreError, system::SystemClock};

/// Wrong codes in a row that cost nothing.
const FREE: u32 = 5;
/// How long the next code has to wait then; each further wrong one doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait: 24 guesses a day, each right with 3 in a million.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// A second factor as the store keeps it.
#[derive(Clone)]
pub struct StoredFactor {
    /// Whose keys it belongs to.
    pub owner: Arc<str>,
    /// The hash of its codes.
    pub hash: TotpHash,
    /// The secret, sealed for this owner.
    pub sealed: Arc<[u8]>,
    /// When it was enrolled.
    pub created: Timestamp,
    /// The time step of the last code that was taken; 0 for none.
    pub last_step: u64,
    /// When a code was last taken.
    pub last_used: Option<Timestamp>,
}

impl StoredFactor {
    /// A factor of `owner` around a fresh secret.
    ///
    /// # Errors
    /// The secret cannot be sealed.
    pub fn seal(
        sealer: &Sealer,
        owner: &str,
        hash: TotpHash,
        secret: &[u8],
        created: Timestamp,
    ) -> Result<Self, StoreError> {
        let sealed = sealer.seal(&purpose(owner), secret).map_err(|_| StoreError::CannotSeal)?;
        Ok(StoredFactor {
            owner: owner.into(),
            hash,
            sealed: sealed.into(),
            created,
            last_step: 0,
            last_used: None,
        })
    }

    /// The factor for people and programs, without its secret; moments as RFC 3339 text.
    #[must_use]
    pub fn describe(&self) -> Value {
        json!({
            "owner": self.owner, "factor": "totp", "hash": self.hash, "created": self.created.to_string(),
            "last_used": self.last_used.map(|time| time.to_string()),
        })
    }
}

/// What a secret is sealed for: another owner's is of no use.
fn purpose(owner: &str) -> String {
    format!("totp {owner}")
}

/// All second factors, replaced whole when they change on disk.
#[derive(Default)]
pub struct FactorIndex {
    by_owner: ArcSwap<HashMap<Arc<str>, Arc<Entry>>>,
}

struct Entry {
    hash: TotpHash,
    sealed: Arc<[u8]>,
    state: Arc<Mutex<Use>>,
}

#[derive(Default)]
struct Use {
    step: u64,
    written: u64,
    at: Timestamp,
    wrong: u32,
    blocked_until: Timestamp,
}

impl FactorIndex {
    /// The factors as guards take them: opened by the installation's key, one at a time and for a moment.
    #[must_use]
    pub fn opened_by(self: &Arc<Self>, sealer: Arc<Sealer>) -> OpenFactors {
        OpenFactors { index: Arc::clone(self), sealer }
    }

    pub(crate) fn replace(&self, factors: Vec<StoredFactor>) {
        let before = self.by_owner.load();
        let mut table = HashMap::new();
        for factor in factors {
            let known = before.get(&factor.owner).filter(|entry| entry.sealed == factor.sealed);
            let state = known.map_or_else(
                || {
                    let at = factor.last_used.unwrap_or_default();
                    let (step, written) = (factor.last_step, factor.last_step);
                    Arc::new(Mutex::new(Use { step, written, at, ..Use::default() }))
                },
                |entry| Arc::clone(&entry.state),
            );
            table.insert(factor.owner, Arc::new(Entry { hash: factor.hash, sealed: factor.sealed, state }));
        }
        self.by_owner.store(Arc::new(table));
    }

    /// Codes that were taken and are not on disk yet.
    pub(crate) fn unwritten(&self) -> Vec<(Arc<str>, u64, Timestamp)> {
        let table = self.by_owner.load();
        let pending = table.iter().filter_map(|(owner, entry)| {
            let state = entry.state.lock();
            (state.step > state.written).then(|| (Arc::clone(owner), state.step, state.at))
        });
        pending.collect()
    }

    pub(crate) fn written(&self, uses: &[(Arc<str>, u64, Timestamp)]) {
        let table = self.by_owner.load();
        for (owner, step, _) in uses {
            if let Some(entry) = table.get(owner) {
                let mut state = entry.state.lock();
                state.written = state.written.max(*step);
            }
        }
    }
}

/// [`FactorIndex::opened_by`].
pub struct OpenFactors {
    index: Arc<FactorIndex>,
    sealer: Arc<Sealer>,
}

impl OpenFactors {
    fn entry(&self, owner: &str) -> Option<Arc<Entry>> {
        self.index.by_owner.load().get(owner).cloned()
    }
}

impl Factors for OpenFactors {
    fn totp(&self, owner: &str) -> Option<Totp> {
        let entry = self.entry(owner)?;
        match self.sealer.open(&purpose(owner), &entry.sealed) {
            Ok(secret) => Some(Totp { secret, hash: entry.hash }),
            Err(error) => {
                tracing::error!("the second factor of a key holder cannot be used: {error}; enroll it again");
                // It exists: nobody is let through because it cannot be read.
                Some(Totp { secret: Redacted::new(Vec::new()), hash: entry.hash })
            }
        }
    }

    fn attempt(&self, owner: &str, now: Timestamp) -> Result<(), Duration> {
        let Some(entry) = self.entry(owner) else { return Ok(()) };
        let mut state = entry.state.lock();
        if now < state.blocked_until {
            return Err(state.blocked_until.since(now));
        }
        state.wrong = state.wrong.saturating_add(1);
        if let Some(beyond) = state.wrong.checked_sub(FREE) {
            let wait =
                FIRST_WAIT.saturating_mul(1_u32.checked_shl(beyond).unwrap_or(u32::MAX)).min(LONGEST_WAIT);
            state.blocked_until = now.plus(wait);
        }
        Ok(())
    }

    fn accept(&self, owner: &str, step: u64) -> bool {
        let Some(entry) = self.entry(owner) else { return false };
        let mut state = entry.state.lock();
        if step <= state.step {
            return false;
        }
        state.step = step;
        state.at = SystemClock::default().now();
        state.wrong = 0;
        state.blocked_until = Timestamp::default();
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    fn factors(sealer: &Arc<Sealer>, secret: &[u8]) -> (Arc<FactorIndex>, OpenFactors) {
        let index = Arc::new(FactorIndex::default());
        let now = Timestamp::from_seconds(1_000);
        index.replace(vec![StoredFactor::seal(sealer, "alice", TotpHash::Sha1, secret, now).unwrap()]);
        let open = index.opened_by(Arc::clone(sealer));
        (index, open)
    }

    #[test]
    fn a_code_is_taken_once_and_stays_taken() {
        let sealer = Arc::new(Sealer::new(&[1; 32]).unwrap());
        let (index, open) = factors(&sealer, b"secret");
        assert_eq!(open.totp("alice").unwrap().secret.expose(), b"secret");
        assert!(open.totp("bob").is_none());
        assert!(open.accept("alice", 40) && !open.accept("alice", 40) && !open.accept("alice", 39));
        let pending = index.unwritten();
        assert_eq!(pending.first().map(|(_, step, _)| *step), Some(40));
        index.written(&pending);
        assert!(index.unwritten().is_empty());
        assert!(open.accept("alice", 41));
    }

    #[test]
    fn guesses_wait_longer_and_longer() {
        let sealer = Arc::new(Sealer::new(&[1; 32]).unwrap());
        let (_, open) = factors(&sealer, b"secret");
        let mut now = Timestamp::from_seconds(1_000);
        for _ in 0..FREE {
            assert_eq!(open.attempt("alice", now), Ok(()));
        }
        assert_eq!(open.attempt("alice", now), Err(Duration::from_secs(30)));
        let mut waits = Vec::new();
        for _ in 0..9 {
            let wait = open.attempt("alice", now).unwrap_err();
            waits.push(wait.as_secs());
            now = now.plus(wait);
            assert_eq!(open.attempt("alice", now), Ok(()));
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
        assert!(open.accept("alice", 1), "a right code ends the wait");
        assert_eq!(open.attempt("alice", now), Ok(()));
    }

    #[test]
    fn another_installations_factor_lets_nobody_through() {
        let (index, _) = factors(&Arc::new(Sealer::new(&[1; 32]).unwrap()), b"secret");
        let open = index.opened_by(Arc::new(Sealer::new(&[2; 32]).unwrap()));
        assert!(open.totp("alice").unwrap().secret.expose().is_empty());
    }
}
