//! Enrolling and ending second factors of key holders, the same for the admin API and the command line.

use std::fmt::Write as _;

use bartizan_model::{
    Redacted, Timestamp,
    services::{Random, TotpHash},
};
use bartizan_store::{Sealer, Store, StoredFactor};

use crate::keys::{KeyError, line};

/// Who issues the codes, as authenticator apps show it, unless told otherwise.
pub const ISSUER: &str = "Bartizan";

/// A factor that was just enrolled: what the app has to know exists here only.
pub struct Enrolled {
    /// `otpauth://totp/..`, which authenticator apps read, often from a QR code: show it once.
    pub uri: Redacted<String>,
    /// The secret alone, in base 32, to be typed into an app.
    pub secret: Redacted<String>,
    /// The factor as stored.
    pub factor: StoredFactor,
}

/// Enrolls a second factor for the holder of `owner`'s keys: six digits every 30 s (RFC 6238).
///
/// # Errors
/// A name is empty or too long; or the owner has a factor already.
pub fn enroll(
    store: &Store,
    sealer: &Sealer,
    random: &dyn Random,
    now: Timestamp,
    owner: &str,
    hash: TotpHash,
    issuer: &str,
) -> Result<Enrolled, KeyError> {
    line("an owner", owner).and_then(|()| line("an issuer", issuer)).map_err(KeyError::Invalid)?;
    // As long as the hash is (RFC 4226 section 4, requirement 6, asks for 128 bits and recommends 160).
    let mut secret = match hash {
        TotpHash::Sha1 => vec![0; 20],
        TotpHash::Sha256 => vec![0; 32],
    };
    random.fill(&mut secret);
    let secret = Redacted::new(secret);
    let factor = StoredFactor::seal(sealer, owner, hash, secret.expose(), now)?;
    store.add_factor(factor.clone())?;
    let text = Redacted::new(base32(secret.expose()));
    let (issuer, owner) = (escaped(issuer), escaped(owner));
    let algorithm = match hash {
        TotpHash::Sha1 => "SHA1",
        TotpHash::Sha256 => "SHA256",
    };
    let uri = format!(
        "otpauth://totp/{issuer}:{owner}?secret={}&issuer={issuer}&algorithm={algorithm}&digits=6&period=30",
        text.expose()
    );
    Ok(Enrolled { uri: Redacted::new(uri), secret: text, factor })
}

/// RFC 4648 section 6, without padding, as authenticator apps expect it.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digit = |group: &[u8], index: usize| {
        let bits = group
            .iter()
            .chain([0_u8; 5].iter())
            .take(5)
            .fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
        let digit = usize::try_from(bits >> (35 - 5 * index) & 31).unwrap_or(0);
        char::from(ALPHABET.get(digit).copied().unwrap_or(b'A'))
    };
    bytes
        .chunks(5)
        .flat_map(|group| (0..(group.len() * 8).div_ceil(5)).map(move |index| digit(group, index)))
        .collect()
}

/// Percent-encoded, all but letters, digits and `-._~` (RFC 3986 section 2.3).
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use bartizan_store::system::SystemRandom;

    use super::*;

    #[test]
    fn base_32_is_that_of_the_standard() {
        // RFC 4648 section 10.
        for (plain, coded) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn an_enrolled_factor_is_told_once_and_kept_sealed() {
        let store = Store::memory().unwrap();
        let sealer = Sealer::new(&[3; 32]).unwrap();
        let now = Timestamp::from_seconds(1_000);
        let enroll = |owner| enroll(&store, &sealer, &SystemRandom, now, owner, TotpHash::Sha256, "A & B");
        let enrolled = enroll("bill ing").unwrap();
        let uri = enrolled.uri.expose();
        assert!(uri.starts_with("otpauth://totp/A%20%26%20B:bill%20ing?secret="), "{uri}");
        assert!(uri.ends_with("&issuer=A%20%26%20B&algorithm=SHA256&digits=6&period=30"), "{uri}");
        assert_eq!(enrolled.secret.expose().len(), 52);
        assert!(enroll("bill ing").is_err(), "one for each owner");
        assert!(enroll("").is_err() && enroll("a\nb").is_err());
        assert_eq!(store.factors().unwrap().len(), 1);
        store.remove_factor("bill ing").unwrap();
        assert!(store.remove_factor("bill ing").is_err() && enroll("bill ing").is_ok());
    }
}
