//! The forms of webhooks, and Bartizan's own.

use bartizan_model::{Timestamp, Transaction};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderName;
use sfv::{BareItem, Dictionary, Item, ListEntry, Parser};

use super::{
    super::{flaw::Flaw, signature::base::Message},
    Claim, Form, MAX_SIGNATURES, MacVerifier, Spent, is_webhook, only, seconds, unhex,
};

/// GitHub.
pub(super) const GITHUB: HeaderName = HeaderName::from_static("x-hub-signature-256");
/// Stripe.
pub(super) const STRIPE: HeaderName = HeaderName::from_static("stripe-signature");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// Standard Webhooks.
pub(super) const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// Bartizan's own.
pub(super) const BARTIZAN: HeaderName = HeaderName::from_static("bartizan-signature");

/// Bytes of an id or a nonce.
const MAX_TEXT: usize = 256;

/// `X-Hub-Signature-256: sha256=HEX` over the body.
pub(super) fn github(verifier: &MacVerifier, transaction: &Transaction) -> Result<Option<Claim>, Flaw> {
    let Some(field) = only(transaction, &GITHUB)? else { return Ok(None) };
    is_webhook(transaction)?;
    let tag = unhex(field.strip_prefix("sha256=").ok_or(Flaw::SignatureMalformed)?)?;
    let until = transaction.started.plus(verifier.replay);
    Ok(Some(verifier.claim(verifier.key("")?, Form::Before(Vec::new()), vec![tag], until)))
}

/// `Stripe-Signature: t=SECONDS,v1=HEX` over `SECONDS.BODY`; several `v1` while a secret is rotated.
pub(super) fn stripe(verifier: &MacVerifier, transaction: &Transaction) -> Result<Option<Claim>, Flaw> {
    let Some(field) = only(transaction, &STRIPE)? else { return Ok(None) };
    is_webhook(transaction)?;
    let (mut time, mut tags) = (None, Vec::new());
    for pair in field.split(',') {
        match pair.trim().split_once('=') {
            Some(("t", text)) if time.is_none() => time = Some(text),
            Some(("v1", text)) if tags.len() < MAX_SIGNATURES => tags.push(unhex(text)?),
            Some(("t" | "v1", _)) | None => return Err(Flaw::SignatureMalformed),
            // Older schemes prove nothing.
            Some(_) => {}
        }
    }
    let time = time.ok_or(Flaw::SignatureParameter("t"))?;
    if tags.is_empty() {
        return Err(Flaw::SignatureParameter("v1"));
    }
    let moment = seconds(time)?;
    verifier.check_time(moment, transaction.started)?;
    let form = Form::Before(format!("{time}.").into_bytes());
    Ok(Some(verifier.claim(verifier.key("")?, form, tags, end(verifier, moment))))
}

/// `webhook-signature: v1,BASE64 ..` over `ID.SECONDS.BODY`.
pub(super) fn standard(verifier: &MacVerifier, transaction: &Transaction) -> Result<Option<Claim>, Flaw> {
    let Some(field) = only(transaction, &WEBHOOK_SIGNATURE)? else { return Ok(None) };
    is_webhook(transaction)?;
    let id = only(transaction, &WEBHOOK_ID)?.ok_or(Flaw::SignatureParameter("webhook-id"))?;
    let time = only(transaction, &WEBHOOK_TIMESTAMP)?.ok_or(Flaw::SignatureParameter("webhook-timestamp"))?;
    if id.is_empty() || id.len() > MAX_TEXT {
        return Err(Flaw::SignatureParameter("webhook-id"));
    }
    let moment = seconds(time)?;
    verifier.check_time(moment, transaction.started)?;
    let mut tags = Vec::new();
    for signature in field.split(' ').filter(|part| !part.is_empty()).take(MAX_SIGNATURES) {
        let (version, text) = signature.split_once(',').ok_or(Flaw::SignatureMalformed)?;
        // Others than `v1` are asymmetric or to come.
        if version == "v1" {
            tags.push(STANDARD.decode(text).map_err(|_| Flaw::SignatureMalformed)?);
        }
    }
    if tags.is_empty() {
        return Err(Flaw::SignatureParameter("v1"));
    }
    let form = Form::Before(format!("{id}.{time}.").into_bytes());
    Ok(Some(verifier.claim(verifier.key("")?, form, tags, end(verifier, moment))))
}

/// `Bartizan-Signature: keyid="ID", created=SECONDS, nonce="NONCE", signature=:BASE64:`, a dictionary (RFC 9651), over
///
/// ```text
/// BARTIZAN-HMAC-SHA256
/// ID
/// SECONDS
/// NONCE
/// METHOD
/// SCHEME://AUTHORITY/PATH?QUERY
/// HEX(SHA-256(BODY))
/// ```
///
/// with line feeds between the lines and none at the end.
pub(super) fn bartizan(verifier: &MacVerifier, transaction: &Transaction) -> Result<Option<Claim>, Flaw> {
    let Some(field) = only(transaction, &BARTIZAN)? else { return Ok(None) };
    let dictionary: Dictionary = Parser::new(field).parse().map_err(|_| Flaw::SignatureMalformed)?;
    let member = |name: &'static str| match dictionary.iter().find(|(key, _)| key.as_str() == name) {
        Some((_, ListEntry::Item(Item { bare_item, .. }))) => Ok(bare_item),
        _ => Err(Flaw::SignatureParameter(name)),
    };
    let text = |name: &'static str| match member(name)? {
        BareItem::String(text) if (1..=MAX_TEXT).contains(&text.as_str().len()) => Ok(text.as_str()),
        _ => Err(Flaw::SignatureParameter(name)),
    };
    let (keyid, nonce) = (text("keyid")?, text("nonce")?);
    let BareItem::Integer(created) = member("created")? else {
        return Err(Flaw::SignatureParameter("created"));
    };
    let created = u64::try_from(i64::from(*created)).map_err(|_| Flaw::SignatureParameter("created"))?;
    let BareItem::ByteSequence(tag) = member("signature")? else {
        return Err(Flaw::SignatureParameter("signature"));
    };
    let moment = Timestamp::from_seconds(created);
    verifier.check_time(moment, transaction.started)?;
    let message = Message::of(transaction);
    let query = message.query.as_deref().map_or(String::new(), |query| format!("?{query}"));
    let before = format!(
        "BARTIZAN-HMAC-SHA256\n{keyid}\n{created}\n{nonce}\n{}\n{}://{}{}{query}\n",
        message.method, message.scheme, message.authority, message.path
    );
    let key = verifier.key(keyid)?;
    let mut claim =
        verifier.claim(key, Form::Hashed(before.into_bytes()), vec![tag.clone()], end(verifier, moment));
    if let Some(pending) = &mut claim.pending {
        pending.spent = Spent::Nonce(super::replay::key("bartizan", keyid.as_bytes(), nonce.as_bytes()));
    }
    Ok(Some(claim))
}

/// After which a signature of this moment is too old.
fn end(verifier: &MacVerifier, moment: Timestamp) -> Timestamp {
    moment.plus(verifier.skew)
}
