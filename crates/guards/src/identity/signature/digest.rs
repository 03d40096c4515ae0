//! Digests of bodies (RFC 9530).

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, Item, ListEntry, Parser};

use super::super::flaw::Flaw;

/// `Content-Digest`.
pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
/// `Repr-Digest`.
pub const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// What a body must hash to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// SHA-256.
    Sha256(Vec<u8>),
    /// SHA-512.
    Sha512(Vec<u8>),
}

impl Expected {
    /// Whether the body does.
    #[must_use]
    pub fn holds(&self, body: &[u8]) -> bool {
        // A digest is no secret: it stands in the request.
        match self {
            Expected::Sha256(expected) => digest(&SHA256, body).as_ref() == expected.as_slice(),
            Expected::Sha512(expected) => digest(&SHA512, body).as_ref() == expected.as_slice(),
        }
    }
}

/// Every digest of a field that is understood; algorithms that are weak or unknown prove nothing and are passed over.
///
/// # Errors
/// The field is not there, cannot be read, or has no digest that proves anything.
pub fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Vec<Expected>, Flaw> {
    let values: Vec<&[u8]> = headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
    let joined = values.join(&b", "[..]);
    let dictionary: Dictionary = Parser::new(&joined).parse().map_err(|_| Flaw::DigestMalformed)?;
    let mut expected = Vec::new();
    for (algorithm, entry) in &dictionary {
        let ListEntry::Item(Item { bare_item: BareItem::ByteSequence(value), .. }) = entry else {
            return Err(Flaw::DigestMalformed);
        };
        match (algorithm.as_str(), value.len()) {
            ("sha-256", 32) => expected.push(Expected::Sha256(value.clone())),
            ("sha-512", 64) => expected.push(Expected::Sha512(value.clone())),
            ("sha-256" | "sha-512", _) => return Err(Flaw::DigestMalformed),
            _ => {}
        }
    }
    if expected.is_empty() { Err(Flaw::DigestMalformed) } else { Ok(expected) }
}

/// `Content-Digest` of a body.
#[must_use]
pub fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(digest(&SHA256, body)))
}
