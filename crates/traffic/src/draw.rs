//! Chance that is the same for the same seed, on every machine and in every version.
//!
//! Numbers are the keystream of ChaCha8, which its definition fixes (unlike the default generators of libraries, which may
//! change). The mappings below use whole numbers only: no `exp` or `ln`, whose last bit differs between platforms.

use std::time::Duration;

use chacha20::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

/// One stream of chance. Streams of different names or numbers are independent.
pub struct Draw(ChaCha8Rng);

impl Draw {
    /// The stream of one thing: its name (16 bytes count) and number.
    pub fn of(seed: u64, name: &str, number: u64) -> Self {
        let mut key = [0_u8; 32];
        let parts = seed.to_le_bytes().into_iter().chain(number.to_le_bytes()).chain(name.bytes());
        for (place, byte) in key.iter_mut().zip(parts) {
            *place = byte;
        }
        Draw(ChaCha8Rng::from_seed(key))
    }

    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// 0 to `most` - 1; 0 where `most` is 0. The bias is below 2^-32 for every `most` that is used here.
    pub fn below(&mut self, most: u64) -> u64 {
        let wide = u128::from(self.bits()) * u128::from(most);
        u64::try_from(wide >> 64).unwrap_or_default()
    }

    /// `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// True in `percent` of 100 cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of a list.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT: N is not 0, and what is drawn is below N")]
    pub fn one<T: Copy, const N: usize>(&mut self, of: &[T; N]) -> T {
        const { assert!(N > 0) };
        of[usize::try_from(self.below(N as u64)).unwrap_or_default()]
    }

    /// One of a list that is not known to have any.
    pub fn some<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(usize::try_from(self.below(of.len() as u64)).unwrap_or_default())
    }

    /// A time of the exponential distribution with this mean, cut at 7 means: what lies between independent events.
    pub fn gap(&mut self, mean: Duration) -> Duration {
        /// -ln(1 - k/32) in thousandths, k from 0 to 31; the last piece ends at 7 means.
        const QUANTILES: [u64; 33] = [
            0, 32, 65, 98, 134, 170, 208, 247, 288, 330, 375, 421, 470, 521, 575, 632, 693, 758, 827, 901,
            981, 1_068, 1_163, 1_269, 1_386, 1_520, 1_674, 1_856, 2_079, 2_367, 2_773, 3_466, 7_000,
        ];
        let at = self.below(32 << 16);
        let (piece, within) = (usize::try_from(at >> 16).unwrap_or_default(), at & 0xffff);
        let low = QUANTILES.get(piece).copied().unwrap_or_default();
        let high = QUANTILES.get(piece + 1).copied().unwrap_or(low);
        let thousandths = low + (((high - low) * within) >> 16);
        let micros = u64::try_from(mean.as_micros()).unwrap_or(u64::MAX / 8_000);
        Duration::from_micros(micros.saturating_mul(thousandths) / 1_000)
    }
}
