//! Who calls: a bearer token or a session cookie, and what that person may do.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, header, request::Parts},
};

use crate::{
    Flaw,
    bank::{Bank, Shared},
    refusal::{Answer, Refusal},
};

/// The method as it arrived, where BANK-20 replaced it.
#[derive(Clone)]
pub struct MethodBefore(pub Method);

/// A signed-in person, with the role and tenant that the database has now.
#[derive(Clone, Debug)]
pub struct Caller {
    pub id: i64,
    pub tenant: String,
    pub role: String,
    pub session: String,
    /// The scopes of the token; a cookie has none.
    pub scope: String,
}

impl Caller {
    /// # Errors
    /// The caller has none of these roles.
    pub fn must_be(&self, roles: &[&str]) -> Answer<()> {
        if roles.contains(&self.role.as_str()) { Ok(()) } else { Err(Refusal::forbidden()) }
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, bank: &Shared) -> Result<Self, Refusal> {
        let Credential { person, read_only, session, scope } =
            credential(parts, bank).ok_or_else(Refusal::unauthorized)?;
        let method = parts.extensions.get::<MethodBefore>().map_or(&parts.method, |before| &before.0);
        // Reading who somebody is may be asked for by POST (OpenID Connect Core 1.0 section 5.3.1).
        if read_only && !method.is_safe() && parts.uri.path() != "/userinfo" {
            return Err(Refusal::new(
                axum::http::StatusCode::FORBIDDEN,
                "this token has the scope `read` only",
            ));
        }
        let (tenant, role) = bank.sql(|db| {
            db.prepare_cached("SELECT tenant, role FROM customers WHERE id = ?1")?
                .query_row([person], |row| Ok((row.get(0)?, row.get(1)?)))
        })?;
        Ok(Caller { id: person, tenant, role, session, scope })
    }
}

struct Credential {
    person: i64,
    read_only: bool,
    session: String,
    scope: String,
}

fn credential(parts: &Parts, bank: &Bank) -> Option<Credential> {
    let now = bank.now();
    if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok()?.strip_prefix("Bearer ")?;
        let claims = bank.issuer.lock().verify(token, now)?;
        // BANK-19 (planted): the token is believed although its session has ended.
        if !bank.has(Flaw::TokenAfterLogout) {
            bank.sessions.lock().get(&claims.sid, now)?;
        }
        let read_only = !claims.scope.split(' ').any(|scope| scope == "write");
        return Some(Credential {
            person: claims.sub.parse().ok()?,
            read_only,
            session: claims.sid,
            scope: claims.scope,
        });
    }
    let id = cookie(&parts.headers)?;
    let sessions = bank.sessions.lock();
    let session = sessions.get(&id.to_owned(), now).filter(|session| session.cookie)?;
    Some(Credential {
        person: session.person,
        read_only: session.read_only,
        session: id.to_owned(),
        scope: String::new(),
    })
}

/// The person whose browser this is, and since when in seconds.
pub fn session_of_cookie(headers: &HeaderMap, bank: &Bank) -> Option<(i64, u64)> {
    let sessions = bank.sessions.lock();
    let session = sessions.get(&cookie(headers)?.to_owned(), bank.now()).filter(|session| session.cookie)?;
    Some((session.person, session.since))
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    cookies.split(';').find_map(|pair| pair.trim().strip_prefix("session="))
}
