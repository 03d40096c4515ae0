//! The world that actors live in: one seed, the bank's customers, and who of them is about.

use std::{sync::Arc, time::Duration};

use bartizan_bank::{CUSTOMERS, PRICES};
use serde_json::Value;

use crate::{
    actor::Actor,
    attack::{self, Plan},
    draw::Draw,
    person::Person,
    token::Issuer,
    zipf::Zipf,
};

/// How a world is made. Everything that happens in it follows from these.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The same seed makes the same world; it is the seed of the sample bank too.
    pub seed: u64,
    /// Customers who are about, with the ids 1 to this; at most [`CUSTOMERS`].
    pub people: u32,
    /// What requests have as `Host`.
    pub host: String,
    /// The name of the issuer of tokens that the simulation makes.
    pub issuer: String,
    /// When people come.
    pub rhythm: Rhythm,
}

/// When people come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rhythm {
    /// By hour of the day and day of the week (UTC); few people come often, most rarely.
    Days {
        /// Visits of one person on a working day, on the average over everybody.
        visits: u32,
    },
    /// Without a pattern, each person this long after the last visit on the average: for demos and drills, which have
    /// minutes and not days.
    Steady {
        /// The mean pause between visits, also before the first.
        pause: Duration,
    },
    /// Each person comes once, within the first `within`, and is gone after the visit.
    Once {
        /// The time within which everybody begins.
        within: Duration,
    },
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            seed: 1,
            people: 1_000,
            host: "bank.example".to_owned(),
            issuer: "https://bank.example".to_owned(),
            rhythm: Rhythm::Days { visits: 2 },
        }
    }
}

/// What actors share. Making one is cheap; it never changes.
#[derive(Debug)]
pub struct World {
    pub(crate) settings: Settings,
    /// Whose tokens the simulation hands out.
    pub(crate) issuer: Issuer,
    /// A key that nobody trusts.
    pub(crate) foreign: Issuer,
    prices: Zipf,
    accounts: Zipf,
}

impl World {
    /// A world of these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Arc<World> {
        let most = u32::try_from(CUSTOMERS).unwrap_or(u32::MAX);
        Arc::new(World {
            issuer: Issuer::of(settings.seed, "issuer"),
            foreign: Issuer::of(settings.seed, "foreign issuer"),
            prices: Zipf::new(PRICES.unsigned_abs()),
            accounts: Zipf::new(CUSTOMERS.unsigned_abs() * 2),
            settings: Settings { people: settings.people.min(most), ..settings },
        })
    }

    /// The key set of the simulated issuer (RFC 7517), by which tokens in files can be verified.
    #[must_use]
    pub fn jwks(&self) -> Value {
        self.issuer.jwks()
    }

    /// An account that money goes to: few get most of it.
    pub(crate) fn popular_account(&self, draw: &mut Draw) -> u64 {
        self.accounts.draw(draw)
    }

    /// A price of the catalogue: few are looked at by many.
    pub(crate) fn popular_price(&self, draw: &mut Draw) -> u64 {
        self.prices.draw(draw)
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Everybody who is about.
    pub fn people(self: &Arc<Self>) -> impl Iterator<Item = Box<dyn Actor>> + use<> {
        let world = Arc::clone(self);
        (1..=world.settings.people).map(move |id| world.person(id))
    }

    /// The customer with this id.
    #[must_use]
    pub fn person(self: &Arc<Self>, id: u32) -> Box<dyn Actor> {
        Box::new(Person::new(Arc::clone(self), i64::from(id)))
    }

    /// An attacker who follows a plan.
    #[must_use]
    pub fn attacker(self: &Arc<Self>, plan: Plan) -> Box<dyn Actor> {
        attack::make(self, plan)
    }
}
