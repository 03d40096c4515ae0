//! Lets only what the API's contract describes leave: no field more than was promised.
//!
//! # What it does
//! Each response is held against the contract's: its status, its media type, its header fields, and its body: JSON, XML, forms,
//! parts and text, as in requests.
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
//! Documents up to `max_response`, out of the memory for all held bodies, also behind gzip, deflate, brotli and zstd. What a strict
//! reader of JSON refuses, such as a name twice, a byte order mark or `1e400`, is looked through as far as it can be read; anything
//! else that cannot be read is `undecided`. A text of which the schema says no more than `type: string` is not held, and neither is
//! gRPC: its heads are checked. Answers to HEAD, 204 and 304 have no body; where the guard may change a body, an answer to HEAD says
//! nothing of its length, coding and validators.
//!
//! `strip` takes members out of JSON, elements and attributes out of XML, fields out of forms and parts out of multipart bodies, and
//! leaves all else as it came; what cannot be taken out safely (XML in another charset than UTF-8, parts that readers may see
//! otherwise) is withheld, and the finding says why. Comments of XML stay. Items in a content coding cannot be judged while they
//! flow: where the guard enforces, the API is asked for none (`Accept-Encoding`), nor for parts of a document (`Range`). `schema`
//! beside `itemSchema` is not held against a stream as a whole. A client of HTTP/1.0 cannot tell a stream that was broken off from
//! one that ended.
//!
//! In the standard fields of HTTP, of caches, browsers and proxies no header is undeclared.
//!
//! # References
//! - OpenAPI 3.1.2, Responses Object; 3.2.0, Sequential Media Types
//! - RFC 7464, RFC 8259; HTML, Server-sent events
//! - OWASP API Security Top 10 2023, API3
//! - RFC 9110 section 15.6.3, RFC 9530

mod config;
mod reason;
mod stream;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::Arc};

use bartizan_contract::{
    check::{Checks, MediaChoice, Member, ResponseIssue, Violation, limits},
    shape::{Direction, Noticed},
};
use bartizan_model::{
    CompileContext, Diagnostics, Finding, Guard, Mode, Outcome, Phase, Reason as _, ResponseHead, Timestamp,
    Transaction,
    probe::{Edit, Probe, Probes},
};
use bartizan_pattern::body::{self, BodyLimits, Buffers, Reading, UnreadableReason, media_type::BodyKind};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

pub use config::{Act, Config};
pub use reason::Why;
pub use stream::{ItemStream, Passed};

use crate::{
    body::HeldBody,
    contract::{self, strip},
};

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
    /// The head describes a body that nobody has seen.
    unsaid: bool,
    drop: Vec<HeaderName>,
    body: Option<Bytes>,
}

/// What is sent in place of what came.
#[derive(Debug, Default)]
pub struct Edits {
    /// Header fields to take out.
    pub drop: Vec<HeaderName>,
    /// The body, without content coding.
    pub body: Option<Bytes>,
    /// The answer to HEAD: what it says of length, coding and validators of the body may be wrong.
    pub unsaid: bool,
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
        if let Some(media) = found.media {
            if transaction.request.method == Method::HEAD {
                // What the body would be is not known.
                looking.unsaid = self.settings.acts() && (media.is_described() || media.sequence().is_some());
            } else {
                self.plan(head, media, &mut looking, &mut told);
            }
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
        } else if media.is_described()
            && !media.is_sequence()
            && (media.kind() != BodyKind::Other || media.may_be_json(self.checks.shapes()))
        {
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
        let mut buffers = Buffers::new();
        let reading = read(held, &mut buffers);
        if let Some(reason) = reading.reason().filter(|_| media.kind() != BodyKind::Other) {
            let told = undecided(format!("the response cannot be read ({})", reason.code()));
            return settle(transaction, Phase::ResponseBody, told);
        }
        let found = self.checks.body(&media, &reading, Direction::Response);
        let strips = |noticed| self.act(noticed) == Act::Strip;
        if !found.members.iter().any(|member| strips(member.noticed)) {
            let told = self.judge(&found.violations, &found.members);
            return settle(transaction, Phase::ResponseBody, told);
        }
        let edited =
            strip::body(&self.checks, &media, &reading, Direction::Response, &found.members, &strips);
        let told = match edited {
            Ok(bytes) => {
                let body = Bytes::from(bytes);
                // What leaves is what has to fit.
                let violations = match found.violations.is_empty() {
                    true => found.violations,
                    false => self.again(&media, held, body.clone()),
                };
                if let Some(mut looking) = transaction.memory.take::<Looking>(Self::ID) {
                    looking.body = Some(body);
                    transaction.memory.keep(Self::ID, looking);
                }
                self.judge(&violations, &found.members)
            }
            Err(why) => {
                let mut told = self.judge(&found.violations, &found.members);
                if let Some(member) = found.members.iter().find(|member| strips(member.noticed)) {
                    let plain = Why::of_member(member.noticed, &member.pointer);
                    told.retain(|(_, told)| *told != plain);
                    told.insert(0, (Act::Deny, plain.because(why)));
                }
                told
            }
        };
        settle(transaction, Phase::ResponseBody, told)
    }

    /// What does not fit of the body that is sent in place of the original.
    fn again(&self, media: &MediaChoice, held: &HeldBody, body: Bytes) -> Vec<Violation> {
        let edited = held.instead(body);
        let mut buffers = Buffers::new();
        self.checks.body(media, &read(&edited, &mut buffers), Direction::Response).violations
    }

    /// What is done with members of a kind.
    fn act(&self, noticed: Noticed) -> Act {
        match noticed {
            Noticed::WriteOnly => self.settings.write_only,
            Noticed::Undeclared | Noticed::ReadOnly => self.settings.undeclared_properties,
        }
    }

    /// What is told of a body.
    fn judge(&self, violations: &[Violation], members: &[Member]) -> Vec<(Act, Why)> {
        let violations = violations.iter().take(TOLD);
        let mut told: Vec<(Act, Why)> = violations
            .map(|violation| (self.settings.invalid, Why::Invalid(violation.to_string())))
            .collect();
        let mut denied = false;
        for (number, member) in members.iter().enumerate() {
            let act = self.act(member.noticed);
            if act == Act::Allow || number >= TOLD && (act != Act::Deny || denied) {
                continue;
            }
            denied |= act == Act::Deny;
            let act = if act == Act::Strip { Act::Monitor } else { act };
            told.push((act, Why::of_member(member.noticed, &member.pointer)));
        }
        told
    }

    /// What is sent in place of the original; asked where the guard enforces.
    #[must_use]
    pub fn edits(&self, transaction: &mut Transaction) -> Edits {
        let Some(mut looking) = transaction.memory.take::<Looking>(Self::ID) else { return Edits::default() };
        let edits = Edits {
            drop: std::mem::take(&mut looking.drop),
            body: looking.body.take(),
            unsaid: looking.unsaid,
        };
        transaction.memory.keep(Self::ID, looking);
        edits
    }
}

/// A body as what leaves is read: JSON that a strict reader refuses, but a lenient one reads, is looked through.
fn read<'a>(held: &'a HeldBody, buffers: &'a mut Buffers) -> Reading<'a> {
    let strict = held.reading();
    let Reading::Unreadable(unreadable) = strict else { return strict };
    let is_json = unreadable.kind == Some(BodyKind::Json);
    if !is_json || !matches!(unreadable.reason, UnreadableReason::Json(_)) {
        return strict;
    }
    let text = unreadable.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(unreadable.bytes);
    let limits = BodyLimits { json: limits(Direction::Response), ..held.limits() };
    let limits = BodyLimits { bytes: limits.bytes.max(text.len()), ..limits };
    body::read(Some(b"application/json"), None, text, &limits, buffers)
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
