//! A customer of the bank: visits, devices, patterns of browsing, and mistakes.

mod deed;
mod visit;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bartizan_bank::{Credentials, credentials};
use bartizan_model::Timestamp;

use crate::{
    actor::{Actor, Cue, Step},
    address,
    device::Device,
    draw::Draw,
    request::{Answer, Connection, Planned},
    rhythm,
    world::{Rhythm, World},
};
use deed::Deed;

/// A token is renewed when it lives no longer than this.
const RENEW: Duration = Duration::from_secs(30);

/// Lines of the catalogue that a person reads within a minute at most. The bank without flaws takes 200 for a scraper.
const PRICES_PER_MINUTE: u64 = 100;

/// What a person sends in one run at most, in cents: every account holds more at the beginning.
const ALLOWANCE: u64 = 90_000;

/// Payees, notes, documents and webhooks that a person adds in one run at most; the bank takes a few more of each.
const MOST_PAYEES: usize = 60;
const MOST_NOTES: u64 = 100;
const MOST_DOCUMENTS: usize = 8;
const MOST_WEBHOOKS: usize = 4;

/// Transfers whose ids a person remembers; the oldest goes.
const MOST_TRANSFERS: usize = 20;

/// Something to do, and how long the person takes before it.
#[derive(Clone, Debug)]
struct Intent {
    after: Duration,
    deed: Deed,
}

/// The token that a person holds.
struct Token {
    text: Arc<str>,
    ends: Timestamp,
}

/// One customer.
pub struct Person {
    world: Arc<World>,
    id: i64,
    name: Arc<str>,
    credentials: Credentials,
    draw: Draw,
    visits: u64,
    /// What is still to be done of this visit; empty between visits.
    intents: VecDeque<Intent>,
    /// The deed whose answer is awaited.
    under_way: Option<Deed>,
    /// Whether the wait before the first intent is over.
    waited: bool,
    connection: Option<Arc<Connection>>,
    /// The device of this visit, by number, and the one that the token is on.
    device: u64,
    token: Option<Token>,
    token_device: u64,
    cookie: Option<String>,
    /// The step of the last one-time code that was used: each works once.
    used_step: u64,
    sent_cents: u64,
    notes: u64,
    /// The last idempotency key.
    last_key: u64,
    payees: Vec<u64>,
    documents: Vec<u64>,
    transfers: Vec<u64>,
    webhooks: Vec<u64>,
    prices_since: Timestamp,
    prices_read: u64,
}

impl Person {
    pub fn new(world: Arc<World>, id: i64) -> Person {
        let seed = world.settings.seed;
        Person {
            id,
            name: format!("person-{id}").into(),
            credentials: credentials(seed, id),
            draw: Draw::of(seed, "person", id.unsigned_abs()),
            visits: 0,
            intents: VecDeque::new(),
            under_way: None,
            waited: false,
            connection: None,
            device: 0,
            token: None,
            token_device: 0,
            cookie: None,
            used_step: 0,
            sent_cents: 0,
            notes: 0,
            last_key: 0,
            payees: Vec::new(),
            documents: Vec::new(),
            transfers: Vec::new(),
            webhooks: Vec::new(),
            prices_since: Timestamp::default(),
            prices_read: 0,
            world,
        }
    }

    /// How long the person stays away; `None` for good.
    fn away(&mut self, now: Timestamp) -> Option<Duration> {
        match self.world.settings.rhythm {
            Rhythm::Days { visits } => {
                let activity = rhythm::activity(self.world.settings.seed, self.id.unsigned_abs());
                Some(rhythm::until_next(&mut self.draw, now, visits, activity))
            }
            Rhythm::Steady { pause } => Some(self.draw.gap(pause)),
            Rhythm::Once { within } if self.visits == 0 => {
                let micros = u64::try_from(within.as_micros()).unwrap_or(u64::MAX);
                Some(Duration::from_micros(self.draw.below(micros)))
            }
            Rhythm::Once { .. } => None,
        }
    }

    /// Begins a visit: a device, an address, and what to do there.
    fn arrive(&mut self, now: Timestamp) {
        self.visits += 1;
        let seed = self.world.settings.seed;
        let id = self.id.unsigned_abs();
        let devices = 1 + Draw::of(seed, "devices", id).below(4);
        // The first device is the usual one.
        self.device = if self.draw.percent(70) { 0 } else { self.draw.below(devices) };
        let device = Device::of_person(&mut Draw::of(seed, "device", id * 4 + self.device));
        // Now and then somebody calls from a place where they are not at home.
        let away = if self.draw.percent(12) { 1 + self.draw.below(6) } else { 0 };
        let address = address::of_person(seed, id, self.device, away);
        let number = self.connection.as_ref().map_or(0, |before| before.number + 1);
        let peer = address::with_port(&mut self.draw, address);
        self.connection = Some(Arc::new(Connection { number, peer, device: Arc::new(device) }));
        self.intents = visit::plan(self, now);
        if !self.holds_token(now) {
            self.token = None;
            self.cookie = None;
            visit::sign_in(self, Duration::ZERO);
        }
    }

    fn holds_token(&self, now: Timestamp) -> bool {
        self.token_device == self.device
            && self.token.as_ref().is_some_and(|token| token.ends.since(now) > RENEW)
    }

    /// Takes note of an answer.
    fn hear(&mut self, deed: &Deed, answer: &Answer, now: Timestamp) {
        match deed {
            Deed::SignIn { .. } if answer.is_success() => {
                let body = answer.json().unwrap_or_default();
                let lives = body.get("expires_in").and_then(serde_json::Value::as_u64).unwrap_or(900);
                let ends = now.plus(Duration::from_secs(lives));
                let text = body.get("access_token").and_then(serde_json::Value::as_str);
                self.token = text.map(|text| Token { text: text.into(), ends });
                self.token_device = self.device;
                let cookie = answer.header("set-cookie").and_then(|cookie| cookie.split(';').next());
                self.cookie = cookie.map(str::to_owned);
            }
            Deed::SignOut => self.token = None,
            Deed::AddPayee { .. } => self.payees.extend(created(answer)),
            Deed::Upload { .. } => self.documents.extend(created(answer)),
            Deed::AddWebhook(_) => self.webhooks.extend(created(answer)),
            Deed::Transfer { .. } => {
                if self.transfers.len() >= MOST_TRANSFERS {
                    self.transfers.remove(0);
                }
                self.transfers.extend(created(answer));
            }
            _ if answer.status == 401 && self.token.is_some() => {
                // The session has ended early: a person signs in again and goes on.
                self.token = None;
                visit::sign_in(self, Duration::from_secs(3));
            }
            _ => {}
        }
    }

    /// What was removed, or may have been where no answer came, is not asked for again.
    fn forget(&mut self, deed: &Deed) {
        match deed {
            Deed::RemovePayee(id) => self.payees.retain(|kept| kept != id),
            Deed::RemoveDocument(id) => self.documents.retain(|kept| kept != id),
            Deed::RemoveWebhook(id) => self.webhooks.retain(|kept| kept != id),
            _ => {}
        }
    }

    /// Whether something is not to be done just now: it is left out, not done late.
    fn refrains(&mut self, deed: &Deed, now: Timestamp) -> bool {
        let lines = match deed {
            Deed::Prices { limit, .. } => *limit,
            Deed::Price(_) => 1,
            Deed::Transfer { cents, .. } => return self.sent_cents + cents > ALLOWANCE,
            Deed::AddNote(_) => return self.notes >= MOST_NOTES,
            Deed::AddPayee { .. } => return self.payees.len() >= MOST_PAYEES,
            Deed::AddWebhook(_) => return self.webhooks.len() >= MOST_WEBHOOKS,
            // Chosen when the visit began, and gone by now.
            Deed::Payee(id) | Deed::RenamePayee { id, .. } | Deed::RemovePayee(id) => {
                return !self.payees.contains(id);
            }
            Deed::Document(id) | Deed::RemoveDocument(id) => return !self.documents.contains(id),
            Deed::Deliveries(id) | Deed::RemoveWebhook(id) => return !self.webhooks.contains(id),
            Deed::Upload { .. } => return self.documents.len() >= MOST_DOCUMENTS,
            _ => return false,
        };
        if now.since(self.prices_since) > Duration::from_secs(61) {
            self.prices_since = now;
            self.prices_read = 0;
        }
        self.prices_read += lines;
        self.prices_read > PRICES_PER_MINUTE
    }

    /// The next request of this visit, or how long to wait for the next one-time code; `None` at its end.
    fn proceed(&mut self, now: Timestamp) -> Option<Result<Planned, Duration>> {
        while let Some(Intent { deed, .. }) = self.intents.pop_front() {
            let signs_in = matches!(deed, Deed::SignIn { .. });
            if !signs_in && self.token.as_ref().is_none_or(|token| token.ends.since(now) <= RENEW) {
                self.intents.push_front(Intent { after: Duration::ZERO, deed });
                visit::sign_in(self, Duration::ZERO);
                continue;
            }
            if signs_in && self.credentials.totp.is_some() && now.seconds() / 30 <= self.used_step {
                self.intents.push_front(Intent { after: Duration::ZERO, deed });
                return Some(Err(Duration::from_secs(4)));
            }
            if self.refrains(&deed, now) {
                continue;
            }
            let planned = deed::request(self, &deed, now)?;
            self.under_way = Some(deed);
            return Some(Ok(planned));
        }
        None
    }
}

/// The id of what was created.
fn created(answer: &Answer) -> Option<u64> {
    answer.is_success().then(|| answer.json()?.get("id")?.as_u64()).flatten()
}

impl Actor for Person {
    fn next(&mut self, now: Timestamp, cue: Cue<'_>) -> Step {
        if let Some(deed) = self.under_way.take() {
            self.waited = false;
            self.forget(&deed);
            match cue {
                Cue::Answer(answer) => self.hear(&deed, answer, now),
                // A person reloads the page, on a new connection.
                Cue::Broken | Cue::Time => visit::reconnect(self),
            }
        }
        if !self.waited {
            self.waited = true;
            match self.intents.front() {
                Some(next) if next.after.is_zero() => {}
                Some(next) => return Step::Wait(next.after),
                None => match self.away(now) {
                    Some(time) => return Step::Wait(time),
                    None => return Step::End,
                },
            }
        }
        if self.intents.is_empty() {
            self.arrive(now);
        }
        match self.proceed(now) {
            Some(Ok(planned)) => Step::Send(Box::new(planned)),
            Some(Err(wait)) => Step::Wait(wait),
            None => {
                self.intents.clear();
                self.waited = false;
                Step::Wait(Duration::from_secs(1))
            }
        }
    }
}
