//! Attackers: one plan, one behaviour for each kind, all of which adapt to what they are answered.

mod attacker;
mod injection;
mod logins;
mod objects;
mod probes;
mod scraping;
mod tokens;

use std::{sync::Arc, time::Duration};

use crate::{actor::Actor, label::Kind, world::World};
use attacker::{Attacker, Driven};

/// What one attacker does, and how much of it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The behaviour.
    pub kind: Kind,
    /// Tells attackers of one kind apart: their names, addresses and choices.
    pub instance: u64,
    /// Requests of the attack itself, before it gives up; groundwork comes on top.
    pub requests: u64,
    /// The mean time between two requests. Some kinds slow down when they are refused.
    pub pace: Duration,
    /// Addresses that it can call from.
    pub addresses: u64,
    /// Fingerprints that it can take.
    pub devices: u64,
    /// Of 100 leaked passwords so many are still right (credential stuffing).
    pub valid_percent: u64,
    /// Where it begins: an id, a price or an entry of a list, so that a fleet can share the work. 0 leaves it to the kind.
    pub from: u64,
    /// How long it waits at most where it is told to (`Retry-After`) and has no other address.
    pub patience: Duration,
}

impl Plan {
    /// The plan that suits a kind: tens to hundreds of requests, as one attacker with modest means sends them.
    #[must_use]
    pub const fn new(kind: Kind, instance: u64) -> Plan {
        let (requests, pace_ms, addresses, devices) = match kind {
            Kind::CredentialStuffing => (400, 300, 100, 20),
            Kind::PasswordGuessing => (120, 700, 3, 1),
            Kind::AccountEnumeration | Kind::RecordEnumeration => (200, 400, 1, 1),
            Kind::PriceScraping => (150, 500, 8, 4),
            Kind::NameProbing => (100, 500, 4, 2),
            Kind::ResetGuessing => (40, 800, 2, 1),
            Kind::TenantSwitch => (40, 1_000, 1, 1),
            _ => (24, 1_500, 1, 1),
        };
        Plan {
            kind,
            instance,
            requests,
            pace: Duration::from_millis(pace_ms),
            addresses,
            devices,
            valid_percent: 5,
            from: 0,
            patience: Duration::from_secs(30),
        }
    }

    /// With this many requests.
    #[must_use]
    pub const fn requests(self, requests: u64) -> Plan {
        Plan { requests, ..self }
    }

    /// With this mean time between requests.
    #[must_use]
    pub const fn pace(self, pace: Duration) -> Plan {
        Plan { pace, ..self }
    }

    /// With so many addresses and fingerprints.
    #[must_use]
    pub const fn identities(self, addresses: u64, devices: u64) -> Plan {
        Plan { addresses, devices, ..self }
    }
}

/// The actor of a plan.
pub(crate) fn make(world: &Arc<World>, plan: Plan) -> Box<dyn Actor> {
    let mut attacker = Attacker::new(world, plan);
    match attacker.plan.kind {
        Kind::Person => world.person(u32::try_from(attacker.plan.instance).unwrap_or(1)),
        Kind::AccountEnumeration | Kind::RecordEnumeration | Kind::TenantSwitch => {
            let behaviour = objects::Enumeration::new(&attacker);
            Box::new(Driven::new(attacker, behaviour))
        }
        Kind::CredentialStuffing => Box::new(Driven::new(attacker, logins::Stuffing::default())),
        Kind::PasswordGuessing => {
            let behaviour = logins::Guessing::new(&attacker);
            Box::new(Driven::new(attacker, behaviour))
        }
        Kind::NameProbing => Box::new(Driven::new(attacker, logins::NameProbing::default())),
        Kind::ResetGuessing => {
            let behaviour = logins::ResetGuessing::new(&attacker);
            Box::new(Driven::new(attacker, behaviour))
        }
        Kind::PriceScraping => {
            let behaviour = scraping::Scraping::new(&attacker);
            Box::new(Driven::new(attacker, behaviour))
        }
        Kind::ForgedToken => Box::new(Driven::new(attacker, tokens::Forging::default())),
        Kind::LoggedOutToken => Box::new(Driven::new(attacker, tokens::LoggedOut::default())),
        Kind::SqlInjection | Kind::ShellInjection | Kind::TemplateInjection | Kind::Ssrf => {
            Box::new(Driven::new(attacker, injection::Injection::default()))
        }
        Kind::PageInflation
        | Kind::AnonymousAccess
        | Kind::ForgottenEndpoint
        | Kind::MethodOverride
        | Kind::MassAssignment
        | Kind::PathTrick
        | Kind::LowPrivilege
        | Kind::ForeignOrigin
        | Kind::OversizedHead
        | Kind::ErrorProbing => {
            let behaviour = probes::Probing::new(&mut attacker);
            Box::new(Driven::new(attacker, behaviour))
        }
    }
}
