//! Web origins (RFC 6454) and the patterns that policies name them by.

/// One origin: scheme, host and port, in lower case; `null` for an opaque one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Opaque,
    Tuple { scheme: String, host: String, port: Option<u16> },
}

impl Origin {
    /// Reads the serialised form (RFC 6454 section 6.2): `scheme://host[:port]`, nothing behind it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "null" {
            return Some(Origin::Opaque);
        }
        let (scheme, authority) = text.split_once("://")?;
        let mut letters = scheme.bytes();
        let scheme_ok = letters.next().is_some_and(|b| b.is_ascii_alphabetic())
            && letters.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        let (host, port) = split_port(authority)?;
        if !scheme_ok || !is_host(host) {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let port = port.filter(|&port| Some(port) != default_port(&scheme));
        Some(Origin::Tuple { host: host.to_ascii_lowercase(), scheme, port })
    }

    /// Whether it is this one; `host` is in lower case.
    pub(super) fn is(&self, scheme: &str, host: &str, port: Option<u16>) -> bool {
        let port = port.filter(|&port| Some(port) != default_port(scheme));
        matches!(self, Origin::Tuple { scheme: s, host: h, port: p } if s == scheme && h == host && *p == port)
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Host and port; an IPv6 literal keeps its brackets.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let end = if authority.starts_with('[') { authority.find(']')?.checked_add(1)? } else { 0 };
    let (head, tail) = authority.split_at_checked(end)?;
    let Some(colon) = tail.find(':') else { return Some((authority, None)) };
    let (host, port) = authority.split_at_checked(head.len().checked_add(colon)?)?;
    let digits = port.strip_prefix(':')?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((host, Some(digits.parse().ok()?)))
}

fn is_host(host: &str) -> bool {
    if let Some(literal) = host.strip_prefix('[') {
        return literal.strip_suffix(']').is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
    }
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

/// Which origins an entry of `origins` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OriginPattern {
    /// `*`: every origin but `null`.
    Any,
    /// This one.
    Exact(Origin),
    /// `https://*.example.com`: one or more labels before the suffix, which begins with its dot.
    Subdomains { scheme: String, suffix: String, port: Option<u16> },
}

impl OriginPattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(OriginPattern::Any);
        }
        let wrong = || {
            format!(
                "`{text}` is not an origin; write scheme, host and port without a path, such as `https://app.example.com` \
                 or `https://*.example.com`"
            )
        };
        let Some((scheme, rest)) = text.split_once("://*.") else {
            return Origin::parse(text).map(OriginPattern::Exact).ok_or_else(wrong);
        };
        match Origin::parse(&format!("{scheme}://{rest}")).ok_or_else(wrong)? {
            Origin::Tuple { scheme, host, port } if !host.starts_with(['[', '.']) => {
                Ok(OriginPattern::Subdomains { scheme, suffix: format!(".{host}"), port })
            }
            Origin::Tuple { .. } | Origin::Opaque => Err(wrong()),
        }
    }

    pub(super) fn matches(&self, origin: &Origin) -> bool {
        match (self, origin) {
            (OriginPattern::Any, Origin::Tuple { .. }) => true,
            (OriginPattern::Exact(exact), origin) => exact == origin,
            (
                OriginPattern::Subdomains { scheme, suffix, port },
                Origin::Tuple { scheme: its_scheme, host, port: its_port },
            ) => {
                scheme == its_scheme
                    && port == its_port
                    && host.strip_suffix(suffix.as_str()).is_some_and(|front| !front.is_empty())
            }
            (OriginPattern::Any | OriginPattern::Subdomains { .. }, Origin::Opaque) => false,
        }
    }
}
