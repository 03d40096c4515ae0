//! Who is on the other end of the connection, as far as addresses can tell.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

/// The two ends of a transaction's client side.
///
/// `ip` is decided once, before any guard runs, from the peer, the PROXY header and (only when the peer is a trusted
/// proxy) `Forwarded`/`X-Forwarded-For` read right to left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Client {
    /// The client's address that decisions use.
    pub ip: IpAddr,
    /// The socket's other end: the last hop before us.
    pub peer: SocketAddr,
}

/// An address as limits see it: IPv4 whole, IPv6 by its /64 (a household or a host owns at least that much), and
/// IPv4-mapped IPv6 as the IPv4 address that it is.
#[must_use]
pub fn limiting_key(ip: IpAddr) -> IpAddr {
    match canonical(ip) {
        IpAddr::V6(v6) => {
            let bits = u128::from(v6) & (u128::MAX << 64);
            IpAddr::V6(bits.into())
        }
        v4 => v4,
    }
}

/// An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) as plain IPv4; anything else unchanged.
#[must_use]
pub fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 => v4,
    }
}
