//! Signatures over requests (RFC 9421): which ones are looked at, what they must cover, and whom they name.

pub mod base;
mod config;
pub mod digest;
pub mod keys;
pub mod sign;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bartizan_model::{
    CompileContext, CredentialKind, Diagnostic, Diagnostics, Principal, Strength, Timestamp, Transaction,
    services::{ClientKeyRecord, ClientKeys},
};
use hashbrown::HashMap;
use http::HeaderName;
use parking_lot::Mutex;
use sfv::{BareItem, Dictionary, InnerList, Item, ListEntry, Parser};

pub use config::{Key, Presence, Signature};
pub(super) use config::{OneOrMore, one_or_more};

use super::{flaw::Flaw, replay};
use base::{Component, Message, NoBase};
use digest::{CONTENT_DIGEST, Expected, REPR_DIGEST};
use keys::{Algorithm, SigningKey};

/// `Signature-Input`.
pub const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
/// `Signature`.
pub const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// Signatures of one request that are looked at: each hop adds one at most.
const MAX_SIGNATURES: usize = 16;

/// Bytes of a key id or a nonce.
const MAX_TEXT: usize = 512;

/// Keys of enrolled clients that are kept ready; a full memory starts over.
const READY: usize = 1024;

/// One compiled entry.
pub(super) struct SignatureVerifier {
    keys: HashMap<Box<str>, Known>,
    enrolled: Option<Arc<dyn ClientKeys>>,
    ready: Mutex<HashMap<Arc<str>, Ready>>,
    components: Vec<Component>,
    max_age: Duration,
    skew: Duration,
    created: Presence,
    expires: Presence,
    nonce: Presence,
    tag: Option<String>,
    max_body: usize,
}

/// A key that the policy names, and whose it is.
struct Known {
    key: SigningKey,
    principal: Principal,
}

/// The key of an enrolled client, as long as its record is the same.
struct Ready {
    record: Arc<ClientKeyRecord>,
    key: Arc<SigningKey>,
}

/// A signature that holds.
#[derive(Debug)]
pub(super) struct Signed {
    /// Who signed.
    pub principal: Arc<Principal>,
    /// What the body must hash to.
    pub digests: Vec<Expected>,
    /// What is used up once all of it holds, and until when that is remembered.
    pub once: Vec<(u128, Timestamp)>,
    /// Bytes of the body that are held for it.
    pub max_body: usize,
}

/// The parameters of one signature (section 2.3).
#[derive(Default)]
struct Parameters<'p> {
    created: Option<u64>,
    expires: Option<u64>,
    keyid: Option<&'p str>,
    alg: Option<&'p str>,
    nonce: Option<&'p str>,
    tag: Option<&'p str>,
}

impl SignatureVerifier {
    pub(super) fn compile(
        config: &Signature,
        path: &str,
        context: &CompileContext<'_>,
    ) -> Result<Self, Diagnostics> {
        let mut problems = Diagnostics::new();
        let mut keys = HashMap::new();
        for (index, key) in config.keys.iter().enumerate() {
            let at = format!("{path}.signature.keys[{index}]");
            match known(key, context) {
                Ok(known) => {
                    if keys.insert(Box::from(key.id.as_str()), known).is_some() {
                        problems.push(
                            Diagnostic::error(format!("{at}.id"), format!("two keys have the id `{}`", key.id))
                                .help("give each key an id of its own; a key that is rotated has several `public_key`s"),
                        );
                    }
                }
                Err(text) => problems.push(Diagnostic::error(at, text)),
            }
        }
        let enrolled = config.enrolled.unwrap_or(config.keys.is_empty());
        if keys.is_empty() && !enrolled && config.keys.is_empty() {
            problems.push(
                Diagnostic::error(format!("{path}.signature"), "no key is accepted")
                    .help("name `keys`, or write `enrolled: true`"),
            );
        }
        let mut components = Vec::new();
        for (index, text) in config.components.iter().enumerate() {
            match Component::parse(text) {
                Ok(component) if component.name() != "@status" => components.push(component),
                _ => problems.push(
                    Diagnostic::error(
                        format!("{path}.signature.components[{index}]"),
                        format!("`{text}` is not a component of a request"),
                    )
                    .help("write a field's lower-case name, or one such as `@method`, `@target-uri` or `@query-param;name=\"id\"`"),
                ),
            }
        }
        problems.or(SignatureVerifier {
            keys,
            enrolled: enrolled.then(|| Arc::clone(&context.services.client_keys)),
            ready: Mutex::default(),
            components,
            max_age: config.max_age.0,
            skew: config.skew.0,
            created: config.created,
            expires: config.expires,
            nonce: config.nonce,
            tag: config.tag.clone(),
            max_body: usize::try_from(config.max_body.0).unwrap_or(usize::MAX),
        })
    }

    /// What a client is asked to sign, for `Accept-Signature` (section 5.1).
    pub(super) fn wanted(&self) -> String {
        let components: Vec<String> =
            self.components.iter().map(|component| component.identifier().to_owned()).collect();
        let mut wanted = format!("sig=({});created;keyid", components.join(" "));
        if self.nonce == Presence::Required {
            wanted.push_str(";nonce");
        }
        if let Some(tag) =
            self.tag.as_ref().filter(|tag| tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
        {
            wanted.push_str(&format!(";tag=\"{tag}\""));
        }
        wanted
    }

    /// The first signature of an accepted key, all of which must hold; nothing where there is no signature for us.
    pub(super) fn verify(&self, transaction: &Transaction) -> Result<Option<Signed>, Flaw> {
        let headers = &transaction.request.headers;
        let (inputs, signatures) = (headers.contains_key(SIGNATURE_INPUT), headers.contains_key(SIGNATURE));
        if !inputs && !signatures {
            return Ok(None);
        }
        let inputs = dictionary(transaction, &SIGNATURE_INPUT)?;
        let signatures = dictionary(transaction, &SIGNATURE)?;
        if inputs.len() > MAX_SIGNATURES {
            return Err(Flaw::SignatureMalformed);
        }
        let (mut nearest, mut first) = (None, None::<Signed>);
        for (label, input) in &inputs {
            let ListEntry::InnerList(input) = input else { return Err(Flaw::SignatureMalformed) };
            let parameters = Parameters::read(input)?;
            if self.tag.is_some() && parameters.tag != self.tag.as_deref() {
                nearest.get_or_insert(Flaw::SignatureTag);
                continue;
            }
            let Some(keyid) = parameters.keyid else {
                nearest.get_or_insert(Flaw::SignatureParameter("keyid"));
                continue;
            };
            let signature = match signatures.iter().find(|(name, _)| *name == label) {
                Some((_, ListEntry::Item(Item { bare_item: BareItem::ByteSequence(signature), .. }))) => {
                    signature
                }
                _ => return Err(Flaw::SignatureMalformed),
            };
            // A hop's signature by a key that is not known here is not ours to judge.
            let Some(outcome) = self.by_key(keyid, transaction.started, |key, principal| {
                self.judge(transaction, input, &parameters, signature, key, principal)
            }) else {
                nearest = Some(Flaw::SignatureKey);
                continue;
            };
            let signed = outcome?;
            if let Some(enrolled) = self.enrolled.as_ref().filter(|_| !self.keys.contains_key(keyid)) {
                enrolled.used(keyid, transaction.started);
            }
            match &mut first {
                None => first = Some(signed),
                Some(first) => {
                    first.digests.extend(signed.digests);
                    first.once.extend(signed.once);
                }
            }
        }
        first.map(Some).ok_or(nearest.unwrap_or(Flaw::SignatureMalformed))
    }

    /// Does something with the key of an id and whom it names; `None` where no such key is accepted.
    fn by_key<T>(
        &self,
        id: &str,
        now: Timestamp,
        then: impl FnOnce(&SigningKey, Arc<Principal>) -> Result<T, Flaw>,
    ) -> Option<Result<T, Flaw>> {
        if let Some(known) = self.keys.get(id) {
            return Some(then(&known.key, Arc::new(known.principal.clone())));
        }
        let record = self.enrolled.as_ref()?.find(id)?;
        if record.revoked.is_some() {
            return Some(Err(Flaw::SignatureKeyRevoked));
        }
        if record.expires.is_some_and(|end| end <= now) {
            return Some(Err(Flaw::SignatureKeyExpired));
        }
        let key = self.ready(&record)?;
        let principal = Principal {
            strength: Strength::ProofOfPossession,
            credential_id: Some(Arc::clone(&record.id)),
            issued: Some(record.created),
            expires: record.expires,
            ..Principal::new(CredentialKind::Signature, Arc::from("bartizan"), Arc::clone(&record.client))
        };
        Some(then(&key, Arc::new(principal)))
    }

    fn ready(&self, record: &Arc<ClientKeyRecord>) -> Option<Arc<SigningKey>> {
        let mut ready = self.ready.lock();
        if let Some(found) = ready.get(&record.id).filter(|found| found.record == *record) {
            return Some(Arc::clone(&found.key));
        }
        let key = Arc::new(SigningKey::enrolled(record).ok()?);
        if ready.len() >= READY {
            ready.clear();
        }
        ready.insert(Arc::clone(&record.id), Ready { record: Arc::clone(record), key: Arc::clone(&key) });
        Some(key)
    }

    /// Whether one signature holds: what the body must hash to for it, and what it uses up.
    fn judge(
        &self,
        transaction: &Transaction,
        input: &InnerList,
        parameters: &Parameters<'_>,
        signature: &[u8],
        key: &SigningKey,
        principal: Arc<Principal>,
    ) -> Result<Signed, Flaw> {
        if parameters.alg.is_some_and(|alg| alg != key.algorithm.name()) {
            return Err(Flaw::SignatureAlgorithm);
        }
        let covered = base::components(input).map_err(|_| Flaw::SignatureMalformed)?;
        let has_body = transaction.request.content_length != Some(0);
        for demanded in &self.components {
            let idle = demanded.is_whole("content-digest") && !has_body;
            if !idle && !covered.iter().any(|component| component.covers(demanded)) {
                return Err(Flaw::SignatureComponents);
            }
        }
        let until = self.check_times(parameters, transaction.started)?;
        if self.nonce == Presence::Required && parameters.nonce.is_none() {
            return Err(Flaw::SignatureParameter("nonce"));
        }
        let base = base::base(&Message::of(transaction), &covered, input).map_err(|why| match why {
            NoBase::Malformed => Flaw::SignatureMalformed,
            NoBase::Absent => Flaw::SignatureComponent,
        })?;
        if !key.verify(base.as_bytes(), signature) {
            return Err(Flaw::SignatureMismatch);
        }
        let mut digests = Vec::new();
        for name in [&CONTENT_DIGEST, &REPR_DIGEST] {
            if covered.iter().any(|component| component.is_of(name.as_str())) {
                digests.extend(digest::read(&transaction.request.headers, name)?);
            }
        }
        // Without a nonce, what asks for a change is good once: the whole of what is signed, as one signature of some
        // algorithms can be turned into another. What only reads may be asked for again until it is too old.
        let owner = parameters.keyid.unwrap_or_default().as_bytes();
        let spent = match parameters.nonce {
            Some(nonce) => Some(replay::key("nonce", owner, nonce.as_bytes())),
            None if transaction.request.method.is_safe() => None,
            None => Some(replay::key("signature", owner, base.as_bytes())),
        };
        let once = spent.map(|spent| (spent, until)).into_iter().collect();
        Ok(Signed { principal, digests, once, max_body: self.max_body })
    }

    /// Whether the signature is of now; until when it could be shown again.
    fn check_times(&self, parameters: &Parameters<'_>, now: Timestamp) -> Result<Timestamp, Flaw> {
        let latest = now.plus(self.skew);
        let mut until = None;
        match parameters.created.map(Timestamp::from_seconds) {
            None if self.created == Presence::Required => return Err(Flaw::SignatureParameter("created")),
            None => {}
            Some(created) if latest < created => return Err(Flaw::SignatureStale),
            Some(created) => {
                let end = created.plus(self.max_age).plus(self.skew);
                if end < now {
                    return Err(Flaw::SignatureStale);
                }
                until = Some(end);
            }
        }
        match parameters.expires.map(Timestamp::from_seconds) {
            None if self.expires == Presence::Required => return Err(Flaw::SignatureParameter("expires")),
            None => {}
            Some(expires) => {
                let end = expires.plus(self.skew);
                if end <= now {
                    return Err(Flaw::SignatureExpired);
                }
                until = Some(until.map_or(end, |until: Timestamp| until.min(end)));
            }
        }
        // Without any end it would be good for ever.
        until.ok_or(Flaw::SignatureParameter("created"))
    }
}

impl<'p> Parameters<'p> {
    fn read(input: &'p InnerList) -> Result<Self, Flaw> {
        let mut all = Parameters::default();
        for (name, value) in &input.params {
            let text = || match value {
                BareItem::String(text) if text.as_str().len() <= MAX_TEXT => Some(text.as_str()),
                _ => None,
            };
            let moment = || match value {
                BareItem::Integer(number) => u64::try_from(i64::from(*number)).ok(),
                _ => None,
            };
            match name.as_str() {
                "created" => all.created = Some(moment().ok_or(Flaw::SignatureParameter("created"))?),
                "expires" => all.expires = Some(moment().ok_or(Flaw::SignatureParameter("expires"))?),
                "keyid" => all.keyid = Some(text().ok_or(Flaw::SignatureParameter("keyid"))?),
                "alg" => all.alg = Some(text().ok_or(Flaw::SignatureParameter("alg"))?),
                "nonce" => all.nonce = Some(text().ok_or(Flaw::SignatureParameter("nonce"))?),
                "tag" => all.tag = Some(text().ok_or(Flaw::SignatureParameter("tag"))?),
                // Others are part of what is signed, and mean nothing here.
                _ => {}
            }
        }
        Ok(all)
    }
}

fn dictionary(transaction: &Transaction, name: &HeaderName) -> Result<Dictionary, Flaw> {
    let values: Vec<&[u8]> =
        transaction.request.headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
    if values.is_empty() {
        return Err(Flaw::SignatureMalformed);
    }
    Parser::new(&values.join(&b", "[..])).parse().map_err(|_| Flaw::SignatureMalformed)
}

fn known(key: &Key, context: &CompileContext<'_>) -> Result<Known, String> {
    if key.id.is_empty() || key.id.len() > MAX_TEXT {
        return Err(format!("a key's `id` has 1 to {MAX_TEXT} bytes"));
    }
    let signing = match (key.algorithm, key.public_key.as_slice(), key.secret.as_slice()) {
        (Algorithm::Hmac, [], []) => return Err("`hmac-sha256` needs a `secret`".to_owned()),
        (Algorithm::Hmac, [], secrets) => SigningKey::from_secrets(secrets, context.files)?,
        (Algorithm::Hmac, ..) => return Err("`hmac-sha256` has a `secret` and no `public_key`".to_owned()),
        (_, [], _) => return Err(format!("`{}` needs a `public_key`", key.algorithm.name())),
        (algorithm, files, []) => SigningKey::from_files(algorithm, files, context.files)?,
        _ => return Err(format!("`{}` has no `secret`", key.algorithm.name())),
    };
    let texts = |list: &[String]| list.iter().map(|text| Arc::from(text.as_str())).collect();
    let subject = key.subject.as_deref().unwrap_or(&key.id);
    let principal = Principal {
        strength: if key.algorithm == Algorithm::Hmac {
            Strength::Bearer
        } else {
            Strength::ProofOfPossession
        },
        scopes: texts(&key.scopes),
        roles: texts(&key.roles),
        tenant: key.tenant.as_deref().map(Arc::from),
        credential_id: Some(Arc::from(key.id.as_str())),
        ..Principal::new(CredentialKind::Signature, Arc::from("bartizan"), Arc::from(subject))
    };
    Ok(Known { key: signing, principal })
}
