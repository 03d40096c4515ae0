//! Why `waf` refuses.

use std::borrow::Cow;

use bartizan_model::{Reason, ReasonInfo, Severity, Verdict};
use bartizan_pattern::body::UnreadableReason;
use http::{HeaderName, HeaderValue, StatusCode};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Rules refuse the request.
    Attack {
        /// The status that the rule sets.
        status: StatusCode,
        /// Which rules, with what score.
        detail: String,
        /// What would let it pass.
        remedy: String,
        /// Where the rule sends the client, or that the connection ends.
        headers: Vec<(HeaderName, HeaderValue)>,
    },
    /// Rules withhold the response.
    Leak {
        /// The status that the rule sets.
        status: StatusCode,
        /// Which rules, with what score.
        detail: String,
        /// What would let it pass.
        remedy: String,
        /// Where the rule sends the client, or that the connection ends.
        headers: Vec<(HeaderName, HeaderValue)>,
    },
    /// The body is longer than rules look at.
    BodyTooLong {
        /// Bytes.
        limit: u64,
    },
    /// The body cannot be read.
    Unreadable {
        /// Why, free of values.
        why: String,
    },
    /// The body has no type, or one that nobody reads: rules see its bytes, but nothing in them by name.
    UnknownType {
        /// Which of these.
        why: UnreadableReason,
    },
    /// Rules had to do more than they may.
    TooCostly {
        /// Units of work.
        limit: u64,
    },
    /// One rule matched. Alone it refuses nothing.
    Match {
        /// How serious the rule says it is.
        severity: Severity,
        /// Which rule, where, in what.
        detail: String,
    },
    /// Something of the exchange was not looked at.
    Unseen {
        /// What, and why.
        what: &'static str,
    },
}

const ATTACK: ReasonInfo = ReasonInfo {
    code: "waf.attack",
    status: StatusCode::FORBIDDEN,
    severity: Severity::High,
    verdict: Verdict::Deny,
    public: "The request was refused",
};
const LEAK: ReasonInfo = ReasonInfo { code: "waf.leak", public: "The response was withheld", ..ATTACK };
const BODY_TOO_LONG: ReasonInfo = ReasonInfo {
    code: "waf.body_too_long",
    status: StatusCode::PAYLOAD_TOO_LARGE,
    severity: Severity::Low,
    public: "The request body is too large",
    ..ATTACK
};
const UNREADABLE: ReasonInfo = ReasonInfo {
    code: "waf.unreadable_body",
    status: StatusCode::BAD_REQUEST,
    severity: Severity::Medium,
    public: "The request body is malformed",
    ..ATTACK
};
const UNKNOWN_TYPE: ReasonInfo = ReasonInfo {
    code: "waf.unknown_type",
    status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
    severity: Severity::Medium,
    public: "The media type of the request body is not supported",
    ..ATTACK
};
const TOO_COSTLY: ReasonInfo = ReasonInfo { code: "waf.too_costly", ..ATTACK };
const MATCH: ReasonInfo = ReasonInfo { code: "waf.match", severity: Severity::Medium, ..ATTACK };
const UNSEEN: ReasonInfo = ReasonInfo { code: "waf.unseen", severity: Severity::Info, ..ATTACK };

impl Reason for Why {
    const ALL: &'static [ReasonInfo] =
        &[ATTACK, LEAK, BODY_TOO_LONG, UNREADABLE, UNKNOWN_TYPE, TOO_COSTLY, MATCH, UNSEEN];

    fn info(&self) -> ReasonInfo {
        match self {
            Why::Attack { status, .. } => ReasonInfo { status: *status, ..ATTACK },
            Why::Leak { status, .. } => ReasonInfo { status: *status, ..LEAK },
            Why::BodyTooLong { .. } => BODY_TOO_LONG,
            Why::Unreadable { .. } => UNREADABLE,
            Why::UnknownType { .. } => UNKNOWN_TYPE,
            Why::TooCostly { .. } => TOO_COSTLY,
            Why::Match { severity, .. } => ReasonInfo { severity: *severity, ..MATCH },
            Why::Unseen { .. } => UNSEEN,
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Why::Attack { detail, .. } | Why::Leak { detail, .. } | Why::Match { detail, .. } => {
                Cow::Owned(detail.clone())
            }
            Why::BodyTooLong { limit } => Cow::Owned(format!(
                "the body is longer than the {limit} bytes that rules look at, `waf.max_body`"
            )),
            Why::Unreadable { why } => Cow::Owned(format!("the body cannot be read: {why}")),
            Why::UnknownType { why } => {
                Cow::Owned(format!("{why}: rules see the bytes of the body, but no value in it"))
            }
            Why::TooCostly { limit } => Cow::Owned(format!(
                "rules had more to do with it than the {limit} units of `waf.max_work`, and looked no further"
            )),
            Why::Unseen { what } => Cow::Borrowed(what),
        }
    }

    fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Why::Attack { remedy, .. } | Why::Leak { remedy, .. } => Cow::Owned(remedy.clone()),
            Why::BodyTooLong { .. } => {
                Cow::Borrowed("raise `waf.max_body` for this operation, or set `waf.over_limit` to `partial`")
            }
            Why::Unreadable { .. } => Cow::Borrowed(
                "send what `Content-Type` and `Content-Encoding` say, or set `waf.unreadable` to `allow` for this operation",
            ),
            Why::UnknownType { .. } => Cow::Borrowed(
                "send the body with its `Content-Type`, or set `waf.unknown_type` to `allow` for this operation",
            ),
            Why::TooCostly { .. } => Cow::Borrowed(
                "raise `waf.max_work` for this operation, lower `waf.max_body`, or leave out costly rules by `waf.exclusions`",
            ),
            Why::Match { .. } | Why::Unseen { .. } => return None,
        })
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        match self {
            Why::Attack { headers, .. } | Why::Leak { headers, .. } => headers.clone(),
            _ => Vec::new(),
        }
    }
}
