//! Whether a download is what was meant: its hash, and the signature of who made it.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use minisign_verify::{PublicKey, Signature};

/// The SHA-256 of bytes, in lower case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A SHA-256 as it is written on the command line.
///
/// # Errors
/// It is none.
pub fn parse_sha256(text: &str) -> Result<String, String> {
    let text = text.trim().trim_start_matches("sha256:").to_ascii_lowercase();
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(text)
    } else {
        Err("a SHA-256 is 64 hexadecimal digits".to_owned())
    }
}

/// The public key of minisign, as its second line has it: `RW` and 54 more characters.
///
/// # Errors
/// It is none.
pub fn parse_key(text: &str) -> Result<PublicKey, String> {
    PublicKey::from_base64(text.trim()).map_err(|_| {
        "a public key of minisign is the 56 characters that its file has in the second line".to_owned()
    })
}

/// Whether `signature`, the text of a `.minisig` file, is the key's own over these bytes and its trusted comment.
///
/// # Errors
/// It is not, in one line.
pub fn check_signature(bytes: &[u8], signature: &str, key: &PublicKey) -> Result<(), String> {
    let signature =
        Signature::decode(signature).map_err(|_| "the signature is no file of minisign".to_owned())?;
    key.verify(bytes, &signature, true)
        .map_err(|_| "the signature is not by the key that was named, or not of this archive".to_owned())
}
