//! Why `access` refuses.

use std::{borrow::Cow, sync::Arc};

use bartizan_model::{Reason, ReasonInfo, Severity, Verdict};
use http::{HeaderName, HeaderValue, StatusCode, header::WWW_AUTHENTICATE};

/// Why a caller may not do this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is no caller, and the operation is not for everybody.
    Unauthenticated {
        /// The API's name.
        realm: Arc<str>,
        /// Who says so.
        detail: String,
    },
    /// The credential lacks scopes.
    Scope {
        /// The API's name.
        realm: Arc<str>,
        /// All that are needed.
        needed: Vec<Arc<str>>,
        /// Those that are missing, and who demands them.
        detail: String,
    },
    /// The caller has none of the roles that the policy demands.
    Role {
        /// Which, and what the caller has.
        detail: String,
    },
    /// Nothing permits it.
    Denied {
        /// What was looked at.
        detail: String,
        /// Who could.
        remedy: String,
    },
    /// A policy forbids it.
    Forbidden {
        /// Which, with its place.
        detail: String,
    },
    /// A decision point elsewhere refuses it.
    Refused {
        /// Which, and why.
        detail: String,
    },
    /// A decision point elsewhere gives no answer.
    Unavailable {
        /// Which, and why.
        detail: String,
    },
    /// The same, and the policy lets it pass meanwhile.
    Assumed {
        /// Which, and why.
        detail: String,
    },
    /// A policy could not be evaluated.
    Undecided {
        /// Which, with its place, and why.
        detail: String,
    },
}

const DENIED: ReasonInfo = ReasonInfo {
    code: "access.denied",
    status: StatusCode::FORBIDDEN,
    severity: Severity::Medium,
    verdict: Verdict::Deny,
    public: "You may not do this",
};
const UNAUTHENTICATED: ReasonInfo = ReasonInfo {
    code: "access.unauthenticated",
    status: StatusCode::UNAUTHORIZED,
    severity: Severity::Low,
    verdict: Verdict::Challenge,
    public: "A credential is required",
};
const SCOPE: ReasonInfo =
    ReasonInfo { code: "access.scope", public: "The credential lacks a scope that this needs", ..DENIED };
const ROLE: ReasonInfo = ReasonInfo { code: "access.role", ..DENIED };
const FORBIDDEN: ReasonInfo = ReasonInfo { code: "access.forbidden", ..DENIED };
const UNDECIDED: ReasonInfo = ReasonInfo { code: "access.undecided", ..DENIED };
const REFUSED: ReasonInfo = ReasonInfo { code: "access.refused", ..DENIED };
const UNAVAILABLE: ReasonInfo = ReasonInfo {
    code: "access.unavailable",
    status: StatusCode::SERVICE_UNAVAILABLE,
    severity: Severity::High,
    verdict: Verdict::Error,
    public: "Whether you may do this cannot be told at the moment",
};
const ASSUMED: ReasonInfo = ReasonInfo { code: "access.assumed", ..UNAVAILABLE };

impl Reason for Why {
    const ALL: &'static [ReasonInfo] =
        &[DENIED, UNAUTHENTICATED, SCOPE, ROLE, FORBIDDEN, REFUSED, UNAVAILABLE, ASSUMED, UNDECIDED];

    fn info(&self) -> ReasonInfo {
        match self {
            Why::Unauthenticated { .. } => UNAUTHENTICATED,
            Why::Scope { .. } => SCOPE,
            Why::Role { .. } => ROLE,
            Why::Denied { .. } => DENIED,
            Why::Forbidden { .. } => FORBIDDEN,
            Why::Refused { .. } => REFUSED,
            Why::Unavailable { .. } => UNAVAILABLE,
            Why::Assumed { .. } => ASSUMED,
            Why::Undecided { .. } => UNDECIDED,
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Why::Unauthenticated { detail, .. }
            | Why::Scope { detail, .. }
            | Why::Role { detail }
            | Why::Denied { detail, .. }
            | Why::Forbidden { detail }
            | Why::Refused { detail }
            | Why::Unavailable { detail }
            | Why::Assumed { detail }
            | Why::Undecided { detail } => Cow::Owned(detail.clone()),
        }
    }

    fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Why::Unauthenticated { .. } => "present a credential that `identity` accepts".into(),
            Why::Scope { needed, .. } => {
                format!("have the issuer give the credential the scopes `{}`", needed.join(" ")).into()
            }
            Why::Role { .. } => "give the caller one of these roles".into(),
            Why::Denied { remedy, .. } => Cow::Owned(remedy.clone()),
            Why::Forbidden { .. } => "narrow the policy, if this caller is meant to do this".into(),
            Why::Refused { .. } => "change the rules of the decision point, if this caller is meant to do this".into(),
            Why::Unavailable { .. } | Why::Assumed { .. } => {
                "see that the decision point answers within `authzen.timeout`; `authzen.unavailable` says what holds meanwhile".into()
            }
            Why::Undecided { .. } => {
                "test with `has` what may be missing, or name the values that the request really has".into()
            }
        })
    }

    /// RFC 6750 section 3: what is asked for, and for a credential that does not suffice, the scopes that would.
    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let challenge = match self {
            Why::Unauthenticated { realm, .. } => format!("Bearer realm=\"{}\"", quotable(realm)),
            Why::Scope { realm, needed, .. } => format!(
                "Bearer realm=\"{}\", error=\"insufficient_scope\", scope=\"{}\"",
                quotable(realm),
                quotable(&needed.join(" "))
            ),
            _ => return Vec::new(),
        };
        HeaderValue::try_from(challenge).ok().map(|value| (WWW_AUTHENTICATE, value)).into_iter().collect()
    }
}

/// What a quoted string can hold as it is.
fn quotable(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ' { c } else { '_' };
    text.chars().map(plain).collect()
}
