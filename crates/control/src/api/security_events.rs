//! Receives security event tokens by push (RFC 8935): their issuers prove themselves by their signatures.

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    response::{IntoResponse, Response},
};
use bartizan_guards::identity::events::{Refused, Taken};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::{Admin, refusal::Refusal, server::Ends};

use super::{bytes_of, with_store};

/// RFC 8417 section 2.3.
const MEDIA_TYPE: &str = "application/secevent+jwt";

pub(super) async fn push(
    State(admin): State<Admin>,
    Extension(ends): Extension<Ends>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(MEDIA_TYPE) {
        return Ok(refused(Refused::Malformed("the content type is not `application/secevent+jwt`")));
    }
    let bytes = bytes_of(body)?;
    let taken = match std::str::from_utf8(&bytes) {
        Ok(token) => admin.operations.security_event(token.trim_ascii()).await,
        Err(_) => Err(Refused::Malformed("it is not a signed token in compact form")),
    };
    let Taken { issuer, id, revoke, lift, kinds } = match taken {
        Ok(taken) => taken,
        Err(why) => {
            // Who may not send events does not fill the log of changes either.
            tracing::warn!(peer = %ends.peer, %why, "a security event was refused");
            return Ok(refused(why));
        }
    };
    let counted = format!("{} revoked, {} lifted", revoke.len(), lift.len());
    let (from, now) = (issuer.clone(), admin.clock.now());
    let fresh = with_store(&admin, move |store| store.take_event(&from, &id, now, revoke, lift)).await?;
    if fresh {
        admin.audit_by(
            ends,
            "security_event.taken",
            format!("issuer `{issuer}`"),
            format!("{}: {counted}", kinds.join(", ")),
        );
    }
    // The same event again is answered as the first time (RFC 8935 section 2).
    Ok(StatusCode::ACCEPTED.into_response())
}

/// RFC 8935 section 2.3; what is not the sender's fault may be sent again.
fn refused(why: Refused) -> Response {
    let Some(code) = why.code() else {
        let again = [(header::RETRY_AFTER, HeaderValue::from_static("30"))];
        return (StatusCode::SERVICE_UNAVAILABLE, again).into_response();
    };
    let body = Json(json!({ "err": code, "description": why.to_string() }));
    let language = [(header::CONTENT_LANGUAGE, HeaderValue::from_static("en"))];
    (StatusCode::BAD_REQUEST, language, body).into_response()
}
