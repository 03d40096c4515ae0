//! Banned addresses and networks: asked at accept time for every connection, so in memory and without a lock.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use bartizan_model::{Timestamp, address::canonical, services::Bans};
use ipnet::IpNet;
use serde::{Serialize, Serializer};

use crate::Changes;

/// Bans kept, in memory and on disk: about 20 MB at most. More would be a feed, which has a place of its own.
pub const MAX_BANS: usize = 100_000;

/// One ban.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ban {
    /// The address (as a /32 or /128) or network.
    pub target: IpNet,
    /// Why, in the operator's words.
    pub reason: String,
    /// When it ends by itself; `None` never. In JSON as RFC 3339 text.
    #[serde(serialize_with = "as_some_text")]
    pub until: Option<Timestamp>,
    /// When it was made. In JSON as RFC 3339 text.
    #[serde(serialize_with = "as_text")]
    pub created: Timestamp,
    /// Who made it.
    pub by: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde demands this signature")]
pub(crate) fn as_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

#[expect(clippy::ref_option, reason = "serde demands this signature")]
fn as_some_text<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}

/// The bans in force. Read without a lock; replaced whole when they change.
#[derive(Default)]
pub struct BanList {
    table: ArcSwap<Table>,
    changes: Changes,
}

#[derive(Default)]
struct Table {
    bans: HashMap<IpNet, Arc<Ban>>,
    /// Prefix lengths in use, so that a look-up tries these only.
    v4: Vec<u8>,
    v6: Vec<u8>,
}

impl BanList {
    /// The ban that covers `ip` at `now`, the narrowest first. Costs one hash per prefix length in use.
    #[must_use]
    pub fn find(&self, ip: IpAddr, now: Timestamp) -> Option<Arc<Ban>> {
        let table = self.table.load();
        if table.bans.is_empty() {
            return None;
        }
        let ip = canonical(ip);
        let prefixes = if ip.is_ipv4() { &table.v4 } else { &table.v6 };
        prefixes.iter().find_map(|&prefix| {
            let network = IpNet::new(ip, prefix).ok()?.trunc();
            table.bans.get(&network).filter(|ban| ban.until.is_none_or(|until| until > now)).cloned()
        })
    }

    /// How many bans there are, those that have ended since the last sweep included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.load().bans.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The generation of the list, and notice of its changes: who holds live connections looks again after each.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    pub(crate) fn replace(&self, bans: Vec<Ban>) {
        let mut table = Table::default();
        for ban in bans {
            let prefixes = if ban.target.addr().is_ipv4() { &mut table.v4 } else { &mut table.v6 };
            if !prefixes.contains(&ban.target.prefix_len()) {
                prefixes.push(ban.target.prefix_len());
            }
            table.bans.insert(ban.target, Arc::new(ban));
        }
        table.v4.sort_unstable_by(|a, b| b.cmp(a));
        table.v6.sort_unstable_by(|a, b| b.cmp(a));
        self.table.store(Arc::new(table));
        self.changes.announce();
    }
}

impl Bans for BanList {
    fn is_banned(&self, ip: IpAddr, now: Timestamp) -> bool {
        self.find(ip, now).is_some()
    }
}

/// The form in which targets are stored and compared: host bits cleared, IPv4-mapped IPv6 as IPv4.
pub(crate) fn normal(target: IpNet) -> IpNet {
    let net = target.trunc();
    match (canonical(net.addr()), net.prefix_len()) {
        (IpAddr::V4(v4), prefix) if net.addr().is_ipv6() && prefix >= 96 => {
            IpNet::new(IpAddr::V4(v4), prefix - 96).unwrap_or(net)
        }
        _ => net,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    fn ban(target: &str, until: Option<Timestamp>) -> Ban {
        Ban {
            target: normal(target.parse().unwrap()),
            reason: target.to_owned(),
            until,
            created: Timestamp(0),
            by: "test".to_owned(),
        }
    }

    #[test]
    fn addresses_and_networks_are_found_and_end() {
        let list = BanList::default();
        let before = list.changes().generation();
        list.replace(vec![
            ban("192.0.2.7/32", Some(Timestamp::from_seconds(100))),
            ban("198.51.100.9/24", None),
            ban("2001:db8::1/64", None),
            ban("::ffff:203.0.113.5/128", None),
        ]);
        assert!(list.changes().generation() > before);
        let at = |ip: &str, seconds| list.find(ip.parse().unwrap(), Timestamp::from_seconds(seconds));
        assert!(at("192.0.2.7", 99).is_some());
        assert!(at("192.0.2.7", 100).is_none(), "ends when `until` is reached");
        assert!(at("192.0.2.8", 0).is_none());
        assert!(at("198.51.100.200", 0).is_some());
        assert!(at("::ffff:198.51.100.200", 0).is_some(), "IPv4-mapped IPv6 is the IPv4 address");
        assert!(at("203.0.113.5", 0).is_some());
        assert!(at("2001:db8::ffff", 0).is_some());
        assert!(at("2001:db8:0:1::", 0).is_none());
    }
}
