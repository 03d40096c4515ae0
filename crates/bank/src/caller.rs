//! Who calls: a bearer token or a session cookie, and what that person may do.

use axum::{
    extract::FromRequestParts,
    http::{Method, header, request::Parts},
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
        let (id, read_only, session) = credential(parts, bank).ok_or_else(Refusal::unauthorized)?;
        let method = parts.extensions.get::<MethodBefore>().map_or(&parts.method, |before| &before.0);
        if read_only && !method.is_safe() {
            return Err(Refusal::new(
                axum::http::StatusCode::FORBIDDEN,
                "this token has the scope `read` only",
            ));
        }
        let (tenant, role) = bank.sql(|db| {
            db.prepare_cached("SELECT tenant, role FROM customers WHERE id = ?1")?
                .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        })?;
        Ok(Caller { id, tenant, role, session })
    }
}

/// The person, whether only reading is allowed, and the session.
fn credential(parts: &Parts, bank: &Bank) -> Option<(i64, bool, String)> {
    let now = bank.now();
    if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok()?.strip_prefix("Bearer ")?;
        let claims = bank.issuer.lock().verify(token, now)?;
        // BANK-19 (planted): the token is believed although its session has ended.
        if !bank.has(Flaw::TokenAfterLogout) {
            bank.sessions.lock().get(&claims.sid, now)?;
        }
        return Some((claims.sub.parse().ok()?, claims.scope == "read", claims.sid));
    }
    let cookies = parts.headers.get(header::COOKIE)?.to_str().ok()?;
    let id = cookies.split(';').find_map(|pair| pair.trim().strip_prefix("session="))?;
    let sessions = bank.sessions.lock();
    let session = sessions.get(&id.to_owned(), now)?;
    Some((session.person, session.read_only, id.to_owned()))
}
