//! What `session` notices and refuses.

use std::borrow::Cow;

use bartizan_model::{Reason, ReasonInfo, Severity, Verdict};
use http::{HeaderName, HeaderValue, StatusCode};

/// What was noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A credential is used by another client than its own.
    Moved {
        /// What differs, and the risk.
        how: String,
    },
    /// The same, and a second factor is asked for.
    StepUp {
        /// What differs, the risk, and what is missing.
        how: String,
    },
    /// A credential is used somewhat differently; nothing is done.
    Shifted {
        /// What differs, and the risk.
        how: String,
    },
    /// The upstream sets a cookie without what makes it safe.
    WeakCookie {
        /// Its name and what it lacks.
        how: String,
    },
}

const MOVED: ReasonInfo = ReasonInfo {
    code: "session.moved",
    status: StatusCode::UNAUTHORIZED,
    severity: Severity::High,
    verdict: Verdict::Challenge,
    public: "The session has to be begun anew",
};

const STEP_UP: ReasonInfo = ReasonInfo {
    code: "session.step_up",
    status: StatusCode::UNAUTHORIZED,
    severity: Severity::High,
    verdict: Verdict::Challenge,
    public: "A stronger authentication is required",
};

const SHIFTED: ReasonInfo = ReasonInfo { code: "session.shifted", severity: Severity::Info, ..MOVED };

const WEAK_COOKIE: ReasonInfo = ReasonInfo { code: "session.weak_cookie", severity: Severity::Info, ..MOVED };

/// What was noticed, with the challenge that goes with a refusal.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What.
    pub why: Why,
    /// How the caller can go on.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl From<Why> for Refusal {
    fn from(why: Why) -> Self {
        Refusal { why, headers: Vec::new() }
    }
}

impl Reason for Refusal {
    const ALL: &'static [ReasonInfo] = &[MOVED, STEP_UP, SHIFTED, WEAK_COOKIE];

    fn info(&self) -> ReasonInfo {
        match self.why {
            Why::Moved { .. } => MOVED,
            Why::StepUp { .. } => STEP_UP,
            Why::Shifted { .. } => SHIFTED,
            Why::WeakCookie { .. } => WEAK_COOKIE,
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        let (Why::Moved { how } | Why::StepUp { how } | Why::Shifted { how } | Why::WeakCookie { how }) =
            &self.why;
        Cow::Owned(how.clone())
    }

    fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed(match self.why {
            Why::Moved { .. } => {
                "sign in anew from there; where clients change so much, raise `session.at` or lower the weight of what differs"
            }
            Why::StepUp { .. } => {
                "show the second factor that the challenge names, or sign in anew from there"
            }
            Why::Shifted { .. } => return None,
            Why::WeakCookie { .. } => "have the upstream set it so itself; `session` in mode enforce adds it",
        }))
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        self.headers.clone()
    }
}
