//! Passwords and one-time codes.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use bartizan_model::Timestamp;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use subtle::ConstantTimeEq as _;

use crate::refusal::{Answer, Refusal};

/// Rounds of PBKDF2. Fewer than a real bank has: a drill signs in many thousand times on one machine.
const ROUNDS: u32 = 10_000;

/// Random bytes.
///
/// # Errors
/// The system has none.
pub fn random<const N: usize>() -> Answer<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|error| Refusal::internal(&error))?;
    Ok(bytes)
}

/// 32 random bytes as text.
///
/// # Errors
/// The system has none.
pub fn random_text() -> Answer<String> {
    Ok(BASE64.encode(random::<32>()?))
}

/// A salted, slow hash.
pub fn hash(password: &str) -> Answer<String> {
    let salt = random_text()?;
    let derived = derive(password, &salt);
    Ok(format!("pbkdf2${salt}${derived}"))
}

/// BANK-09 (planted): fast and without salt, so that whoever reads it soon has the password.
pub fn weak_hash(password: &str) -> String {
    format!("sha256${}", sha256(password))
}

/// Whether a password belongs to a stored hash.
pub fn verify(password: &str, stored: &str) -> bool {
    let mut parts = stored.split('$');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("pbkdf2"), Some(salt), Some(expected)) => same(&derive(password, salt), expected),
        (Some("sha256"), Some(expected), None) => same(&sha256(password), expected),
        _ => false,
    }
}

/// Equal, in time that does not tell how much of it is.
pub fn same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

/// SHA-256 as base64url.
pub fn sha256(text: &str) -> String {
    BASE64.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

fn derive(password: &str, salt: &str) -> String {
    let mut out = [0; 32];
    let rounds = NonZeroU32::new(ROUNDS).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt.as_bytes(), password.as_bytes(), &mut out);
    BASE64.encode(out)
}

/// The six digits of RFC 6238 (HMAC-SHA-1, 30 seconds) at a moment.
#[must_use]
pub fn totp(secret: &[u8], at: Timestamp) -> String {
    code(secret, at.seconds() / 30)
}

/// Which step a code is of: the current one, the one before or the one after.
pub fn totp_step(secret: &[u8], given: &str, at: Timestamp) -> Option<u64> {
    let now = at.seconds() / 30;
    (now.saturating_sub(1)..=now + 1).find(|&step| same(&code(secret, step), given))
}

fn code(secret: &[u8], step: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let bytes = tag.as_ref();
    let offset = usize::from(bytes.last().copied().unwrap_or_default() & 0xf);
    let four = bytes.iter().skip(offset).take(4).fold(0_u32, |sum, &byte| sum << 8 | u32::from(byte));
    format!("{:06}", (four & 0x7fff_ffff) % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_rfc_6238() {
        for (seconds, expected) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
            assert_eq!(totp(b"12345678901234567890", Timestamp::from_seconds(seconds)), expected);
        }
    }

    #[test]
    fn a_hash_knows_its_password_only() {
        let stored = hash("right").expect("random bytes");
        assert!(verify("right", &stored) && !verify("wrong", &stored));
        assert_ne!(hash("right").expect("random bytes"), stored, "each hash has its own salt");
        assert!(verify("right", &weak_hash("right")) && !verify("wrong", &weak_hash("right")));
    }
}
