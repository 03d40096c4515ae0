//! Why `ip_access` refuses.

use std::borrow::Cow;

use bartizan_model::{Reason, ReasonInfo, Severity, Verdict};
use http::StatusCode;

/// Why an address may not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// On the `deny` list.
    Denied,
    /// Not on the `allow` list.
    NotAllowed,
}

const DENIED: ReasonInfo = ReasonInfo {
    code: "ip_access.denied",
    status: StatusCode::FORBIDDEN,
    severity: Severity::Medium,
    verdict: Verdict::Deny,
    public: "Access from this address is not permitted",
};

const NOT_ALLOWED: ReasonInfo =
    ReasonInfo { code: "ip_access.not_allowed", severity: Severity::Low, ..DENIED };

impl Reason for Why {
    const ALL: &'static [ReasonInfo] = &[DENIED, NOT_ALLOWED];

    fn info(&self) -> ReasonInfo {
        match self {
            Why::Denied => DENIED,
            Why::NotAllowed => NOT_ALLOWED,
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Why::Denied => "the client's address is on the `deny` list",
            Why::NotAllowed => "the client's address is not on the `allow` list",
        })
    }

    fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed(match self {
            Why::Denied => "remove the prefix that holds the address from `ip_access.deny`",
            Why::NotAllowed => "add the address to `ip_access.allow`",
        }))
    }
}
