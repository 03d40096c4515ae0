//! Why `cors` refuses.

use std::borrow::Cow;

use bartizan_model::{Reason, ReasonInfo, Severity, Verdict};
use http::StatusCode;

/// What of a cross-origin request the policy does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The origin.
    Origin,
    /// A preflight's method.
    Method,
    /// One of a preflight's header fields.
    Header,
}

const ORIGIN: ReasonInfo = ReasonInfo {
    code: "cors.origin",
    status: StatusCode::FORBIDDEN,
    severity: Severity::Low,
    verdict: Verdict::Deny,
    public: "This origin is not permitted",
};
const METHOD: ReasonInfo =
    ReasonInfo { code: "cors.method", public: "The method is not permitted for other origins", ..ORIGIN };
const HEADER: ReasonInfo =
    ReasonInfo { code: "cors.header", public: "A header field is not permitted for other origins", ..ORIGIN };

impl Reason for Why {
    const ALL: &'static [ReasonInfo] = &[ORIGIN, METHOD, HEADER];

    fn info(&self) -> ReasonInfo {
        match self {
            Why::Origin => ORIGIN,
            Why::Method => METHOD,
            Why::Header => HEADER,
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Why::Origin => "the request's `Origin` is not one of `cors.origins`",
            Why::Method => "the preflight's method is not one of `cors.methods`",
            Why::Header => "a header field of the preflight is not one of `cors.headers`",
        })
    }

    fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed(match self {
            Why::Origin => "add the page's origin to `cors.origins`",
            Why::Method => "add the method to `cors.methods`",
            Why::Header => "add the header field to `cors.headers`",
        }))
    }
}
