//! API keys: `btz_<id>_<secret><checksum>`, made by `bartizan keys`, kept as SHA-256 only.
//!
//! Leak scanners find them by `btz_[0-9A-Za-z]{10}_[0-9A-Za-z]{49}` and rule out look-alikes offline by the checksum.

use std::sync::Arc;

use bartizan_model::{
    CredentialKind, Principal, Redacted, Timestamp,
    services::{ApiKeyRecord, ApiKeys, Random},
};
use subtle::ConstantTimeEq;

use super::{
    jwks::sha256,
    reason::{Rejection, Why},
};

/// What every key begins with.
pub const PREFIX: &str = "btz_";

/// Characters of the public id: 59 bits, so that ids do not collide by chance.
pub const ID_LENGTH: usize = 10;

/// Characters of the secret: 256 bits in base 62.
const SECRET_LENGTH: usize = 43;

/// Characters of the checksum: 32 bits in base 62.
const CHECKSUM_LENGTH: usize = 6;

/// Characters of a whole key.
pub const LENGTH: usize = PREFIX.len() + ID_LENGTH + 1 + SECRET_LENGTH + CHECKSUM_LENGTH;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key that was just made. The text exists here only: show it once and drop it.
pub struct NewKey {
    /// The whole key.
    pub plain: Redacted<String>,
    /// Its public part, safe to show and log.
    pub id: Arc<str>,
    /// What the store keeps: SHA-256 of the whole text.
    pub hash: [u8; 32],
}

/// Makes a key with 256 bits of `random`.
#[must_use]
pub fn generate(random: &dyn Random) -> NewKey {
    let (mut id, mut secret) = ([0; 8], [0; 32]);
    random.fill(&mut id);
    random.fill(&mut secret);
    let id = base62(&id, ID_LENGTH);
    let mut plain = String::with_capacity(LENGTH);
    plain.push_str(PREFIX);
    plain.push_str(&id);
    plain.push('_');
    plain.push_str(&base62(&secret, SECRET_LENGTH));
    let sum = checksum(&plain);
    plain.push_str(&sum);
    NewKey { hash: hash(&plain), id: Arc::from(id), plain: Redacted::new(plain) }
}

/// A text that has the form of a key, its checksum included. Whether it was ever issued is another matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsedKey<'t> {
    /// The public part.
    pub id: &'t str,
}

/// The text is not a key: its form or its checksum is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAKey;

impl std::fmt::Display for NotAKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not an API key: expected `btz_`, an id of 10 characters, `_` and 49 characters that end in a right checksum")
    }
}

impl std::error::Error for NotAKey {}

/// Reads a key's form; costs no look-up, so that guesses and typing errors stop here.
///
/// # Errors
/// [`NotAKey`].
pub fn parse(text: &str) -> Result<ParsedKey<'_>, NotAKey> {
    let rest = text.strip_prefix(PREFIX).ok_or(NotAKey)?;
    let (id, secret) = rest.split_once('_').ok_or(NotAKey)?;
    let alphanumeric = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric());
    if text.len() != LENGTH || id.len() != ID_LENGTH || !alphanumeric(id) || !alphanumeric(secret) {
        return Err(NotAKey);
    }
    let (body, sum) = text.split_at_checked(LENGTH - CHECKSUM_LENGTH).ok_or(NotAKey)?;
    if checksum(body) == sum { Ok(ParsedKey { id }) } else { Err(NotAKey) }
}

/// What the store keeps of a key: SHA-256 of the whole text. A slow hash would add nothing to 256 random bits.
#[must_use]
pub fn hash(text: &str) -> [u8; 32] {
    sha256(&[text.as_bytes()])
}

fn checksum(body: &str) -> String {
    base62(&crc32(body.as_bytes()).to_be_bytes(), CHECKSUM_LENGTH)
}

/// CRC-32 as in ISO 3309 and PNG.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// The lowest `length` digits of a big-endian number in base 62, zeros in front.
fn base62(number: &[u8], length: usize) -> String {
    let mut number = number.to_vec();
    let mut digits: Vec<u8> = (0..length)
        .map(|_| {
            let rest = number.iter_mut().fold(0_u32, |rest, byte| {
                let value = rest * 256 + u32::from(*byte);
                *byte = u8::try_from(value / 62).unwrap_or(0);
                value % 62
            });
            ALPHABET.get(rest as usize).copied().unwrap_or(b'0')
        })
        .collect();
    digits.reverse();
    digits.into_iter().map(char::from).collect()
}

/// Looks a presented key up and judges its record at `now`.
pub(super) fn verify(text: &str, keys: &dyn ApiKeys, now: Timestamp) -> Result<Arc<Principal>, Rejection> {
    let parsed = parse(text).map_err(|NotAKey| Why::KeyMalformed)?;
    let hash = hash(text);
    let record = keys.find(&hash).ok_or(Why::KeyUnknown)?;
    if !bool::from(record.hash.ct_eq(&hash)) || *record.id != *parsed.id {
        return Err(Why::KeyUnknown.into());
    }
    if let Some(why) = objection(&record, now) {
        return Err(Rejection { why, issuer: None, key: Some(Arc::clone(&record.id)) });
    }
    keys.used(&record.id, now);
    Ok(Arc::new(Principal {
        scopes: record.scopes.clone(),
        roles: record.roles.clone(),
        tenant: record.tenant.clone(),
        attributes: record.attributes.clone(),
        credential_id: Some(Arc::clone(&record.id)),
        issued: Some(record.created),
        expires: record.expires,
        ..Principal::new(CredentialKind::ApiKey, Arc::from("bartizan"), Arc::clone(&record.owner))
    }))
}

/// A rotated key is good until its end, which is when the overlap with its successor is over.
fn objection(record: &ApiKeyRecord, now: Timestamp) -> Option<Why> {
    if record.revoked.is_some() {
        Some(Why::KeyRevoked)
    } else if record.expires.is_some_and(|end| end <= now) {
        Some(if record.successor.is_some() { Why::KeyRotated } else { Why::KeyExpired })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    struct Counting(std::sync::atomic::AtomicU8);
    impl Random for Counting {
        fn fill(&self, buffer: &mut [u8]) {
            for byte in buffer {
                *byte = self.0.fetch_add(37, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn made_keys_have_the_documented_form() {
        let random = Counting(3.into());
        let key = generate(&random);
        let text = key.plain.expose();
        assert_eq!(text.len(), 64);
        assert_eq!(parse(text), Ok(ParsedKey { id: &key.id }));
        assert_eq!(hash(text), key.hash);
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        assert_ne!(text, generate(&random).plain.expose());
    }

    #[test]
    fn any_single_change_is_noticed() {
        let text = generate(&Counting(9.into())).plain.expose().clone();
        for index in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            let slot = changed.get_mut(index).unwrap();
            *slot = if *slot == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(parse(&changed), Err(NotAKey), "position {index}");
        }
        for wrong in
            ["", "btz_", "btz__", "btz_a_b", "é", &text[1..], &format!("{text}0"), &format!(" {text}")]
        {
            assert_eq!(parse(wrong), Err(NotAKey), "{wrong}");
        }
    }

    #[test]
    fn checksum_and_digits_are_the_standard_ones() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(base62(&[0xff; 4], 6), "4gfFC3");
        assert_eq!(base62(&[0; 32], 43), "0".repeat(43));
        assert_eq!(base62(&[0xff; 32], 43).len(), 43);
    }
}
