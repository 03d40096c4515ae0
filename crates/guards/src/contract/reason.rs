//! Why `contract` refuses.

use std::borrow::Cow;

use bartizan_contract::check::Violation;
use bartizan_model::{ProblemError, Reason, ReasonInfo, Severity, Verdict};
use http::StatusCode;

/// What does not fit the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Parameters.
    Parameter(Told),
    /// The media type of the body, or its charset.
    MediaType(Told),
    /// The body.
    Body(Told),
    /// Something that the contract does not name.
    Undeclared(Told),
    /// There is no body.
    BodyMissing(Told),
    /// The body is larger than what is checked.
    TooLarge {
        /// Permitted, in bytes.
        limit: u64,
    },
}

/// Violations, at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// What does not fit.
    pub violations: Vec<Violation>,
    /// Whether the client is told, too.
    pub full: bool,
}

const PARAMETER: ReasonInfo = ReasonInfo {
    code: "contract.parameter",
    status: StatusCode::BAD_REQUEST,
    severity: Severity::Low,
    verdict: Verdict::Deny,
    public: "A parameter is not what this operation accepts",
};
const MEDIA_TYPE: ReasonInfo = ReasonInfo {
    code: "contract.media_type",
    status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
    public: "The media type is not one that this operation accepts",
    ..PARAMETER
};
const BODY: ReasonInfo =
    ReasonInfo { code: "contract.body", public: "The body is not what this operation accepts", ..PARAMETER };
const UNDECLARED: ReasonInfo = ReasonInfo {
    code: "contract.undeclared",
    severity: Severity::Medium,
    public: "The request has something that this operation does not accept",
    ..PARAMETER
};
const BODY_MISSING: ReasonInfo =
    ReasonInfo { code: "contract.body_missing", public: "This operation needs a body", ..PARAMETER };
const TOO_LARGE: ReasonInfo = ReasonInfo {
    code: "contract.body_too_large",
    status: StatusCode::PAYLOAD_TOO_LARGE,
    public: "The request body is too large",
    ..PARAMETER
};

impl Why {
    fn told(&self) -> Option<&Told> {
        match self {
            Why::Parameter(told)
            | Why::MediaType(told)
            | Why::Body(told)
            | Why::Undeclared(told)
            | Why::BodyMissing(told) => Some(told),
            Why::TooLarge { .. } => None,
        }
    }
}

impl Reason for Why {
    const ALL: &'static [ReasonInfo] = &[PARAMETER, MEDIA_TYPE, BODY, UNDECLARED, BODY_MISSING, TOO_LARGE];

    fn info(&self) -> ReasonInfo {
        match self {
            Why::Parameter(_) => PARAMETER,
            Why::MediaType(_) => MEDIA_TYPE,
            Why::Body(_) => BODY,
            Why::Undeclared(_) => UNDECLARED,
            Why::BodyMissing(_) => BODY_MISSING,
            Why::TooLarge { .. } => TOO_LARGE,
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Why::TooLarge { limit } => format!("the body exceeds `contract.max_body`, {limit} bytes").into(),
            _ => match self.told().and_then(|told| told.violations.first()) {
                Some(first) => told_of(first).into(),
                None => "it does not fit the contract".into(),
            },
        }
    }

    fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Why::TooLarge { .. } => "raise `contract.max_body` for this operation".into(),
            Why::Undeclared(_) => {
                "name it in the contract, or write `contract.undeclared_properties: allow` (or `undeclared_parameters`, \
                 `read_only`) for this operation"
                    .into()
            }
            _ => "if the request is right, correct the contract; `contract: monitor` watches meanwhile".into(),
        })
    }

    fn errors(&self) -> Vec<ProblemError> {
        let told = self.told().filter(|told| told.full);
        let all = told.map(|told| told.violations.as_slice()).unwrap_or_default();
        all.iter()
            .map(|violation| ProblemError {
                part: violation.part.as_str(),
                name: violation.name.clone(),
                pointer: violation.pointer.clone(),
                detail: violation.expectation.clone(),
            })
            .collect()
    }
}

/// A violation for operators, with its place in the contract.
pub(super) fn told_of(violation: &Violation) -> String {
    match violation.contract.as_str() {
        "" => violation.to_string(),
        place => format!("{violation} ({place})"),
    }
}
