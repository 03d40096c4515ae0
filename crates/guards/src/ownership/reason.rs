//! Why `ownership` refuses.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bartizan_authz::ownership::Missing;
use bartizan_model::{Reason, ReasonInfo, Severity, Verdict};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::config::RefusedAs;

/// What stands between the caller and the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The predicate is false.
    Foreign {
        /// The operation whose rule it is.
        rule: Arc<str>,
        /// The predicate.
        predicate: Arc<str>,
        /// Foreign records, and records in all, of a list.
        records: Option<(usize, usize)>,
        /// How the refusal looks.
        answer: RefusedAs,
    },
    /// The predicate cannot be decided.
    Undecided {
        /// The operation whose rule it is.
        rule: Arc<str>,
        /// What cannot be decided, and why.
        what: Cow<'static, str>,
        /// What to do about it.
        remedy: &'static str,
        /// How the refusal looks.
        answer: RefusedAs,
    },
    /// A value of the caller's that the predicate asks for is not there: nobody is identified, or the credential does not
    /// say it.
    Caller {
        /// The operation whose rule it is.
        rule: Arc<str>,
        /// The value.
        value: Arc<str>,
        /// Whether nobody is identified.
        anonymous: bool,
        /// How the refusal looks.
        answer: RefusedAs,
    },
    /// Foreign records were taken out of a list.
    Filtered {
        /// The operation whose rule it is.
        rule: Arc<str>,
        /// Records that were taken out, and records in all.
        records: (usize, usize),
    },
    /// One parameter has different values in different places.
    Conflict {
        /// The places, as a policy names them.
        places: String,
    },
    /// Whether a parameter has different values in different places cannot be told.
    Unread {
        /// Why not.
        what: String,
    },
    /// The caller asks for one object after the other.
    Enumeration {
        /// What tells.
        signs: String,
        /// How long the caller is refused, where it is.
        refused_for: Option<Duration>,
    },
}

const FOREIGN: ReasonInfo = ReasonInfo {
    code: "ownership.foreign",
    status: StatusCode::NOT_FOUND,
    severity: Severity::High,
    verdict: Verdict::Deny,
    public: "Not Found",
};
const UNDECIDED: ReasonInfo = ReasonInfo { code: "ownership.undecided", severity: Severity::Low, ..FOREIGN };
const CALLER: ReasonInfo = ReasonInfo { code: "ownership.caller", severity: Severity::Medium, ..FOREIGN };
const FILTERED: ReasonInfo = ReasonInfo { code: "ownership.filtered", severity: Severity::Medium, ..FOREIGN };
const CONFLICT: ReasonInfo = ReasonInfo {
    code: "ownership.parameter_conflict",
    status: StatusCode::BAD_REQUEST,
    severity: Severity::Medium,
    public: "A parameter has different values in different places",
    ..FOREIGN
};
const UNREAD: ReasonInfo = ReasonInfo {
    code: "ownership.parameter_unread",
    severity: Severity::Low,
    public: "The body cannot be read",
    ..CONFLICT
};
const ENUMERATION: ReasonInfo = ReasonInfo {
    code: "ownership.enumeration",
    status: StatusCode::TOO_MANY_REQUESTS,
    verdict: Verdict::Throttle,
    public: "Too many requests; try again later",
    ..FOREIGN
};

impl Reason for Why {
    const ALL: &'static [ReasonInfo] = &[FOREIGN, UNDECIDED, CALLER, FILTERED, CONFLICT, UNREAD, ENUMERATION];

    fn info(&self) -> ReasonInfo {
        let (info, answer) = match self {
            Why::Foreign { answer, .. } => (FOREIGN, *answer),
            Why::Undecided { answer, .. } => (UNDECIDED, *answer),
            Why::Caller { answer, .. } => (CALLER, *answer),
            Why::Filtered { .. } => return FILTERED,
            Why::Conflict { .. } => return CONFLICT,
            Why::Unread { .. } => return UNREAD,
            Why::Enumeration { .. } => return ENUMERATION,
        };
        match answer {
            RefusedAs::NotFound => info,
            RefusedAs::Forbidden => ReasonInfo { status: StatusCode::FORBIDDEN, public: "Forbidden", ..info },
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        Cow::Owned(match self {
            Why::Foreign { rule, predicate, records: None, .. } => {
                format!("the object is not the caller's: `{predicate}` of `{rule}` is false")
            }
            Why::Foreign { rule, predicate, records: Some((foreign, all)), .. } => {
                format!("{foreign} of {all} records are not the caller's: `{predicate}` of `{rule}` is false")
            }
            Why::Undecided { rule, what, .. } => format!("the rule of `{rule}` cannot be decided: {what}"),
            Why::Caller { rule, value, anonymous: true, .. } => {
                format!("the rule of `{rule}` asks for `{value}`, and nobody is identified")
            }
            Why::Caller { rule, value, anonymous: false, .. } => {
                format!("the rule of `{rule}` asks for `{value}`, which the caller's credential does not say")
            }
            Why::Filtered { rule, records: (foreign, all) } => {
                format!("{foreign} of {all} records were taken out by the rule of `{rule}`")
            }
            Why::Conflict { places } => format!("{places} have different values"),
            Why::Unread { what } => {
                format!("ids in path or query cannot be compared with those of the body: {what}")
            }
            Why::Enumeration { signs, .. } => {
                format!("the caller asks for one object after the other: {signs}")
            }
        })
    }

    fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Why::Foreign { rule, .. } => Cow::Owned(format!(
                "ask as its owner, or widen the predicate of `{rule}`, such as by `|| principal.roles contains \"..\"`"
            )),
            Why::Undecided { remedy, .. } => Cow::Borrowed(*remedy),
            Why::Caller { anonymous: true, .. } => Cow::Borrowed("send a credential that `identity` accepts"),
            Why::Caller { value, .. } => {
                Cow::Owned(format!("let the issuer put `{value}` into its tokens, or ask for another value"))
            }
            Why::Filtered { .. } => return None,
            Why::Conflict { .. } => {
                Cow::Borrowed("send one value, or set `ownership.parameters` for this operation")
            }
            Why::Unread { .. } => Cow::Borrowed(
                "send a well-formed body of at most 256 KiB, or set `ownership.parameters: { ids: false }` for this operation",
            ),
            Why::Enumeration { .. } => Cow::Borrowed(
                "raise `ownership.enumeration` where callers of this operation rightly ask for many objects",
            ),
        })
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        match self {
            Why::Enumeration { refused_for: Some(time), .. } => {
                vec![(header::RETRY_AFTER, HeaderValue::from(time.as_secs().max(1)))]
            }
            _ => Vec::new(),
        }
    }
}

/// Why a value is not there, for operators.
pub(super) fn told(value: &str, why: Missing) -> Cow<'static, str> {
    Cow::Owned(match why {
        Missing::Later => format!("`{value}` did not come"),
        Missing::Anonymous => format!("`{value}` needs a caller"),
        Missing::Absent => format!("`{value}` is not there, or null"),
        Missing::Twice => format!("`{value}` is there twice"),
        Missing::Shape => {
            format!("`{value}` is a list or an object where one value is asked for, or the reverse")
        }
        Missing::Kind => format!("`{value}` is of a kind that cannot be compared with the other value"),
        Missing::Unreadable => format!("what `{value}` is in cannot be read"),
    })
}
