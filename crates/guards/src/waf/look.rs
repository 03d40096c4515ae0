//! One exchange under the rules: what is given to them, and what they say.

use std::{cell::RefCell, net::SocketAddr, sync::Arc};

use bartizan_contract::check::{ParameterProof, Part};
use bartizan_model::{Denial, Guard as _, Mode, Outcome, Phase, ResponseHead, TokenKey, Transaction};
use bartizan_pattern::{
    alphabet::Bound,
    body::{
        UnreadableReason,
        decode::{self, DecodeLimits},
    },
};
use bartizan_waf::{
    engine::{
        Context, Inspection, Interruption, Place, Program, Proved, ProvedBody, RequestHead, Stop, Worker,
    },
    lang::EngineMode,
    variables::Collections,
};
use smallvec::SmallVec;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};

use super::{
    Config, OverLimit, UnknownType, Unreadable, Waf,
    reason::Why,
    score,
    tell::{self, Seen, Told},
};
use crate::{
    body::HeldBody,
    contract::{self, Contract},
};

thread_local! {
    /// Automata and buffers, built up by the exchanges of a thread; bounded by the engine.
    static WORKER: RefCell<Worker> = RefCell::new(Worker::new());
}

/// What inspections of one mount are made of.
pub(super) struct Ground<'w> {
    pub(super) program: &'w Arc<Program>,
    pub(super) tokens: &'w TokenKey,
    pub(super) collections: &'w Arc<dyn Collections>,
    /// How much rules may do for the exchange.
    pub(super) max_work: u64,
    /// What the contract proves of values is believed.
    pub(super) trusting: bool,
}

/// An inspection between two phases.
pub(super) struct Looking {
    program: Arc<Program>,
    inspection: Inspection,
    /// Findings that were told.
    told: Told,
    /// Nothing is refused, so all of the exchange is looked at.
    watching: bool,
    /// The exchange was refused, by rules or for its body: rules say nothing more of it.
    over: bool,
    /// Rules had to do more than this, which is told once.
    max_work: u64,
    too_costly: bool,
    /// What would have refused the request, or did, was told; and the response.
    refused: [bool; 2],
    /// All of the request was looked at.
    whole: bool,
    /// The response is in a coding that nobody here can undo.
    sealed: bool,
    /// What the contract proves of values is believed.
    trusting: bool,
    tokens: TokenKey,
}

impl Looking {
    pub(super) fn begin(ground: &Ground<'_>, transaction: &Transaction) -> Self {
        // A question and a probe count nowhere.
        let collections = (!transaction.probe).then(|| Arc::clone(ground.collections));
        let context = Context {
            unique_id: transaction.id.to_string().into(),
            now: transaction.started.millis(),
            collections,
        };
        let mut inspection = Inspection::new(Arc::clone(ground.program), context);
        inspection.limit_work(ground.max_work);
        let watching = transaction.guard_mode == Mode::Monitor;
        if watching {
            inspection.only_detect();
        }
        Looking {
            program: Arc::clone(ground.program),
            inspection,
            told: Told::default(),
            watching,
            over: false,
            max_work: ground.max_work,
            too_costly: false,
            refused: [false; 2],
            whole: false,
            sealed: false,
            trusting: ground.trusting,
            tokens: ground.tokens.clone(),
        }
    }

    pub(super) fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    pub(super) fn wants_request_body(&self) -> bool {
        !self.over && self.inspection.wants_request_body()
    }

    pub(super) fn wants_response_body(&self) -> bool {
        !self.over && !self.sealed && self.inspection.wants_response_body()
    }

    pub(super) fn request_head(&mut self, transaction: &mut Transaction) -> Outcome<Why> {
        let request = &transaction.request;
        let target = request.sent_target();
        let mut headers = fields(&request.headers);
        headers
            .extend(request.removed.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())));
        // HTTP/2 names the host in the target; rules look for it in `Host`.
        let authority = (!request.headers.contains_key(header::HOST)).then(|| match request.port {
            Some(port) => format!("{}:{port}", request.host),
            None => request.host.clone(),
        });
        if let Some(authority) = &authority {
            headers.insert(0, (b"Host", authority.as_bytes()));
        }
        let known = transaction.memory.get::<contract::Proved>(Contract::ID).filter(|_| self.trusting);
        let proved: SmallVec<[Proved<'_>; 8]> =
            known.iter().flat_map(|known| &known.parameters).filter_map(of_head).collect();
        let head = RequestHead {
            method: request.method.as_str().as_bytes(),
            target: target.as_bytes(),
            version: version(request.version),
            headers: &headers,
            client: SocketAddr::new(transaction.client.ip, transaction.client.peer.port()),
            server: SocketAddr::from(([0, 0, 0, 0], request.port.unwrap_or_default())),
            proved: &proved,
        };
        WORKER.with_borrow_mut(|worker| self.inspection.request_head(&head, worker).is_some());
        drop(proved);
        self.outcome(transaction, Phase::RequestHeaders)
    }

    pub(super) fn request_body(
        &mut self,
        transaction: &mut Transaction,
        body: &HeldBody,
        settings: &Config,
    ) -> Outcome<Why> {
        if self.over {
            return Outcome::Continue;
        }
        // Another guard may have asked for more of it.
        let most = usize::try_from(settings.max_body.0).unwrap_or(usize::MAX);
        let bytes = body.bytes.get(..most).unwrap_or(&body.bytes);
        let whole = body.whole && bytes.len() == body.bytes.len();
        if !whole && self.inspection.wants_request_body() {
            if bytes.is_empty() {
                unseen(transaction, Phase::RequestBody, "a stream that is not held was not looked into");
            } else if settings.over_limit == OverLimit::Deny {
                let why = Why::BodyTooLong { limit: settings.max_body.0 };
                if !self.watching {
                    self.over = true;
                    return Outcome::Deny(why);
                }
                // It is told, and its beginning looked at all the same.
                transaction.find(Denial::of(Waf::ID, &why).finding(Phase::RequestBody, Mode::Monitor));
            } else {
                unseen(transaction, Phase::RequestBody, "the body beyond `waf.max_body` was not looked at");
            }
        }
        let cut = !whole && !bytes.is_empty();
        let known = transaction.memory.get::<contract::Proved>(Contract::ID).filter(|_| self.trusting);
        let values: SmallVec<[(u32, Bound); 16]> =
            known.iter().flat_map(|known| &known.body).map(|(value, proof)| (*value, proof.bound)).collect();
        let fields: SmallVec<[Proved<'_>; 8]> =
            known.iter().flat_map(|known| &known.parameters).filter_map(of_form).collect();
        let proved = ProvedBody { values: &values, fields: &fields };
        let (kind, limits) = self.inspection.body_reading();
        let shared = if cut { None } else { body.reading_as(kind, &limits) };
        WORKER.with_borrow_mut(|worker| {
            let stopped = match &shared {
                Some(reading) => self.inspection.request_body_read(reading, bytes.len(), cut, proved, worker),
                None => self.inspection.request_body(bytes, cut, worker),
            };
            stopped.is_some()
        });
        drop(fields);
        self.whole = true;
        let outcome = self.outcome(transaction, Phase::RequestBody);
        match self.inspection.body_error() {
            // A body that is cut off cannot be whole JSON; that it is cut was said.
            Some(why) if !self.over && !cut => match settings.unreadable {
                Unreadable::Deny => {
                    let why = Why::Unreadable { why: why.to_owned() };
                    if let Outcome::Deny(_) = outcome {
                        transaction
                            .find(Denial::of(Waf::ID, &why).finding(Phase::RequestBody, Mode::Monitor));
                        return outcome;
                    }
                    self.over = !self.watching;
                    Outcome::Deny(why)
                }
                Unreadable::Allow => {
                    unseen(transaction, Phase::RequestBody, "the body cannot be read as what it says it is");
                    outcome
                }
            },
            _ => self.unread(transaction, settings, outcome),
        }
    }

    /// What becomes of a body in which nothing has a name.
    fn unread(
        &mut self,
        transaction: &mut Transaction,
        settings: &Config,
        outcome: Outcome<Why>,
    ) -> Outcome<Why> {
        let Some(why) = self.inspection.body_unread() else { return outcome };
        match (settings.unknown_type, &outcome) {
            (UnknownType::Deny, Outcome::Continue) => {
                self.over = !self.watching;
                Outcome::Deny(Why::UnknownType { why })
            }
            (UnknownType::Deny, _) => outcome,
            (UnknownType::Allow, _) => {
                let what = "the body is of a type that is not read: only rules for `REQUEST_BODY` saw it";
                unseen(transaction, Phase::RequestBody, what);
                outcome
            }
        }
    }

    pub(super) fn response_head(
        &mut self,
        transaction: &mut Transaction,
        head: &ResponseHead,
    ) -> Outcome<Why> {
        if self.over {
            return Outcome::Continue;
        }
        let headers = fields(&head.headers);
        let version = version(transaction.request.version);
        WORKER.with_borrow_mut(|worker| {
            self.inspection.response_head(head.status.as_u16(), version, &headers, worker).is_some()
        });
        let mut codings = head.headers.get_all(header::CONTENT_ENCODING).iter();
        self.sealed =
            codings.any(|value| decode::codings(value.as_bytes(), &DecodeLimits::default()).is_err());
        if self.sealed && self.inspection.wants_response_body() {
            let what = "the response is in a coding that is not known here, and its body was not looked at";
            unseen(transaction, Phase::ResponseHeaders, what);
        }
        self.outcome(transaction, Phase::ResponseHeaders)
    }

    pub(super) fn response_body(
        &mut self,
        transaction: &mut Transaction,
        body: &HeldBody,
        settings: &Config,
    ) -> Outcome<Why> {
        if self.over {
            return Outcome::Continue;
        }
        let reading = body.reading();
        let most = usize::try_from(settings.max_response.0).unwrap_or(usize::MAX);
        let bytes = reading.bytes();
        let bytes = bytes.get(..most).unwrap_or(bytes);
        let undone = !matches!(reading.reason(), Some(UnreadableReason::Decode(_)));
        let whole = body.whole && undone && bytes.len() == reading.bytes().len();
        let phase = Phase::ResponseBody;
        if body.whole && !undone {
            unseen(
                transaction,
                phase,
                "the response cannot be decoded to its end, and was looked at up to there",
            );
        } else if !whole {
            unseen(transaction, phase, "the response beyond `waf.max_response` was not looked at");
        }
        WORKER.with_borrow_mut(|worker| self.inspection.response_body(bytes, !whole, worker).is_some());
        self.outcome(transaction, phase)
    }

    /// Runs the rules that only log, once the exchange is over, and tells what it came to.
    pub(super) fn finish(&mut self, transaction: &mut Transaction) {
        // An exchange may end while its thread does: then there is nothing left to run rules with.
        let ran = WORKER.try_with(|worker| {
            if let Ok(mut worker) = worker.try_borrow_mut() {
                self.inspection.finish(&mut worker);
            }
        });
        if ran.is_ok() {
            let Looking { program, inspection, tokens, told, .. } = self;
            told.findings(
                &Seen { rules: program.rules(), inspection, tokens },
                transaction,
                Phase::Logging,
                None,
            );
        }
        // A request that was refused half-way has no score yet.
        if self.whole || self.over {
            let refused = self.refused.iter().any(|refused| *refused);
            transaction.score = Some(Box::new(score::of(&self.inspection, refused)));
        }
    }

    /// What was looked at only in part, because rules had to do too much, does not pass.
    fn judge_work(&mut self, answer: bool) -> Outcome<Why> {
        if self.over || self.too_costly || !self.inspection.work().is_over() {
            return Outcome::Continue;
        }
        self.too_costly = true;
        self.over = !self.watching;
        if let Some(refused) = self.refused.get_mut(usize::from(answer)) {
            *refused = true;
        }
        Outcome::Deny(Why::TooCostly { limit: self.max_work })
    }

    /// Tells what is new, and what follows from it.
    fn outcome(&mut self, transaction: &mut Transaction, phase: Phase) -> Outcome<Why> {
        let answer = matches!(phase, Phase::ResponseHeaders | Phase::ResponseBody);
        let stop = if self.watching {
            // Rules that say themselves that they only detect would refuse nothing in any mode.
            let would = self.inspection.take_would_interrupt();
            would.filter(|_| self.program.rules().settings.engine == EngineMode::On)
        } else {
            self.inspection.interruption().cloned()
        };
        let known = self.refused.get(usize::from(answer)) == Some(&true);
        let stop = stop.filter(|_| !self.over && !known);
        let seen = Seen { rules: self.program.rules(), inspection: &self.inspection, tokens: &self.tokens };
        self.told.findings(&seen, transaction, phase, stop.as_ref());
        let Some(stop) = stop else { return self.judge_work(answer) };
        self.over = !self.watching;
        if let Some(refused) = self.refused.get_mut(usize::from(answer)) {
            *refused = true;
        }
        let (status, headers) = answer_of(&stop);
        let seen = Seen { rules: self.program.rules(), inspection: &self.inspection, tokens: &self.tokens };
        let (detail, remedy) = tell::refusal(&seen, &stop);
        Outcome::Deny(match answer {
            true => Why::Leak { status, detail, remedy, headers },
            false => Why::Attack { status, detail, remedy, headers },
        })
    }
}

/// What the client is answered. An address that no field can carry is none to be sent to.
fn answer_of(stop: &Interruption) -> (StatusCode, Vec<(HeaderName, HeaderValue)>) {
    let status = StatusCode::from_u16(stop.status).ok();
    let refusal = status.filter(|status| status.is_client_error() || status.is_server_error());
    let refusal = refusal.unwrap_or(StatusCode::FORBIDDEN);
    match &stop.stop {
        Stop::Deny => (refusal, Vec::new()),
        Stop::Drop => (refusal, vec![(header::CONNECTION, HeaderValue::from_static("close"))]),
        Stop::Redirect(to) => match HeaderValue::from_bytes(to) {
            Ok(address) if !address.is_empty() => {
                let status = status.filter(StatusCode::is_redirection).unwrap_or(StatusCode::FOUND);
                (status, vec![(header::LOCATION, address)])
            }
            _ => (StatusCode::FORBIDDEN, Vec::new()),
        },
    }
}

/// What the contract proves of a parameter, where rules know it by its name.
fn of_head(known: &ParameterProof) -> Option<Proved<'_>> {
    let place = match known.part {
        Part::Query => Place::Query,
        Part::Header => Place::Header,
        Part::Cookie => Place::Cookie,
        Part::Path | Part::Body => return None,
    };
    Some(Proved { place, name: known.name.as_bytes(), bound: known.proof.bound })
}

/// The same of a field of a form.
fn of_form(known: &ParameterProof) -> Option<Proved<'_>> {
    let bound = known.proof.bound;
    (known.part == Part::Body).then_some(Proved { place: Place::Form, name: known.name.as_bytes(), bound })
}

/// Says that something was not looked at.
fn unseen(transaction: &mut Transaction, phase: Phase, what: &'static str) {
    let denial = Denial::of(Waf::ID, &Why::Unseen { what });
    transaction.find(denial.finding(phase, Mode::Monitor));
}

fn fields(headers: &HeaderMap) -> Vec<(&[u8], &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect()
}

fn version(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_09 => b"HTTP/0.9",
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_2 => b"HTTP/2.0",
        Version::HTTP_3 => b"HTTP/3.0",
        _ => b"HTTP/1.1",
    }
}
