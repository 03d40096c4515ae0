//! Why `rate_limit` refuses.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bartizan_model::{Rate, Reason, ReasonInfo, Severity, Verdict};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::fields::whole_seconds;

/// Which limit was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The request's cost does not fit into what is left.
    Exceeded {
        /// The limit's name.
        limit: Arc<str>,
        /// Where it is written: `api:shop`.
        scope: Arc<str>,
        /// Its rate.
        rate: Rate,
        /// What it counts by: `address`, `principal`, `header value` or `body field`; never the value.
        kind: &'static str,
        /// When the same request would fit.
        retry_after: Duration,
    },
}

const EXCEEDED: ReasonInfo = ReasonInfo {
    code: "rate_limit.exceeded",
    status: StatusCode::TOO_MANY_REQUESTS,
    severity: Severity::Low,
    verdict: Verdict::Throttle,
    public: "Too many requests; try again later",
};

impl Reason for Why {
    const ALL: &'static [ReasonInfo] = &[EXCEEDED];

    fn info(&self) -> ReasonInfo {
        match self {
            Why::Exceeded { .. } => EXCEEDED,
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        let Why::Exceeded { limit, scope, rate, kind, retry_after } = self;
        let seconds = whole_seconds(*retry_after).max(1);
        Cow::Owned(format!(
            "limit `{limit}` of `{scope}`, {rate} per {kind}, is used up for another {seconds} s"
        ))
    }

    fn remedy(&self) -> Option<Cow<'static, str>> {
        let Why::Exceeded { limit, scope, .. } = self;
        Some(Cow::Owned(format!("raise `rate` or `burst` of limit `{limit}` in `{scope}`")))
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let Why::Exceeded { retry_after, .. } = self;
        vec![(header::RETRY_AFTER, HeaderValue::from(whole_seconds(*retry_after).max(1)))]
    }
}
