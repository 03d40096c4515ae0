//! The deny-list, and who still shows tokens of retired issuers.

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    response::{IntoResponse, Response},
};
use bartizan_model::revocation::Revoked;
use bartizan_store::describe_revocation;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::{
    Admin,
    refusal::Refusal,
    revocations::{self, Asked},
    server::Ends,
};

use super::{json_body, with_store};

/// Entries that one answer lists.
const LISTED: usize = 1_000;

pub(super) async fn list(State(admin): State<Admin>) -> Result<Response, Refusal> {
    let (entries, count) =
        with_store(&admin, |store| store.revocations(LISTED).map(|list| (list, store.deny_list().len())))
            .await?;
    let entries: Vec<_> = entries.iter().map(describe_revocation).collect();
    Ok(Json(json!({ "revocations": entries, "count": count })).into_response())
}

pub(super) async fn add(
    State(admin): State<Admin>,
    Extension(ends): Extension<Ends>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let asked: Asked = json_body(body)?;
    let entry =
        revocations::revocation(&asked, "admin-token", admin.clock.now()).map_err(Refusal::invalid)?;
    let known = admin.operations.issuers();
    let unknown = !entry.issuer.is_empty() && &*entry.issuer != "bartizan" && !known.contains(&entry.issuer);
    let entry = with_store(&admin, move |store| store.revoke(entry)).await?;
    let event = admin.audit(ends, "revocation.added", revocations::told(&entry));
    let mut answer = json!({ "revocation": describe_revocation(&entry), "event": event });
    if unknown && let Some(members) = answer.as_object_mut() {
        let text = format!("the policy in force names no issuer `{}`", entry.issuer);
        members.insert("warning".to_owned(), text.into());
    }
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lifted {
    kind: Revoked,
    #[serde(default)]
    issuer: String,
    #[serde(default)]
    value: String,
}

pub(super) async fn lift(
    State(admin): State<Admin>,
    Extension(ends): Extension<Ends>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let Lifted { kind, issuer, value } = json_body(body)?;
    let named = revocations::name(kind, &issuer, &value);
    if !with_store(&admin, move |store| store.lift(kind, &issuer, &value)).await? {
        return Err(Refusal::not_found(format!("{named} is not revoked")));
    }
    let event = admin.audit(ends, "revocation.lifted", named.clone());
    Ok(Json(json!({ "lifted": named, "event": event })).into_response())
}

pub(super) async fn retired(State(admin): State<Admin>) -> Result<Response, Refusal> {
    let uses = with_store(&admin, |store| store.retired_uses()).await?;
    let uses: Vec<_> = uses.iter().map(bartizan_store::RetiredUse::describe).collect();
    Ok(Json(json!({ "retired": uses })).into_response())
}
