//! Step 9: what guards say of the response before any of it is sent, and what is sent in its place.

use std::sync::Arc;

use bartizan_guards::{
    HeldBody,
    ownership::{self, Instead, Ownership},
    response_contract::ResponseContract,
};
use bartizan_model::{Guard as _, Mounted, Phase, ResponseHead, Stop, Transaction, Verdict};
use bartizan_policy::snapshot::Operation;
use bytes::Bytes;
use http::{Method, StatusCode, header};

use crate::{
    body::{Download, HoldError},
    record::Record,
    respond::{own_denial, upstream_denial},
    upstream::UpstreamFailure,
};

/// What guards say of the response before any of it is sent: of its head, and of as much of its body as they ask for.
/// Streams are not waited for.
pub async fn inspect(
    record: &mut Record,
    head: &mut ResponseHead,
    download: &mut Download,
    streams: bool,
) -> Result<(), Stop> {
    look_at_cookies(record, head)?;
    let looked_at = |operation: &&Arc<Operation>| {
        operation.guards.waf.active().is_some()
            || operation.guards.ownership.active().is_some()
            || operation.guards.response_contract.active().is_some()
    };
    let Some(operation) = record.operation.as_ref().filter(looked_at).cloned() else { return Ok(()) };
    let (waf, ownership) = (&operation.guards.waf, &operation.guards.ownership);
    let promised = &operation.guards.response_contract;
    let transaction = &mut record.transaction;
    ownership.response(transaction, Phase::ResponseHeaders, |owner, of| owner.response_head(of, head))?;
    instead(ownership, transaction, head, download)?;
    waf.response(transaction, Phase::ResponseHeaders, |waf, of| waf.response_head(of, head))?;
    promised
        .response(transaction, Phase::ResponseHeaders, |contract, of| contract.response_head(of, head))?;
    let readable = !streams && transaction.request.method != Method::HEAD;
    let owned = ownership.active().and_then(|ownership| ownership.needs_response_body(transaction));
    let ruled = waf.active().and_then(|waf| waf.needs_response_body(transaction));
    if owned.is_some() && !readable {
        ownership.response(transaction, Phase::ResponseHeaders, |owner, of| owner.response_unread(of))?;
    }
    let (owned, ruled) = (owned.filter(|_| readable), ruled.filter(|_| readable));
    let described = promised.active().and_then(|contract| contract.needs_response_body(transaction));
    let described = described.filter(|_| readable);
    let Some(limit) = owned.max(ruled).max(described) else {
        as_promised(promised, transaction, head, download);
        item_by_item(record, &operation, head, download);
        return Ok(());
    };
    let held = download.hold(limit, record.gateway.held.share(), record.deadline()).await;
    let transaction = &mut record.transaction;
    let (bytes, whole) = match held {
        Ok(held) => held,
        Err(HoldError::Budget) => {
            let why = "the memory for bodies that guards look at is used up";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let denial = own_denial("upstream", "upstream.body_budget", status, Verdict::Error, why);
            return Err(Stop::Denial(denial));
        }
        Err(HoldError::Body(_)) => return Err(Stop::Denial(upstream_denial(UpstreamFailure::Broken))),
    };
    let sent = head.headers.clone();
    let held = HeldBody::new(bytes, whole).described(&sent);
    // One body is read once, however much of it each of them sees.
    let shown = |limit: usize| match held.bytes.len() > limit {
        true => HeldBody::new(held.bytes.slice(..limit), false).described(&sent),
        false => held.clone(),
    };
    let mut promised_body = described.map(shown);
    if let Some(limit) = owned {
        let held = shown(limit);
        ownership
            .response(transaction, Phase::ResponseBody, |owner, of| owner.response_body(of, head, &held))?;
        if let Some(bytes) = instead(ownership, transaction, head, download)? {
            promised_body = described.map(|_| HeldBody::new(bytes, true).described(&head.headers));
        }
    }
    if let Some(held) = promised_body {
        promised
            .response(transaction, Phase::ResponseBody, |contract, of| contract.response_body(of, &held))?;
    }
    if let Some(limit) = ruled {
        let held = shown(limit);
        waf.response(transaction, Phase::ResponseBody, |waf, of| waf.response_body(of, &held))?;
    }
    as_promised(promised, transaction, head, download);
    item_by_item(record, &operation, head, download);
    Ok(())
}

/// Has the items of the response judged while they flow, where the contract describes them.
fn item_by_item(record: &Record, operation: &Operation, head: &mut ResponseHead, download: &mut Download) {
    let promised = &operation.guards.response_contract;
    let enforces = promised.enforces(&record.transaction);
    let items = promised.active().and_then(|contract| contract.items(&record.transaction, enforces));
    let Some(items) = items else { return };
    if !items.only_watches() {
        forget_length(head);
    }
    download.look_at(items, record.gateway.held.share());
}

/// Takes out of a response what the contract does not describe, where the guard enforces.
fn as_promised(
    mounted: &Mounted<ResponseContract>,
    transaction: &mut Transaction,
    head: &mut ResponseHead,
    download: &mut Download,
) {
    let Some(contract) = mounted.active().filter(|_| mounted.enforces(transaction)) else { return };
    let edits = contract.edits(transaction);
    for name in edits.drop {
        head.headers.remove(name);
    }
    if edits.unsaid {
        forget_length(head);
    }
    if let Some(bytes) = edits.body {
        ownership::describe(&mut head.headers, &bytes);
        download.replace(bytes);
    }
}

/// Takes out of a head what it says of bytes that are not those which are sent, their number included.
fn forget_length(head: &mut ResponseHead) {
    ownership::forget_body(&mut head.headers);
    head.headers.remove(header::CONTENT_LENGTH);
}

/// Sends something else, where whose objects these are demands it; tells the body that is sent then.
fn instead(
    mounted: &Mounted<Ownership>,
    transaction: &mut Transaction,
    head: &mut ResponseHead,
    download: &mut Download,
) -> Result<Option<Bytes>, Stop> {
    let Some(guard) = mounted.active().filter(|_| mounted.enforces(transaction)) else { return Ok(None) };
    match guard.instead(transaction) {
        None => Ok(None),
        Some(Instead::Answer(answer)) => Err(Stop::Answer { guard: Ownership::ID, answer }),
        Some(Instead::Body(bytes)) => {
            ownership::describe(&mut head.headers, &bytes);
            download.replace(bytes.clone());
            Ok(Some(bytes))
        }
    }
}

/// Lets `session` see which cookies an upstream sets, before they are edited.
pub fn look_at_cookies(record: &mut Record, head: &ResponseHead) -> Result<(), Stop> {
    let watched = |operation: &&Arc<Operation>| operation.guards.session.active().is_some();
    let Some(operation) = record.operation.as_ref().filter(watched).cloned() else { return Ok(()) };
    let session = &operation.guards.session;
    session.response(&mut record.transaction, Phase::ResponseHeaders, |session, of| {
        session.response_head(of, head)
    })
}
