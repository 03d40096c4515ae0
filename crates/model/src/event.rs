//! The one record of an exchange: built once, redacted by construction, immutable.

use std::{net::IpAddr, sync::Arc, time::Duration};

use serde::{Serialize, Serializer};

use crate::{
    CredentialKind, EventId, Finding, Mode, Scheme, Timestamp, TokenKey, Verdict,
    transaction::{Score, TraceLine},
};

/// What the event records.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum EventKind {
    /// A request and its response.
    Exchange(Box<Exchange>),
    /// A connection refused before HTTP.
    Connection {
        /// Stable code such as `connection.banned`.
        code: &'static str,
        /// Operator's detail.
        detail: String,
    },
    /// A change made by an operator: policy, mode, key, ban.
    Control {
        /// Stable code such as `mode.monitor`.
        code: &'static str,
        /// Who did it, as far as known.
        actor: String,
        /// What was done.
        detail: String,
    },
}

/// One record. Sinks may format it; nobody edits it.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// The id that the client was told.
    pub id: EventId,
    /// When it began. In JSON as RFC 3339 text.
    #[serde(serialize_with = "as_text")]
    pub time: Timestamp,
    /// The client's address, where there was one.
    pub client: Option<IpAddr>,
    /// The policy's generation that decided.
    pub generation: u64,
    /// What it records.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The caller as events name it: verified identity only, never a credential.
#[derive(Clone, Debug, Serialize)]
pub struct EventPrincipal {
    /// The verified subject.
    pub subject: Arc<str>,
    /// The issuer's name in the policy.
    pub issuer: Arc<str>,
    /// What proved it.
    pub credential: CredentialKind,
}

/// A value of an exchange by its name and token, so that equal ones can be found. Only where the policy asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Observed {
    /// Where it stands, as a policy names it: `path.id`, `principal.sub`, `response.items[].ownerId`.
    pub name: Arc<str>,
    /// Equal for equal values.
    pub token: Arc<str>,
}

/// What is kept of an exchange until its event is made.
#[derive(Clone, Debug, Default)]
pub struct ObservedValues(pub Vec<Observed>);

impl ObservedValues {
    /// Under which it is kept.
    pub const ID: &'static str = "observed";
}

/// The exchange's part of an event. No header value, query value, body or raw path is in it.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    /// How it ended.
    pub verdict: Verdict,
    /// The reason code of a refusal or failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The guard or stage that refused or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'static str>,
    /// The API; empty when none matched.
    pub api: Arc<str>,
    /// The operation's label; bounded, fit for metrics.
    pub operation: Arc<str>,
    /// The method; unusual ones as `OTHER`.
    pub method: &'static str,
    /// As the client used it.
    pub scheme: Scheme,
    /// `HTTP/1.1`, `HTTP/2.0`, ..
    pub protocol: &'static str,
    /// The path with every segment that is not a plain word replaced ([`redact_path`]).
    pub path: String,
    /// The status sent to the client; 0 when none was.
    pub status: u16,
    /// From the complete head to the last byte. In JSON `duration_us`, whole microseconds.
    #[serde(rename = "duration_us", serialize_with = "as_micros")]
    pub duration: Duration,
    /// From forwarding to the upstream's first byte. In JSON `upstream_wait_us`, whole microseconds.
    #[serde(
        rename = "upstream_wait_us",
        serialize_with = "as_some_micros",
        skip_serializing_if = "Option::is_none"
    )]
    pub upstream_wait: Option<Duration>,
    /// The backend that served it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<Arc<str>>,
    /// Attempts made upstream (1 without retries, 0 when nothing was forwarded).
    pub attempts: u8,
    /// Body bytes received from the client.
    pub bytes_in: u64,
    /// Body bytes released to the client.
    pub bytes_out: u64,
    /// The verified caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<EventPrincipal>,
    /// Who permitted it: roles and policies with their places.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_by: Vec<Arc<str>>,
    /// What guards noticed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Findings beyond the cap.
    #[serde(skip_serializing_if = "is_zero")]
    pub findings_dropped: u32,
    /// What rules that add up to a score made of it, where any matched.
    #[serde(skip_serializing_if = "has_no_rules")]
    pub score: Option<Box<Score>>,
    /// Tokens of values, to learn which of them are equal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<Observed>,
    /// Each guard's decision.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<TraceLine>,
    /// The API's default mode, or `monitor` under break-glass.
    pub mode: Mode,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde demands this signature")]
fn as_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

fn as_micros<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

#[expect(clippy::ref_option, reason = "serde demands this signature")]
fn as_some_micros<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    as_micros(&duration.unwrap_or_default(), serializer)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde demands this signature")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[expect(clippy::ref_option, reason = "serde demands this signature")]
fn has_no_rules(score: &Option<Box<Score>>) -> bool {
    score.as_ref().is_none_or(|score| score.rules.is_empty())
}

/// Segments of a path kept in events; the rest is counted.
const MAX_SEGMENTS: usize = 16;

/// A path that is safe to log: segments that are plain lower-case words or versions (`v2`) stay, numbers become
/// `{number}`, anything else a keyed token, so that equal values correlate and none can be read.
#[must_use]
pub fn redact_path(path: &str, key: &TokenKey) -> String {
    redact_path_of(path, None, key)
}

/// As [`redact_path`], of an operation whose path template is known (`/reset/{token}`): where the template has a
/// parameter, a word is a value like any other.
#[must_use]
pub fn redact_path_of(path: &str, template: Option<&str>, key: &TokenKey) -> String {
    let split = |path: &str| path.strip_prefix('/').unwrap_or(path).split('/').count();
    // A template is the end of the path: what stands before it is where the API begins.
    let template = template.filter(|template| !template.contains('*'));
    let offset = template.and_then(|template| split(path).checked_sub(split(template)));
    let mut named =
        template.filter(|_| offset.is_some()).map(|t| t.strip_prefix('/').unwrap_or(t).split('/'));
    let mut out = String::with_capacity(path.len().min(128));
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').enumerate();
    for (at, segment) in segments.by_ref().take(MAX_SEGMENTS) {
        let named =
            named.as_mut().filter(|_| offset.is_some_and(|offset| at >= offset)).and_then(Iterator::next);
        let is_value = named.is_some_and(|named| named.contains('{'));
        out.push('/');
        if is_plain_word(segment) && (!is_value || segment.is_empty()) {
            out.push_str(segment);
        } else if segment.bytes().all(|b| b.is_ascii_digit()) {
            out.push_str("{number}");
        } else {
            out.push_str(&key.token(segment.as_bytes()));
        }
    }
    if segments.next().is_some() {
        out.push_str("/..");
    }
    out
}

/// Words of a plain segment at most: names of resources have up to three, passphrases more.
const MAX_WORDS: usize = 3;

/// Consonants in a row that words have at most; random letters soon have more.
const MAX_CONSONANTS: usize = 4;

/// Up to three short words of letters with single dashes, underscores or dots between them, or `v` and up to three digits.
fn is_plain_word(segment: &str) -> bool {
    if segment.is_empty() {
        return true;
    }
    if let Some(version) = segment.strip_prefix('v')
        && (1..=3).contains(&version.len())
        && version.bytes().all(|b| b.is_ascii_digit())
    {
        return true;
    }
    let words = || segment.split(['-', '_', '.']);
    segment.len() <= 32
        && words().count() <= MAX_WORDS
        && words().all(|word| {
            (1..=16).contains(&word.len())
                && word.bytes().all(|b| b.is_ascii_lowercase())
                && word.split(['a', 'e', 'i', 'o', 'u', 'y']).all(|run| run.len() <= MAX_CONSONANTS)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redacted::KeyedHash;

    struct Sum;
    impl KeyedHash for Sum {
        fn hash(&self, input: &[u8]) -> u64 {
            input.iter().fold(7, |h, &b| h.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(b))
        }
    }

    #[test]
    fn paths_keep_words_and_lose_values() {
        let key = TokenKey::new(Arc::new(Sum));
        assert_eq!(redact_path("/v1/accounts/42/credit-cards", &key), "/v1/accounts/{number}/credit-cards");
        let secret = redact_path("/reset/Sup3rS3cret", &key);
        assert!(secret.starts_with("/reset/~") && !secret.contains("Sup3r"));
        assert_eq!(secret, redact_path("/reset/Sup3rS3cret", &key));
        assert_eq!(redact_path("/", &key), "/");
    }

    #[test]
    fn words_that_are_values_are_lost_too() {
        let key = TokenKey::new(Arc::new(Sum));
        for secret in ["/invites/kelor-bafut-dizen-mopas", "/invites/qzkvjxwmtrbhd"] {
            assert!(redact_path(secret, &key).starts_with("/invites/~"), "{secret}");
        }
        let of = |path, template| redact_path_of(path, Some(template), &key);
        assert!(of("/reset/opensesame", "/reset/{token}").starts_with("/reset/~"));
        assert!(of("/shop/reset/opensesame", "/reset/{token}").starts_with("/shop/reset/~"), "a base path");
        assert!(of("/files/open.tar", "/files/{name}.tar").starts_with("/files/~"));
        assert_eq!(
            of("/reset/42/strengths", "/reset/{token}/strengths"),
            redact_path("/reset/42/strengths", &key)
        );
        assert_eq!(of("/reset", "/reset/{token}"), "/reset", "a template that does not fit says nothing");
        assert_eq!(of("/reset/", "/reset/{token}"), "/reset/");
    }
}
