//! Where people and attackers call from: addresses that belong to nobody.
//!
//! IPv4 is of the range for measurements (198.18.0.0/15, RFC 2544) and, for phones, of the range that carriers share
//! (100.64.0.0/10, RFC 6598); IPv6 is of the documentation prefix 2001:db8::/32 (RFC 3849). Attackers mostly use homes and
//! phones that others own, in the same slices as people: an address alone tells nobody apart.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::draw::Draw;

/// Slices of 198.18.0.0/15 with 16,384 addresses each: 0 to 5 are countries, 6 and 7 hosting firms. A slice has the IPv6
/// network 2001:db8:N::/48 as well.
const COUNTRIES: u64 = 6;

/// A person's address with this device: at home, on the carrier's network, or (`away` above 0) at another place. A fifth of
/// the people share a home with a neighbour by number.
pub fn of_person(seed: u64, id: u64, device: u64, away: u64) -> IpAddr {
    if away > 0 {
        return of_home(&mut Draw::of(seed, "away", id * 8 + away));
    }
    if device % 2 == 1 {
        let mut draw = Draw::of(seed, "mobile", id * 4 + device);
        if draw.percent(40) {
            return of_carrier(&mut draw);
        }
    }
    let household = if id.is_multiple_of(5) { id - 1 } else { id };
    of_home(&mut Draw::of(seed, "home", household))
}

/// An address that an attacker calls from: homes and phones of others, and hosting firms.
pub fn of_attacker(draw: &mut Draw) -> IpAddr {
    match draw.below(100) {
        0..=39 => of_home(draw),
        40..=49 => of_carrier(draw),
        _ => {
            let slice = COUNTRIES + draw.below(2);
            of_slice(draw, slice)
        }
    }
}

/// An address with a port as clients choose it.
pub fn with_port(draw: &mut Draw, address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, u16::try_from(draw.between(32_768, 60_999)).unwrap_or(40_000))
}

/// Half of all homes are in the first country.
fn of_home(draw: &mut Draw) -> IpAddr {
    let slice = if draw.percent(50) { 0 } else { draw.below(COUNTRIES) };
    of_slice(draw, slice)
}

fn of_slice(draw: &mut Draw, slice: u64) -> IpAddr {
    if draw.percent(30) {
        let high = 0x2001_0db8 << 96 | u128::from(slice) << 80 | u128::from(draw.below(1 << 16)) << 64;
        return IpAddr::V6(Ipv6Addr::from_bits(high | u128::from(draw.bits())));
    }
    v4(0xc612_0000 | slice << 14 | draw.below(1 << 14))
}

fn of_carrier(draw: &mut Draw) -> IpAddr {
    v4(0x6440_0000 | draw.below(1 << 22))
}

fn v4(bits: u64) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX)))
}
