//! The authority of a request: a name or address with an optional port.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    str,
};

/// The longest name (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;

/// A valid authority without user information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Authority<'a> {
    /// With the brackets of an IPv6 address.
    host: &'a [u8],
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads `uri-host [ ":" port ]` (RFC 9110 section 7.2), more narrowly than the grammar: names are of letters,
    /// digits, `-` and `_`; what looks like an IPv4 address is one; a port is 1 to 65535.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let (host, port) = match text.strip_prefix(b"[") {
            Some(inner) => {
                let end = memchr::memchr(b']', inner)?;
                let address = str::from_utf8(inner.get(..end)?).ok()?;
                address.parse::<Ipv6Addr>().ok()?;
                (text.get(..end + 2)?, text.get(end + 2..)?)
            }
            None => {
                let end = memchr::memchr(b':', text).unwrap_or(text.len());
                let name = text.get(..end)?;
                if !is_name(name) {
                    return None;
                }
                (name, text.get(end..)?)
            }
        };
        let port = match port {
            [] => None,
            [b':', digits @ ..] => Some(port_number(digits)?),
            _ => return None,
        };
        Some(Authority { host, port })
    }

    /// Whether both name the same place when the port is `default` where none is written.
    pub(super) fn same(self, other: Authority<'_>, default: u16) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.unwrap_or(default) == other.port.unwrap_or(default)
    }
}

/// Whether the text can be the `Host` of a request: `uri-host [ ":" port ]` without user information, with a port of 1
/// to 65535, IPv6 addresses in brackets and IPv4 addresses of four decimal numbers. For `:authority` of HTTP/2 too.
#[must_use]
pub fn is_authority(text: &str) -> bool {
    Authority::parse(text.as_bytes()).is_some()
}

fn is_name(name: &[u8]) -> bool {
    // A dot at the end marks the root of the domain name system.
    let labels = name.strip_suffix(b".").unwrap_or(name);
    if labels.is_empty() || labels.len() > MAX_NAME {
        return false;
    }
    let well_formed = labels.split(|byte| *byte == b'.').all(|label| {
        !label.is_empty()
            && label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    });
    let last = labels.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    // Some resolvers read `127.1` and `0x7f000001` as addresses.
    let numeric = last.iter().all(u8::is_ascii_digit)
        || last.len() >= 2 && last.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"0x"));
    well_formed && (!numeric || str::from_utf8(name).is_ok_and(|text| text.parse::<Ipv4Addr>().is_ok()))
}

fn port_number(digits: &[u8]) -> Option<u16> {
    if digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) || digits.first() == Some(&b'0') {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}
