//! Seals small secrets with a key of the installation: what the database holds of them is of no use without that key.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
};
use bartizan_model::{Redacted, services::Random as _};

use crate::system::SystemRandom;

/// AES-256-GCM (NIST SP 800-38D) under a key that is derived from the installation's (RFC 5869).
///
/// Nonces are drawn at random: 2^32 seals of one installation would be safe, and it makes some thousands.
pub struct Sealer(LessSafeKey);

/// It was sealed by another installation's key, for something else, or was changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSealedHere;

impl fmt::Display for NotSealedHere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sealed secret does not open with this installation's key")
    }
}

impl std::error::Error for NotSealedHere {}

/// Nothing could be sealed: the cryptography library refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannotSeal;

impl fmt::Display for CannotSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the secret could not be sealed")
    }
}

impl std::error::Error for CannotSeal {}

impl Sealer {
    /// With a key derived from the installation's.
    ///
    /// # Errors
    /// The cryptography library refuses.
    pub fn new(installation: &[u8; 32]) -> Result<Self, CannotSeal> {
        let mut key = [0; 32];
        Salt::new(HKDF_SHA256, b"bartizan")
            .extract(installation)
            .expand(&[b"sealed secrets of the database, version 1"], &AES_256_GCM)
            .and_then(|okm| okm.fill(&mut key))
            .map_err(|_| CannotSeal)?;
        let key = Redacted::new(key);
        let key = UnboundKey::new(&AES_256_GCM, key.expose()).map_err(|_| CannotSeal)?;
        Ok(Sealer(LessSafeKey::new(key)))
    }

    /// Seals `secret` for `purpose`, which has to be told again to open it: nonce, ciphertext and tag.
    ///
    /// # Errors
    /// The cryptography library refuses.
    pub fn seal(&self, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, CannotSeal> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom.fill(&mut nonce);
        let mut text = secret.to_vec();
        let sealed = self.0.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(purpose.as_bytes()),
            &mut text,
        );
        sealed.map_err(|_| CannotSeal)?;
        Ok([nonce.as_slice(), text.as_slice()].concat())
    }

    /// Opens what was sealed for `purpose`.
    ///
    /// # Errors
    /// [`NotSealedHere`].
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Redacted<Vec<u8>>, NotSealedHere> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(NotSealedHere)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotSealedHere)?;
        let mut text = text.to_vec();
        let length = self
            .0
            .open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut text)
            .map_err(|_| NotSealedHere)?
            .len();
        text.truncate(length);
        Ok(Redacted::new(text))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn only_the_same_key_and_purpose_open_it() {
        let sealer = Sealer::new(&[7; 32]).unwrap();
        let sealed = sealer.seal("totp alice", b"twenty secret bytes!").unwrap();
        assert_eq!(sealer.open("totp alice", &sealed).unwrap().expose(), b"twenty secret bytes!");
        assert!(sealer.open("totp bob", &sealed).is_err(), "another owner's");
        assert!(Sealer::new(&[8; 32]).unwrap().open("totp alice", &sealed).is_err());
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            *changed.get_mut(index).unwrap() ^= 1;
            assert!(sealer.open("totp alice", &changed).is_err(), "byte {index}");
        }
        assert!(sealer.open("totp alice", &[]).is_err());
        assert!(!sealed.windows(8).any(|part| part == b"twenty s"));
        assert_ne!(sealer.seal("totp alice", b"twenty secret bytes!").unwrap(), sealed);
    }
}
