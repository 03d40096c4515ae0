//! What is remembered of one credential's clients, and how risky another one is.

use std::time::Duration;

use bartizan_model::Timestamp;

use super::config::Weights;
use crate::client_print::ClientPrint;

/// Blocks of addresses that a credential is known to come from: home, work, a telephone's networks.
const NETWORKS: usize = 8;

/// Blocks within an hour that ordinary mobility explains.
const ORDINARY: usize = 4;

const HOUR: Duration = Duration::from_secs(3_600);

/// The client that a credential belongs to.
#[derive(Clone, Debug)]
pub(super) struct Sight {
    client: ClientPrint,
    networks: Vec<Network>,
    /// When it was first used in a way that is refused.
    moved: Option<Timestamp>,
    /// The last client that was told of.
    told: Option<u64>,
}

/// A block of addresses.
#[derive(Clone, Copy, Debug)]
struct Network {
    block: u64,
    /// The autonomous system; 0 where it is not known.
    asn: u32,
    last: Timestamp,
}

/// How a client differs from the one that a credential belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs {
    pub network: bool,
    pub provider: bool,
    pub agent: bool,
    pub version: bool,
    pub hello: bool,
    pub hopping: bool,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// From 0 to 100.
    pub risk: u8,
    pub signs: Signs,
    /// Since when the credential is used in a way that is refused.
    pub moved: Option<Timestamp>,
    /// Whether this client was not told of before.
    pub is_new: bool,
}

impl Sight {
    /// A credential's first client.
    pub(super) fn new(client: ClientPrint, asn: u32, now: Timestamp) -> Self {
        let network = Network { block: client.network, asn, last: now };
        Sight { client, networks: vec![network], moved: None, told: None }
    }

    /// Judges a client; what ordinary mobility explains is learned. From the risk `high` on nothing is.
    pub(super) fn look(
        &mut self,
        client: &ClientPrint,
        asn: u32,
        now: Timestamp,
        weights: &Weights,
        high: u8,
    ) -> Seen {
        let is_known = self.networks.iter().any(|network| network.block == client.network);
        let lately = self.networks.iter().filter(|network| now.since(network.last) < HOUR).count();
        // A network whose provider is not known may be of any.
        let may_be = |network: &Network| network.asn == asn || network.asn == 0;
        let signs = Signs {
            network: !is_known,
            provider: !is_known && asn != 0 && !self.networks.iter().any(may_be),
            agent: client.software != self.client.software,
            version: client.software == self.client.software && client.agent != self.client.agent,
            // Whoever came without TLS, or comes so now, shows none.
            hello: self.client.hello.zip(client.hello).is_some_and(|(before, now)| before != now),
            hopping: !is_known && lately >= ORDINARY,
        };
        let weighed = [
            (signs.network, weights.network),
            (signs.provider, weights.provider),
            (signs.agent, weights.agent),
            (signs.version, weights.version),
            (signs.hello, weights.hello),
            (signs.hopping, weights.hopping),
        ];
        let risk = weighed
            .iter()
            .filter(|(found, _)| *found)
            .fold(0_u8, |sum, (_, weight)| sum.saturating_add(*weight));
        let risk = risk.min(100);
        if risk >= high {
            self.moved.get_or_insert(now);
        } else if !signs.agent && !signs.hello {
            self.learn(client, asn, now);
        }
        let is_new = self.told != Some(client.number());
        if risk > 0 {
            self.told = Some(client.number());
        }
        Seen { risk, signs, moved: self.moved.filter(|_| risk >= high), is_new }
    }

    /// The credential belongs to this client from now on.
    pub(super) fn rebind(&mut self, client: ClientPrint, asn: u32, now: Timestamp) {
        *self = Sight::new(client, asn, now);
    }

    fn learn(&mut self, client: &ClientPrint, asn: u32, now: Timestamp) {
        self.client.agent = client.agent;
        self.client.hello = self.client.hello.or(client.hello);
        let network = Network { block: client.network, asn, last: now };
        if let Some(known) = self.networks.iter_mut().find(|known| known.block == network.block) {
            *known = network;
        } else if self.networks.len() < NETWORKS {
            self.networks.push(network);
        } else if let Some(oldest) = self.networks.iter_mut().min_by_key(|known| known.last) {
            *oldest = network;
        }
    }
}

impl Signs {
    /// What differs, for people.
    pub(super) fn told(self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.network.then_some("another network"));
        parts.extend(self.provider.then_some("another provider"));
        parts.extend(self.agent.then_some("other software"));
        parts.extend(self.version.then_some("another version of its software"));
        parts.extend(self.hello.then_some("another TLS hello"));
        parts.extend(self.hopping.then_some("many networks within an hour"));
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(network: u64, software: u64, agent: u64, hello: Option<u64>) -> ClientPrint {
        ClientPrint { network, agent, software, hello }
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + second)
    }

    #[test]
    fn ordinary_mobility_is_low_and_learned() {
        let weights = Weights::default();
        let mut sight = Sight::new(client(1, 1, 1, Some(1)), 0, at(0));
        let risk = |sight: &mut Sight, client, second| sight.look(&client, 0, at(second), &weights, 60).risk;
        assert_eq!(risk(&mut sight, client(1, 1, 1, Some(1)), 1), 0);
        assert_eq!(risk(&mut sight, client(2, 1, 1, Some(1)), 2), 25, "another network");
        assert_eq!(risk(&mut sight, client(2, 1, 1, Some(1)), 3), 0, "now known");
        assert_eq!(risk(&mut sight, client(1, 1, 1, Some(1)), 4), 0, "and back");
        assert_eq!(risk(&mut sight, client(1, 1, 2, Some(1)), 5), 5, "an update");
        assert_eq!(risk(&mut sight, client(1, 1, 2, Some(1)), 6), 0);
    }

    #[test]
    fn another_client_elsewhere_is_high_and_stays_so() {
        let weights = Weights::default();
        let mut sight = Sight::new(client(1, 1, 1, Some(1)), 0, at(0));
        let thief = client(2, 2, 2, Some(2));
        for second in 10..20 {
            let seen = sight.look(&thief, 0, at(second), &weights, 60);
            assert_eq!((seen.risk, seen.moved, seen.is_new), (100, Some(at(10)), second == 10));
        }
        assert_eq!(
            sight.look(&client(1, 1, 1, Some(1)), 0, at(20), &weights, 60).risk,
            0,
            "the owner goes on"
        );
        // In two steps: a network is learned, software is not.
        assert_eq!(sight.look(&client(3, 1, 1, Some(1)), 0, at(30), &weights, 60).risk, 25);
        let slid = client(3, 2, 2, Some(2));
        assert_eq!(sight.look(&slid, 0, at(31), &weights, 60).risk, 75);
        sight.rebind(slid, 0, at(40));
        assert_eq!(sight.look(&slid, 0, at(41), &weights, 60).risk, 0);
        assert!(sight.look(&client(1, 1, 1, Some(1)), 0, at(42), &weights, 60).moved.is_some());
    }

    #[test]
    fn another_provider_counts_more_than_another_block() {
        let weights = Weights::default();
        let mut sight = Sight::new(client(1, 1, 1, None), 64_496, at(0));
        let risk = |sight: &mut Sight, block, asn| {
            sight.look(&client(block, 1, 1, None), asn, at(1), &weights, 60).risk
        };
        assert_eq!(risk(&mut sight, 2, 64_496), 25, "the same provider");
        assert_eq!(risk(&mut sight, 3, 64_497), 40);
        assert_eq!(risk(&mut sight, 4, 64_497), 25, "known by now");
        assert_eq!(risk(&mut sight, 5, 0), 45, "not known whose: the fifth network within an hour");
    }

    #[test]
    fn many_networks_within_an_hour_add_up() {
        let weights = Weights::default();
        let mut sight = Sight::new(client(0, 1, 1, None), 0, at(0));
        let risks: Vec<u8> =
            (1..8).map(|n| sight.look(&client(n, 1, 1, None), 0, at(n), &weights, 60).risk).collect();
        assert_eq!(risks, [25, 25, 25, 45, 45, 45, 45]);
        for n in 100..200 {
            sight.look(&client(n, 1, 1, None), 0, at(n), &weights, 60);
        }
        assert_eq!(sight.networks.len(), NETWORKS);
    }
}
