//! The system's clock, its random numbers, and the installation's keyed hash.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand;
use bartizan_model::{Clock, Timestamp, redacted::KeyedHash, services::Random};
use siphasher::sip::SipHasher24;

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

/// SipHash-2-4 under the installation's key: a pseudorandom function made for short inputs, which every path segment of
/// an event is (an HMAC would cost ten times as much on each exchange).
pub struct SipKeyedHash(SipHasher24);

impl SipKeyedHash {
    /// With the first half of this key: SipHash takes 128 bits.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        let mut half = [0; 16];
        half.iter_mut().zip(key).for_each(|(slot, byte)| *slot = *byte);
        SipKeyedHash(SipHasher24::new_with_key(&half))
    }
}

impl KeyedHash for SipKeyedHash {
    fn hash(&self, input: &[u8]) -> u64 {
        self.0.hash(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyed_hash_is_siphash_2_4() {
        // The example of the SipHash paper, appendix A: key 00..0f, input 00..0e.
        let key: [u8; 32] = std::array::from_fn(|i| u8::try_from(i % 16).unwrap_or(0));
        let input: Vec<u8> = (0..15).collect();
        assert_eq!(SipKeyedHash::new(&key).hash(&input), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn random_bytes_differ() {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        SystemRandom.fill(&mut a);
        SystemRandom.fill(&mut b);
        assert_ne!(a, b);
    }
}
