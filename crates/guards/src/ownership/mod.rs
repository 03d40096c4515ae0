//! Lets no object leave that is not the caller's: the answer itself is checked before its first byte is sent.
//!
//! # What it does
//! Each operation may have a predicate over the caller (`principal.sub`, `principal.tenant`, `principal.roles`,
//! `principal.claims.NAME`), the request (`path.NAME`, `query.NAME`, `header.NAME`, `request.body.NAME`) and the answer
//! (`response.NAME`, `response.items[].NAME`). It is decided as early as its values are known: before the request is
//! forwarded where it does not ask for the answer, else when the answer is there, in one walk over its JSON. Where it is
//! false, nothing of the answer is sent. Of a list with `[]` each record is judged alone; `on_foreign: filter` takes
//! foreign ones out.
//!
//! Where values are missing the predicate is undecided, unless the rest of it decides: not JSON, too long, a stream, a field
//! that is not there or twice, an answer without a body. `undecided` says what becomes of those; a value of the caller's
//! that is missing always refuses.
//!
//! The same id with different values in path, query and body is refused. Callers that ask for one object after the other are
//! told of, and refused for a time where the policy says so.
//!
//! # Why
//! OWASP API1:2023, broken object level authorization: the first cause of breaches of APIs, and invisible to whoever looks at
//! requests only.
//!
//! # Example
//! ```yaml
//! "GET /accounts/{id}": response.ownerId == principal.sub
//! "GET /accounts":
//!   rule: 'response.items[].ownerId == principal.sub || principal.roles contains "auditor"'
//!   on_foreign: filter
//! "GET /users/{id}/**": path.id == principal.sub
//! ```
//!
//! # When it refuses
//! With 404 as for an object that does not exist, or with 403 by `answer: 403`; with 404 the API's own 404, 403 and 410 look
//! the same, and other errors of the API keep their status and lose their body. With 400 where one id has different values, or
//! a body with ids to compare cannot be read.
//! With 429 where `enumeration.action` is `refuse`. Codes that clients see do not tell the cases apart.
//!
//! # Limits
//! Answers are JSON, also one document a line (`application/x-ndjson`, `application/jsonl`), also behind gzip, deflate, brotli
//! and zstd. HEAD, 204, 304, parts of a range, event streams, gRPC and WebSockets cannot be decided by the answer; conditions
//! and ranges are taken out of requests whose answer decides, so that the whole object comes. A rule that asks for the answer
//! of an operation that changes something comes too late to prevent the change. At most `max_response` bytes are held, out of
//! the memory for all held bodies.
//!
//! Texts are compared byte by byte; a whole number equals the text that it is usually written as (`42` and `"42"`). What
//! cannot be compared is undecided. Counters are this process's own: 65,536 callers, callers with a clean record make room.
//!
//! # References
//! - OWASP API Security Top 10 2023, API1 and API3
//! - Cedar policy language, expressions
//! - RFC 9110 sections 13 and 14 (conditions, ranges), RFC 9111 section 3.5
//! - A. Wald, Sequential Tests of Statistical Hypotheses, 1945

mod answer;
mod asked;
mod config;
mod enumeration;
mod heads;
mod learn;
mod objects;
mod parameters;
mod probes;
mod reason;
mod rules;
#[cfg(test)]
mod tests;
mod values;

use std::{collections::BTreeMap, sync::Arc};

use ahash::RandomState;
use bartizan_model::{
    Answer, CompileContext, Denial, Diagnostics, Guard, Mode, Outcome, Phase, ResponseHead, Timestamp,
    TokenKey, Transaction, address::limiting_key, event::ObservedValues, probe::Probes,
};
use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, header};

pub use config::{Config, OnForeign, RefusedAs, Settings, Undecided};
pub use heads::{describe, forget_body};
pub use reason::Why;

use self::{
    answer::{Decision, REMEDY},
    config::Enumeration,
    enumeration::{Look, Objects, Seen},
    heads::{error_alone, is_lines, is_stream, keep_private, media_type, not_there},
    parameters::Parameters,
    rules::{OperationRule, Rules, parameters},
    values::{Body, Kept, Scene},
};
use crate::body::HeldBody;

/// Bytes of a request's body that are looked at for parameters.
const MAX_BODY: usize = 256 << 10;

/// Conditions and ranges: their answers have no object, or a part of one.
const CONDITIONS: [HeaderName; 6] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::RANGE,
];

/// The compiled guard.
pub struct Ownership {
    rules: Rules,
    parameters: Parameters,
    enumeration: Enumeration,
    learn: bool,
    objects: Arc<Objects>,
    tokens: TokenKey,
    hasher: RandomState,
    api: Arc<str>,
}

/// What replaces an answer, or a part of it; only where the guard enforces.
#[derive(Debug)]
pub enum Instead {
    /// Another body, without content coding: foreign records are not in it.
    Body(Bytes),
    /// Another answer.
    Answer(Box<Answer>),
}

/// What is kept of an exchange between its phases.
struct Looking {
    rule: Option<usize>,
    parameters: BTreeMap<Arc<str>, String>,
    kept: Vec<Kept>,
    body_seen: bool,
    state: State,
    object: u64,
    operation: u64,
    number: Option<u64>,
    counts: bool,
    counted: bool,
    instead: Option<Instead>,
    wants: Option<usize>,
    values: Option<learn::Values>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is no rule, or it holds.
    Own,
    /// The answer decides.
    Open,
    /// It was refused already; in monitor mode the exchange goes on.
    Told,
}

impl Guard for Ownership {
    const ID: &'static str = "ownership";
    type Config = Config;
    type Reason = Why;

    fn compile(config: Config, context: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        let mut problems = Diagnostics::new();
        let parameters =
            Parameters::compile(&config.shared.parameters, config.shared.undecided, &mut problems);
        let rules = match Rules::compile(&config, context) {
            Ok(rules) if !problems.has_errors() => rules,
            Ok(_) => return Err(problems),
            Err(others) => {
                problems.extend(others);
                return Err(problems);
            }
        };
        let [a, b, c, d] = context.services.limits.seeds();
        Ok(Ownership {
            rules,
            parameters,
            enumeration: config.shared.enumeration,
            learn: config.shared.learn,
            objects: context.services.kept.of(),
            tokens: context.services.tokens.clone(),
            hasher: RandomState::with_seeds(a ^ 1, b, c, d),
            api: context.api.into(),
        })
    }

    async fn request_headers(&self, transaction: &mut Transaction) -> Outcome<Why> {
        if !transaction.probe
            && let Some(left) = self.objects.refused(self.caller(transaction), transaction.ticks)
        {
            let signs = "it was told of before".to_owned();
            return Outcome::Deny(Why::Enumeration { signs, refused_for: Some(left) });
        }
        let mut looking = self.begin(transaction);
        let outcome = self.request(transaction, &mut looking, None);
        transaction.memory.keep(Self::ID, looking);
        outcome
    }

    fn needs_body(&self, transaction: &Transaction) -> Option<usize> {
        // Also of a GET: some APIs read what it brings.
        if transaction.request.content_length == Some(0) {
            return None;
        }
        let looking = transaction.memory.get::<Looking>(Self::ID)?;
        let scene = Scene::of(transaction, &looking.parameters);
        // Where the answer decides, the body tells which object was asked for.
        let by_rule = looking.state == State::Open;
        (by_rule || self.parameters.needs_body(&scene)).then_some(MAX_BODY)
    }

    /// What was decided for one caller is for no cache that others share.
    fn response_headers(&self, transaction: &Transaction, response: &mut ResponseHead) {
        let by_rule =
            transaction.memory.get::<Looking>(Self::ID).is_some_and(|looking| looking.rule.is_some());
        if by_rule && response.from_upstream {
            keep_private(&mut response.headers);
        }
    }

    fn watch_response_headers(&self, _: &Transaction, _: &mut ResponseHead) {}

    fn probes(&self, _: Timestamp) -> Probes {
        probes::offer(self)
    }
}

impl Ownership {
    /// Judges with the request's body, or without one.
    pub fn request_body(&self, transaction: &mut Transaction, held: &HeldBody) -> Outcome<Why> {
        let Some(mut looking) = transaction.memory.take::<Looking>(Self::ID) else {
            return Outcome::Continue;
        };
        let outcome = if looking.state == State::Told {
            Outcome::Continue
        } else {
            self.request(transaction, &mut looking, Some(held))
        };
        transaction.memory.keep(Self::ID, looking);
        outcome
    }

    /// Takes conditions and ranges out of a request whose answer decides, so that the whole object comes. Called where the
    /// guard enforces, before the request is forwarded.
    pub fn whole_answer(&self, transaction: &mut Transaction) {
        let open =
            transaction.memory.get::<Looking>(Self::ID).is_some_and(|looking| looking.state == State::Open);
        if open {
            transaction.consumed_headers.extend(CONDITIONS);
        }
    }

    /// Judges by the head of the answer, as far as it goes.
    pub fn response_head(&self, transaction: &mut Transaction, head: &ResponseHead) -> Outcome<Why> {
        let Some(mut looking) = transaction.memory.take::<Looking>(Self::ID) else {
            return Outcome::Continue;
        };
        let outcome = self.head(transaction, &mut looking, head);
        transaction.memory.keep(Self::ID, looking);
        outcome
    }

    /// How many bytes of the answer have to be seen before it is sent, at most; asked after [`Ownership::response_head`].
    #[must_use]
    pub fn needs_response_body(&self, transaction: &Transaction) -> Option<usize> {
        transaction.memory.get::<Looking>(Self::ID)?.wants
    }

    /// Judges by the answer.
    pub fn response_body(
        &self,
        transaction: &mut Transaction,
        head: &ResponseHead,
        held: &HeldBody,
    ) -> Outcome<Why> {
        let Some(mut looking) = transaction.memory.take::<Looking>(Self::ID) else {
            return Outcome::Continue;
        };
        let outcome = self.body(transaction, &mut looking, head, held);
        transaction.memory.keep(Self::ID, looking);
        outcome
    }

    /// The answer that [`Ownership::needs_response_body`] asked for is a stream that nobody holds.
    pub fn response_unread(&self, transaction: &mut Transaction) -> Outcome<Why> {
        let Some(mut looking) = transaction.memory.take::<Looking>(Self::ID) else {
            return Outcome::Continue;
        };
        let outcome = match looking.state {
            State::Open => {
                let what = "the answer is a stream".into();
                self.undecided(transaction, &mut looking, what, REMEDY, Phase::ResponseHeaders)
            }
            State::Own | State::Told => Outcome::Continue,
        };
        transaction.memory.keep(Self::ID, looking);
        outcome
    }

    /// What has to be sent in place of what the upstream answered; asked where the guard enforces, after each of
    /// [`Ownership::response_head`] and [`Ownership::response_body`].
    #[must_use]
    pub fn instead(&self, transaction: &mut Transaction) -> Option<Instead> {
        let mut looking = transaction.memory.take::<Looking>(Self::ID)?;
        let instead = looking.instead.take();
        transaction.memory.keep(Self::ID, looking);
        instead
    }

    fn rule(&self, looking: &Looking) -> Option<&OperationRule> {
        self.rules.get(looking.rule?)
    }

    fn begin(&self, transaction: &Transaction) -> Box<Looking> {
        let request = &transaction.request;
        let rule = self.rules.of(&request.method, &request.path);
        let named = rule.and_then(|rule| self.rules.get(rule)).and_then(|rule| rule.template.clone());
        let label = transaction.operation.split_once(' ').map(|(_, path)| path);
        let template = named.as_deref().or(label).unwrap_or_default();
        let below = self.rules.below(&request.path);
        let parameters = parameters(template, below);
        let asked = rule.and_then(|rule| self.rules.get(rule));
        let named = objects::named(template, &parameters, below);
        let query = objects::of_query(request.query.as_deref().unwrap_or_default(), asked);
        let number = named.number.or_else(|| query.iter().find_map(|(_, value)| value.parse().ok()));
        let object = self.hasher.hash_one((&named.object, &query));
        let operation = self.hasher.hash_one((&self.api, &transaction.operation, &named.shape));
        let counts = rule.is_some() || named.has_ids;
        let values = (self.learn && !transaction.probe)
            .then(|| learn::Values::of_request(transaction, &parameters, &self.tokens));
        Box::new(Looking {
            rule,
            parameters,
            kept: Vec::new(),
            body_seen: false,
            state: if rule.is_some() { State::Open } else { State::Own },
            object,
            operation,
            number,
            counts,
            counted: false,
            instead: None,
            wants: None,
            values,
        })
    }

    fn head(
        &self,
        transaction: &mut Transaction,
        looking: &mut Looking,
        head: &ResponseHead,
    ) -> Outcome<Why> {
        looking.wants = None;
        let status = head.status;
        let gone = matches!(status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE);
        let rule = self.rule(looking).filter(|_| looking.state == State::Open);
        if gone {
            self.count(transaction, looking, Seen::Missing, Phase::ResponseHeaders);
        }
        let Some(rule) = rule else {
            if status.is_success() && looking.state == State::Own {
                self.count(transaction, looking, Seen::Own, Phase::ResponseHeaders);
            }
            if looking.values.is_some() && status.is_success() && media_type(&head.headers).ends_with("json")
            {
                looking.wants = Some(MAX_BODY);
            }
            return Outcome::Continue;
        };
        if gone {
            if rule.answer == RefusedAs::NotFound {
                looking.instead = Some(Instead::Answer(Box::new(not_there(transaction))));
            }
            return Outcome::Continue;
        }
        if status.is_client_error() || status.is_server_error() {
            return self.error(transaction, looking, head);
        }
        let what: Option<&'static str> = match () {
            () if transaction.request.method == Method::HEAD => Some("HEAD has an answer without a body"),
            () if status == StatusCode::PARTIAL_CONTENT => Some("the answer is a part of the object"),
            () if matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) => {
                Some("the answer has no body")
            }
            () if status == StatusCode::NOT_MODIFIED => {
                Some("the answer says that nothing changed, and has no body")
            }
            () if !status.is_success() => Some("the answer leads elsewhere"),
            () if is_stream(&head.headers) => Some("the answer is a stream"),
            () => None,
        };
        match what {
            Some(what) => self.undecided(transaction, looking, what.into(), REMEDY, Phase::ResponseHeaders),
            None => {
                looking.wants = Some(rule.max_response);
                Outcome::Continue
            }
        }
    }

    /// An error of the API says nothing of an owner, and may say everything else: its status stays, its body does not.
    fn error(
        &self,
        transaction: &mut Transaction,
        looking: &mut Looking,
        head: &ResponseHead,
    ) -> Outcome<Why> {
        let Some(rule) = self.rule(looking) else { return Outcome::Continue };
        let what = format!("the API answered with an error, {}", head.status.as_u16());
        let denied = rule.undecided == Undecided::Deny;
        let why = undecided_by(rule, what.into(), REMEDY);
        find(transaction, &why, Phase::ResponseHeaders);
        if denied {
            looking.instead = Some(Instead::Answer(Box::new(error_alone(transaction, head))));
        }
        looking.state = State::Told;
        Outcome::Continue
    }

    fn body(
        &self,
        transaction: &mut Transaction,
        looking: &mut Looking,
        head: &ResponseHead,
        held: &HeldBody,
    ) -> Outcome<Why> {
        if let Some(values) = &mut looking.values {
            values.answer(held);
            let found = std::mem::take(&mut values.found);
            transaction.memory.keep(ObservedValues::ID, Box::new(ObservedValues(found)));
        }
        let Some(rule) = self.rule(looking).filter(|_| looking.state == State::Open) else {
            return Outcome::Continue;
        };
        let mut scene = Scene::of(transaction, &looking.parameters);
        if looking.body_seen {
            scene.body = Body::Kept(&looking.kept);
        }
        let decision = answer::decide(rule, scene, held, is_lines(&head.headers));
        let label = Arc::clone(&rule.label);
        let answer = rule.answer;
        match decision {
            Decision::Own => {
                self.count(transaction, looking, Seen::Own, Phase::ResponseBody);
                Outcome::Continue
            }
            Decision::Filtered { left, records } => {
                // A list of which nothing is left was somebody else's.
                let seen = if records.0 == records.1 { Seen::Foreign } else { Seen::Own };
                self.count(transaction, looking, seen, Phase::ResponseBody);
                find(transaction, &Why::Filtered { rule: label, records }, Phase::ResponseBody);
                looking.instead = Some(Instead::Body(left.into()));
                looking.state = State::Own;
                Outcome::Continue
            }
            Decision::Foreign { predicate, records } => {
                looking.state = State::Told;
                self.count(transaction, looking, Seen::Foreign, Phase::ResponseBody);
                Outcome::Deny(Why::Foreign { rule: label, predicate, records, answer })
            }
            Decision::Caller { value, anonymous } => {
                looking.state = State::Told;
                Outcome::Deny(Why::Caller { rule: label, value, anonymous, answer })
            }
            Decision::Undecided { what, remedy } => {
                self.undecided(transaction, looking, what, remedy, Phase::ResponseBody)
            }
        }
    }

    fn undecided(
        &self,
        transaction: &mut Transaction,
        looking: &mut Looking,
        what: std::borrow::Cow<'static, str>,
        remedy: &'static str,
        phase: Phase,
    ) -> Outcome<Why> {
        let Some(rule) = self.rule(looking) else { return Outcome::Continue };
        let why = undecided_by(rule, what, remedy);
        let allowed = rule.undecided == Undecided::Allow;
        looking.state = State::Told;
        if allowed {
            find(transaction, &why, phase);
            return Outcome::Continue;
        }
        self.count(transaction, looking, Seen::Missing, phase);
        Outcome::Deny(why)
    }

    /// Whoever is counted: the principal, else the address.
    fn caller(&self, transaction: &Transaction) -> u128 {
        let halves = |hasher: &RandomState| match &transaction.principal {
            Some(principal) => hasher.hash_one((&self.api, &principal.issuer, &principal.subject)),
            None => hasher.hash_one((&self.api, limiting_key(transaction.client.ip))),
        };
        let low = RandomState::with_seeds(self.hasher.hash_one(1_u8), 2, 3, 4);
        u128::from(halves(&self.hasher)) << 64 | u128::from(halves(&low))
    }

    /// Counts the exchange once, and tells what that tells.
    fn count(&self, transaction: &mut Transaction, looking: &mut Looking, seen: Seen, phase: Phase) {
        if looking.counted || transaction.probe || !looking.counts {
            return;
        }
        looking.counted = true;
        let look = Look {
            caller: self.caller(transaction),
            shared: transaction.principal.is_none(),
            operation: looking.operation,
            object: looking.object,
            number: looking.number,
            seen,
            now: transaction.ticks,
        };
        if let Some(alarm) = self.objects.note(&look, &self.enumeration) {
            let why = Why::Enumeration { signs: alarm.signs, refused_for: alarm.refused_for };
            find(transaction, &why, phase);
        }
    }
}

/// Tells without refusing.
fn find(transaction: &mut Transaction, why: &Why, phase: Phase) {
    let finding = Denial::of(Ownership::ID, why).finding(phase, Mode::Enforce);
    transaction.find(finding);
}

fn undecided_by(rule: &OperationRule, what: std::borrow::Cow<'static, str>, remedy: &'static str) -> Why {
    Why::Undecided { rule: Arc::clone(&rule.label), what, remedy, answer: rule.answer }
}
