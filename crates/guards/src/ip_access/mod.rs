//! Decides by the client's address alone who may come at all.
//!
//! # What it does
//! Refuses addresses of the `deny` list, and, where an `allow` list is written, every address outside it. `deny` wins
//! over `allow`. It is the first guard: what it refuses costs nothing further.
//!
//! The address is the client's, as `trusted_proxies` establishes it; a forged `X-Forwarded-For` changes nothing. An
//! IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) is treated as the IPv4 address that it is.
//!
//! # Why
//! OWASP API8:2023 (security misconfiguration) and API2:2023: an administration interface that answers the whole
//! internet is found within the hour. Prefix notation is that of RFC 4632 (IPv4) and RFC 4291 section 2.3 (IPv6).
//!
//! # Example
//! ```yaml
//! allow: [10.0.0.0/8, "2001:db8::/32"]
//! deny: [10.66.0.0/16, 10.0.0.13]
//! ```
//! A list of its own, one prefix or address per line with `#` or `;` comments, is named as `file:lists/drop.txt`.
//!
//! # When it refuses
//! With 403: the address is on `deny`, or an `allow` list exists and the address is not on it. Reasons in the table below.
//!
//! # Limits
//! Addresses identify networks, not people: behind carrier-grade NAT one address is thousands of users. Lists are read when
//! the policy is compiled; a changed file takes effect with the next reload. Lists of a million prefixes are fine. `feed:`
//! lists need threat-intel feeds, which this version does not have.
//!
//! # References
//! - RFC 4632, Classless Inter-domain Routing
//! - RFC 4291 section 2.5.5.2, IPv4-mapped IPv6 addresses
//! - OWASP API Security Top 10 2023, API8

mod config;
mod probes;
mod reason;
#[cfg(test)]
mod tests;

use bartizan_model::{
    CompileContext, Diagnostic, Diagnostics, FileReference, Guard, Outcome, Timestamp, Transaction,
    address::canonical, probe::Probes,
};
use bartizan_pattern::ip::IpSet;
use ipnet::{IpNet, Ipv4Net};

pub use config::Config;
pub use reason::Why;

/// Wrong lines of one list that are reported; a file of another kind would otherwise fill the screen.
const MAX_LIST_ERRORS: usize = 10;

/// The compiled guard.
pub struct IpAccess {
    /// `None` where no `allow` list is written: everyone may come whom `deny` does not name.
    allow: Option<IpSet>,
    deny: IpSet,
}

impl Guard for IpAccess {
    const ID: &'static str = "ip_access";
    type Config = Config;
    type Reason = Why;

    fn compile(config: Config, context: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        let mut problems = Diagnostics::new();
        let allow = read_list("allow", &config.allow, context, &mut problems);
        let deny = read_list("deny", &config.deny, context, &mut problems);
        // An empty file behind `allow` must not open the door that the list was meant to close.
        if !config.allow.is_empty() && allow.is_empty() && problems.0.is_empty() {
            problems.push(
                Diagnostic::error("allow", "the `allow` list names no network, so nobody could come")
                    .help("add an address or a prefix, or remove `allow`"),
            );
        }
        problems.or(IpAccess {
            allow: (!config.allow.is_empty()).then(|| IpSet::new(allow)),
            deny: IpSet::new(deny),
        })
    }

    async fn request_headers(&self, transaction: &mut Transaction) -> Outcome<Why> {
        let ip = canonical(transaction.client.ip);
        if self.deny.contains(ip) {
            return Outcome::Deny(Why::Denied);
        }
        match &self.allow {
            Some(allow) if !allow.contains(ip) => Outcome::Deny(Why::NotAllowed),
            _ => Outcome::Continue,
        }
    }

    fn probes(&self, _: Timestamp) -> Probes {
        probes::offer(self)
    }
}

fn read_list(
    name: &str,
    entries: &[String],
    context: &CompileContext<'_>,
    problems: &mut Diagnostics,
) -> Vec<IpNet> {
    let mut networks = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("{name}[{index}]");
        if entry.starts_with("feed:") {
            problems.push(
                Diagnostic::error(path, "`feed:` needs threat-intel feeds, which this version does not have")
                    .help("write the prefixes, or name a list as `file:lists/drop.txt`"),
            );
        } else if entry.starts_with("file:") {
            read_file(&path, entry, context, &mut networks, problems);
        } else {
            match network(entry) {
                Some(network) => networks.push(network),
                None => problems.push(wrong_entry(path, entry)),
            }
        }
    }
    networks
}

fn read_file(
    path: &str,
    entry: &str,
    context: &CompileContext<'_>,
    networks: &mut Vec<IpNet>,
    problems: &mut Diagnostics,
) {
    let content = entry.parse::<FileReference>().and_then(|reference| context.files.read(&reference));
    let content = match content {
        Ok(content) => content,
        Err(message) => return problems.push(Diagnostic::error(path, message)),
    };
    let Ok(text) = std::str::from_utf8(&content) else {
        return problems.push(
            Diagnostic::error(path, format!("`{entry}` is not text"))
                .help("write one address or prefix per line"),
        );
    };
    let mut wrong: usize = 0;
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let written = line.split(['#', ';']).next().unwrap_or_default().trim();
        if written.is_empty() {
            continue;
        }
        match network(written) {
            Some(network) => networks.push(network),
            None => {
                wrong = wrong.saturating_add(1);
                if wrong <= MAX_LIST_ERRORS {
                    let mut problem = wrong_entry(path.to_owned(), written);
                    problem.message =
                        format!("`{entry}` line {}: {}", number.saturating_add(1), problem.message);
                    problems.push(problem);
                }
            }
        }
    }
    if wrong > MAX_LIST_ERRORS {
        let more = wrong.saturating_sub(MAX_LIST_ERRORS);
        problems.push(Diagnostic::error(path, format!("`{entry}` has {more} more lines like these")));
    }
}

/// An address or a prefix; host bits behind the prefix are cleared, IPv4-mapped networks become IPv4.
fn network(text: &str) -> Option<IpNet> {
    let network = match text.parse::<IpNet>() {
        Ok(network) => network.trunc(),
        Err(_) => IpNet::from(text.parse::<std::net::IpAddr>().ok()?),
    };
    if let IpNet::V6(v6) = network
        && let Some(v4) = v6.addr().to_ipv4_mapped()
        && let Some(prefix) = v6.prefix_len().checked_sub(96)
    {
        return Ipv4Net::new(v4, prefix).ok().map(IpNet::V4);
    }
    Some(network)
}

fn wrong_entry(path: String, written: &str) -> Diagnostic {
    let shown: String = written.chars().take(64).collect();
    Diagnostic::error(path, format!("`{shown}` is not an address or a prefix"))
        .help("write `203.0.113.7`, `203.0.113.0/24`, `2001:db8::/32` or `file:lists/drop.txt`")
}
