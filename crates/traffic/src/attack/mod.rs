//! Attackers: one plan, one behaviour for each kind, all of which adapt to what they are answered.

use std::{sync::Arc, time::Duration};

use bartizan_model::Timestamp;

use crate::{
    actor::{Actor, Cue, Step},
    label::Kind,
    world::World,
};

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
    /// Tenths of a percent of the catalogue or of the customers where it begins: fleets divide the work by it.
    pub from_permille: u64,
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
            from_permille: 0,
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

pub(crate) fn make(_world: &Arc<World>, _plan: Plan) -> Box<dyn Actor> {
    Box::new(Gone)
}

/// An attacker with nothing to do.
struct Gone;

impl Actor for Gone {
    fn next(&mut self, _now: Timestamp, _cue: Cue<'_>) -> Step {
        Step::End
    }
}
