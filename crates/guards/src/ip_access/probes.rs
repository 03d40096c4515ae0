//! What `ip_access` can be probed with: addresses of `deny`, and one outside `allow`, each also claiming another one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bartizan_model::probe::{Doubt, Edit, Probe, Probes, Weight};
use bartizan_pattern::ip::IpSet;
use http::{HeaderName, HeaderValue};

use super::IpAccess;

/// Ranges of a list that are tried: a list of a million prefixes is one compiled set, so that a few stand for all.
const SAMPLES: usize = 3;

/// Ranges of `allow` among which somebody is sought who may come.
const GUESTS: usize = 64;

/// Addresses of nobody: for documentation (RFC 5737, RFC 3849) and benchmarks (RFC 2544), then private ones.
const NOBODY: [IpAddr; 8] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
    IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(100, 64, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1)),
];

/// What the guard offers.
pub(super) fn offer(guard: &IpAccess) -> Probes {
    let guests = guests(guard);
    let mut hostile = Vec::new();
    // Both ends of ranges that lie spread over the list.
    for ip in guard.deny.edges(SAMPLES).into_iter().step_by(2) {
        hostile.push(from(ip, "an address of `deny`"));
        if let IpAddr::V4(v4) = ip {
            hostile.push(from(v4.to_ipv6_mapped().into(), "an address of `deny`, in its IPv6 form"));
        }
        hostile.extend(guests.first().map(|guest| claiming(ip, *guest, "an address of `deny`")));
    }
    if let Some(allow) = &guard.allow
        && let Some(outside) = NOBODY.into_iter().find(|ip| !allow.contains(*ip) && !guard.deny.contains(*ip))
    {
        hostile.push(from(outside, "an address outside `allow`"));
        hostile.extend(guests.first().map(|guest| claiming(outside, *guest, "an address outside `allow`")));
    }
    let allow = guard.allow.as_ref();
    let both = allow.iter().flat_map(|allow| allow.edges(GUESTS)).find(|ip| guard.deny.contains(*ip));
    hostile.extend(both.map(|ip| from(ip, "an address of both `allow` and `deny`")));
    let everybody = |allow: &&IpSet| NOBODY.iter().filter(|ip| ip.is_ipv4()).all(|ip| allow.contains(*ip));
    let doubts = allow.filter(everybody).map(|_| Doubt {
        code: "allow_everybody",
        weight: Weight::Open,
        what: "`allow` names the whole of IPv4: it keeps nobody out".into(),
        remedy: "list the networks that may come, or remove `allow`".into(),
    });
    let unmet = guests.is_empty().then_some("ip_access.denied");
    Probes { pass: vec![Edit::Peers(guests)], unmet, hostile, doubts: Vec::from_iter(doubts) }
}

/// Addresses that may come.
fn guests(guard: &IpAccess) -> Vec<IpAddr> {
    let candidates = match &guard.allow {
        Some(allow) => allow.edges(GUESTS),
        None => {
            let beyond = guard.deny.edges(GUESTS).into_iter().filter_map(next);
            NOBODY.into_iter().chain(beyond).collect()
        }
    };
    candidates.into_iter().filter(|ip| !guard.deny.contains(*ip)).take(16).collect()
}

/// The address after this one.
fn next(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(v4) => v4.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(v6) => v6.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

fn from(ip: IpAddr, name: &'static str) -> Probe {
    Probe::refused(name, vec![Edit::Peers(vec![ip])])
}

/// Comes from one address and says that it is another.
fn claiming(ip: IpAddr, other: IpAddr, name: &str) -> Probe {
    let mut edits = vec![Edit::Peers(vec![ip])];
    if let Ok(value) = HeaderValue::from_str(&other.to_string()) {
        edits.push(Edit::Header(HeaderName::from_static("x-forwarded-for"), value));
    }
    Probe::refused(format!("{name} that claims another one in `X-Forwarded-For`"), edits)
}
