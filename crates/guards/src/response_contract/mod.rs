//! Lets only what the API's contract describes leave: no field more than was promised.
//!
//! # What it does
//! Each response is held against the contract's: its status, its media type, its header fields, and the members of its JSON body.
//! What nobody promised is withheld, taken out or told of, each by a setting of its own. The guard is there wherever an API has a
//! contract: it watches until the policy gives it a block or a mode.
//!
//! A member is excess where schemas name the members of its object and none names this one; a schema that says
//! `additionalProperties` has decided for itself. The finding has its JSON pointer, never its value.
//!
//! **Streams.** Server-sent events, JSON Lines (`application/jsonl`, `x-ndjson` and the like) and JSON text sequences (`json-seq`) are not
//! held: each item is judged when its last byte has come, and goes on at once. `strip` takes members out of the item and leaves
//! its framing; such a stream has no `Content-Length`. In its pointers the number of the item comes first: `/3/data/owner`.
//!
//! `itemSchema` describes an item; without one, `schema` does: the items of a list, else each item. An event is an object with
//! `data`, `event`, `id` and `retry`; what its `data` holds is described by `contentMediaType: application/json` and
//! `contentSchema`, which are asserted here. A plain `schema` that is not of such an object describes the JSON document that
//! `data` is, and lets `[DONE]` pass. Fields of an event that no reader knows are undeclared; comments pass. A schema that says
//! `type: string`, or nothing, describes a stream that is not looked at.
//!
//! # Why
//! OWASP API3:2023, excessive data exposure: an API that returns whole records leaks whatever is added to them, and a password
//! that is `writeOnly` has no business in an answer.
//!
//! # Example
//! ```yaml
//! undeclared_properties: strip
//! write_only: deny
//! status: monitor
//! ```
//!
//! # When it refuses
//! With 502; the original stays here. `strip` sends the body without the members, with the length that it then has, and without
//! the digests, signatures and validators of the original.
//!
//! Of a stream the head has gone when an item is refused: the stream is broken off so that no client takes it for whole. Over
//! HTTP/1.1 the last chunk is missing, over HTTP/2 the stream is reset. The items before it have gone; the event has the verdict.
//!
//! # Limits
//! JSON documents, also behind gzip, deflate, brotli and zstd; up to `max_response`, out of the memory for all held bodies.
//! gRPC is not held: its heads are checked. Answers to HEAD, 204 and 304 have no body. Items in a content coding cannot be judged
//! while they flow: where the guard enforces, the API is asked for none (`Accept-Encoding`), nor for parts (`Range`). `schema`
//! beside `itemSchema` is not held against a stream as a whole. A client of HTTP/1.0 cannot tell a stream that was broken off
//! from one that ended.
//! In the standard fields of HTTP, of caches, browsers and proxies no header is undeclared.
//!
//! # References
//! - OpenAPI 3.1.2, Responses Object
//! - OWASP API Security Top 10 2023, API3
//! - RFC 9110 section 15.6.3, RFC 9530

mod config;
mod reason;
mod stream;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::Arc};

use bartizan_contract::{
    check::{Checks, MediaChoice, Member, ResponseIssue, document, without_members},
    shape::{Direction, Noticed},
};
use bartizan_model::{
    CompileContext, Diagnostics, Finding, Guard, Mode, Outcome, Phase, Reason as _, ResponseHead, Timestamp,
    Transaction,
    probe::{Edit, Probe, Probes},
};
use bartizan_pattern::body::media_type::BodyKind;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

pub use config::{Act, Config};
pub use reason::Why;
pub use stream::{ItemStream, Passed};

use crate::{body::HeldBody, contract};

/// What the guard is probed with.
const PROBE: HeaderName = HeaderName::from_static("x-bartizan-undeclared");
/// Findings of one kind in one response.
const TOLD: usize = 16;

/// The compiled guard.
pub struct ResponseContract {
    checks: Arc<Checks>,
    settings: Config,
}

/// What is kept of an exchange between head and body.
#[derive(Debug, Default)]
struct Looking {
    wants: Option<usize>,
    /// How the body is checked, by the head.
    media: Option<MediaChoice>,
    /// Its items are looked at while they flow.
    flows: bool,
    drop: Vec<HeaderName>,
    body: Option<Bytes>,
}

impl Guard for ResponseContract {
    const ID: &'static str = "response_contract";
    type Config = Config;
    type Reason = Why;

    fn compile(config: Config, context: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        Ok(ResponseContract { checks: contract::compiled(context, Self::ID)?, settings: config })
    }

    /// Asks for what can be judged: whole bodies, and items without a content coding.
    async fn request_headers(&self, transaction: &mut Transaction) -> Outcome<Why> {
        let check = self.checks.operation(&transaction.operation);
        if let Some(check) = check.filter(|_| transaction.guard_mode == Mode::Enforce && self.settings.acts())
        {
            if check.describes_responses() {
                transaction.consumed_headers.extend([header::RANGE, header::IF_RANGE]);
            }
            if check.answers_with_items() {
                transaction.consumed_headers.push(header::ACCEPT_ENCODING);
            }
        }
        Outcome::Continue
    }

    /// A field by which the guard shows that it is there: no contract names it, and it never leaves.
    fn response_headers(&self, _: &Transaction, response: &mut ResponseHead) {
        response.headers.remove(PROBE);
    }

    fn probes(&self, _: Timestamp) -> Probes {
        let edits = vec![Edit::Reply(PROBE, HeaderValue::from_static("1"))];
        let probe = Probe::answered("a response with a field of nobody's", edits, vec![(PROBE, None)]);
        Probes { hostile: vec![probe], ..Probes::default() }
    }
}

impl ResponseContract {
    /// Judges the head of a response.
    pub fn response_head(&self, transaction: &mut Transaction, head: &ResponseHead) -> Outcome<Why> {
        let Some(check) = self.checks.operation(&transaction.operation) else { return Outcome::Continue };
        if !head.from_upstream {
            return Outcome::Continue;
        }
        let found = check.response_head(&self.checks, head.status, &head.headers);
        let mut looking = Box::<Looking>::default();
        let mut told = Vec::new();
        for issue in found.issues {
            let (act, why) = match issue {
                ResponseIssue::Status(status) => {
                    (self.settings.status, Why::Status(format!("the contract has no response {status}")))
                }
                ResponseIssue::MediaType(violation) => (
                    self.settings.media_type,
                    Why::MediaType(format!("the contract's response is {}", violation.expectation)),
                ),
                ResponseIssue::Header(name) => {
                    if self.settings.header == Act::Strip {
                        looking.drop.push(name.clone());
                    }
                    (
                        self.settings.header,
                        Why::Header(format!("the contract does not name the field `{name}`")),
                    )
                }
                ResponseIssue::Invalid(violation) => {
                    (self.settings.invalid, Why::Invalid(violation.to_string()))
                }
            };
            let strips = act == Act::Strip && matches!(why, Why::Header(_));
            told.push((if strips { Act::Monitor } else { act }, why));
        }
        if let Some(media) = found.media.filter(|_| transaction.request.method != Method::HEAD) {
            self.plan(head, media, &mut looking, &mut told);
        }
        transaction.memory.keep(Self::ID, looking);
        settle(transaction, Phase::ResponseHeaders, told)
    }

    /// How the body is looked at: held, while it flows, or not at all.
    fn plan(
        &self,
        head: &ResponseHead,
        media: MediaChoice,
        looking: &mut Looking,
        told: &mut Vec<(Act, Why)>,
    ) {
        if media.sequence().is_some() {
            let coded =
                head.headers.get_all(header::CONTENT_ENCODING).iter().any(|coding| coding != "identity");
            let why = match (coded, head.status == StatusCode::PARTIAL_CONTENT) {
                (true, _) => Some("the items of the response are in a content coding"),
                (_, true) => Some("the response is a part of a sequence of items"),
                _ => None,
            };
            looking.flows = why.is_none();
            told.extend(why.map(|why| (self.settings.undecided, Why::Undecided(why.to_owned()))));
        } else if media.is_described() && media.kind() == BodyKind::Json {
            looking.wants = Some(usize::try_from(self.settings.max_response.0).unwrap_or(usize::MAX));
        }
        looking.media = Some(media);
    }

    /// What looks at the items of the response while they flow; asked after [`ResponseContract::response_head`]. Without
    /// `enforces` it only tells.
    #[must_use]
    pub fn items(&self, transaction: &Transaction, enforces: bool) -> Option<ItemStream> {
        let looking = transaction.memory.get::<Looking>(Self::ID).filter(|looking| looking.flows)?;
        let sequence = looking.media.as_ref()?.sequence()?;
        Some(ItemStream::new(Arc::clone(&self.checks), sequence, self.settings.clone(), enforces))
    }

    /// How many bytes of the response have to be seen before it is sent, at most; asked after
    /// [`ResponseContract::response_head`].
    #[must_use]
    pub fn needs_response_body(&self, transaction: &Transaction) -> Option<usize> {
        transaction.memory.get::<Looking>(Self::ID)?.wants
    }

    /// Judges the body of a response.
    pub fn response_body(&self, transaction: &mut Transaction, held: &HeldBody) -> Outcome<Why> {
        let looking = transaction.memory.get::<Looking>(Self::ID);
        let Some(media) = looking.and_then(|looking| looking.media.clone()) else { return Outcome::Continue };
        let undecided = |why: String| vec![(self.settings.undecided, Why::Undecided(why))];
        if !held.whole {
            let limit = self.settings.max_response.0;
            let told = undecided(format!(
                "the response is larger than `response_contract.max_response`, {limit} bytes"
            ));
            return settle(transaction, Phase::ResponseBody, told);
        }
        let reading = held.reading();
        let Some(tape) = document(&reading) else {
            let code = reading.reason().map_or("none", |reason| reason.code());
            let told = undecided(format!("the response is not JSON that can be read ({code})"));
            return settle(transaction, Phase::ResponseBody, told);
        };
        let found = self.checks.body(&media, &reading, Direction::Response);
        let (told, keys) = self.judge(&found.violations, &found.members);
        if !keys.is_empty()
            && let Some(mut looking) = self.looking(transaction)
        {
            looking.body = Some(without_members(tape, &keys).into());
            transaction.memory.keep(Self::ID, looking);
        }
        settle(transaction, Phase::ResponseBody, told)
    }

    fn looking(&self, transaction: &mut Transaction) -> Option<Box<Looking>> {
        transaction.memory.take::<Looking>(Self::ID)
    }

    /// What is told of a body, and the keys of what is taken out.
    fn judge(
        &self,
        violations: &[bartizan_contract::check::Violation],
        members: &[Member],
    ) -> (Vec<(Act, Why)>, Vec<u32>) {
        let mut told: Vec<(Act, Why)> = violations
            .iter()
            .take(TOLD)
            .map(|violation| (self.settings.invalid, Why::Invalid(violation.to_string())))
            .collect();
        let mut keys = Vec::new();
        for (number, member) in members.iter().enumerate() {
            let act = match member.noticed {
                Noticed::WriteOnly => self.settings.write_only,
                Noticed::Undeclared | Noticed::ReadOnly => self.settings.undeclared_properties,
            };
            if act == Act::Strip {
                keys.push(member.key);
            }
            let first = number < TOLD || act == Act::Deny;
            if !first || act == Act::Allow {
                continue;
            }
            let act = if act == Act::Strip { Act::Monitor } else { act };
            told.push((act, Why::of_member(member.noticed, &member.pointer)));
        }
        (told, keys)
    }

    /// What is sent in place of the original: header fields to take out, and the body; asked where the guard enforces.
    #[must_use]
    pub fn edits(&self, transaction: &mut Transaction) -> (Vec<HeaderName>, Option<Bytes>) {
        let Some(mut looking) = self.looking(transaction) else { return (Vec::new(), None) };
        let edits = (std::mem::take(&mut looking.drop), looking.body.take());
        transaction.memory.keep(Self::ID, looking);
        edits
    }
}

/// Everything becomes a finding but the first that withholds the response, which is the refusal.
fn settle(transaction: &mut Transaction, phase: Phase, told: Vec<(Act, Why)>) -> Outcome<Why> {
    let mut refusal = None;
    for (act, why) in told {
        match act {
            Act::Allow => {}
            Act::Deny | Act::Strip if refusal.is_none() => refusal = Some(why),
            Act::Deny | Act::Strip | Act::Monitor => {
                transaction.find(finding(&why, phase));
            }
        }
    }
    refusal.map_or(Outcome::Continue, Outcome::Deny)
}

fn finding(why: &Why, phase: Phase) -> Finding {
    let info = why.info();
    Finding {
        guard: ResponseContract::ID,
        code: info.code,
        severity: info.severity,
        phase,
        mode: Mode::Monitor,
        detail: Cow::Owned(why.detail().into_owned()),
        remedy: None,
    }
}
