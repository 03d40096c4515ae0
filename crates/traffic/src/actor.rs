//! What people and attackers have in common: they say what they do next, and hear what was answered.

use std::time::Duration;

use bartizan_model::Timestamp;

use crate::request::{Answer, Planned};

/// A person or an attacker, as a state machine without a clock or a socket.
///
/// Whoever runs it calls [`Actor::next`] with [`Cue::Time`] at the beginning and after a wait, and with what was heard
/// after a request. An actor has one request under way at a time; many at once are many actors.
pub trait Actor: Send {
    /// What it does next. `now` is the clock that the server judges tokens and one-time codes by.
    fn next(&mut self, now: Timestamp, cue: Cue<'_>) -> Step;
}

/// Why an actor is asked again.
#[derive(Clone, Copy, Debug)]
pub enum Cue<'a> {
    /// It begins, or its wait is over.
    Time,
    /// Its request was answered.
    Answer(&'a Answer),
    /// Its request was not answered: the connection could not be made, was closed, or time ran out.
    Broken,
}

/// What an actor does.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends a request.
    Send(Box<Planned>),
    /// Does nothing for this long. A live run divides it by its speed.
    Wait(Duration),
    /// Has gone.
    End,
}
