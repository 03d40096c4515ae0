//! The claims of a verified token (RFC 7519 section 4): what they must be, and the principal that they name.

use std::{sync::Arc, time::Duration};

use bartizan_model::{
    CredentialKind, Principal, Timestamp,
    compile::{IssuerSpec, TokenProfile},
    federation::ClaimMap,
    principal::Authentication,
};
use serde_json::{Map, Value};

use super::{federation, jws, reason::Why};

/// The end of the year 9999: a later date is a mistake, most often milliseconds in place of seconds.
const LAST_SECOND: u64 = 253_402_300_799;

/// Scopes, roles and other claims kept of one token, each: more than real tokens have within 8 KiB.
const MAX_ITEMS: usize = 256;

/// Bytes of a text that names something (a subject, a token, a session): OpenID Connect allows 255 characters, names of
/// workloads are not much longer.
const MAX_NAME: usize = 1024;

/// Claims that have a place of their own in [`Principal`] or are only of use to verify the token.
const CONSUMED: [&str; 9] = ["aud", "exp", "iat", "iss", "jti", "nbf", "scope", "scp", "sub"];

/// When a token is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub expires: Timestamp,
    pub not_before: Option<Timestamp>,
    pub issued: Option<Timestamp>,
}

impl Lifetime {
    /// Whether a token is valid at `now`, clocks being up to `leeway` apart.
    pub(super) fn check(&self, now: Timestamp, leeway: Duration) -> Result<(), Why> {
        let latest = now.plus(leeway);
        if now >= self.expires.plus(leeway) {
            Err(Why::Expired)
        } else if self.not_before.is_some_and(|start| latest < start) {
            Err(Why::NotYetValid)
        } else if self.issued.is_some_and(|issued| latest < issued) {
            Err(Why::IssuedInFuture)
        } else {
            Ok(())
        }
    }

    fn read(claims: &Map<String, Value>, longest: Option<Duration>) -> Result<Self, Why> {
        let expires = date(claims, "exp")?.ok_or(Why::ClaimMissing("exp"))?;
        let lifetime = Lifetime { expires, not_before: date(claims, "nbf")?, issued: date(claims, "iat")? };
        if let Some(longest) = longest {
            let issued = lifetime.issued.ok_or(Why::ClaimMissing("iat"))?;
            if expires.since(issued) > longest {
                return Err(Why::LifetimeTooLong);
            }
        }
        Ok(lifetime)
    }
}

/// The `iss` by which an issuer is chosen, before anything is verified.
pub(super) fn issuer(claims: &Map<String, Value>) -> Result<&str, Why> {
    match claims.get("iss") {
        None => Err(Why::ClaimMissing("iss")),
        Some(Value::String(issuer)) => Ok(issuer),
        Some(_) => Err(Why::ClaimMalformed("iss")),
    }
}

/// Reads the claims of a token whose signature and `iss` were verified.
pub(super) fn read(
    claims: Map<String, Value>,
    spec: &IssuerSpec,
    digest: [u8; 32],
) -> Result<(Principal, Lifetime), Why> {
    check_audience(&claims, &spec.audiences)?;
    let lifetime = Lifetime::read(&claims, spec.max_lifetime)?;
    let subject = optional_text(&claims, "sub")?.ok_or(Why::ClaimMissing("sub"))?;
    if spec.profile == TokenProfile::AccessToken {
        check_profile(&claims)?;
    }
    let principal = Principal {
        issued: lifetime.issued,
        expires: Some(lifetime.expires),
        digest: Some(digest),
        ..Principal::new(CredentialKind::Jwt, Arc::clone(&spec.name), subject)
    };
    Ok((fill(principal, claims, spec.map.as_deref())?, lifetime))
}

/// Reads what an issuer says of an opaque token that is active (RFC 7662 section 2.2). The times may be missing; who it is
/// may be the client alone.
pub(super) fn read_opaque(
    claims: Map<String, Value>,
    issuer: &Arc<str>,
    audiences: &[Arc<str>],
    map: Option<&ClaimMap>,
    digest: [u8; 32],
) -> Result<(Principal, Option<Lifetime>), Why> {
    check_purpose(&claims, None, true)?;
    if !audiences.is_empty() {
        check_audience(&claims, audiences)?;
    }
    let (not_before, issued) = (date(&claims, "nbf")?, date(&claims, "iat")?);
    let lifetime = date(&claims, "exp")?.map(|expires| Lifetime { expires, not_before, issued });
    let named = ["sub", "username", "client_id"].into_iter().find(|name| claims.contains_key(*name));
    let subject = optional_text(&claims, named.unwrap_or("sub"))?.ok_or(Why::ClaimMissing("sub"))?;
    let principal = Principal {
        issued,
        expires: lifetime.map(|lifetime| lifetime.expires),
        digest: Some(digest),
        ..Principal::new(CredentialKind::Opaque, Arc::clone(issuer), subject)
    };
    Ok((fill(principal, claims, map)?, lifetime))
}

/// Everything of a principal but who it is and how long.
fn fill(
    mut principal: Principal,
    mut claims: Map<String, Value>,
    map: Option<&ClaimMap>,
) -> Result<Principal, Why> {
    principal.credential_id = optional_text(&claims, "jti")?;
    principal.tenant = text(&claims, "tenant").or_else(|| text(&claims, "tid"));
    principal.scopes = scopes(&claims)?;
    principal.roles = match claims.get("roles") {
        Some(roles) => strings(roles),
        None => {
            claims.get("realm_access").and_then(|access| access.get("roles")).map_or_else(Vec::new, strings)
        }
    };
    principal.client = text(&claims, "client_id").or_else(|| text(&claims, "azp"));
    principal.session = text(&claims, "sid");
    principal.authentication = Authentication {
        acr: text(&claims, "acr"),
        amr: claims.get("amr").map_or_else(Vec::new, strings),
        time: date(&claims, "auth_time")?,
    };
    let whole = map.map(|_| claims.clone());
    for name in CONSUMED {
        claims.remove(name);
    }
    principal.attributes =
        claims.into_iter().take(MAX_ITEMS).map(|(name, value)| (Arc::from(name), value)).collect();
    if let (Some(map), Some(claims)) = (map, whole) {
        federation::apply(map, &claims, &mut principal)?;
    }
    Ok(principal)
}

/// The client and the subject that a verified token of a retired issuer names, as far as it does.
pub(super) fn user(claims: &Map<String, Value>) -> (Arc<str>, Arc<str>) {
    let client = text(claims, "client_id").or_else(|| text(claims, "azp"));
    (client.unwrap_or_default(), text(claims, "sub").unwrap_or_default())
}

/// What tells the refresh tokens of one sign-in apart from others, and their order: the session, else the client and the
/// subject; and when it was issued.
pub(super) fn refresh_family(claims: &Map<String, Value>) -> Option<(String, Timestamp)> {
    let issued = date(claims, "iat").ok().flatten()?;
    let family = match text(claims, "sid").or_else(|| text(claims, "session_state")) {
        Some(session) => format!("s {session}"),
        None => {
            let (client, subject) = user(claims);
            format!("u {client} {subject}")
        }
    };
    Some((family, issued))
}

/// Refuses what is a token of the issuer, but not made for an API: refresh tokens, ID tokens, security events (RFC 8725
/// section 3.12, RFC 9700 section 4.10). Issuers mark them in ways of their own: Keycloak by `typ`, Amazon Cognito by
/// `token_use`, others by `token_type` or `type`; an ID token has the hash of an access token, or the nonce of a sign-in.
pub(super) fn check_purpose(
    claims: &Map<String, Value>,
    typ: Option<&str>,
    id_tokens: bool,
) -> Result<(), Why> {
    let says = |name: &str, expected: &[&str]| {
        let text = claims.get(name).and_then(Value::as_str);
        text.is_some_and(|text| expected.iter().any(|word| text.eq_ignore_ascii_case(word)))
    };
    const REFRESH: [&str; 4] = ["refresh", "refresh_token", "offline", "offline_token"];
    if ["typ", "token_use", "token_type", "type"].iter().any(|name| says(name, &REFRESH)) {
        return Err(Why::RefreshToken);
    }
    if typ.is_some_and(|typ| jws::media_type(typ).eq_ignore_ascii_case("at+jwt")) {
        return Ok(());
    }
    if claims.contains_key("events") {
        return Err(Why::TypeNotAccepted);
    }
    let has = |name: &str| claims.contains_key(name);
    let is_id = ["typ", "token_use", "token_type"].iter().any(|name| says(name, &["id", "id_token"]))
        || has("at_hash")
        || has("c_hash")
        || has("nonce") && !has("scope") && !has("scp");
    if is_id && !id_tokens { Err(Why::IdToken) } else { Ok(()) }
}

/// RFC 9068 section 2.2, as far as not every token needs them.
fn check_profile(claims: &Map<String, Value>) -> Result<(), Why> {
    for name in ["client_id", "iat", "jti"] {
        if !claims.contains_key(name) {
            return Err(Why::ClaimMissing(name));
        }
    }
    optional_text(claims, "client_id").map(|_| ())
}

/// RFC 7519 section 4.1.3: text or an array of texts, one of which must be ours.
pub(super) fn check_audience(claims: &Map<String, Value>, accepted: &[Arc<str>]) -> Result<(), Why> {
    let ours = |value: &str| accepted.iter().any(|audience| **audience == *value);
    let found = match claims.get("aud") {
        None => return Err(Why::ClaimMissing("aud")),
        Some(Value::String(audience)) => ours(audience),
        Some(Value::Array(audiences)) if audiences.iter().all(Value::is_string) => {
            audiences.iter().filter_map(Value::as_str).any(ours)
        }
        Some(_) => return Err(Why::ClaimMalformed("aud")),
    };
    if found { Ok(()) } else { Err(Why::Audience) }
}

/// A NumericDate: a number of seconds, perhaps with a fraction, from 1970 to the year 9999.
pub(super) fn date(claims: &Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, Why> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let malformed = Why::ClaimMalformed(name);
    let number = value.as_number().ok_or(malformed)?;
    if let Some(seconds) = number.as_u64() {
        return if seconds <= LAST_SECOND {
            Ok(Some(Timestamp::from_seconds(seconds)))
        } else {
            Err(malformed)
        };
    }
    let seconds = number.as_f64().filter(|s| s.is_sign_positive() && s.is_finite()).ok_or(malformed)?;
    // The conversion refuses what a Duration cannot hold; the year 9999 is the tighter bound.
    let since = Duration::try_from_secs_f64(seconds).map_err(|_| malformed)?;
    if since.as_secs() <= LAST_SECOND { Ok(Some(Timestamp(0).plus(since))) } else { Err(malformed) }
}

/// A claim that names something.
fn optional_text(claims: &Map<String, Value>, name: &'static str) -> Result<Option<Arc<str>>, Why> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if is_name(text) => Ok(Some(Arc::from(text.as_str()))),
        Some(_) => Err(Why::ClaimMalformed(name)),
    }
}

/// Whether a text can name something: it is not empty or endless, has no blanks around it, and none of the characters that
/// end lines, turn the direction of text or cannot be seen, as it is written into header fields and logs.
pub(super) fn is_name(text: &str) -> bool {
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    !text.is_empty() && text.len() <= MAX_NAME && text.trim() == text && !text.chars().any(unseen)
}

fn text(claims: &Map<String, Value>, name: &'static str) -> Option<Arc<str>> {
    optional_text(claims, name).ok().flatten()
}

/// `scope` as RFC 8693 section 4.2 defines it, else `scp` as text or array.
fn scopes(claims: &Map<String, Value>) -> Result<Vec<Arc<str>>, Why> {
    match (claims.get("scope"), claims.get("scp")) {
        (Some(Value::String(scope)), _) | (None, Some(Value::String(scope))) => {
            Ok(scope.split(' ').filter(|s| !s.is_empty()).take(MAX_ITEMS).map(Arc::from).collect())
        }
        (Some(list @ Value::Array(_)), _) | (None, Some(list @ Value::Array(_))) => Ok(strings(list)),
        (Some(_), _) => Err(Why::ClaimMalformed("scope")),
        (None, Some(_)) => Err(Why::ClaimMalformed("scp")),
        (None, None) => Ok(Vec::new()),
    }
}

fn strings(value: &Value) -> Vec<Arc<str>> {
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    items.iter().filter_map(Value::as_str).take(MAX_ITEMS).map(Arc::from).collect()
}
