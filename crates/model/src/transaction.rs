//! One exchange on its way through the house.

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use serde::Serialize;

use crate::{
    Client, ClientCertificate, EventId, Finding, Memory, Mode, Phase, Principal, Timestamp, probe::Scratch,
};

/// Findings kept per transaction; more are counted, not kept (a hostile request must not grow memory).
pub const MAX_FINDINGS: usize = 64;

/// `http` or `https`, as the client used it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Cleartext.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// The scheme's name in URLs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// The one form of the request head that guards, contract and upstream all see.
#[derive(Clone, Debug)]
pub struct CanonicalRequest {
    /// The method, as sent (methods are case-sensitive, RFC 9110 section 9.1).
    pub method: Method,
    /// As the client used it.
    pub scheme: Scheme,
    /// Lower-case host without port (an IPv6 literal keeps its brackets).
    pub host: String,
    /// The port that the client named, if any.
    pub port: Option<u16>,
    /// The canonical path: starts with `/`, unreserved characters decoded, no dot segments, no empty inner segments.
    pub path: String,
    /// The query without `?`, as sent (`None` when there was no `?`).
    pub query: Option<String>,
    /// The target as it was sent, where that is not path and query: another spelling of the path, or a target in absolute
    /// form. Only what looks for attacks reads it; nothing may be decided by it.
    pub sent: Option<Box<str>>,
    /// The header fields that survived the ingress rules.
    pub headers: HeaderMap,
    /// What the client sent besides: fields of its connection (`Connection`, `Transfer-Encoding`, ..) and reserved ones, which
    /// go no further. Only what looks for attacks reads them; nothing may be decided by their word.
    pub removed: Vec<(HeaderName, HeaderValue)>,
    /// The client's HTTP version.
    pub version: Version,
    /// The declared body length: `Some(0)` when the head says that there is no body, `None` when it is streamed.
    pub content_length: Option<u64>,
}

impl CanonicalRequest {
    /// Path and query as sent upstream.
    #[must_use]
    pub fn path_and_query(&self) -> Cow<'_, str> {
        match &self.query {
            None => Cow::Borrowed(&self.path),
            Some(query) => Cow::Owned(format!("{}?{query}", self.path)),
        }
    }

    /// The target as the client sent it.
    #[must_use]
    pub fn sent_target(&self) -> Cow<'_, str> {
        self.sent.as_deref().map_or_else(|| self.path_and_query(), Cow::Borrowed)
    }
}

/// The response head while guards look at it.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// Whether an upstream made it; `false` for the gateway's own answers and refusals.
    pub from_upstream: bool,
}

/// What one guard decided at one phase, for `explain` and `why`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "decision", content = "code")]
pub enum Step {
    /// Absent or off.
    Skipped,
    /// Nothing against it.
    Continued,
    /// The guard answered itself.
    Answered,
    /// A refusal in monitor mode: the exchange continued.
    Watched(&'static str),
    /// The exchange stopped here.
    Refused(&'static str),
}

/// One line of the trace.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TraceLine {
    /// The guard's id, or a stage of the gateway (`ingress`, `route`).
    pub guard: &'static str,
    /// Where.
    pub phase: Phase,
    /// Its mode.
    pub mode: Mode,
    /// What it decided.
    #[serde(flatten)]
    pub step: Step,
}

/// Rules that one exchange names in its score; more only add to it.
pub const MAX_SCORED_RULES: usize = 64;

/// What rules that add up to a score made of an exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Score {
    /// What the request came to.
    pub inbound: u32,
    /// From where on a request is refused; 0 where nothing says so.
    pub inbound_threshold: u32,
    /// What the response came to.
    #[serde(skip_serializing_if = "is_zero")]
    pub outbound: u32,
    /// From where on a response is withheld; 0 where nothing says so, or it was not looked at.
    #[serde(skip_serializing_if = "is_zero")]
    pub outbound_threshold: u32,
    /// It was let through, and one grave rule more would have refused it.
    pub near_miss: bool,
    /// The numbers of the rules that matched, each once, at most [`MAX_SCORED_RULES`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde demands this signature")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// One exchange: created when its head is complete, ended by exactly one verdict.
#[derive(Debug)]
pub struct Transaction {
    /// Quoted in refusals, events and logs.
    pub id: EventId,
    /// Wall-clock time at the start.
    pub started: Timestamp,
    /// Monotonic time at the start: what limits count with.
    pub ticks: Duration,
    /// The other end.
    pub client: Client,
    /// The certificate that the client authenticated with, if it has one: by TLS, or as a trusted proxy tells.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// The scheme that the client used, where a trusted proxy tells another than its own.
    pub outer_scheme: Option<Scheme>,
    /// The canonical request head.
    pub request: CanonicalRequest,
    /// The API that the route chose; empty before routing.
    pub api: Arc<str>,
    /// The operation's name: `GET /accounts/{id}`, or the label of what matched.
    pub operation: Arc<str>,
    /// The verified caller.
    pub principal: Option<Arc<Principal>>,
    /// A hash over what the client's TLS hello tells of its software; `None` without TLS.
    pub hello: Option<u64>,
    /// How likely it is that somebody else uses the caller's credential, from 0 to 100; guards only raise it.
    pub risk: u8,
    /// Who permitted it: roles and policies with their places, where the policy asks for such.
    pub allowed_by: Vec<Arc<str>>,
    /// What guards noticed, in order, at most [`MAX_FINDINGS`].
    pub findings: Vec<Finding>,
    /// Findings beyond the cap.
    pub findings_dropped: u32,
    /// Header fields that guards add to the response, whoever makes it (`RateLimit`, CORS, ..).
    pub response_headers: HeaderMap,
    /// Header fields that must not reach the upstream: credentials that were verified here.
    pub consumed_headers: Vec<http::HeaderName>,
    /// What guards keep between phases.
    pub memory: Memory,
    /// Break-glass: every refusal of a guard is a finding only.
    pub monitor_all: bool,
    /// The mode that the guard runs under which is asked now; `monitor` under break-glass.
    pub guard_mode: Mode,
    /// What rules that add up to a score made of the exchange.
    pub score: Option<Box<Score>>,
    /// A probe, or a question of `explain`: counts in no ban, limit or baseline.
    pub probe: bool,
    /// Where a probe of the live path counts, and looks keys up, instead of where callers do. Set from the in-process mark
    /// of its connection, never from anything on the wire.
    pub scratch: Option<Scratch>,
    /// Each guard's decision, kept only when somebody asked (`explain`) or the exchange was sampled for `why`.
    pub trace: Option<Vec<TraceLine>>,
}

impl Transaction {
    /// Raises the risk to at least this, at most 100.
    pub fn raise_risk(&mut self, risk: u8) {
        self.risk = self.risk.max(risk.min(100));
    }

    /// Records a finding, up to the cap.
    pub fn find(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.findings_dropped = self.findings_dropped.saturating_add(1);
        }
    }

    /// Records a guard's decision in the trace, if one is kept.
    pub fn step(&mut self, guard: &'static str, phase: Phase, mode: Mode, step: Step) {
        if let Some(trace) = &mut self.trace {
            trace.push(TraceLine { guard, phase, mode, step });
        }
    }
}
