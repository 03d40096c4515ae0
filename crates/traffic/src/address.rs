//! Where people and attackers call from: addresses that belong to nobody.
//!
//! People get addresses of the range for measurements (198.18.0.0/15, RFC 2544) and of the documentation prefix
//! 2001:db8::/32 (RFC 3849); attackers of 100.64.0.0/10 (RFC 6598) and 3fff::/20 (RFC 9637). A country is a slice of each,
//! so that a test can give the slices countries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::draw::Draw;

/// The slices of the ranges, in order; people are mostly of the first.
pub const COUNTRIES: [&str; 8] = ["DE", "FR", "GB", "IT", "PL", "ES", "NL", "AT"];

/// A home or mobile address of a person of the country with this number.
pub fn of_person(draw: &mut Draw, country: u64) -> IpAddr {
    if draw.percent(35) {
        return v6(0x2001_0db8, country, draw);
    }
    // 16,384 addresses a country.
    let host = draw.below(1 << 14);
    IpAddr::V4(Ipv4Addr::from_bits(bits(0xc612_0000 | u64::from(country as u8 & 7) << 14 | host)))
}

/// An address of a hosting firm or of a proxy in somebody's home.
pub fn of_attacker(draw: &mut Draw) -> IpAddr {
    if draw.percent(10) {
        let network = draw.below(256);
        return v6(0x3fff_0000, network, draw);
    }
    IpAddr::V4(Ipv4Addr::from_bits(bits(0x6440_0000 | draw.below(1 << 22))))
}

/// An address with a port as clients choose it.
pub fn with_port(draw: &mut Draw, address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, u16::try_from(draw.between(32_768, 60_999)).unwrap_or(40_000))
}

fn v6(prefix: u32, network: u64, draw: &mut Draw) -> IpAddr {
    let high = u128::from(prefix) << 96 | u128::from(network) << 80 | u128::from(draw.below(1 << 16)) << 64;
    IpAddr::V6(Ipv6Addr::from_bits(high | u128::from(draw.bits())))
}

fn bits(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
