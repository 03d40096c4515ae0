//! Where credentials are found in a request, and where they must not be.

use http::{HeaderMap, HeaderName, header::AUTHORIZATION};
use percent_encoding::percent_decode_str;

use super::{Verification, reason::Why};

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
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Verification::Absent;
    }
    let token =
        field.to_str().ok().and_then(|text| text.trim().split_at_checked(scheme.len())).map(|(_, rest)| rest);
    match token.and_then(|rest| rest.strip_prefix(' ')).map(|rest| rest.trim_start_matches(' ')) {
        Some(token) if !token.is_empty() && token.bytes().all(is_token68) => Verification::Valid(token),
        _ => Verification::Invalid(Why::AuthorizationMalformed.into()),
    }
}

fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
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

/// Names and values, still encoded; `;` separates too, as some upstreams hold.
fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split(['&', ';']).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}
