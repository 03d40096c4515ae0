//! The world that actors live in: one seed, the bank's customers, and who of them is about.

use std::{sync::Arc, time::Duration};

use bartizan_bank::CUSTOMERS;

use crate::{
    actor::Actor,
    attack::{self, Plan},
    person::Person,
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
    /// By hour of the day and day of the week (UTC), each person so often a day on the average.
    Days {
        /// Visits of one person in a day.
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
}

impl World {
    /// A world of these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Arc<World> {
        let most = u32::try_from(CUSTOMERS).unwrap_or(u32::MAX);
        Arc::new(World { settings: Settings { people: settings.people.min(most), ..settings } })
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
