//! Who is about in the demo: people, and attackers of every kind who come back for as long as it runs.

use std::{sync::Arc, time::Duration};

use bartizan_model::Timestamp;
use bartizan_traffic::{Actor, Connection, Cue, Kind, Plan, Rhythm, Settings, Step, World};

/// Customers who are about.
pub const PEOPLE: u32 = 120;

/// A person's mean pause between visits.
const PEOPLE_PAUSE: Duration = Duration::from_secs(40);

/// When the first attacker begins, and the time until the next one.
const FIRST: Duration = Duration::from_millis(150);
const STAGGER: Duration = Duration::from_millis(450);

/// An attacker who has given up comes back as another one after this.
const ENCORE: Duration = Duration::from_secs(6);

/// Every kind of attacker in the order in which they come: what needs no preparation first, so that something is seen to be
/// stopped at once.
const ORDER: [Kind; 24] = [
    Kind::AnonymousAccess,
    Kind::ForgottenEndpoint,
    Kind::ForgedToken,
    Kind::PasswordGuessing,
    Kind::AccountEnumeration,
    Kind::SqlInjection,
    Kind::CredentialStuffing,
    Kind::PriceScraping,
    Kind::PathTrick,
    Kind::RecordEnumeration,
    Kind::MassAssignment,
    Kind::ForeignOrigin,
    Kind::NameProbing,
    Kind::LowPrivilege,
    Kind::ShellInjection,
    Kind::MethodOverride,
    Kind::TenantSwitch,
    Kind::ResetGuessing,
    Kind::OversizedHead,
    Kind::Ssrf,
    Kind::PageInflation,
    Kind::TemplateInjection,
    Kind::ErrorProbing,
    Kind::LoggedOutToken,
];

/// The world of a seed.
pub fn world(seed: u64) -> Arc<World> {
    let rhythm = Rhythm::Steady { pause: PEOPLE_PAUSE };
    World::new(Settings { seed, people: PEOPLE, rhythm, ..Settings::default() })
}

/// Everybody who is about.
pub fn actors(world: &Arc<World>, attacks: bool) -> Vec<Box<dyn Actor>> {
    let mut all: Vec<Box<dyn Actor>> = world.people().collect();
    if attacks {
        let mut begin = FIRST;
        for kind in ORDER {
            all.push(Box::new(Recurring::new(Arc::clone(world), kind, begin)));
            begin += STAGGER;
        }
    }
    all
}

/// Attackers of one kind, one after the other.
struct Recurring {
    world: Arc<World>,
    plan: Plan,
    now: Box<dyn Actor>,
    /// Until the first one begins.
    wait: Option<Duration>,
    /// Added to the numbers of the present one's connections: no two attackers share one.
    offset: u64,
    highest: u64,
}

impl Recurring {
    fn new(world: Arc<World>, kind: Kind, begin: Duration) -> Self {
        let plan = Plan::new(kind, 0);
        // A demo has minutes: everybody hurries, and the first one most.
        let haste = if ORDER.first() == Some(&kind) { 6 } else { 2 };
        let plan = plan.clone().pace(plan.pace / haste);
        let now = world.attacker(plan.clone());
        Recurring { world, plan, now, wait: Some(begin), offset: 0, highest: 0 }
    }
}

impl Actor for Recurring {
    fn next(&mut self, now: Timestamp, cue: Cue<'_>) -> Step {
        if let Some(wait) = self.wait.take() {
            return Step::Wait(wait);
        }
        match self.now.next(now, cue) {
            Step::End => {
                self.plan.instance += 1;
                self.now = self.world.attacker(self.plan.clone());
                self.offset = self.highest + 1;
                Step::Wait(ENCORE)
            }
            Step::Send(mut planned) => {
                let own = &planned.connection;
                let number = own.number + self.offset;
                planned.connection =
                    Arc::new(Connection { number, peer: own.peer, device: Arc::clone(&own.device) });
                self.highest = number;
                Step::Send(planned)
            }
            Step::Wait(time) => Step::Wait(time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_within_a_quarter_of_a_minute() {
        for kind in Kind::ATTACKS {
            assert!(ORDER.contains(&kind), "{kind:?}");
        }
        assert!(FIRST + STAGGER * 24 < Duration::from_secs(15));
    }
}
