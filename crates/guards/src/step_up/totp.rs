//! Time-based one-time passwords (RFC 6238): six digits, steps of 30 s, one step of tolerance on either side.

use aws_lc_rs::hmac;
use bartizan_model::{
    Timestamp,
    services::{Totp, TotpHash},
};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

/// Seconds of a step (RFC 6238 section 4.1).
const STEP: u64 = 30;

/// Steps before and after the present one whose codes are taken (section 5.2 recommends no more than one).
const WINDOW: u64 = 1;

/// Digits of a code.
pub(super) const DIGITS: usize = 6;

/// The step whose code this is, around `now`; the newest where several have the same. Takes the same time for every code.
pub(super) fn step_of(code: &str, factor: &Totp, now: Timestamp) -> Option<u64> {
    // A secret that could not be opened opens nothing.
    if factor.secret.expose().is_empty() || code.len() != DIGITS || !code.bytes().all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let key = match factor.hash {
        TotpHash::Sha1 => hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, factor.secret.expose()),
        TotpHash::Sha256 => hmac::Key::new(hmac::HMAC_SHA256, factor.secret.expose()),
    };
    let present = now.seconds() / STEP;
    let mut found = 0;
    for step in present.saturating_sub(WINDOW)..=present.saturating_add(WINDOW) {
        let expected = digits(value(&key, step), DIGITS);
        found = u64::conditional_select(&found, &step, expected.as_bytes().ct_eq(code.as_bytes()));
    }
    (found != 0).then_some(found)
}

/// The code of a factor for the step of `now`.
pub(super) fn code(secret: &[u8], now: Timestamp) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    digits(value(&key, now.seconds() / STEP), DIGITS)
}

/// The dynamically truncated HMAC of a counter: 31 bits (RFC 4226 section 5.3).
fn value(key: &hmac::Key, counter: u64) -> u32 {
    let tag = hmac::sign(key, &counter.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().copied().unwrap_or(0) & 15);
    let part = tag.iter().skip(offset).take(4);
    part.fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte)) & 0x7fff_ffff
}

fn digits(value: u32, digits: usize) -> String {
    let modulus = 10_u32.pow(u32::try_from(digits).unwrap_or(0).min(9));
    format!("{:0digits$}", value % modulus)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use bartizan_model::Redacted;

    use super::*;

    #[test]
    fn the_vectors_of_rfc_6238_pass() {
        let sha1 = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"12345678901234567890");
        let sha256 = hmac::Key::new(hmac::HMAC_SHA256, b"12345678901234567890123456789012");
        // Appendix B.
        for (time, one, two) in [
            (59_u64, "94287082", "46119246"),
            (1_111_111_109, "07081804", "68084774"),
            (1_111_111_111, "14050471", "67062674"),
            (1_234_567_890, "89005924", "91819424"),
            (2_000_000_000, "69279037", "90698825"),
            (20_000_000_000, "65353130", "77737706"),
        ] {
            assert_eq!(digits(value(&sha1, time / 30), 8), one, "{time}");
            assert_eq!(digits(value(&sha256, time / 30), 8), two, "{time}");
        }
    }

    #[test]
    fn one_step_either_side_is_taken_and_no_more() {
        let factor = |hash| Totp { secret: Redacted::new(b"12345678901234567890".to_vec()), hash };
        let now = Timestamp::from_seconds(1_000_000_005);
        let at = |seconds| code(b"12345678901234567890", Timestamp::from_seconds(seconds));
        let sha1 = factor(TotpHash::Sha1);
        let present = 1_000_000_005 / 30;
        for (offset, step) in [(0, Some(present)), (30, Some(present + 1)), (60, None), (90, None)] {
            assert_eq!(step_of(&at(1_000_000_005 + offset), &sha1, now), step, "+{offset}");
        }
        assert_eq!(step_of(&at(1_000_000_005 - 30), &sha1, now), Some(present - 1));
        assert_eq!(step_of(&at(1_000_000_005 - 60), &sha1, now), None);
        assert_eq!(step_of(&at(1_000_000_005), &factor(TotpHash::Sha256), now), None, "another hash");
        for wrong in ["", "12345", "1234567", "12345a", "\u{ff11}\u{ff12}"] {
            assert_eq!(step_of(wrong, &sha1, now), None, "{wrong}");
        }
        let unopened = Totp { secret: Redacted::new(Vec::new()), hash: TotpHash::Sha1 };
        assert_eq!(step_of(&code(b"", now), &unopened, now), None);
    }
}
