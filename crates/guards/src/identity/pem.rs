//! Public keys in PEM (RFC 7468): `SubjectPublicKeyInfo` (RFC 5280) and PKCS #1, with the few bytes of DER that they need.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::jwks::Material;

const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const OID_EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const OID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const OID_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const OID_P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const OID_P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];

/// The public keys of a text, in order.
pub(super) fn public_keys(text: &str) -> Result<Vec<Material>, String> {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let (label, after) = after.split_once("-----").ok_or("a `BEGIN` line is not closed")?;
        let end = format!("-----END {label}-----");
        let (body, after) =
            after.split_once(end.as_str()).ok_or("a block has no `END` line of the same label")?;
        let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let der = STANDARD.decode(body).map_err(|_| "a block is not base64")?;
        keys.push(match label {
            "PUBLIC KEY" => public_key_info(&der),
            "RSA PUBLIC KEY" => rsa_public_key(&der),
            _ => return Err("a block is not a public key; write the `PUBLIC KEY` alone".to_owned()),
        }?);
        rest = after;
    }
    if keys.is_empty() { Err("it holds no `PUBLIC KEY` block".to_owned()) } else { Ok(keys) }
}

fn public_key_info(der: &[u8]) -> Result<Material, String> {
    const MALFORMED: &str = "a block is not a DER public key";
    let mut info = Der(der).only(0x30).ok_or(MALFORMED)?;
    let mut algorithm = info.next(0x30).ok_or(MALFORMED)?;
    let bits = info.next(0x03).filter(|_| info.0.is_empty()).ok_or(MALFORMED)?;
    let key = match bits.0.split_first() {
        Some((0, key)) => key,
        _ => return Err(MALFORMED.to_owned()),
    };
    match algorithm.next(0x06).ok_or(MALFORMED)?.0 {
        OID_RSA => rsa_public_key(key),
        OID_ED25519 if key.len() == 32 => Ok(Material::Curve { name: "Ed25519", point: key.to_vec() }),
        OID_EC => {
            let (name, length) = match algorithm.next(0x06).ok_or(MALFORMED)?.0 {
                OID_P256 => ("P-256", 65),
                OID_P384 => ("P-384", 97),
                OID_P521 => ("P-521", 133),
                _ => return Err("a key's curve is not P-256, P-384 or P-521".to_owned()),
            };
            if key.len() != length || key.first() != Some(&4) {
                return Err("a key's point is not uncompressed".to_owned());
            }
            Ok(Material::Curve { name, point: key.to_vec() })
        }
        _ => Err("a key is neither RSA, nor EC, nor Ed25519".to_owned()),
    }
}

fn rsa_public_key(der: &[u8]) -> Result<Material, String> {
    const MALFORMED: &str = "a block is not a DER RSA key";
    let mut key = Der(der).only(0x30).ok_or(MALFORMED)?;
    let n = key.next(0x02).ok_or(MALFORMED)?;
    let e = key.next(0x02).filter(|_| key.0.is_empty()).ok_or(MALFORMED)?;
    Material::rsa(n.0, e.0).map_err(|reason| format!("a key cannot be used: {}", reason.0))
}

/// The rest of a DER encoding (X.690).
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element, which must have this tag. Lengths up to 65,535 are read.
    fn next(&mut self, tag: u8) -> Option<Der<'a>> {
        let (&found, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81 => rest.split_first().map(|(&low, rest)| (usize::from(low), rest))?,
            0x82 => {
                rest.split_first_chunk::<2>().map(|(&n, rest)| (usize::from(u16::from_be_bytes(n)), rest))?
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        if found != tag {
            return None;
        }
        self.0 = rest;
        Some(Der(content))
    }

    /// The content of the one element that this is.
    fn only(mut self, tag: u8) -> Option<Der<'a>> {
        let content = self.next(tag)?;
        self.0.is_empty().then_some(content)
    }
}
