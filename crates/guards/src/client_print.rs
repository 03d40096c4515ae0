//! What tells one client from another: the block of its address, its user agent, and its TLS hello as far as known.

use std::net::IpAddr;

use bartizan_model::{Transaction, address::canonical};
use http::header::USER_AGENT;

use crate::digest;

/// A client as it looks, by hashes only. Two clients may look the same; one client rarely looks like two at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientPrint {
    /// The /24 of an IPv4 address, the /48 of an IPv6 one.
    pub network: u64,
    /// The user agent, whole.
    pub agent: u64,
    /// The user agent without its version numbers.
    pub software: u64,
    /// What the TLS hello tells of the client's software.
    pub hello: Option<u64>,
}

impl ClientPrint {
    /// The client of this exchange.
    pub(crate) fn of(transaction: &Transaction) -> Self {
        let mut agents = transaction.request.headers.get_all(USER_AGENT).iter();
        let agent = agents.next().map(http::HeaderValue::as_bytes).unwrap_or_default();
        let digits = |byte: &&u8| !byte.is_ascii_digit() && **byte != b'.' && **byte != b'_';
        let software: Vec<u8> = agent.iter().filter(digits).copied().collect();
        ClientPrint {
            network: short(&block(transaction.client.ip)),
            agent: short(agent),
            software: short(&software),
            hello: transaction.hello,
        }
    }

    /// All of it as one number.
    pub(crate) fn number(&self) -> u64 {
        let hello = self.hello.unwrap_or(0);
        let parts = [self.network, self.agent, hello].map(u64::to_be_bytes);
        short(parts.as_flattened())
    }
}

/// The first bytes of the block that an address is from, behind the family.
fn block(ip: IpAddr) -> Vec<u8> {
    match canonical(ip) {
        IpAddr::V4(v4) => v4.octets().iter().take(3).copied().collect(),
        IpAddr::V6(v6) => v6.octets().iter().take(6).copied().collect(),
    }
}

/// 64 bits of SHA-256: nobody can make another value of the same hash that is worth having.
fn short(bytes: &[u8]) -> u64 {
    digest::sha256(&[bytes]).iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;
    use crate::support;

    fn print(ip: &str, agent: &str) -> ClientPrint {
        let mut transaction = support::transaction();
        transaction.client.ip = ip.parse().unwrap();
        transaction.request.headers.insert(USER_AGENT, agent.parse().unwrap());
        ClientPrint::of(&transaction)
    }

    #[test]
    fn a_block_of_addresses_is_one_network() {
        let same = |a, b| print(a, "x").network == print(b, "x").network;
        assert!(same("192.0.2.1", "192.0.2.254") && !same("192.0.2.1", "192.0.3.1"));
        assert!(same("2001:db8:1:2::1", "2001:db8:1:ffff::1") && !same("2001:db8:1::1", "2001:db8:2::1"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.9"));
    }

    #[test]
    fn an_update_is_the_same_software() {
        let (old, new) = (print("192.0.2.1", "Surf/118.0.2 (X11)"), print("192.0.2.1", "Surf/119.1 (X11)"));
        assert!(old.agent != new.agent && old.software == new.software);
        assert_ne!(old.software, print("192.0.2.1", "Wave/118.0.2 (X11)").software);
        assert_ne!(old.number(), new.number());
    }
}
