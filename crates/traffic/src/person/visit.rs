//! What people come for, in which order, at which pace, and what goes wrong on the way.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bartizan_model::Timestamp;

use super::{Intent, Person, deed::Deed};
use crate::{device::Form, draw::Draw, request::Connection, rhythm::month_before};

/// A page asks for several things at once.
const SAME_PAGE: Duration = Duration::from_millis(60);
/// Reading a page.
const READING: Duration = Duration::from_secs(7);
/// Filling in a form.
const WRITING: Duration = Duration::from_secs(18);

/// The intents of one visit, without the sign-in.
pub fn plan(person: &mut Person, now: Timestamp) -> VecDeque<Intent> {
    let mut visit = Visit { intents: VecDeque::new() };
    let subjects = 1 + person.draw.below(3);
    visit.add(&mut person.draw, SAME_PAGE, Deed::Accounts);
    if person.draw.percent(60) {
        visit.add(&mut person.draw, SAME_PAGE, Deed::Me);
    }
    for _ in 0..subjects {
        match person.draw.below(100) {
            0..=27 => visit.balance(person),
            28..=47 => visit.payments(person, now),
            48..=58 => visit.statements(person, now),
            59..=73 => visit.prices(person),
            74..=79 => visit.support(person),
            80..=84 => visit.documents(person),
            85..=88 => visit.cards(person),
            89..=92 => visit.profile(person),
            93..=96 => visit.health(person),
            _ => visit.reports(person),
        }
        if person.draw.percent(3) {
            let stale = Deed::Stale(person.draw.below(2) == 0, 50_000_000 + person.draw.below(1_000_000));
            visit.add(&mut person.draw, READING, stale);
        }
    }
    let of_program = person.connection.as_ref().is_some_and(|connection| connection.device.form == Form::Sdk);
    if of_program && person.draw.percent(50) {
        visit.webhooks(person);
    }
    if person.draw.percent(35) {
        visit.add(&mut person.draw, READING, Deed::SignOut);
    }
    visit.intents
}

/// Puts a sign-in before everything else; sometimes the password is mistyped first.
pub fn sign_in(person: &mut Person, after: Duration) {
    let mut attempts = vec![Deed::SignIn { mistyped: false }];
    while attempts.len() < 3 && person.draw.percent(4) {
        attempts.insert(0, Deed::SignIn { mistyped: true });
    }
    for (at, deed) in attempts.into_iter().enumerate().rev() {
        let after = if at == 0 { after } else { person.draw.gap(Duration::from_secs(5)) };
        person.intents.push_front(Intent { after, deed });
    }
}

/// A new connection of the same device from the same address.
pub fn reconnect(person: &mut Person) {
    if let Some(before) = person.connection.take() {
        let peer = crate::address::with_port(&mut person.draw, before.peer.ip());
        let number = before.number + 1;
        person.connection = Some(Arc::new(Connection { number, peer, device: Arc::clone(&before.device) }));
    }
}

struct Visit {
    intents: VecDeque<Intent>,
}

impl Visit {
    fn add(&mut self, draw: &mut Draw, after: Duration, deed: Deed) {
        self.intents.push_back(Intent { after: draw.gap(after), deed });
    }

    /// A form that is sent; sometimes the button is pressed twice.
    fn submit(&mut self, draw: &mut Draw, deed: Deed) {
        self.add(draw, WRITING, deed.clone());
        if draw.percent(3) {
            self.intents.push_back(Intent { after: Duration::from_millis(draw.between(90, 260)), deed });
        }
    }

    /// A page that is read; sometimes the person goes back to the one before.
    fn read(&mut self, draw: &mut Draw, deed: Deed) {
        let before = self.intents.back().map(|intent| intent.deed.clone());
        self.add(draw, READING, deed);
        if let Some(before) = before.filter(|deed| deed.is_reading())
            && draw.percent(12)
        {
            self.add(draw, Duration::from_secs(3), before);
        }
    }

    fn balance(&mut self, person: &mut Person) {
        for account in person.some_accounts() {
            self.read(&mut person.draw, Deed::Account(account));
        }
        if person.draw.percent(40) {
            self.read(&mut person.draw, Deed::Transfers { limit: 20, offset: 0 });
        } else if person.draw.percent(15) {
            self.read(&mut person.draw, Deed::History);
        }
    }

    /// What only programs ask for.
    fn webhooks(&mut self, person: &mut Person) {
        self.add(&mut person.draw, SAME_PAGE, Deed::Webhooks);
        match person.draw.some(&person.webhooks).copied() {
            Some(id) if person.draw.percent(75) => {
                let leaves = person.draw.percent(20);
                let deed = if leaves { Deed::RemoveWebhook(id) } else { Deed::Deliveries(id) };
                self.add(&mut person.draw, SAME_PAGE, deed);
            }
            _ => {
                let number = person.draw.below(1_000);
                self.add(&mut person.draw, SAME_PAGE, Deed::AddWebhook(number));
            }
        }
    }

    fn payments(&mut self, person: &mut Person, now: Timestamp) {
        self.read(&mut person.draw, Deed::Payees);
        if person.draw.percent(25) {
            let name = person.draw.below(256);
            let to = person.world.popular_account(&mut person.draw);
            self.submit(&mut person.draw, Deed::AddPayee { name, to });
            self.add(&mut person.draw, SAME_PAGE, Deed::Payees);
        } else if let Some(id) = person.draw.some(&person.payees).copied() {
            let deed = match person.draw.below(10) {
                0..=2 => Deed::RemovePayee(id),
                3..=4 => Deed::RenamePayee { id, name: person.draw.below(256) },
                _ => Deed::Payee(id),
            };
            self.read(&mut person.draw, deed);
        }
        if person.draw.percent(70) {
            // Never the same again, also not in another run against the same bank.
            person.last_key = now.0.max(person.last_key + 1);
            let transfer = Deed::Transfer {
                key: person.last_key,
                savings: person.draw.percent(15),
                to: person.world.popular_account(&mut person.draw),
                cents: person.draw.between(100, 12_000),
                subject: person.draw.below(256),
            };
            self.submit(&mut person.draw, transfer);
        }
        self.add(&mut person.draw, SAME_PAGE, Deed::Transfers { limit: 20, offset: 0 });
        if let Some(id) = person.draw.some(&person.transfers).copied()
            && person.draw.percent(25)
        {
            self.read(&mut person.draw, Deed::TransferMade(id));
        }
        if person.draw.percent(30) {
            let word = person.draw.below(256);
            self.read(&mut person.draw, Deed::Search(word));
        }
    }

    fn statements(&mut self, person: &mut Person, now: Timestamp) {
        let account = person.id.unsigned_abs() * 2 - u64::from(person.draw.percent(85));
        let back = person.draw.between(1, 6);
        for month in 0..person.draw.between(1, 3) {
            let month = month_before(now, back + month);
            self.read(&mut person.draw, Deed::Statement(account, month));
        }
    }

    fn prices(&mut self, person: &mut Person) {
        let limit = person.draw.one(&[10, 20, 20]);
        for page in 0..person.draw.between(1, 3) {
            self.read(&mut person.draw, Deed::Prices { limit, offset: page * limit });
            for _ in 0..person.draw.below(3) {
                let price = person.world.popular_price(&mut person.draw);
                self.read(&mut person.draw, Deed::Price(price));
            }
        }
    }

    fn support(&mut self, person: &mut Person) {
        self.read(&mut person.draw, Deed::Notes);
        if person.draw.percent(60) {
            let text = person.draw.below(1 << 24);
            self.submit(&mut person.draw, Deed::AddNote(text));
            self.add(&mut person.draw, SAME_PAGE, Deed::Notes);
        }
    }

    fn documents(&mut self, person: &mut Person) {
        self.read(&mut person.draw, Deed::Documents);
        match person.draw.some(&person.documents).copied() {
            Some(id) if person.draw.percent(60) => {
                let deed =
                    if person.draw.percent(35) { Deed::RemoveDocument(id) } else { Deed::Document(id) };
                self.read(&mut person.draw, deed);
            }
            _ => {
                let upload = Deed::Upload { name: person.draw.below(256), kind: person.draw.below(4) };
                self.add(&mut person.draw, WRITING, upload);
            }
        }
    }

    fn cards(&mut self, person: &mut Person) {
        self.read(&mut person.draw, Deed::Cards);
        if person.draw.percent(4) {
            self.submit(&mut person.draw, Deed::LockCard);
            self.add(&mut person.draw, SAME_PAGE, Deed::Cards);
        }
    }

    fn profile(&mut self, person: &mut Person) {
        self.read(&mut person.draw, Deed::Me);
        if person.draw.percent(35) {
            let change = Deed::ChangeMe(person.draw.below(2) == 0, person.draw.below(10_000_000));
            self.submit(&mut person.draw, change);
        }
    }

    fn health(&mut self, person: &mut Person) {
        self.read(&mut person.draw, Deed::HealthRecords);
        self.read(&mut person.draw, Deed::HealthRecord);
    }

    fn reports(&mut self, person: &mut Person) {
        let name = person.draw.below(20);
        self.submit(&mut person.draw, Deed::MakeReport(name));
        self.add(&mut person.draw, Duration::from_secs(2), Deed::Report(name));
    }
}
