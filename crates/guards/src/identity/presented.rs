//! Where credentials are found in a request, and where they must not be.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, header::AUTHORIZATION};
use percent_encoding::percent_decode_str;

use super::{Verification, dpop::Scheme, jwks::sha256, reason::Why};

/// The token of `Authorization: Bearer` (RFC 6750 section 2.1). Another scheme is no bearer token and none of our
/// business; a second field is refused whatever its scheme, as nobody can say which one the upstream would believe.
pub(super) fn bearer(headers: &HeaderMap) -> Verification<&str> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let Some(field) = fields.next() else { return Verification::Absent };
    if fields.next().is_some() {
        return Verification::Invalid(Why::Repeated.into());
    }
    let value = field.as_bytes().trim_ascii();
    let scheme = value.split(|b| !b.is_ascii_alphanumeric() && *b != b'-').next().unwrap_or_default();
    // `DPoP` presents a token, too, beside a proof (RFC 9449 section 7.1).
    if !scheme.eq_ignore_ascii_case(b"bearer") && !scheme.eq_ignore_ascii_case(b"dpop") {
        return Verification::Absent;
    }
    let rest = value.get(scheme.len()..).unwrap_or_default();
    let blanks = rest.iter().take_while(|byte| **byte == b' ').count();
    let token = rest.get(blanks..).filter(|token| blanks > 0 && token.iter().all(is_token68));
    match token.and_then(|token| std::str::from_utf8(token).ok()) {
        Some(token) if !token.is_empty() => Verification::Valid(token),
        _ => Verification::Invalid(Why::AuthorizationMalformed.into()),
    }
}

/// The token itself, whatever the case of its scheme and the spaces around it.
pub(crate) fn token(headers: &HeaderMap) -> Option<&str> {
    match bearer(headers) {
        Verification::Valid(token) => Some(token),
        Verification::Absent | Verification::Invalid(_) => None,
    }
}

/// Whether a user name and a password are presented (RFC 7617).
pub(super) fn is_basic(headers: &HeaderMap) -> bool {
    let basic = |field: &http::HeaderValue| {
        let mut words = field.as_bytes().trim_ascii().split(|b| b.is_ascii_whitespace());
        words.next().is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic"))
    };
    headers.get_all(AUTHORIZATION).iter().any(basic)
}

/// Whether a text has the look of a JSON Web Token: several parts, of which the first is a header. What has it is never shown
/// to an introspection endpoint where tokens are verified here.
pub(super) fn looks_like_jwt(text: &str) -> bool {
    let mut parts = text.split('.');
    let header = parts.next().unwrap_or_default();
    parts.count() >= 2
        && URL_SAFE_NO_PAD.decode(header).is_ok_and(|bytes| bytes.trim_ascii_start().first() == Some(&b'{'))
}

/// By what a token is known on the deny-list and to guards that watch it: SHA-256 of what its issuer signed, where it has the
/// look of a JSON Web Token, else of the whole. Of a signature anybody can make another that is as good (ECDSA: `s` and its
/// negative), and what was revoked would come again under another name.
pub(super) fn digest(token: &str) -> [u8; 32] {
    let signed = token.rsplit_once('.').map(|(signed, _)| signed).filter(|_| looks_like_jwt(token));
    sha256(&[signed.unwrap_or(token).as_bytes()])
}

/// How a token is presented, where one is.
pub(super) fn scheme(headers: &HeaderMap) -> Scheme {
    let value = headers.get(AUTHORIZATION).map(|field| field.as_bytes().trim_ascii());
    let word = value.and_then(|value| value.split(|b| *b == b' ').next()).unwrap_or_default();
    if word.eq_ignore_ascii_case(b"dpop") { Scheme::Dpop } else { Scheme::Bearer }
}

/// The characters of a token (RFC 6750 section 2.1).
fn is_token68(byte: &u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}

/// The value of a credential's own field.
pub(super) fn field<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Verification<&'h str> {
    let mut fields = headers.get_all(name).iter();
    match (fields.next(), fields.next()) {
        (None, _) => Verification::Absent,
        (Some(_), Some(_)) => Verification::Invalid(Why::Repeated.into()),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Verification::Valid(text.trim()),
            Err(_) => Verification::Invalid(Why::KeyMalformed.into()),
        },
    }
}

/// Whether the query has `access_token` (RFC 6750 section 2.3, which RFC 9700 section 4.3.2 forbids).
pub(super) fn has_token_in_query(query: &str) -> bool {
    pairs(query).any(|(name, _)| percent_decode_str(name).eq(b"access_token".iter().copied()))
}

/// Whether a value of the query has the look of a JSON Web Token, whatever it is called.
pub(super) fn has_jwt_in_query(query: &str) -> bool {
    // Headers begin with a brace, and so with these letters; what is encoded further is not worth a look.
    let token = |text: &str| text.starts_with("ey") && looks_like_jwt(text);
    query.contains("ey") && pairs(query).any(|(_, value)| token(value))
}

/// Names and values, still encoded; `;` separates too, as some upstreams hold.
fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split(['&', ';']).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_signature_does_not_make_another_token() {
        let header = URL_SAFE_NO_PAD.encode("{\"alg\":\"ES256\"}");
        let token = |signature: &str| digest(&format!("{header}.e30.{signature}"));
        assert_eq!(token("AAAA"), token("BBBB"));
        assert_eq!(token("AAAA"), sha256(&[format!("{header}.e30").as_bytes()]));
        assert_ne!(token("AAAA"), digest(&format!("{header}.e31.AAAA")));
        // Of an opaque token nothing is a signature.
        assert_ne!(digest("opaque.token.one"), digest("opaque.token.two"));
        assert_eq!(digest("opaque"), sha256(&[b"opaque"]));
    }
}
