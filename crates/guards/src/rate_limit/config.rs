//! The settings of `rate_limit`.

use std::{collections::BTreeSet, str::FromStr, sync::Arc, time::Duration};

use bartizan_model::{Diagnostic, Diagnostics, Rate, services::Quota};
use http::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::body::BodyPath;

/// The limits, each with a name of its own. A request must fit into all of them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Config(pub Vec<Limit>);

/// One limit.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Its name in findings and in the `RateLimit` fields: 1 to 64 letters, digits, `-`, `_` or `.`. Required.
    pub name: String,
    /// Who shares a counter: `ip` (the client's address, IPv6 by /64), `principal` (the verified caller; an anonymous one
    /// by address), `header.<name>` (equal values of a request header field; without one, by address) or
    /// `request.body.<field>` (equal values of a field of a JSON, form, multipart or XML body, such as
    /// `request.body.username`; without one, by address). Required.
    #[schemars(regex(pattern = r"^(ip|principal|header\..+|request\.body\..+)$"))]
    pub key: String,
    /// How many requests in which time: `20/s`, `5/m`, `1000/h`, `10000/d`; at most `1000000/s`. Required.
    pub rate: Rate,
    /// How many requests may come at once, after a pause long enough to save them. Default: the rate's count.
    pub burst: Option<u32>,
    /// What one request takes. Default: 1.
    pub cost: Option<u32>,
}

/// Who shares a counter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Ip,
    Principal,
    Header(HeaderName),
    Body(BodyPath),
}

impl Key {
    /// How details and findings name it; never the value.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Key::Ip => "address",
            Key::Principal => "principal",
            Key::Header(_) => "header value",
            Key::Body(_) => "body field",
        }
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = "write `ip`, `principal`, `header.<name>` or `request.body.<field>`";
        match text {
            "ip" => return Ok(Key::Ip),
            "principal" => return Ok(Key::Principal),
            _ => {}
        }
        if let Some(name) = text.strip_prefix("header.") {
            return name.parse().map(Key::Header).map_err(|_| {
                format!("`{name}` is not a header field's name; write one such as `header.x-tenant`")
            });
        }
        if let Some(path) = text.strip_prefix("request.body.") {
            return path.parse().map(Key::Body);
        }
        let known =
            text == "session" || ["claims.", "session."].iter().any(|prefix| text.starts_with(prefix));
        if known {
            return Err(format!("`key: {text}` is not available in this version; {allowed}"));
        }
        Err(format!("`{text}` is not a key; {allowed}"))
    }
}

/// A limit without contradictions.
#[derive(Debug)]
pub(super) struct CheckedLimit {
    pub(super) name: Arc<str>,
    pub(super) key: Key,
    pub(super) rate: Rate,
    pub(super) quota: Quota,
    pub(super) cost: u32,
}

/// Faster than this, a limit protects nothing, and whole nanoseconds would no longer hold the rate to 0.1 %.
const FASTEST: Duration = Duration::from_micros(1);
/// The longest time that a counter may need to become whole again: counters do not outlive the process.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

impl Config {
    /// Every limit, or everything that is wrong with them.
    pub(super) fn checked(&self) -> Result<Vec<CheckedLimit>, Diagnostics> {
        let mut problems = Diagnostics::new();
        let mut names = BTreeSet::new();
        let mut limits = Vec::with_capacity(self.0.len());
        for (index, limit) in self.0.iter().enumerate() {
            if !names.insert(limit.name.as_str()) {
                problems.push(
                    Diagnostic::error(
                        format!("[{index}].name"),
                        format!("two limits are named `{}`", limit.name),
                    )
                    .help("give each limit a name of its own"),
                );
            }
            limits.extend(limit.checked(index, &mut problems));
        }
        problems.or(limits)
    }
}

impl Limit {
    fn checked(&self, index: usize, problems: &mut Diagnostics) -> Option<CheckedLimit> {
        let before = problems.0.len();
        let at = |field: &str| format!("[{index}].{field}");
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if !(1..=64).contains(&self.name.len()) || !self.name.bytes().all(plain) {
            problems.push(
                Diagnostic::error(at("name"), "a limit's name has 1 to 64 letters, digits, `-`, `_` or `.`")
                    .help("write one such as `per-address`"),
            );
        }
        let key = self.key.parse::<Key>();
        if let Err(message) = &key {
            problems.push(Diagnostic::error(at("key"), message.clone()));
        }
        let burst = self.burst.unwrap_or(self.rate.count);
        let cost = self.cost.unwrap_or(1);
        let quota = Quota { interval_ns: self.rate.interval_ns(), burst };
        if Duration::from_nanos(quota.interval_ns) < FASTEST {
            problems.push(
                Diagnostic::error(at("rate"), format!("`{}` is faster than a limit can count", self.rate))
                    .help("write at most `1000000/s`"),
            );
        }
        if burst == 0 {
            problems.push(
                Diagnostic::error(at("burst"), "a burst of 0 refuses every request").help("write at least 1"),
            );
        } else if u128::from(quota.interval_ns) * u128::from(burst) > LONGEST.as_nanos() {
            problems.push(
                Diagnostic::error(
                    at("burst"),
                    format!("a burst of {burst} takes over a year to save at `{}`", self.rate),
                )
                .help("write a smaller burst"),
            );
        }
        if cost == 0 || cost > burst.max(1) {
            problems.push(
                Diagnostic::error(at("cost"), format!("a cost of {cost} does not fit a burst of {burst}"))
                    .help("write a cost from 1 to the burst"),
            );
        }
        if problems.0.len() > before {
            return None;
        }
        Some(CheckedLimit { name: self.name.as_str().into(), key: key.ok()?, rate: self.rate, quota, cost })
    }
}
