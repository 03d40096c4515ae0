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
/// else `X-Forwarded-For`: walking right to left, the first address that is not itself a trusted proxy.
#[must_use]
pub fn client(peer: SocketAddr, trusted: &IpSet, headers: &HeaderMap) -> Client {
    let mut ip = canonical(peer.ip());
    if trusted.is_empty() || !trusted.contains(ip) {
        return Client { ip, peer };
    }
    let forwarded = headers.contains_key(header::FORWARDED);
    let name = if forwarded { header::FORWARDED } else { X_FORWARDED_FOR };
    let values: Vec<&str> = headers.get_all(&name).iter().filter_map(|v| v.to_str().ok()).collect();
    let hops = values.iter().rev().flat_map(|value| value.rsplit(',')).take(MAX_HOPS);
    for hop in hops {
        let parsed = if forwarded { forwarded_for(hop) } else { node(hop.trim()) };
        // An unreadable or obfuscated hop: nothing further left can be believed.
        let Some(address) = parsed else { break };
        ip = canonical(address);
        if !trusted.contains(ip) {
            break;
        }
    }
    Client { ip, peer }
}

/// The `for` parameter of one `Forwarded` element (RFC 7239 section 5.2).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("for") {
            return None;
        }
        node(value.trim().trim_matches('"'))
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
