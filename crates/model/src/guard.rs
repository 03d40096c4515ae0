//! The shape of a guard, and the proof that it ran.
//!
//! A guard may refuse, challenge, answer or continue; it cannot allow an exchange past the others. [`Mounted`] is a
//! guard with its mode, and running it is the only way to obtain a [`Cleared`]. Forwarding demands one `Cleared` per
//! guard, so a guard that was left out does not compile.

use std::{future::Future, marker::PhantomData, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{
    CompileContext, Denial, Diagnostics, Mode, Phase, Reason, ResponseHead, Timestamp, Transaction,
    probe::{Offer, Part, Probes},
    transaction::Step,
};

/// What a guard says of an exchange at one phase.
#[derive(Debug)]
pub enum Outcome<R> {
    /// Nothing against it.
    Continue,
    /// The guard answers itself (a CORS preflight, a redirect).
    Answer(Answer),
    /// A (better) credential is asked for.
    Challenge(R),
    /// Refused.
    Deny(R),
}

/// A response made by a guard.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, often empty.
    pub body: Bytes,
}

/// Why an exchange goes no further.
#[derive(Debug)]
pub enum Stop {
    /// A guard answered.
    Answer {
        /// Which guard.
        guard: &'static str,
        /// With what.
        answer: Box<Answer>,
    },
    /// A guard refused or challenged.
    Denial(Box<Denial>),
}

/// One guard, compiled: no invalid state, no I/O of its own, safe to share between exchanges.
///
/// Every hook continues by default. Hooks that need to wait (a key set's refetch, a shared counter) are the only ones
/// that yield.
pub trait Guard: Sized + Send + Sync + 'static {
    /// The name in configuration, findings, documents and metrics.
    const ID: &'static str;
    /// What a user writes. Field documentation is the manual; unknown fields are errors.
    type Config: DeserializeOwned + JsonSchema;
    /// Why it refuses.
    type Reason: Reason;

    /// Compiles the configuration, or reports everything that is wrong with it. Paths in diagnostics are relative to
    /// the guard's own block, such as `deny[3]`.
    fn compile(config: Self::Config, context: &CompileContext<'_>) -> Result<Self, Diagnostics>;

    /// What is doubtful about settings that compiled. Paths are relative to the guard's own block.
    fn warnings(&self, now: Timestamp) -> Diagnostics {
        let _ = now;
        Diagnostics::new()
    }

    /// Looks at the request head.
    fn request_headers(
        &self,
        transaction: &mut Transaction,
    ) -> impl Future<Output = Outcome<Self::Reason>> + Send {
        let _ = transaction;
        std::future::ready(Outcome::Continue)
    }

    /// How many bytes of the request body the guard has to see before it can decide, at most; asked after
    /// [`Guard::request_headers`]. `None` leaves the body alone, and it is streamed.
    fn needs_body(&self, transaction: &Transaction) -> Option<usize> {
        let _ = transaction;
        None
    }

    /// Looks at, and may edit, the response head before it is sent. Also called for responses that the gateway makes.
    fn response_headers(&self, transaction: &Transaction, response: &mut ResponseHead) {
        let _ = (transaction, response);
    }

    /// What [`Guard::response_headers`] does in monitor mode: the same, unless it could take something away from a client.
    fn watch_response_headers(&self, transaction: &Transaction, response: &mut ResponseHead) {
        self.response_headers(transaction, response);
    }

    /// What the guard can be probed with, from its compiled state: requests that it must refuse, and what a request needs
    /// to pass. `now` is for credentials that are made to be refused. A guard that refuses nothing offers nothing.
    fn probes(&self, now: Timestamp) -> Probes {
        let _ = now;
        Probes::default()
    }

    /// Learns how the exchange ended: releases what it holds, and may tell findings about the whole.
    fn settle(&self, transaction: &mut Transaction) {
        let _ = transaction;
    }
}

/// A guard with its mode, or the absence of one.
pub struct Mounted<G> {
    guard: Option<Arc<G>>,
    mode: Mode,
}

impl<G> Clone for Mounted<G> {
    fn clone(&self) -> Self {
        Mounted { guard: self.guard.clone(), mode: self.mode }
    }
}

/// The proof that a guard was evaluated under its mode and did not stop the exchange.
///
/// The field is private and only [`Mounted::request_headers`] and [`Mounted::request_body`] fill it: it cannot be forged.
pub struct Cleared<G>(PhantomData<fn() -> G>);

/// A guard that has heard the request head and decides with the body. It is no proof: [`Mounted::request_body`] makes one
/// of it.
pub struct Open<G> {
    needs_body: Option<usize>,
    guard: PhantomData<fn() -> G>,
}

/// A guard that has heard the request head: cleared, or still open because it decides with the body.
pub enum Begun<G> {
    /// It needs nothing more.
    Cleared(Cleared<G>),
    /// [`Mounted::finish`] makes a proof of it.
    Open(Open<G>),
}

impl<G> Begun<G> {
    /// How many bytes of the body have to be held for it, at most; `None` where it decides without.
    #[must_use]
    pub fn needs_body(&self) -> Option<usize> {
        match self {
            Begun::Cleared(_) => None,
            Begun::Open(open) => open.needs_body,
        }
    }
}

impl<G> Open<G> {
    /// How many bytes of the body have to be held for it, at most; `None` where it decides without.
    #[must_use]
    pub fn needs_body(&self) -> Option<usize> {
        self.needs_body
    }
}

impl<G: Guard> Mounted<G> {
    /// A guard that the policy mounts.
    #[must_use]
    pub fn new(guard: Arc<G>, mode: Mode) -> Self {
        Mounted { guard: Some(guard), mode }
    }

    /// A guard that the policy does not mention.
    #[must_use]
    pub fn absent() -> Self {
        Mounted { guard: None, mode: Mode::Off }
    }

    /// The mode that the policy gave it; `off` when absent.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether its refusals stop this exchange.
    #[must_use]
    pub fn enforces(&self, transaction: &Transaction) -> bool {
        self.mode == Mode::Enforce && !transaction.monitor_all
    }

    /// The compiled guard, unless absent or off.
    #[must_use]
    pub fn active(&self) -> Option<&G> {
        if self.mode == Mode::Off { None } else { self.guard.as_deref() }
    }

    /// The guard's id, its mode, and which one it is.
    #[must_use]
    pub fn part(&self) -> Part {
        // The address tells two compiled guards apart for as long as the policy holds both.
        let instance = self.guard.as_ref().map_or(0, |guard| Arc::as_ptr(guard).addr());
        Part { guard: G::ID, mode: self.mode, instance }
    }

    /// What the guard can be probed with, whatever its mode; `None` when absent.
    #[must_use]
    pub fn offer(&self, now: Timestamp) -> Option<Offer> {
        let probes = self.guard.as_ref()?.probes(now);
        Some(Offer { part: self.part(), probes })
    }

    /// Runs the guard on the request head under its mode.
    ///
    /// A refusal in `monitor` becomes a finding and the exchange continues; so does a break-glass
    /// (`Transaction::monitor_all`). An answer (a preflight, say) is given in both modes.
    ///
    /// # Errors
    /// The exchange goes no further: the guard answered, challenged or refused.
    pub async fn request_headers(&self, transaction: &mut Transaction) -> Result<Cleared<G>, Stop> {
        let Some(guard) = self.active() else {
            transaction.step(G::ID, Phase::RequestHeaders, self.mode, Step::Skipped);
            return Ok(Cleared(PhantomData));
        };
        transaction.guard_mode = self.mode_of(transaction);
        let outcome = guard.request_headers(transaction).await;
        if matches!(outcome, Outcome::Continue) {
            transaction.step(G::ID, Phase::RequestHeaders, self.mode, Step::Continued);
            return Ok(Cleared(PhantomData));
        }
        self.judge(transaction, Phase::RequestHeaders, outcome)?;
        Ok(Cleared(PhantomData))
    }

    /// Runs a guard on the request head that decides with the body: what it answers is no proof yet.
    ///
    /// # Errors
    /// As [`Mounted::request_headers`].
    pub async fn open(&self, transaction: &mut Transaction) -> Result<Open<G>, Stop> {
        let Some(guard) = self.active() else {
            transaction.step(G::ID, Phase::RequestHeaders, self.mode, Step::Skipped);
            return Ok(Open { needs_body: None, guard: PhantomData });
        };
        let before = transaction.findings.len();
        transaction.guard_mode = self.mode_of(transaction);
        let outcome = guard.request_headers(transaction).await;
        self.told_in_mode(transaction, before);
        self.judge(transaction, Phase::RequestHeaders, outcome)?;
        Ok(Open { needs_body: guard.needs_body(transaction), guard: PhantomData })
    }

    /// Runs a guard on the request head that decides with the body only where it says so: without, it is cleared.
    ///
    /// # Errors
    /// As [`Mounted::request_headers`].
    pub async fn begin(&self, transaction: &mut Transaction) -> Result<Begun<G>, Stop> {
        let Some(guard) = self.active() else {
            transaction.step(G::ID, Phase::RequestHeaders, self.mode, Step::Skipped);
            return Ok(Begun::Cleared(Cleared(PhantomData)));
        };
        let before = transaction.findings.len();
        let outcome = guard.request_headers(transaction).await;
        self.told_in_mode(transaction, before);
        let continued = matches!(outcome, Outcome::Continue);
        self.judge(transaction, Phase::RequestHeaders, outcome)?;
        let needs_body = guard.needs_body(transaction);
        if needs_body.is_some() {
            return Ok(Begun::Open(Open { needs_body, guard: PhantomData }));
        }
        if continued {
            transaction.step(G::ID, Phase::RequestHeaders, self.mode, Step::Continued);
        }
        Ok(Begun::Cleared(Cleared(PhantomData)))
    }

    /// Runs a guard that is still open on the request body: `look` shows it what was read.
    ///
    /// # Errors
    /// As [`Mounted::request_headers`].
    pub fn finish(
        &self,
        begun: Begun<G>,
        transaction: &mut Transaction,
        look: impl FnOnce(&G, &mut Transaction) -> Outcome<G::Reason>,
    ) -> Result<Cleared<G>, Stop> {
        match begun {
            Begun::Cleared(cleared) => Ok(cleared),
            Begun::Open(open) => self.request_body(open, transaction, look),
        }
    }

    /// Runs the guard on the request body under its mode, also where there is none: `look` shows it what was read.
    ///
    /// # Errors
    /// As [`Mounted::request_headers`].
    pub fn request_body(
        &self,
        open: Open<G>,
        transaction: &mut Transaction,
        look: impl FnOnce(&G, &mut Transaction) -> Outcome<G::Reason>,
    ) -> Result<Cleared<G>, Stop> {
        let Open { .. } = open;
        let Some(guard) = self.active() else { return Ok(Cleared(PhantomData)) };
        let before = transaction.findings.len();
        transaction.guard_mode = self.mode_of(transaction);
        let outcome = look(guard, transaction);
        self.told_in_mode(transaction, before);
        if matches!(outcome, Outcome::Continue) {
            transaction.step(G::ID, Phase::RequestBody, self.mode, Step::Continued);
        }
        self.judge(transaction, Phase::RequestBody, outcome)?;
        Ok(Cleared(PhantomData))
    }

    /// Runs the guard on a part of the response, `phase`, under its mode.
    ///
    /// # Errors
    /// The response must not be sent.
    pub fn response(
        &self,
        transaction: &mut Transaction,
        phase: Phase,
        look: impl FnOnce(&G, &mut Transaction) -> Outcome<G::Reason>,
    ) -> Result<(), Stop> {
        let Some(guard) = self.active() else { return Ok(()) };
        let before = transaction.findings.len();
        transaction.guard_mode = self.mode_of(transaction);
        let outcome = look(guard, transaction);
        self.told_in_mode(transaction, before);
        self.judge(transaction, phase, outcome)
    }

    /// Asks the guard about the head of a request that another one refused: what it says is told as what it would have done,
    /// and changes nothing.
    pub async fn consult_head(&self, transaction: &mut Transaction) {
        let Some(guard) = self.active() else { return };
        let before = transaction.findings.len();
        transaction.guard_mode = Mode::Monitor;
        let outcome = guard.request_headers(transaction).await;
        self.would(transaction, Phase::RequestHeaders, before, outcome);
    }

    /// The same about its body.
    pub fn consult_body(
        &self,
        transaction: &mut Transaction,
        look: impl FnOnce(&G, &mut Transaction) -> Outcome<G::Reason>,
    ) {
        let Some(guard) = self.active() else { return };
        let before = transaction.findings.len();
        transaction.guard_mode = Mode::Monitor;
        let outcome = look(guard, transaction);
        self.would(transaction, Phase::RequestBody, before, outcome);
    }

    /// Tells what a guard would have done.
    fn would(&self, transaction: &mut Transaction, phase: Phase, before: usize, outcome: Outcome<G::Reason>) {
        transaction.findings.iter_mut().skip(before).for_each(|finding| finding.mode = Mode::Monitor);
        if let Outcome::Challenge(reason) | Outcome::Deny(reason) = outcome {
            let denial = Denial::of(G::ID, &reason);
            transaction.find(denial.finding(phase, Mode::Monitor));
            transaction.step(G::ID, phase, Mode::Monitor, Step::Watched(denial.info.code));
        }
    }

    /// The mode for this exchange.
    fn mode_of(&self, transaction: &Transaction) -> Mode {
        if transaction.monitor_all { Mode::Monitor } else { self.mode }
    }

    /// A guard that tells findings of its own, from the place `before` on, does not know its mode.
    fn told_in_mode(&self, transaction: &mut Transaction, before: usize) {
        let mode = self.mode_of(transaction);
        transaction.findings.iter_mut().skip(before).for_each(|finding| finding.mode = mode);
    }

    /// Turns what a guard says into what happens, under its mode.
    fn judge(
        &self,
        transaction: &mut Transaction,
        phase: Phase,
        outcome: Outcome<G::Reason>,
    ) -> Result<(), Stop> {
        match outcome {
            Outcome::Continue => Ok(()),
            Outcome::Answer(answer) => {
                transaction.step(G::ID, phase, self.mode, Step::Answered);
                Err(Stop::Answer { guard: G::ID, answer: Box::new(answer) })
            }
            Outcome::Challenge(reason) | Outcome::Deny(reason) => {
                let enforced = self.mode_of(transaction);
                let denial = Denial::of(G::ID, &reason);
                transaction.find(denial.finding(phase, enforced));
                if enforced == Mode::Monitor {
                    transaction.step(G::ID, phase, enforced, Step::Watched(denial.info.code));
                    Ok(())
                } else {
                    transaction.step(G::ID, phase, enforced, Step::Refused(denial.info.code));
                    Err(Stop::Denial(Box::new(denial)))
                }
            }
        }
    }

    /// Runs the guard on the response head, unless it is off.
    pub fn response_headers(&self, transaction: &Transaction, response: &mut ResponseHead) {
        let Some(guard) = self.active() else { return };
        if self.mode == Mode::Monitor || transaction.monitor_all {
            guard.watch_response_headers(transaction, response);
        } else {
            guard.response_headers(transaction, response);
        }
    }

    /// Tells the guard how the exchange ended, unless it is off.
    pub fn settle(&self, transaction: &mut Transaction) {
        if let Some(guard) = self.active() {
            let before = transaction.findings.len();
            transaction.guard_mode = self.mode_of(transaction);
            guard.settle(transaction);
            self.told_in_mode(transaction, before);
        }
    }
}
