//! One exchange under the rules: what is given to them, and what they say.

use std::{cell::RefCell, net::SocketAddr, sync::Arc};

use bartizan_model::{Denial, Guard as _, Mode, Outcome, Phase, ResponseHead, TokenKey, Transaction};
use bartizan_waf::engine::{Context, Inspection, Program, RequestHead, Worker};
use http::{HeaderMap, StatusCode, Version, header};

use super::{
    Config, OverLimit, Unreadable, Waf,
    reason::Why,
    tell::{self, Told},
};
use crate::body::HeldBody;

thread_local! {
    /// Automata and buffers, built up by the exchanges of a thread; bounded by the engine.
    static WORKER: RefCell<Worker> = RefCell::new(Worker::new());
}

/// An inspection between two phases.
pub(super) struct Looking {
    program: Arc<Program>,
    inspection: Inspection,
    /// Findings that were told.
    told: Told,
    /// The exchange was refused, by rules or for its body: rules say nothing more of it.
    over: bool,
    /// The response is compressed.
    encoded: bool,
    tokens: TokenKey,
}

impl Looking {
    pub(super) fn begin(program: &Arc<Program>, tokens: &TokenKey, transaction: &Transaction) -> Self {
        let context = Context {
            unique_id: transaction.id.to_string().into(),
            now: transaction.started.0,
            collections: None,
        };
        let inspection = Inspection::new(Arc::clone(program), context);
        Looking {
            program: Arc::clone(program),
            inspection,
            told: Told::default(),
            over: false,
            encoded: false,
            tokens: tokens.clone(),
        }
    }

    pub(super) fn wants_request_body(&self) -> bool {
        !self.over && self.inspection.wants_request_body()
    }

    pub(super) fn wants_response_body(&self) -> bool {
        !self.over && !self.encoded && self.inspection.wants_response_body()
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
        let head = RequestHead {
            method: request.method.as_str().as_bytes(),
            target: target.as_bytes(),
            version: version(request.version),
            headers: &headers,
            client: SocketAddr::new(transaction.client.ip, transaction.client.peer.port()),
            server: SocketAddr::from(([0, 0, 0, 0], request.port.unwrap_or_default())),
        };
        WORKER.with_borrow_mut(|worker| self.inspection.request_head(&head, worker).is_some());
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
                self.over = true;
                return Outcome::Deny(Why::BodyTooLong { limit: settings.max_body.0 });
            } else {
                unseen(transaction, Phase::RequestBody, "the body beyond `waf.max_body` was not looked at");
            }
        }
        let cut = !whole && !bytes.is_empty();
        let (kind, limits) = self.inspection.body_reading();
        let shared = if cut { None } else { body.reading_as(kind, &limits) };
        WORKER.with_borrow_mut(|worker| {
            let stopped = match &shared {
                Some(reading) => self.inspection.request_body_read(reading, bytes.len(), cut, worker),
                None => self.inspection.request_body(bytes, cut, worker),
            };
            stopped.is_some()
        });
        let outcome = self.outcome(transaction, Phase::RequestBody);
        match self.inspection.body_error() {
            // A body that is cut off cannot be whole JSON; that it is cut was said.
            Some(why) if !self.over && !cut => match settings.unreadable {
                Unreadable::Deny => {
                    self.over = true;
                    Outcome::Deny(Why::Unreadable { why: why.to_owned() })
                }
                Unreadable::Allow => {
                    unseen(transaction, Phase::RequestBody, "the body cannot be read as what it says it is");
                    outcome
                }
            },
            _ => outcome,
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
        let coding = head.headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes());
        self.encoded = coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity"));
        if self.encoded && self.inspection.wants_response_body() {
            unseen(
                transaction,
                Phase::ResponseHeaders,
                "the response is compressed, and its body was not looked at",
            );
        }
        self.outcome(transaction, Phase::ResponseHeaders)
    }

    pub(super) fn response_body(&mut self, transaction: &mut Transaction, body: &HeldBody) -> Outcome<Why> {
        if self.over {
            return Outcome::Continue;
        }
        if !body.whole {
            unseen(
                transaction,
                Phase::ResponseBody,
                "the response beyond `waf.max_response` was not looked at",
            );
        }
        WORKER.with_borrow_mut(|worker| {
            self.inspection.response_body(&body.bytes, !body.whole, worker).is_some()
        });
        self.outcome(transaction, Phase::ResponseBody)
    }

    /// Runs the rules that only log, once the exchange is over.
    pub(super) fn finish(&mut self, transaction: &mut Transaction) {
        // An exchange may end while its thread does: then there is nothing left to run rules with.
        let ran = WORKER.try_with(|worker| {
            if let Ok(mut worker) = worker.try_borrow_mut() {
                self.inspection.finish(&mut worker);
            }
        });
        if ran.is_ok() {
            self.told.findings(
                self.program.rules(),
                &self.inspection,
                transaction,
                Phase::Logging,
                &self.tokens,
            );
        }
    }

    /// Tells what is new, and what follows from it.
    fn outcome(&mut self, transaction: &mut Transaction, phase: Phase) -> Outcome<Why> {
        self.told.findings(self.program.rules(), &self.inspection, transaction, phase, &self.tokens);
        let Some(interruption) = self.inspection.interruption() else { return Outcome::Continue };
        if self.over {
            return Outcome::Continue;
        }
        self.over = true;
        let status = StatusCode::from_u16(interruption.status)
            .ok()
            .filter(|status| status.is_client_error() || status.is_server_error())
            .unwrap_or(StatusCode::FORBIDDEN);
        let (detail, remedy) =
            tell::refusal(self.program.rules(), &self.inspection, interruption, &self.tokens);
        Outcome::Deny(match phase {
            Phase::ResponseHeaders | Phase::ResponseBody => Why::Leak { status, detail, remedy },
            _ => Why::Attack { status, detail, remedy },
        })
    }
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
