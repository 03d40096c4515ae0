//! What may be banned, the same for the admin API and the command line.

use std::net::IpAddr;

use bartizan_model::{Timestamp, units::Period};
use bartizan_store::Ban;
use ipnet::IpNet;

/// Longest reason, in bytes: a sentence, not a document.
pub const MAX_REASON: usize = 500;

/// The address or network of a ban; a plain address is a network of one.
///
/// # Errors
/// The text is neither, or the network is so wide (wider than /8, or /16 of IPv6) that it can only be a mistake.
pub fn target(text: &str) -> Result<IpNet, String> {
    let network = match text.parse::<IpAddr>() {
        Ok(ip) => IpNet::from(ip),
        Err(_) => text.parse::<IpNet>().map_err(|_| {
            format!("`{text}` is not an address or network; write it as `192.0.2.7` or `2001:db8::/32`")
        })?,
    };
    let widest = if network.addr().is_ipv4() { 8 } else { 16 };
    if network.prefix_len() < widest {
        return Err(format!("`{text}` is too wide for a ban (at most /{widest}); use the guard `ip_access`"));
    }
    Ok(network)
}

/// A checked reason.
///
/// # Errors
/// It is empty, too long, or has control characters.
pub fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_REASON || text.chars().any(char::is_control) {
        return Err(format!("a reason of 1 to {MAX_REASON} bytes on one line is needed"));
    }
    Ok(text.to_owned())
}

/// A checked ban, made now.
///
/// # Errors
/// See [`target`] and [`reason`]; a period of zero is an error too.
pub fn ban(
    target_text: &str,
    period: Option<Period>,
    why: &str,
    by: &str,
    now: Timestamp,
) -> Result<Ban, String> {
    if period.is_some_and(|period| period.0.is_zero()) {
        return Err(
            "a ban lasts longer than nothing; write `for` as `1h`, or leave it out for no end".to_owned()
        );
    }
    Ok(Ban {
        target: target(target_text)?,
        reason: reason(why)?,
        until: period.map(|period| now.plus(period.0)),
        created: now,
        by: by.to_owned(),
    })
}

/// A ban in one line, for the log of changes.
#[must_use]
pub fn told(ban: &Ban) -> String {
    match ban.until {
        Some(until) => format!("{} until {until}: {}", ban.target, ban.reason),
        None => format!("{} without end: {}", ban.target, ban.reason),
    }
}
