//! The claims of a verified token (RFC 7519 section 4): what they must be, and the principal that they name.

use std::{sync::Arc, time::Duration};

use bartizan_model::{
    CredentialKind, Principal, Timestamp,
    compile::{IssuerSpec, TokenProfile},
    federation::ClaimMap,
    principal::Authentication,
};
use serde_json::{Number, Value};

use super::{
    federation,
    json::{Member, Members},
    jws,
    reason::Why,
};

/// The end of the year 9999: a later date is a mistake, most often milliseconds in place of seconds.
const LAST_SECOND: u64 = 253_402_300_799;

/// Scopes, roles and other claims kept of one token, each: more than real tokens have within 8 KiB.
const MAX_ITEMS: usize = 256;

/// Bytes of a text that names something (a subject, a token, a session): OpenID Connect allows 255 characters, names of
/// workloads are not much longer.
const MAX_NAME: usize = 1024;

/// Claims that have a place of their own in [`Principal`] or are only of use to verify the token.
const CONSUMED: [&str; 9] = ["aud", "exp", "iat", "iss", "jti", "nbf", "scope", "scp", "sub"];

/// What the token is bound to (RFC 7800 section 3.1).
const CONFIRMATION: &str = "cnf";

/// When a token is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// Signed tokens have an end; what an issuer says of an opaque one need not name it.
    pub expires: Option<Timestamp>,
    pub not_before: Option<Timestamp>,
    pub issued: Option<Timestamp>,
}

impl Lifetime {
    /// Whether a token is valid at `now`, clocks being up to `leeway` apart.
    pub(super) fn check(&self, now: Timestamp, leeway: Duration) -> Result<(), Why> {
        let latest = now.plus(leeway);
        if self.expires.is_some_and(|end| now >= end.plus(leeway)) {
            Err(Why::Expired)
        } else if self.not_before.is_some_and(|start| latest < start) {
            Err(Why::NotYetValid)
        } else if self.issued.is_some_and(|issued| latest < issued) {
            Err(Why::IssuedInFuture)
        } else if let Some(begin) = self.begins_after_its_end() {
            Err(Why::ClaimMalformed(begin))
        } else {
            Ok(())
        }
    }

    /// The claim by which it was never valid: all of it is the issuer's clock, so that no leeway makes it so.
    fn begins_after_its_end(&self) -> Option<&'static str> {
        let end = self.expires?;
        let begins = [("nbf", self.not_before), ("iat", self.issued)];
        begins.into_iter().find(|(_, begin)| begin.is_some_and(|begin| begin >= end)).map(|(name, _)| name)
    }

    fn read(claims: &Members<'_>, longest: Option<Duration>) -> Result<Self, Why> {
        let [expires, not_before, issued] =
            [date(claims, "exp")?, date(claims, "nbf")?, date(claims, "iat")?];
        let lifetime = Lifetime { expires, not_before, issued };
        if let Some(longest) = longest {
            let expires = expires.ok_or(Why::ClaimMissing("exp"))?;
            let issued = issued.ok_or(Why::ClaimMissing("iat"))?;
            if expires.since(issued) > longest {
                return Err(Why::LifetimeTooLong);
            }
        }
        Ok(lifetime)
    }
}

/// The `iss` by which an issuer is chosen, before anything is verified.
pub(super) fn issuer<'c>(claims: &'c Members<'_>) -> Result<&'c str, Why> {
    let issuer = claims.get("iss").ok_or(Why::ClaimMissing("iss"))?;
    issuer.as_str().ok_or(Why::ClaimMalformed("iss"))
}

/// Reads the claims of a token whose signature and `iss` were verified.
pub(super) fn read(
    claims: Members<'_>,
    spec: &IssuerSpec,
    digest: [u8; 32],
) -> Result<(Principal, Lifetime), Why> {
    check_audience(&claims, &spec.audiences)?;
    let lifetime = Lifetime::read(&claims, spec.max_lifetime)?;
    if lifetime.expires.is_none() {
        return Err(Why::ClaimMissing("exp"));
    }
    let subject = optional_text(&claims, "sub")?.ok_or(Why::ClaimMissing("sub"))?;
    if spec.profile == TokenProfile::AccessToken {
        check_profile(&claims)?;
    }
    let principal = Principal {
        issued: lifetime.issued,
        expires: lifetime.expires,
        digest: Some(digest),
        ..Principal::new(CredentialKind::Jwt, Arc::clone(&spec.name), subject)
    };
    Ok((fill(principal, claims, spec.map.as_deref())?, lifetime))
}

/// Reads what an issuer says of an opaque token that is active (RFC 7662 section 2.2). The times may be missing, unless `spec`
/// bounds them; who it is may be the client alone.
pub(super) fn read_opaque(
    claims: Members<'_>,
    issuer: &Arc<str>,
    audiences: &[Arc<str>],
    spec: Option<&IssuerSpec>,
    digest: [u8; 32],
) -> Result<(Principal, Lifetime), Why> {
    check_purpose(&claims, None, true)?;
    if !audiences.is_empty() {
        check_audience(&claims, audiences)?;
    }
    let lifetime = Lifetime::read(&claims, spec.and_then(|spec| spec.max_lifetime))?;
    let named = ["sub", "username", "client_id"].into_iter().find(|name| claims.has(name));
    let subject = optional_text(&claims, named.unwrap_or("sub"))?.ok_or(Why::ClaimMissing("sub"))?;
    let principal = Principal {
        issued: lifetime.issued,
        expires: lifetime.expires,
        digest: Some(digest),
        ..Principal::new(CredentialKind::Opaque, Arc::clone(issuer), subject)
    };
    Ok((fill(principal, claims, spec.and_then(|spec| spec.map.as_deref()))?, lifetime))
}

/// Everything of a principal but who it is and how long.
fn fill(mut principal: Principal, claims: Members<'_>, map: Option<&ClaimMap>) -> Result<Principal, Why> {
    principal.credential_id = optional_text(&claims, "jti")?;
    principal.tenant = text(&claims, "tenant").or_else(|| text(&claims, "tid"));
    principal.scopes = scopes(&claims)?;
    principal.roles = match claims.get("roles") {
        Some(roles) => strings(roles),
        None => {
            let access = claims.get("realm_access").and_then(Member::other);
            access.and_then(|access| access.get("roles")).map_or_else(Vec::new, texts)
        }
    };
    principal.client = text(&claims, "client_id").or_else(|| text(&claims, "azp"));
    principal.session = text(&claims, "sid");
    principal.authentication = Authentication {
        acr: text(&claims, "acr"),
        amr: claims.get("amr").map_or_else(Vec::new, strings),
        time: date(&claims, "auth_time")?,
    };
    let whole = map.map(|_| claims.to_map());
    // What a token is bound to is never among what is left out.
    let binding = claims.get(CONFIRMATION).cloned();
    let others = claims.into_iter().filter(|(name, _)| !CONSUMED.contains(&&**name)).take(MAX_ITEMS);
    principal.attributes = others.map(|(name, member)| (Arc::from(&*name), member.into_value())).collect();
    if let (Some(map), Some(claims)) = (map, whole) {
        federation::apply(map, &claims, &mut principal)?;
    }
    if let Some(binding) = binding {
        principal.attributes.insert(Arc::from(CONFIRMATION), binding.into_value());
    }
    Ok(principal)
}

/// The client and the subject that a verified token of a retired issuer names, as far as it does.
pub(super) fn user(claims: &Members<'_>) -> (Arc<str>, Arc<str>) {
    let client = text(claims, "client_id").or_else(|| text(claims, "azp"));
    (client.unwrap_or_default(), text(claims, "sub").unwrap_or_default())
}

/// What tells the refresh tokens of one sign-in apart from others, and their order: the session, else the client and the
/// subject; and when it was issued.
pub(super) fn refresh_family(claims: &Members<'_>) -> Option<(String, Timestamp)> {
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
pub(super) fn check_purpose(claims: &Members<'_>, typ: Option<&str>, id_tokens: bool) -> Result<(), Why> {
    let says = |name: &str, expected: &[&str]| {
        let text = claims.text(name);
        text.is_some_and(|text| expected.iter().any(|word| text.eq_ignore_ascii_case(word)))
    };
    const REFRESH: [&str; 4] = ["refresh", "refresh_token", "offline", "offline_token"];
    if ["typ", "token_use", "token_type", "type"].iter().any(|name| says(name, &REFRESH)) {
        return Err(Why::RefreshToken);
    }
    if typ.is_some_and(|typ| jws::media_type(typ).eq_ignore_ascii_case("at+jwt")) {
        return Ok(());
    }
    if claims.has("events") {
        return Err(Why::TypeNotAccepted);
    }
    let has = |name: &str| claims.has(name);
    let is_id = ["typ", "token_use", "token_type"].iter().any(|name| says(name, &["id", "id_token"]))
        || has("at_hash")
        || has("c_hash")
        || has("nonce") && !has("scope") && !has("scp");
    if is_id && !id_tokens { Err(Why::IdToken) } else { Ok(()) }
}

/// RFC 9068 section 2.2, as far as not every token needs them.
fn check_profile(claims: &Members<'_>) -> Result<(), Why> {
    for name in ["client_id", "iat", "jti"] {
        if !claims.has(name) {
            return Err(Why::ClaimMissing(name));
        }
    }
    optional_text(claims, "client_id").map(|_| ())
}

/// RFC 7519 section 4.1.3: text or an array of texts, one of which must be ours.
pub(super) fn check_audience(claims: &Members<'_>, accepted: &[Arc<str>]) -> Result<(), Why> {
    let ours = |value: &str| accepted.iter().any(|audience| **audience == *value);
    let found = match claims.get("aud") {
        None => return Err(Why::ClaimMissing("aud")),
        Some(Member::Text(audience)) => ours(audience),
        Some(Member::Other(Value::Array(audiences))) if audiences.iter().all(Value::is_string) => {
            audiences.iter().filter_map(Value::as_str).any(ours)
        }
        Some(_) => return Err(Why::ClaimMalformed("aud")),
    };
    if found { Ok(()) } else { Err(Why::Audience) }
}

/// A NumericDate: a number of seconds, perhaps with a fraction, from 1970 to the year 9999.
pub(super) fn date(claims: &Members<'_>, name: &'static str) -> Result<Option<Timestamp>, Why> {
    let Some(member) = claims.get(name) else { return Ok(None) };
    let number = member.other().and_then(Value::as_number);
    number.and_then(moment).map(Some).ok_or(Why::ClaimMalformed(name))
}

/// The time that a NumericDate tells.
pub(super) fn moment(number: &Number) -> Option<Timestamp> {
    if let Some(seconds) = number.as_u64() {
        return (seconds <= LAST_SECOND).then(|| Timestamp::from_seconds(seconds));
    }
    let seconds = number.as_f64().filter(|s| s.is_sign_positive() && s.is_finite())?;
    // The conversion refuses what a Duration cannot hold; the year 9999 is the tighter bound.
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    (since.as_secs() <= LAST_SECOND).then(|| Timestamp(0).plus(since))
}

/// A claim that names something.
fn optional_text(claims: &Members<'_>, name: &'static str) -> Result<Option<Arc<str>>, Why> {
    match claims.get(name) {
        None => Ok(None),
        Some(Member::Text(text)) if is_name(text) => Ok(Some(Arc::from(&**text))),
        Some(_) => Err(Why::ClaimMalformed(name)),
    }
}

/// Whether a text can name something: it is not empty or endless, has no blanks around it, and none of the characters that
/// end lines, turn the direction of text or cannot be seen, as it is written into header fields and logs.
pub(super) fn is_name(text: &str) -> bool {
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    !text.is_empty() && text.len() <= MAX_NAME && text.trim() == text && !text.chars().any(unseen)
}

fn text(claims: &Members<'_>, name: &'static str) -> Option<Arc<str>> {
    optional_text(claims, name).ok().flatten()
}

/// `scope` as RFC 8693 section 4.2 defines it, else `scp` as text or array.
fn scopes(claims: &Members<'_>) -> Result<Vec<Arc<str>>, Why> {
    match (claims.get("scope"), claims.get("scp")) {
        (Some(Member::Text(scope)), _) | (None, Some(Member::Text(scope))) => {
            Ok(scope.split(' ').filter(|s| !s.is_empty()).take(MAX_ITEMS).map(Arc::from).collect())
        }
        (Some(Member::Other(list @ Value::Array(_))), _)
        | (None, Some(Member::Other(list @ Value::Array(_)))) => Ok(texts(list)),
        (Some(_), _) => Err(Why::ClaimMalformed("scope")),
        (None, Some(_)) => Err(Why::ClaimMalformed("scp")),
        (None, None) => Ok(Vec::new()),
    }
}

fn strings(member: &Member<'_>) -> Vec<Arc<str>> {
    member.other().map_or_else(Vec::new, texts)
}

fn texts(value: &Value) -> Vec<Arc<str>> {
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    items.iter().filter_map(Value::as_str).take(MAX_ITEMS).map(Arc::from).collect()
}
