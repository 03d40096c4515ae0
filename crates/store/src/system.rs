//! The system's clock, its random numbers, and the installation's keyed hash.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::{hmac, rand};
use bartizan_model::{Clock, Timestamp, redacted::KeyedHash, services::Random};

/// Real time. Monotonic time counts from its creation: use one for the whole process.
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::default().plus(since)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The operating system's random numbers, through AWS-LC's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        if rand::fill(buffer).is_err() {
            // Keys and ids made from a buffer that was not filled would be guessable: no process is better than that.
            tracing::error!("the system has no random numbers");
            #[expect(clippy::disallowed_methods, reason = "nothing may go on without random numbers")]
            std::process::abort();
        }
    }
}

/// HMAC-SHA-256 (RFC 2104) under the installation's key, cut to 64 bits.
pub struct HmacHash(hmac::Key);

impl HmacHash {
    /// With this key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        HmacHash(hmac::Key::new(hmac::HMAC_SHA256, key))
    }
}

impl KeyedHash for HmacHash {
    fn hash(&self, input: &[u8]) -> u64 {
        let tag = hmac::sign(&self.0, input);
        let mut first = [0; 8];
        for (slot, byte) in first.iter_mut().zip(tag.as_ref()) {
            *slot = *byte;
        }
        u64::from_be_bytes(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyed_hash_is_hmac_sha_256() {
        // RFC 4231 test case 2, its key padded with zeros, which HMAC does anyway.
        let mut key = [0; 32];
        key.iter_mut().zip(b"Jefe").for_each(|(slot, byte)| *slot = *byte);
        assert_eq!(HmacHash::new(&key).hash(b"what do ya want for nothing?"), 0x5bdc_c146_bf60_754e);
    }

    #[test]
    fn random_bytes_differ() {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        SystemRandom.fill(&mut a);
        SystemRandom.fill(&mut b);
        assert_ne!(a, b);
    }
}
