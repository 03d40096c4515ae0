//! API keys: `btz_<id>_<secret><checksum>`, made by `bartizan keys`, kept as SHA-256 only.
//!
//! Leak scanners find them by `btz_[0-9A-Za-z]{10}_[0-9A-Za-z]{49}` and rule out look-alikes offline by the checksum.

use std::{borrow::Cow, sync::Arc};

use bartizan_model::{
    CredentialKind, Principal, Redacted, Timestamp,
    services::{ApiKeyRecord, ApiKeys, Random},
};
use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
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
pub(super) fn verify(
    text: &str,
    keys: &dyn ApiKeys,
    now: Timestamp,
) -> Result<(Arc<ApiKeyRecord>, Arc<Principal>), Rejection> {
    let parsed = parse(text).map_err(|NotAKey| Why::KeyMalformed)?;
    let hash = hash(text);
    let record = keys.find(&hash).ok_or(Why::KeyUnknown)?;
    if !bool::from(record.hash.ct_eq(&hash)) || *record.id != *parsed.id {
        return Err(Why::KeyUnknown.into());
    }
    if let Some(why) = objection(&record, now) {
        return Err(Rejection { why, issuer: None, key: Some(Arc::clone(&record.id)) });
    }
    let principal = Arc::new(Principal {
        scopes: record.scopes.clone(),
        roles: record.roles.clone(),
        tenant: record.tenant.clone(),
        attributes: record.attributes.clone(),
        credential_id: Some(Arc::clone(&record.id)),
        issued: Some(record.created),
        expires: record.expires,
        ..Principal::new(CredentialKind::ApiKey, Arc::from("bartizan"), Arc::clone(&record.owner))
    });
    Ok((record, principal))
}

/// How many encodings are taken off a text that may hide a key.
const ENCODINGS: usize = 4;

/// The public id of a key that is somewhere in a URL's path or query: as it is, percent-encoded (also several times, and
/// as `%uXXXX`), or as base64, standard or URL-safe, from its first character on. Linear in the text.
#[must_use]
pub fn find(url: &str) -> Option<String> {
    let mut text = Cow::Borrowed(url.as_bytes());
    for _ in 0..ENCODINGS {
        if let Some(id) = find_plain(&text).or_else(|| find_base64(&text)) {
            return Some(id);
        }
        if !text.contains(&b'%') {
            return None;
        }
        let decoded = unescape(&text);
        if decoded == *text {
            return None;
        }
        text = Cow::Owned(decoded);
    }
    find_plain(&text).or_else(|| find_base64(&text))
}

fn find_plain(text: &[u8]) -> Option<String> {
    let starts = text.windows(PREFIX.len()).enumerate().filter(|(_, part)| *part == PREFIX.as_bytes());
    starts.into_iter().find_map(|(at, _)| {
        let candidate = text.get(at..at.checked_add(LENGTH)?)?;
        let candidate = std::str::from_utf8(candidate).ok()?;
        parse(candidate).ok().map(|key| key.id.to_owned())
    })
}

/// `btz_` in base64 begins so, and a whole key has 86 characters.
const BASE64: &[u8] = b"YnR6X";

fn find_base64(text: &[u8]) -> Option<String> {
    const WHOLE: usize = LENGTH.div_ceil(3) * 4 - 2;
    let starts = text.windows(BASE64.len()).enumerate().filter(|(_, part)| *part == BASE64);
    starts.into_iter().find_map(|(at, _)| {
        let candidate = text.get(at..at.checked_add(WHOLE)?)?;
        let plain: Vec<u8> = candidate
            .iter()
            .map(|byte| match byte {
                b'-' => b'+',
                b'_' => b'/',
                other => *other,
            })
            .collect();
        // What follows the key may share its last group: those bits are not looked at.
        let decoded = LENIENT.decode(plain).ok()?;
        find_plain(decoded.get(..LENGTH)?)
    })
}

/// Without padding, and with whatever stands in the bits that the last byte leaves.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Takes one layer of `%XX` and `%uXXXX` off.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let hex = |digits: &[u8]| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        let wide = matches!(after.first(), Some(b'u' | b'U'));
        let (start, end) = if wide { (1, 5) } else { (0, 2) };
        let code =
            after.get(start..end).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit)).and_then(hex);
        match (first, code.and_then(|code| u8::try_from(code).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = after.get(end..).unwrap_or_default();
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
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
    fn a_key_is_found_in_a_url_whatever_encodes_it() {
        use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
        let key = generate(&Counting(5.into()));
        let (text, id) = (key.plain.expose().as_str(), key.id.to_string());
        let percent = |text: &str| text.bytes().map(|b| format!("%{b:02x}")).collect::<String>();
        let wide = text.bytes().map(|b| format!("%u{b:04X}")).collect::<String>();
        for hidden in [
            format!("key={text}"),
            text.to_owned(),
            format!("a=1;b={text}&c=2"),
            format!("/files/{text}/x"),
            format!("/v1/prefix-{text}.json"),
            format!("next=https%3A%2F%2Fa.example%2F%3Fk%3D{text}"),
            percent(text),
            percent(&percent(text)),
            percent(&percent(&percent(text))),
            format!("q={}", text.replacen('b', "%62", 1)),
            format!("q={}", text.replacen('_', "%5F", 2)),
            format!("q={}", text.replacen('_', "%255f", 1)),
            wide,
            format!("k={}", STANDARD.encode(text)),
            format!("/t/{}/u", URL_SAFE_NO_PAD.encode(text)),
            format!("/t/{}", STANDARD.encode(format!("{text}:"))),
            percent(&STANDARD.encode(text)),
        ] {
            assert_eq!(find(&hidden).as_deref(), Some(id.as_str()), "{hidden}");
        }
        let last = text.chars().last().map(|c| if c == '0' { '1' } else { '0' });
        let wrong: String = text.chars().take(LENGTH - 1).chain(last).collect();
        for other in ["", "/btz_", "btz_btz_btz_", "k=%", "%u00", "YnR6X", &wrong, &text[1..]] {
            assert_eq!(find(other), None, "{other}");
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
