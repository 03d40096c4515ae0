//! One inspection: what is fed in, and what comes out.

use std::sync::Arc;

use bartizan_pattern::{
    alphabet::Bound,
    body::{BodyLimits, Reading, UnreadableReason, media_type::BodyKind},
};

use super::{
    body::{body_limits, kind},
    exchange::{Exchange, Place, ProvedBody, RequestHead},
    finding::{Finding, Interruption},
    live::Live,
    program::{Program, Worker},
};
use crate::{
    lang::{AuditMode, BodyLimitAction, EngineMode, Phase},
    operator::Work,
    variables::{Collections, Tx, Variable},
};

/// What an inspection needs from outside.
#[derive(Clone, Debug)]
pub struct Context {
    /// The identity of the exchange, `UNIQUE_ID`.
    pub unique_id: Box<str>,
    /// Milliseconds since 1970, for `TIME*` and the expiry of stored collections.
    pub now: u64,
    /// Where stored collections are kept; without it `initcol` opens nothing.
    pub collections: Option<Arc<dyn Collections>>,
}

/// A value of which something is known.
#[derive(Clone, Debug)]
pub struct Spared {
    /// Where it is; values of any body are in [`Place::Form`].
    pub place: Place,
    /// Its name.
    pub name: Vec<u8>,
    /// What is known.
    pub bound: Bound,
    /// How many tests of rules look at it.
    pub tests: usize,
    /// How many of them may find something in a value within the bound: with none left, it was not looked at.
    pub left: usize,
}

/// Rules at work on one exchange. Fed in the order of the phases; after an interruption only [`Inspection::finish`]
/// does anything.
#[derive(Debug)]
pub struct Inspection {
    pub(super) program: Arc<Program>,
    pub(super) exchange: Exchange,
    pub(super) live: Live,
}

impl Inspection {
    /// Begins.
    #[must_use]
    pub fn new(program: Arc<Program>, context: Context) -> Self {
        let live = program.begin(context);
        Inspection { program, exchange: Exchange::default(), live }
    }

    /// Stops nothing from now on, whatever rules say: what would have stopped the exchange is told by
    /// [`Inspection::take_would_interrupt`].
    pub fn only_detect(&mut self) {
        self.live.only_detects = true;
        if self.live.engine == EngineMode::On {
            self.live.engine = EngineMode::DetectionOnly;
        }
    }

    /// Bounds what is done from here on, in units of [`Work`]. Once it is more, nothing is looked at any further:
    /// [`Inspection::work`] says so, and whoever asks decides what becomes of an exchange that was looked at in part.
    pub fn limit_work(&mut self, most: u64) {
        self.live.work = Work::up_to(most);
    }

    /// What was done so far.
    #[must_use]
    pub fn work(&self) -> Work {
        self.live.work
    }

    /// Phase 1: the head is known.
    pub fn request_head(&mut self, head: &RequestHead<'_>, worker: &mut Worker) -> Option<&Interruption> {
        self.exchange.read_head(head, &self.program.rules.settings, &self.program.bounds);
        self.phase(Phase::RequestHeaders, worker)
    }

    /// Whether the body is to be looked at.
    #[must_use]
    pub fn wants_request_body(&self) -> bool {
        self.live.engine != EngineMode::Off && self.live.controls.request_body_access
    }

    /// How many bytes of a request body are looked at; what is longer is refused or cut, as
    /// `SecRequestBodyLimitAction` says.
    #[must_use]
    pub fn request_body_limit(&self) -> (usize, BodyLimitAction) {
        (self.live.controls.request_body_limit, self.program.rules.settings.request_body_limit_action)
    }

    /// Phase 2: the whole body is known; empty where there is none. `overlong` says that it is cut.
    pub fn request_body(
        &mut self,
        body: &[u8],
        overlong: bool,
        worker: &mut Worker,
    ) -> Option<&Interruption> {
        self.exchange.inbound_data_error = overlong;
        self.exchange.body_length = body.len();
        if self.wants_request_body() {
            let Self { program, exchange, live } = self;
            exchange.read_body(body, &program.rules.settings, &live.controls);
        }
        self.phase(Phase::RequestBody, worker)
    }

    /// How the body is to be read, for whoever reads it for several: as what, where rules or its type say so, and within
    /// which limits.
    #[must_use]
    pub fn body_reading(&self) -> (Option<BodyKind>, BodyLimits) {
        let kind = self.exchange.processor(&self.live.controls).and_then(kind);
        (kind, body_limits(&self.program.rules.settings, &self.live.controls))
    }

    /// Phase 2, with a body of `length` bytes that somebody read as [`Inspection::body_reading`] says.
    pub fn request_body_read(
        &mut self,
        reading: &Reading<'_>,
        length: usize,
        overlong: bool,
        proved: ProvedBody<'_>,
        worker: &mut Worker,
    ) -> Option<&Interruption> {
        self.exchange.inbound_data_error = overlong;
        self.exchange.body_length = length;
        if self.wants_request_body() {
            let Self { program, exchange, live } = self;
            exchange.take_body(reading, proved, &program.bounds, &program.rules.settings, &live.controls);
        }
        self.phase(Phase::RequestBody, worker)
    }

    /// Phase 3: the response's head is known.
    pub fn response_head(
        &mut self,
        status: u16,
        version: &[u8],
        headers: &[(&[u8], &[u8])],
        worker: &mut Worker,
    ) -> Option<&Interruption> {
        self.exchange.read_response_head(status, version, headers);
        self.phase(Phase::ResponseHeaders, worker)
    }

    /// Whether the response's body is to be looked at: its media type is one that rules look into.
    #[must_use]
    pub fn wants_response_body(&self) -> bool {
        self.live.engine != EngineMode::Off
            && (self.live.controls.force_response_body
                || self.live.controls.response_body_access
                    && self.exchange.has_response_type(&self.program.rules.settings))
    }

    /// How many bytes of a response body are looked at.
    #[must_use]
    pub fn response_body_limit(&self) -> (usize, BodyLimitAction) {
        (self.live.controls.response_body_limit, self.program.rules.settings.response_body_limit_action)
    }

    /// Phase 4: the response's body is known, as far as it is looked at. `overlong` says that it is cut.
    pub fn response_body(
        &mut self,
        body: &[u8],
        overlong: bool,
        worker: &mut Worker,
    ) -> Option<&Interruption> {
        self.exchange.outbound_data_error = overlong;
        self.exchange.response_content_length = body.len();
        if self.wants_response_body() {
            let Self { program, exchange, live } = self;
            exchange.read_response_body(body, &program.rules.settings, &live.controls);
        }
        self.phase(Phase::ResponseBody, worker)
    }

    /// Phase 5: the exchange ended, whether or not it was stopped.
    pub fn finish(&mut self, worker: &mut Worker) {
        self.phase(Phase::Logging, worker);
        worker.scratch.shrink();
    }

    /// The values of which something is known, and what that spares: for whoever asks why a value was not looked at.
    #[must_use]
    pub fn spared(&self) -> Vec<Spared> {
        use Variable as V;
        let Self { program, exchange, live } = self;
        let Some(plan) = &program.plan else { return Vec::new() };
        let places = [
            (Place::Query, &exchange.args_get, [V::Args, V::ArgsGet]),
            (Place::Form, &exchange.args_post, [V::Args, V::ArgsPost]),
            (Place::Header, &exchange.headers, [V::RequestHeaders; 2]),
            (Place::Cookie, &exchange.cookies, [V::RequestCookies; 2]),
        ];
        let mut spared = Vec::new();
        for (place, entries, variables) in places {
            for entry in entries.iter().filter(|entry| entry.bound > 0) {
                let Some(bound) = program.bounds.get(entry.bound) else { continue };
                let (mut tests, mut left) = (0, 0usize);
                for phase in [Phase::RequestHeaders, Phase::RequestBody] {
                    let of = (program.rules.as_ref(), &live.tx);
                    let (all, some) = plan.left(phase, of, &program.bounds, (&variables, entry));
                    (tests, left) = (tests + all, left.saturating_add(some));
                }
                spared.push(Spared { place, name: entry.name.clone(), bound, tests, left });
            }
        }
        spared
    }

    /// What rules told so far.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.live.findings
    }

    /// What ended the exchange.
    #[must_use]
    pub fn interruption(&self) -> Option<&Interruption> {
        self.live.interruption.as_ref()
    }

    /// What would have ended the exchange first, where the engine only detects.
    #[must_use]
    pub fn would_interrupt(&self) -> Option<&Interruption> {
        self.live.would_interrupt.as_ref()
    }

    /// The same, and forgets it: the next is what would have ended the exchange from here on.
    pub fn take_would_interrupt(&mut self) -> Option<Interruption> {
        self.live.would_interrupt.take()
    }

    /// Whether the exchange belongs into the audit log.
    #[must_use]
    pub fn is_audited(&self) -> bool {
        match self.live.audit {
            AuditMode::On => true,
            AuditMode::Off => false,
            AuditMode::RelevantOnly => self.live.findings.iter().any(|finding| finding.audit_log),
        }
    }

    /// The variables that rules set.
    #[must_use]
    pub fn tx(&self) -> &Tx {
        &self.live.tx
    }

    /// Why nothing in the body has a name: it has no type, or one that nobody reads, or it is text that none of the rules
    /// looks at. Rules see its bytes alone.
    #[must_use]
    pub fn body_unread(&self) -> Option<UnreadableReason> {
        let text = self.exchange.body_is_text && !self.program.sees_text;
        self.exchange.body_unread.or(text.then_some(UnreadableReason::UnknownType))
    }

    /// Why the body could not be read.
    #[must_use]
    pub fn body_error(&self) -> Option<&str> {
        self.exchange.body_error.as_deref()
    }
}
