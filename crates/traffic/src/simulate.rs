//! Actors in simulated time: every request in order, with the answer of a small model of the bank.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
    time::Duration,
};

use bartizan_model::Timestamp;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::json;

use crate::{
    actor::{Actor, Cue, Step},
    attack::Plan,
    draw::Draw,
    label::{Kind, Part},
    request::{Answer, Planned},
    token::{self, LIFETIME},
    world::World,
};

/// Attackers at a time at most where there are no people to measure their share by.
const ALONE: usize = 8;

/// Steps of one actor without a request at most; an actor that waits longer has gone. 60 days of waits are fewer.
const MAX_IDLE: u32 = 100_000;

/// What a simulation holds beside its world.
#[derive(Clone, Debug)]
pub struct Mix {
    /// When it begins.
    pub start: Timestamp,
    /// The attacks that come, in turn.
    pub attacks: Vec<Kind>,
    /// Attackers come while fewer than this many of 100 requests are theirs.
    pub attack_percent: u64,
}

impl Default for Mix {
    /// Every attack, 10 % of the requests, from Monday 2026-03-02T08:00:00Z on.
    fn default() -> Self {
        Mix {
            start: Timestamp::from_seconds(1_772_438_400),
            attacks: Kind::ATTACKS.to_vec(),
            attack_percent: 10,
        }
    }
}

/// A request in simulated time, with its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Counts up from 1.
    pub id: u64,
    /// When it was sent; never before that of the exchange before.
    pub at: Timestamp,
    /// A number of the connection, the same for all requests on it.
    pub connection: u64,
    /// What was sent, with its label.
    pub request: Planned,
    /// What the model of the vulnerable bank answered. Bodies hold only what actors read of them.
    pub answer: Answer,
    /// Bytes that the body of a real answer has, roughly.
    pub bytes: u64,
    /// How long the answer took.
    pub latency: Duration,
}

/// Simulated time as an iterator. It never ends where people come again and again: take what is needed. Memory depends on
/// the number of actors, not on how long it runs.
pub struct Simulation {
    world: Arc<World>,
    mix: Mix,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    due: BinaryHeap<Reverse<(Timestamp, u64, usize)>>,
    sequence: u64,
    connections: u64,
    sent: u64,
    /// Attack requests that were sent or are still to come by the plans of those who are about.
    committed: u64,
    attackers: usize,
    instances: BTreeMap<Kind, u64>,
    queue: Vec<Kind>,
    draw: Draw,
    model: Model,
}

struct Slot {
    actor: Box<dyn Actor>,
    heard: Option<Answer>,
    /// The actor's number of its connection, and ours.
    connection: Option<(u64, u64)>,
    /// Requests still owed by an attacker's plan.
    owed: Option<u64>,
    idle: u32,
}

impl Simulation {
    /// A simulation of everybody in a world.
    #[must_use]
    pub fn new(world: &Arc<World>, mix: Mix) -> Simulation {
        let seed = world.settings().seed;
        let mut simulation = Simulation {
            world: Arc::clone(world),
            slots: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            sequence: 0,
            connections: 0,
            sent: 0,
            committed: 0,
            attackers: 0,
            instances: BTreeMap::new(),
            queue: Vec::new(),
            draw: Draw::of(seed, "simulation", 0),
            model: Model { world: Arc::clone(world), draw: Draw::of(seed, "model", 0), created: 1_000_000 },
            mix,
        };
        for person in world.people() {
            simulation.enter(person, None, simulation.mix.start);
        }
        simulation
    }

    fn enter(&mut self, actor: Box<dyn Actor>, owed: Option<u64>, at: Timestamp) {
        let slot = Slot { actor, heard: None, connection: None, owed, idle: 0 };
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        if let Some(free) = self.slots.get_mut(place) {
            *free = Some(slot);
        }
        self.call(place, at);
    }

    /// Asks an actor again at this time. Actors of the same moment act in the order in which they were put down.
    fn call(&mut self, place: usize, at: Timestamp) {
        self.sequence += 1;
        self.due.push(Reverse((at, self.sequence, place)));
    }

    /// Lets attackers come while their share is too small.
    fn attack(&mut self, now: Timestamp) {
        let alone = self.world.settings().people == 0 || self.mix.attack_percent >= 100;
        loop {
            let wanted = if alone {
                self.attackers < ALONE
            } else {
                self.committed * 100 < self.sent * self.mix.attack_percent
            };
            if !wanted || self.mix.attacks.is_empty() {
                return;
            }
            if self.queue.is_empty() {
                self.queue = self.mix.attacks.clone();
                // Fisher and Yates.
                for last in (1..self.queue.len()).rev() {
                    let other = usize::try_from(self.draw.below(last as u64 + 1)).unwrap_or_default();
                    self.queue.swap(last, other);
                }
            }
            let Some(kind) = self.queue.pop() else { return };
            let instance = self.instances.entry(kind).or_default();
            *instance += 1;
            let plan = Plan::new(kind, *instance);
            self.committed += plan.requests;
            self.attackers += 1;
            let at = now.plus(self.draw.gap(Duration::from_secs(20)));
            let owed = plan.requests;
            self.enter(self.world.attacker(plan), Some(owed), at);
        }
    }

    /// Ends an actor's part.
    fn leave(&mut self, place: usize) {
        let Some(slot) = self.slots.get_mut(place).and_then(Option::take) else { return };
        self.free.push(place);
        if let Some(owed) = slot.owed {
            self.committed = self.committed.saturating_sub(owed);
            self.attackers -= 1;
        }
    }

    fn send(&mut self, place: usize, now: Timestamp, request: Planned) -> Option<Exchange> {
        let slot = self.slots.get_mut(place)?.as_mut()?;
        slot.idle = 0;
        match (&mut slot.owed, request.label.part) {
            (Some(owed), Part::Attack) if *owed > 0 => *owed -= 1,
            // Groundwork counts as what attackers send, beyond their plans.
            (Some(_), _) => self.committed += 1,
            (None, _) => {}
        }
        let connection = match slot.connection {
            Some((number, connection)) if number == request.connection.number => connection,
            _ => {
                self.connections += 1;
                slot.connection = Some((request.connection.number, self.connections));
                self.connections
            }
        };
        let (answer, bytes, latency) = self.model.answer(&request, now);
        slot.heard = Some(answer.clone());
        self.sent += 1;
        self.call(place, now.plus(latency));
        Some(Exchange { id: self.sent, at: now, connection, request, answer, bytes, latency })
    }
}

impl Iterator for Simulation {
    type Item = Exchange;

    fn next(&mut self) -> Option<Exchange> {
        loop {
            let now = self.due.peek().map_or(self.mix.start, |Reverse((at, ..))| *at);
            self.attack(now);
            let Reverse((now, _, place)) = self.due.pop()?;
            let Some(slot) = self.slots.get_mut(place).and_then(Option::as_mut) else { continue };
            let heard = slot.heard.take();
            let cue = heard.as_ref().map_or(Cue::Time, Cue::Answer);
            match slot.actor.next(now, cue) {
                Step::Send(request) => {
                    if let Some(exchange) = self.send(place, now, *request) {
                        return Some(exchange);
                    }
                }
                Step::Wait(time) if slot.idle < MAX_IDLE => {
                    slot.idle += 1;
                    self.call(place, now.plus(time));
                }
                Step::Wait(_) | Step::End => self.leave(place),
            }
        }
    }
}

/// The model of the bank: it answers what actors foresee, and makes tokens and ids where they read them.
struct Model {
    world: Arc<World>,
    draw: Draw,
    created: u64,
}

impl Model {
    fn answer(&mut self, request: &Planned, now: Timestamp) -> (Answer, u64, Duration) {
        let status = request.foreseen;
        let operation = request.label.operation.unwrap_or_default();
        let mut answer = Answer { status, ..Answer::default() };
        let media = if status < 400 { "application/json" } else { "application/problem+json" };
        match (operation, status) {
            ("login" | "token", 200) => self.sign_in(request, now, &mut answer),
            (_, 201) => {
                self.created += 1;
                answer.body = json!({ "id": self.created }).to_string().into_bytes();
            }
            _ => {}
        }
        if status != 204 {
            answer.headers.push(("content-type".to_owned(), media.to_owned()));
        }
        let (bytes, mean) = usual(operation, status);
        let bytes = if answer.body.is_empty() { bytes } else { answer.body.len() as u64 };
        let latency = Duration::from_micros(600) + self.draw.gap(Duration::from_micros(mean));
        (answer, bytes, latency)
    }

    fn sign_in(&mut self, request: &Planned, now: Timestamp, answer: &mut Answer) {
        let customer = request.label.principal.unwrap_or_default();
        let session: Vec<u8> = (0..3).flat_map(|_| self.draw.bits().to_le_bytes()).collect();
        let session = BASE64.encode(session);
        let asked = String::from_utf8_lossy(request.body.as_deref().unwrap_or_default());
        let scope = if asked.contains("\"scope\":\"read\"") { "read" } else { "write" };
        let claims = token::claims(&self.world.settings.issuer, customer, &session, scope, now);
        let body = json!({
            "access_token": self.world.issuer.sign(&claims),
            "token_type": "Bearer",
            "expires_in": LIFETIME,
            "scope": scope,
        });
        answer.body = body.to_string().into_bytes();
        let cookie = format!("session={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age={LIFETIME}");
        answer.headers.push(("set-cookie".to_owned(), cookie));
    }
}

/// Bytes of an operation's answer, and the mean of the time that it takes beyond 0.6 ms, in microseconds: measured once on
/// the sample bank and rounded.
fn usual(operation: &str, status: u16) -> (u64, u64) {
    match (operation, status) {
        (_, 204) => (0, 400),
        (_, 400..) => (110, 300),
        ("login" | "token", _) => (640, 9_000),
        ("getStatement", _) => (58_000, 2_500),
        ("listPrices", _) => (1_900, 500),
        ("listAccounts", _) => (310, 300),
        ("listTransfers" | "search", _) => (1_400, 500),
        ("listCustomers", _) => (5_200, 600),
        _ => (260, 300),
    }
}
