//! Why something was refused: stable codes for programs, short text for clients, detail for operators.

use std::{borrow::Cow, fmt};

use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::{Mode, Phase, ProblemError, Severity, Verdict};

/// The fixed part of a reason: what documents and the registry list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasonInfo {
    /// Stable, dotted, starting with the guard's id: `rate_limit.exceeded`.
    pub code: &'static str,
    /// The status of the refusal.
    pub status: StatusCode,
    /// How serious it is.
    pub severity: Severity,
    /// `Deny`, `Challenge` or `Throttle`.
    pub verdict: Verdict,
    /// What the client is told: a short sentence that helps an honest client and teaches an attacker nothing.
    pub public: &'static str,
}

/// Why a guard refused. Implemented by one enum per guard; every variant maps to one [`ReasonInfo`] by an exhaustive match.
pub trait Reason: fmt::Debug + Send + Sync + 'static {
    /// All reasons of the guard, for documents and for the test that demands a case for each.
    const ALL: &'static [ReasonInfo];

    /// The fixed part.
    fn info(&self) -> ReasonInfo;

    /// What an operator should know: which rule, limit or claim. Never a secret, never a payload.
    fn detail(&self) -> Cow<'static, str>;

    /// What would let this exchange pass, as a sentence for the operator (`explain`, `why`).
    fn remedy(&self) -> Option<Cow<'static, str>> {
        None
    }

    /// What is wrong with the request, one by one, for the client: only where the policy wants clients to know.
    fn errors(&self) -> Vec<ProblemError> {
        Vec::new()
    }

    /// Response headers that the refusal needs (`WWW-Authenticate`, `Retry-After`, ..).
    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        Vec::new()
    }
}

/// One thing that a guard noticed, whether or not it stopped the exchange.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The guard's id.
    pub guard: &'static str,
    /// The reason's stable code.
    pub code: &'static str,
    /// How serious it is.
    pub severity: Severity,
    /// Where it was noticed.
    pub phase: Phase,
    /// The mode that the guard ran in: a finding in `monitor` stopped nothing.
    pub mode: Mode,
    /// Operator's detail, free of secrets.
    pub detail: Cow<'static, str>,
    /// What would let it pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Cow<'static, str>>,
}

/// A refusal on its way to the client: a reason with its guard's name, type erased.
#[derive(Clone, Debug)]
pub struct Denial {
    /// The guard's id, or `ingress`, `route`, `upstream` for the gateway's own refusals.
    pub guard: &'static str,
    /// The fixed part of the reason.
    pub info: ReasonInfo,
    /// Operator's detail, free of secrets.
    pub detail: Cow<'static, str>,
    /// What would let it pass.
    pub remedy: Option<Cow<'static, str>>,
    /// Headers of the refusal.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What the client is told of, one by one.
    pub errors: Vec<ProblemError>,
}

impl Denial {
    /// Erases a guard's own reason type.
    pub fn of<R: Reason>(guard: &'static str, reason: &R) -> Self {
        Denial {
            guard,
            info: reason.info(),
            detail: reason.detail(),
            remedy: reason.remedy(),
            headers: reason.headers(),
            errors: reason.errors(),
        }
    }

    /// The finding that records this refusal.
    #[must_use]
    pub fn finding(&self, phase: Phase, mode: Mode) -> Finding {
        Finding {
            guard: self.guard,
            code: self.info.code,
            severity: self.info.severity,
            phase,
            mode,
            detail: self.detail.clone(),
            remedy: self.remedy.clone(),
        }
    }
}
