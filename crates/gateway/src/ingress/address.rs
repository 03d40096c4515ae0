//! The client's true address: forwarding headers are believed only from trusted proxies, read right to left.

use std::net::{IpAddr, SocketAddr};

use bartizan_model::{Client, address::canonical};
use bartizan_pattern::ip::IpSet;
use http::{HeaderMap, HeaderName, header};

/// Hops that are looked at; a longer chain ends at the last one seen.
const MAX_HOPS: usize = 32;

/// `X-Forwarded-For`.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Decides the client's address from the peer and, only if the peer is a trusted proxy, from `Forwarded` (RFC 7239) or
/// `X-Forwarded-For`: walking right to left, the first address that is not itself a trusted proxy. `None` when both are
/// there and disagree: a proxy writes one of them and passes on what a client wrote in the other.
#[must_use]
pub fn client(peer: SocketAddr, trusted: &IpSet, headers: &HeaderMap) -> Option<Client> {
    let hop = canonical(peer.ip());
    if trusted.is_empty() || !trusted.contains(hop) {
        return Some(Client { ip: hop, peer });
    }
    let by_rfc = elements(headers, header::FORWARDED).any(|element| for_parameter(element).is_some());
    let by_rfc = by_rfc.then(|| {
        let hops = elements(headers, header::FORWARDED);
        walk(hop, trusted, hops.map(|element| for_parameter(element).and_then(node)))
    });
    let by_custom = headers
        .contains_key(X_FORWARDED_FOR)
        .then(|| walk(hop, trusted, elements(headers, X_FORWARDED_FOR).map(node)));
    let ip = match (by_rfc, by_custom) {
        (Some(a), Some(b)) if a != b => return None,
        (Some(ip), _) | (None, Some(ip)) => ip,
        (None, None) => hop,
    };
    Some(Client { ip, peer })
}

/// The members of a list over all its lines, right to left, without empty ones.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).collect();
    values.into_iter().rev().flat_map(|value| value.rsplit(',')).map(str::trim).filter(|e| !e.is_empty())
}

/// The first of `hops` that is no trusted proxy. An unreadable or obfuscated one ends the walk: nothing further left can
/// be believed.
fn walk(mut ip: IpAddr, trusted: &IpSet, hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
    for address in hops.take(MAX_HOPS) {
        let Some(address) = address else { break };
        ip = canonical(address);
        if !trusted.contains(ip) {
            break;
        }
    }
    ip
}

/// The `for` parameter of one `Forwarded` element (RFC 7239 section 5.2).
fn for_parameter(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// An address with or without a port, IPv6 with or without brackets (RFC 7239 section 6).
fn node(text: &str) -> Option<IpAddr> {
    if let Ok(ip) = text.parse() {
        return Some(ip);
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some(socket.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}
