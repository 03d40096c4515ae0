//! What a run of probes tells: one row for each guard of each API, and every doubt with its remedy.

use std::{fmt, sync::Arc, time::Duration};

use bartizan_model::{Mode, Timestamp, diagnostic::Place};
use serde::{Serialize, Serializer};

/// What a run told.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The policy that was probed.
    pub generation: u64,
    /// Its digest.
    pub digest: String,
    /// Until when break-glass turns every refusal into a finding, while it does. In JSON as RFC 3339 text.
    #[serde(serialize_with = "as_text")]
    pub break_glass_until: Option<Timestamp>,
    /// Probes that were sent.
    pub probes: usize,
    /// Probes that were not sent, because a bound of the run was reached.
    pub left_out: usize,
    /// How long it took, in milliseconds.
    #[serde(rename = "took_ms", serialize_with = "as_millis")]
    pub took: Duration,
    /// The APIs, in document order.
    pub apis: Vec<ApiReport>,
    /// What is wrong, doubtful or worth knowing; the worst first.
    pub findings: Vec<Remark>,
    /// Remarks beyond the cap.
    pub findings_dropped: usize,
}

/// One API.
#[derive(Clone, Debug, Serialize)]
pub struct ApiReport {
    /// Its name.
    pub name: Arc<str>,
    /// What protects it, in the order of the pipeline.
    pub guards: Vec<Row>,
}

/// One guard of one API in one mode.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The guard's id, or `strict ingress`, `client address`, `unknown operations`.
    pub guard: &'static str,
    /// The mode that the policy gives it.
    pub mode: Mode,
    /// Operations that have it so.
    pub operations: usize,
    /// Hostile probes that were sent.
    pub hostile: usize,
    /// Of them, those that did not get through as they were.
    pub blocked: usize,
    /// Of them, those that got through and left a finding.
    pub watched: usize,
    /// Benign probes that came to it.
    pub benign: usize,
    /// Of them, those that it had nothing against.
    pub passed: usize,
}

/// How much a remark weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something does not do what the policy says.
    Error,
    /// The policy itself leaves something open.
    Finding,
    /// Worth knowing.
    Note,
}

/// One thing that is wrong, doubtful or worth knowing.
#[derive(Clone, Debug, Serialize)]
pub struct Remark {
    /// How much it weighs.
    pub level: Level,
    /// Stable: what `--allow` of `bartizan doctor` names.
    pub code: &'static str,
    /// Traffic should not come: an enforced guard lets through, or refuses, what it should not.
    pub unready: bool,
    /// The API.
    pub api: Option<Arc<str>>,
    /// The guards.
    pub guards: Vec<&'static str>,
    /// Some of the operations.
    pub operations: Vec<Arc<str>>,
    /// How many there are.
    pub operations_in_all: usize,
    /// What was sent, for people.
    pub sent: Option<String>,
    /// What came back, for people.
    pub came_back: Option<String>,
    /// What is wrong with that.
    pub what: String,
    /// What to do.
    pub remedy: String,
    /// Where the policy says it.
    pub place: Option<Place>,
}

/// Operations that one remark names.
const NAMED: usize = 5;

impl Remark {
    /// A remark about nothing in particular yet.
    pub(super) fn new(
        level: Level,
        code: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Remark {
            level,
            code,
            unready: false,
            api: None,
            guards: Vec::new(),
            operations: Vec::new(),
            operations_in_all: 0,
            sent: None,
            came_back: None,
            what: what.into(),
            remedy: remedy.into(),
            place: None,
        }
    }

    pub(super) fn of(mut self, api: &Arc<str>, guard: &'static str) -> Self {
        self.api = Some(Arc::clone(api));
        self.guards = vec![guard];
        self
    }

    pub(super) fn at(mut self, place: Option<&Place>) -> Self {
        self.place = place.cloned();
        self
    }

    pub(super) fn on<'a>(mut self, operations: impl IntoIterator<Item = &'a Arc<str>>) -> Self {
        let mut all: Vec<Arc<str>> = operations.into_iter().cloned().collect();
        all.sort_unstable();
        all.dedup();
        self.operations_in_all = all.len();
        all.truncate(NAMED);
        self.operations = all;
        self
    }

    /// Whether the other says the same, perhaps of other operations.
    pub(super) fn says_what(&self, other: &Remark) -> bool {
        self.code == other.code
            && self.level == other.level
            && self.api == other.api
            && self.what == other.what
    }

    /// Adds the operations of a remark that says the same.
    pub(super) fn also_on(&mut self, other: Remark) {
        let new = other.operations.into_iter().filter(|label| !self.operations.contains(label));
        let new: Vec<Arc<str>> = new.collect();
        self.operations_in_all += new.len();
        self.operations.extend(new);
        self.operations.truncate(NAMED);
    }

    pub(super) fn exchange(mut self, sent: String, came_back: String) -> Self {
        (self.sent, self.came_back) = (Some(sent), Some(came_back));
        self
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let api = self.api.as_deref().unwrap_or("the gateway");
        write!(f, "{api}: {}", self.what)?;
        if let Some(sent) = &self.sent {
            write!(f, " (sent: {sent})")?;
        }
        self.place.as_ref().map_or(Ok(()), |place| write!(f, ", {place}"))
    }
}

impl Report {
    /// What keeps traffic away.
    pub fn unready(&self) -> impl Iterator<Item = &Remark> {
        self.findings.iter().filter(|remark| remark.unready)
    }

    /// Hostile probes that were sent, that were blocked, and that were watched.
    #[must_use]
    pub fn hostile(&self) -> (usize, usize, usize) {
        let rows = || self.apis.iter().flat_map(|api| &api.guards);
        (rows().map(|r| r.hostile).sum(), rows().map(|r| r.blocked).sum(), rows().map(|r| r.watched).sum())
    }
}

#[expect(clippy::ref_option, reason = "serde demands this signature")]
fn as_text<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}

fn as_millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((time.as_secs_f64() * 10_000.0).round() / 10.0)
}
