//! What all attackers share: identities to call from, an account of their own to sign in with, and sense enough to notice
//! that they are refused.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bartizan_bank::{CUSTOMERS, credentials};
use bartizan_model::Timestamp;
use serde_json::{Value, json};

use super::Plan;
use crate::{
    actor::{Actor, Cue, Step},
    address,
    device::Device,
    draw::Draw,
    label::{Label, Part},
    request::{Answer, Connection, Planned},
    world::World,
};

/// The pace is slowed down by this at most.
const MAX_SLOWDOWN: u32 = 64;

/// Refusals in a row before another identity is taken.
const TOLERATED: u32 = 4;

/// Sign-ins in a row that may fail before the attacker gives up.
const MAX_SIGN_INS: u32 = 6;

/// Whose credential a request carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credential {
    /// A token of the attacker's own account, which is signed in first.
    #[default]
    Own,
    /// None.
    None,
    /// This value of `Authorization`, with the customer whose it was.
    Value(String, Option<i64>),
}

/// One request of an attack, before it has an identity.
#[derive(Clone, Debug)]
pub struct Shot {
    method: &'static str,
    target: Cow<'static, str>,
    fields: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    body: Option<Vec<u8>>,
    credential: Credential,
    part: Part,
    flaw: Option<Option<&'static str>>,
    operation: Option<&'static str>,
    object: Option<String>,
    victim: Option<i64>,
    foreseen: u16,
}

impl Shot {
    /// A request without a body, which the vulnerable bank answers by 200.
    pub fn new(method: &'static str, target: impl Into<Cow<'static, str>>) -> Shot {
        Shot {
            method,
            target: target.into(),
            fields: Vec::new(),
            body: None,
            credential: Credential::Own,
            part: Part::Attack,
            flaw: None,
            operation: None,
            object: None,
            victim: None,
            foreseen: 200,
        }
    }

    pub fn get(target: impl Into<Cow<'static, str>>) -> Shot {
        Shot::new("GET", target)
    }

    pub fn body(mut self, media: &'static str, body: impl Into<Vec<u8>>) -> Shot {
        self.body = Some(body.into());
        self.field("Content-Type", media)
    }

    pub fn json(self, body: &Value) -> Shot {
        self.body("application/json", body.to_string())
    }

    pub fn field(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Shot {
        self.fields.push((name.into(), value.into()));
        self
    }

    pub fn with(self, credential: Credential) -> Shot {
        Shot { credential, ..self }
    }

    pub fn anonymous(self) -> Shot {
        self.with(Credential::None)
    }

    pub fn groundwork(self) -> Shot {
        Shot { part: Part::Groundwork, ..self }
    }

    /// Another flaw than that of the kind, or none.
    pub fn flaw(self, flaw: Option<&'static str>) -> Shot {
        Shot { flaw: Some(flaw), ..self }
    }

    pub fn on(self, operation: &'static str) -> Shot {
        Shot { operation: Some(operation), ..self }
    }

    pub fn object(self, object: impl Into<String>) -> Shot {
        Shot { object: Some(object.into()), ..self }
    }

    pub fn victim(self, victim: i64) -> Shot {
        Shot { victim: Some(victim), ..self }
    }

    pub fn foreseen(self, foreseen: u16) -> Shot {
        Shot { foreseen, ..self }
    }
}

/// What an attacker of one kind does.
pub trait Behaviour: Send {
    /// The next request; `None` when there is nothing more to do.
    fn aim(&mut self, attacker: &mut Attacker, now: Timestamp) -> Option<Shot>;

    /// What was heard of the last request; `None` where there was no answer. The attacker has adapted its identity, pace
    /// and token already.
    fn hear(&mut self, _attacker: &mut Attacker, _answer: Option<&Answer>, _now: Timestamp) {}
}

/// An attacker's means.
pub struct Attacker {
    pub world: Arc<World>,
    pub plan: Plan,
    pub draw: Draw,
    name: Arc<str>,
    connection: Arc<Connection>,
    /// The customer whose account is the attacker's own.
    pub account: i64,
    /// The scope that is asked for.
    pub scope: &'static str,
    pub token: Option<Arc<str>>,
    token_ends: Timestamp,
    slowdown: u32,
    refused: u32,
    sign_ins: u32,
    hold: Option<Duration>,
}

impl Attacker {
    pub fn new(world: &Arc<World>, plan: Plan) -> Attacker {
        let seed = world.settings.seed;
        let mut draw = Draw::of(seed, plan.kind.name(), plan.instance);
        let (peer, device) = identity(&mut draw);
        let mut attacker = Attacker {
            name: format!("{}-{}", plan.kind.name(), plan.instance).into(),
            connection: Arc::new(Connection { number: 0, peer, device: Arc::new(device) }),
            account: 0,
            scope: "write",
            token: None,
            token_ends: Timestamp::default(),
            slowdown: 1,
            refused: 0,
            sign_ins: 0,
            hold: None,
            world: Arc::clone(world),
            plan,
            draw,
        };
        attacker.account = attacker.accomplice(0);
        attacker
    }

    /// A customer who works for the attacker: not one of those who are about, where there are others, and without one-time
    /// codes.
    pub fn accomplice(&self, number: u64) -> i64 {
        let people = i64::from(self.world.settings.people);
        let (from, count) =
            if people <= CUSTOMERS - 8 { (people + 4, CUSTOMERS - people - 4) } else { (1, CUSTOMERS) };
        let name = self.plan.kind as u64 * 1_000_003 + self.plan.instance * 101 + number;
        let drawn = Draw::of(self.world.settings.seed, "accomplice", name).below(count.unsigned_abs());
        let id = from + i64::try_from(drawn).unwrap_or_default();
        if id % 4 == 0 { id - 1 } else { id }
    }

    /// Calls from elsewhere and as something else from here on.
    pub fn switch(&mut self) {
        let number = self.connection.number + 1;
        let seed = self.world.settings.seed;
        let (addresses, devices) = (self.plan.addresses.max(1), self.plan.devices.max(1));
        let fleet = (self.plan.kind as u64) << 56 | (self.plan.instance & 0xff_ffff) << 32;
        let mut draw = Draw::of(seed, "bot address", fleet | self.draw.below(addresses));
        let peer = address::with_port(&mut self.draw, address::of_attacker(&mut draw));
        let mut draw = Draw::of(seed, "bot device", fleet | self.draw.below(devices));
        let device = Arc::new(Device::of_attacker(&mut draw));
        self.connection = Arc::new(Connection { number, peer, device });
        self.refused = 0;
    }

    /// Whether there are other identities to take.
    pub const fn is_fleet(&self) -> bool {
        self.plan.addresses > 1
    }

    /// Drops the token: the next request that needs one signs in first.
    pub fn sign_out(&mut self) {
        self.token = None;
    }

    /// Lets the next request wait no less than this.
    pub fn hold(&mut self, time: Duration) {
        self.hold = Some(self.hold.unwrap_or_default().max(time));
    }

    /// What every attacker does about an answer.
    fn adapt(&mut self, answer: Option<&Answer>, own_token: bool) {
        match answer.map(|answer| answer.status) {
            Some(429) => {
                self.refused += 1;
                self.slowdown = (self.slowdown * 2).min(MAX_SLOWDOWN);
                if self.is_fleet() {
                    self.switch();
                } else {
                    let asked = answer.and_then(Answer::retry_after).unwrap_or(5);
                    self.hold(Duration::from_secs(asked).min(self.plan.patience));
                }
            }
            Some(401) if own_token => {
                self.token = None;
                self.refused += 1;
            }
            Some(400..=599) => self.refused += 1,
            Some(_) => {
                self.refused = 0;
                self.slowdown = (self.slowdown - self.slowdown / 4).max(1);
            }
            None => {
                self.slowdown = (self.slowdown * 2).min(MAX_SLOWDOWN);
                self.switch();
            }
        }
        if self.refused > TOLERATED && self.is_fleet() {
            self.switch();
        }
    }

    fn label(&self, shot: &mut Shot, principal: Option<i64>) -> Label {
        let kind = self.plan.kind;
        let attack = shot.part == Part::Attack;
        Label {
            actor: Arc::clone(&self.name),
            kind,
            part: shot.part,
            drill: kind.drill(),
            flaw: shot.flaw.unwrap_or(kind.flaw()).filter(|_| attack),
            operation: shot.operation,
            principal,
            object: shot.object.take(),
            victim: shot.victim,
            expected: None,
        }
    }

    fn dress(&self, mut shot: Shot) -> Planned {
        let principal = match &shot.credential {
            Credential::Own => Some(self.account),
            // A sign-in as somebody else, with the right password.
            Credential::None => {
                shot.victim.filter(|_| shot.operation == Some("login") && shot.foreseen == 200)
            }
            Credential::Value(_, principal) => *principal,
        };
        match (&shot.credential, &self.token) {
            (Credential::Own, Some(token)) => {
                shot.fields.push(("Authorization".into(), format!("Bearer {token}").into()));
            }
            (Credential::Value(value, _), _) => {
                shot.fields.push(("Authorization".into(), value.clone().into()));
            }
            _ => {}
        }
        let label = self.label(&mut shot, principal);
        let body = shot.body.or_else(|| matches!(shot.method, "POST" | "PUT").then(Vec::new));
        Planned {
            connection: Arc::clone(&self.connection),
            method: shot.method,
            target: shot.target.into_owned(),
            fields: shot.fields,
            body,
            label,
            foreseen: shot.foreseen,
        }
    }

    fn sign_in(&mut self) -> Planned {
        self.sign_ins += 1;
        let own = credentials(self.world.settings.seed, self.account);
        let mut body = json!({ "username": own.username, "password": own.password });
        if let (true, Some(object)) = (self.scope != "write", body.as_object_mut()) {
            object.insert("scope".to_owned(), self.scope.into());
        }
        let shot = Shot::new("POST", "/v1/login").json(&body).on("login").groundwork().anonymous();
        let mut planned = self.dress(shot);
        planned.label.principal = Some(self.account);
        planned
    }

    fn take_token(&mut self, answer: Option<&Answer>, now: Timestamp) {
        let body = answer.filter(|answer| answer.is_success()).and_then(Answer::json);
        if let Some(token) = body.as_ref().and_then(|body| body.get("access_token")?.as_str()) {
            self.token = Some(token.into());
            let lives = body.as_ref().and_then(|body| body.get("expires_in")?.as_u64()).unwrap_or(900);
            self.token_ends = now.plus(Duration::from_secs(lives.saturating_sub(20)));
            self.sign_ins = 0;
        }
    }
}

fn identity(draw: &mut Draw) -> (std::net::SocketAddr, Device) {
    let address = address::of_attacker(draw);
    (address::with_port(draw, address), Device::of_attacker(draw))
}

/// What an attacker waits for.
enum Awaited {
    SignIn,
    Shot { own_token: bool },
}

/// An attacker of one kind as an actor.
pub struct Driven<B> {
    attacker: Attacker,
    behaviour: B,
    awaited: Option<Awaited>,
    /// What is aimed and waits for a token.
    aimed: Option<Shot>,
    shots: u64,
    waited: bool,
}

impl<B: Behaviour> Driven<B> {
    pub fn new(attacker: Attacker, behaviour: B) -> Self {
        Driven { attacker, behaviour, awaited: None, aimed: None, shots: 0, waited: false }
    }
}

impl<B: Behaviour> Actor for Driven<B> {
    fn next(&mut self, now: Timestamp, cue: Cue<'_>) -> Step {
        let attacker = &mut self.attacker;
        if let Some(awaited) = self.awaited.take() {
            let answer = match cue {
                Cue::Answer(answer) => Some(answer),
                Cue::Time | Cue::Broken => None,
            };
            match awaited {
                Awaited::SignIn => {
                    attacker.take_token(answer, now);
                    attacker.adapt(answer, false);
                }
                Awaited::Shot { own_token } => {
                    attacker.adapt(answer, own_token);
                    self.behaviour.hear(attacker, answer, now);
                }
            }
            self.waited = false;
        }
        if !self.waited {
            self.waited = true;
            let pause = attacker.draw.gap(attacker.plan.pace.saturating_mul(attacker.slowdown));
            let wait = pause.max(attacker.hold.take().unwrap_or_default());
            if !wait.is_zero() {
                return Step::Wait(wait);
            }
        }
        if self.aimed.is_none() {
            if self.shots >= attacker.plan.requests {
                return Step::End;
            }
            self.aimed = self.behaviour.aim(attacker, now);
        }
        let Some(shot) = self.aimed.take() else { return Step::End };
        let own_token = shot.credential == Credential::Own;
        if own_token && (attacker.token.is_none() || attacker.token_ends <= now) {
            attacker.token = None;
            if attacker.sign_ins >= MAX_SIGN_INS {
                return Step::End;
            }
            self.aimed = Some(shot);
            self.awaited = Some(Awaited::SignIn);
            return Step::Send(Box::new(attacker.sign_in()));
        }
        self.shots += u64::from(shot.part == Part::Attack);
        self.awaited = Some(Awaited::Shot { own_token });
        Step::Send(Box::new(attacker.dress(shot)))
    }
}
