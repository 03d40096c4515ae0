//! The claims of a verified token (RFC 7519 section 4): what they must be, and the principal that they name.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bartizan_model::{CredentialKind, Principal, Timestamp, compile::IssuerSpec, principal::Authentication};
use serde_json::{Map, Value};

use super::reason::Why;

/// The end of the year 9999: a later date is a mistake, most often milliseconds in place of seconds.
const LAST_SECOND: u64 = 253_402_300_799;

/// Scopes, roles and other claims kept of one token, each: more than real tokens have within 8 KiB.
const MAX_ITEMS: usize = 256;

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
pub(super) fn read(mut claims: Map<String, Value>, spec: &IssuerSpec) -> Result<(Principal, Lifetime), Why> {
    check_audience(&claims, &spec.audiences)?;
    let lifetime = Lifetime::read(&claims, spec.max_lifetime)?;
    let subject = subject(&claims)?;
    let credential_id = optional_text(&claims, "jti")?;
    let tenant = text(&claims, "tenant").or_else(|| text(&claims, "tid"));
    let scopes = scopes(&claims)?;
    let roles = match claims.get("roles") {
        Some(roles) => strings(roles),
        None => {
            claims.get("realm_access").and_then(|access| access.get("roles")).map_or_else(Vec::new, strings)
        }
    };
    let client = text(&claims, "client_id").or_else(|| text(&claims, "azp"));
    let session = text(&claims, "sid");
    let authentication = Authentication {
        acr: text(&claims, "acr"),
        amr: claims.get("amr").map_or_else(Vec::new, strings),
        time: date(&claims, "auth_time")?,
    };
    for name in CONSUMED {
        claims.remove(name);
    }
    let attributes: BTreeMap<Arc<str>, Value> =
        claims.into_iter().take(MAX_ITEMS).map(|(name, value)| (Arc::from(name), value)).collect();
    let principal = Principal {
        scopes,
        roles,
        tenant,
        attributes,
        credential_id,
        client,
        session,
        issued: lifetime.issued,
        expires: Some(lifetime.expires),
        authentication,
        ..Principal::new(CredentialKind::Jwt, Arc::clone(&spec.name), subject)
    };
    Ok((principal, lifetime))
}

/// RFC 7519 section 4.1.3: text or an array of texts, one of which must be ours.
fn check_audience(claims: &Map<String, Value>, accepted: &[Arc<str>]) -> Result<(), Why> {
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
fn date(claims: &Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, Why> {
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

fn subject(claims: &Map<String, Value>) -> Result<Arc<str>, Why> {
    optional_text(claims, "sub")?.ok_or(Why::ClaimMissing("sub"))
}

/// A claim that names something: not empty, and without control characters, as it is written into header fields and logs.
fn optional_text(claims: &Map<String, Value>, name: &'static str) -> Result<Option<Arc<str>>, Why> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && !text.chars().any(char::is_control) => {
            Ok(Some(Arc::from(text.as_str())))
        }
        Some(_) => Err(Why::ClaimMalformed(name)),
    }
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
