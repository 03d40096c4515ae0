//! Whose object is asked for, as far as the request tells: its head, then its body.

use std::sync::Arc;

use bartizan_authz::ownership::Missing;
use bartizan_model::{Outcome, Phase, Transaction};

use super::{
    Looking, Ownership, State,
    answer::REMEDY,
    config::Undecided,
    enumeration::Seen,
    find,
    heads::is_websocket,
    parameters::Doubt,
    reason::{self, Why},
    undecided_by,
    values::{self, Body, Scene},
};
use crate::body::HeldBody;

impl Ownership {
    /// Judges as far as the request goes: its head, then its body.
    pub(super) fn request(
        &self,
        transaction: &mut Transaction,
        looking: &mut Looking,
        body: Option<&HeldBody>,
    ) -> Outcome<Why> {
        let mut scene = Scene::of(transaction, &looking.parameters);
        if let Some(held) = body {
            scene.body = Body::Held(held);
            looking.object = self.hasher.hash_one((looking.object, &held.bytes));
        }
        let mut unread = None;
        match self.parameters.doubt(&scene, body) {
            Some(Doubt::Differ(places)) => {
                looking.state = State::Told;
                return Outcome::Deny(Why::Conflict { places });
            }
            Some(Doubt::Unread(what)) if self.parameters.lets_unread_pass() => unread = Some(what),
            Some(Doubt::Unread(what)) => {
                looking.state = State::Told;
                return Outcome::Deny(Why::Unread { what });
            }
            None => {}
        }
        // A probe of the live path asks for no object; it shows that parameters are compared.
        if transaction.scratch.is_some() {
            looking.state = State::Told;
            return Outcome::Continue;
        }
        let Some(rule) = self.rule(looking).filter(|_| looking.state == State::Open) else {
            if let Some(what) = unread {
                find(transaction, &Why::Unread { what }, Phase::RequestBody);
            }
            return Outcome::Continue;
        };
        let mut open = false;
        let mut why = None;
        for predicate in &rule.predicates {
            let possible = predicate.judge(&scene);
            let undecided = possible.cannot_hold() && rule.undecided == Undecided::Deny;
            if possible.holds() {
                continue;
            }
            if possible.fails() {
                why = Some(Why::Foreign {
                    rule: Arc::clone(&rule.label),
                    predicate: Arc::clone(predicate.text()),
                    records: None,
                    answer: rule.answer,
                });
                break;
            }
            if possible.is_open() && !undecided {
                open = true;
                continue;
            }
            let (value, missing) =
                possible.missing.unwrap_or_else(|| ("the predicate".into(), Missing::Unreadable));
            why = Some(if possible.of_caller {
                Why::Caller {
                    rule: Arc::clone(&rule.label),
                    value,
                    anonymous: missing == Missing::Anonymous,
                    answer: rule.answer,
                }
            } else {
                undecided_by(rule, reason::told(&value, missing), REMEDY)
            });
        }
        if why.is_none() && open && is_websocket(transaction) {
            why = Some(undecided_by(rule, "a WebSocket has no answer that is read".into(), REMEDY));
        }
        if body.is_some() {
            looking.body_seen = true;
            if open
                && rule.asks_body
                && let Some(held) = body
            {
                looking.kept = values::kept(&rule.predicates, held);
            }
        }
        let allowed = rule.undecided == Undecided::Allow;
        if let Some(what) = unread {
            find(transaction, &Why::Unread { what }, Phase::RequestBody);
        }
        match why {
            None => {
                looking.state = if open { State::Open } else { State::Own };
                Outcome::Continue
            }
            Some(undecided @ Why::Undecided { .. }) if allowed => {
                find(transaction, &undecided, Phase::RequestHeaders);
                looking.state = State::Own;
                Outcome::Continue
            }
            Some(why) => {
                looking.state = State::Told;
                let seen = if matches!(why, Why::Foreign { .. }) { Seen::Foreign } else { Seen::Missing };
                self.count(transaction, looking, seen, Phase::RequestHeaders);
                Outcome::Deny(why)
            }
        }
    }
}
