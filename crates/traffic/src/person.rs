//! A customer of the bank: visits, devices, patterns of browsing, and mistakes.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bartizan_bank::{Credentials, credentials, totp};
use bartizan_model::Timestamp;
use serde_json::json;

use crate::{
    actor::{Actor, Cue, Step},
    address,
    device::Device,
    draw::Draw,
    label::{Kind, Label, Part},
    request::{Connection, Planned},
    world::World,
};

/// What a person does at the bank.
#[derive(Clone, Copy, Debug)]
enum Deed {
    SignIn,
    Accounts,
    Cards,
    SignOut,
}

/// One customer.
pub struct Person {
    world: Arc<World>,
    id: i64,
    name: Arc<str>,
    credentials: Credentials,
    draw: Draw,
    plan: VecDeque<Deed>,
    under_way: Option<Deed>,
    connection: Option<Arc<Connection>>,
    token: Option<String>,
    waited: bool,
}

impl Person {
    pub fn new(world: Arc<World>, id: i64) -> Person {
        let seed = world.settings.seed;
        Person {
            id,
            name: format!("person-{id}").into(),
            credentials: credentials(seed, id),
            draw: Draw::of(seed, "person", id.unsigned_abs()),
            plan: VecDeque::new(),
            under_way: None,
            connection: None,
            token: None,
            waited: false,
            world,
        }
    }

    fn arrive(&mut self) {
        let device = Arc::new(Device::of_person(&mut self.draw));
        let country = self.draw.below(8);
        let home = address::of_person(&mut self.draw, country);
        let number = self.connection.as_ref().map_or(0, |before| before.number + 1);
        let peer = address::with_port(&mut self.draw, home);
        self.connection = Some(Arc::new(Connection { number, peer, device }));
        self.plan = [Deed::SignIn, Deed::Accounts, Deed::Cards, Deed::SignOut].into();
    }

    fn planned(
        &self,
        operation: &'static str,
        method: &'static str,
        target: &str,
        expected: u16,
    ) -> Option<Planned> {
        let mut fields = Vec::new();
        if let Some(token) = &self.token {
            fields.push(("Authorization".into(), format!("Bearer {token}").into()));
        }
        Some(Planned {
            connection: Arc::clone(self.connection.as_ref()?),
            method,
            target: target.to_owned(),
            fields,
            body: None,
            label: Label {
                actor: Arc::clone(&self.name),
                kind: Kind::Person,
                part: Part::Use,
                drill: None,
                flaw: None,
                operation: Some(operation),
                principal: Some(self.id),
                object: None,
                victim: None,
                expected: Some(expected),
            },
            foreseen: expected,
        })
    }

    fn request(&self, deed: Deed, now: Timestamp) -> Option<Planned> {
        match deed {
            Deed::SignIn => {
                let mut body =
                    json!({ "username": self.credentials.username, "password": self.credentials.password });
                if let (Some(secret), Some(object)) = (&self.credentials.totp, body.as_object_mut()) {
                    object.insert("totp".to_owned(), totp(secret, now).into());
                }
                let mut planned = self.planned("login", "POST", "/v1/login", 200)?;
                planned.fields = vec![("Content-Type".into(), "application/json".into())];
                planned.body = Some(body.to_string().into_bytes());
                Some(planned)
            }
            Deed::Accounts => self.planned("listAccounts", "GET", "/v1/accounts", 200),
            Deed::Cards => self.planned("listCards", "GET", "/v1/cards", 200),
            Deed::SignOut => self.planned("logout", "POST", "/v1/logout", 204),
        }
    }
}

impl Actor for Person {
    fn next(&mut self, now: Timestamp, cue: Cue<'_>) -> Step {
        if let (Some(Deed::SignIn), Cue::Answer(answer)) = (self.under_way.take(), cue) {
            let json = answer.json();
            self.token = json.and_then(|body| Some(body.get("access_token")?.as_str()?.to_owned()));
        }
        if !self.waited {
            self.waited = true;
            return Step::Wait(self.draw.gap(Duration::from_secs(8)));
        }
        self.waited = false;
        if self.plan.is_empty() {
            self.arrive();
        }
        let Some(deed) = self.plan.pop_front() else { return Step::End };
        self.under_way = Some(deed);
        match self.request(deed, now) {
            Some(planned) => Step::Send(Box::new(planned)),
            None => Step::End,
        }
    }
}
